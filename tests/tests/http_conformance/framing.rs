//! http-bridge §10.7: framing, streaming, robustness.

use std::io::{Read, Write};

use spk_tests::http::parse;
use spk_tests::web::{answer, pattern};

use super::app::{App, read_until, rest, scripted, steps};

crate::rows![
    f01_head,
    f02_head_of_an_error,
    f03_a_body_until_the_end,
    f04_http_1_0,
    f05_delayed_chunks,
    f06_a_delayed_body,
    f07_head_byte_by_byte,
    f08_a_connection_left_open,
    f09_chunked_and_length,
    f10_an_early_end,
    f11_an_early_end_of_an_error,
    f12_a_bad_chunk,
    f13_a_reset_in_a_stream,
    f14_no_answer,
    f15_a_reset_before_the_answer,
    f16_extra_bytes,
    f17_a_large_download,
    f19_a_client_that_leaves_a_stream,
    f22_events,
    f23_pipelining,
    gzip_passes_through,
    ranges_of_what_has_a_length,
];

fn f01_head(app: &App) {
    let answer = app.answered_to("HEAD /x", "", "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("12345")));
}

fn f02_head_of_an_error(app: &App) {
    let raw = app.raw(app.request(
        "HEAD /x",
        &scripted("HTTP/1.1 404 X\r\nContent-Length: 5\r\n\r\n"),
        "",
    ));
    assert!(raw.bytes.starts_with(b"HTTP/1.1 404 ") && raw.bytes.ends_with(b"\r\n\r\n"));
}

fn f03_a_body_until_the_end(app: &App) {
    assert_eq!(app.answered("HTTP/1.1 200 OK\r\n\r\nall of it").text(), "all of it");
}

fn f04_http_1_0(app: &App) {
    assert_eq!(app.answered("HTTP/1.0 200\n\nold").text(), "old");
}

fn f05_delayed_chunks(app: &App) {
    let head = answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = answer("3\r\nabc\r\n");
    let script = format!("{head},w30,{chunk},w30,{chunk},w30,{chunk},{}", answer("0\r\n\r\n"));
    let answer = app.ask("GET /x", &steps(&script), "");
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.text(), "abcabcabc");
}

fn f06_a_delayed_body(app: &App) {
    let head = answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    let script = format!("{head},w300,{}", answer("0123456789"));
    let answer = app.ask("GET /x", &steps(&script), "");
    assert_eq!(
        (answer.header("content-length"), answer.text().as_str()),
        (Some("10"), "0123456789")
    );
}

fn f07_head_byte_by_byte(app: &App) {
    let raw = answer("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 2\r\n\r\nhi");
    let bytes: Vec<&str> = (0..raw.len() / 2).map(|at| &raw[2 * at..2 * at + 2]).collect();
    let answer = app.ask("GET /x", &steps(&bytes.join(",w1,")), "");
    assert_eq!((answer.text().as_str(), answer.header("etag")), ("hi", Some("\"a\"")));
}

fn f08_a_connection_left_open(app: &App) {
    let raw = answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    // `e` waits for the bridge to close: it does, and it does not wait for the app to.
    assert_eq!(app.ask("GET /x", &steps(&format!("{raw},e")), "").text(), "hi");
}

fn f09_chunked_and_length(app: &App) {
    let raw = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
        5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(app.answered(raw).text(), "hello");
}

/// The client gets what the app sent, and sees that something is missing: fewer bytes than announced,
/// or no last chunk.
fn cut_short(app: &App, script: &str, expected: &[u8]) {
    let raw = app.raw(app.request("GET /x", &steps(script), ""));
    let end = raw.bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let (head, body) = raw.bytes.split_at(end + 4);
    let head = String::from_utf8_lossy(head).into_owned();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    if let Some(length) = super::app::line(&head, "content-length") {
        assert!(body.len() < length.parse().unwrap(), "{head}");
        assert!(body == expected, "{} bytes of {}", body.len(), expected.len());
        return;
    }
    assert!(!body.ends_with(b"\r\n0\r\n\r\n"), "{head}");
    // As if it were complete.
    let answer = parse(&[&raw.bytes[..], b"0\r\n\r\n"].concat(), false);
    assert!(answer.body == expected, "{} bytes of {}", answer.body.len(), expected.len());
}

