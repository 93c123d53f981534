//! http-bridge §10.7: framing, streaming, robustness.

use std::rc::Rc;
use std::time::Duration;

use spk_schema::web_session_capnp::web_session::{self, response};

use crate::app::{App, Connection};
use crate::host::Sink;
use crate::rig::{Rig, get, head, run};
use crate::statuses::{answer, failure};

/// The answer to a GET whose connection `serve` serves, and what `serve` returned.
async fn served<T>(serve: impl AsyncFnOnce(Connection) -> T) -> (Result<String, capnp::Error>, T) {
    let app = App::manual().await;
    let session = Rig::new(app.port).session().await;
    tokio::join!(get(&session, ""), async { serve(app.accept().await).await })
}

/// The answer if the app sends these pieces one by one and keeps the connection open.
fn pieces(pieces: &'static [&'static str], expected: &'static str) {
    run(async move {
        let (answer, closed) = served(async |mut connection| {
            for piece in pieces {
                connection.send(piece.as_bytes()).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            connection.read_to_end().await
        })
        .await;
        assert_eq!(answer.unwrap(), expected);
        assert!(closed);
    });
}

/// Calls `get` with `sink` as response stream.
async fn get_into(
    session: &web_session::Client,
    sink: &Rc<Sink>,
) -> capnp::capability::Response<response::Owned> {
    let mut request = session.get_request();
    request.get().init_context().set_response_stream(sink.client());
    request.send().promise.await.unwrap()
}

#[test]
fn f01_head() {
    run(async {
        // The connection stays open: whoever waits for a body waits for ever.
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let (answer, connection) = tokio::join!(head(&session, "x"), async {
            let mut connection = app.accept().await;
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n").await;
            connection
        });
        assert!(connection.text().starts_with("HEAD /x HTTP/1.1\r\n"));
        // Announced, not sent.
        assert_eq!(answer.unwrap(), "content Ok size=12345 stream= done");
    });
}

#[test]
fn f01_head_without_length() {
    run(async {
        let app = App::answering("HTTP/1.1 200 OK\r\nETag: \"t\"\r\n\r\n").await;
        let session = Rig::new(app.port).session().await;
        assert_eq!(head(&session, "").await.unwrap(), "content Ok etag=<t> bytes=");
    });
}

#[test]
fn f02_head_with_error() {
    run(async {
        let app = App::answering("HTTP/1.1 404 X\r\nContent-Length: 3\r\n\r\n").await;
        let session = Rig::new(app.port).session().await;
        assert_eq!(head(&session, "").await.unwrap(), "clientError NotFound");
    });
}

#[test]
fn f03_body_until_eof() {
    answer("HTTP/1.1 200 OK\r\n\r\nall of it", "content Ok bytes=all of it");
    answer("HTTP/1.1 404 X\r\n\r\nall of it", "clientError NotFound html=all of it");
}

#[test]
fn f04_http_1_0() {
    answer("HTTP/1.0 200\nContent-Type: a/b\n\nhi", "content Ok type=a/b bytes=hi");
}

#[test]
fn f05_delayed_chunks() {
    pieces(
        &[
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "2\r\nde\r\n",
            "1\r\nf\r\n0\r\n\r\n",
        ],
        "content Ok stream=abcdef done",
    );
}

