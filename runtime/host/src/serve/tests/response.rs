//! http-bridge §10.5 and §10.6: what the client is told of a response.

use spk_schema::web_session_capnp::web_session::response::{ClientErrorCode, SuccessCode};

use super::app::{Reply, script};
use super::client::Answer;
use super::*;

/// The answer to `line` of an app that fills every response like this.
fn answer_to(line: &'static str, headers: &'static str, fill: fn(&mut Reply)) -> Answer {
    let answer = Rc::new(RefCell::new(None));
    let result = answer.clone();
    let script = script(move |_, mut reply| async move {
        fill(&mut reply);
        Ok(())
    });
    with_host(script, |host| async move {
        *result.borrow_mut() = Some(host.connect().await.exchange(line, headers, "").await);
    });
    answer.take().unwrap()
}

fn get(fill: fn(&mut Reply)) -> Answer {
    answer_to("GET /", "", fill)
}

#[test]
fn s01_success_codes() {
    let codes = [
        (SuccessCode::Ok, 200),
        (SuccessCode::Created, 201),
        (SuccessCode::Accepted, 202),
        (SuccessCode::PartialContent, 206),
        (SuccessCode::MultiStatus, 207),
        (SuccessCode::NoContent, 204),
        (SuccessCode::NotModified, 304),
    ];
    let script = script(move |call, mut reply| async move {
        let index: usize = call.path.parse().unwrap_or(0);
        let mut content = reply.response().init_content();
        content.set_status_code(codes[index].0);
        content.get_body().set_bytes(b"body");
        Ok(())
    });
    with_host(script, |host| async move {
        let mut client = host.connect().await;
        for (index, (_, status)) in codes.iter().enumerate() {
            let answer = client.get(&format!("/{index}")).await;
            assert_eq!(answer.status, *status);
            assert_eq!(answer.text(), if matches!(status, 204 | 304) { "" } else { "body" });
        }
    });
}

#[test]
fn s03_s04_no_content() {
    let answer = get(|reply| {
        let mut none = reply.response().init_no_content();
        none.reborrow().init_e_tag().set_value("t");
    });
    assert_eq!((answer.status, answer.header("etag")), (204, Some("\"t\"")));
    let answer = get(|reply| reply.response().init_no_content().set_should_reset_form(true));
    assert_eq!((answer.status, answer.header("content-length")), (205, Some("0")));
}

#[test]
fn s05_s06_h32_redirects() {
    for (permanent, get_again, status) in
        [(true, true, 301), (false, true, 303), (false, false, 307), (true, false, 308)]
    {
        let script = script(move |_, mut reply| async move {
            let mut redirect = reply.response().init_redirect();
            redirect.set_is_permanent(permanent);
            redirect.set_switch_to_get(get_again);
            redirect.set_location("//x/%2f y?z");
            Ok(())
        });
        with_host(script, |host| async move {
            let answer = host.connect().await.get("/").await;
            assert_eq!((answer.status, answer.header("location")), (status, Some("//x/%2f y?z")));
            assert_eq!(answer.header("content-type"), Some("text/plain; charset=UTF-8"));
            assert!(answer.text().ends_with(": //x/%2f y?z"));
        });
    }
}

#[test]
fn s09_s10_s12_s13_a_failed_precondition() {
    let fail: fn(&mut Reply) = |reply| {
        let mut failed = reply.response().init_precondition_failed();
        failed.reborrow().init_matching_e_tag().set_value("t");
    };
    let answer = answer_to("GET /", "If-None-Match: \"t\"\r\n", fail);
    assert_eq!((answer.status, answer.header("etag")), (304, Some("\"t\"")));
    assert_eq!(answer_to("GET /", "", fail).status, 412);
    let answer = answer_to("GET /", "If-Match: \"t\"\r\n", fail);
    assert_eq!((answer.status, answer.header("etag"), answer.body.len()), (412, None, 0));
    let put = "If-None-Match: \"t\"\r\nContent-Length: 0\r\n";
    assert_eq!(answer_to("PUT /", put, fail).status, 412);
}

