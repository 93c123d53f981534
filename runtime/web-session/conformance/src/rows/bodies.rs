//! 10.3: how a request's body reaches the session.

use crate::Row;
use crate::row::ask;
use crate::session::{Streams, script};

/// Longer than any user collects.
const TOO_LONG: &str = "Content-Length: 70000000";

/// In the call.
pub fn c01_to_c05_small_bodies() -> Vec<Row> {
    let mut rows = vec![
        ask("POST /p")
            .with("Content-Type: text/x")
            .with("Content-Encoding: gzip")
            .body("abc")
            .told("POST p\ntype=\"text/x\" encoding=\"gzip\" length=3"),
        ask("POST /p").body("").told("POST p\ntype=none encoding=none length=0"),
        // No length information at all is an empty body (http-bridge §4.9).
        ask("PUT /p").told("PUT p\ntype=none encoding=none length=0"),
    ];
    for method in ["POST", "PUT"] {
        rows.push(
            ask(&format!("{method} /p"))
                .body(pattern(65535))
                .told(format!("{method} p\ntype=none encoding=none length=65535")),
        );
        rows.push(returned(method).body(pattern(65535)).says(pattern(65535)));
    }
    rows
}

/// As they arrive.
pub fn c06_c07_c18_c22_long_and_chunked_bodies() -> Vec<Row> {
    let mut rows = Vec::new();
    for method in ["POST", "PUT"] {
        let line = format!("{method} /p");
        for length in [65536, 200_000] {
            let told = format!("{method} p streamed length={length} expected=Some({length})");
            rows.push(ask(&line).body(pattern(length)).told(told));
        }
        let told = format!("{method} p streamed length=3 expected=None");
        rows.push(ask(&line).chunked(b"abc").told(told));
        rows.push(returned(method).body(pattern(200_000)).says(pattern(200_000)));
        // An answer before the end of the body, and from a session that takes no more of it.
        for path in ["early", "breaks"] {
            rows.push(ask(&format!("{method} /{path}")).body(pattern(100_000)).once());
        }
    }
    rows
}

/// Methods that never stream.
pub fn c08_c10_patch_and_delete() -> Vec<Row> {
    vec![
        ask("PATCH /p")
            .body(pattern(3_000_000))
            .told("PATCH p\ntype=none encoding=none length=3000000"),
        returned("PATCH").body(pattern(200_000)).says(pattern(200_000)),
        ask("PATCH /p").with(TOO_LONG).refused(413),
        ask("DELETE /p").body("abc").told("DELETE p").once(),
    ]
}

/// Sessions that do not stream, as all that real servers have for apps, get the body in the call.
pub fn c19_c20_sessions_without_streams() -> Vec<Row> {
    let mut rows = Vec::new();
    for streams in [Streams::No, Streams::OldNo] {
        for method in ["POST", "PUT"] {
            let line = format!("{method} /p");
            let told =
                |length: usize| format!("{method} p\ntype=\"a/b\" encoding=none length={length}");
            let ask = |line: &str| ask(line).with("Content-Type: a/b").streams(streams);
            rows.extend([
                ask(&line).body(pattern(65536)).told(told(65536)),
                ask(&line).body(pattern(200_000)).told(told(200_000)),
                ask(&line).chunked(b"hello there").told(told(11)),
                ask(&line).chunked(&pattern(100_000)).told(told(100_000)),
                ask(&line).chunked(b"").told(told(0)),
                ask(&line).with(TOO_LONG).refused(413),
                returned(method).streams(streams).chunked(b"a,b").says("a,b"),
            ]);
        }
    }
    rows
}

/// Bytes whose order can be seen.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 7 + n / 256) as u8).collect()
}

/// A request whose body comes back.
fn returned(method: &str) -> Row {
    ask(&format!("{method} /")).runs(script(|call, mut reply| async move {
        reply.response().init_content().get_body().set_bytes(&call.body);
        Ok(())
    }))
}
