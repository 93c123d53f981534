//! An app that answers for itself, through the whole house: the program connects to the bridge
//! inside of the sandbox, and the host asks its hooks what the app offers and for the objects that
//! it saved (http-bridge §8, rows A19, X16 to X19).
#![allow(clippy::unwrap_used)]

use std::fs;

use serde_json::json;
use spk_tests::bins::{built, copy_program, fails, ok};
use spk_tests::{Server, Stage, Who, http};

/// Goes into the package definition: names of permissions, and no roles. Those the hooks have.
const BRIDGE_CONFIG: &str = r#"
  bridgeConfig = (
    viewInfo = (permissions = [(name = "look"), (name = "touch")]),
    expectAppHooks = true,
  ),
"#;

fn stage(who: Who) -> Stage {
    let stage = Stage::new(who);
    copy_program(&built("spk-hooks"), &stage.work().join("spk-hooks"));
    stage.who.own(&stage.work());
    ok(stage.spk().args(["init", "-p", "8000", "--", "/spk-hooks", "8000"]));
    let file = stage.work().join("sandstorm-pkgdef.capnp");
    let text = fs::read_to_string(&file).unwrap();
    let mark = "\n  #bridgeConfig = (";
    assert!(text.contains(mark), "{text}");
    fs::write(&file, text.replacen(mark, &format!("{BRIDGE_CONFIG}{mark}"), 1)).unwrap();
    stage.write("sandstorm-files.list", "spk-hooks\n");
    stage
}

/// What the app answers, which is to be a success.
#[track_caller]
fn said(server: &Server, path: &str) -> String {
    let response = http::get(&server.at(path));
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    response.text()
}

/// The roles of the hooks are those that can be given away, and hold in a session.
fn roles_are_those_of_the_hooks(stage: &Stage, server: &Server, grain: &str) {
    assert!(said(server, "calls").lines().any(|call| call == "getViewInfo"));
    let all = said(server, "headers");
    assert!(all.contains("\r\nX-Sandstorm-Permissions: look,touch\r\n"), "{all}");
    let share = |role| {
        let mut spk = stage.spk();
        spk.args(["grain", "share", grain, "--to", "bob", "--role", role]);
        spk
    };
    fails(&mut share("nobody's role"));
    ok(&mut share("looker at hooks"));
    let bob = stage.ask(grain, &json!({ "ask": "session", "user": "bob" }));
    let bobs = http::join(bob["url"].as_str().unwrap(), "headers");
    let bobs = http::get(&bobs).text();
    assert!(bobs.contains("\r\nX-Sandstorm-Permissions: look\r\n"), "{bobs}");
}

#[test]
fn hooks_say_what_the_app_offers_and_restore_its_objects() {
    for who in Who::all("hooks_say_what_the_app_offers_and_restore_its_objects") {
        let stage = stage(who);
        ok(stage.spk().args(["pack", "-q", "--fast", "hooks.spk"]));
        let server = Server::start(stage.spk().args(["run", "hooks.spk"]));
        let grain = server.field("grainId");
        roles_are_those_of_the_hooks(&stage, &server, &grain);

        let (alpha, beta) = (said(&server, "save/alpha"), said(&server, "save/beta"));
        assert_ne!(alpha, beta);
        assert_eq!(said(&server, &format!("restore/{beta}")), "beta");
        assert_eq!(said(&server, "calls").lines().last(), Some("restore beta"));
        server.stop();

        // Another process of the app, which has only what the host kept for it.
        let server = Server::start(stage.spk().args(["grain", "open", &grain]));
        assert!(!said(&server, "calls").contains("restore"), "a new process");
        assert_eq!(said(&server, &format!("restore/{alpha}")), "alpha");
        assert_eq!(said(&server, "calls").lines().last(), Some("restore alpha"));

        said(&server, &format!("drop/{alpha}"));
        let gone = http::get(&server.at(&format!("restore/{alpha}")));
        assert_eq!(gone.status, 404, "{}", gone.text());
        assert!(gone.text().contains("no such token"), "{}", gone.text());
        assert_eq!(said(&server, &format!("restore/{beta}")), "beta", "the other is still there");
        server.stop();
    }
}

/// In a development session it is the same, and the program is found by its use.
#[test]
fn hooks_are_asked_in_development_too() {
    let stage = stage(Who::User);
    let server = Server::start(stage.spk().arg("dev"));
    roles_are_those_of_the_hooks(&stage, &server, &server.field("grainId"));
    let token = said(&server, "save/gamma");
    assert_eq!(said(&server, &format!("restore/{token}")), "gamma");
    server.stop();
}
