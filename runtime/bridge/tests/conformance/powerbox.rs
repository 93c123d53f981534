//! http-bridge §10.11, the platform's side: requests, offers, HTTP APIs, the proxy.

use std::rc::Rc;

use capnp::Error;
use capnp::capability::{Client, FromClientHook};
use spk_schema::grain_capnp::app_persistent;
use spk_schema::package_capnp::bridge_config;
use spk_schema::powerbox_capnp::powerbox_descriptor;
use spk_schema::sandstorm_http_bridge_internal_capnp::bridge_object_id;
use spk_schema::web_session_capnp::web_session;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::App;
use crate::host::{Sink, describe};
use crate::platform::{Platform, User};
use crate::rig::{API_SESSION, Rig, WEB_SESSION, get, run, usual_user};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// Two APIs, of which the usual user may use the first, which needs the bits view and edit.
fn apis(mut config: bridge_config::Builder<'_>) {
    config.set_save_identity_caps(true);
    let mut list = config.init_powerbox_apis(2);
    for (index, (name, bits)) in
        [("cal", [true, false, true]), ("<secret>", [false, true, false])].into_iter().enumerate()
    {
        let mut api = list.reborrow().get(index as u32);
        api.set_name(name);
        api.set_path("/calendar");
        api.reborrow().init_display_info().init_title().set_default_text("The </calendar>");
        api.reborrow().init_tag().set_canonical_url("https://api.example.com");
        let mut permissions = api.init_permissions(3);
        for (index, bit) in bits.into_iter().enumerate() {
            permissions.set(index as u32, bit);
        }
    }
}

/// A request session for these tags.
async fn requested(rig: &Rig, platform: &Rc<Platform>, tags: &[u64]) -> web_session::Client {
    let mut request = rig.view.new_request_session_request();
    let mut user = request.get().init_user_info();
    user.set_identity(capnp_rpc::new_client(User("Ana")));
    usual_user(user);
    request.get().set_context(platform.context());
    request.get().set_session_type(WEB_SESSION);
    request.get().set_tab_id(&[0xab; 16]);
    let params = request.get().get_session_params();
    let mut params: web_session::params::Builder = params.init_as();
    params.set_base_path("http://h");
    let descriptor = request.get().init_request_info(1).get(0);
    let mut list = descriptor.init_tags(tags.len() as u32);
    for (index, tag) in tags.iter().enumerate() {
        list.reborrow().get(index as u32).set_id(*tag);
    }
    let response = request.send().promise.await.unwrap();
    response.get().unwrap().get_session().unwrap().cast_to()
}

async fn choose(session: &web_session::Client, name: &str) -> Result<String, Error> {
    let mut request = session.post_request();
    request.get().init_content().set_content(name.as_bytes());
    let response = request.send().promise.await?;
    Ok(describe(response.get()?, &Sink::default()).await)
}

struct Chosen {
    app: Rc<App>,
    platform: Rc<Platform>,
    rig: Rig,
    session: web_session::Client,
}

async fn chosen() -> Chosen {
    let app = App::answering(OK).await;
    let platform = Rc::new(Platform::default());
    let rig = Rig::serving(app.port, &apis, Some(platform.api()));
    let chooser = requested(&rig, &platform, &[API_SESSION]).await;
    // The identity has to be there before it can be used.
    let link = ".sandstorm-http-bridge/identities/00070e151c232a31383f464d545b6269";
    while std::fs::read_link(rig.var.path().join(link)).is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(choose(&chooser, "cal").await.unwrap(), "noContent reset=false");
    let session = platform.fulfilled.borrow()[0].cap.clone().cast_to();
    Chosen { app, platform, rig, session }
}

#[test]
fn x01_view_info() {
    run(async {
        let app = App::answering(OK).await;
        let rig = Rig::with(app.port, &apis);
        let response = rig.view.get_view_info_request().send().promise.await.unwrap();
        let info = response.get().unwrap();
        assert_eq!(info.get_permissions().unwrap().len(), 3);
        let requests = info.get_match_requests().unwrap();
        assert_eq!(requests.len(), 2);
        let tags = requests.get(0).get_tags().unwrap();
        assert_eq!((tags.len(), tags.get(0).get_id()), (1, API_SESSION));
    });
}

