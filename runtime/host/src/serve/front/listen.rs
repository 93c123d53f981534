//! Listening on loopback, and one task per connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use spk_web_session::Flushes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::Front;
use super::client_limits::{HEAD_LIMIT, READ_LIMIT};
use super::paced::{Paced, Written};
use super::peers::Peers;
use super::slots::{Slot, Slots};
use super::write_timeout::WriteTimeout;
use crate::serve::error::Error;

/// Bytes that the kernel keeps for one connection in each direction. Left to itself it keeps up to
/// ten MiB for a client that stalls; on loopback this is enough for full speed.
const SOCKET_BUFFER: u32 = 256 * 1024;

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
    // Connections inherit them.
    socket.set_send_buffer_size(SOCKET_BUFFER).map_err(fail)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER).map_err(fail)?;
    socket.bind(SocketAddr::new(address, port)).map_err(fail)?;
    const BACKLOG: u32 = 1024;
    socket.listen(BACKLOG).map_err(fail)
}

/// Accepts connections for ever.
pub(crate) async fn serve(front: Rc<Front>, sockets: Sockets) -> Result<(), Error> {
    let owner = rustix::process::geteuid().as_raw();
    let slots = Rc::new(Slots::new(front.clients.limits.connections, owner));
    let peers = Rc::new(Peers::new(sockets.port));
    let accepts = sockets.listeners.into_iter().map(|listener| {
        let (front, slots, peers) = (front.clone(), slots.clone(), peers.clone());
        async move {
            loop {
                let Ok((stream, client)) = listener.accept().await else {
                    // Out of descriptors, most likely: others must end first.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let Some(place) = slots.place().await else { return };
                if slots.is_roomy() {
                    let slot = Slots::unasked(place);
                    front.clients.serve(accepted(front.clone(), stream, slot));
                    continue;
                }
                let (slots, peers, own) = (slots.clone(), peers.clone(), front.clone());
                front.clients.serve(async move {
                    let peer = peers.peer(client).await;
                    // Whoever has what they may is hung up on.
                    if let Some(slot) = slots.admit(peer, place) {
                        accepted(own, stream, slot).await;
                    }
                });
            }
        }
    });
    futures::future::join_all(accepts).await;
    Ok(())
}

async fn accepted(front: Rc<Front>, stream: TcpStream, slot: Slot) {
    let _ = stream.set_nodelay(true);
    connection(front, stream, slot).await;
}

/// Answers the requests of a connection, one after the other.
async fn connection<S>(front: Rc<Front>, stream: S, slot: Slot)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut closing = front.clients.closing();
    let limits = front.clients.limits.clone();
    // Nobody else's browser has cookies of ours.
    let read = if slot.is_of_another() { HEAD_LIMIT } else { READ_LIMIT };
    let written = Written::default();
    let flushes = Flushes::default();
    let io = WriteTimeout::new(flushes.of(stream), limits.write, written.clone());
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        let (front, written, flushes) = (front.clone(), written.clone(), flushes.clone());
        request.extensions_mut().insert(slot.clone());
        async move {
            let answer = super::route::answer(&front, request).await;
            answer.map(|response| response.map(|body| flushes.late(Paced::new(body, &written))))
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(read)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(io), service)
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

/// Answers a client that comes from elsewhere than the port.
pub(crate) async fn serve_one<S>(front: Rc<Front>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let slots = Slots::new(1, rustix::process::geteuid().as_raw());
    if let Some(place) = slots.place().await {
        connection(front, stream, Slots::unasked(place)).await;
    }
}