#[test]
fn s14_client_errors() {
    use ClientErrorCode as C;
    let codes = [
        (C::BadRequest, 400),
        (C::Forbidden, 403),
        (C::NotFound, 404),
        (C::MethodNotAllowed, 405),
        (C::NotAcceptable, 406),
        (C::Conflict, 409),
        (C::Gone, 410),
        (C::RequestEntityTooLarge, 413),
        (C::RequestUriTooLong, 414),
        (C::UnsupportedMediaType, 415),
        (C::ImATeapot, 418),
        (C::PreconditionFailed, 412),
        (C::UnprocessableEntity, 422),
    ];
    let script = script(move |call, mut reply| async move {
        let index: usize = call.path.parse().unwrap_or(0);
        let mut error = reply.response().init_client_error();
        error.set_status_code(codes[index].0);
        error.set_description_html("<b>no</b>");
        Ok(())
    });
    with_host(script, |host| async move {
        let mut client = host.connect().await;
        for (index, (_, status)) in codes.iter().enumerate() {
            let answer = client.get(&format!("/{index}")).await;
            assert_eq!(answer.status, *status);
            assert_eq!(answer.header("content-type"), Some("text/html; charset=UTF-8"));
            assert_eq!(answer.text(), "<b>no</b>");
        }
    });
}

#[test]
fn s17_s23_s24_native_apps() {
    let answer = get(|reply| {
        reply.response().init_server_error();
    });
    assert_eq!((answer.status, answer.header("content-type")), (500, None));
    // The all-zero response is a redirect to nowhere.
    let answer = get(|_| {});
    assert_eq!((answer.status, answer.header("location")), (307, Some("")));
    let answer = get(|reply| {
        let mut error = reply.response().init_client_error();
        error.set_status_code(ClientErrorCode::NotFound);
        error.set_description_html("unused");
        let mut body = error.init_non_html_body();
        body.set_data(b"{}");
        body.set_mime_type("application/json");
        body.set_encoding("x");
        body.set_language("de");
    });
    assert_eq!((answer.status, answer.text().as_str()), (404, "{}"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("content-encoding"), Some("x"));
    assert_eq!(answer.header("content-language"), Some("de"));
}

#[test]
fn h01_h06_h09_content_headers() {
    let answer = get(|reply| {
        let mut content = reply.response().init_content();
        content.set_mime_type(capnp::text::Reader(b"text/caf\xe9"));
        content.set_encoding("gzip");
        content.set_language("en, fr");
        let mut tag = content.reborrow().init_e_tag();
        tag.set_value("x");
        tag.set_weak(true);
        content.reborrow().get_disposition().set_download("a\"b\\c.txt");
        content.get_body().set_bytes(b"abc");
    });
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.header("content-language"), Some("en, fr"));
    assert_eq!(answer.header("etag"), Some("W/\"x\""));
    let expected = r#"attachment; filename="a\"b\\c.txt""#;
    assert_eq!(answer.header("content-disposition"), Some(expected));
    assert!(answer.header("content-type").unwrap().starts_with("text/caf"));
    assert_eq!(answer.text(), "abc");
}

#[test]
fn h04_h05_only_listed_headers_pass_and_none_can_split_the_head() {
    let answer = get(|reply| {
        let mut list = reply.response().init_additional_headers(5);
        for (index, (name, value)) in [
            ("x-sandstorm-app-z", "1, 2"),
            ("X-OC-MTime", "accepted"),
            ("server", "evil"),
            ("content-security-policy", "default-src *"),
            ("x-sandstorm-app-crlf", "a\r\nSet-Cookie: stolen=1"),
        ]
        .into_iter()
        .enumerate()
        {
            let mut header = list.reborrow().get(index as u32);
            header.set_name(name);
            header.set_value(value);
        }
        reply.response().init_client_error();
    });
    assert_eq!(answer.header("x-sandstorm-app-z"), Some("1, 2"));
    assert_eq!(answer.header("x-oc-mtime"), Some("accepted"));
    assert_eq!((answer.header("server"), answer.header("x-sandstorm-app-crlf")), (None, None));
    assert!(
        !answer.head.contains("stolen") && answer.headers("content-security-policy").len() == 1
    );
}

