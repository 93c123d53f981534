//! What whoever started a host is told.

use spk_grains::store::capabilities::Assignment;
use spk_sandbox::Denied;

use super::losses::Loss;

/// What happens while an app is served.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The app answered its first request. Sent once.
    Ready {
        /// What a person opens.
        url: String,
        /// The app's own origin for the user of [`Visit::user`](super::Visit::user).
        session_url: String,
        /// `address:port` of the front end, for clients that cannot resolve names below
        /// `localhost`: connect here and send the URL's host as `Host`.
        address: String,
        /// The token of [`Visit::api_token`](super::Visit::api_token).
        api: Option<ApiAccess>,
        /// What the app may claim of [`Policy::grants`](super::Policy::grants): name, and token for `claimRequest`.
        grants: Vec<(String, String)>,
    },
    /// Another user's session, before [`Event::Ready`]: for those of
    /// [`Visit::other_users`](super::Visit::other_users), and with
    /// [`Visit::every_role`](super::Visit::every_role).
    Session {
        /// Who: see [`User::key`](super::User::key).
        user: String,
        /// What was chosen for this session, whatever the user may do elsewhere.
        chosen: Option<Assignment>,
        /// The title of the role in it, if it is one of the app's.
        role: Option<String>,
        /// This user's own origin.
        url: String,
    },
    /// Something the developer should know. Text from the app is made printable.
    Note(String),
    /// Something that the protocol between host and app does not carry, the first of its kind
    /// (`--explain`).
    Lost(Loss),
    /// All of that, with how often it was; before [`Event::DeniedInAll`].
    LostInAll(Vec<(Loss, u64)>),
    /// A system call that the sandbox denied, the first of its kind (`--explain`).
    Denied(Denied),
    /// All denied system calls, summed up; the last event, with `--explain`.
    DeniedInAll(Vec<Denied>),
}

/// How a program gets at the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAccess {
    /// Short name of the token, to revoke it by.
    pub id: String,
    /// The secret.
    pub token: String,
    /// `http://api-….spk.localhost:PORT`: the token's own origin.
    pub url: String,
}

impl ApiAccess {
    /// URL and token in one, as people pass them on (`URL#TOKEN`).
    pub fn webkey(&self) -> String {
        format!("{}#{}", self.url, self.token)
    }
}
