//! http-bridge §10.9: names, origins, and what must not be smuggled past them.

use spk_tests::http::parse;

use super::app::App;

crate::rows![
    g01_the_name_is_the_key,
    g02_the_way_in,
    g03_a_path_in_percent_code,
    g04_parameters_in_any_order,
    g05_no_way_out,
    g06_foreign_origin,
    g07_null_origin,
    g08_own_origin,
    g09_a_cookie_of_another_session,
    g10_letter_case_of_host,
    g11_no_host,
    g12_self_test,
    g13_unknown_host,
    g17_http_1_0_client,
    smuggled_lengths,
    smuggled_lines,
    smuggled_targets,
    another_session_cannot_be_reached,
];

fn to_host(app: &App, host: &str, line: &str, headers: &str) -> spk_tests::http::Response {
    let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
    parse(&app.raw(request).bytes, false)
}

/// Free: with the original a cookie is the key, and a request without it is a 403.
fn g01_the_name_is_the_key(app: &App) {
    assert_eq!(app.ask("GET /x", "", "").status, 200);
    let other = format!("ui-{}.spk.localhost:{}", "0".repeat(32), app.port);
    assert_eq!(to_host(app, &other, "GET /x", "").status, 404);
}

fn g02_the_way_in(app: &App) {
    let answer = app.ask("GET /_sandstorm-init?sessionid=s&path=/x", "", "");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/x")));
    assert_eq!(answer.header("set-cookie"), Some("sandstorm-sid=s; HttpOnly"));
}

fn g03_a_path_in_percent_code(app: &App) {
    let answer = app.ask("GET /_sandstorm-init?sessionid=s&path=foo%3Fbar", "", "");
    assert_eq!(answer.header("location"), Some("/foo?bar"));
}

/// Free: the original answers 500.
fn g04_parameters_in_any_order(app: &App) {
    let answer = app.ask("GET /_sandstorm-init?path=/x&more=1&sessionid=s", "", "");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/x")));
}

/// Free: the original sends the browser to the other site.
fn g05_no_way_out(app: &App) {
    for path in
        ["//evil/x", "/%5cevil", "%2f%2fevil", "/x%0d%0aSet-Cookie:%20a=b", "\\evil", "/%09/evil"]
    {
        let answer = app.ask(&format!("GET /_sandstorm-init?sessionid=s&path={path}"), "", "");
        assert_eq!((answer.status, answer.header("location")), (400, None), "{path}");
    }
}

fn g06_foreign_origin(app: &App) {
    for method in ["GET", "POST", "OPTIONS"] {
        for origin in ["http://evil.example".to_owned(), app.parent(), format!("{}x", app.origin())]
        {
            let headers = format!("Origin: {origin}\r\nContent-Length: 0\r\n");
            let answer = app.ask(&format!("{method} /g06"), &headers, "");
            assert_eq!(answer.status, 403, "{method} from {origin}");
        }
    }
    assert_eq!(app.count("/g06"), 0);
}

fn g07_null_origin(app: &App) {
    assert_eq!(app.ask("POST /x", "Origin: null\r\nContent-Length: 0\r\n", "").status, 200);
}

fn g08_own_origin(app: &App) {
    let headers = format!("Origin: {}\r\nContent-Length: 0\r\n", app.origin());
    assert_eq!(app.ask("POST /x", &headers, "").status, 200);
}

/// Free: with the original the cookie decides, whatever the name of the host.
fn g09_a_cookie_of_another_session(app: &App) {
    let other = format!("ui-{}.spk.localhost:{}", "1".repeat(32), app.port);
    let id = &app.host["ui-".len()..][..32];
    let cookie = format!("Cookie: sandstorm-sid={id}\r\n");
    assert_eq!(to_host(app, &other, "GET /x", &cookie).status, 404);
}

/// Free: the original takes it for a foreign host.
fn g10_letter_case_of_host(app: &App) {
    assert_eq!(to_host(app, &app.host.to_uppercase(), "GET /x", "").status, 200);
}

/// Free: the original answers 403.
fn g11_no_host(app: &App) {
    let answer = parse(&app.raw("GET /x HTTP/1.1\r\nConnection: close\r\n\r\n").bytes, false);
    assert_eq!(answer.status, 400);
}

fn g12_self_test(app: &App) {
    let host = format!("selftest-x.spk.localhost:{}", app.port);
    let answer = to_host(app, &host, "GET /", "");
    assert_eq!((answer.status, answer.text().trim()), (200, "Self-test OK."));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(to_host(app, &host, "GET /x", "").status, 400);
}

fn g13_unknown_host(app: &App) {
    let port = app.port;
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("{}.evil.example", app.host),
        format!("x.{}", app.host),
    ] {
        let answer = to_host(app, &host, "GET /g13", "");
        assert_eq!(answer.status, 404, "{host}");
        assert!(answer.header("content-type").unwrap().starts_with("text/html"));
    }
    assert_eq!(app.count("/g13"), 0);
}

