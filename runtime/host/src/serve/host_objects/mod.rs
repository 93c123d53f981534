//! The objects the host gives to the app, and what they share.

pub(super) mod api;
pub(super) mod awake;
pub(super) mod context;
pub(super) mod grants;
pub(super) mod identity;
mod mail;
mod persist;
mod publish;
pub(super) mod schedule;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;

use capnp::capability::Client;
use futures::future::LocalBoxFuture;
use sha2::{Digest, Sha256};
use spk_files::hex;
use spk_grains::store::capabilities::Object;
use spk_schema::grain_capnp::ui_view;
use spk_schema::identity_capnp::identity as identity_capnp;

use super::activity::Activity;
use super::notes::Notes;
use super::options::IdentityHook;
use super::powerbox::Powerbox;
use super::record_store::RecordStore;
use super::user::User;
use awake::Awake;
use identity::{IdentityCap, Picture};

/// Events of the app that are remembered for the shell.
const EVENTS: usize = 100;

/// Finds the objects of another grain, by its ID, and starts its app if needed.
pub(crate) type Elsewhere =
    Box<dyn Fn(&str) -> LocalBoxFuture<'static, Result<Rc<Objects>, String>>>;

/// What the objects of one grain share.
pub(crate) struct Objects {
    pub notes: Notes,
    pub records: RecordStore,
    pub powerbox: Powerbox,
    pub awake: Awake,
    /// Wakes the scheduler when a job was added.
    pub jobs_changed: tokio::sync::Notify,
    /// Activity events that the app posted: who, and what.
    pub events: RefCell<VecDeque<String>>,
    /// Where the app's mail goes; none: it is refused.
    pub mail: Option<PathBuf>,
    /// How many messages went there.
    mails: Cell<u64>,
    /// The objects for tests that the app may be given.
    pub granted: Vec<String>,
    /// The grain's ID.
    pub grain_id: String,
    identities: RefCell<Option<IdentityHook>>,
    /// Port of the front end, for the addresses of pictures.
    port: u16,
    /// The running app's main object.
    view: RefCell<Option<ui_view::Client>>,
    /// How to reach other grains, where there are any.
    elsewhere: RefCell<Option<Elsewhere>>,
    /// The objects that can be saved, so that they are known again when they come back.
    own: RefCell<Vec<(Object, Client)>>,
}

/// What [`Objects`] are made with.
pub(crate) struct Parts {
    pub notes: Notes,
    pub records: RecordStore,
    pub activity: Rc<Activity>,
    pub grain_id: String,
    pub identities: Option<IdentityHook>,
    pub port: u16,
    pub mail: Option<PathBuf>,
    pub granted: Vec<String>,
}

impl Objects {
    pub fn new(parts: Parts) -> Rc<Objects> {
        Rc::new(Objects {
            notes: parts.notes,
            records: parts.records,
            powerbox: Powerbox::default(),
            awake: Awake::new(parts.activity),
            jobs_changed: tokio::sync::Notify::new(),
            events: RefCell::default(),
            mail: parts.mail,
            mails: Cell::new(0),
            granted: parts.granted,
            grain_id: parts.grain_id,
            identities: RefCell::new(parts.identities),
            port: parts.port,
            view: RefCell::default(),
            elsewhere: RefCell::default(),
            own: RefCell::default(),
        })
    }

    /// From now on what other grains gave to this one can be reached.
    pub fn set_elsewhere(&self, elsewhere: Elsewhere) {
        *self.elsewhere.borrow_mut() = Some(elsewhere);
    }

    /// The app that runs now.
    pub fn set_view(&self, view: ui_view::Client) {
        *self.view.borrow_mut() = Some(view);
    }

    /// This app has ended; another may run already.
    pub fn forget_view(&self, ended: &ui_view::Client) {
        let mut view = self.view.borrow_mut();
        let address = |view: &ui_view::Client| view.client.hook.get_ptr();
        if view.as_ref().is_some_and(|known| address(known) == address(ended)) {
            *view = None;
        }
    }

    /// The 32 bytes by which the app knows a user; `None` for a visitor without account.
    pub fn identity_id(&self, user: &User) -> Option<[u8; 32]> {
        if user.is_anonymous() {
            return None;
        }
        let mut hook = self.identities.borrow_mut();
        let known = hook.as_mut().and_then(|hook| hook(user.key()));
        known.or_else(|| user.identity_id(&self.grain_id))
    }

    /// The capability for a user: the same one each time.
    pub fn identity(self: &Rc<Self>, user: &User) -> identity_capnp::Client {
        let object = Object::Identity(user.name().to_owned());
        let own = self.own_object(object, || {
            let cap: identity_capnp::Client = capnp_rpc::new_client(IdentityCap {
                user: user.clone(),
                picture: capnp_rpc::new_client(Picture(self.picture_path(user))),
            });
            cap.client
        });
        capnp::capability::FromClientHook::new(own.hook)
    }

    /// The object that was given out before, or a new one.
    fn own_object(&self, object: Object, make: impl FnOnce() -> Client) -> Client {
        let known = self.own.borrow().iter().find(|(known, _)| *known == object).cloned();
        if let Some((_, client)) = known {
            return client;
        }
        let client = make();
        self.own.borrow_mut().push((object, client.clone()));
        client
    }

    /// Takes note of what an object of another grain's is now; it was another one when that app
    /// ran before.
    fn note_foreign(&self, object: Object, client: &Client) {
        let mut own = self.own.borrow_mut();
        own.retain(|(known, _)| *known != object);
        own.push((object, client.clone()));
    }

    /// Which of ours an object is.
    fn known(&self, address: usize) -> Option<Object> {
        let own = self.own.borrow();
        let mut known = own.iter().filter(|(_, client)| client.hook.get_ptr() == address);
        known.next().map(|(object, _)| object.clone())
    }

    /// Host and path of a user's picture.
    fn picture_path(&self, user: &User) -> String {
        // The original's seed (http-bridge §7.8).
        let digest = Sha256::digest(format!("dev:{}", user.display_name()));
        let seed = hex::encode(&digest[..16]);
        format!("static.{}:{}/identicon/{seed}?s=256", super::hosts::PARENT, self.port)
    }

    /// The address of a user's picture.
    pub fn picture_url(&self, user: &User) -> Option<String> {
        (!user.is_anonymous()).then(|| format!("http://{}", self.picture_path(user)))
    }

    /// Remembers and tells what the app posted.
    fn posted(&self, who: &str, event: &str) {
        let line = format!("activity of {who}: {event}");
        self.notes.say(&line);
        let mut events = self.events.borrow_mut();
        if events.len() >= EVENTS {
            events.pop_front();
        }
        events.push_back(line);
    }

    /// The typed answer to what this host does not offer; the developer sees why.
    fn missing(&self, method: &str, reason: &str) -> capnp::Error {
        self.notes.once(&format!("the app called {method}: {reason}"));
        capnp::Error::unimplemented(format!("{method}: {reason}"))
    }

    /// A failure of a call of the app's that the developer should see, too.
    fn failed(&self, method: &str, reason: &str) -> capnp::Error {
        self.notes.once(&format!("the app called {method}, which failed: {reason}"));
        capnp::Error::failed(format!("{method}: {reason}"))
    }
}

/// Text of the app's as it is shown and kept; not UTF-8 becomes so.
fn text(reader: capnp::text::Reader<'_>) -> String {
    // Not more of it is decoded than can be kept.
    let bytes = reader.as_bytes();
    let most = bytes.len().min(4 * super::record_store::LABEL + 4);
    super::record_store::label(&String::from_utf8_lossy(&bytes[..most]))
}
