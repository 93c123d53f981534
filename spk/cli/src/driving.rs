//! What uses a served app in a person's place.

use std::process::Stdio;

use futures::future::LocalBoxFuture;
use spk_grains::store::capabilities::Assignment;
use spk_host::serve::{ApiAccess, Event};

/// Where the app answers.
#[derive(Clone, Debug)]
pub struct Ready {
    /// `address:port`.
    pub address: String,
    /// The session of the user of [`Visit::user`](spk_host::serve::Visit::user).
    pub session: String,
    /// The sessions of others.
    pub visitors: Vec<Visitor>,
    /// The API, if a token was asked for.
    pub api: Option<ApiAccess>,
}

/// Somebody else's session.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Who.
    pub user: String,
    /// What was chosen for it, whatever they may do elsewhere.
    pub chosen: Option<Assignment>,
    /// The role they have in it, if it was made for one.
    pub role: Option<String>,
    /// Its address.
    pub session: String,
}

impl Visitor {
    /// Who they are, in words.
    pub fn described(&self) -> String {
        match &self.role {
            Some(role) => format!("{} ({role})", self.user),
            None => self.user.clone(),
        }
    }
}

/// What is announced before the app is [`Ready`].
#[derive(Default)]
pub struct Announced {
    visitors: Vec<Visitor>,
}

impl Announced {
    /// Takes in an event; where everything is, if it says so.
    pub fn take(&mut self, event: &Event) -> Option<Ready> {
        match event {
            Event::Session { user, chosen, role, url } => {
                let (user, session) = (user.clone(), url.clone());
                let (chosen, role) = (chosen.clone(), role.clone());
                self.visitors.push(Visitor { user, chosen, role, session });
                None
            }
            Event::Ready { session_url, address, api, .. } => Some(Ready {
                address: address.clone(),
                session: session_url.clone(),
                visitors: std::mem::take(&mut self.visitors),
                api: api.clone(),
            }),
            _ => None,
        }
    }
}

impl Ready {
    /// A user's session: with what was chosen for it, or their own.
    pub fn session(&self, user: &str, chosen: Option<&Assignment>) -> &str {
        let same = |one: &&Visitor| one.user == user && one.chosen.as_ref() == chosen;
        self.visitors.iter().find(same).map_or(&self.session, |visitor| &visitor.session)
    }
}

/// Uses the app in a person's place.
pub struct Driver {
    /// Whether it looks at the app in every role.
    pub every_role: bool,
    /// What it does.
    pub drive: Drive,
}

/// What a driver does. Called once, when the app answers, with what programs may have as their stdout; when it is
/// done, the app is ended.
pub type Drive = Box<dyn FnOnce(Ready, Stdio) -> LocalBoxFuture<'static, ()>>;
