//! http-bridge §10.2 to §10.4: what the app is told of a request.

use spk_web_session_conformance::session::echo;

use super::*;
use crate::serve::Loss;

async fn told(host: &Host, line: &str, headers: &str, body: &str) -> String {
    let answer = host.connect().await.exchange(line, headers, body).await;
    assert_eq!(answer.status, 200, "{line}: {answer:?}");
    answer.text()
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
            |settings| settings.visit.user = user.into(),
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
        settings.visit.permissions = Some(vec!["edit".into(), "view".into()]);
    };
    with_settings(echo(), choose, |host| async move {
        let session = host.launches.sessions.borrow()[0].clone();
        assert!(session.contains("permissions=101"), "{session}");
    });
    let (result, _) = run_host(
        echo(),
        |settings| settings.visit.permissions = Some(vec!["admin".into()]),
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
                Event::Lost(Loss::RequestHeader(name)) => Some(name.clone()),
                _ => None,
            })
            .collect();
        let mut dropped = dropped;
        dropped.sort();
        let expected = [
            "authorization",
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

/// Free: scripts of a site's pages can set more cookies than any request may have.
#[test]
fn too_many_cookies_are_answered_with_a_cure() {
    with_host(echo(), |host| async move {
        let cookies = |count: usize| {
            let all: Vec<_> = (0..count).map(|n| format!("b{n}={}", "x".repeat(4000))).collect();
            all.join("; ")
        };
        // As many as a browser has of a site, in one line or in several.
        let one_line = format!("Cookie: {}\r\n", cookies(180));
        let lines = format!("Cookie: {}\r\n", cookies(20)).repeat(9);
        for headers in [one_line, lines, format!("Cookie: {}\r\n", cookies(33))] {
            let mut client = host.connect().await;
            let before = host.calls().len();
            let answer = client.exchange("GET /x", &headers, "").await;
            assert_eq!(answer.status, 431);
            assert_eq!(answer.header("clear-site-data"), Some("\"cookies\""));
            assert_eq!(host.calls().len(), before);
            // The connection is as good as before.
            assert_eq!(client.get("/y").await.status, 200);
        }
        // What no cookie is to blame for is cured by nothing.
        let large = format!("X-Requested-With: {}\r\nCookie: a=b\r\n", "v".repeat(140_000));
        let answer = host.connect().await.exchange("GET /x", &large, "").await;
        assert_eq!((answer.status, answer.header("clear-site-data")), (431, None));
        let some = format!("Cookie: {}\r\n", cookies(30));
        assert_eq!(host.connect().await.exchange("GET /x", &some, "").await.status, 200);
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
fn c21_the_client_is_told_to_go_on() {
    with_host(echo(), |host| async move {
        let mut client = host.connect().await;
        client.request("POST /p", "Expect: 100-continue\r\nContent-Length: 3\r\n", "").await;
        assert_eq!(client.head().await.unwrap().0, 100);
        client.send("abc").await;
        assert!(client.answer(false).await.unwrap().text().ends_with("length=3"));
    });
}
