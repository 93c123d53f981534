//! What uses a served app in a person's place.

use std::collections::BTreeMap;
use std::process::Stdio;

use futures::future::LocalBoxFuture;
use spk_host::serve::{ApiAccess, Event};

/// Where the app answers.
#[derive(Clone, Debug)]
pub struct Ready {
    /// `address:port`.
    pub address: String,
    /// The session of the user of [`Visit::user`](spk_host::serve::Visit::user).
    pub session: String,
    /// The sessions of others, by user.
    pub others: BTreeMap<String, String>,
    /// The API, if a token was asked for.
    pub api: Option<ApiAccess>,
}

impl Ready {
    /// What the event says, if it is the one. It knows of no others.
    pub fn of(event: &Event) -> Option<Ready> {
        let Event::Ready { session_url, address, api, .. } = event else { return None };
        let (address, session) = (address.clone(), session_url.clone());
        Some(Ready { address, session, others: BTreeMap::new(), api: api.clone() })
    }

    /// A user's session.
    pub fn session(&self, user: &str) -> &str {
        self.others.get(user).unwrap_or(&self.session)
    }
}

/// Uses the app. Called once, when the app answers, with what programs may have as their stdout; when it is
/// done, the app is ended.
pub type Driver = Box<dyn FnOnce(Ready, Stdio) -> LocalBoxFuture<'static, ()>>;
