//! However `spk run` and `spk dev` end, no process of the app, no mount and no half-written file
//! stays.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::signal::Signal;
use spk_tests::bins::ok;
use spk_tests::{Server, Stage, Who, http, procs};

/// How long the kernel and the helpers may take to clear up after a SIGKILL.
const CLEAR_UP: Duration = Duration::from_secs(10);

/// A package definition and a package made from it, with a mark in the app's environment.
fn stage(who: Who) -> Stage {
    let stage = Stage::new(who);
    stage.write("app.py", include_str!("../data/app.py"));
    ok(stage.spk().args(["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    let mark = mark(&stage);
    let pkgdef = stage.work().join("sandstorm-pkgdef.capnp");
    let text = fs::read_to_string(&pkgdef).unwrap();
    let marked = text.replacen(
        "(key = \"SANDSTORM\"",
        &format!("(key = \"SPK_TEST_MARK\", value = \"{mark}\"),\n    (key = \"SANDSTORM\""),
        1,
    );
    assert_ne!(text, marked, "init no longer writes the SANDSTORM variable:\n{text}");
    fs::write(&pkgdef, marked).unwrap();
    let server = Server::start(stage.spk().arg("dev"));
    assert_eq!(http::get(&server.at("")).status, 200);
    server.stop();
    ok(stage.spk().args(["pack", "--fast", "out.spk"]));
    stage
}

fn mark(stage: &Stage) -> String {
    format!("marked{}", stage.work().display())
}

/// Mounts are looked for in every process of the machine, so one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn check(signal: Signal, command: &str) {
    let _alone = ALONE.lock().unwrap_or_else(|failed| failed.into_inner());
    for who in Who::all(&format!("kill_{command}_{signal}")) {
        let stage = stage(who);
        let mounts = procs::own_mounts();
        let list = stage.work().join("sandstorm-files.list");
        let before = fs::read(&list).unwrap();
        let mut spk = stage.spk();
        match command {
            "run" => spk.args(["run", "out.spk"]),
            _ => spk.arg("dev"),
        };
        let mut server = Server::start(&mut spk);
        assert_eq!(http::get(&server.at("")).status, 200);
        let running = procs::matching(&stage.spk_path(), &mark(&stage));
        assert!(
            running.iter().any(|process| process.command.contains("/app.py")),
            "the app cannot be seen running, so its end could not either: {running:?}"
        );
        server.signal(signal);
        let status = server.wait();
        if signal == Signal::SIGKILL {
            assert_eq!(status.signal(), Some(9));
        } else {
            assert!(status.success(), "{command} ended with {status}:\n{}", server.said());
        }
        let left = procs::gone(&stage.spk_path(), &mark(&stage), CLEAR_UP);
        assert!(left.is_empty(), "after {signal} to spk {command} as {who:?}: {left:?}");
        let fuse = procs::fuse_mounts();
        assert!(!fuse.iter().any(|line| line.contains("spk")), "mounts stayed: {fuse:?}");
        assert_eq!(procs::own_mounts(), mounts);
        no_leftovers(&stage.work());
        let after = fs::read(&list).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&after),
            String::from_utf8_lossy(&before),
            "the list of the same use is the same list"
        );
        // and it works again
        let server = Server::start(stage.spk().args(["run", "out.spk"]));
        assert_eq!(http::get(&server.at("")).status, 200);
        server.stop();
    }
}

/// Temporary files are named after what they become, with something appended.
fn no_leftovers(dir: &Path) {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            ".gitignore",
            ".sandstorm-files.list.trace",
            "app.py",
            "out.spk",
            "rootfs",
            "sandstorm-files.list",
            "sandstorm-pkgdef.capnp"
        ]
    );
}

#[test]
fn sigint_run() {
    check(Signal::SIGINT, "run");
}

#[test]
fn sigterm_run() {
    check(Signal::SIGTERM, "run");
}

#[test]
fn sigkill_run() {
    check(Signal::SIGKILL, "run");
}

#[test]
fn sigint_dev() {
    check(Signal::SIGINT, "dev");
}

#[test]
fn sigterm_dev() {
    check(Signal::SIGTERM, "dev");
}

#[test]
fn sigkill_dev() {
    check(Signal::SIGKILL, "dev");
}
