//! http-bridge §10.3: bodies of requests.

use std::io::Write;

use spk_tests::web::pattern;

use super::app::{App, line, read_until, rest, scripted, steps};

crate::rows![
    c01_post,
    c02_empty_post,
    c03_put_without_type,
    c04_encoded_post,
    c05_65535_bytes,
    c06_65536_bytes,
    c07_chunked,
    c08_patch,
    c09_large_patch,
    c10_delete,
    c17_an_upload_cut_short,
    c18_an_answer_before_the_body,
    c21_continue,
    c22_an_answer_during_the_upload,
    trailers_end_a_body_and_do_not_pass,
];

fn of_length(length: usize) -> String {
    format!("Content-Length: {length}\r\n")
}

fn c01_post(app: &App) {
    let seen = app.seen("POST /p", "Content-Type: text/x; a=b\r\nContent-Length: 3\r\n", "abc");
    assert_eq!(line(&seen, "content-type"), Some("text/x; a=b"));
    assert_eq!(line(&seen, "content-length"), Some("3"));
    assert!(seen.ends_with("\r\n\r\nabc"), "{seen}");
}

fn c02_empty_post(app: &App) {
    for headers in ["Content-Length: 0\r\n", ""] {
        let seen = app.seen("POST /p", headers, "");
        assert_eq!(line(&seen, "content-length"), Some("0"), "{seen}");
        assert_eq!(line(&seen, "transfer-encoding"), None);
    }
}

/// Free: the original sends an empty line.
fn c03_put_without_type(app: &App) {
    let seen = app.seen("PUT /p", &of_length(1), "x");
    assert!(seen.starts_with("PUT /p ") && line(&seen, "content-type").is_none(), "{seen}");
}

fn c04_encoded_post(app: &App) {
    let headers = "Content-Encoding: gzip\r\nContent-Length: 4\r\n";
    let seen = app.seen("POST /p", headers, "\x1f\x0bab");
    assert_eq!(line(&seen, "content-encoding"), Some("gzip"));
    assert!(seen.ends_with("\r\n\r\n\x1f\x0bab"));
}

fn c05_65535_bytes(app: &App) {
    let seen = app.seen("POST /p", &of_length(65535), &"b".repeat(65535));
    assert_eq!(line(&seen, "content-length"), Some("65535"));
    assert!(seen.ends_with(&"b".repeat(65535)));
}

/// Free: the original hides the length from the app.
fn c06_65536_bytes(app: &App) {
    for length in [65536, 300_000] {
        let seen = app.seen("PUT /p", &of_length(length), &"b".repeat(length));
        assert_eq!(line(&seen, "content-length"), Some(length.to_string().as_str()));
        assert_eq!(line(&seen, "transfer-encoding"), None);
        assert!(seen.ends_with(&"b".repeat(length)));
    }
}

fn c07_chunked(app: &App) {
    let body = "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n";
    let seen = app.seen("POST /p", "Transfer-Encoding: chunked\r\n", body);
    assert_eq!(line(&seen, "transfer-encoding"), Some("chunked"));
    assert!(seen.ends_with("\r\n\r\nabc"), "{seen}");
}

fn c08_patch(app: &App) {
    let seen = app.seen("PATCH /p", &of_length(3_000_000), &"b".repeat(3_000_000));
    assert_eq!(line(&seen, "content-length"), Some("3000000"));
    assert!(seen.ends_with("bbb"));
}

/// Free: the original's messages are smaller.
fn c09_large_patch(app: &App) {
    const LENGTH: usize = 60_000_000;
    let (mut body, mut at) = (Vec::with_capacity(LENGTH), 0);
    while body.len() < LENGTH {
        let piece = pattern(at);
        let count = piece.len().min(LENGTH - body.len());
        body.extend_from_slice(&piece[..count]);
        at += count as u64;
    }
    let mut request = app.request("PATCH /sink", &of_length(LENGTH), "").into_bytes();
    request.extend_from_slice(&body);
    let answer = spk_tests::http::parse(&app.raw(request).bytes, false);
    assert_eq!(answer.text(), format!("{LENGTH} bytes, length, same=true"));
    let too_large = of_length(65 << 20);
    assert_eq!(app.ask("PATCH /p", &too_large, "").status, 413);
}

fn c10_delete(app: &App) {
    let seen = app.seen("DELETE /p", &of_length(5), "hello");
    assert!(seen.starts_with("DELETE /p "));
    assert!(line(&seen, "content-length").is_none() && seen.ends_with("\r\n\r\n"), "{seen}");
}

fn c17_an_upload_cut_short(app: &App) {
    // The app waits for the rest and must see the end of its connection: it would not answer.
    let mut stream = app.connect();
    let head = app.request("POST /cut-short", &of_length(1_000_000), "");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&[b'x'; 100_000]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(rest(&mut stream).bytes.is_empty());
    let head = app.request("POST /cut-short", "Transfer-Encoding: chunked\r\n", "5\r\nabc");
    let mut stream = app.connect();
    stream.write_all(head.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(rest(&mut stream).bytes.is_empty());
}

fn c18_an_answer_before_the_body(app: &App) {
    let early = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly";
    let script = steps(&format!("n,{}", spk_tests::web::answer(early)));
    let headers = format!("{script}{}", of_length(3_000_000));
    let answer = app.ask("POST /p", &headers, &"b".repeat(3_000_000));
    assert_eq!(answer.text(), "early");
}

/// Free: the original keeps silent, and clients wait in vain for a second.
fn c21_continue(app: &App) {
    let mut stream = app.connect();
    let headers = format!("Expect: 100-continue\r\n{}", of_length(3));
    stream.write_all(app.request("POST /p", &headers, "").as_bytes()).unwrap();
    let interim = read_until(&mut stream, "\r\n\r\n");
    assert!(interim.starts_with("HTTP/1.1 100 "), "{interim}");
    stream.write_all(b"abc").unwrap();
    let answer = spk_tests::http::parse(&rest(&mut stream).bytes, false);
    assert!(answer.text().ends_with("\r\n\r\nabc"));
    // Whoever is refused learns it without sending the body.
    let headers = "Expect: 100-continue\r\nContent-Length: 3\r\nOrigin: http://other\r\n";
    let answer = app.raw(app.request("POST /p", headers, ""));
    assert!(answer.bytes.starts_with(b"HTTP/1.1 403 "));
}

fn c22_an_answer_during_the_upload(app: &App) {
    let script = format!("n,{},w600000", spk_tests::web::answer("HTTP/1.1 200 OK\r\n\r\nfirst"));
    let mut stream = app.connect();
    let headers = format!("{}Transfer-Encoding: chunked\r\n", steps(&script));
    stream.write_all(app.request("POST /p", &headers, "").as_bytes()).unwrap();
    stream.write_all(b"3\r\nabc\r\n").unwrap();
    // The head and the first bytes are here although the upload has not ended.
    let head = read_until(&mut stream, "\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    read_until(&mut stream, "first");
}

fn trailers_end_a_body_and_do_not_pass(app: &App) {
    let body = "1\r\na\r\n0\r\nX-Sandstorm-App-Late: 1\r\n\r\n";
    let seen = app.seen("POST /p", "Transfer-Encoding: chunked\r\n", body);
    assert!(!seen.to_lowercase().contains("late") && seen.ends_with("\r\n\r\na"), "{seen}");
    let _ = scripted("");
}
