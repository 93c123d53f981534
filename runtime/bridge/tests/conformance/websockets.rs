//! http-bridge §10.8: WebSocket.

use std::rc::Rc;
use std::time::Duration;

use spk_schema::web_session_capnp::web_session::{self, web_socket_stream};

use crate::app::{App, Connection};
use crate::host::{Sink, SinkServer};
use crate::rig::{Rig, run};

const ACCEPT: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                        Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\
                        Sec-WebSocket-Protocol: chat\r\n\r\n";

struct Socket {
    to_app: web_socket_stream::Client,
    from_app: Rc<Sink>,
    protocols: Vec<String>,
}

async fn open(
    session: &web_session::Client,
    protocols: &[&str],
    sink: Sink,
) -> Result<Socket, capnp::Error> {
    let from_app = Rc::new(sink);
    let mut request = session.open_web_socket_request();
    request.get().set_path("chat");
    let mut list = request.get().init_protocol(protocols.len() as u32);
    for (index, protocol) in protocols.iter().enumerate() {
        list.set(index as u32, protocol);
    }
    request.get().set_client_stream(capnp_rpc::new_client(SinkServer(from_app.clone())));
    let response = request.send().promise.await?;
    let results = response.get()?;
    let to_app = results.get_server_stream()?;
    let chosen = results.get_protocol()?.iter();
    let protocols = chosen.map(|protocol| protocol.unwrap().to_string().unwrap()).collect();
    Ok(Socket { to_app, from_app, protocols })
}

async fn opened(answer: &[u8], sink: Sink) -> (Socket, Connection) {
    let app = App::manual().await;
    let session = Rig::new(app.port).session().await;
    let (socket, connection) = tokio::join!(open(&session, &["chat", "superchat"], sink), async {
        let mut connection = app.accept().await;
        connection.send(answer).await;
        connection
    });
    (socket.unwrap(), connection)
}

impl Socket {
    async fn send(&self, message: &[u8]) -> Result<(), capnp::Error> {
        let mut request = self.to_app.send_bytes_request();
        request.get().set_message(message);
        request.send().await
    }
}

#[test]
fn k01_upgrade() {
    run(async {
        let (_socket, connection) = opened(ACCEPT, Sink::default()).await;
        let request = connection.text();
        let mut lines = request.split("\r\n");
        assert_eq!(lines.next(), Some("GET /chat HTTP/1.1"));
        assert_eq!(lines.next(), Some("Upgrade: websocket"));
        assert_eq!(lines.next(), Some("Connection: Upgrade"));
        let key = lines.next().unwrap().strip_prefix("Sec-WebSocket-Key: ").unwrap();
        assert_eq!(key.len(), 24);
        assert_eq!(lines.next(), Some("Sec-WebSocket-Protocol: chat, superchat"));
        assert_eq!(lines.next(), Some("Sec-WebSocket-Version: 13"));
        assert_eq!(lines.next(), Some("User-Agent: Test/1.0"));
        assert!(!request.contains("Accept-Language"), "{request}");
        assert!(!request.contains("Origin"), "{request}");
    });
}

#[test]
fn k02_protocols() {
    run(async {
        let (socket, _connection) = opened(ACCEPT, Sink::default()).await;
        assert_eq!(socket.protocols, ["chat"]);
    });
}

#[test]
fn k03_to_app() {
    run(async {
        let (socket, mut connection) = opened(ACCEPT, Sink::default()).await;
        connection.received.clear();
        socket.send(b"\x81\x85mask12345").await.unwrap();
        assert!(connection.read_until(b"\x81\x85mask12345").await);
    });
}

#[test]
fn k04_from_app() {
    run(async {
        let (socket, mut connection) = opened(ACCEPT, Sink::default()).await;
        connection.send(b"\x81\x05hello").await;
        socket.from_app.until(|sink| *sink.data.borrow() == b"\x81\x05hello").await;
    });
}