#[test]
fn h16_to_h19_cookies() {
    let answer = get(|reply| {
        let mut list = reply.response().init_set_cookies(7);
        let mut next = 0;
        let mut cookie = |name: &str, value: &str| {
            next += 1;
            let mut cookie = list.reborrow().get(next - 1);
            cookie.set_name(name);
            cookie.set_value(value);
        };
        cookie("a", "1");
        cookie("c", "x=y");
        cookie("e", "0");
        cookie("bad", "q,r");
        cookie("worse;", "1");
        cookie("split", "1\r\nX: y");
        cookie("last", "1");
        let mut a = list.reborrow().get(0);
        a.set_path("/foo");
        a.set_http_only(true);
        list.reborrow().get(1).get_expires().set_relative(3600);
        list.reborrow().get(2).get_expires().set_absolute(0);
        list.reborrow().get(6).get_expires().set_absolute(i64::MAX);
        reply.text("");
    });
    assert_eq!(
        answer.headers("set-cookie"),
        [
            "a=1; Path=/foo; HttpOnly",
            "c=x=y; Max-Age=3600",
            "e=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "last=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT",
        ]
    );
}

#[test]
fn h29_policy_headers_are_on_everything_from_the_app() {
    let fills: [fn(&mut Reply); 3] = [
        |reply| reply.text("x"),
        |reply| {
            reply.response().init_server_error();
        },
        |reply| reply.response().init_redirect().set_location("/"),
    ];
    for fill in fills {
        let answer = get(fill);
        let policy = answer.header("content-security-policy").unwrap().to_owned();
        let origins: Vec<&str> = policy.split(' ').collect();
        assert_eq!((origins[0], origins.len()), ("frame-ancestors", 3));
        assert!(origins[1].starts_with("http://spk.localhost:"));
        assert!(origins[2].starts_with("http://ui-"));
        let frame = format!("ALLOW-FROM {}", origins[1]);
        assert_eq!(answer.header("x-frame-options"), Some(frame.as_str()));
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
        assert_eq!(answer.header("permissions-policy"), Some("interest-cohort=()"));
        for name in ["date", "server", "cache-control"] {
            assert_eq!(answer.header(name), None);
        }
    }
}

/// More headers than a header map can hold, or longer than any head: an error, not the end.
#[test]
fn an_endless_head_is_refused_and_the_host_lives() {
    let script = script(|call, mut reply| async move {
        let mut response = reply.response();
        match call.path.as_str() {
            "many" => {
                let mut list = response.reborrow().init_additional_headers(100_000);
                for index in 0..100_000 {
                    let mut header = list.reborrow().get(index);
                    header.set_name(format!("x-sandstorm-app-{index}"));
                    header.set_value("v");
                }
            }
            "long" => {
                let mut header = response.reborrow().init_additional_headers(1).get(0);
                header.set_name("x-sandstorm-app-a");
                header.set_value("v".repeat(1 << 20));
            }
            "cookies" => {
                let mut list = response.reborrow().init_set_cookies(100_000);
                for index in 0..100_000 {
                    list.reborrow().get(index).set_name("c");
                }
            }
            "location" => {
                response.reborrow().init_redirect().set_location("l".repeat(1 << 20));
                return Ok(());
            }
            _ => {}
        }
        response.init_content().get_body().set_bytes(b"body");
        Ok(())
    });
    with_host(script, |host| async move {
        for path in ["/many", "/long", "/cookies", "/location"] {
            assert_eq!(host.connect().await.get(path).await.status, 500, "{path}");
            let said = host.notes().into_iter().any(|note| note.contains("head is larger"));
            assert!(said, "{path}: {:?}", host.notes());
        }
        assert_eq!(host.connect().await.get("/fine").await.text(), "body");
    });
}
