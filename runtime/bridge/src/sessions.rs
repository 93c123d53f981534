//! The sessions that are alive, by the number apps see in `X-Sandstorm-Session-Id`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use spk_schema::grain_capnp::session_context;
use spk_schema::sandstorm_http_bridge_internal_capnp::session_info;

/// What apps can ask about a session.
pub struct Entry {
    /// The host's object for the session.
    pub context: session_context::Client,
    /// What kind of session it is; a message with `SessionInfo` as its root.
    pub info: Option<Info>,
}

/// A `SessionInfo` that can be copied into results.
pub type Info = Rc<capnp::message::TypedBuilder<session_info::Owned>>;

/// The table of sessions.
#[derive(Default)]
pub struct Sessions {
    next: Cell<u64>,
    entries: RefCell<HashMap<String, Rc<Entry>>>,
}

impl Sessions {
    /// Reserves the next number. Numbers start at 0 and are never used again in one run
    /// (http-bridge 4.6).
    pub fn reserve(&self) -> String {
        let id = self.next.get();
        self.next.set(id + 1);
        id.to_string()
    }

    /// Adds a session under its reserved number, until the registration is dropped.
    pub fn register(self: &Rc<Self>, id: String, entry: Entry) -> Registration {
        self.entries.borrow_mut().insert(id.clone(), Rc::new(entry));
        Registration { sessions: Rc::downgrade(self), id }
    }

    /// A session that is alive.
    pub fn find(&self, id: &str) -> Option<Rc<Entry>> {
        self.entries.borrow().get(id).cloned()
    }
}

/// A session's place in the table.
pub struct Registration {
    sessions: Weak<Sessions>,
    id: String,
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(sessions) = self.sessions.upgrade() {
            let entry = sessions.entries.borrow_mut().remove(&self.id);
            // Dropping capabilities may run code; not while the table is borrowed.
            drop(entry);
        }
    }
}