#[test]
fn k05_bytes_with_the_answer() {
    run(async {
        let answer = [ACCEPT, b"\x81\x02hi"].concat();
        let (socket, _connection) = opened(&answer, Sink::default()).await;
        socket.from_app.until(|sink| *sink.data.borrow() == b"\x81\x02hi").await;
    });
}

#[test]
fn k06_app_closes() {
    run(async {
        let (socket, mut connection) = opened(ACCEPT, Sink::default()).await;
        connection.send(b"last").await;
        drop(connection);
        socket.from_app.finished().await;
        assert_eq!(*socket.from_app.data.borrow(), b"last");
    });
}

#[test]
fn k07_browser_closes() {
    run(async {
        let (socket, mut connection) = opened(ACCEPT, Sink::default()).await;
        socket.send(b"last").await.unwrap();
        let Socket { to_app, from_app, .. } = socket;
        drop(to_app);
        assert!(connection.read_to_end().await);
        assert!(connection.received.ends_with(b"last"));
        from_app.finished().await;
    });
}

#[test]
fn k08_refused() {
    run(async {
        let app = App::answering("HTTP/1.1 400 X\r\nContent-Length: 0\r\n\r\n").await;
        let session = Rig::new(app.port).session().await;
        let error = open(&session, &[], Sink::default()).await.err().unwrap();
        assert!(error.to_string().contains("status 400"), "{error}");
        let app = App::answering("HTTP/1.1 101 X\r\n\r\n").await;
        let session = Rig::new(app.port).session().await;
        assert!(open(&session, &[], Sink::default()).await.is_err());
    });
}

#[test]
fn k12_large_frame() {
    run(async {
        let (socket, mut connection) = opened(ACCEPT, Sink::default()).await;
        let frame: Vec<u8> = (0..300_000).map(|index| (index % 251) as u8).collect();
        connection.received.clear();
        let ((), ()) = tokio::join!(async { socket.send(&frame).await.unwrap() }, async {
            while connection.received.len() < frame.len() {
                assert!(connection.read_more().await);
            }
        });
        assert!(connection.received == frame);
        connection.send(&frame).await;
        socket.from_app.until(|sink| sink.data.borrow().len() == frame.len()).await;
        assert!(*socket.from_app.data.borrow() == frame);
    });
}

#[test]
fn k13_api_session() {
    run(async {
        let app = App::manual().await;
        let rig = Rig::with(app.port, &|mut config| config.set_api_path("/api/"));
        let session = rig.api(None).await.unwrap();
        let (socket, connection) = tokio::join!(open(&session, &[], Sink::default()), async {
            let mut connection = app.accept().await;
            connection.send(ACCEPT).await;
            connection
        });
        socket.unwrap();
        assert!(connection.text().starts_with("GET /api/chat HTTP/1.1\r\n"));
        assert!(!connection.text().contains("Sec-WebSocket-Protocol"));
    });
}

#[test]
fn k14_flood() {
    run(async {
        let gate = Some(tokio::sync::Semaphore::new(0));
        let sink = Sink { gate, ..Sink::default() };
        let (_socket, mut connection) = opened(ACCEPT, sink).await;
        let piece = vec![b'x'; 1 << 20];
        let mut sent = 0;
        let patience = Duration::from_millis(300);
        while tokio::time::timeout(patience, connection.send(&piece)).await.is_ok() {
            sent += piece.len();
            assert!(sent < 100 << 20, "no back-pressure");
        }
    });
}

#[test]
fn k16_messages_stay_in_order() {
    run(async {
        let (socket, mut connection) = opened(ACCEPT, Sink::default()).await;
        connection.received.clear();
        let messages = (0..1000).map(|index| socket.send(format!("{index:04}").leak().as_bytes()));
        let sends: Vec<_> = messages.collect();
        let (_, ()) = tokio::join!(futures::future::join_all(sends), async {
            assert!(connection.read_until(b"0999").await);
        });
        let expected: String = (0..1000).map(|index| format!("{index:04}")).collect();
        assert_eq!(connection.text(), expected);
    });
}
