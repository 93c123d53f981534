//! WebSockets as tunnels for raw bytes (http-bridge §6).

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use capnp::{Error, text};
use spk_files::random;
use spk_schema::web_session_capnp::web_session::{self, web_socket_stream};
use tokio::task::AbortHandle;

use super::Session;
use crate::fifo_lock::FifoLock;
use crate::http::connection::Connection;
use crate::http::exchange::receive_head;
use crate::http::trim;
use crate::http::write::HeadWriter;
use crate::limits;

/// The direction from the browser. Dropping it closes the connection, both directions.
struct ToApp {
    connection: Rc<Connection>,
    from_app: AbortHandle,
    order: FifoLock,
}

impl Drop for ToApp {
    fn drop(&mut self) {
        self.from_app.abort();
    }
}

impl web_socket_stream::Server for ToApp {
    fn send_bytes(
        self: Rc<Self>,
        params: web_socket_stream::SendBytesParams,
    ) -> impl Future<Output = Result<(), Error>> + 'static {
        let turn = self.order.queue();
        async move {
            let _turn = turn.wait().await;
            Ok(self.connection.send(params.get()?.get_message()?).await?)
        }
    }
}

/// Sends what the app sends, waiting for each piece: a browser that does not read slows the app.
async fn forward(
    connection: Rc<Connection>,
    mut piece: Vec<u8>,
    browser: web_socket_stream::Client,
) -> Result<(), Error> {
    loop {
        if !piece.is_empty() {
            let mut request = browser.send_bytes_request();
            request.get().set_message(&piece);
            request.send().await?;
        }
        piece.clear();
        piece.reserve(limits::WEBSOCKET_PIECE);
        if connection.receive(&mut piece).await? == 0 {
            return Ok(());
        }
    }
}

/// Lets the app upgrade, then returns both ends of the tunnel.
pub(super) async fn open(
    session: Rc<Session>,
    params: web_session::OpenWebSocketParams,
    mut results: web_session::OpenWebSocketResults,
) -> Result<(), Error> {
    let (request, browser) = {
        let params = params.get()?;
        let path = params.get_path()?.as_bytes();
        session.confine(path)?;
        let mut head = HeadWriter::request("GET", &session.fixed.root, path)?;
        head.finished_lines(b"Upgrade: websocket\r\nConnection: Upgrade\r\n");
        head.line("Sec-WebSocket-Key", key()?.as_bytes())?;
        let mut protocols = Vec::new();
        for protocol in params.get_protocol()? {
            if !protocols.is_empty() {
                protocols.extend_from_slice(b", ");
            }
            protocols.extend_from_slice(protocol?.as_bytes());
        }
        if !protocols.is_empty() {
            head.line("Sec-WebSocket-Protocol", &protocols)?;
        }
        head.finished_lines(b"Sec-WebSocket-Version: 13\r\n");
        head.finished_lines(session.fixed.lines()?);
        head.context(params.get_context()?)?;
        (head.finish(), params.get_client_stream()?)
    };
    drop(params);
    let connection = Rc::new(Connection::open(session.port).await?);
    connection.send_at_once();
    connection.send(&request).await?;
    let (head, first) = receive_head(&connection).await?;
    if head.status != 101 || head.first("upgrade").is_none() {
        return Err(crate::error::Error::NotUpgraded(head.status).into());
    }
    let task = forward(connection.clone(), first, browser);
    let from_app = tokio::task::spawn_local(async move {
        // Whoever broke off knows why, and the other end sees its stream released.
        let _ = task.await;
    })
    .abort_handle();
    let mut results = results.get();
    let chosen: Vec<_> = head
        .all("sec-websocket-protocol")
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(trim)
        .filter(|protocol| !protocol.is_empty())
        .collect();
    // A head is limited to 80 KiB, and so are the protocols in it.
    let mut list = results.reborrow().init_protocol(chosen.len() as u32);
    for (index, protocol) in chosen.iter().enumerate() {
        list.set(index as u32, text::Reader(protocol));
    }
    results.set_server_stream(spk_rpc::new_client(ToApp {
        connection,
        from_app,
        order: FifoLock::default(),
    }));
    Ok(())
}

/// A fresh key (RFC 6455 4.1). The original always sends the same.
fn key() -> Result<String, Error> {
    let bytes = random::bytes::<16>().map_err(|error| Error::failed(error.to_string()))?;
    Ok(STANDARD.encode(bytes))
}
