//! 10.6: which headers an answer has.

use crate::Row;
use crate::row::ask;
use crate::session::Reply;

/// Those of content.
pub fn h01_h06_h08_h10_of_content() -> Vec<Row> {
    let full = |reply: &mut Reply| {
        let mut content = reply.response().init_content();
        content.set_mime_type("text/x; charset=y");
        content.set_encoding("gzip");
        content.set_language("en, fr");
        let mut tag = content.reborrow().init_e_tag();
        tag.set_value("x");
        tag.set_weak(true);
        content.reborrow().get_disposition().set_download("a\"b\\c.txt");
        content.get_body().set_bytes(b"abc");
    };
    let mut rows = vec![
        ask("GET /")
            .answered(full)
            .header("content-type", "text/x; charset=y")
            .header("content-encoding", "gzip")
            .header("content-language", "en, fr")
            .header("etag", "W/\"x\"")
            .header("content-disposition", r#"attachment; filename="a\"b\\c.txt""#)
            .says("abc"),
        // None of these was said.
        ask("GET /")
            .answered(|reply| reply.response().init_content().get_body().set_bytes(b"abc"))
            .without("content-type")
            .without("content-encoding")
            .without("content-language")
            .without("etag")
            .without("content-disposition"),
    ];
    // Sessions that took the escapes out get them back: what comes out is one tag.
    for (value, line) in [("a,b", r#""a,b""#), ("a\"b", r#""a\"b""#), ("a\\\"b", r#""a\"b""#)] {
        let tag = move |reply: &mut Reply| {
            reply.response().init_content().init_e_tag().set_value(value);
        };
        rows.push(ask("GET /").answered(tag).header("etag", line));
    }
    rows
}

/// Listed ones pass, in lower case; others do not, and none can split the head.
pub fn h04_h05_listed_headers() -> Vec<Row> {
    let fill = |reply: &mut Reply| {
        let lines = [
            ("x-sandstorm-app-z", "1, 2"),
            ("X-OC-MTime", "accepted"),
            ("server", "evil"),
            ("transfer-encoding", "chunked"),
            ("connection", "upgrade"),
            ("x-evil", "1"),
            ("x-sandstorm-app-crlf", "a\r\nSet-Cookie: stolen=1"),
        ];
        let mut list = reply.response().init_additional_headers(lines.len() as u32);
        for (index, (name, value)) in lines.into_iter().enumerate() {
            let mut header = list.reborrow().get(index as u32);
            header.set_name(name);
            header.set_value(value);
        }
        reply.response().init_client_error();
    };
    vec![
        ask("GET /")
            .answered(fill)
            .status(400)
            .header("x-sandstorm-app-z", "1, 2")
            .header("x-oc-mtime", "accepted")
            .header("content-length", "0")
            .without("server")
            .without("transfer-encoding")
            .without("x-evil")
            .without("x-sandstorm-app-crlf")
            .without("set-cookie"),
    ]
}
