//! http-bridge §10.6: headers and cookies of responses.

use spk_tests::http::Response;

use super::app::App;

crate::rows![
    h01_content_headers,
    h02_dropped_headers,
    h03_security_headers_are_ours,
    h04_a_listed_header_twice,
    h05_a_listed_header_on_an_error,
    h06_a_weak_tag,
    h07_an_invalid_tag,
    h08_an_escape_in_a_tag,
    h09_download,
    h10_download_with_escape,
    h11_download_with_semicolon,
    h12_download_without_name,
    h13_download_in_capitals,
    h14_extended_name,
    h15_inline,
    h16_cookie_attributes,
    h17_cookie_max_age,
    h18_cookie_date,
    h19_cookie_with_comma,
    h20_negative_max_age,
    h21_cookie_without_value,
    h22_cookie_with_bad_date,
    h23_max_age_wins,
    h24_cookie_spaces,
    h26_folded_header,
    h27_two_lengths,
    h28_a_large_head,
    h29_policy_of_browser_sessions,
    h32_redirect_body,
    no_control_characters_get_through,
];

fn with(app: &App, lines: &str) -> Response {
    let answer = app.answered(&format!("HTTP/1.1 200 OK\r\n{lines}\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(answer.status, 200, "{lines}: {answer:?}");
    answer
}

fn cookie(app: &App, line: &str) -> Option<String> {
    with(app, &format!("Set-Cookie: {line}")).header("set-cookie").map(str::to_owned)
}

fn disposition(app: &App, line: &str) -> Option<String> {
    let answer = with(app, &format!("Content-Disposition: {line}"));
    answer.header("content-disposition").map(str::to_owned)
}

fn h01_content_headers(app: &App) {
    let lines =
        "Content-Type: text/html; charset=x\r\nContent-Encoding: gzip\r\nContent-Language: de";
    let answer = with(app, lines);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=x"));
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.header("content-language"), Some("de"));
}

fn h02_dropped_headers(app: &App) {
    let names = [
        "Cache-Control",
        "Last-Modified",
        "Vary",
        "Expires",
        "Server",
        "Link",
        "Retry-After",
        "Allow",
    ];
    let lines: Vec<String> = names.iter().map(|name| format!("{name}: v")).collect();
    let answer = with(app, &lines.join("\r\n"));
    for name in names {
        assert_eq!(answer.header(&name.to_lowercase()), None);
    }
}

fn h03_security_headers_are_ours(app: &App) {
    let answer = with(
        app,
        "Access-Control-Allow-Origin: *\r\nX-Frame-Options: DENY\r\nContent-Security-Policy: x\r\n\
         Referrer-Policy: unsafe-url",
    );
    assert_eq!(answer.header("access-control-allow-origin"), None);
    policy(app, &answer);
}

fn policy(app: &App, answer: &Response) {
    let (parent, base) = (app.parent(), app.origin());
    let expected = [
        ("content-security-policy", format!("frame-ancestors {parent} {base}")),
        ("x-frame-options", format!("ALLOW-FROM {parent}")),
        ("referrer-policy", "same-origin".into()),
        ("permissions-policy", "interest-cohort=()".into()),
    ];
    for (name, value) in expected {
        let given: Vec<_> = answer.headers.iter().filter(|(given, _)| given == name).collect();
        assert_eq!(given, [&(name.to_owned(), value)]);
    }
}

fn h04_a_listed_header_twice(app: &App) {
    let answer = with(app, "X-Sandstorm-App-Z: 1\r\nx-sandstorm-app-z: 2");
    let given: Vec<_> =
        answer.headers.iter().filter(|(name, _)| name.starts_with("x-sandstorm")).collect();
    assert_eq!(given, [&("x-sandstorm-app-z".to_owned(), "1, 2".to_owned())]);
}

fn h05_a_listed_header_on_an_error(app: &App) {
    let answer =
        app.answered("HTTP/1.1 404 X\r\nX-OC-MTime: accepted\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((answer.status, answer.header("x-oc-mtime")), (404, Some("accepted")));
}

fn h06_a_weak_tag(app: &App) {
    assert_eq!(with(app, "ETag: W/\"x\"").header("etag"), Some("W/\"x\""));
}

/// Free: the original sends an empty tag.
fn h07_an_invalid_tag(app: &App) {
    assert_eq!(with(app, "ETag: bare").header("etag"), None);
}

/// Free: the original loses the backslash.
fn h08_an_escape_in_a_tag(app: &App) {
    assert_eq!(with(app, "ETag: \"a\\\"b\"").header("etag"), Some("\"a\\\"b\""));
}

fn h09_download(app: &App) {
    let got = disposition(app, "attachment; filename=foo.txt");
    assert_eq!(got.as_deref(), Some("attachment; filename=\"foo.txt\""));
}

fn h10_download_with_escape(app: &App) {
    let got = disposition(app, "attachment; filename=\"a\\\"b.txt\"");
    assert_eq!(got.as_deref(), Some("attachment; filename=\"a\\\"b.txt\""));
}

/// Free: the original splits the name.
fn h11_download_with_semicolon(app: &App) {
    let got = disposition(app, "attachment; filename=\"a;b.txt\"");
    assert_eq!(got.as_deref(), Some("attachment; filename=\"a;b.txt\""));
}

/// Free: the original shows it instead of saving it.
fn h12_download_without_name(app: &App) {
    assert_eq!(disposition(app, "attachment").as_deref(), Some("attachment; filename=\"x\""));
}

/// Free: the original knows lower case only.
fn h13_download_in_capitals(app: &App) {
    let got = disposition(app, "Attachment; filename=\"y\"");
    assert_eq!(got.as_deref(), Some("attachment; filename=\"y\""));
}

/// Free: the original takes the other name.
fn h14_extended_name(app: &App) {
    let got = disposition(app, "attachment; filename*=UTF-8''na%20me.txt; filename=\"name.txt\"");
    assert_eq!(got.as_deref(), Some("attachment; filename=\"na me.txt\""));
}

fn h15_inline(app: &App) {
    assert_eq!(disposition(app, "inline; filename=\"x\""), None);
}

fn h16_cookie_attributes(app: &App) {
    let got = cookie(app, "a=1; Path=/foo; HttpOnly; Secure; SameSite=Lax; Domain=x");
    assert_eq!(got.as_deref(), Some("a=1; Path=/foo; HttpOnly"));
}

fn h17_cookie_max_age(app: &App) {
    assert_eq!(cookie(app, "c=x=y; Max-Age=3600").as_deref(), Some("c=x=y; Max-Age=3600"));
}

fn h18_cookie_date(app: &App) {
    let got = cookie(app, "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(got.as_deref(), Some("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
}

/// The session host drops what the protocol says it drops.
fn h19_cookie_with_comma(app: &App) {
    assert_eq!(cookie(app, "b=\"q,r\""), None);
}

/// Free: the original lets it live for ever.
fn h20_negative_max_age(app: &App) {
    assert_eq!(cookie(app, "a=1; Max-Age=-1").as_deref(), Some("a=1; Max-Age=0"));
}

/// Free: the original answers 500.
fn h21_cookie_without_value(app: &App) {
    assert_eq!(cookie(app, "novalue"), None);
}

/// Free: the original answers 500.
fn h22_cookie_with_bad_date(app: &App) {
    let got = cookie(app, "a=1; Expires=-1");
    assert_eq!(got.as_deref(), Some("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
}

/// Free: with the original the later one wins.
fn h23_max_age_wins(app: &App) {
    let got = cookie(app, "a=1; Max-Age=5; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(got.as_deref(), Some("a=1; Max-Age=5"));
}

fn h24_cookie_spaces(app: &App) {
    assert_eq!(cookie(app, "g =  7 ; path= /p").as_deref(), Some("g=7; Path=/p"));
}

/// Free: the original puts nothing in between.
fn h26_folded_header(app: &App) {
    let answer = with(app, "X-Sandstorm-App-A: a\r\n  b");
    assert_eq!(answer.header("x-sandstorm-app-a"), Some("a b"));
}

/// Free: the original answers 500.
fn h27_two_lengths(app: &App) {
    let raw = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(app.answered(raw).text(), "hi");
    let raw = raw.replace("2\r\n\r\n", "3\r\n\r\n");
    assert_eq!(app.answered(&raw).status, 500);
}

fn h28_a_large_head(app: &App) {
    // The script itself has to fit into a request's head: twice its length in digits.
    let value = "v".repeat(60_000);
    let answer = with(app, &format!("X-Sandstorm-App-A: {value}"));
    assert_eq!(answer.header("x-sandstorm-app-a"), Some(value.as_str()));
    let half = spk_tests::web::answer(&format!("HTTP/1.1 200 OK\r\nA: {}", "v".repeat(50_000)));
    let script = format!("{half},{half}");
    let answer = app.ask("GET /x", &super::app::steps(&script[..120_000]), "");
    assert_eq!(answer.status, 500);
}

fn h29_policy_of_browser_sessions(app: &App) {
    for raw in [
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 X\r\n\r\n",
        "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 303 X\r\nLocation: /\r\n\r\n",
    ] {
        policy(app, &app.answered(raw));
    }
}

fn h32_redirect_body(app: &App) {
    let answer = app.answered("HTTP/1.1 303 X\r\nLocation: /y\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(answer.text(), "See Other: /y");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=UTF-8"));
}

fn no_control_characters_get_through(app: &App) {
    let answer = app.answered(
        "HTTP/1.1 200 OK\r\nX-Sandstorm-App-A: a\x0bb\r\nX-Sandstorm-App-B: a\rEvil: x\r\n\
         ETag: \"\x01\"\r\nContent-Length: 0\r\n\r\n",
    );
    assert!(!answer.headers.iter().any(|(name, value)| {
        name == "evil" || value.chars().any(|c| c.is_control()) || name.starts_with("x-sandstorm")
    }));
}
