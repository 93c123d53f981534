//! http-bridge §10.2: the request head, and the API sessions of http-bridge §10.10.

use spk_schema::identity_capnp::profile::Pronouns;
use spk_schema::identity_capnp::user_info;
use spk_schema::web_session_capnp::web_session::context;

use crate::app::App;
use crate::rig::{Rig, bits, get, get_with, guest, run, usual_user};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// The request the app sees for a GET with this path, user and context.
async fn seen(
    path: &'static str,
    user: impl FnOnce(user_info::Builder<'_>),
    context: impl FnOnce(context::Builder<'_>),
) -> Result<String, capnp::Error> {
    let app = App::answering(OK).await;
    let session = Rig::new(app.port).browser("http://ui-abc.h:7000", user).await?;
    get_with(&session, path, context).await?;
    Ok(app.request())
}

fn with_context(context: impl FnOnce(context::Builder<'_>) + 'static, expected: &'static str) {
    run(async move {
        let request = seen("", usual_user, context).await.unwrap();
        assert!(request.contains(expected), "{request}");
    });
}

fn without_context(context: impl FnOnce(context::Builder<'_>) + 'static, unexpected: &'static str) {
    run(async move {
        let request = seen("", usual_user, context).await.unwrap();
        assert!(!request.to_lowercase().contains(unexpected), "{request}");
    });
}

fn with_user(user: impl FnOnce(user_info::Builder<'_>) + 'static, expected: &'static str) {
    run(async move {
        let request = seen("", user, |_| {}).await.unwrap();
        assert!(request.contains(expected), "{request}");
    });
}

/// The whole head, in the order of http-bridge §4.4.
#[test]
fn b00_order_of_lines() {
    run(async {
        let user = |mut user: user_info::Builder<'_>| {
            user.set_pronouns(Pronouns::Female);
            usual_user(user);
        };
        let request = seen("a", user, |mut context| {
            let mut cookies = context.reborrow().init_cookies(1);
            cookies.reborrow().get(0).set_key("c");
            cookies.reborrow().get(0).set_value("d");
            context.reborrow().init_accept_encoding(1).get(0).set_content_coding("gzip");
            let mut headers = context.reborrow().init_additional_headers(1);
            headers.reborrow().get(0).set_name("X-Requested-With");
            headers.reborrow().get(0).set_value("X");
            context.init_e_tag_precondition().set_exists(());
        })
        .await
        .unwrap();
        let expected = "GET /a HTTP/1.1\r
Connection: close\r
Accept-Language: en-US,en\r
User-Agent: Test/1.0\r
X-Sandstorm-Tab-Id: abababababababababababababababab\r
X-Sandstorm-Username: Ana%20B%C3%B6hm%20(*'!~_-.)\r
X-Sandstorm-User-Id: 00070e151c232a31383f464d545b6269\r
X-Sandstorm-Preferred-Handle: ana\r
X-Sandstorm-User-Picture: http://pictures.h/ana\r
X-Sandstorm-User-Pronouns: female\r
X-Sandstorm-Session-Type: normal\r
X-Sandstorm-Permissions: view,edit\r
X-Sandstorm-Base-Path: http://ui-abc.h:7000\r
Host: ui-abc.h:7000\r
X-Forwarded-Proto: http\r
X-Sandstorm-Session-Id: 0\r
Cookie: c=d\r
Accept: */*\r
Accept-Encoding: gzip\r
X-Requested-With: X\r
If-Match: *\r
\r
";
        assert_eq!(request, expected);
    });
}

#[test]
fn b01_target_is_unchanged() {
    run(async {
        let request = seen("/a%20b/c?d=e%2f&f=g+h", usual_user, |_| {}).await.unwrap();
        assert!(request.starts_with("GET //a%20b/c?d=e%2f&f=g+h HTTP/1.1\r\n"), "{request}");
    });
}

#[test]
fn b02_root() {
    run(async {
        assert!(seen("", usual_user, |_| {}).await.unwrap().starts_with("GET / HTTP/1.1\r\n"));
    });
}

#[test]
fn b04_one_connection_per_request() {
    run(async {
        let app = App::answering(OK).await;
        let session = Rig::new(app.port).session().await;
        get(&session, "1").await.unwrap();
        get(&session, "2").await.unwrap();
        let requests = app.requests.borrow();
        assert_eq!(requests.len(), 2);
        for request in requests.iter() {
            assert!(String::from_utf8_lossy(request).contains("\r\nConnection: close\r\n"));
        }
    });
}

#[test]
fn b05_user_name() {
    with_user(usual_user, "\r\nX-Sandstorm-Username: Ana%20B%C3%B6hm%20(*'!~_-.)\r\n");
}

#[test]
fn b06_user_id() {
    with_user(usual_user, "\r\nX-Sandstorm-User-Id: 00070e151c232a31383f464d545b6269\r\n");
}

#[test]
fn b07_short_identity_id() {
    run(async {
        let error = seen("", |mut user| user.set_identity_id(&[1; 16]), |_| {}).await.unwrap_err();
        assert_eq!(error.kind, capnp::ErrorKind::Failed);
        assert!(error.to_string().contains("16 bytes"), "{error}");
    });
}

#[test]
fn b08_guest() {
    run(async {
        let request = seen("", guest, |_| {}).await.unwrap();
        assert!(request.contains("\r\nX-Sandstorm-Username: Anonymous%20User\r\n"), "{request}");
        for name in ["User-Id", "Preferred-Handle", "User-Picture", "User-Pronouns"] {
            assert!(!request.contains(name), "{request}");
        }
    });
}

#[test]
fn b09_empty_user() {
    run(async {
        let request = seen("", |_| {}, |_| {}).await.unwrap();
        assert!(request.contains("\r\nX-Sandstorm-Username: \r\n"), "{request}");
        assert!(request.contains("\r\nX-Sandstorm-Permissions: \r\n"), "{request}");
    });
}

#[test]
fn b10_neutral_pronouns() {
    run(async {
        assert!(!seen("", usual_user, |_| {}).await.unwrap().contains("Pronouns"));
    });
}

#[test]
fn b11_pronouns() {
    let user = |mut user: user_info::Builder<'_>| {
        user.set_pronouns(Pronouns::Robot);
        usual_user(user);
    };
    with_user(user, "\r\nX-Sandstorm-User-Pronouns: robot\r\n");
}

#[test]
fn b12_permissions() {
    with_user(usual_user, "\r\nX-Sandstorm-Permissions: view,edit\r\n");
}

#[test]
fn b13_missing_bits() {
    with_user(|user| bits(user, &[false, true]), "\r\nX-Sandstorm-Permissions: comment\r\n");
}

#[test]
fn b14_tab_id() {
    with_user(usual_user, "\r\nX-Sandstorm-Tab-Id: abababababababababababababababab\r\n");
}

#[test]
fn b15_session_ids() {
    run(async {
        let app = App::answering(OK).await;
        let rig = Rig::new(app.port);
        for _ in 0..3 {
            get(&rig.session().await, "").await.unwrap();
        }
        for (index, request) in app.requests.borrow().iter().enumerate() {
            let line = format!("\r\nX-Sandstorm-Session-Id: {index}\r\n");
            assert!(String::from_utf8_lossy(request).contains(&line));
        }
    });
}

fn base_path(base: &'static str, expected: &'static str) {
    run(async move {
        let app = App::answering(OK).await;
        let session = Rig::new(app.port).browser(base, usual_user).await.unwrap();
        get(&session, "").await.unwrap();
        let request = app.request();
        assert!(request.contains(expected), "{request}");
    });
}

#[test]
fn b16_base_path_with_port() {
    base_path("http://ui-abc.h:7000", "\r\nHost: ui-abc.h:7000\r\nX-Forwarded-Proto: http\r\n");
}

#[test]
fn b17_base_path_with_https() {
    base_path("https://h", "\r\nHost: h\r\nX-Forwarded-Proto: https\r\n");
}

#[test]
fn b18_base_path_without_scheme() {
    run(async {
        let app = App::answering(OK).await;
        let rig = Rig::new(app.port);
        for base in ["ui-abc.h", "//h", "HTTP://h", "http:/h", "://h", "http://h\r\nEvil: x"] {
            let session = rig.browser(base, usual_user).await.unwrap();
            assert!(get(&session, "").await.is_err(), "{base}");
        }
        assert!(app.requests.borrow().is_empty());
    });
}

#[test]
fn b19_languages() {
    run(async {
        let app = App::answering(OK).await;
        let rig = Rig::new(app.port);
        let session = rig
            .open("http://h", usual_user, |params| {
                let mut languages = params.init_acceptable_languages(3);
                for (index, item) in ["fr-CH", "fr;q=0.9", "en;q=0.8"].iter().enumerate() {
                    languages.set(index as u32, item);
                }
            })
            .await
            .unwrap();
        get(&session, "").await.unwrap();
        let request = app.request();
        assert!(request.contains("\r\nAccept-Language: fr-CH,fr;q=0.9,en;q=0.8\r\n"), "{request}");
        // and b21 from the other side: no agent, no line
        assert!(!request.contains("User-Agent"), "{request}");
    });
}

#[test]
fn b23_accept() {
    with_context(
        |context| {
            let items =
                [("text/html", 0.4), ("application/json", 0.75), ("*/*", 0.1), ("image/png", 1.0)];
            let mut list = context.init_accept(4);
            for (index, (mime_type, quality)) in items.into_iter().enumerate() {
                let mut item = list.reborrow().get(index as u32);
                item.set_mime_type(mime_type);
                item.set_q_value(quality);
            }
        },
        "\r\nAccept: text/html; q=0.4, application/json; q=0.75, */*; q=0.1, image/png\r\n",
    );
}

#[test]
fn b24_no_accept() {
    with_context(|_| {}, "\r\nAccept: */*\r\n");
}

#[test]
fn b26_accept_encoding() {
    with_context(
        |context| {
            let mut list = context.init_accept_encoding(2);
            list.reborrow().get(0).set_content_coding("gzip");
            list.reborrow().get(1).set_content_coding("br");
            list.reborrow().get(1).set_q_value(0.5);
        },
        "\r\nAccept-Encoding: gzip, br; q=0.5\r\n",
    );
}

#[test]
fn b27_no_accept_encoding() {
    without_context(|_| {}, "accept-encoding");
}

#[test]
fn b28_cookies() {
    with_context(
        |context| {
            let mut list = context.init_cookies(3);
            for (index, (key, value)) in
                [("foo", "bar"), ("flag", ""), ("x", "y z")].into_iter().enumerate()
            {
                let mut item = list.reborrow().get(index as u32);
                item.set_key(key);
                item.set_value(value);
            }
        },
        "\r\nCookie: foo=bar; flag=; x=y z\r\n",
    );
}

#[test]
fn b29_no_cookies() {
    without_context(|_| {}, "cookie");
}

fn additional(
    headers: &'static [(&'static str, &'static str)],
) -> impl FnOnce(context::Builder<'_>) {
    move |context| {
        let mut list = context.init_additional_headers(headers.len() as u32);
        for (index, (name, value)) in headers.iter().enumerate() {
            let mut item = list.reborrow().get(index as u32);
            item.set_name(name);
            item.set_value(value);
        }
    }
}

#[test]
fn b31_listed_headers() {
    with_context(
        additional(&[
            ("X-Sandstorm-App-Foo", "Bar"),
            ("X-Requested-With", "X"),
            ("X-CSRF-Token", "t"),
            ("OC-Chunked", "1"),
        ]),
        "\r\nX-Sandstorm-App-Foo: Bar\r\nX-Requested-With: X\r\nX-CSRF-Token: t\r\nOC-Chunked: 1\r\n",
    );
}

#[test]
fn b32_bare_prefix() {
    without_context(additional(&[("x-sandstorm-app-", "v")]), "x-sandstorm-app-");
}

#[test]
fn b34_unlisted_header() {
    without_context(additional(&[("evil", "1"), ("Cookie", "a=b"), ("Host", "evil")]), "evil");
}

#[test]
fn b35_line_feed_in_header() {
    run(async {
        for bad in ["a\nEvil: 1", "a\r", "a\0", "\u{7f}"] {
            let leaked: &'static str = bad.to_owned().leak();
            let headers = Box::leak(Box::new([("x-sandstorm-app-a", leaked)]));
            assert!(seen("", usual_user, additional(headers)).await.is_err(), "{bad:?}");
        }
        let name = additional(&[("x-sandstorm-app-a: b\r\nEvil", "1")]);
        assert!(seen("", usual_user, name).await.is_err());
    });
}

#[test]
fn b36_line_feed_in_path() {
    run(async {
        assert!(seen("a\nb", usual_user, |_| {}).await.is_err());
    });
}

#[test]
fn b37_other_bad_characters_in_path() {
    run(async {
        for path in ["a\rb", "a b", "a\0b", "a\tb", "\u{7f}"] {
            assert!(seen(path, usual_user, |_| {}).await.is_err(), "{path:?}");
        }
        assert!(seen("\u{e9}", usual_user, |_| {}).await.unwrap().starts_with("GET /\u{e9} "));
    });
}

fn tags(
    list: capnp::struct_list::Builder<'_, spk_schema::web_session_capnp::web_session::e_tag::Owned>,
    items: &[(&str, bool)],
) {
    let mut list = list;
    for (index, (value, weak)) in items.iter().enumerate() {
        let mut item = list.reborrow().get(index as u32);
        item.set_value(value);
        item.set_weak(*weak);
    }
}

#[test]
fn b38_if_none_match() {
    with_context(
        |context| {
            let list = context.init_e_tag_precondition().init_matches_none_of(2);
            tags(list, &[("a", false), ("b", true)]);
        },
        "\r\nIf-None-Match: \"a\", W/\"b\"\r\n",
    );
}

#[test]
fn b39_any_tag() {
    with_context(|context| context.init_e_tag_precondition().set_exists(()), "\r\nIf-Match: *\r\n");
    with_context(
        |context| context.init_e_tag_precondition().set_doesnt_exist(()),
        "\r\nIf-None-Match: *\r\n",
    );
}

#[test]
fn b40_if_match() {
    with_context(
        |context| {
            tags(context.init_e_tag_precondition().init_matches_one_of(1), &[("a", false)]);
        },
        "\r\nIf-Match: \"a\"\r\n",
    );
}

#[test]
fn b42_escaped_tag() {
    for value in ["b\"c", "b\\\"c"] {
        with_context(
            move |context| {
                tags(context.init_e_tag_precondition().init_matches_none_of(1), &[(value, false)]);
            },
            "\r\nIf-None-Match: \"b\\\"c\"\r\n",
        );
    }
}

#[test]
fn b43_large_header() {
    run(async {
        let value: &'static str = "v".repeat(100_000).leak();
        let headers = Box::leak(Box::new([("x-sandstorm-app-a", value)]));
        assert!(seen("", usual_user, additional(headers)).await.unwrap().contains(value));
    });
}

fn api(address: Option<(u64, u64)>, path: &'static str, check: impl FnOnce(&str) + 'static) {
    run(async move {
        let app = App::answering(OK).await;
        let rig = Rig::with(app.port, &|mut config| config.set_api_path("/api/"));
        let session = rig.api(address).await.unwrap();
        get(&session, path).await.unwrap();
        check(&app.request());
    });
}

#[test]
fn p01_api_session() {
    api(None, "foo", |request| {
        assert!(request.starts_with("GET /api/foo HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nHost: sandbox\r\n"), "{request}");
        assert!(request.contains("\r\nX-Sandstorm-Session-Id: 0\r\n"), "{request}");
        for name in ["Base-Path", "Cookie", "User-Agent", "Accept-Language", "X-Real-IP"] {
            assert!(!request.contains(name), "{request}");
        }
    });
}

#[test]
fn p08_api_root() {
    api(None, "", |request| assert!(request.starts_with("GET /api/ HTTP/1.1\r\n"), "{request}"));
}

#[test]
fn p13_client_address() {
    api(Some((0, 0xffff_7f00_0001)), "", |request| {
        assert!(request.contains("\r\nX-Real-IP: 127.0.0.1\r\n"), "{request}");
    });
    api(Some((0x2001_0db8 << 32, 1)), "", |request| {
        assert!(request.contains("\r\nX-Real-IP: 2001:db8::1\r\n"), "{request}");
    });
}

#[test]
fn p16_no_api_path() {
    run(async {
        let app = App::answering(OK).await;
        let rig = Rig::new(app.port);
        let error = rig.api(None).await.err().unwrap();
        assert_eq!(error.kind, capnp::ErrorKind::Failed);
        assert!(error.to_string().contains("unsupported session type"), "{error}");
        let session = rig.browser("https://sandbox", usual_user).await.unwrap();
        get(&session, "x").await.unwrap();
        assert!(app.request().contains("\r\nX-Sandstorm-Base-Path: https://sandbox\r\n"));
    });
}
