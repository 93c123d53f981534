//! http-bridge §10.7: streaming, framing, failures; and what must not be smuggled.

use capnp::Error;
use spk_web_session_conformance::session::{done, echo, expect_size, script, write};

use super::*;

#[test]
fn f03_f05_f06_streams_arrive_piece_by_piece() {
    let script = script(|call, mut reply| async move {
        let to = reply.stream(&call);
        let sized = call.path == "sized";
        tokio::task::spawn_local(async move {
            if sized {
                let _ = expect_size(&to, 9).await;
            }
            for piece in ["one", "two", "six"] {
                let _ = write(&to, piece.as_bytes()).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let _ = done(&to).await;
        });
        Ok(())
    });
    with_host(script, |host| async move {
        let mut client = host.connect().await;
        let answer = client.get("/sized").await;
        assert_eq!(
            (answer.text().as_str(), answer.header("content-length")),
            ("onetwosix", Some("9"))
        );
        client.request("GET /", "", "").await;
        let (_, head) = client.head().await.unwrap();
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        for piece in ["one", "two", "six", ""] {
            assert_eq!(client.chunk().await.unwrap(), piece.as_bytes());
        }
        assert_eq!(client.get("/sized").await.text(), "onetwosix");
    });
}

#[test]
fn f10_f12_f13_a_response_cut_short_breaks_the_connection() {
    let script = script(|call, mut reply| async move {
        let to = reply.stream(&call);
        let path = call.path.clone();
        tokio::task::spawn_local(async move {
            if path != "chunked" {
                let _ = expect_size(&to, 100).await;
            }
            let _ = write(&to, b"short").await;
            if path == "early-done" {
                let done = done(&to).await;
                assert!(done.err().unwrap().extra.contains("fewer bytes"));
            }
        });
        Ok(())
    });
    with_host(script, |host| async move {
        for path in ["/sized", "/chunked", "/early-done"] {
            let mut client = host.connect().await;
            client.request(&format!("GET {path}"), "", "").await;
            assert_eq!(client.broken().await, b"short", "{path}");
        }
    });
}

#[test]
fn more_than_announced_is_refused() {
    let script = script(|call, mut reply| async move {
        let to = reply.stream(&call);
        tokio::task::spawn_local(async move {
            let _ = expect_size(&to, 3).await;
            let _ = write(&to, b"abcHTTP/1.1 200 OK\r\n\r\n").await;
        });
        Ok(())
    });
    with_host(script, |host| async move {
        let mut client = host.connect().await;
        client.request("GET /", "", "").await;
        let rest = String::from_utf8(client.rest().await).unwrap();
        assert_eq!(rest.matches("HTTP/1.1").count(), 1, "{rest}");
    });
}

#[test]
fn f14_f15_failures() {
    let script = script(|call, mut reply| async move {
        match call.path.as_str() {
            "failed" => Err(Error::failed("secret at 0x7fff; stack".into())),
            "overloaded" => Err(Error::overloaded("busy".into())),
            "unimplemented" => Err(Error::unimplemented("no".into())),
            "disconnected" => Err(Error::disconnected("reset".into())),
            _ => {
                reply.text("ok");
                Ok(())
            }
        }
    });
    with_host(script, |host| async move {
        for (path, status) in [("/failed", 500), ("/overloaded", 503), ("/unimplemented", 501)] {
            let answer = host.connect().await.get(path).await;
            assert_eq!((answer.status, answer.header("connection")), (status, Some("close")));
            assert!(!answer.text().contains("secret"));
        }
        assert!(host.notes().iter().any(|note| note.contains("secret")), "{:?}", host.notes());
        let mut client = host.connect().await;
        client.request("GET /disconnected", "", "").await;
        assert!(client.answer(false).await.is_none());
        assert_eq!(host.connect().await.get("/").await.status, 200);
        // The app lives: nothing was started again.
        assert_eq!(host.launches.count.get(), 1);
    });
}

#[test]
fn f17_f18_what_the_client_does_not_read_the_app_cannot_send() {
    let sent = Rc::new(std::cell::Cell::new(0usize));
    let counter = sent.clone();
    const TOTAL: usize = 64 * 1024 * 1024;
    let script = script(move |call, mut reply| {
        let counter = counter.clone();
        async move {
            if call.path.is_empty() {
                reply.text("");
                return Ok(());
            }
            let to = reply.stream(&call);
            tokio::task::spawn_local(async move {
                let piece = vec![7; 65536];
                while counter.get() < TOTAL && write(&to, &piece).await.is_ok() {
                    counter.set(counter.get() + piece.len());
                }
                let _ = done(&to).await;
            });
            Ok(())
        }
    });
    with_host(script, |host| async move {
        let mut client = host.connect().await;
        client.request("GET /big", "", "").await;
        client.head().await.unwrap();
        // Not a wait for readiness: the app gets the time to send what it should not.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let stalled = sent.get();
        assert!(stalled < 16 * 1024 * 1024, "{stalled} bytes are under way");
        let mut got = 0;
        loop {
            let chunk = client.chunk().await.unwrap();
            if chunk.is_empty() {
                break;
            }
            got += chunk.len();
        }
        assert_eq!(got, TOTAL);
    });
}

#[test]
fn f19_f20_a_client_that_goes_away_is_noticed() {
    let cancelled = Rc::new(tokio::sync::Notify::new());
    struct OnDrop(Rc<tokio::sync::Notify>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let notify = cancelled.clone();
    let script = script(move |call, mut reply| {
        let notify = notify.clone();
        async move {
            match call.path.as_str() {
                "think" => {
                    let _guard = OnDrop(notify);
                    std::future::pending().await
                }
                "stream" => {
                    let to = reply.stream(&call);
                    tokio::task::spawn_local(async move {
                        while write(&to, &[1; 1000]).await.is_ok() {}
                    });
                    Ok(())
                }
                _ => {
                    reply.text("");
                    Ok(())
                }
            }
        }
    });
    with_host(script, |host| async move {
        let mut client = host.connect().await;
        client.request("GET /stream", "", "").await;
        client.head().await.unwrap();
        drop(client);
        host.launches.seen.handle_dropped.notified().await;
        let mut client = host.connect().await;
        client.request("GET /think", "", "").await;
        while host.last_call() != "GET think" {
            tokio::task::yield_now().await;
        }
        drop(client);
        cancelled.notified().await;
    });
}

#[test]
fn f22_events_come_as_they_happen_and_the_head_before_the_first() {
    let script = script(|call, mut reply| async move {
        if call.path.is_empty() {
            reply.text("");
            return Ok(());
        }
        let to = reply.stream(&call);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(Duration::from_millis(600)).await;
            let _ = write(&to, b"data: 1\n\n").await;
            std::future::pending::<()>().await;
        });
        Ok(())
    });
    with_host(script, |host| async move {
        let mut client = host.connect().await;
        let start = std::time::Instant::now();
        client.request("GET /events", "Accept: text/event-stream\r\n", "").await;
        assert_eq!(client.head().await.unwrap().0, 200);
        assert!(start.elapsed() < Duration::from_millis(500));
        assert_eq!(client.chunk().await.unwrap(), b"data: 1\n\n");
    });
}