const SIZED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Free: the original's client hangs, here and in the next two of 200.
fn f10_an_early_end(app: &App) {
    // With the head in one piece and later; the app's script comes in a header, of limited length.
    for pause in ["", ",w100"] {
        for length in [1, 100, 20_000] {
            let body = "x".repeat(length);
            let sized = format!("{}{pause},{}", answer(SIZED), answer(&body));
            cut_short(app, &sized, body.as_bytes());
            let chunk = answer(&format!("{length:x}\r\n{body}\r\n"));
            cut_short(app, &format!("{}{pause},{chunk}", answer(CHUNKED)), body.as_bytes());
        }
    }
}

fn f11_an_early_end_of_an_error(app: &App) {
    assert_eq!(app.answered("HTTP/1.1 404 X\r\nContent-Length: 100\r\n\r\nshort").status, 500);
}

fn f12_a_bad_chunk(app: &App) {
    for pause in ["", "w100,"] {
        let head = answer(&format!("{CHUNKED}3\r\nabc\r\n"));
        cut_short(app, &format!("{head},{pause}{}", answer("zz\r\nabc\r\n")), b"abc");
    }
}

fn f13_a_reset_in_a_stream(app: &App) {
    for pause in ["", "w100,"] {
        let head = answer(&format!("{CHUNKED}3\r\nabc\r\n"));
        cut_short(app, &format!("{head},{pause}r"), b"abc");
        cut_short(app, &format!("{},{pause}r", answer(&format!("{SIZED}abc"))), b"abc");
    }
}

fn f14_no_answer(app: &App) {
    assert_eq!(app.ask("GET /x", &steps("w1"), "").status, 500);
}

fn f15_a_reset_before_the_answer(app: &App) {
    assert!(app.raw(app.request("POST /x", &steps("r"), "")).bytes.is_empty());
}

/// Free: the original answers 500.
fn f16_extra_bytes(app: &App) {
    let raw = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\nsmuggled";
    assert_eq!(app.answered(raw).text(), "hi");
}

fn f17_a_large_download(app: &App) {
    for query in ["200000000", "50000000,chunked"] {
        let (bytes, _) = query.split_once(',').unwrap_or((query, ""));
        let bytes: usize = bytes.parse().unwrap();
        let mut stream = app.connect();
        let request = app.request(&format!("GET /source?{query}"), "", "");
        stream.write_all(request.as_bytes()).unwrap();
        if query.contains("chunked") {
            let answer = parse(&rest(&mut stream).bytes, false);
            assert_eq!(answer.body.len(), bytes);
            assert!(is_pattern(&answer.body, 0));
            continue;
        }
        let head = read_until(&mut stream, "\r\n\r\n");
        assert!(head.contains(&format!("content-length: {bytes}\r\n")), "{head}");
        let (mut buffer, mut got) = (vec![0; 1 << 20], 0);
        loop {
            let count = stream.read(&mut buffer).unwrap();
            if count == 0 {
                break;
            }
            assert!(is_pattern(&buffer[..count], got), "wrong bytes after {got}");
            got += count as u64;
        }
        assert_eq!(got, bytes as u64);
    }
}

fn is_pattern(mut bytes: &[u8], mut offset: u64) -> bool {
    while !bytes.is_empty() {
        let expected = pattern(offset);
        let length = bytes.len().min(expected.len());
        if bytes[..length] != expected[..length] {
            return false;
        }
        (bytes, offset) = (&bytes[length..], offset + length as u64);
    }
    true
}

