//! Clients that are slow, idle or many, and the end of the front end while some are served.

use spk_web_session_conformance::session::{echo, script, write};

use super::*;

/// Soon enough for a test, and long enough for a busy machine to send a request in one go.
const SOON: Duration = Duration::from_millis(400);

/// Free: the original closes idle connections after 5 s and waits for ever for a slow head.
#[test]
fn f24_an_idle_connection_is_closed_and_so_is_a_slow_one() {
    let soon = |settings: &mut Settings| settings.client_limits.head = SOON;
    with_settings(echo(), soon, |host| async move {
        let mut client = host.connect().await;
        assert_eq!(client.get("/a").await.status, 200);
        assert!(client.rest().await.is_empty(), "idle after an answer");
        let mut client = host.connect().await;
        assert!(client.rest().await.is_empty(), "idle from the beginning");
        // Every byte is on time, but the head never ends.
        let mut client = host.connect().await;
        client.send(format!("GET /slow HTTP/1.1\r\nHost: {}\r\nX: ", host.host)).await;
        let drip = async {
            loop {
                tokio::time::sleep(SOON / 20).await;
                if tokio::io::AsyncWriteExt::write_all(&mut client.stream, b"x").await.is_err() {
                    return;
                }
            }
        };
        drip.await;
        assert!(!host.calls().iter().any(|call| call.contains("slow")), "{:?}", host.calls());
    });
}

#[test]
fn a_body_that_stops_ends_its_connection_and_the_app_s() {
    let soon = |settings: &mut Settings| settings.client_limits.body = SOON;
    with_settings(echo(), soon, |host| async move {
        let mut client = host.connect().await;
        let chunked = "Transfer-Encoding: chunked\r\n";
        client.request("POST /p", chunked, "5\r\nhello\r\n").await;
        assert!(client.answer(false).await.is_none());
        while host.last_call() != "UPLOAD dropped" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // One that is collected first does not get as far as the app.
        let before = host.calls().len();
        let mut client = host.connect().await;
        client.request("PATCH /p", "Content-Length: 10\r\n", "hello").await;
        assert!(client.answer(false).await.is_none());
        assert_eq!(host.calls().len(), before);
    });
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let endless = script(|call, mut reply| async move {
        if call.path != "endless" {
            reply.text("x");
            return Ok(());
        }
        let to = reply.stream(&call);
        tokio::task::spawn_local(
            async move { while write(&to, &[b'x'; 32 << 10]).await.is_ok() {} },
        );
        Ok(())
    });
    let soon = |settings: &mut Settings| settings.client_limits.write = SOON;
    with_settings(endless, soon, |host| async move {
        let mut client = host.connect().await;
        client.request("GET /endless", "", "").await;
        assert_eq!(client.head().await.unwrap().0, 200);
        host.launches.seen.handle_dropped.notified().await;
        // What was on its way is all that comes.
        client.rest().await;
    });
}

/// A WebSocket is a connection like any other, after its handshake too.
#[test]
fn connections_beyond_the_limit_wait() {
    let two = |settings: &mut Settings| settings.client_limits.connections = 2;
    with_settings(echo(), two, |host| async move {
        let mut idle = host.connect().await;
        assert_eq!(idle.get("/a").await.status, 200);
        let mut socket = host.connect().await;
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: k\r\n";
        socket.request("GET /quiet", upgrade, "").await;
        assert_eq!(socket.head().await.unwrap().0, 101);
        let mut third = host.connect().await;
        third.request("GET /third", "", "").await;
        let answer = tokio::time::timeout(SOON, third.answer(false)).await;
        assert!(answer.is_err(), "{answer:?}");
        drop(socket);
        assert_eq!(third.answer(false).await.unwrap().text(), "GET third");
    });
}

/// The end waits for what is under way, closes what is idle, and cuts what does not end.
#[test]
fn the_end_lets_requests_finish() {
    let go_on = Rc::new(tokio::sync::Notify::new());
    let answer = go_on.clone();
    let slow = script(move |call, mut reply| {
        let answer = answer.clone();
        async move {
            match call.path.as_str() {
                "slow" => answer.notified().await,
                "never" => std::future::pending().await,
                _ => {}
            }
            reply.text(&call.path);
            Ok(())
        }
    });
    let ends = Rc::new(RefCell::new(Vec::new()));
    let seen = ends.clone();
    with_host(slow, |host| async move {
        let mut idle = host.connect().await;
        assert_eq!(idle.get("/a").await.status, 200);
        let (mut slow, mut never) = (host.connect().await, host.connect().await);
        slow.request("GET /slow", "", "").await;
        never.request("GET /never", "", "").await;
        while !["GET slow", "GET never"].iter().all(|call| host.calls().iter().any(|c| c == call)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // They go on when this function, and with it the host's time, has ended.
        tokio::task::spawn_local(async move {
            assert!(idle.rest().await.is_empty());
            seen.borrow_mut().push("idle: closed".to_owned());
            go_on.notify_one();
            let answer = slow.answer(false).await;
            seen.borrow_mut().push(format!("slow: {:?}", answer.map(|answer| answer.text())));
            let connection: Result<_, _> = std::net::TcpStream::connect(&host.address);
            seen.borrow_mut().push(format!("new: {}", connection.is_ok()));
            let cut: Option<_> = Client::answer(&mut never, false).await;
            seen.borrow_mut().push(format!("never: {cut:?}"));
        });
    });
    let ends = ends.borrow();
    let expected = ["idle: closed", "slow: Some(\"slow\")", "new: false"];
    // Whether the one that is cut sees its end depends on who ends first.
    assert_eq!(ends[..ends.len().min(3)], expected);
    assert!(ends.get(3).is_none_or(|never| never == "never: None"), "{ends:?}");
}