fn g17_http_1_0_client(app: &App) {
    let raw = app.raw(format!("GET /x HTTP/1.0\r\nHost: {}\r\n\r\n", app.host)).bytes;
    assert_eq!(parse(&raw, false).status, 200);
}

/// None of these may reach the app, and nothing may be read out of the body of one.
fn refused(app: &App, target: &str, requests: &[String]) {
    for request in requests {
        let raw = app.raw(request);
        let text = String::from_utf8_lossy(&raw.bytes).into_owned();
        assert!(
            text.starts_with("HTTP/1.1 4") || text.starts_with("HTTP/1.1 5"),
            "{request:?}: {text}"
        );
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{request:?}: {text}");
    }
    assert_eq!(app.count(target), 0);
    assert_eq!(app.count("/hidden"), 0);
}

fn smuggled_lengths(app: &App) {
    let start = format!("POST /smuggled-1 HTTP/1.1\r\nHost: {}\r\n", app.host);
    let hidden = format!("GET /hidden HTTP/1.1\r\nHost: {}\r\n\r\n", app.host);
    let requests: Vec<String> = [
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 1, 2\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length : 1\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Content-Length: 1\r\n",
    ]
    .iter()
    .map(|headers| format!("{start}{headers}\r\n{hidden}"))
    .collect();
    refused(app, "/smuggled-1", &requests);
    // Both lengths: read as chunked, and the connection ends with it (RFC 9112, 6.1).
    let both = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n";
    let raw = app
        .raw(format!("{}{both}\r\n0\r\n\r\n{hidden}", start.replace("/smuggled-1", "/smuggled-2")));
    let text = String::from_utf8_lossy(&raw.bytes).into_owned();
    assert_eq!(text.matches("HTTP/1.1 200").count(), 1, "{text}");
    assert_eq!(app.count("/hidden"), 0);
    // Bad chunks end the request without an answer from the app.
    for body in
        ["zz\r\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "-1\r\n", "10000000000000000\r\nx"]
    {
        let raw = app.raw(format!(
            "{}Transfer-Encoding: chunked\r\n\r\n{body}{hidden}",
            start.replace("/smuggled-1", "/smuggled-3")
        ));
        let text = String::from_utf8_lossy(&raw.bytes).into_owned();
        assert!(!text.contains("HTTP/1.1 200"), "{body:?}: {text}");
    }
    assert_eq!(app.count("/hidden"), 0);
}

fn smuggled_lines(app: &App) {
    let start = format!("GET /smuggled-4 HTTP/1.1\r\nHost: {}\r\n", app.host);
    let requests: Vec<String> = [
        "X-Sandstorm-App-A: a\r\n folded: b\r\n",
        "X-Sandstorm-App-A: a\0b\r\n",
        "X-Sandstorm-App-A: a\x07b\r\n",
        "X-Sandstorm-App-A\r\n",
        ": no name\r\n",
        "X Sandstorm: a\r\n",
        "Host: other\r\n",
    ]
    .iter()
    .map(|headers| format!("{start}{headers}\r\n"))
    .collect();
    refused(app, "/smuggled-4", &requests);
    // A bare CR in a value is not passed on, whatever the answer.
    let raw = app.raw(format!("{start}X-Sandstorm-App-A: a\rEvil: b\r\nConnection: close\r\n\r\n"));
    assert!(!String::from_utf8_lossy(&raw.bytes).contains("\rEvil"));
}

fn smuggled_targets(app: &App) {
    let request = |target: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", app.host)
    };
    let requests: Vec<String> = [
        "http://evil.example/smuggled-5",
        "//evil.example:1/smuggled-5 x",
        "/smuggled-5%00.html",
        "/smuggled-5?a=%00",
        "smuggled-5",
        "*",
        "/smuggled-5\t/x",
        "/smuggled-5\x01",
    ]
    .iter()
    .map(|target| request(target))
    .collect();
    refused(app, "/smuggled-5", &requests);
    let raw = app.raw(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", app.host));
    assert!(raw.bytes.starts_with(b"HTTP/1.1 400 "));
    // Line ends in percent code are text like any other: they reach the app undecoded.
    let seen = app.seen("GET /a%0d%0aEvil:%20b", "", "");
    assert!(seen.starts_with("GET /a%0d%0aEvil:%20b HTTP/1.1\r\n"));
    // The session has no part of a path that `..` could leave: the app gets it as it is.
    assert!(app.seen("GET /a/../../../b", "", "").starts_with("GET /a/../../../b "));
}

fn another_session_cannot_be_reached(app: &App) {
    // The name is all there is to know, and it cannot be asked for.
    let shell = format!("spk.localhost:{}", app.port);
    for path in ["/", "/as/bob", "/?token=0", "/?token="] {
        let answer = to_host(app, &shell, &format!("GET {path}"), "");
        // The page is the same for everybody: what it shows, its scripts ask for with a key.
        assert_eq!(answer.status, if path.starts_with("/as") { 404 } else { 200 }, "{path}");
        assert!(!answer.text().contains("ui-"));
    }
    let state = to_host(app, &shell, "GET /api/state", "");
    assert!(state.status == 403 && !state.text().contains("ui-"), "{state:?}");
}
