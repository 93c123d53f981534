//! What all parts of the bridge share.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use spk_schema::grain_capnp::sandstorm_api;
use spk_schema::sandstorm_http_bridge_capnp::app_hooks;
use spk_schema::sandstorm_http_bridge_internal_capnp::bridge_object_id;
use spk_schema::web_session_capnp::web_session;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::config::Config;
use crate::limits;
use crate::membrane::Membrane;
use crate::sessions::Sessions;
use crate::underway::Underway;

/// Where the grain's data is.
pub const VAR: &str = "/var";

/// The host's API for this grain.
pub type Api = sandstorm_api::Client<bridge_object_id::Owned>;

/// What the app provides instead of the configuration.
pub type Hooks = app_hooks::Client<capnp::any_pointer::Owned>;

/// Takes what a person should read in the grain's log.
pub type Log = dyn Fn(&str);

/// One bridge, in front of one app.
pub struct Bridge {
    /// The app's port on 127.0.0.1.
    pub port: u16,
    /// The package's configuration.
    pub config: Config,
    /// The grain's data: [`VAR`].
    pub var: PathBuf,
    /// Where messages for people go.
    pub log: Rc<Log>,
    /// What of the app's answers the host does not have yet.
    pub underway: Underway,
    /// The sessions that are alive.
    pub sessions: Rc<Sessions>,
    /// What stands between the app's own objects and the world.
    pub membrane: Rc<Membrane>,
    /// User IDs whose identity was looked after in this run.
    pub(crate) identities_seen: RefCell<HashSet<String>>,
    /// Capabilities the proxy has restored, by token.
    pub(crate) restored: RefCell<HashMap<Vec<u8>, web_session::Client>>,
    listens: watch::Sender<bool>,
    hooks: watch::Sender<Option<Hooks>>,
    api: OnceCell<Api>,
}

impl Bridge {
    /// A bridge whose app was not seen yet.
    pub fn new(port: u16, config: Config, var: PathBuf, log: Rc<Log>) -> Bridge {
        Bridge {
            port,
            config,
            var,
            log,
            underway: Underway::default(),
            sessions: Rc::default(),
            membrane: Rc::default(),
            identities_seen: RefCell::default(),
            restored: RefCell::default(),
            listens: watch::Sender::new(false),
            hooks: watch::Sender::new(None),
            api: OnceCell::new(),
        }
    }

    /// Keeps the host's bootstrap capability. The first one counts.
    pub fn set_api(&self, api: Api) {
        let _ = self.api.set(api);
    }

    /// The host's API, or why there is none.
    pub fn api(&self) -> Result<Api, capnp::Error> {
        let api = self.api.get().cloned();
        api.ok_or_else(|| capnp::Error::disconnected("no host is connected".into()))
    }

    /// Keeps the hooks of the first peer on the app's socket.
    pub fn set_hooks(&self, hooks: Hooks) {
        self.hooks.send_replace(Some(hooks));
    }

    /// The app's hooks, once it has connected; `None` if the package has none.
    pub async fn hooks(&self) -> Option<Hooks> {
        if !self.config.expect_app_hooks {
            return None;
        }
        let mut receiver = self.hooks.subscribe();
        // Fails only if the sender is gone, which `self` owns.
        receiver.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Whether the app has accepted a connection.
    pub fn app_listens(&self) -> bool {
        *self.listens.borrow()
    }

    /// Waits until the app has accepted a connection.
    pub async fn wait_for_app(&self) {
        // Fails only if the sender is gone, which `self` owns.
        let _ = self.listens.subscribe().wait_for(|listens| *listens).await;
    }

    /// Tries to connect until the app accepts, for ever (http-bridge §2.3). Apps see one connection
    /// that is closed at once. One that does not listen within `patience` is told of in the log,
    /// once.
    pub async fn watch_for_app(&self, patience: Duration) {
        let port = self.port;
        let start = Instant::now();
        let mut warned = false;
        while TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).await.is_err() {
            if !warned && start.elapsed() >= patience {
                warned = true;
                (self.log)(&format!(
                    "the app does not listen on 127.0.0.1:{port} after {} seconds; still waiting",
                    patience.as_secs()
                ));
            }
            sleep(limits::CONNECT_RETRY).await;
        }
        if warned {
            (self.log)(&format!("the app listens on 127.0.0.1:{port} now"));
        }
        self.listens.send_replace(true);
    }
}
