//! http-bridge §10.10: programs with tokens, and the hosts that need none.

use serde_json::json;
use spk_web_session_conformance::client::Answer;
use spk_web_session_conformance::session::{echo, script};

use super::app::{MANNER, Manner};
use super::*;

/// A token, and a client of its own host.
struct Api {
    token: String,
    host: String,
    id: String,
}

async fn token(host: &Host, mut wanted: serde_json::Value) -> Api {
    wanted["ask"] = "token".into();
    let made = host.ask(wanted).await.unwrap();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    assert_eq!(text("webkey"), format!("{}#{}", text("url"), text("token")));
    Api {
        token: text("token"),
        host: text("url").strip_prefix("http://").unwrap().to_owned(),
        id: text("id"),
    }
}

impl Api {
    async fn get(&self, host: &Host, path: &str, headers: &str) -> Answer {
        host.at(&self.host).await.exchange(&format!("GET {path}"), headers, "").await
    }

    fn bearer(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.token)
    }
}

fn basic(pair: &str) -> String {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    format!("Authorization: Basic {encoded}\r\n")
}

#[test]
fn p01_p02_p03_p07_p08_h31_a_token_is_taken_from_where_it_may_be() {
    with_host(echo(), |host| async move {
        let api = token(&host, json!({ "user": "alice" })).await;
        assert_eq!(api.token.len(), 43);
        let t = &api.token;
        for (path, headers, seen) in [
            ("/foo?x=1", format!("Authorization: Bearer {t}\r\n"), "GET foo?x=1"),
            ("/foo", format!("Authorization: bearer {t}\r\nCookie: a=b\r\n"), "GET foo"),
            ("/foo", basic(&format!("anybody:{t}")), "GET foo"),
            (&format!("/.sandstorm-token/{t}/some/path?x=1"), String::new(), "GET some/path?x=1"),
            (&format!("/.sandstorm-token/{t}"), String::new(), "GET "),
            (&format!("/.sandstorm-token/{t}?x=1"), String::new(), "GET ?x=1"),
        ] {
            let answer = api.get(&host, path, &headers).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, seen), "{path}");
            // H31, and no cookies.
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            assert_eq!(answer.header("vary"), Some("Authorization"));
            assert_eq!(answer.header("access-control-expose-headers"), Some("ETag"));
            let policy = answer.header("content-security-policy");
            assert_eq!(policy, Some("default-src 'none'; sandbox"));
        }
        let session = host.launches.sessions.borrow().last().unwrap().clone();
        assert!(session.starts_with("user=Alice Dev Admin"), "{session}");
        assert!(session.ends_with("permissions=111 API address=none tab=16"), "{session}");
    });
}

#[test]
fn p04_p10_without_a_token_there_is_nothing() {
    with_host(echo(), |host| async move {
        let api = token(&host, json!({})).await;
        let before = host.calls().len();
        for (line, headers) in [
            ("GET /", String::new()),
            ("POST /", "Content-Length: 0\r\n".into()),
            ("GET /", basic("git:")),
            ("GET /.sandstorm-token/", String::new()),
        ] {
            let answer = host.at(&api.host).await.exchange(line, &headers, "").await;
            assert_eq!(answer.status, 401, "{line} {headers}");
            let wanted = Some("Basic realm='Sandstorm API'");
            assert_eq!(answer.header("www-authenticate"), wanted);
        }
        let wrong = "x".repeat(43);
        let headers = format!("Authorization: Bearer {wrong}\r\n");
        assert_eq!(api.get(&host, "/", &headers).await.status, 403);
        assert_eq!(host.calls().len(), before);
    });
}

#[test]
fn p05_p06_the_shared_host_takes_passwords_from_few() {
    with_host(echo(), |host| async move {
        let api = token(&host, json!({})).await;
        let (_, rest) = api.host.split_once('.').unwrap();
        let shared = format!("api.{rest}");
        let password = basic(&format!("x:{}", api.token));
        for (headers, status) in [
            (api.bearer(), 200),
            (format!("{password}User-Agent: curl/8\r\n"), 403),
            (format!("{password}User-Agent: git/2.0\r\n"), 200),
            (format!("{password}User-Agent: Mozilla/5.0 (Linux) mirall/2\r\n"), 200),
            ("User-Agent: git/2.0\r\n".into(), 401),
            (String::new(), 403),
        ] {
            let answer = host.at(&shared).await.exchange("GET /", &headers, "").await;
            assert_eq!(answer.status, status, "{headers}");
        }
        let in_path = format!("GET /.sandstorm-token/{}/x", api.token);
        assert_eq!(host.at(&shared).await.exchange(&in_path, "", "").await.status, 403);
    });
}

