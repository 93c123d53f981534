//! What must not stay behind, and what must not get lost: development grains, checks that are ended,
//! grains whose description is damaged.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use spk_tests::bins::{describe, fails, ok};
use spk_tests::{Server, Stage, Who, http};

const APP: &str = include_str!("../data/app.py");

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A project that was traced in a grain, which is given.
fn traced(who: Who) -> (Stage, String) {
    let stage = Stage::new(who);
    stage.write("app.py", APP);
    ok(stage.spk().args(["init", "-q", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    let grain = session(&stage, &["dev"]);
    (stage, grain)
}

/// One session; the grain that it was in.
fn session(stage: &Stage, call: &[&str]) -> String {
    let server = Server::start(stage.spk().args(call));
    assert_eq!(http::get(&server.at("")).status, 200);
    let grain = server.field("grainId");
    server.stop();
    grain
}

fn grains(stage: &Stage) -> Vec<String> {
    let list = json(&ok(stage.spk().args(["grain", "list", "--json"])));
    let ids = list.as_array().unwrap().iter().map(|grain| grain["grainId"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

#[test]
fn a_project_is_developed_in_one_grain() {
    for who in Who::all("a_project_is_developed_in_one_grain") {
        let (stage, first) = traced(who);
        assert_eq!(session(&stage, &["dev"]), first);
        // Recordings begin with a new grain, and take that of the one before away.
        let recorded = session(&stage, &["dev", "--record"]);
        let again = session(&stage, &["dev", "--record"]);
        assert_ne!(recorded, again);
        let left = grains(&stage);
        assert!(left.contains(&first) && left.contains(&again), "{left:?}");
        assert_eq!(left.len(), 2, "{left:?}");
        // A copy of the project elsewhere has a grain of its own.
        ok(stage.run("cp").args(["-r", ".", "../home/copy"]));
        let mut copy = stage.spk_in(&stage.home().join("copy"));
        let server = Server::start(copy.arg("dev"));
        let other = server.field("grainId");
        server.stop();
        assert!(!left.contains(&other));

        // gc knows those that nobody goes on in, tells of them, and takes a backup of each.
        let gc = stage.spk().args(["grain", "gc"]).output().unwrap();
        assert!(said(&gc).contains("--dev deletes them"), "{}", describe(&gc));
        assert_eq!(grains(&stage).len(), 3);
        fs::remove_file(stage.home().join("copy/sandstorm-pkgdef.capnp")).unwrap();
        let would = json(&ok(stage.spk().args(["grain", "gc", "--dev", "-n", "--json"])));
        assert_eq!(would["grains"].as_array().unwrap().len(), 2, "{would}");
        ok(stage.spk().args(["grain", "gc", "--dev"]));
        assert_eq!(grains(&stage).len(), 1);
        let backups = stage.state().join("backups").join(&other);
        assert_eq!(fs::read_dir(backups).unwrap().count(), 1);
    }
}

#[test]
fn a_damaged_description_keeps_no_data_back() {
    for who in Who::all("a_damaged_description_keeps_no_data_back") {
        let (stage, grain) = traced(who);
        let app = ok(stage.spk().arg("listkeys")).trim().to_owned();
        ok(stage.spk().args(["pack", "-q", "--fast", "a.spk"]));
        let record = stage.state().join("grains").join(&grain).join("grain.json");
        let whole = fs::read_to_string(&record).unwrap();
        // Cut off behind the app's ID: all that is needed is still there.
        let title = whole.find("\"title\"").unwrap();
        fs::write(&record, &whole[..title]).unwrap();
        ok(stage.spk().args(["grain", "export", &grain, "-o", "a.zip"]));
        // Cut off before it, and gone: the app has to be named.
        for damage in [Some("{\"format\": 1, \"tit"), None] {
            match damage {
                Some(text) => fs::write(&record, text).unwrap(),
                None => fs::remove_file(&record).unwrap(),
            }
            let output = fails(stage.spk().args(["grain", "export", &grain, "-o", "b.zip"]));
            assert!(said(&output).contains("--app APPID"), "{}", said(&output));
            assert!(
                said(&output).contains(&format!("grains/{grain}/sandbox")),
                "{}",
                said(&output)
            );
            ok(stage.spk().args(["grain", "export", &grain, "-o", "b.zip", "--app", &app]));
            // No backup without the app, and nothing is deleted without one.
            let output = fails(stage.spk().args(["grain", "delete", &grain]));
            assert!(said(&output).contains("--no-backup"), "{}", said(&output));
        }
        ok(stage.spk().args(["grain", "delete", "--yes", "--no-backup", &grain]));
        assert!(grains(&stage).is_empty());
        for backup in ["a.zip", "b.zip"] {
            let restore = ["grain", "restore", "-n", "--json", "--package", "a.spk", backup];
            let told = ok(stage.spk().args(restore));
            assert_eq!(json(&told)["appId"], app.as_str());
        }
    }
}

#[test]
fn one_letter_deletes_no_grain() {
    let (stage, grain) = traced(Who::User);
    for length in [1, 3] {
        let call = ["grain", "delete", "--yes", "--no-backup", &grain[..length]];
        let output = fails(stage.spk().args(call));
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert_eq!(grains(&stage), std::slice::from_ref(&grain));
    }
    ok(stage.spk().args(["grain", "delete", "--yes", "--no-backup", &grain[..4]]));
    assert!(grains(&stage).is_empty());
}

/// At whatever moment it comes: before anything is unpacked, meanwhile, and while the app runs.
#[test]
fn a_check_that_is_ended_leaves_nothing() {
    for who in Who::all("a_check_that_is_ended_leaves_nothing") {
        let (stage, _) = traced(who);
        ok(stage.spk().args(["pack", "-q", "--fast", "a.spk"]));
        let temporary = stage.work().join("tmp");
        fs::create_dir(&temporary).unwrap();
        who.own(&temporary);
        let limit = Instant::now() + Duration::from_secs(120);
        for signal in
            [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1]
        {
            // How far it has come is seen by what is there: its directory, the package, the grain.
            for reached in ["spk-check.", "packages/", "grains/"] {
                let mut check = stage.spk_at_terminal();
                check.args(["check", "a.spk"]).env("TMPDIR", &temporary);
                let mut child =
                    check.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
                let (begin, below) = reached
                    .split_once('/')
                    .map_or((reached, None), |(dir, _)| ("spk-check.", Some(dir)));
                loop {
                    let dirs = fs::read_dir(&temporary).unwrap().flatten();
                    let there = dirs.filter(|dir| {
                        let name = dir.file_name().into_string().unwrap();
                        let inside = below.is_none_or(|below| {
                            fs::read_dir(dir.path().join(below))
                                .is_ok_and(|mut entries| entries.next().is_some())
                        });
                        name.starts_with(begin) && inside
                    });
                    if there.count() > 0 || child.try_wait().unwrap().is_some() {
                        break;
                    }
                    assert!(Instant::now() < limit, "it did not come to {reached}");
                }
                let _ = kill(Pid::from_raw(child.id() as i32), signal);
                let output = child.wait_with_output().unwrap();
                let expected = 128 + signal as i32;
                assert_eq!(
                    output.status.code().or(output.status.signal().map(|signal| 128 + signal)),
                    Some(expected),
                    "{signal} at {reached}: {}",
                    describe(&output)
                );
                let left: Vec<_> = fs::read_dir(&temporary).unwrap().flatten().collect();
                assert!(left.is_empty(), "{signal} at {reached}: {left:?}");
            }
        }
    }
}
