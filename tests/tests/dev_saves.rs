//! Nothing that `spk dev` recorded is lost, and what it says of its list is so.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use spk_tests::bins::{describe, fails, ok};
use spk_tests::{Server, Stage, Who, http};

const APP: &str = include_str!("../data/app.py");

/// How long it may take until something is saved: several times the interval.
const SAVED: Duration = Duration::from_secs(60);

fn project(who: Who) -> Stage {
    let stage = Stage::new(who);
    stage.write("app.py", APP);
    stage.write("static/page.txt", "a page\n");
    ok(stage.spk().args(["init", "-q", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    stage
}

/// What a session writes: the list, the trace, the requests.
fn kept(stage: &Stage) -> [PathBuf; 3] {
    ["sandstorm-files.list", ".sandstorm-files.list.trace", ".sandstorm-files.list.requests"]
        .map(|name| stage.work().join(name))
}

#[track_caller]
fn has(file: &Path, text: &str) {
    let found = fs::read_to_string(file).unwrap_or_default();
    assert!(found.contains(text), "{} without {text}:\n{found}", file.display());
}

#[test]
fn the_end_of_the_terminal_saves_a_session() {
    for who in Who::all("the_end_of_the_terminal_saves_a_session") {
        for signal in [Signal::SIGHUP, Signal::SIGTERM] {
            let stage = project(who);
            let server = Server::start(stage.spk_at_terminal().args(["dev", "--record"]));
            assert_eq!(http::get(&server.at("static")).text(), "a page\n");
            let (status, said) = server.end(signal);
            assert!(status.success(), "{signal}: {status}: {said}");
            let [list, trace, requests] = kept(&stage);
            has(&list, "\nstatic/page.txt\n");
            has(&trace, "\"static/page.txt\"");
            has(&requests, "\"/static\"");
        }
    }
}

#[test]
fn the_end_of_the_terminal_ends_a_grain_in_good_order() {
    let stage = project(Who::User);
    let server = Server::start(stage.spk().arg("dev"));
    http::get(&server.at("static"));
    server.stop();
    ok(stage.spk().args(["pack", "-q", "--fast", "a.spk"]));
    let server = Server::start(stage.spk_at_terminal().args(["run", "a.spk"]));
    assert_eq!(http::post_form(&server.at("notes"), "text=kept").status, 201);
    let grain = server.field("grainId");
    let (status, said) = server.end(Signal::SIGHUP);
    assert!(status.success(), "{status}: {said}");
    let server = Server::start(stage.spk().args(["run", "a.spk", "--grain", &grain]));
    assert_eq!(http::get(&server.at("notes")).text(), "kept\n");
    server.stop();
}

#[test]
fn a_session_under_nohup_outlives_its_terminal() {
    let stage = project(Who::User);
    let mut nohup = stage.run("/usr/bin/nohup");
    let server = Server::start(nohup.arg(stage.spk_path()).arg("dev"));
    server.signal(Signal::SIGHUP);
    assert_eq!(http::get(&server.at("static")).text(), "a page\n");
    let (status, said) = server.end(Signal::SIGTERM);
    assert!(status.success(), "{status}: {said}");
}

#[test]
fn a_killed_session_has_lost_seconds_and_no_more() {
    let stage = project(Who::User);
    let server = Server::start(stage.spk().args(["dev", "--record"]));
    assert_eq!(http::get(&server.at("static")).text(), "a page\n");
    let [list, trace, requests] = kept(&stage);
    let end = Instant::now() + SAVED;
    let saved =
        |file: &Path, text: &str| fs::read_to_string(file).is_ok_and(|found| found.contains(text));
    while !(saved(&list, "static/page.txt")
        && saved(&trace, "\"static/page.txt\"")
        && saved(&requests, "\"/static\""))
    {
        assert!(Instant::now() < end, "not saved while the session goes on");
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = server.end(Signal::SIGKILL);
    assert!(saved(&list, "static/page.txt") && saved(&requests, "\"/static\""));
}

#[test]
fn what_cannot_be_written_is_known_before_the_session() {
    let stage = project(Who::User);
    let closed = |closed: bool| {
        let mode = if closed { 0o555 } else { 0o755 };
        fs::set_permissions(stage.work(), fs::Permissions::from_mode(mode)).unwrap();
    };
    closed(true);
    let output = fails(stage.spk().args(["dev", "--json", "--port", "0"]));
    closed(false);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("sandstorm-files.list") && said.contains("hint:"), "{said}");
    assert!(output.stdout.is_empty(), "it was served: {}", describe(&output));
    // A trace that no session could add to.
    stage.write(".sandstorm-files.list.trace", "no trace");
    let output = fails(stage.spk().args(["dev", "--json", "--port", "0"]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("delete it"), "{}", describe(&output));
    assert!(output.stdout.is_empty(), "it was served: {}", describe(&output));
}

/// A bundler writes `main.HASH.js` anew while the session goes on.
#[test]
fn what_was_used_and_is_gone_is_not_listed() {
    for who in Who::all("what_was_used_and_is_gone_is_not_listed") {
        let stage = project(who);
        let page = stage.work().join("static/page.txt");
        let server = Server::start(stage.spk().arg("dev"));
        assert_eq!(http::get(&server.at("static")).text(), "a page\n");
        fs::remove_file(&page).unwrap();
        let (status, said) = server.end(Signal::SIGINT);
        assert!(status.success(), "{said}");
        assert!(said.contains("dropped from the list (1)"), "{said}");
        let [list, trace, _] = kept(&stage);
        let listed = fs::read_to_string(&list).unwrap();
        assert!(!listed.contains("static/page.txt"), "{listed}");
        let traced = fs::read_to_string(&trace).unwrap();
        assert!(!traced.contains("static/page.txt"), "the trace has not forgotten it");
        ok(stage.spk().args(["pack", "-q", "--fast", "a.spk"]));
        // It comes back, and is used in another session; then it goes between sessions.
        fs::write(&page, "a page\n").unwrap();
        let server = Server::start(stage.spk().arg("dev"));
        http::get(&server.at("static"));
        server.stop();
        has(&list, "\nstatic/page.txt\n");
        fs::remove_file(&page).unwrap();
        let would = ok(stage.spk().args(["files", "prune", "--dry-run"]));
        assert!(would.contains("- static/page.txt"), "{would}");
        ok(stage.spk().args(["files", "prune"]));
        let listed = fs::read_to_string(&list).unwrap();
        assert!(!listed.contains("static/page.txt"), "{listed}");
        let again = ok(stage.spk().args(["files", "prune"]));
        assert!(!again.contains("static/page.txt"), "dropped again: {again}");
    }
}
