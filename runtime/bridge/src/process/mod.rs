//! The life of the program (http-bridge §2).

pub mod args;
mod child;
mod coalesce;
mod error;
mod exit;
mod inherited;
mod serve;

use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;

use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::bridge::{Bridge, Log};
use crate::config::Config;
use crate::{app_socket, identities, launch, limits, proxy};
use args::Options;
use child::Child;

pub use error::Error;
pub use exit::Exit;
pub use serve::{Host, serve_host};

/// The descriptor that leads to the host.
const HOST_FD: i32 = 3;

/// Runs the bridge until the app ends, the host goes away, or a signal asks for the end. The
/// last is success; an app never ends by itself while the grain runs, so its end is a failure
/// whatever its status (http-bridge §2.4).
pub fn run(options: &Options, log: Rc<Log>) -> Result<(), Error> {
    // Nothing may be opened before: descriptor 3 would be it.
    let host = inherited::take(HOST_FD).map_err(Error::Inherit)?;
    // All that can fail comes before the app is started.
    let config = Config::load(&options.config)?;
    let bridge = Rc::new(Bridge::new(options.port, config, options.var.clone(), log));
    let directory = launch::prepare(&options.launch, &options.var)?;
    identities::prepare(&bridge).map_err(Error::Identities)?;
    let api_socket = app_socket::bind(&options.api_socket)
        .map_err(|reason| Error::ApiSocket { path: options.api_socket.clone(), reason })?;
    let proxy = proxy::bind(options.proxy_port)
        .map_err(|reason| Error::ProxyPort { port: options.proxy_port, reason })?;
    let sockets = Sockets { host: UnixStream::from(host), api_socket, proxy };
    let runtime =
        runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    LocalSet::new().block_on(&runtime, life(options, directory, bridge, sockets))
}

/// What was opened before the app started.
struct Sockets {
    host: UnixStream,
    api_socket: UnixListener,
    proxy: TcpListener,
}

/// Lets the bridge open as many files as it may: each request has a connection of its own to the
/// app. After the app was started, which keeps the limit that programs with `select` need.
fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    // Failing leaves what was there.
    let _ = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
}

async fn life(
    options: &Options,
    directory: Option<PathBuf>,
    bridge: Rc<Bridge>,
    sockets: Sockets,
) -> Result<(), Error> {
    let mut signals = child::Signals::listen().map_err(Error::Runtime)?;
    let host = Host::from_std(sockets.host).map_err(Error::Runtime)?;
    let proxy_port = sockets.proxy.local_addr().map_err(Error::Runtime)?.port();
    let mut child = Child::start(options, directory.as_deref(), proxy_port)?;
    raise_open_files();
    let (app_ended, ending) = oneshot::channel::<()>();
    let mut served = pin!(serve_host(bridge.clone(), host, async {
        let _ = ending.await;
    }));
    let for_app = async {
        tokio::try_join!(
            app_socket::serve(bridge.clone(), sockets.api_socket),
            proxy::serve(bridge.clone(), sockets.proxy),
        )
    };
    let started = async {
        if bridge.config.save_identity_caps {
            identities::empty_trash(&bridge).await;
        }
        bridge.watch_for_app(limits::CONNECT_WARN_AFTER).await;
    };
    let background = async {
        let (served, ()) = tokio::join!(for_app, started);
        served.map_err(Error::Runtime)
    };
    tokio::select! {
        ended = child.wait(&mut signals) => return match ended {
            child::End::ByItself(exit) => {
                // What it sent before reaches the host.
                let last = async {
                    bridge.underway.none().await;
                    drop(app_ended);
                };
                let last = async { tokio::join!(served.as_mut(), last) };
                let _ = timeout(limits::LAST_ANSWERS, last).await;
                Err(Error::AppEnded(exit))
            }
            child::End::OnSignal => Ok(()),
        },
        () = served.as_mut() => {}
        // Both loops are for ever; what ends is why they could not begin.
        result = background => return result.map(|_: ((), ())| ()),
    }
    child.end(&mut signals).await;
    Err(Error::HostGone)
}