#[test]
fn p09_p11_p12_what_needs_no_token() {
    with_host(echo(), |host| async move {
        let open = json!({
            "dav": ["1", "calendar-access"],
            "resources": { "/info": { "type": "application/json", "language": "en", "body": "{}" } },
        });
        let api = token(&host, json!({ "unauthenticated": open })).await;
        let answer = api.get(&host, "/info", "").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("content-language"), Some("en"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(api.get(&host, "/info2", "").await.status, 401);
        let asked = "Access-Control-Request-Method: PROPFIND\r\n\
                     Access-Control-Request-Headers: depth, x-y\r\n";
        let mut client = host.at(&api.host).await;
        let answer = client.exchange("OPTIONS /x", asked, "").await;
        assert_eq!(answer.status, 200);
        let methods = answer.header("access-control-allow-methods");
        assert_eq!(methods, Some("GET, HEAD, POST, PUT, PATCH, DELETE, PROPFIND"));
        assert_eq!(answer.header("access-control-allow-headers"), Some("depth, x-y"));
        assert_eq!(answer.header("access-control-max-age"), Some("3600"));
        assert_eq!(answer.header("dav"), Some("1, calendar-access"));
        assert_eq!(answer.header("access-control-expose-headers"), Some("DAV"));
        // With the token, the app is asked.
        let answer = client.exchange("OPTIONS /dav", &(api.bearer() + asked), "").await;
        assert_eq!(answer.header("dav"), Some("1, 2, calendar-access, addressbook"));
        assert_eq!(answer.header("access-control-allow-headers"), Some("depth, x-y"));
        assert_eq!(host.last_call(), "OPTIONS dav");
        let large = json!({ "resources": { "/a": { "type": "x", "body": "x".repeat(5000) } } });
        let refused = host.ask(json!({ "ask": "token", "unauthenticated": large })).await;
        assert!(refused.unwrap_err().contains("more than 4096"));
    });
}

#[test]
fn p13_p14_the_client_s_address_is_passed_on_if_it_wants() {
    with_host(echo(), |host| async move {
        let api = token(&host, json!({})).await;
        let last = || host.launches.sessions.borrow().last().unwrap().clone();
        for (headers, address) in [
            ("", "none"),
            ("X-Real-IP: 192.0.2.1\r\n", "none"),
            ("X-Sandstorm-Passthrough: address\r\n", "0:ffff7f000001"),
            ("X-Sandstorm-Passthrough: x, address\r\nX-Real-IP: 192.0.2.1\r\n", "0:ffffc0000201"),
            (
                "X-Sandstorm-Passthrough: address\r\nX-Real-IP: 2001:db8::1\r\n",
                "20010db800000000:1",
            ),
        ] {
            let headers = format!("{}{headers}", api.bearer());
            assert_eq!(api.get(&host, "/", &headers).await.status, 200);
            assert!(last().contains(&format!("API address={address} ")), "{headers}: {}", last());
        }
    });
}

#[test]
fn p15_p17_tokens_live_as_long_as_they_should() {
    with_host(echo(), |host| async move {
        let api = token(&host, json!({ "expiresIfUnused": 100 })).await;
        let before = host.calls().len();
        let headers = format!("{}X-Sandstorm-Token-Keepalive: 300000\r\n", api.bearer());
        let answer = api.get(&host, "/", &headers).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, ""));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(host.calls().len(), before);
        let headers = format!("{}X-Sandstorm-Token-Keepalive: soon\r\n", api.bearer());
        assert_eq!(api.get(&host, "/", &headers).await.status, 400);
        // Used: it stays.
        assert_eq!(api.get(&host, "/", &api.bearer()).await.status, 200);

        let over = token(&host, json!({ "expires": 0 })).await;
        assert_eq!(over.get(&host, "/", &over.bearer()).await.status, 403);
        let unused = token(&host, json!({ "expiresIfUnused": 0 })).await;
        assert_eq!(unused.get(&host, "/", &unused.bearer()).await.status, 403);

        host.ask(json!({ "ask": "revoke", "id": api.id })).await.unwrap();
        let answer = api.get(&host, "/", &api.bearer()).await;
        assert_eq!((answer.status, answer.text().as_str()), (403, "this API token was revoked\n"));
        let error = host.ask(json!({ "ask": "revoke", "id": "99" })).await.unwrap_err();
        assert!(error.contains("the grain has no API token 99"), "{error}");
        let listed = host.ask(json!({ "ask": "tokens" })).await.unwrap();
        assert_eq!(listed.as_array().unwrap().len(), 3);
        assert!(!listed.to_string().contains(&api.token));
    });
}

