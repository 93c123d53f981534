//! The life of the program (http-bridge 2).

pub mod args;
mod child;
mod inherited;
mod serve;

use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use tokio::runtime;
use tokio::task::LocalSet;

use crate::bridge::{Bridge, Log};
use crate::config::{self, Config};
use args::Options;
use child::{Child, Ended};

pub use serve::{Host, serve_host};

/// The descriptor that leads to the host.
const HOST_FD: i32 = 3;

/// Why the bridge cannot start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Descriptor 3 cannot be taken over.
    #[error("descriptor 3 is not a socket to a host: {0}")]
    Inherit(#[source] io::Error),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The async runtime or its signal handlers cannot be set up.
    #[error("setting up the event loop failed: {0}")]
    Runtime(#[source] io::Error),
    /// The app's command cannot be executed.
    #[error("executing '{command}' failed: {source}")]
    Exec {
        /// The command.
        command: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The app ended by itself.
    #[error("the app {0}")]
    AppEnded(Ended),
    /// The host closed its connection.
    #[error("the host closed its connection; the app was ended")]
    HostGone,
}

/// Runs the bridge until the app ends, the host goes away, or a signal asks for the end. The
/// last is success; an app never ends by itself while the grain runs, so its end is a failure
/// whatever its status (http-bridge 2.4).
pub fn run(options: &Options, log: &Log) -> Result<(), Error> {
    // Nothing may be opened before: descriptor 3 would be it.
    let host = inherited::take(HOST_FD).map_err(Error::Inherit)?;
    // All that can fail comes before the app is started.
    let config = Config::load(&options.config)?;
    let runtime =
        runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    LocalSet::new().block_on(&runtime, life(options, config, UnixStream::from(host), log))
}

async fn life(options: &Options, config: Config, host: UnixStream, log: &Log) -> Result<(), Error> {
    let mut signals = child::Signals::listen().map_err(Error::Runtime)?;
    let host = Host::from_std(host).map_err(Error::Runtime)?;
    let bridge = Rc::new(Bridge::new(options.port, config));
    let mut child = Child::start(options)?;
    let served = serve_host(bridge.clone(), host);
    let watched = async {
        bridge.watch_for_app(log).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = child.wait(&mut signals) => match ended {
            child::End::ByItself(ended) => Err(Error::AppEnded(ended)),
            child::End::OnSignal => Ok(()),
        },
        () = served => {
            child.end(&mut signals).await;
            Err(Error::HostGone)
        }
        () = watched => Ok(()),
    }
}
