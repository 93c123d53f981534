//! The container's own addresses lead to the front end, which listens on loopback only.
//!
//! What comes in that way is trusted no more than what comes over loopback: the front end knows
//! people by the secret in the URL, and not by where they call from.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use tokio::net::{TcpListener, TcpStream};

use crate::error::{Result, ResultExt};
use crate::ui::Ui;

/// After an error of `accept`, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// Relays, on a thread of its own for as long as this process lives.
pub fn start(port: u16, ui: &Ui) -> Result<()> {
    let addresses = addresses()?;
    if addresses.is_empty() {
        ui.note("this container has no address: it is served on its loopback only");
        return Ok(());
    }
    let mut listeners = Vec::new();
    for address in addresses {
        let address = SocketAddr::new(address.ip(), port);
        let listener =
            std::net::TcpListener::bind(address).context(format!("cannot listen on {address}"))?;
        listener.set_nonblocking(true)?;
        listeners.push(listener);
    }
    std::thread::Builder::new().name("relay".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            let tasks = tokio::task::LocalSet::new();
            tasks.block_on(&runtime, relay(listeners, port));
        }
    })?;
    Ok(())
}

/// Addresses others reach this container at.
fn addresses() -> Result<Vec<SocketAddr>> {
    let all = getifaddrs().context("cannot list this container's addresses")?;
    Ok(all
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|found| SocketAddr::from((found.ip(), 0)));
            let v6 = address.as_sockaddr_in6().map(|found| SocketAddr::from((found.ip(), 0)));
            v4.or(v6).filter(|found| !found.ip().is_loopback() && !is_link_local(found))
        })
        .collect())
}

/// Link-local addresses of IPv6 need more than a number, and nobody publishes them.
fn is_link_local(address: &SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local())
}

async fn relay(listeners: Vec<std::net::TcpListener>, port: u16) {
    let mut tasks = Vec::new();
    for listener in listeners {
        let Ok(listener) = TcpListener::from_std(listener) else { continue };
        tasks.push(tokio::task::spawn_local(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        tokio::task::spawn_local(both_ways(stream, port));
                    }
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        }));
    }
    for task in tasks {
        let _ = task.await;
    }
}

/// Whatever ends it, both sides see the end of their connection.
async fn both_ways(mut outer: TcpStream, port: u16) {
    let Ok(mut inner) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    let _ = (outer.set_nodelay(true), inner.set_nodelay(true));
    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
}
