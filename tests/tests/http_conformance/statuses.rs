//! http-bridge §10.5: statuses.

use super::app::{App, scripted};

crate::rows![
    s01_success,
    s02_other_success,
    s03_no_content,
    s04_reset_content,
    s05_redirects,
    s06_found,
    s07_redirect_without_location,
    s08_other_redirects,
    s09_not_modified,
    s10_not_modified_unasked,
    s11_not_modified_with_a_length,
    s12_precondition_failed,
    s13_precondition_failed_on_put,
    s14_client_errors,
    s15_unauthorized,
    s16_other_client_errors,
    s17_server_errors,
    s18_a_typed_error,
    s19_a_compressed_error,
    s20_interim_responses,
    s21_a_stray_upgrade,
    s22_no_status,
];

fn with(app: &App, status: &str) -> u16 {
    app.answered(&format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nhi")).status
}

fn s01_success(app: &App) {
    for status in ["200", "201", "202", "206", "207"] {
        let raw = format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nhi");
        let answer = app.answered(&raw);
        assert_eq!((answer.status.to_string().as_str(), answer.text().as_str()), (status, "hi"));
    }
}

/// Free: the original answers 500.
fn s02_other_success(app: &App) {
    assert_eq!(with(app, "203"), 200);
}

fn s03_no_content(app: &App) {
    let answer = app.answered("HTTP/1.1 204 X\r\nETag: \"t\"\r\n\r\n");
    assert_eq!((answer.status, answer.header("etag")), (204, Some("\"t\"")));
    assert_eq!(answer.header("transfer-encoding"), None);
}

fn s04_reset_content(app: &App) {
    let answer = app.answered("HTTP/1.1 205 X\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((answer.status, answer.header("content-length")), (205, Some("0")));
}

fn s05_redirects(app: &App) {
    for (status, expected) in [("301", 301), ("303", 303), ("307", 307), ("308", 308)] {
        let location = "//x/%2f?q=a b";
        let raw =
            format!("HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let answer = app.answered(&raw);
        assert_eq!((answer.status, answer.header("location")), (expected, Some(location)));
    }
}

fn s06_found(app: &App) {
    let raw = "HTTP/1.1 302 X\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(app.answered(raw).status, 303);
}

/// Free in words: nothing of the inside may show.
fn s07_redirect_without_location(app: &App) {
    let answer = app.answered("HTTP/1.1 302 X\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("Location") && !answer.text().contains(".rs"));
}

fn s08_other_redirects(app: &App) {
    assert_eq!((with(app, "300"), with(app, "305")), (500, 500));
}

fn s09_not_modified(app: &App) {
    let raw = "HTTP/1.1 304 X\r\nETag: \"t\"\r\n\r\n";
    let answer = app.answered_to("GET /x", "If-None-Match: \"t\"\r\n", raw);
    assert_eq!((answer.status, answer.header("etag")), (304, Some("\"t\"")));
}

/// Free: the original answers 412.
fn s10_not_modified_unasked(app: &App) {
    assert_eq!(app.answered("HTTP/1.1 304 X\r\nETag: \"t\"\r\n\r\n").status, 500);
}

/// Free: the original waits for a body that never comes.
fn s11_not_modified_with_a_length(app: &App) {
    let raw = "HTTP/1.1 304 X\r\nContent-Length: 7\r\n\r\n";
    assert_eq!(app.answered_to("GET /x", "If-None-Match: \"t\"\r\n", raw).status, 304);
}

fn s12_precondition_failed(app: &App) {
    let raw = "HTTP/1.1 412 X\r\nETag: \"t\"\r\nContent-Length: 4\r\n\r\ntext";
    let answer = app.answered_to("GET /x", "If-Match: \"m\"\r\n", raw);
    assert_eq!((answer.status, answer.body.len()), (412, 0));
}

/// Free: the original answers 304.
fn s13_precondition_failed_on_put(app: &App) {
    let raw = "HTTP/1.1 412 X\r\nContent-Length: 0\r\n\r\n";
    let headers = "If-None-Match: \"t\"\r\nContent-Length: 0\r\n";
    assert_eq!(app.answered_to("PUT /x", headers, raw).status, 412);
}

fn s14_client_errors(app: &App) {
    for status in [400, 403, 404, 405, 406, 409, 410, 413, 414, 415, 418, 422] {
        assert_eq!(with(app, &status.to_string()), status);
    }
}

/// What the protocol cannot say.
fn s15_unauthorized(app: &App) {
    assert_eq!(with(app, "401"), 400);
}

fn s16_other_client_errors(app: &App) {
    for status in ["402", "408", "416", "423", "429", "451"] {
        assert_eq!(with(app, status), 400, "{status}");
    }
}

fn s17_server_errors(app: &App) {
    for status in ["500", "501", "503", "599"] {
        assert_eq!(with(app, status), 500, "{status}");
    }
}

/// Free: the original makes HTML of it.
fn s18_a_typed_error(app: &App) {
    let raw = "HTTP/1.1 404 X\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let answer = app.answered(raw);
    assert_eq!((answer.status, answer.text().as_str()), (404, "{}"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

/// Free: the original loses the encoding.
fn s19_a_compressed_error(app: &App) {
    let raw = "HTTP/1.1 404 X\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x0b";
    let answer = app.answered(raw);
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.body, b"\x1f\x0b");
}

/// Free: the original answers 500.
fn s20_interim_responses(app: &App) {
    let (one, two) = (
        spk_tests::web::answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nLink: x\r\n\r\n"),
        spk_tests::web::answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    );
    let script = super::app::steps(&format!("{one},w50,{two}"));
    let answer = app.ask("GET /x", &script, "");
    assert_eq!((answer.status, answer.text().as_str()), (200, "hi"));
}

/// Free: the original answers 500.
fn s21_a_stray_upgrade(app: &App) {
    let raw = "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(app.answered(raw).text(), "hi");
}

fn s22_no_status(app: &App) {
    assert_eq!(with(app, "600"), 500);
    let garbage = app.ask("GET /x", &scripted("SSH-2.0-x\r\n"), "");
    assert_eq!(garbage.status, 500);
}
