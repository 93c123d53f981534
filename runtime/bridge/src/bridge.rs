//! What all parts of the bridge share.

use std::cell::OnceCell;
use std::rc::Rc;

use spk_schema::grain_capnp::sandstorm_api;
use spk_schema::sandstorm_http_bridge_internal_capnp::bridge_object_id;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::config::Config;
use crate::limits;
use crate::sessions::Sessions;

/// One bridge, in front of one app.
pub struct Bridge {
    /// The app's port on 127.0.0.1.
    pub port: u16,
    /// The package's configuration.
    pub config: Config,
    /// The sessions that are alive.
    pub sessions: Rc<Sessions>,
    listens: watch::Sender<bool>,
    api: OnceCell<Api>,
}

/// The host's API for this grain.
pub type Api = sandstorm_api::Client<bridge_object_id::Owned>;

/// Something a person should read in the grain's log.
pub type Log = dyn Fn(&str);

impl Bridge {
    /// A bridge whose app was not seen yet.
    pub fn new(port: u16, config: Config) -> Bridge {
        Bridge {
            port,
            config,
            sessions: Rc::default(),
            listens: watch::Sender::new(false),
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

    /// Whether the app has accepted a connection.
    pub fn app_listens(&self) -> bool {
        *self.listens.borrow()
    }

    /// Waits until the app has accepted a connection.
    pub async fn wait_for_app(&self) {
        // Fails only if the sender is gone, which `self` owns.
        let _ = self.listens.subscribe().wait_for(|listens| *listens).await;
    }

    /// Tries to connect until the app accepts, for ever (http-bridge 2.3). Apps see one connection
    /// that is closed at once.
    pub async fn watch_for_app(&self, log: &Log) {
        let port = self.port;
        let start = Instant::now();
        let mut warned = false;
        while TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).await.is_err() {
            if !warned && start.elapsed() >= limits::CONNECT_WARN_AFTER {
                warned = true;
                log(&format!(
                    "the app does not listen on 127.0.0.1:{port} after {} seconds; still waiting",
                    limits::CONNECT_WARN_AFTER.as_secs()
                ));
            }
            sleep(limits::CONNECT_RETRY).await;
        }
        if warned {
            log(&format!("the app listens on 127.0.0.1:{port} now"));
        }
        self.listens.send_replace(true);
    }
}
