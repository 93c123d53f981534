//! http-bridge §10.8: WebSockets.

use spk_web_session_conformance::session::echo;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use super::*;

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";

#[test]
fn k01_k02_k11_the_handshake() {
    with_host(echo(), |host| async move {
        let mut client = host.connect().await;
        let headers = format!("{UPGRADE}Sec-WebSocket-Protocol: chat, superchat\r\n");
        client.request("GET /echo", &headers, "").await;
        let (status, head) = client.head().await.unwrap();
        assert_eq!(status, 101);
        for line in [
            "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "sec-websocket-protocol: chat",
            "upgrade: websocket",
            "permissions-policy: interest-cohort=()",
        ] {
            assert!(head.contains(line), "{head}");
        }
        assert!(!head.contains("extensions"), "{head}");
        assert_eq!(host.last_call(), "WEBSOCKET echo chat|superchat");
    });
}

#[test]
fn k03_to_k05_k12_bytes_pass_unchanged_in_both_directions() {
    with_host(echo(), |host| async move {
        let mut client = host.connect().await;
        client.request("GET /echo", UPGRADE, "").await;
        assert_eq!(client.head().await.unwrap().0, 101);
        let data: Vec<u8> = (0..4_000_000u32).map(|n| (n ^ (n >> 8)) as u8).collect();
        let (mut reader, mut writer) = client.stream.into_split();
        let sent = data.clone();
        let sending = tokio::task::spawn_local(async move {
            writer.write_all(&sent).await.unwrap();
            writer
        });
        let mut back = vec![0; data.len()];
        reader.read_exact(&mut back).await.unwrap();
        assert!(back == data);
        drop(sending.await.unwrap());
        let mut client = host.connect().await;
        client.request("GET /greets", UPGRADE, "").await;
        client.head().await.unwrap();
        assert_eq!(client.exactly(5).await.unwrap(), b"hello");
    });
}

#[test]
fn k06_k07_either_side_can_end_it() {
    with_host(echo(), |host| async move {
        let mut client = host.connect().await;
        client.request("GET /quiet", UPGRADE, "").await;
        client.head().await.unwrap();
        let seen = &host.launches.seen;
        seen.sockets.borrow_mut().clear();
        assert!(client.rest().await.is_empty());
        drop(client);
        seen.socket_closed.notified().await;
        let mut client = host.connect().await;
        client.request("GET /quiet", UPGRADE, "").await;
        client.head().await.unwrap();
        drop(client);
        seen.socket_closed.notified().await;
    });
}

#[test]
fn k08_k09_k10_refusals() {
    with_host(echo(), |host| async move {
        for (path, headers, status) in [
            ("/refused", UPGRADE.to_owned(), 500),
            ("/x", UPGRADE.replace(": 13", ": 8"), 400),
            ("/x", UPGRADE.replace("Sec-WebSocket-Key", "X-Key"), 400),
            ("/x", format!("{UPGRADE}Origin: http://evil.example\r\n"), 403),
        ] {
            let answer = host.connect().await.exchange(&format!("GET {path}"), &headers, "").await;
            assert_eq!(answer.status, status, "{headers}");
        }
        assert!(!host.calls().iter().any(|call| call == "WEBSOCKET x "));
    });
}

#[test]
fn k14_an_app_that_floods_is_held_back() {
    with_host(echo(), |host| async move {
        let mut client = host.connect().await;
        client.request("GET /quiet", UPGRADE, "").await;
        client.head().await.unwrap();
        let to_browser = host.launches.seen.sockets.borrow()[0].clone();
        let sent = Rc::new(std::cell::Cell::new(0usize));
        let counter = sent.clone();
        tokio::task::spawn_local(async move {
            loop {
                let mut request = to_browser.send_bytes_request();
                request.get().set_message(&[0; 16384]);
                if request.send().await.is_err() {
                    return;
                }
                counter.set(counter.get() + 16384);
            }
        });
        // The flood gets the time it would need to do harm.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(sent.get() < 16 * 1024 * 1024, "{}", sent.get());
        assert_eq!(host.connect().await.get("/").await.status, 200);
    });
}
