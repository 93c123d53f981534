//! Says where everything is, and makes what the command line asked for.

use super::{Front, grain_api};
use crate::serve::error::Error;
use crate::serve::event::Event;
use crate::serve::options::Visit;
use crate::serve::question::WantedToken;
use crate::serve::user::User;

impl Front {
    /// What a person opens.
    pub fn url(&self) -> String {
        let alone = || format!("{}/", self.session_of(self.user()).base());
        self.site.get().map_or_else(alone, |site| site.url())
    }

    /// Where the other users' sessions are.
    pub fn other_sessions(&self) -> Vec<Event> {
        let session = |user: &User| Event::Session {
            user: user.key().to_owned(),
            url: format!("{}/", self.session_of(user).base()),
        };
        self.announced.others.iter().map(session).collect()
    }

    /// Makes what the command line asked for, once the app answers.
    pub async fn announce(&self, visit: &Visit, grants: &[String]) -> Result<(), Error> {
        let wanted = visit.api_token.as_ref().map(|permissions| WantedToken {
            label: "spk run --api-token".into(),
            user: Some(self.user().name().to_owned()),
            // For the run: its address ends with the port.
            permissions: permissions.clone().or_else(|| visit.permissions.clone()),
            role: visit.role.clone(),
            ..WantedToken::default()
        });
        let first = &self.grains.first;
        let (token, granted) = grain_api::announced(self, first, grants, wanted).await?;
        self.announced.token.replace(token);
        self.announced.granted.replace(granted);
        Ok(())
    }

    /// The event that says where everything is.
    pub fn ready(&self) -> Event {
        Event::Ready {
            url: self.url(),
            session_url: format!("{}/", self.session_of(self.user()).base()),
            address: format!("127.0.0.1:{}", self.port()),
            api: self.announced.token.borrow().clone(),
            grants: self.announced.granted.borrow().clone(),
        }
    }
}