#[test]
fn f06_delayed_body() {
    pieces(
        &["HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "0123456789"],
        "content Ok size=10 stream=0123456789 done",
    );
}

#[test]
fn f07_head_byte_by_byte() {
    run(async {
        let (answer, ()) = served(async |mut connection| {
            connection.stream.set_nodelay(true).unwrap();
            for byte in b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nhi" {
                connection.send(&[*byte]).await;
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(answer.unwrap(), "content Ok type=a/b bytes=hi");
    });
}

#[test]
fn f08_connection_left_open() {
    pieces(&["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"], "content Ok bytes=hi");
}

#[test]
fn f09_chunked_and_length() {
    answer(
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "content Ok bytes=hi",
    );
}

#[test]
fn f10_early_end() {
    answer(
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabcde",
        "content Ok size=100 stream=abcde aborted",
    );
    for chunks in ["5\r\nabcde\r\n", "5\r\nabcde", "6\r\nabcde", "5\r\nabcde\r\n0\r\n"] {
        answer(
            &format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
            "content Ok stream=abcde aborted",
        );
    }
    failure("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "closed the connection");
    failure("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "closed the connection");
}

/// The pieces arrive apart, so that they are read apart.
#[test]
fn f10_early_end_later() {
    run(async {
        let large = "x".repeat(300_000);
        for last in ["de", &large] {
            let (answer, ()) = served(async |mut connection| {
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n").await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                connection.send(b"abc").await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                connection.send(last.as_bytes()).await;
            })
            .await;
            assert_eq!(answer.unwrap(), format!("content Ok size=999999 stream=abc{last} aborted"));
        }
    });
}

#[test]
fn f10_early_end_of_nothing() {
    run(async {
        let app = App::answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").await;
        let session = Rig::new(app.port).session().await;
        assert_eq!(head(&session, "").await.unwrap(), "content Ok size=100 stream= done");
    });
}

#[test]
fn f11_early_end_of_error() {
    failure("HTTP/1.1 404 X\r\nContent-Length: 100\r\n\r\nabcde", "closed the connection");
}

#[test]
fn f12_bad_chunk() {
    pieces(
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", "xyz\r\n"],
        "content Ok stream=hi aborted",
    );
    // What came before the malformed place in the same piece.
    pieces(
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nhi\r\nxyz\r\n"],
        "content Ok stream=hi aborted",
    );
    answer(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nxyz\r\n",
        "content Ok stream=hi aborted",
    );
    failure("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "chunk");
}

#[test]
fn f13_reset_in_stream() {
    run(async {
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let sink = Rc::new(Sink::default());
        let (_response, ()) = tokio::join!(get_into(&session, &sink), async {
            let mut connection = app.accept().await;
            connection.send(b"HTTP/1.1 200 OK\r\n\r\nfirst").await;
            sink.until(|sink| !sink.data.borrow().is_empty()).await;
            connection.reset();
        });
        sink.finished().await;
        assert!(!*sink.done.borrow());
    });
}

/// A reset leaves what came before it to be read.
#[test]
fn f13_reset_at_once() {
    run(async {
        for framing in ["Content-Length: 100", "Transfer-Encoding: chunked", "X: until the end"] {
            let body = if framing.starts_with('T') { "5\r\nfirst\r\n" } else { "first" };
            let (answer, ()) = served(async |mut connection| {
                let text = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{body}");
                connection.send(text.as_bytes()).await;
                connection.reset();
            })
            .await;
            let size = if framing.starts_with('C') { " size=100" } else { "" };
            assert_eq!(
                answer.unwrap(),
                format!("content Ok{size} stream=first aborted"),
                "{framing}"
            );
        }
    });
}

#[test]
fn f14_no_answer() {
    failure("", "incomplete headers");
    failure("HTTP/1.1 200 OK\r\nContent-", "incomplete headers");
}

#[test]
fn f15_reset_before_answer() {
    run(async {
        let (answer, ()) = served(async |connection| connection.reset()).await;
        assert_eq!(answer.unwrap_err().kind, capnp::ErrorKind::Disconnected);
    });
}

#[test]
fn f15_nobody_listens_any_more() {
    run(async {
        let app = App::manual().await;
        let rig = Rig::new(app.port);
        let session = rig.session().await;
        rig.bridge.wait_for_app().await;
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = gone.local_addr().unwrap().port();
        drop((gone, session));
        let dead = Rig::new(app.port);
        dead.bridge.wait_for_app().await;
        // The same bridge type with a port nobody has: as if the app had stopped listening.
        let error = spk_bridge::http::connection::Connection::open(port).await.err().unwrap();
        assert_eq!(capnp::Error::from(error).kind, capnp::ErrorKind::Disconnected);
    });
}

#[test]
fn f16_extra_bytes() {
    answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK", "content Ok bytes=hi");
    pieces(
        &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "hi and more"],
        "content Ok size=2 stream=hi done",
    );
}

#[test]
fn f17_large_download() {
    const SIZE: usize = 20_000_000;
    run(async {
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let sink = Rc::new(Sink::default());
        let (_response, ()) = tokio::join!(get_into(&session, &sink), async {
            let mut connection = app.accept().await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
            connection.send(head.as_bytes()).await;
            let piece: Vec<u8> = (0..100_000).map(|index| (index % 251) as u8).collect();
            for _ in 0..SIZE / piece.len() {
                connection.send(&piece).await;
            }
        });
        sink.finished().await;
        assert!(*sink.done.borrow());
        assert_eq!(sink.data.borrow().len(), SIZE);
        assert!(
            sink.data.borrow().iter().enumerate().all(|(i, b)| (i % 100_000 % 251) as u8 == *b)
        );
        assert!(sink.writes.borrow().iter().all(|&size| size <= spk_bridge::limits::READ_PIECE));
    });
}

#[test]
fn f18_slow_client() {
    run(async {
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let gate = Some(tokio::sync::Semaphore::new(0));
        let sink = Rc::new(Sink { gate, ..Sink::default() });
        let (_response, sent) = tokio::join!(get_into(&session, &sink), async {
            let mut connection = app.accept().await;
            connection.send(b"HTTP/1.1 200 OK\r\n\r\n").await;
            let piece = vec![b'x'; 1 << 20];
            let mut sent = 0;
            // Until nothing moves any more: the bridge has stopped reading.
            while let Ok(()) =
                tokio::time::timeout(Duration::from_millis(300), connection.send(&piece)).await
            {
                sent += piece.len();
                assert!(sent < 100 << 20, "no back-pressure");
            }
            sent
        });
        // Mostly socket buffers.
        assert!(sent < 32 << 20, "{sent}");
        assert!(sink.data.borrow().is_empty());
    });
}

#[test]
fn f20_caller_gives_up() {
    run(async {
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let call = tokio::task::spawn_local(async move { get(&session, "").await });
        let mut connection = app.accept().await;
        call.abort();
        assert!(connection.read_to_end().await);
    });
}

#[test]
fn f22_events_arrive_as_they_are_sent() {
    run(async {
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let sink = Rc::new(Sink::default());
        let (_response, ()) = tokio::join!(get_into(&session, &sink), async {
            let mut connection = app.accept().await;
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await;
            for count in 1..=5 {
                connection.send(b"data: x\n\n").await;
                // The next event is only sent once this one has arrived.
                sink.until(|sink| sink.data.borrow().len() == count * 9).await;
            }
        });
        sink.finished().await;
        assert!(*sink.done.borrow());
    });
}

#[test]
fn f25_handle_dropped() {
    run(async {
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let sink = Rc::new(Sink::default());
        let (response, mut connection) = tokio::join!(get_into(&session, &sink), async {
            let mut connection = app.accept().await;
            connection.send(b"HTTP/1.1 200 OK\r\n\r\nfirst").await;
            connection
        });
        sink.until(|sink| !sink.data.borrow().is_empty()).await;
        drop(response);
        assert!(connection.read_to_end().await);
        sink.finished().await;
        assert!(!*sink.done.borrow());
    });
}

#[test]
fn f25_handle_answers_pings() {
    run(async {
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let sink = Rc::new(Sink::default());
        let (response, _connection) = tokio::join!(get_into(&session, &sink), async {
            let mut connection = app.accept().await;
            connection.send(b"HTTP/1.1 200 OK\r\n\r\nfirst").await;
            connection
        });
        let Ok(response::Content(content)) = response.get().unwrap().which() else { panic!() };
        let Ok(response::content::body::Stream(handle)) = content.get_body().which() else {
            panic!()
        };
        handle.unwrap().ping_request().send().promise.await.unwrap();
    });
}

#[test]
fn f26_write_fails() {
    run(async {
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let sink = Rc::new(Sink { fail: true, ..Sink::default() });
        let (_response, ()) = tokio::join!(get_into(&session, &sink), async {
            let mut connection = app.accept().await;
            connection.send(b"HTTP/1.1 200 OK\r\n\r\n").await;
            // The bridge learns of it with the answer to a write.
            while tokio::time::timeout(Duration::from_millis(5), connection.read_to_end())
                .await
                .is_err()
            {
                connection.send(b"more").await;
            }
        });
        sink.finished().await;
        assert!(!*sink.done.borrow());
    });
}

#[test]
fn f27_small_body() {
    answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "content Ok bytes=hi");
    answer(
        "HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "content Created bytes=hi",
    );
}

#[test]
fn f28_garbage() {
    for garbage in ["HTTP/2 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "\0\0\0\0\r\n\r\n", "<html>"] {
        failure(garbage, "parse");
    }
}

#[test]
fn f29_endless_heads_and_pages() {
    run(async {
        for (head, piece) in [
            (&b"HTTP/1.1 200 OK\r\n"[..], &b"A: b\r\n"[..]),
            (b"HTTP/1.1 100 C\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
            (b"", b"\r\n"),
            (b"HTTP/1.1 500 X\r\n\r\n", b"page"),
        ] {
            let (answer, ()) = served(async |mut connection| {
                connection.send(head).await;
                let many = piece.repeat(65536 / piece.len());
                while tokio::time::timeout(Duration::from_millis(1), connection.read_to_end())
                    .await
                    .is_err()
                {
                    connection.send(&many).await;
                }
            })
            .await;
            let error = answer.unwrap_err();
            assert!(error.to_string().contains("larger than"), "{error}");
        }
    });
}

#[test]
fn f30_many_interim_responses_and_a_final_one() {
    let mut response = "HTTP/1.1 102 Processing\r\n\r\n".repeat(100);
    response.push_str("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    answer(response.leak(), "content Ok bytes=hi");
}
