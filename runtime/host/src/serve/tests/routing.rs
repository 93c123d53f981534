//! http-bridge §10.9: who is let in.

use spk_web_session_conformance::session::echo;

use super::*;

#[test]
fn g01_the_name_of_the_session_is_the_key() {
    with_host(echo(), |host| async move {
        let (id, rest) = host.host.split_once('.').unwrap();
        let (_, port) = rest.split_once(':').unwrap();
        for name in [
            format!("ui-{}.{rest}", "0".repeat(32)),
            format!("ui-.{rest}"),
            host.host.replace("ui-", "ui-ui-"),
            host.host.replace("localhost", "example"),
            // Its page would be in another grain's site, and set cookies there.
            format!("{id}.spk-0123456789abcdef.localhost:{port}"),
            format!("{id}.spk.localhost:{port}"),
            format!("{id}.localhost:{port}"),
            host.address.clone(),
        ] {
            let before = host.calls().len();
            let answer = Client::connect(&host.address, &name).await.get("/").await;
            assert_eq!(answer.status, 404, "{name}");
            assert_eq!(host.calls().len(), before);
        }
        let upper = host.host.to_uppercase();
        assert_eq!(Client::connect(&host.address, &upper).await.get("/").await.status, 200);
    });
}

#[test]
fn g02_to_g05_the_original_s_way_in() {
    with_host(echo(), |host| async move {
        let mut client = host.connect().await;
        let answer = client.get("/_sandstorm-init?sessionid=s&path=/x").await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/x")));
        assert_eq!(answer.header("set-cookie"), Some("sandstorm-sid=s; HttpOnly"));
        let answer = client.get("/_sandstorm-init?path=foo%3Fbar&sessionid=s").await;
        assert_eq!(answer.header("location"), Some("/foo?bar"));
        let paths =
            ["//evil/x", "/%2fevil", "/%5Cevil", "%0d%0aX: y"].map(str::to_owned).into_iter();
        // What browsers leave out of addresses makes "//" of what stands around it.
        let controls = (0..0x20_u8).chain([0x7f]).filter(|byte| *byte != 0);
        let dropped = controls.flat_map(|byte| {
            [format!("/%{byte:02x}/evil/"), format!("%{byte:02x}//evil/"), format!("/a%{byte:02x}")]
        });
        for path in paths.chain(dropped) {
            let target = format!("/_sandstorm-init?sessionid=s&path={path}");
            let answer = host.connect().await.get(&target).await;
            assert!(answer.status == 400 || answer.status == 404, "{path}: {answer:?}");
            assert_eq!(answer.header("location"), None, "{path}");
        }
        // What would be more of a cookie than its value is none.
        for id in ["s;Domain=localhost", "s;Path=/elsewhere", "s,t=u", "a%3b", "a=b", "-"] {
            let answer = client.get(&format!("/_sandstorm-init?sessionid={id}&path=/x")).await;
            assert_eq!((answer.status, answer.header("set-cookie")), (303, None), "{id}");
        }
        // Three dots and what is no control are a path.
        let answer = client.get("/_sandstorm-init?sessionid=s&path=/.../%20%c3%a9").await;
        assert_eq!(answer.status, 303);
    });
}

#[test]
fn g06_g07_g08_other_sites_pages_cannot_ask() {
    with_host(echo(), |host| async move {
        let mut client = host.connect().await;
        for (origin, status) in [
            ("http://evil.example".to_owned(), 403),
            (format!("https://{}", host.host), 403),
            ("null".to_owned(), 200),
            (format!("http://{}", host.host), 200),
        ] {
            for line in ["GET /x", "POST /x"] {
                let headers = format!("Origin: {origin}\r\nContent-Length: 0\r\n");
                assert_eq!(client.exchange(line, &headers, "").await.status, status, "{origin}");
            }
        }
    });
}

#[test]
fn g11_g12_g13_names() {
    with_host(echo(), |host| async move {
        let (_, port) = host.address.rsplit_once(':').unwrap();
        let test = format!("selftest-x.spk.localhost:{port}");
        let mut client = Client::connect(&host.address, &test).await;
        let answer = client.get("/").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "Self-test OK."));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(client.get("/x").await.status, 400);
        let mut client = Client::connect(&host.address, "unknown.example").await;
        let answer = client.get("/").await;
        assert_eq!(answer.status, 404);
        assert!(answer.header("content-type").unwrap().starts_with("text/html"));
    });
}

#[test]
fn the_shell_s_name_leads_nowhere_without_a_shell() {
    with_host(echo(), |host| async move {
        assert_eq!(host.url, format!("http://{}/", host.host));
        let (_, shell) = host.host.split_once('.').unwrap();
        let mut client = host.at(shell).await;
        for path in ["/", "/as/bob", "/?token=", "/grain/x"] {
            let answer = client.get(path).await;
            assert_eq!(answer.status, 404, "{path}");
            assert!(!answer.text().contains("ui-"));
        }
    });
}
