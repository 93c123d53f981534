//! Programs, powerbox and identities through the whole house: a Python app behind our bridge, and
//! the host of `spk dev`. Names in comments are rows of http-bridge §10.
#![allow(clippy::unwrap_used)]

use std::fs;

use serde_json::{Value, json};
use spk_tests::bins::{fails, ok};
use spk_tests::signed::Signed;
use spk_tests::{Server, Stage, Who, http};

const APP: &str = include_str!("../data/powerbox_app.py");

/// Goes into the package definition.
const BRIDGE_CONFIG: &str = r#"
  bridgeConfig = (
    viewInfo = (
      permissions = [(name = "see"), (name = "change")],
      roles = [
        (title = (defaultText = "editor"), permissions = [true, true]),
        (title = (defaultText = "viewer"), permissions = [true, false], default = true),
      ],
    ),
    apiPath = "/api/",
    saveIdentityCaps = true,
    powerboxApis = [
      (name = "cal", displayInfo = (title = (defaultText = "Calendar")), path = "/calendar",
       tag = (canonicalUrl = "http://example.com/calendar"), permissions = [true, false]),
    ],
  ),
"#;

fn stage() -> Stage {
    let stage = Stage::new(Who::User);
    stage.write("app.py", APP);
    ok(stage.spk().args(["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    let file = stage.work().join("sandstorm-pkgdef.capnp");
    let text = fs::read_to_string(&file).unwrap();
    let mark = "\n  #bridgeConfig = (";
    assert!(text.contains(mark), "{text}");
    fs::write(&file, text.replacen(mark, &format!("{BRIDGE_CONFIG}{mark}"), 1)).unwrap();
    stage
}

fn json_of(response: &http::Response) -> Value {
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn programs_powerbox_and_identities_through_the_bridge() {
    let stage = stage();
    let server = Server::start(stage.spk().args(["dev", "--api-token=see", "--grant", "http-api"]));
    let grain = server.field("grainId");
    programs(&stage, &server, &grain);
    let saved = identities(&server);
    powerbox(&stage, &server, &grain);

    // A server started again knows its tokens and capabilities (X15).
    let token = ok(stage.spk().args(["grain", "token", &grain, "--user", "bob"]));
    server.stop();
    let gone = fails(stage.spk().args(["grain", "token", &grain]));
    let said = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert!(said.contains(&format!("grain {grain} is not running")), "{said}");
    let server = Server::start(stage.spk().args(["dev", "--grain", &grain]));
    assert_eq!(server.field("grainId"), grain);
    let (url, token) = token.trim().split_once('#').unwrap();
    let port = server.session_url().rsplit_once(':').unwrap().1.to_owned();
    let url = format!("{}:{port}whoami", url.rsplit_once(':').unwrap().0);
    let bearer = format!("Bearer {token}");
    let answer = http::request("GET", &url, &[("Authorization", &bearer)], b"");
    assert_eq!(json_of(&answer)["headers"]["x-sandstorm-preferred-handle"], "bob");
    assert_eq!(http::get(&server.at("")).status, 200);
    let again = identities(&server);
    assert_eq!(again, saved, "what was saved is used again");
    server.stop();
}

/// P01 to P03, and the commands for tokens and shares.
fn programs(stage: &Stage, server: &Server, grain: &str) {
    let api = &server.ready["api"];
    let (url, token) = (api["url"].as_str().unwrap(), api["token"].as_str().unwrap());
    assert_eq!(api["webkey"], format!("{url}#{token}"));
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Cookie", "a=b"), ("Accept-Language", "x")];
    let seen = json_of(&http::request("GET", &format!("{url}/foo?x=1"), &headers, b""));
    assert_eq!(seen["line"], "GET /api/foo?x=1 HTTP/1.1");
    let headers = &seen["headers"];
    assert_eq!(headers["host"], "sandbox");
    assert_eq!(headers["x-sandstorm-permissions"], "see");
    assert_eq!(headers["x-sandstorm-preferred-handle"], "alice");
    assert!(headers["x-sandstorm-user-picture"].as_str().unwrap().contains("/identicon/"));
    for absent in ["cookie", "authorization", "accept-language", "user-agent", "x-real-ip"] {
        assert!(headers.get(absent).is_none(), "{absent}: {headers}");
    }
    // A program that knows only curl's way.
    let mut curl = stage.run("curl");
    let address = server.field("address");
    let name = url.strip_prefix("http://").unwrap();
    curl.args(["-sS", "--user", &format!("anybody:{token}"), "--data", "hello"]);
    curl.args(["--connect-to", &format!("{name}:{address}"), &format!("{url}/post")]);
    let seen: Value = serde_json::from_str(&ok(&mut curl)).unwrap();
    assert_eq!(
        (&seen["line"], &seen["body"]),
        (&json!("POST /api/post HTTP/1.1"), &json!("hello"))
    );

    let made = ok(stage.spk().args(["grain", "token", grain, "--role", "viewer", "--json"]));
    let made: Value = serde_json::from_str(&made).unwrap();
    let (url, bearer) =
        (made["url"].as_str().unwrap(), format!("Bearer {}", made["token"].as_str().unwrap()));
    let get = || http::request("GET", &format!("{url}/"), &[("Authorization", &bearer)], b"");
    let seen = json_of(&get());
    assert_eq!(seen["headers"]["x-sandstorm-permissions"], "see");
    assert_eq!(seen["headers"]["x-sandstorm-username"], "Anonymous%20User");
    let listed = ok(stage.spk().args(["grain", "token", grain, "--list"]));
    assert_eq!(listed.lines().count(), 2, "{listed}");
    ok(stage.spk().args(["grain", "token", grain, "--revoke", made["id"].as_str().unwrap()]));
    assert_eq!(get().status, 403);
    let wrong = fails(stage.spk().args(["grain", "token", grain, "--role", "boss"]));
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("the app has no role \"boss\"; it has: editor, viewer"), "{said}");

    // L02: what is shared with bob.
    ok(stage.spk().args(["grain", "share", grain, "--to", "bob", "--role", "viewer"]));
    let bob = stage.ask(grain, &json!({ "ask": "session", "user": "bob" }));
    let seen = json_of(&http::get(bob["url"].as_str().unwrap()));
    assert_eq!(seen["headers"]["x-sandstorm-permissions"], "see");
    ok(stage.spk().args(["grain", "share", grain, "--to", "bob", "--remove"]));
    let seen = json_of(&http::get(bob["url"].as_str().unwrap()));
    assert_eq!(seen["headers"]["x-sandstorm-permissions"], "see", "the app's default role");
}

/// What the app is told of who asks at this address.
fn held(url: &str) -> String {
    let seen = json_of(&http::get(&http::join(url, "x")));
    seen["headers"]["x-sandstorm-permissions"].as_str().unwrap().to_owned()
}

/// What a program with this token may do.
fn held_by(made: &Value) -> String {
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    let url = format!("{}/x", made["url"].as_str().unwrap());
    let seen = json_of(&http::request("GET", &url, &[("Authorization", &bearer)], b""));
    seen["headers"]["x-sandstorm-permissions"].as_str().unwrap().to_owned()
}

/// One user has one set of permissions: on the page, in the commands' sessions, with a token, in
/// the app's chooser; in this run and in the next, whoever it is for.
#[test]
fn a_share_counts_in_every_session() {
    let stage = stage();
    let server = Server::start(stage.spk().args(["dev", "--user", "carol"]));
    let grain = server.field("grainId");
    let share = |args: &[&str]| {
        ok(stage.spk().args(["grain", "share", &grain]).args(args));
    };
    let page = Signed::at(&server);
    let on_page = |ask: Value| {
        let session = page.post(&format!("/api/grains/{grain}/session"), &ask);
        let held = held(session["origin"].as_str().unwrap());
        (held, session["why"].as_str().unwrap().to_owned(), session["role"].as_u64())
    };
    let asked = |user: &str| {
        let session = stage.ask(&grain, &json!({ "ask": "session", "user": user }));
        held(session["url"].as_str().unwrap())
    };
    let seen = |held: &str, why: &str, role| (held.to_owned(), why.to_owned(), role);
    let token = ["grain", "token", &grain, "--user", "bob", "--json"];
    let token: Value = serde_json::from_str(&ok(stage.spk().args(token))).unwrap();

    // The owner is whom it is served for, on the page as on the command line.
    assert_eq!(held(&server.session_url()), "see,change");
    assert_eq!(on_page(json!({})), seen("see,change", "owner", None));
    assert_eq!(on_page(json!({ "user": "carol" })), seen("see,change", "owner", None));
    assert_eq!(asked("carol"), "see,change");
    for user in ["alice", "bob"] {
        assert_eq!(on_page(json!({ "user": user })), seen("see", "default", Some(1)));
        assert_eq!(asked(user), "see");
    }
    assert_eq!(held_by(&token), "see");

    // More than strangers have, and less.
    share(&["--to", "bob", "--role", "editor"]);
    assert_eq!(on_page(json!({ "user": "bob" })), seen("see,change", "share", Some(0)));
    assert_eq!((asked("bob").as_str(), held_by(&token).as_str()), ("see,change", "see,change"));
    share(&["--to", "bob", "--remove"]);
    share(&["--to", "bob", "--permissions", ""]);
    assert_eq!(on_page(json!({ "user": "bob" })), seen("", "share", None));
    assert_eq!((asked("bob").as_str(), held_by(&token).as_str()), ("", ""));
    let chooser = json!({ "user": "bob", "query": [API_QUERY], "choice": { "kind": "app" } });
    let chooser = page.post(&format!("/api/grains/{grain}/powerbox"), &chooser);
    let chooser = chooser["url"].as_str().unwrap();
    let chosen = http::request("POST", chooser, &[("Content-Type", "text/plain")], b"cal");
    assert!(chosen.status >= 400, "bob gives what he does not have: {}", chosen.text());

    // What is chosen on the page counts for that session only, and shows as chosen.
    let chosen = on_page(json!({ "user": "bob", "role": 0 }));
    assert_eq!(chosen, seen("see,change", "chosen", Some(0)));
    let chosen = on_page(json!({ "user": "bob", "permissions": ["see", "gone"] }));
    assert_eq!(chosen, seen("see", "chosen", None));
    assert_eq!(on_page(json!({ "user": "bob" })), seen("", "share", None));

    // The next run is for somebody else: it stays carol's grain, and bob has what she gave.
    server.stop();
    let server = Server::start(stage.spk().args(["dev", "--grain", &grain, "--user", "bob"]));
    assert_eq!(held(&server.session_url()), "");
    let page = Signed::at(&server);
    let carol = page.post(&format!("/api/grains/{grain}/session"), &json!({ "user": "carol" }));
    assert_eq!(carol["why"], "owner");
    // Taken back.
    ok(stage.spk().args(["grain", "share", &grain, "--to", "bob", "--remove"]));
    assert_eq!(held(&server.session_url()), "see,change");
    server.stop();
}

/// X14: the bridge has saved the identities of those who came; the links.
fn identities(server: &Server) -> Value {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let links = json_of(&http::get(&server.at("identities")));
        // Alice and bob, saved in the background.
        if links.as_object().unwrap().len() == 2 {
            for (id, token) in links.as_object().unwrap() {
                assert_eq!((id.len(), token.as_str().unwrap().len()), (32, 43), "{links}");
            }
            return links;
        }
        assert!(std::time::Instant::now() < end, "{links}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// X02 to X10: the bridge's chooser, a claim, and what was claimed.
fn powerbox(stage: &Stage, server: &Server, grain: &str) {
    let query = json!([API_QUERY]);
    let choices = stage.ask(grain, &json!({ "ask": "choices", "query": query }));
    let kinds: Vec<&str> =
        choices.as_array().unwrap().iter().map(|c| c["choice"]["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["grant", "app"], "{choices}");
    let opened = stage.ask(grain, &json!({ "ask": "request", "user": "alice", "query": query }));
    let chooser = opened["url"].as_str().unwrap();
    let page = http::get(chooser);
    assert!(page.text().contains("Calendar"), "{}", page.text());
    assert_eq!(http::get(&http::join(chooser, "x")).status, 404);
    let chosen = http::request("POST", chooser, &[("Content-Type", "text/plain")], b"cal");
    assert_eq!(chosen.status, 204, "{}", chosen.text());
    let outcome = stage.ask(grain, &json!({ "ask": "outcome", "request": opened["request"] }));
    assert_eq!(outcome["state"], "fulfilled");

    let claim = |token: &str| {
        let url = server.at("claim");
        http::request("POST", &url, &[("Content-Type", "text/plain")], token.as_bytes())
    };
    let cap = json_of(&claim(outcome["token"].as_str().unwrap()));
    let r#use = |path: &str, cap: &Value| {
        let cap = cap["cap"].as_str().unwrap();
        let url = server.at(&format!("use/{path}"));
        http::request("POST", &url, &[("Content-Type", "text/plain")], cap.as_bytes())
    };
    // X08: the app's own API, as its user.
    let seen = json_of(&r#use("foo/bar?x=1", &cap));
    assert_eq!(seen["line"], "GET /calendar/foo/bar?x=1 HTTP/1.1");
    assert_eq!(seen["headers"]["x-sandstorm-api"], "cal");
    assert_eq!(seen["headers"]["x-sandstorm-preferred-handle"], "alice");
    assert_eq!(seen["headers"]["x-sandstorm-permissions"], "see");
    assert!(seen["headers"]["x-sandstorm-user-picture"].as_str().unwrap().contains("/identicon/"));

    // The host's API for tests, claimed with what the command line granted.
    let granted = server.ready["grants"]["http-api"].as_str().unwrap();
    let seen = json_of(&r#use("any/path", &json_of(&claim(granted))));
    assert_eq!((&seen["method"], &seen["path"]), (&json!("GET"), &json!("/any/path")));
    assert!(claim("never given out").status >= 400);
}

/// `PowerboxDescriptor(tags = [(id = 0xc879e379c625cdc7)])`, packed, in base64: what a page sends.
const API_QUERY: &str = "EAZQAQEAABEBF1EEAQH/x80lxnnjecgAAAA";