#[test]
fn p16_an_app_from_before_api_sessions_gets_an_ordinary_one() {
    MANNER.set(Manner::NoApi);
    with_host(echo(), |host| async move {
        let api = token(&host, json!({})).await;
        let answer = api.get(&host, "/x", &api.bearer()).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "GET x"));
        let session = host.launches.sessions.borrow().last().unwrap().clone();
        assert!(session.contains("type=a50711a14d35a8ce base=https://sandbox "), "{session}");
    });
    MANNER.set(Manner::Ordinary);
}

#[test]
fn p18_a_token_belongs_to_its_host() {
    with_host(echo(), |host| async move {
        let (one, other) = (token(&host, json!({})).await, token(&host, json!({})).await);
        assert_ne!(one.host, other.host);
        assert_eq!(one.get(&host, "/", &other.bearer()).await.status, 403);
        assert_eq!(one.get(&host, "/", &one.bearer()).await.status, 200);
        // Another site's page may ask, as far as it has the token.
        let headers = format!("{}Origin: http://evil.example\r\n", one.bearer());
        assert_eq!(one.get(&host, "/", &headers).await.status, 200);
    });
}

#[test]
fn h25_k13_programs_have_no_cookies_and_may_have_websockets() {
    let sets_cookie = script(|call, mut reply| async move {
        reply.text(&call.text);
        let mut cookies = reply.response().init_set_cookies(1);
        cookies.reborrow().get(0).set_name("a");
        Ok(())
    });
    with_host(sets_cookie, |host| async move {
        let api = token(&host, json!({})).await;
        let headers = format!("{}Cookie: x=y\r\n", api.bearer());
        let answer = api.get(&host, "/", &headers).await;
        assert_eq!((answer.header("set-cookie"), answer.text().as_str()), (None, "GET "));
        // It is said once that they are lost.
        api.get(&host, "/", &headers).await;
        let events = host.events.borrow().clone();
        let lost = events.iter().filter_map(|event| match event {
            Event::Lost(loss) => Some(loss.to_string()),
            _ => None,
        });
        let lost: Vec<_> = lost.collect();
        assert_eq!(lost, ["the cookie a is not kept: programs with an API token get none"]);
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: k\r\nOrigin: http://elsewhere.example\r\n";
        let mut client: Client = host.at(&api.host).await;
        client.request(&format!("GET /.sandstorm-token/{}/greets", api.token), upgrade, "").await;
        assert_eq!(client.head().await.unwrap().0, 101);
        assert_eq!(client.exactly(5).await.unwrap(), b"hello");
        assert_eq!(host.last_call(), "WEBSOCKET greets ");
    });
}

#[test]
fn a_token_allows_what_its_role_and_its_maker_have() {
    with_host(echo(), |host| async move {
        let ask = async |wanted: serde_json::Value| {
            let api = token(&host, wanted).await;
            assert_eq!(api.get(&host, "/", &api.bearer()).await.status, 200);
            let session = host.launches.sessions.borrow().last().unwrap().clone();
            let bits = session.split("permissions=").nth(1).unwrap();
            (session.split(" handle").next().unwrap().to_owned(), bits[..3].to_owned())
        };
        let visitor = "user=Anonymous User".to_owned();
        assert_eq!(ask(json!({})).await, (visitor.clone(), "111".into()));
        assert_eq!(ask(json!({ "role": "viewer" })).await, (visitor.clone(), "100".into()));
        let named = json!({ "permissions": ["edit"] });
        assert_eq!(ask(named).await, (visitor, "001".into()));
        host.ask(json!({ "ask": "share", "to": "bob", "role": "Viewer" })).await.unwrap();
        let bob = "user=Bob Dev User".to_owned();
        assert_eq!(ask(json!({ "user": "bob", "role": "editor" })).await, (bob, "100".into()));
        let error = host.ask(json!({ "ask": "token", "role": "Boss" })).await.unwrap_err();
        assert!(error.contains("the app has no role \"Boss\"; it has: Editor, Viewer"), "{error}");
    });
}

