//! The sessions of programs: one for each API token that is used.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::serve::grain::Grain;
use crate::serve::session::Session;

/// Sessions of programs kept at a time; the next request opens another.
const PROGRAMS: usize = 256;

/// The sessions of programs, by the hash of their token.
#[derive(Default)]
pub(super) struct Programs(RefCell<HashMap<String, Rc<Session>>>);

impl Programs {
    /// The session for a token, made if there is none.
    pub fn get(&self, hash: &str, make: impl FnOnce() -> Rc<Session>) -> Rc<Session> {
        let mut sessions = self.0.borrow_mut();
        if let Some(session) = sessions.get(hash) {
            return session.clone();
        }
        if sessions.len() >= PROGRAMS {
            sessions.retain(|_, session| !session.is_unused());
        }
        if sessions.len() >= PROGRAMS {
            sessions.clear();
        }
        let session = make();
        sessions.insert(hash.to_owned(), session.clone());
        session
    }

    /// The token is not worth anything any more, or something else.
    pub fn forget(&self, hash: &str) {
        if let Some(session) = self.0.borrow_mut().remove(hash) {
            session.close();
        }
    }

    /// The grain is served no more, or what its users may do has changed.
    pub fn forget_grain(&self, grain: &Rc<Grain>) {
        let mut sessions = self.0.borrow_mut();
        let gone = sessions.extract_if(|_, session| Rc::ptr_eq(session.grain(), grain));
        gone.for_each(|(_, session)| session.close());
    }
}
