//! The local shell: a page in the browser where a packager does what users of a Sandstorm server
//! do, with several grains behind one front end. `docs/shell.md` is its manual, `docs/architecture.md`
//! says how it hangs together.
//!
//! It answers on the shell's own origin ([`crate::serve`] checks host names and the form of
//! requests): its page and scripts are files of this crate ([`assets`]), everything else is JSON
//! ([`router`] lists it all), for the page alone ([`guard`]).

mod actions;
mod assets;
pub mod developer;
mod events;
mod guard;
mod listing;
mod log;
mod packages;
mod powerbox;
mod problem;
mod router;
mod sessions;
mod sign_in;
mod stream;
mod supervisor;
mod transfer;
mod usage;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use futures::future::LocalBoxFuture;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use spk_grains::store::control::Listener;
use spk_grains::store::{self, GrainId, Package, Store};
use tokio::sync::{broadcast, watch};

use crate::serve::front::Front;
use crate::serve::front::body::Outgoing;
use crate::serve::grain::Grain;
use crate::serve::site::ShellSite;
use crate::serve::{self, Event, Policy, SiteMaker};

pub use supervisor::program;

use developer::Developer;
use events::Feed;
use problem::Problem;
use supervisor::Open;

/// What the shell is made from.
pub struct Options {
    /// Packages and grains.
    pub store: Arc<Store>,
    /// The grain that the front end is started for.
    pub grain: store::Grain,
    /// The package it runs with; none in `spk dev`.
    pub package: Option<Package>,
    /// What a development session knows about itself.
    pub developer: Option<Arc<dyn Developer>>,
}

/// Lets the front end of `options` have the shell on its own origin. The grain is locked until the
/// front end closes; its identities are kept with it, and other processes reach it through its
/// control socket.
///
/// # Errors
/// When the control socket cannot be made.
pub fn attach(options: &mut serve::Options, shell: Options) -> Result<(), store::Error> {
    let policy = options.policy.clone();
    options.grain.control = Some(Listener::bind(&shell.grain)?);
    options.grain.capabilities = Some(shell.grain.capabilities()?);
    let grain = Rc::new(RefCell::new(shell.grain));
    options.grain.identities = Some(supervisor::identities(&grain));
    let (store, package, developer) = (shell.store, shell.package, shell.developer);
    options.site = Some(SiteMaker(Box::new(move |front, served| {
        Shell::new(front, store, policy, developer, served.clone(), grain, package)
    })));
    Ok(())
}

/// Lines of the event stream that a slow page may be behind; more, and it asks for everything
/// again.
const EVENTS: usize = 1024;

/// The shell of one front end.
pub(crate) struct Shell {
    front: Weak<Front>,
    store: Arc<Store>,
    /// How grains are run that are opened from the page: as the first one.
    policy: Policy,
    developer: Option<Arc<dyn Developer>>,
    /// The grain that the front end was started for.
    primary: GrainId,
    open: RefCell<HashMap<GrainId, Rc<Open>>>,
    /// Held while a grain is being opened or closed: one at a time.
    opening: tokio::sync::Mutex<()>,
    /// By which action of the package a new grain is started, until it is.
    new_by: RefCell<HashMap<GrainId, usize>>,
    deleted: RefCell<HashMap<GrainId, store::Grain>>,
    downloads: RefCell<transfer::Downloads>,
    shares: RefCell<HashMap<String, sessions::Share>>,
    packages: Arc<packages::Cache>,
    sizes: Arc<listing::Sizes>,
    events: broadcast::Sender<Arc<str>>,
    ending: watch::Sender<bool>,
}

impl Shell {
    fn new(
        front: &Rc<Front>,
        store: Arc<Store>,
        policy: Policy,
        developer: Option<Arc<dyn Developer>>,
        served: Rc<Grain>,
        grain: Rc<RefCell<store::Grain>>,
        package: Option<Package>,
    ) -> Rc<Shell> {
        let primary = grain.borrow().id().clone();
        let (events, _) = broadcast::channel(EVENTS);
        let feed = Feed::new(primary.clone(), events.clone());
        let open =
            Open { grain: served.clone(), feed, held: grain, _package: package, tasks: Vec::new() };
        let shell = Rc::new(Shell {
            front: Rc::downgrade(front),
            store,
            policy,
            developer,
            open: RefCell::new(HashMap::from([(primary.clone(), Rc::new(open))])),
            primary,
            opening: tokio::sync::Mutex::default(),
            new_by: RefCell::default(),
            deleted: RefCell::default(),
            downloads: RefCell::default(),
            shares: RefCell::default(),
            packages: Arc::default(),
            sizes: Arc::default(),
            events,
            ending: watch::channel(false).0,
        });
        served.objects.set_elsewhere(supervisor::elsewhere(&shell));
        shell
    }

    /// The front end; it lives as long as there are requests.
    fn front(&self) -> Result<Rc<Front>, Problem> {
        let gone = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "spk is ending");
        self.front.upgrade().ok_or_else(gone)
    }

    /// Tells the pages that something about packages and grains is not as it was.
    fn changed(&self) {
        self.tell(&serde_json::json!({ "type": "changed" }));
    }

    fn tell(&self, event: &serde_json::Value) {
        // Without a page there is nobody to tell.
        let _ = self.events.send(event.to_string().into());
    }

    /// Whether this grain is being developed: it runs from the developer's files, and ends with
    /// the session.
    fn is_developed(&self, id: &GrainId) -> bool {
        self.developer.is_some() && *id == self.primary
    }
}

/// Work with files goes to another thread: the one we are on serves every app.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "spk is ending");
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

impl ShellSite for Shell {
    fn answer(
        self: Rc<Self>,
        request: Request<Incoming>,
    ) -> LocalBoxFuture<'static, Response<Outgoing>> {
        Box::pin(router::answer(self, request))
    }

    fn url(&self) -> String {
        // Nobody asks when the front end is gone.
        self.front.upgrade().map(|front| sign_in::address(&front)).unwrap_or_default()
    }

    fn event(&self, event: &Event) {
        let open = self.open.borrow().get(&self.primary).cloned();
        if let Some(open) = open {
            open.feed.event(event);
        }
    }

    fn close(self: Rc<Self>) -> LocalBoxFuture<'static, ()> {
        Box::pin(async move {
            if let Some(developer) = self.developer.clone() {
                let summary = blocking(move || Ok(developer.summary())).await;
                let lines = summary.unwrap_or_default();
                self.tell(&serde_json::json!({ "type": "ended", "summary": lines }));
            } else {
                self.tell(&serde_json::json!({ "type": "ended", "summary": [] }));
            }
            self.finish_deletions().await;
            let others: Vec<GrainId> = self.open.borrow().keys().cloned().collect();
            for id in others.into_iter().filter(|id| *id != self.primary) {
                self.close_grain(&id).await;
            }
            self.ending.send_replace(true);
        })
    }
}