#[test]
fn l06_what_is_shared_is_taken_back_during_a_session() {
    with_host(echo(), |host| async move {
        let session = host.ask(json!({ "ask": "session", "user": "bob" })).await.unwrap();
        let name = session["url"].as_str().unwrap().trim_end_matches('/').to_owned();
        let name = name.strip_prefix("http://").unwrap().to_owned();
        let bits = async || {
            assert_eq!(host.at(&name).await.get("/").await.status, 200);
            let session = host.launches.sessions.borrow().last().unwrap().clone();
            session.split("permissions=").nth(1).unwrap()[..3].to_owned()
        };
        assert_eq!(bits().await, "100", "nothing was said of bob");
        host.ask(json!({ "ask": "share", "to": "Bob", "role": "editor" })).await.unwrap();
        assert_eq!(bits().await, "111");
        let opened = host.launches.sessions.borrow().len();
        bits().await;
        assert_eq!(host.launches.sessions.borrow().len(), opened, "the session stays open");
        host.ask(json!({ "ask": "unshare", "to": "bob" })).await.unwrap();
        host.ask(json!({ "ask": "share", "to": "bob" , "role": "none" })).await.unwrap();
        assert_eq!(bits().await, "100", "L03: the default role");
        host.ask(json!({ "ask": "share", "to": "carol", "from": "bob", "role": "0" }))
            .await
            .unwrap();
        let shares = host.ask(json!({ "ask": "shares" })).await.unwrap();
        assert_eq!(shares.as_array().unwrap().len(), 2);
        let view = host.ask(json!({ "ask": "view" })).await.unwrap();
        assert_eq!(view["permissions"], json!(["view", "comment", "edit"]));
        assert_eq!(view["roles"][1]["title"], "Viewer");
    });
}

#[test]
fn the_command_line_s_token_and_role() {
    let asked = |settings: &mut Settings| {
        settings.visit.api_token = Some(None);
        settings.visit.role = Some("viewer".into());
        settings.policy.grants = vec!["http-api".into()];
    };
    with_settings(echo(), asked, |host| async move {
        let ready = host.events.borrow().iter().find_map(|event| match event {
            Event::Ready { api, grants, .. } => Some((api.clone(), grants.clone())),
            _ => None,
        });
        let (Some(api), grants) = ready.unwrap() else { panic!("no token") };
        assert_eq!((grants.len(), grants[0].0.as_str()), (1, "http-api"));
        assert_eq!(api.webkey(), format!("{}#{}", api.url, api.token));
        let name = api.url.strip_prefix("http://").unwrap();
        let headers = format!("Authorization: Bearer {}\r\n", api.token);
        assert_eq!(host.at(name).await.exchange("GET /", &headers, "").await.status, 200);
        let sessions = host.launches.sessions.borrow().clone();
        assert!(sessions.iter().all(|session| session.contains("permissions=100")), "{sessions:?}");
    });
}

#[test]
fn pictures_of_users_are_served() {
    with_host(echo(), |host| async move {
        let (_, port) = host.host.split_once(':').unwrap();
        let mut client = host.at(&format!("static.spk.localhost:{port}")).await;
        let seed = "0123456789abcdef".repeat(2);
        let answer = client.get(&format!("/identicon/{seed}?s=256")).await;
        assert_eq!(answer.header("content-type"), Some("image/svg+xml"));
        assert!(answer.text().starts_with("<svg "));
        for bad in ["/", "/identicon/", "/identicon/x", "/identicon/../x"] {
            assert_eq!(client.get(bad).await.status, 404, "{bad}");
        }
        assert_eq!(client.exchange("POST /", "Content-Length: 0\r\n", "").await.status, 405);
    });
}
