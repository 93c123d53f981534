//! http-bridge §10.2: the head of the request that the app gets.

use super::app::{App, line};

crate::rows![
    b01_the_target_is_unchanged,
    b02_the_root,
    b03_a_fragment_is_no_part_of_a_target,
    b04_one_connection_per_request,
    b05_b06_b11_who_asks,
    b12_permissions,
    b14_b15_session_and_tab,
    b16_base_path_with_port,
    b19_languages,
    b20_no_languages,
    b21_no_user_agent,
    b22_another_user_agent_is_another_session,
    b23_accept,
    b24_no_accept,
    b25_a_quality_that_is_no_number,
    b26_accept_encoding,
    b27_no_accept_encoding,
    b28_cookies,
    b29_only_our_own_cookie,
    b30_two_lines_of_cookies,
    b31_listed_headers,
    b32_a_bare_prefix,
    b33_headers_that_do_not_pass,
    b34_unlisted_headers,
    b38_if_none_match,
    b39_any_tag,
    b40_both_preconditions,
    b41_a_tag_without_quotes,
    b42_an_escaped_quote,
    b43_a_large_header,
    b44_a_header_too_large,
    b45_other_forms_of_target,
];

fn head(app: &App, headers: &str) -> String {
    app.seen("GET /x", headers, "")
}

