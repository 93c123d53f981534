//! `spk doctor`: one line for each requirement, a remedy where one is not met, and tidying up.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use spk_tests::bins::{fails, ok};
use spk_tests::{Stage, Who, procs, skip};

/// Everything it looks at, in its order.
const CHECKS: [&str; 11] = [
    "kernel",
    "user namespaces",
    "/dev/fuse",
    "seccomp",
    "landlock",
    "cgroup v2",
    "disk",
    "http bridge",
    "keyring",
    "stale mounts",
    "stale state",
];

/// For tests that tidy up, or leave something to be tidied up: mounts are the whole machine's.
static TIDYING: Mutex<()> = Mutex::new(());

fn checks(text: &str) -> Vec<serde_json::Value> {
    serde_json::from_str::<serde_json::Value>(text).unwrap().as_array().unwrap().clone()
}

fn find<'a>(all: &'a [serde_json::Value], name: &str) -> &'a serde_json::Value {
    all.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}: {all:?}"))
}

#[test]
fn a_machine_that_has_everything() {
    for who in Who::all("a_machine_that_has_everything") {
        let stage = Stage::new(who);
        let text = ok(stage.spk().arg("doctor"));
        for name in CHECKS {
            let lines = text.lines().filter(|line| line.contains(&format!(" {name}: "))).count();
            assert_eq!(lines, 1, "{name} in:\n{text}");
        }
        let all = checks(&ok(stage.spk().args(["doctor", "--json"])));
        let names: Vec<&str> = all.iter().map(|check| check["name"].as_str().unwrap()).collect();
        assert_eq!(names, CHECKS);
        for check in &all {
            let ok = check["state"] == "ok";
            assert!(ok || check["state"] == "warning", "{check}");
            assert_eq!(check["remedy"].is_string(), !ok, "a remedy where it is needed: {check}");
        }
    }
}

