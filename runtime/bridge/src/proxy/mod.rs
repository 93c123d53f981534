//! The HTTP proxy for the app's outgoing requests, on 127.0.0.1 (http-bridge §8.4): requests go to
//! capabilities, which stand in an `Authorization: Bearer` header; the host of the URL does not
//! matter.

mod claim;
mod forward;
mod reply;

use std::io;
use std::net::{Ipv4Addr, TcpListener as StdTcpListener};
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use capnp::{Error, ErrorKind};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use spk_schema::web_session_capnp::web_session;
use spk_web_session::{CutLate, Failure, Flushes, status_of};
use tokio::net::TcpListener;

use crate::bridge::Bridge;
use crate::limits;
use forward::Unmetered;
use reply::plain;

/// A response's body.
type Body = spk_web_session::Body<Unmetered>;

/// The port apps are told in `http_proxy`.
pub const PORT: u16 = 15239;

/// The host of the bridge's own resources.
const OWN_HOST: &str = "http-bridge";

/// Binds the proxy's port.
pub fn bind(port: u16) -> io::Result<StdTcpListener> {
    let listener = StdTcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves all connections, for ever. To be called inside a `LocalSet`.
pub async fn serve(bridge: Rc<Bridge>, listener: StdTcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Out of descriptors, for example: apps try again, and so does this loop.
            Err(error) => {
                (bridge.log)(&format!("accepting a connection to the proxy failed: {error}"));
                tokio::time::sleep(limits::ACCEPT_RETRY).await;
                continue;
            }
        };
        let bridge = bridge.clone();
        tokio::task::spawn_local(async move {
            let flushes = Flushes::default();
            let io = TokioIo::new(flushes.of(stream));
            let service = service_fn(move |request| {
                let (bridge, flushes) = (bridge.clone(), flushes.clone());
                async move { late(answer(&bridge, request).await, &flushes) }
            });
            // A broken connection is the app's own affair.
            let _ =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(io, service).await;
        });
    }
}

/// The app stopped sending in the middle of its request.
#[derive(Debug, thiserror::Error)]
#[error("the request broke off")]
struct BrokeOff;

/// The app gets all that came of a response that breaks off.
fn late(
    answer: Result<Response<Body>, BrokeOff>,
    flushes: &Flushes,
) -> Result<Response<CutLate<Body>>, BrokeOff> {
    answer.map(|response| response.map(|body| flushes.late(body)))
}

async fn answer(
    bridge: &Rc<Bridge>,
    request: Request<Incoming>,
) -> Result<Response<Body>, BrokeOff> {
    if request.method() == Method::CONNECT {
        return Ok(plain(StatusCode::NOT_IMPLEMENTED, "the proxy does not open tunnels"));
    }
    if request.uri().host() == Some(OWN_HOST) {
        return Ok(claim::answer(bridge, request).await);
    }
    let Some(token) = bearer(request.headers()) else {
        let text = "requests need a capability in an Authorization header";
        return Ok(plain(StatusCode::NOT_FOUND, text));
    };
    let session = match restore(bridge, &token).await {
        Ok(session) => session,
        Err(error) => return Ok(failure(&error)),
    };
    match forward::forward(&session, request).await {
        Ok(response) => Ok(response),
        Err(Failure::Refused(refusal)) => Ok(plain(refusal.status, refusal.text)),
        Err(Failure::ClientGone) => Err(BrokeOff),
        Err(Failure::Rpc(error)) => {
            if error.kind == ErrorKind::Disconnected {
                // Restored again next time.
                bridge.restored.borrow_mut().remove(&token);
            }
            Ok(failure(&error))
        }
    }
}

/// The token in `Authorization: Bearer`, whose scheme may have any letter case.
fn bearer(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    STANDARD.decode(token.trim_ascii()).ok()
}

/// The capability for a token, restored once per run.
async fn restore(bridge: &Bridge, token: &[u8]) -> Result<web_session::Client, Error> {
    let known = bridge.restored.borrow().get(token).cloned();
    if let Some(known) = known {
        return Ok(known);
    }
    let mut request = bridge.api()?.restore_request();
    request.get().set_token(token);
    let response = request.send().promise.await?;
    let session: web_session::Client = response.get()?.get_cap().get_as_capability()?;
    bridge.restored.borrow_mut().insert(token.to_vec(), session.clone());
    Ok(session)
}

/// What the app sees of a failed call (http-bridge §5.12).
fn failure(error: &Error) -> Response<Body> {
    let status = status_of(error).unwrap_or(StatusCode::BAD_GATEWAY);
    plain(status, &error.extra)
}
