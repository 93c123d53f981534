//! http-bridge §10.8: WebSockets, as bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use spk_tests::http::parse;
use spk_tests::web::answer;

use super::app::{App, line, read_until, rest, steps};

crate::rows![
    k01_upgrade,
    k02_protocols,
    k03_k04_frames_are_unchanged,
    k05_bytes_with_the_answer,
    k06_the_app_closes,
    k07_the_browser_closes,
    k08_refused,
    k09_a_bad_handshake,
    k10_foreign_origin,
    k11_no_extensions,
    k12_a_large_frame,
    k15_no_cookies_from_a_handshake,
];

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn handshake(app: &App, path: &str, headers: &str) -> (TcpStream, String) {
    let mut stream = app.connect();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\n{KEY}{headers}\r\n",
        app.host
    );
    stream.write_all(request.as_bytes()).unwrap();
    let head = read_until(&mut stream, "\r\n\r\n");
    (stream, head)
}

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\n\r\n";

fn k01_upgrade(app: &App) {
    let (_, head) = handshake(app, "/websocket", &format!("Origin: {}\r\n", app.origin()));
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(line(&head, "sec-websocket-accept"), Some(ACCEPT));
    assert_eq!(line(&head, "permissions-policy"), Some("interest-cohort=()"));
}

fn k02_protocols(app: &App) {
    let offer = "Sec-WebSocket-Protocol: chat, superchat\r\n";
    let (_, head) = handshake(app, "/websocket", offer);
    assert_eq!(line(&head, "sec-websocket-protocol"), Some("chat"));
}

fn k03_k04_frames_are_unchanged(app: &App) {
    // The app copies what it gets, frames of any kind, masked or not.
    let script = format!("{},w1,e", answer(SWITCH));
    let (mut stream, _) = handshake(app, "/x", &steps(&script));
    stream.write_all(b"\x81\x85\x01\x02\x03\x04igohn\x8a\x00not even frames").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    rest(&mut stream);
    let (mut stream, _) = handshake(app, "/websocket", "");
    // A masked text, and its unmasked echo.
    stream.write_all(b"\x81\x85\x01\x02\x03\x04igohn").unwrap();
    let mut frame = [0; 7];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(&frame, b"\x81\x05hello");
}

fn k05_bytes_with_the_answer(app: &App) {
    let script = format!("{},w600000", answer(&format!("{SWITCH}\x02early")));
    let (mut stream, _) = handshake(app, "/x", &steps(&script));
    assert_eq!(read_until(&mut stream, "early"), "\x02early");
}

fn k06_the_app_closes(app: &App) {
    let script = format!("{},{}", answer(SWITCH), answer("bye"));
    let (mut stream, _) = handshake(app, "/x", &steps(&script));
    assert_eq!(rest(&mut stream).bytes, b"bye");
}

fn k07_the_browser_closes(app: &App) {
    // `e` waits for the end of the app's connection; only then it would say more.
    let script = format!("{},e", answer(SWITCH));
    let (mut stream, _) = handshake(app, "/x", &steps(&script));
    stream.write_all(b"last words").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(rest(&mut stream).bytes.is_empty());
}

/// Free in its number: the original answers 500.
fn k08_refused(app: &App) {
    for status in ["400 X", "200 OK"] {
        let raw = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        let (_, head) = handshake(app, "/x", &steps(&answer(&raw)));
        assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
    }
}

fn k09_a_bad_handshake(app: &App) {
    for headers in [
        "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: x\r\n".to_owned(),
        "Sec-WebSocket-Version: 13\r\n".to_owned(),
        KEY.to_owned(),
    ] {
        let request = format!(
            "GET /websocket HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade, close\r\n\
             Upgrade: websocket\r\n{headers}\r\n",
            app.host
        );
        assert_eq!(parse(&app.raw(request).bytes, false).status, 400, "{headers}");
    }
}

fn k10_foreign_origin(app: &App) {
    let (_, head) = handshake(app, "/websocket", "Origin: http://evil.example\r\n");
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
}

fn k11_no_extensions(app: &App) {
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let (_, head) = handshake(app, "/websocket", offer);
    assert_eq!(line(&head, "sec-websocket-extensions"), None);
}

fn k12_a_large_frame(app: &App) {
    let (mut stream, _) = handshake(app, "/websocket", "");
    let length = 300_000u64;
    let mut frame = vec![0x82, 0xff];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&[0, 0, 0, 0]);
    frame.extend_from_slice(&spk_tests::web::pattern(0)[..length as usize]);
    stream.write_all(&frame).unwrap();
    let mut back = vec![0; 10 + length as usize];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back[..2], b"\x82\x7f");
    assert!(back[10..] == frame[14..]);
}

/// What the protocol has no place for.
fn k15_no_cookies_from_a_handshake(app: &App) {
    let (_, head) = handshake(app, "/websocket", "");
    assert_eq!(line(&head, "set-cookie"), None);
}
