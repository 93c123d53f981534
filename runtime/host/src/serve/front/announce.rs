//! Says where everything is, and makes what the command line asked for.

use spk_grains::store::capabilities::{Assignment, Role};

use super::{Front, grain_api};
use crate::serve::error::Error;
use crate::serve::event::Event;
use crate::serve::options::Visit;
use crate::serve::question::WantedToken;
use crate::serve::user::{KNOWN, User};

/// Which of the known users has no account.
const ANONYMOUS: usize = KNOWN.len() - 1;

impl Front {
    /// What a person opens.
    pub fn url(&self) -> String {
        let alone = || format!("{}/", self.session_of(self.user()).base());
        self.site.get().map_or_else(alone, |site| site.url())
    }

    /// Where the other users' sessions are: those of the users that were named, and, if they were asked
    /// for, one in each role that the app has for new shares, by somebody else each, and an anonymous
    /// visitor's.
    pub fn other_sessions(&self) -> Vec<Event> {
        let first = &self.grains.first;
        let event = |user: &User, chosen: Option<Assignment>, role: Option<String>| {
            let session = self.session_for(first, user, chosen.as_ref());
            let (user, url) = (user.key().to_owned(), format!("{}/", session.base()));
            Event::Session { user, chosen, role, url }
        };
        let others = self.announced.others.iter();
        let mut sessions: Vec<_> =
            others.map(|(user, chosen)| event(user, chosen.clone(), None)).collect();
        if self.announced.every_role
            && let Some(app) = first.running()
        {
            let roles = app.info.roles.iter().enumerate().filter(|(_, role)| !role.obsolete);
            for (index, role) in roles {
                let Ok(id) = u16::try_from(index) else { break };
                let known = KNOWN[..ANONYMOUS].get(index + 1).map(|&name| name.to_owned());
                let user = User::named(&known.unwrap_or_else(|| format!("user {}", index + 1)));
                let chosen = Assignment { role: Role::Id(id), ..Assignment::default() };
                sessions.push(event(&user, Some(chosen), Some(role.title.clone())));
            }
            sessions.push(event(&User::named(KNOWN[ANONYMOUS]), None, None));
        }
        sessions
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
