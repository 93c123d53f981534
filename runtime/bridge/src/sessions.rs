//! The sessions that are alive, by the number apps see in `X-Sandstorm-Session-Id`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use capnp::capability::Client;
use capnp::message::TypedBuilder;
use capnp::struct_list;
use spk_schema::grain_capnp::{session_context, ui_view};
use spk_schema::powerbox_capnp::powerbox_descriptor;

/// What apps can ask about a session.
pub struct Entry {
    /// The host's object for the session.
    pub context: session_context::Client,
    /// How the user came to it.
    pub kind: Kind,
}

/// How the user came to a session.
pub enum Kind {
    /// By opening the grain, or with an API token.
    Normal,
    /// To choose an answer to a powerbox request; the parameters hold its descriptors.
    Request(TypedBuilder<ui_view::new_request_session_params::Owned>),
    /// To hand something over.
    Offer {
        /// What is handed over.
        offer: Client,
        /// What it is.
        descriptor: TypedBuilder<powerbox_descriptor::Owned>,
    },
}

impl Kind {
    /// Keeps the descriptors of a request.
    pub fn request(
        descriptors: struct_list::Reader<'_, powerbox_descriptor::Owned>,
    ) -> Result<Kind, capnp::Error> {
        let mut message = TypedBuilder::new_default();
        let mut root: ui_view::new_request_session_params::Builder<'_> = message.init_root();
        root.set_request_info(descriptors)?;
        Ok(Kind::Request(message))
    }

    /// Keeps an offer.
    pub fn offer(
        offer: Client,
        descriptor: powerbox_descriptor::Reader<'_>,
    ) -> Result<Kind, capnp::Error> {
        let mut message = TypedBuilder::new_default();
        message.set_root(descriptor)?;
        Ok(Kind::Offer { offer, descriptor: message })
    }
}

/// The table of sessions.
#[derive(Default)]
pub struct Sessions {
    next: Cell<u64>,
    entries: RefCell<HashMap<String, Rc<Entry>>>,
}

impl Sessions {
    /// Reserves the next number. Numbers start at 0 and are never used again in one run
    /// (http-bridge §4.6).
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
    pub fn find(&self, id: &[u8]) -> Result<Rc<Entry>, capnp::Error> {
        let found = str::from_utf8(id).ok().and_then(|id| self.entries.borrow().get(id).cloned());
        found.ok_or_else(|| {
            capnp::Error::failed(format!("no session has the ID '{}'", id.escape_ascii()))
        })
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
