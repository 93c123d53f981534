//! http-bridge §10.4: WebDAV.

use super::app::{App, line, scripted};

crate::rows![
    d01_propfind,
    d02_propfind_with_depth,
    d03_propfind_that_is_no_xml,
    d04_copy,
    d05_copy_by_default,
    d06_move_to_an_absolute_url,
    d07_move_to_another_host,
    d08_move_without_destination,
    d09_destination,
    d11_unlock,
    d12_lock,
    d13_report,
    d14_acl,
    d15_mkcol,
    d16_options,
    d17_options_refused,
    d18_search,
];

const XML: &str = "application/xml;charset=utf-8";

fn d01_propfind(app: &App) {
    let seen = app.seen("PROPFIND /d", "", "");
    assert!(seen.starts_with("PROPFIND /d "));
    assert_eq!(line(&seen, "depth"), Some("infinity"));
    assert_eq!(line(&seen, "content-type"), Some(XML));
    assert_eq!(line(&seen, "content-length"), Some("0"));
}

fn d02_propfind_with_depth(app: &App) {
    let headers = "Depth: 1\r\nContent-Type: text/xml\r\nContent-Length: 4\r\n";
    let seen = app.seen("PROPFIND /d", headers, "<a/>");
    assert_eq!((line(&seen, "depth"), line(&seen, "content-type")), (Some("1"), Some(XML)));
    assert!(seen.ends_with("\r\n\r\n<a/>"));
}

fn d03_propfind_that_is_no_xml(app: &App) {
    let headers = "Content-Type: application/json\r\nContent-Length: 2\r\n";
    let answer = app.ask("PROPFIND /d03", headers, "{}");
    assert_eq!((answer.status, answer.text().trim()), (415, "Unsupported media type."));
    assert_eq!(app.count("/d03"), 0);
}

fn d04_copy(app: &App) {
    let seen = app.seen("COPY /d", "Destination: /x\r\nOverwrite: f\r\nDepth: 0\r\n", "");
    assert_eq!((line(&seen, "overwrite"), line(&seen, "depth")), (Some("F"), Some("0")));
}

fn d05_copy_by_default(app: &App) {
    let seen = app.seen("COPY /d", "Destination: /x\r\n", "");
    assert_eq!((line(&seen, "overwrite"), line(&seen, "depth")), (Some("T"), Some("infinity")));
}

fn d06_move_to_an_absolute_url(app: &App) {
    let headers = format!("Destination: {}/a%20b/c\r\n", app.origin().to_uppercase());
    let headers = headers.replace("/A%20B/C", "/a%20b/c");
    let seen = app.seen("MOVE /d", &headers, "");
    assert_eq!(line(&seen, "destination"), Some("/a%20b/c"), "{seen}");
}

/// Free: the original answers 500.
fn d07_move_to_another_host(app: &App) {
    let answer = app.ask("MOVE /d07", "Destination: http://other.example/x\r\n", "");
    assert_eq!(answer.status, 502);
    assert_eq!(app.count("/d07"), 0);
}

/// Free: the original answers 500.
fn d08_move_without_destination(app: &App) {
    assert_eq!(app.ask("MOVE /d", "", "").status, 400);
}

/// Free: the original gives a URL without the slash after the host, and refuses the comma.
fn d09_destination(app: &App) {
    let seen = app.seen("MOVE /d", "Destination: /d/e,f\r\n", "");
    assert_eq!(line(&seen, "destination"), Some("/d/e,f"));
}

fn d11_unlock(app: &App) {
    let seen = app.seen("UNLOCK /d", "Lock-Token: <urn:x>\r\n", "");
    assert_eq!(line(&seen, "lock-token"), Some("<urn:x>"));
}

fn d12_lock(app: &App) {
    let headers = "Timeout: Infinite\r\nIf: (<urn:x>)\r\nDepth: 0\r\n";
    let seen = app.seen("LOCK /d", headers, "");
    assert_eq!(line(&seen, "depth"), Some("0"));
    assert!(line(&seen, "timeout").is_none() && line(&seen, "if").is_none(), "{seen}");
}

fn d13_report(app: &App) {
    let headers = "Depth: 1\r\nContent-Type: text/xml\r\nContent-Length: 4\r\n";
    let seen = app.seen("REPORT /d", headers, "<a/>");
    assert_eq!(line(&seen, "content-type"), Some("text/xml"));
    assert_eq!(line(&seen, "depth"), None);
}

fn d14_acl(app: &App) {
    for method in ["ACL", "PROPPATCH"] {
        let headers = "Content-Type: application/xml\r\nContent-Length: 4\r\n";
        let seen = app.seen(&format!("{method} /d"), headers, "<a/>");
        assert!(seen.starts_with(method) && seen.ends_with("<a/>"), "{seen}");
    }
}

fn d15_mkcol(app: &App) {
    let seen = app.seen("MKCOL /d", "", "");
    assert_eq!(line(&seen, "content-length"), Some("0"));
}

fn d16_options(app: &App) {
    let raw = "HTTP/1.1 200 OK\r\nDAV: 1, 2,calendar-access\r\nDAV: addressbook\r\n\
        Content-Length: 4\r\n\r\nbody";
    let answer = app.answered_to("OPTIONS /d", "", raw);
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("dav"), Some("1, 2, calendar-access, addressbook"));
    assert_eq!(answer.header("access-control-expose-headers"), Some("DAV"));
}

fn d17_options_refused(app: &App) {
    for status in ["405 X", "500 X"] {
        let raw = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        let answer = app.answered_to("OPTIONS /d", "", &raw);
        assert_eq!((answer.status, answer.header("dav")), (200, None), "{status}");
    }
}

fn d18_search(app: &App) {
    for method in ["SEARCH", "PURGE", "TRACE", "MKACTIVITY", "NOTIFY", "BREW"] {
        let answer = app.ask(&format!("{method} /d18"), &scripted(""), "");
        assert_eq!(answer.status, 501, "{method}");
    }
    assert_eq!(app.count("/d18"), 0);
}