fn f19_a_client_that_leaves_a_stream(app: &App) {
    // After its client has gone the app's connection ends, and the next step can count it.
    let head = answer("HTTP/1.1 200 OK\r\n\r\nfirst");
    let mut stream = app.connect();
    let request = app.request("GET /x", &steps(&format!("{head},e")), "");
    stream.write_all(request.as_bytes()).unwrap();
    read_until(&mut stream, "first");
    drop(stream);
    // The app goes on answering others.
    assert_eq!(app.ask("GET /x", "", "").status, 200);
}

fn f22_events(app: &App) {
    let mut stream = app.connect();
    let request = app.request("GET /events?3,300", "Accept: text/event-stream\r\n", "");
    stream.write_all(request.as_bytes()).unwrap();
    let head = read_until(&mut stream, "\r\n\r\n");
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    // The stream does not end: each event is here as soon as it was sent.
    for number in 1..=3 {
        read_until(&mut stream, &format!("id: {number}\ndata: event {number}\n\n"));
    }
}

fn f23_pipelining(app: &App) {
    let one = format!("GET /1 HTTP/1.1\r\nHost: {}\r\n\r\n", app.host);
    let last = app.request("GET /2", "", "");
    let mut raw = app.raw(format!("{one}{last}")).bytes;
    let first = parse(&raw, false);
    assert!(first.text().starts_with("GET /1 "));
    let second = raw.windows(12).rposition(|window| window == b"HTTP/1.1 200").unwrap();
    assert!(parse(&raw.split_off(second), false).text().starts_with("GET /2 "));
}

fn gzip_passes_through(app: &App) {
    let raw = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x0b\x08!";
    let answer = app.answered_to("GET /x", "Accept-Encoding: gzip\r\n", raw);
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.body, b"\x1f\x0b\x08!");
}

/// The protocol carries none (http-bridge §4.3); the front end cuts them out of what has a length.
fn ranges_of_what_has_a_length(app: &App) {
    let part = |target: &str, headers: &str| app.ask(&format!("GET {target}"), headers, "");
    let answer = part("/source?1000000", "Range: bytes=10-19\r\n");
    assert_eq!((answer.status, answer.body.as_slice()), (206, &pattern(10)[..10]));
    assert_eq!(answer.header("content-range"), Some("bytes 10-19/1000000"));
    assert_eq!(answer.header("content-length"), Some("10"));
    let answer = part("/source?1000000", "Range: bytes=999990-\r\n");
    assert_eq!((answer.status, answer.body.as_slice()), (206, &pattern(999_990)[..10]));
    let answer = part("/source?1000000", "Range: bytes=-5\r\n");
    assert_eq!(answer.header("content-range"), Some("bytes 999995-999999/1000000"));
    // Small ones come in one piece.
    let answer = part("/source?100", "Range: bytes=90-1000\r\n");
    assert_eq!(answer.header("content-range"), Some("bytes 90-99/100"));
    let answer = part("/source?100", "Range: bytes=100-\r\n");
    assert_eq!((answer.status, answer.header("content-range")), (416, Some("bytes */100")));
    // Without a length, or when the client's part is of another version: all of it.
    assert_eq!(part("/source?100000,chunked", "Range: bytes=0-9\r\n").status, 200);
    let same = "Range: bytes=0-9\r\nIf-Range: \"pattern\"\r\n";
    assert_eq!(part("/source?100000,tag", same).status, 206);
    let other = "Range: bytes=0-9\r\nIf-Range: \"other\"\r\n";
    assert_eq!(part("/source?100000,tag", other).status, 200);
    for odd in ["bytes=0-1,3-4", "bytes=5-4", "lines=0-1", "bytes=", "bytes=a-b", "bytes=--1"] {
        assert_eq!(part("/source?100", &format!("Range: {odd}\r\n")).status, 200, "{odd}");
    }
    assert_eq!(app.ask("POST /x", "Range: bytes=0-1\r\nContent-Length: 0\r\n", "").status, 200);
}
