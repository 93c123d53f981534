//! http-bridge §10.5, status: what each answer of the app becomes.

use spk_schema::web_session_capnp::web_session;

use crate::app::App;
use crate::rig::{Rig, get, get_with, run};

pub fn answer(response: &str, expected: &'static str) {
    let response = response.to_owned();
    run(async move {
        let app = App::answering(response.clone()).await;
        let session = Rig::new(app.port).session().await;
        let answer = get(&session, "dir/na%20me.txt?q").await;
        assert_eq!(answer.unwrap(), expected, "for {response:?}");
    });
}

pub fn failure(response: &'static str, expected: &'static str) {
    run(async move {
        let app = App::answering(response).await;
        let session = Rig::new(app.port).session().await;
        let error = get(&session, "").await.unwrap_err();
        assert_eq!(error.kind, capnp::ErrorKind::Failed, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    });
}

async fn conditional(
    session: &web_session::Client,
    if_none_match: bool,
) -> Result<String, capnp::Error> {
    get_with(session, "", |context| {
        let precondition = context.init_e_tag_precondition();
        let list = match if_none_match {
            true => precondition.init_matches_none_of(1),
            false => precondition.init_matches_one_of(1),
        };
        list.get(0).set_value("t");
    })
    .await
}

#[test]
fn s01_success() {
    for (line, code) in [
        ("200 OK", "Ok"),
        ("201 Created", "Created"),
        ("202 Accepted", "Accepted"),
        ("206 Partial Content", "PartialContent"),
        ("207 Multi-Status", "MultiStatus"),
    ] {
        let response = format!("HTTP/1.1 {line}\r\nContent-Length: 2\r\n\r\nhi");
        answer(response.leak(), format!("content {code} bytes=hi").leak());
    }
}

#[test]
fn s02_other_success() {
    for line in ["203 Non-Authoritative", "208 Already Reported", "226 IM Used"] {
        let response = format!("HTTP/1.1 {line}\r\nContent-Length: 2\r\n\r\nhi");
        answer(response.leak(), "content Ok bytes=hi");
    }
}

#[test]
fn s03_no_content() {
    answer("HTTP/1.1 204 No Content\r\nETag: \"x\"\r\n\r\n", "noContent reset=false etag=<x>");
    answer("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", "noContent reset=false");
}

#[test]
fn s04_reset_content() {
    answer("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", "noContent reset=true");
}

#[test]
fn s05_redirects() {
    for (status, flags) in [
        (301, "permanent=true get=true"),
        (303, "permanent=false get=true"),
        (307, "permanent=false get=false"),
        (308, "permanent=true get=false"),
    ] {
        let response = format!(
            "HTTP/1.1 {status} X\r\nLocation: //a/b%2f?c#d e\r\nContent-Length: 3\r\n\r\nabc"
        );
        answer(response.leak(), format!("redirect {flags} location=//a/b%2f?c#d e").leak());
    }
}

#[test]
fn s06_found() {
    answer(
        "HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n",
        "redirect permanent=false get=true location=/x",
    );
}

#[test]
fn s07_redirect_without_location() {
    failure("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "no Location");
}

#[test]
fn s08_other_redirects() {
    for status in [300, 305, 306, 310, 399] {
        let response = format!("HTTP/1.1 {status} X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
        failure(response.leak(), "unsupported status");
    }
}

#[test]
fn s09_not_modified() {
    run(async {
        let app = App::answering("HTTP/1.1 304 Not Modified\r\nETag: \"t\"\r\n\r\n").await;
        let session = Rig::new(app.port).session().await;
        assert_eq!(conditional(&session, true).await.unwrap(), "preconditionFailed etag=<t>");
    });
}

#[test]
fn s10_unasked_not_modified() {
    failure("HTTP/1.1 304 Not Modified\r\n\r\n", "without If-None-Match");
}

#[test]
fn s11_not_modified_with_length() {
    run(async {
        // The app keeps the connection open: whoever waits for a body waits for ever.
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let (answer, _connection) = tokio::join!(conditional(&session, true), async {
            let mut connection = app.accept().await;
            connection.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n").await;
            connection
        });
        assert_eq!(answer.unwrap(), "preconditionFailed");
    });
}

#[test]
fn s12_precondition_failed() {
    run(async {
        let app = App::answering("HTTP/1.1 412 X\r\nContent-Length: 3\r\n\r\nabc").await;
        let session = Rig::new(app.port).session().await;
        assert_eq!(conditional(&session, false).await.unwrap(), "preconditionFailed");
        assert_eq!(conditional(&session, true).await.unwrap(), "preconditionFailed");
    });
}

#[test]
fn s14_client_errors() {
    for (status, code) in [
        (400, "BadRequest"),
        (403, "Forbidden"),
        (404, "NotFound"),
        (405, "MethodNotAllowed"),
        (406, "NotAcceptable"),
        (409, "Conflict"),
        (410, "Gone"),
        (413, "RequestEntityTooLarge"),
        (414, "RequestUriTooLong"),
        (415, "UnsupportedMediaType"),
        (418, "ImATeapot"),
        (422, "UnprocessableEntity"),
    ] {
        let response = format!("HTTP/1.1 {status} X\r\nContent-Length: 3\r\n\r\n<p>");
        answer(response.leak(), format!("clientError {code} html=<p>").leak());
    }
}

#[test]
fn s15_unauthorized() {
    let response = "HTTP/1.1 401 X\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";
    answer(response, "clientError BadRequest");
}

#[test]
fn s16_other_client_errors() {
    for status in [402, 408, 416, 423, 429, 451, 499] {
        let response = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        answer(response.leak(), "clientError BadRequest");
    }
}

#[test]
fn s17_server_errors() {
    for status in [500, 501, 503, 599] {
        let response = format!("HTTP/1.1 {status} X\r\nContent-Length: 3\r\n\r\n<p>");
        answer(response.leak(), "serverError html=<p>");
    }
}

#[test]
fn s18_typed_error() {
    answer(
        "HTTP/1.1 404 X\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        "clientError NotFound html={} typed={} type=application/json",
    );
    answer(
        "HTTP/1.1 500 X\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Length: 2\r\n\r\nhi",
        "serverError html=hi",
    );
    answer(
        "HTTP/1.1 500 X\r\nContent-Type: text/html; charset=latin1\r\nContent-Length: 2\r\n\r\nhi",
        "serverError html=hi typed=hi type=text/html; charset=latin1",
    );
}

#[test]
fn s19_compressed_error() {
    answer(
        "HTTP/1.1 404 X\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\
         Content-Language: de\r\nContent-Length: 2\r\n\r\nzz",
        "clientError NotFound typed=zz type=text/html encoding=gzip language=de",
    );
}

#[test]
fn s20_interim_response() {
    run(async {
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let (answer, _connection) = tokio::join!(get(&session, ""), async {
            let mut connection = app.accept().await;
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n").await;
            tokio::task::yield_now().await;
            connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n").await;
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
            connection
        });
        assert_eq!(answer.unwrap(), "content Ok bytes=hi");
    });
}

#[test]
fn s21_stray_upgrade() {
    answer(
        "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nhi",
        "content Ok bytes=hi",
    );
}

#[test]
fn s22_impossible_status() {
    failure("HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n", "unsupported status 600");
    failure("HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n", "unsupported status 101");
}
