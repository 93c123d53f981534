//! The origins of sessions: each has a host name, which is its secret (http-bridge §7.3).

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use sha2::{Digest, Sha256};
use spk_files::{hex, random};
use spk_grains::store::capabilities::Assignment;

use crate::serve::error::Error;
use crate::serve::grain::Grain;
use crate::serve::hosts;
use crate::serve::session::{Access, Kind, Session};
use crate::serve::token;
use crate::serve::user::User;

/// Sessions opened for requests and offers at a time; the oldest goes.
const PASSING: usize = 64;

/// See the module.
pub(super) struct Origins {
    /// The front end's port.
    pub port: u16,
    /// What names are derived from; lives as long as this run.
    secret: [u8; 32],
    /// Sessions by ID.
    sessions: RefCell<HashMap<String, Rc<Session>>>,
    /// Sessions for requests and offers, the oldest first.
    passing: RefCell<VecDeque<String>>,
}

impl Origins {
    pub fn new(port: u16) -> Result<Origins, Error> {
        let secret = random::bytes().map_err(|error| Error::Random(error.to_string()))?;
        Ok(Origins { port, secret, sessions: RefCell::default(), passing: RefCell::default() })
    }

    /// 32 hex characters that only this front end can make.
    pub fn derive(&self, what: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.secret);
        hash.update(what.as_bytes());
        hex::encode(&hash.finalize()[..hosts::ID_LENGTH / 2])
    }

    /// The session with this ID.
    pub fn find(&self, id: &str) -> Option<Rc<Session>> {
        self.sessions.borrow().get(id).cloned()
    }

    /// A person's session: always the same one for the same grain, user and permissions.
    pub fn of_person(
        &self,
        grain: &Rc<Grain>,
        user: &User,
        chosen: Option<&Assignment>,
    ) -> Rc<Session> {
        let what = serde_json::json!([grain.id(), user.key(), chosen]);
        let id = self.derive(&format!("session of {what}"));
        let known = self.find(&id).filter(|session| Rc::ptr_eq(session.grain(), grain));
        known.unwrap_or_else(|| {
            let access = chosen.map_or(Access::Own, |role| Access::Chosen(role.clone()));
            self.open(id, &hosts::grain_site(grain.id()), grain, user, access, Kind::Ui)
        })
    }

    /// A session for one purpose.
    pub fn passing(
        &self,
        grain: &Rc<Grain>,
        user: &User,
        kind: Kind,
    ) -> Result<Rc<Session>, capnp::Error> {
        let id = self.derive(&format!("passing {}", token::new()?));
        let mut passing = self.passing.borrow_mut();
        if passing.len() >= PASSING
            && let Some(oldest) = passing.pop_front()
        {
            self.sessions.borrow_mut().remove(&oldest);
        }
        passing.push_back(id.clone());
        let own = hosts::grain_site(grain.id());
        let site = match &kind {
            // In a page of another grain's: a site of its own, in which it can set no cookie for
            // either of them.
            Kind::Request { page, .. } if *page != hosts::origin(&own, self.port) => {
                hosts::grain_site(&id)
            }
            _ => own,
        };
        Ok(self.open(id, &site, grain, user, Access::Own, kind))
    }

    fn open(
        &self,
        id: String,
        site: &str,
        grain: &Rc<Grain>,
        user: &User,
        access: Access,
        kind: Kind,
    ) -> Rc<Session> {
        let host = format!("ui-{id}.{site}:{}", self.port);
        let base = format!("http://{host}");
        let session = Session::new(grain.clone(), user.clone(), kind, access, &host, base);
        self.sessions.borrow_mut().insert(id, session.clone());
        session
    }

    /// Has the sessions of a grain opened anew: what its users may do has changed.
    pub fn close_all_of(&self, grain: &Rc<Grain>) {
        let sessions = self.sessions.borrow();
        sessions
            .values()
            .filter(|session| Rc::ptr_eq(session.grain(), grain))
            .for_each(|s| s.close());
    }

    /// Forgets the sessions of a grain that is served no more.
    pub fn forget(&self, grain: &Rc<Grain>) {
        self.sessions.borrow_mut().retain(|_, session| !Rc::ptr_eq(session.grain(), grain));
    }
}