fn b01_the_target_is_unchanged(app: &App) {
    for target in ["//a%20b/c?d=e%2f&f=g+h", "/a/../b/./c?", "/%ff%C3%A9;x=|'[]{}^", "///", "/?"] {
        let seen = app.seen(&format!("GET {target}"), "", "");
        assert!(seen.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{target}: {seen}");
    }
}

fn b02_the_root(app: &App) {
    assert!(app.seen("GET /", "", "").starts_with("GET / HTTP/1.1\r\n"));
}

fn b03_a_fragment_is_no_part_of_a_target(app: &App) {
    // Clients do not send one; what follows the sign never reaches the app.
    let raw = app.raw(app.request("GET /x#y", "", ""));
    let text = String::from_utf8_lossy(&raw.bytes);
    assert!(!text.contains("#y"), "{text}");
}

fn b04_one_connection_per_request(app: &App) {
    assert_eq!(line(&head(app, ""), "connection"), Some("close"));
}

fn b05_b06_b11_who_asks(app: &App) {
    let head = head(app, "");
    assert_eq!(line(&head, "x-sandstorm-username"), Some("Alice%20Dev%20Admin"));
    assert_eq!(line(&head, "x-sandstorm-preferred-handle"), Some("alice"));
    assert_eq!(line(&head, "x-sandstorm-user-pronouns"), Some("female"));
    let id = line(&head, "x-sandstorm-user-id").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{id}");
}

fn b12_permissions(app: &App) {
    // The package defines none.
    assert_eq!(line(&head(app, ""), "x-sandstorm-permissions"), Some(""));
}

fn b14_b15_session_and_tab(app: &App) {
    let head = head(app, "");
    let tab = line(&head, "x-sandstorm-tab-id").unwrap();
    assert!(tab.len() == 32 && tab.bytes().all(|byte| b"0123456789abcdef".contains(&byte)));
    assert!(!line(&head, "x-sandstorm-session-id").unwrap().is_empty());
    assert_eq!(line(&head, "x-sandstorm-session-type"), Some("normal"));
}

fn b16_base_path_with_port(app: &App) {
    let head = head(app, "");
    assert_eq!(line(&head, "host"), Some(app.host.as_str()));
    assert_eq!(line(&head, "x-forwarded-proto"), Some("http"));
    assert_eq!(line(&head, "x-sandstorm-base-path"), Some(app.origin().as_str()));
}

fn b19_languages(app: &App) {
    let head = head(app, "Accept-Language: fr-CH, fr;q=0.9, en;q=0.8\r\n");
    assert_eq!(line(&head, "accept-language"), Some("fr-CH,fr;q=0.9,en;q=0.8"));
}

fn b20_no_languages(app: &App) {
    assert_eq!(line(&head(app, ""), "accept-language"), Some("en-US,en"));
}

fn b21_no_user_agent(app: &App) {
    assert_eq!(line(&head(app, ""), "user-agent"), Some("UnknownAgent/0.0"));
}

/// Free: the original keeps the first one.
fn b22_another_user_agent_is_another_session(app: &App) {
    let one = head(app, "User-Agent: One/1\r\n");
    let two = head(app, "User-Agent: Two/2\r\n");
    assert_eq!(line(&one, "user-agent"), Some("One/1"));
    assert_eq!(line(&two, "user-agent"), Some("Two/2"));
    assert_ne!(line(&one, "x-sandstorm-session-id"), line(&two, "x-sandstorm-session-id"));
}

fn b23_accept(app: &App) {
    let sent = "text/html;level=1;q=0.4, application/json;q=0.75, */*;q=0.1, image/png";
    let head = head(app, &format!("Accept: {sent}\r\n"));
    let expected = "text/html; q=0.4, application/json; q=0.75, */*; q=0.1, image/png";
    assert_eq!(line(&head, "accept"), Some(expected));
}

fn b24_no_accept(app: &App) {
    assert_eq!(line(&head(app, ""), "accept"), Some("*/*"));
}

/// Free: the original answers 500.
fn b25_a_quality_that_is_no_number(app: &App) {
    assert_eq!(line(&head(app, "Accept: text/html;q=abc\r\n"), "accept"), Some("text/html"));
}

fn b26_accept_encoding(app: &App) {
    let head = head(app, "Accept-Encoding: gzip, br;q=0.5\r\n");
    assert_eq!(line(&head, "accept-encoding"), Some("gzip, br; q=0.5"));
}

fn b27_no_accept_encoding(app: &App) {
    assert_eq!(line(&head(app, ""), "accept-encoding"), None);
}

fn b28_cookies(app: &App) {
    let head = head(app, "Cookie: sandstorm-sid=S; foo=bar; flag; x = y z \r\n");
    assert_eq!(line(&head, "cookie"), Some("foo=bar; flag=; x=y z"));
}

fn b29_only_our_own_cookie(app: &App) {
    assert_eq!(line(&head(app, "Cookie: sandstorm-sid=S\r\n"), "cookie"), None);
}

/// Free: the original makes one wrong cookie of them.
fn b30_two_lines_of_cookies(app: &App) {
    let head = head(app, "Cookie: a=1\r\nCookie: b=2; c=3\r\n");
    assert_eq!(line(&head, "cookie"), Some("a=1; b=2; c=3"));
}

fn b31_listed_headers(app: &App) {
    let head = head(
        app,
        "X-Sandstorm-App-Foo: Bar\r\nX-Requested-With: X\r\nX-CSRF-Token: t\r\nOC-Chunked: 1\r\n\
         X-HgArg-1: h\r\nX-Phabricator-Via: p\r\nX-OC-MTime: 5\r\n",
    );
    for (name, value) in [
        ("x-sandstorm-app-foo", "Bar"),
        ("x-requested-with", "X"),
        ("x-csrf-token", "t"),
        ("oc-chunked", "1"),
        ("x-hgarg-1", "h"),
        ("x-phabricator-via", "p"),
        ("x-oc-mtime", "5"),
    ] {
        assert_eq!(line(&head, name), Some(value), "{head}");
    }
}

fn b32_a_bare_prefix(app: &App) {
    assert!(!head(app, "x-sandstorm-app-: v\r\n").to_lowercase().contains("x-sandstorm-app-:"));
}

fn b33_headers_that_do_not_pass(app: &App) {
    let names = [
        "Referer",
        "If-Modified-Since",
        "Authorization",
        "X-Forwarded-For",
        "Cache-Control",
        "Range",
        "If-Range",
        "Pragma",
        "DNT",
        "Via",
        "TE",
        "Sec-Fetch-Mode",
        "X-Real-IP",
        "X-Sandstorm-User-Id",
        "X-Sandstorm-Permissions",
        "X-Sandstorm-Username",
    ];
    let sent: String = names.iter().map(|name| format!("{name}: forged\r\n")).collect();
    let head = head(app, &format!("{sent}Origin: {}\r\n", app.origin()));
    assert!(!head.contains("forged") && line(&head, "origin").is_none(), "{head}");
}

fn b34_unlisted_headers(app: &App) {
    assert_eq!(line(&head(app, "Evil: 1\r\n"), "evil"), None);
}

fn b38_if_none_match(app: &App) {
    let head = head(app, "If-None-Match: \"a\" , W/\"b\"\r\n");
    assert_eq!(line(&head, "if-none-match"), Some("\"a\", W/\"b\""));
}

fn b39_any_tag(app: &App) {
    assert_eq!(line(&head(app, "If-Match: *\r\n"), "if-match"), Some("*"));
    assert_eq!(line(&head(app, "If-None-Match: *\r\n"), "if-none-match"), Some("*"));
}

fn b40_both_preconditions(app: &App) {
    let head = head(app, "If-None-Match: \"n\"\r\nIf-Match: \"m\"\r\n");
    assert_eq!((line(&head, "if-match"), line(&head, "if-none-match")), (Some("\"m\""), None));
}

/// Free: the original answers 500.
fn b41_a_tag_without_quotes(app: &App) {
    assert_eq!(app.ask("GET /x", "If-None-Match: bare\r\n", "").status, 400);
}

/// Free: the original loses the backslash.
fn b42_an_escaped_quote(app: &App) {
    let head = head(app, "If-None-Match: \"b\\\"c\"\r\n");
    assert_eq!(line(&head, "if-none-match"), Some("\"b\\\"c\""));
}

fn b43_a_large_header(app: &App) {
    let value = "v".repeat(100_000);
    let head = head(app, &format!("X-Requested-With: {value}\r\n"));
    assert_eq!(line(&head, "x-requested-with"), Some(value.as_str()));
}

/// Free: the original closes the connection.
fn b44_a_header_too_large(app: &App) {
    let value = "v".repeat(140_000);
    let answer = app.ask("GET /x", &format!("X-Requested-With: {value}\r\n"), "");
    assert_eq!(answer.status, 431);
    assert_eq!(app.ask(&format!("GET /{}", &value[..70_000]), "", "").status, 414);
}

/// Free: the original answers 500.
fn b45_other_forms_of_target(app: &App) {
    // Absolute-form that names this very host is the same request (RFC 9112, 3.2.2).
    let target = format!("GET {}/x?y", app.origin());
    assert!(app.seen(&target, "", "").starts_with("GET /x?y HTTP/1.1\r\n"));
    for line in ["GET http://other.example/x", "GET https://spk.localhost/x", "OPTIONS *"] {
        assert_eq!(app.ask(line, "", "").status, 400, "{line}");
    }
}
