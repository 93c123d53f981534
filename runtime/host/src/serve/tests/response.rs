//! http-bridge §10.5 and §10.6: what the client is told of a response.

use spk_web_session_conformance::client::Answer;
use spk_web_session_conformance::session::{Reply, script};

use super::*;

/// What an app answers that fills every response like this.
fn get(fill: fn(&mut Reply)) -> Answer {
    let answer = Rc::new(RefCell::new(None));
    let result = answer.clone();
    let script = script(move |_, mut reply| async move {
        fill(&mut reply);
        Ok(())
    });
    with_host(script, |host| async move {
        *result.borrow_mut() = Some(host.connect().await.get("/").await);
    });
    answer.take().unwrap()
}

#[test]
fn h03_policies_of_the_app_s_do_not_pass() {
    let answer = get(|reply| {
        let mut header = reply.response().init_additional_headers(1).get(0);
        header.set_name("content-security-policy");
        header.set_value("default-src *");
        reply.text("");
    });
    let policies = answer.headers("content-security-policy");
    assert!(policies.len() == 1 && policies[0].starts_with("frame-ancestors "), "{policies:?}");
}

#[test]
fn h16_to_h19_cookies() {
    let answer = get(|reply| {
        let mut list = reply.response().init_set_cookies(10);
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
        cookie("path", "1");
        cookie("paths", "1");
        cookie("line", "1");
        let mut a = list.reborrow().get(0);
        a.set_path("/foo");
        a.set_http_only(true);
        list.reborrow().get(1).get_expires().set_relative(3600);
        list.reborrow().get(2).get_expires().set_absolute(0);
        list.reborrow().get(6).get_expires().set_absolute(i64::MAX);
        // What a path would add to the cookie, or to the head.
        list.reborrow().get(7).set_path("/x; Domain=localhost");
        list.reborrow().get(8).set_path("/x, other=1");
        list.reborrow().get(9).set_path("/x\r\nX: y");
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
        assert!(origins[1].starts_with("http://spk-"));
        assert!(origins[2].starts_with("http://ui-"));
        // The page around it has the same site.
        assert!(origins[2].ends_with(&origins[1]["http://".len()..]));
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
