//! http-bridge §10.2 to §10.4: what the app is told of a request.

use super::app::{MANNER, Manner, echo, script};
use super::*;

async fn told(host: &Host, line: &str, headers: &str, body: &str) -> String {
    let answer = host.connect().await.exchange(line, headers, body).await;
    assert_eq!(answer.status, 200, "{line}: {answer:?}");
    answer.text()
}

#[test]
fn b01_b02_the_target_arrives_unchanged() {
    with_host(echo(), |host| async move {
        assert_eq!(
            told(&host, "GET //a%20b/c?d=e%2f&f=g+h", "", "").await,
            "GET /a%20b/c?d=e%2f&f=g+h"
        );
        assert_eq!(told(&host, "GET /", "", "").await, "GET ");
        assert_eq!(told(&host, "GET /a/../b/./c?", "", "").await, "GET a/../b/./c?");
        assert_eq!(
            told(&host, "GET /%ff%C3%A9;x=|'[]{}^", "", "").await,
            "GET %ff%C3%A9;x=|'[]{}^"
        );
        assert_eq!(told(&host, "GET ///", "", "").await, "GET //");
    });
}

#[test]
fn b19_to_b22_browser_and_languages_belong_to_the_session() {
    with_host(echo(), |host| async move {
        told(&host, "GET /", "User-Agent: A/1\r\nAccept-Language: fr-CH, fr;q=0.9\r\n", "").await;
        told(&host, "GET /", "User-Agent: A/1\r\nAccept-Language: fr-CH, fr;q=0.9\r\n", "").await;
        told(&host, "GET /", "", "").await;
        let sessions = host.launches.sessions.borrow();
        // The first is the host's own, before it was ready.
        assert_eq!(sessions.len(), 3, "{sessions:?}");
        assert!(sessions[1].contains("agent=A/1 languages=fr-CH,fr;q=0.9 tab=16"), "{sessions:?}");
        assert!(sessions[2].contains("agent=UnknownAgent/0.0 languages=en-US,en"), "{sessions:?}");
    });
}

#[test]
fn b05_to_b09_who_the_user_is() {
    for (user, expected) in [
        ("alice", "user=Alice Dev Admin handle=alice id=32 identity=true permissions=111"),
        ("Eve", "user=Eve handle=eve id=32 identity=true permissions=111"),
        ("anonymous", "user=Anonymous User handle=anonymous id=0 identity=false permissions=111"),
    ] {
        with_settings(
            echo(),
            |settings| settings.user = user.into(),
            |host| async move {
                let session = host.launches.sessions.borrow()[0].clone();
                assert!(session.starts_with(expected), "{session}");
                let base = format!("type=a50711a14d35a8ce base=http://{}", host.host);
                assert!(session.contains(&base), "{session}");
            },
        );
    }
}