#[test]
fn what_is_missing_is_named_with_its_remedy() {
    let stage = Stage::new(Who::User);
    let output = fails(stage.spk().args(["doctor", "--json"]).env("SPK_BRIDGE", "/nowhere"));
    assert_eq!(output.status.code(), Some(3));
    let all = checks(&String::from_utf8(output.stdout).unwrap());
    let bridge = find(&all, "http bridge");
    assert_eq!(bridge["state"], "missing");
    assert!(bridge["remedy"].as_str().unwrap().contains("SPK_BRIDGE"), "{bridge}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("http bridge"));

    // A state directory that cannot be made.
    let output = fails(stage.spk().args(["--state", "/proc/spk", "doctor", "--json"]));
    let all = checks(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(find(&all, "disk")["state"], "missing");
}

#[test]
fn a_keyring_that_others_can_read() {
    let stage = Stage::new(Who::User);
    ok(stage.spk().args(["keygen", "-q"]));
    let all = checks(&ok(stage.spk().args(["doctor", "--json"])));
    let keyring = find(&all, "keyring");
    assert_eq!(keyring["state"], "ok");
    assert!(keyring["found"].as_str().unwrap().contains("keep a copy"), "{keyring}");
    let path = stage.home().join(".sandstorm-keyring");
    ok(stage.run("chmod").arg("644").arg(&path));
    let all = checks(&ok(stage.spk().args(["doctor", "--json"])));
    let remedy = find(&all, "keyring")["remedy"].as_str().unwrap().to_owned();
    assert_eq!(remedy, format!("chmod 600 {}", path.display()));
    let words: Vec<&str> = remedy.split(' ').collect();
    ok(stage.run(words[0]).args(&words[1..]));
    let all = checks(&ok(stage.spk().args(["doctor", "--json"])));
    assert_eq!(find(&all, "keyring")["state"], "ok");
}

/// As on a disk that is not mounted: keygen could not make it there.
#[test]
fn a_keyring_that_is_a_link_to_nowhere() {
    let stage = Stage::new(Who::User);
    let path = stage.home().join(".sandstorm-keyring");
    ok(stage.run("ln").arg("-s").arg("vault/keys").arg(&path));
    let all = checks(&ok(stage.spk().args(["doctor", "--json"])));
    let keyring = find(&all, "keyring");
    assert_eq!(keyring["state"], "warning", "{keyring}");
    assert!(keyring["found"].as_str().unwrap().contains("vault, which is not there"), "{keyring}");
    fails(stage.spk().args(["keygen", "-q"]));
    ok(stage.run("mkdir").arg(stage.home().join("vault")));
    let all = checks(&ok(stage.spk().args(["doctor", "--json"])));
    assert_eq!(find(&all, "keyring")["state"], "ok");
    ok(stage.spk().args(["keygen", "-q"]));
}

#[test]
fn half_made_things_are_told_and_removed() {
    let _alone = TIDYING.lock().unwrap_or_else(PoisonError::into_inner);
    let stage = Stage::new(Who::User);
    assert_eq!(ok(stage.spk().args(["grain", "list"])), "");
    let left = stage.state().join("tmp/unpack.0123456789ab");
    ok(stage.run("mkdir").arg("-p").arg(left.join("some/thing")));
    let all = checks(&ok(stage.spk().args(["doctor", "--json"])));
    assert_eq!(find(&all, "stale state")["remedy"], "spk doctor --clean");
    assert!(left.exists(), "looking changes nothing");

    let shown = ok(stage.spk().args(["doctor", "--clean", "--dry-run"]));
    assert_eq!(shown, format!("would remove: {}\n", left.display()));
    let output = fails(stage.spk().args(["doctor", "--clean"]));
    assert_eq!(output.status.code(), Some(2), "nobody can be asked");
    assert!(left.exists());
    let done = ok(stage.spk().args(["doctor", "--clean", "--yes"]));
    assert_eq!(done, format!("removed: {}\n", left.display()));
    assert!(!left.exists());
    assert_eq!(ok(stage.spk().args(["doctor", "--clean", "--yes"])), "");
}

/// Both processes of `spk dev -m` killed: its mount stays, dead.
#[test]
fn mounts_nobody_serves_are_unmounted() {
    let _alone = TIDYING.lock().unwrap_or_else(PoisonError::into_inner);
    let who = if geteuid().is_root() { Who::Root } else { Who::User };
    if who == Who::User && !Path::new("/usr/bin/fusermount3").exists() {
        skip::needs_root("mounts_nobody_serves_are_unmounted", "no fusermount3, and not root");
        return;
    }
    let stage = Stage::new(who);
    ok(stage.spk().args(["init", "-q", "-p", "8000", "--", "/bin/true"]));
    let place = stage.work().join("a mount");
    fs::create_dir(&place).unwrap();
    let mut dev = stage.spk().args(["dev", "-m", "a mount"]).stderr(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while !place.join("sandstorm-manifest").exists() {
        assert!(Instant::now() < end, "it is not mounted");
        std::thread::sleep(Duration::from_millis(20));
    }
    for process in procs::matching(&stage.spk_path(), "") {
        if process.command.contains("unmount-orphan") {
            kill(Pid::from_raw(process.pid), Signal::SIGKILL).unwrap();
        }
    }
    dev.kill().unwrap();
    dev.wait().unwrap();
    let all = checks(&ok(stage.spk().args(["doctor", "--json"])));
    let stale = find(&all, "stale mounts");
    assert_eq!(stale["state"], "warning", "{stale}");
    assert!(stale["found"].as_str().unwrap().contains("a mount"), "{stale}");
    let done = ok(stage.spk().args(["doctor", "--clean", "--yes"]));
    assert_eq!(done, format!("unmounted: {}\n", place.display()));
    assert!(fs::read_dir(&place).unwrap().next().is_none(), "the empty directory below is back");
}