#[test]
fn x02_chooser() {
    run(async {
        let app = App::answering(OK).await;
        let platform = Rc::new(Platform::default());
        let rig = Rig::serving(app.port, &apis, Some(platform.api()));
        for tags in [&[API_SESSION][..], &[]] {
            let page = get(&requested(&rig, &platform, tags).await, "").await.unwrap();
            assert!(page.starts_with("content Ok type=text/html;charset=UTF-8 "), "{page}");
            assert!(page.contains(r#"\"name\":\"cal\""#), "{page}");
            assert!(page.contains(r"The \\u003c/calendar>"), "{page}");
            assert!(!page.contains("secret"), "{page}");
        }
        assert!(app.requests.borrow().is_empty());
    });
}

#[test]
fn x03_other_paths() {
    run(async {
        let app = App::answering(OK).await;
        let platform = Rc::new(Platform::default());
        let rig = Rig::serving(app.port, &apis, Some(platform.api()));
        let session = requested(&rig, &platform, &[API_SESSION]).await;
        assert_eq!(get(&session, "x").await.unwrap(), "clientError NotFound");
        let error = session.put_request().send().promise.await.err().unwrap();
        assert_eq!(error.kind, capnp::ErrorKind::Unimplemented);
    });
}

#[test]
fn x04_choice() {
    run(async {
        let Chosen { platform, .. } = chosen().await;
        let fulfilled = platform.fulfilled.borrow();
        assert_eq!(fulfilled.len(), 1);
        assert_eq!(fulfilled[0].permissions, [true, false, true]);
        assert_eq!(fulfilled[0].title, "The </calendar>");
        assert_eq!(fulfilled[0].tag, (API_SESSION, "https://api.example.com".to_owned()));
    });
}

#[test]
fn x05_unknown_choice() {
    run(async {
        let app = App::answering(OK).await;
        let platform = Rc::new(Platform::default());
        let rig = Rig::serving(app.port, &apis, Some(platform.api()));
        let session = requested(&rig, &platform, &[API_SESSION]).await;
        // One that does not exist, and one that the user may not use.
        for name in ["other", "<secret>"] {
            assert_eq!(choose(&session, name).await.err().unwrap().kind, capnp::ErrorKind::Failed);
        }
        assert!(platform.fulfilled.borrow().is_empty());
    });
}

#[test]
fn x06_request_for_the_app() {
    run(async {
        let app = App::answering(OK).await;
        let rig = Rig::new(app.port);
        let session = requested(&rig, &Rc::default(), &[API_SESSION, 1234]).await;
        get(&session, "").await.unwrap();
        assert!(app.request().contains("\r\nX-Sandstorm-Session-Type: request\r\n"));
        let mut request = rig.app(None).get_session_request_request();
        request.get().set_id("0");
        let response = request.send().promise.await.unwrap();
        let descriptors = response.get().unwrap().get_request_info().unwrap();
        assert_eq!(descriptors.get(0).get_tags().unwrap().get(1).get_id(), 1234);
    });
}

#[test]
fn x07_offer() {
    run(async {
        let app = App::answering(OK).await;
        let rig = Rig::new(app.port);
        let mut request = rig.view.new_offer_session_request();
        usual_user(request.get().init_user_info());
        request.get().set_context(crate::rig::context_client());
        let params = request.get().get_session_params();
        let mut params: web_session::params::Builder = params.init_as();
        params.set_base_path("http://h");
        let user: spk_schema::identity_capnp::identity::Client =
            capnp_rpc::new_client(User("offered"));
        request.get().init_offer().set_as_capability(user.into_client_hook());
        let descriptor: powerbox_descriptor::Builder<'_> = request.get().init_descriptor();
        descriptor.init_tags(1).get(0).set_id(77);
        let response = request.send().promise.await.unwrap();
        let session: web_session::Client = response.get().unwrap().get_session().unwrap().cast_to();
        get(&session, "").await.unwrap();
        assert!(app.request().contains("\r\nX-Sandstorm-Session-Type: offer\r\n"));
        let mut request = rig.app(None).get_session_offer_request();
        request.get().set_id("0");
        let response = request.send().promise.await.unwrap();
        let results = response.get().unwrap();
        let tags = results.get_descriptor().unwrap().get_tags().unwrap();
        assert_eq!(tags.get(0).get_id(), 77);
        let offer: spk_schema::identity_capnp::identity::Client =
            results.get_offer().get_as_capability().unwrap();
        offer.get_profile_request().send().promise.await.unwrap();
    });
}

#[test]
fn x08_api_capability() {
    run(async {
        let Chosen { app, session, .. } = chosen().await;
        assert_eq!(get(&session, "foo/bar?x=1").await.unwrap(), "content Ok bytes=hi");
        let expected = "GET /calendar/foo/bar?x=1 HTTP/1.1\r
Connection: close\r
X-Sandstorm-Tab-Id: \r
X-Sandstorm-Username: Ana\r
X-Sandstorm-User-Id: 00070e151c232a31383f464d545b6269\r
X-Sandstorm-Preferred-Handle: handle\r
X-Sandstorm-User-Picture: https://static.h/picture\r
X-Sandstorm-User-Pronouns: robot\r
X-Sandstorm-Session-Type: normal\r
X-Sandstorm-Permissions: view,edit\r
Host: sandbox\r
X-Sandstorm-Session-Id: \r
X-Sandstorm-Api: cal\r
Accept: */*\r
\r
";
        assert_eq!(app.request(), expected);
    });
}

#[test]
fn x08_the_prefix_confines() {
    run(async {
        let Chosen { app, session, .. } = chosen().await;
        for path in ["..", "../x", "a/../../x", "a/%2e%2E/x", "%2e./x", "a%2f..%2fx", "..\\x"] {
            assert!(get(&session, path).await.is_err(), "{path}");
        }
        get(&session, "..a/b..?../x").await.unwrap();
        assert_eq!(app.requests.borrow().len(), 1);
    });
}

#[test]
fn x08_api_capability_is_restored() {
    run(async {
        let Chosen { app, session, rig, .. } = chosen().await;
        let persistent: app_persistent::Client<bridge_object_id::Owned> = session.cast_to();
        let response = persistent.save_request().send().promise.await.unwrap();
        let saved = response.get().unwrap();
        assert_eq!(saved.get_label().unwrap().get_default_text().unwrap(), "The </calendar>");
        let mut request = rig.main_view.restore_request();
        request.get().set_object_id(saved.get_object_id().unwrap()).unwrap();
        let response = request.send().promise.await.unwrap();
        let restored: web_session::Client =
            response.get().unwrap().get_cap().get_as_capability().unwrap();
        get(&restored, "x").await.unwrap();
        assert!(app.request().starts_with("GET /calendar/x HTTP/1.1\r\n"));
    });
}

// The proxy

/// Sends raw bytes to the proxy and returns all it answers.
async fn ask(rig: &Rig, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", rig.proxy_port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// A bridge whose host has one saved capability: a browser session with another app.
async fn with_capability(response: &str) -> (Rc<App>, Rig) {
    let app = App::answering(response).await;
    let platform = Rc::new(Platform::default());
    let rig = Rig::serving(app.port, &|_| {}, Some(platform.api()));
    let session: Client = rig.session().await.cast_to();
    platform.saved.borrow_mut().push(Some(session));
    (app, rig)
}

/// `token/0` in base64.
const BEARER: &str = "Authorization: Bearer dG9rZW4vMA==\r\nConnection: close\r\n";

#[test]
fn x09_claim() {
    run(async {
        let app = App::answering(OK).await;
        let platform = Rc::new(Platform::default());
        let user: spk_schema::identity_capnp::identity::Client = capnp_rpc::new_client(User("x"));
        *platform.claimed.borrow_mut() = Some(user.cast_to());
        let rig = Rig::serving(app.port, &|_| {}, Some(platform.api()));
        let mut request = rig.view.new_session_request();
        request.get().init_user_info();
        request.get().set_context(platform.context());
        request.get().set_session_type(WEB_SESSION);
        let _session = request.send().promise.await.unwrap();
        let body = r#"{"requestToken":"t","requiredPermissions":["edit","none"],"label":{"defaultText":"l"}}"#;
        let claim = |path: &str| {
            format!(
                "POST http://http-bridge{path} HTTP/1.1\r\nHost: http-bridge\r\n\
                 Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let answer = ask(&rig, &claim("/session/0/claim")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n{\"cap\":\"dG9rZW4vMA==\"}"), "{answer}");
        assert_eq!(*platform.claims.borrow(), [("t".to_owned(), vec![false, false, true])]);
        assert_eq!(*platform.labels.borrow(), ["l"]);
        for (path, status) in
            [("/session/0/claim?x", "400"), ("/session/1/claim", "500"), ("/session/0", "404")]
        {
            let answer = ask(&rig, &claim(path)).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
    });
}

#[test]
fn x10_dispatch() {
    run(async {
        let (app, rig) = with_capability(
            "HTTP/1.1 404 X\r\nContent-Type: a/b\r\nETag: \"t\"\r\nSet-Cookie: a=b\r\n\
             X-OC-MTime: accepted\r\nContent-Length: 2\r\n\r\nhi",
        )
        .await;
        let answer = ask(
            &rig,
            &format!(
                "GET http://any.example/a%20b?c HTTP/1.1\r\nHost: any.example\r\n{BEARER}\
                 Accept: a/b;q=0.5\r\nCookie: c=d\r\nX-Requested-With: X\r\n\
                 If-None-Match: W/\"x\"\r\n\r\n"
            ),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
        assert!(answer.contains("\r\ncontent-type: a/b\r\n"), "{answer}");
        assert!(answer.contains("\r\nx-oc-mtime: accepted\r\n"), "{answer}");
        assert!(!answer.contains("cookie"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nhi"), "{answer}");
        let request = app.request();
        assert!(request.starts_with("GET /a%20b?c HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nAccept: a/b; q=0.5\r\n"), "{request}");
        assert!(request.contains("\r\nx-requested-with: X\r\n"), "{request}");
        assert!(request.contains("\r\nIf-None-Match: W/\"x\"\r\n"), "{request}");
        assert!(!request.contains("Cookie"), "{request}");
    });
}

#[test]
fn x10_bodies() {
    run(async {
        let (app, rig) = with_capability(OK).await;
        let body = "x".repeat(200_000);
        for (method, length) in [("POST", 3), ("PUT", 200_000), ("PATCH", 5)] {
            let request = format!(
                "{method} http://any/p HTTP/1.1\r\nHost: any\r\n{BEARER}Content-Type: a/b\r\n\
                 Content-Length: {length}\r\n\r\n{}",
                &body[..length]
            );
            let answer = ask(&rig, &request).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.ends_with("\r\n\r\nhi"), "{answer}");
            let request = app.requests.borrow_mut().pop().unwrap();
            let request = String::from_utf8(request).unwrap();
            assert!(request.starts_with(&format!("{method} /p HTTP/1.1\r\n")));
            assert!(request.contains("\r\nContent-Type: a/b\r\n"));
            assert!(request.contains(&format!("\r\nContent-Length: {length}\r\n")));
            assert!(request.ends_with(&format!("\r\n\r\n{}", &body[..length])));
        }
    });
}

#[test]
fn x10_streams() {
    run(async {
        let app = App::manual().await;
        let platform = Rc::new(Platform::default());
        let rig = Rig::serving(app.port, &|_| {}, Some(platform.api()));
        let session: Client = rig.session().await.cast_to();
        platform.saved.borrow_mut().push(Some(session));
        let mut stream = TcpStream::connect(("127.0.0.1", rig.proxy_port)).await.unwrap();
        let request = format!("GET http://any/ HTTP/1.1\r\nHost: any\r\n{BEARER}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut connection = app.accept().await;
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let mut seen = Vec::new();
        for event in ["first", "second"] {
            connection.send(event.as_bytes()).await;
            while !seen.ends_with(format!("{event}\r\n").as_bytes()) {
                assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
            }
        }
        // The app breaks off: so does the proxy, without the last chunk.
        connection.reset();
        let _ = stream.read_to_end(&mut seen).await;
        assert!(!seen.ends_with(b"0\r\n\r\n"), "{}", seen.escape_ascii());
    });
}

#[test]
fn x11_letter_case_of_the_scheme() {
    run(async {
        let (_app, rig) = with_capability(OK).await;
        for scheme in ["bearer", "BEARER"] {
            let request = format!(
                "GET http://any/ HTTP/1.1\r\nHost: any\r\nAuthorization: {scheme} dG9rZW4vMA==\r\n\
                 Connection: close\r\n\r\n"
            );
            assert!(ask(&rig, &request).await.starts_with("HTTP/1.1 200 OK\r\n"));
        }
    });
}

#[test]
fn x12_connect() {
    run(async {
        let (_app, rig) = with_capability(OK).await;
        let request = format!("CONNECT any:443 HTTP/1.1\r\nHost: any\r\n{BEARER}\r\n");
        assert!(ask(&rig, &request).await.starts_with("HTTP/1.1 501 "));
    });
}

#[test]
fn x13_no_token() {
    run(async {
        let (app, rig) = with_capability(OK).await;
        for line in ["", "Authorization: Basic x\r\n", "Authorization: Bearer ?\r\n"] {
            let request =
                format!("GET http://any/ HTTP/1.1\r\nHost: any\r\nConnection: close\r\n{line}\r\n");
            let answer = ask(&rig, &request).await;
            assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        }
        assert!(app.requests.borrow().is_empty());
    });
}

#[test]
fn x13_dropped_token() {
    run(async {
        let (_app, rig) = with_capability(OK).await;
        let request = "GET http://any/ HTTP/1.1\r\nHost: any\r\nAuthorization: Bearer eA==\r\n\
                       Connection: close\r\n\r\n";
        assert!(ask(&rig, request).await.starts_with("HTTP/1.1 500 "));
    });
}