#[test]
fn b12_permissions_by_name_in_the_app_s_order() {
    let choose = |settings: &mut Settings| {
        settings.permissions = Some(vec!["edit".into(), "view".into()]);
    };
    with_settings(echo(), choose, |host| async move {
        let session = host.launches.sessions.borrow()[0].clone();
        assert!(session.contains("permissions=101"), "{session}");
    });
    let (result, _) = run_host(
        echo(),
        |settings| settings.permissions = Some(vec!["admin".into()]),
        |_| async { unreachable!() },
    );
    let message = result.unwrap_err().to_string();
    assert_eq!(message, r#"the app has no permission "admin"; it has: view, comment, edit"#);
}

#[test]
fn b23_to_b33_headers() {
    with_host(echo(), |host| async move {
        let headers = "Accept: text/html;level=1;q=0.4, */*;q=0.1, image/png\r\n\
            Accept-Encoding: gzip, br;q=0.5\r\n\
            Cookie: sandstorm-sid=S; foo=bar; flag; x = y z \r\nCookie: b=2\r\n\
            X-Sandstorm-App-Foo: Bar\r\nX-Requested-With: X\r\nx-sandstorm-app-: v\r\n\
            Referer: r\r\nRange: lines=0-1\r\nIf-Modified-Since: x\r\nAuthorization: a\r\n\
            X-Forwarded-For: f\r\nCache-Control: no-cache\r\n";
        let text = told(&host, "GET /x", headers, "").await;
        assert_eq!(
            text,
            "GET x\ncookie foo=bar\ncookie flag=\ncookie x=y z\ncookie b=2\n\
             accept text/html;0.4\naccept */*;0.1\naccept image/png;1\n\
             accept-encoding gzip;1\naccept-encoding br;0.5\n\
             header x-sandstorm-app-foo: Bar\nheader x-requested-with: X"
        );
        let dropped: Vec<String> = host
            .events
            .borrow()
            .iter()
            .filter_map(|event| match event {
                Event::DroppedHeader { name } => Some(name.clone()),
                _ => None,
            })
            .collect();
        let mut dropped = dropped;
        dropped.sort();
        let expected = [
            "cache-control",
            "if-modified-since",
            "range",
            "referer",
            "x-forwarded-for",
            "x-sandstorm-app-",
        ];
        assert_eq!(dropped, expected);
        assert_eq!(told(&host, "GET /x", "Cookie: sandstorm-sid=S\r\n", "").await, "GET x");
    });
}

#[test]
fn b38_to_b42_preconditions() {
    with_host(echo(), |host| async move {
        let text = told(&host, "GET /", "If-None-Match: \"a\" , W/\"b\"\r\n", "").await;
        assert_eq!(text, "GET \nnone-match <a> W/<b>");
        assert_eq!(told(&host, "GET /", "If-Match: *\r\n", "").await, "GET \nexists");
        assert_eq!(told(&host, "GET /", "If-None-Match: *\r\n", "").await, "GET \ndoesn't exist");
        let both = "If-None-Match: \"n\"\r\nIf-Match: \"m\"\r\n";
        assert_eq!(told(&host, "GET /", both, "").await, "GET \nmatch <m>");
        let answer = host.connect().await.exchange("GET /", "If-None-Match: bare\r\n", "").await;
        assert_eq!(answer.status, 400);
    });
}

#[test]
fn b43_b44_large_headers() {
    with_host(echo(), |host| async move {
        let value = "v".repeat(100_000);
        let text = told(&host, "GET /", &format!("X-Requested-With: {value}\r\n"), "").await;
        assert!(text.ends_with(&value));
        let mut client = host.connect().await;
        let value = "v".repeat(140_000);
        client.request("GET /", &format!("X-Requested-With: {value}\r\n"), "").await;
        let (status, _) = client.head().await.unwrap();
        assert_eq!(status, 431);
    });
}

#[test]
fn c01_to_c05_small_bodies() {
    with_host(echo(), |host| async move {
        let post = "Content-Type: text/x\r\nContent-Length: 3\r\nContent-Encoding: gzip\r\n";
        let text = told(&host, "POST /p", post, "abc").await;
        assert_eq!(text, "POST p\ntype=\"text/x\" encoding=\"gzip\" length=3");
        let text = told(&host, "POST /p", "Content-Length: 0\r\n", "").await;
        assert_eq!(text, "POST p\ntype=none encoding=none length=0");
        // No length information at all is an empty body (http-bridge §4.9).
        assert_eq!(told(&host, "PUT /p", "", "").await, "PUT p\ntype=none length=0");
        let body = "x".repeat(65535);
        let text = told(&host, "POST /p", "Content-Length: 65535\r\n", &body).await;
        assert!(text.ends_with("length=65535"), "{text}");
    });
}

#[test]
fn c06_c07_larger_and_chunked_bodies_are_streamed() {
    with_host(echo(), |host| async move {
        let body = "x".repeat(65536);
        let text = told(&host, "POST /p", "Content-Length: 65536\r\n", &body).await;
        assert_eq!(text, "POST p streamed length=65536 expected=Some(65536)");
        let chunked = "Transfer-Encoding: chunked\r\n";
        let text = told(&host, "POST /p", chunked, "3\r\nabc\r\n0\r\n\r\n").await;
        assert_eq!(text, "POST p streamed length=3 expected=None");
    });
}

#[test]
fn c08_c10_patch_is_collected_and_delete_has_no_body() {
    with_host(echo(), |host| async move {
        let body = "x".repeat(3_000_000);
        let text = told(&host, "PATCH /p", "Content-Length: 3000000\r\n", &body).await;
        assert!(text.ends_with("length=3000000"), "{text}");
        let text = told(&host, "DELETE /p", "Content-Length: 3\r\n", "abc").await;
        assert_eq!(text, "DELETE p");
        let mut client = host.connect().await;
        client.request("PATCH /p", "Content-Length: 70000000\r\n", "x").await;
        assert_eq!(client.head().await.unwrap().0, 413);
    });
}

#[test]
fn c17_an_upload_cut_short_is_not_completed() {
    with_host(echo(), |host| async move {
        let mut client = host.connect().await;
        client.request("POST /p", "Content-Length: 100000\r\n", "some").await;
        drop(client);
        while host.last_call() != "UPLOAD dropped" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn c18_c22_an_early_answer_does_not_wait_for_the_upload() {
    with_host(echo(), |host| async move {
        for path in ["/early", "/breaks"] {
            let mut client = host.connect().await;
            let line = format!("POST {path}");
            client.request(&line, "Content-Length: 3000000\r\n", "some of it").await;
            let answer = client.answer(false).await.unwrap();
            assert_eq!(answer.status, 200);
        }
    });
}

#[test]
fn c19_c20_apps_without_streaming_get_the_body_at_once() {
    MANNER.set(Manner::NoStreaming);
    with_host(echo(), |host| async move {
        let body = "x".repeat(70000);
        let text = told(&host, "POST /p", "Content-Length: 70000\r\n", &body).await;
        assert!(text.starts_with("POST p\n") && text.ends_with("length=70000"), "{text}");
    });
    MANNER.set(Manner::Ordinary);
}

#[test]
fn c21_the_client_is_told_to_go_on() {
    with_host(echo(), |host| async move {
        let mut client = host.connect().await;
        client.request("POST /p", "Expect: 100-continue\r\nContent-Length: 3\r\n", "").await;
        assert_eq!(client.head().await.unwrap().0, 100);
        client.send("abc").await;
        assert!(client.answer(false).await.unwrap().text().ends_with("length=3"));
    });
}

#[test]
fn d01_to_d08_webdav() {
    with_host(echo(), |host| async move {
        let dav = |line: &'static str, headers: String, body: &'static str| {
            let host = host.clone();
            async move { told(&host, line, &headers, body).await }
        };
        assert_eq!(dav("PROPFIND /d", String::new(), "").await, "PROPFIND d\ndepth=0 xml=");
        let one = "Depth: 1\r\nContent-Type: text/xml\r\nContent-Length: 4\r\n".to_owned();
        assert_eq!(dav("PROPFIND /d", one, "<a/>").await, "PROPFIND d\ndepth=2 xml=<a/>");
        let text =
            dav("COPY /a", "Destination: /x\r\nOverwrite: f\r\nDepth: 0\r\n".into(), "").await;
        assert_eq!(text, "COPY a\nto=x no-overwrite=true shallow=true");
        let text = dav("COPY /a", "Destination: /x\r\n".into(), "").await;
        assert_eq!(text, "COPY a\nto=x no-overwrite=false shallow=false");
        let own = format!("Destination: http://{}/x/y%20z?q\r\n", host.host);
        assert_eq!(dav("MOVE /a", own, "").await, "MOVE a\nto=x/y%20z?q no-overwrite=false");
        let text = dav("UNLOCK /a", "Lock-Token: <urn:x>\r\n".into(), "").await;
        assert_eq!(text, "UNLOCK a\ntoken=<urn:x>");
        let lock = "Content-Type: application/xml; charset=utf-8\r\nContent-Length: 4\r\n";
        assert_eq!(dav("LOCK /a", "Depth: 0\r\n".into(), "").await, "LOCK a\nshallow=true xml=");
        assert_eq!(dav("ACL /a", lock.replace("; ", ";"), "<a/>").await, "ACL a\nxml=<a/>");
        assert_eq!(
            dav("MKCOL /a", String::new(), "").await,
            "MKCOL a\ntype=none encoding=none length=0"
        );
        for (line, headers, status) in [
            ("PROPFIND /d", "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", 415),
            ("MOVE /d", "Destination: http://other.example/x\r\n", 502),
            ("MOVE /d", "", 400),
            ("SEARCH /d", "", 501),
            ("PURGE /d", "", 501),
            ("BREW /d", "", 501),
        ] {
            let before = host.calls().len();
            let answer = host.connect().await.exchange(line, headers, "").await;
            assert_eq!(answer.status, status, "{line} {headers}");
            assert_eq!(host.calls().len(), before, "{line} {headers}");
        }
    });
}

#[test]
fn d16_d17_options() {
    with_host(echo(), |host| async move {
        let mut client = host.connect().await;
        let answer = client.exchange("OPTIONS /dav", "", "").await;
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!(answer.header("dav"), Some("1, 2, calendar-access, addressbook"));
        assert_eq!(answer.header("access-control-expose-headers"), Some("DAV"));
        for path in ["/plain", "/unimplemented"] {
            let answer = client.exchange(&format!("OPTIONS {path}"), "", "").await;
            assert_eq!((answer.status, answer.header("dav")), (200, None));
        }
    });
}

#[test]
fn bodies_arrive_byte_for_byte() {
    let script = script(|call, mut reply| async move {
        let content = reply.response().init_content();
        content.get_body().set_bytes(&call.body);
        Ok(())
    });
    with_host(script, |host| async move {
        let body: Vec<u8> = (0..200_000u32).map(|n| (n * 7 + n / 256) as u8).collect();
        for (line, length) in
            [("POST /", 10), ("PUT /", 65535), ("PATCH /", 200_000), ("POST /", 200_000)]
        {
            let headers = format!("Content-Length: {length}\r\n");
            let answer = host.connect().await.exchange(line, &headers, &body[..length]).await;
            assert!(answer.body == body[..length], "{line} {length}");
        }
    });
}