#[test]
fn f23_g17_pipelining_and_old_clients() {
    with_host(echo(), |host| async move {
        let mut client = host.connect().await;
        let one = format!("GET /1 HTTP/1.1\r\nHost: {}\r\n\r\n", host.host);
        client.send(format!("{one}{}", one.replace("/1 ", "/2 "))).await;
        assert_eq!(client.answer(false).await.unwrap().text(), "GET 1");
        assert_eq!(client.answer(false).await.unwrap().text(), "GET 2");
        let mut client = host.connect().await;
        client.send(format!("GET /old HTTP/1.0\r\nHost: {}\r\n\r\n", host.host)).await;
        assert_eq!(client.answer(false).await.unwrap().text(), "GET old");
        assert!(client.rest().await.is_empty());
    });
}

#[test]
fn nothing_can_be_smuggled() {
    with_host(echo(), |host| async move {
        let hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
        let host_line = format!("Host: {}\r\n", host.host);
        let refused = [
            // Two lengths.
            format!(
                "POST /p HTTP/1.1\r\n{host_line}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"
            ),
            format!("POST /p HTTP/1.1\r\n{host_line}Content-Length: +1\r\n\r\na"),
            format!("POST /p HTTP/1.1\r\n{host_line}Content-Length: 1, 1\r\n\r\na"),
            // A coding we do not know, and chunked in HTTP/1.0.
            format!(
                "POST /p HTTP/1.1\r\n{host_line}Transfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n"
            ),
            format!("POST /p HTTP/1.0\r\n{host_line}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            // Names and lines that others read differently.
            format!("GET /p HTTP/1.1\r\n{host_line}Content-Length : 5\r\n\r\n"),
            format!("GET /p HTTP/1.1\r\n{host_line}X: a\r\n folded: b\r\n\r\n"),
            format!("GET /p HTTP/1.1\r\n{host_line}X: a\0b\r\n\r\n"),
            format!("GET http://other/p HTTP/1.1\r\n{host_line}\r\n"),
            format!("OPTIONS * HTTP/1.1\r\n{host_line}\r\n"),
            format!("CONNECT {} HTTP/1.1\r\n{host_line}\r\n", host.host),
            format!("GET /p%00.html HTTP/1.1\r\n{host_line}\r\n"),
            format!("GET /a b HTTP/1.1\r\n{host_line}\r\n"),
            format!("GET /p HTTP/1.1\r\n{host_line}{host_line}\r\n"),
            "GET /p HTTP/1.1\r\n\r\n".to_owned(),
        ];
        for request in refused {
            let before = host.calls().len();
            let mut client = host.connect().await;
            client.send(&request).await;
            let (status, _) = client.head().await.unwrap_or((0, String::new()));
            assert!((400..500).contains(&status), "{status} for {request:?}");
            assert_eq!(host.calls().len(), before, "{request:?}");
        }
        // Chunked, with a length beside it or not: the connection ends with it.
        for lengths in [
            "Transfer-Encoding: chunked\r\n",
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        ] {
            let mut client = host.connect().await;
            let request = format!("POST /p HTTP/1.1\r\n{host_line}{lengths}\r\n0\r\n\r\n{hidden}");
            client.send(&request).await;
            let answer = client.answer(false).await.unwrap();
            assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
            assert!(client.rest().await.is_empty(), "{lengths}");
        }
        assert!(!host.calls().iter().any(|call| call.contains("hidden")));
    });
}
