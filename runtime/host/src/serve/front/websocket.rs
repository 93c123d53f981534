//! WebSockets: a handshake of our own with the browser, then bytes in both directions, unparsed
//! (http-bridge §6).

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use spk_schema::web_session_capnp::web_session::{self, web_socket_stream};
use spk_web_session::{Described, Refusal, check_head, values};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::body::Outgoing;
use super::slots::Slot;
use crate::serve::activity::Busy;

/// Bytes read from the browser at a time; each piece is one call.
const PIECE: usize = 16 * 1024;

/// Bytes from the app that may wait for a slow browser before `sendBytes` waits. The rest of a large
/// message stays where it is counted (`limits::HELD_BYTES`).
const WAITING: usize = 64 * 1024;

/// Once the app has closed its side, the browser gets this long to close its own.
const LINGER: Duration = Duration::from_secs(10);

/// Whether a request asks for a WebSocket: exactly this test (http-bridge §4.1).
pub(crate) fn is_asked_for(method: &http::Method, headers: &HeaderMap) -> bool {
    method == http::Method::GET
        && headers
            .get(header::UPGRADE)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// The browser's key, once its handshake is found well-formed (K09).
pub(crate) fn key(headers: &HeaderMap) -> Result<Vec<u8>, Refusal> {
    let version = headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes);
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    match (version, key) {
        (Some(b"13"), Some(key)) if !key.is_empty() => Ok(key.to_vec()),
        _ => {
            let text = "a WebSocket needs Sec-WebSocket-Version: 13 and a Sec-WebSocket-Key";
            Err(Refusal { status: StatusCode::BAD_REQUEST, text })
        }
    }
}

/// The protocols that the browser offers.
fn protocols(headers: &HeaderMap) -> Vec<Vec<u8>> {
    values::joined(headers, &header::SEC_WEBSOCKET_PROTOCOL)
        .map(|list| values::comma_list(&list))
        .unwrap_or_default()
}

/// `Sec-WebSocket-Accept` (RFC 6455, 4.2.2).
fn accept(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    base64::engine::general_purpose::STANDARD.encode(hash.finalize())
}

/// The app's end of the direction to the browser.
struct ToBrowser {
    pieces: mpsc::UnboundedSender<Piece>,
    /// Permits for [`WAITING`] bytes.
    room: Arc<Semaphore>,
}

/// Bytes on their way to the browser, and the room they take.
struct Piece {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl web_socket_stream::Server for ToBrowser {
    async fn send_bytes(
        self: Rc<Self>,
        params: web_socket_stream::SendBytesParams,
    ) -> Result<(), capnp::Error> {
        let gone = || capnp::Error::disconnected("the browser is gone".into());
        // Streaming calls on one object are delivered one at a time, so the order holds.
        for piece in params.get()?.get_message()?.chunks(WAITING) {
            let needed = piece.len() as u32;
            let room = self.room.clone().acquire_many_owned(needed).await.map_err(|_| gone())?;
            let bytes = Bytes::copy_from_slice(piece);
            self.pieces.send(Piece { bytes, _room: room }).map_err(|_| gone())?;
        }
        Ok(())
    }
}

/// Opens the app's side; the answer's head is the browser's 101. `held` is kept until it ends.
pub(crate) async fn open(
    web: &web_session::Client,
    path: &str,
    headers: &HeaderMap,
    described: &Described,
    key: &[u8],
    upgrade: OnUpgrade,
    held: (Busy, Option<Slot>),
) -> Result<Response<Outgoing>, capnp::Error> {
    let (sender, pieces) = mpsc::unbounded_channel();
    let to_browser = ToBrowser { pieces: sender, room: Arc::new(Semaphore::new(WAITING)) };
    let mut request = web.open_web_socket_request();
    request.get().set_path(path);
    described.fill(request.get().init_context(), None);
    let wanted = protocols(headers);
    let mut list = request.get().init_protocol(wanted.len() as u32);
    for (index, protocol) in wanted.iter().enumerate() {
        list.set(index as u32, capnp::text::Reader(protocol));
    }
    request.get().set_client_stream(capnp_rpc::new_client(to_browser));
    let response = request.send().promise.await?;
    let results = response.get()?;
    let to_app = results.get_server_stream()?;
    let mut chosen: Vec<Vec<u8>> = Vec::new();
    for protocol in results.get_protocol()? {
        chosen.push(protocol?.as_bytes().to_vec());
    }
    let mut answer = Response::new(Outgoing::full(Bytes::new()));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let head = answer.headers_mut();
    head.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    head.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(value) = HeaderValue::from_str(&accept(key)) {
        head.insert(header::SEC_WEBSOCKET_ACCEPT, value);
    }
    if !chosen.is_empty()
        && let Ok(value) = HeaderValue::from_bytes(&chosen.join(b", ".as_slice()))
    {
        head.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
    head.insert(
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("interest-cohort=()"),
    );
    check_head(answer.headers())?;
    tokio::task::spawn_local(async move {
        if let Ok(upgraded) = upgrade.await {
            carry(upgraded, to_app, pieces).await;
        }
        drop(held);
    });
    Ok(answer)
}

/// Carries bytes until one side ends (http-bridge §6.3).
async fn carry(
    upgraded: Upgraded,
    to_app: web_socket_stream::Client,
    pieces: mpsc::UnboundedReceiver<Piece>,
) {
    let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
    let mut from_browser = std::pin::pin!(from_browser(reader, to_app));
    let mut from_app = std::pin::pin!(from_app(pieces, writer));
    tokio::select! {
        // The browser closed, or half-closed: the app's connection closes in both directions,
        // and what the app still sends has nobody to read it.
        () = &mut from_browser => {}
        () = &mut from_app => {
            let _ = tokio::time::timeout(LINGER, from_browser).await;
        }
    }
}

/// Ends when the browser ends; dropping `to_app` tells the app.
async fn from_browser(mut reader: ReadHalf<TokioIo<Upgraded>>, to_app: web_socket_stream::Client) {
    let mut buffer = vec![0; PIECE];
    loop {
        let count = match reader.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        let mut request = to_app.send_bytes_request();
        request.get().set_message(&buffer[..count]);
        if request.send().await.is_err() {
            return;
        }
    }
}

/// Ends when the app has closed its side and everything was written, or the browser takes no more.
async fn from_app(
    mut pieces: mpsc::UnboundedReceiver<Piece>,
    mut writer: WriteHalf<TokioIo<Upgraded>>,
) {
    while let Some(piece) = pieces.recv().await {
        if writer.write_all(&piece.bytes).await.is_err() {
            return;
        }
        if pieces.is_empty() && writer.flush().await.is_err() {
            return;
        }
    }
    let _ = writer.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k01_the_accept_value_of_the_rfc_s_example() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
