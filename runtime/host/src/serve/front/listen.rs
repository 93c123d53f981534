//! Listening on loopback, and one task per connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::Front;
use super::io::Patient;
use crate::serve::error::Error;

/// Largest request head (the original's, http-bridge specification, 7.2); more is a 431.
pub(super) const HEAD_LIMIT: usize = 128 * 1024;

/// A request's head must be complete within this time of the connection being ready for it; an
/// idle connection is closed then.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Connections served at a time: enough for any browser and test, few enough to stay far from the
/// usual limit of 1024 descriptors.
const CONNECTIONS: usize = 512;

/// The listening sockets.
pub(crate) struct Sockets {
    pub port: u16,
    listeners: Vec<TcpListener>,
}

/// Ports tried for a free one that is free on both addresses.
const ATTEMPTS: usize = 20;

/// Listens on the loopback addresses. Both: a client may try either first, and nobody else should
/// be able to answer on the other one.
pub(crate) async fn listen(port: u16) -> Result<Sockets, Error> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let v4 = bind(IpAddr::V4(Ipv4Addr::LOCALHOST), port)?;
        let chosen = v4.local_addr().map_err(|source| Error::Listen {
            port,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            source,
        })?;
        match bind(IpAddr::V6(Ipv6Addr::LOCALHOST), chosen.port()) {
            Ok(v6) => return Ok(Sockets { port: chosen.port(), listeners: vec![v4, v6] }),
            Err(Error::PortTaken { .. }) if port == 0 && attempt < ATTEMPTS => {}
            Err(error @ Error::PortTaken { .. }) => return Err(error),
            // A machine without IPv6.
            Err(_) => return Ok(Sockets { port: chosen.port(), listeners: vec![v4] }),
        }
    }
}

fn bind(address: IpAddr, port: u16) -> Result<TcpListener, Error> {
    let fail = |source: std::io::Error| {
        if source.kind() == std::io::ErrorKind::AddrInUse {
            Error::PortTaken { port, address }
        } else {
            Error::Listen { port, address, source }
        }
    };
    let socket = match address {
        IpAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
        IpAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
    }
    .map_err(fail)?;
    // A port that was ours a moment ago may be ours again.
    socket.set_reuseaddr(true).map_err(fail)?;
    socket.bind(SocketAddr::new(address, port)).map_err(fail)?;
    const BACKLOG: u32 = 1024;
    socket.listen(BACKLOG).map_err(fail)
}

/// Accepts connections for ever.
pub(crate) async fn serve(front: Rc<Front>, sockets: Sockets) -> Result<(), Error> {
    let slots = Rc::new(tokio::sync::Semaphore::new(CONNECTIONS));
    let accepts = sockets.listeners.into_iter().map(|listener| {
        let (front, slots) = (front.clone(), slots.clone());
        async move {
            loop {
                // The semaphore is never closed.
                let Ok(slot) = slots.clone().acquire_many(1).await.map(|slot| slot.forget()) else {
                    return;
                };
                let () = slot;
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let (task_front, task_slots) = (front.clone(), slots.clone());
                        let mut connections = front.connections.borrow_mut();
                        while connections.try_join_next().is_some() {}
                        connections.spawn_local(async move {
                            let _slot = Slot(task_slots);
                            connection(task_front, stream).await;
                        });
                    }
                    Err(_) => {
                        slots.add_permits(1);
                        // Out of descriptors, most likely: others must end first.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        }
    });
    futures::future::join_all(accepts).await;
    Ok(())
}

/// Gives a connection's permit back.
struct Slot(Rc<tokio::sync::Semaphore>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

async fn connection(front: Rc<Front>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut closing = front.closing.subscribe();
    let service = service_fn(move |request| {
        let front = front.clone();
        async move { super::route::answer(&front, request).await }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_LIMIT)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(Patient::new(stream)), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        // A client's bad request was answered; a broken connection is not our failure.
        _ = serving.as_mut() => return,
        _ = closing.wait_for(|closing| *closing) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}
