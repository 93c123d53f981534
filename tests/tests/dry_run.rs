//! `--dry-run` changes nothing, and what cannot be undone is done only when somebody said so.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use spk_tests::bins::{fails, ok};
use spk_tests::{Stage, Who, skip};

/// Commands whose page in the reference has this flag, by the words after `spk`.
fn commands_with(flag: &str) -> BTreeSet<String> {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(reference).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let Some(words) = name.strip_prefix("spk-").and_then(|name| name.strip_suffix(".md"))
        else {
            continue;
        };
        let page = fs::read_to_string(entry.path()).unwrap();
        let mut options = page.lines().filter(|line| line.trim_start().starts_with('-'));
        if options.any(|line| line.split([' ', ',']).any(|word| word == flag)) {
            found.insert(words.replace('-', " "));
        }
    }
    found
}

/// All files and what is in them.
fn contents(dir: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        // Says who has a grain; nobody has, later.
        if entry.file_name() == "lock" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            contents(&path, found);
            found.insert(path, Vec::new());
        } else {
            // A socket or a pipe has nothing that stays.
            let text =
                if entry.file_type().unwrap().is_file() { fs::read(&path) } else { Ok(vec![]) };
            found.insert(path, text.unwrap());
        }
    }
}

/// A grain of version 0 of an app, a backup of it, version 1, and things that gc removes.
fn house() -> (Stage, String) {
    let stage = Stage::new(Who::User);
    stage.write("app", "0");
    ok(stage.spk().args(["init", "-q", "-r", "-I", ".", "-A", "--", "/app"]));
    ok(stage.spk().args(["pack", "-q", "--fast", "../home/0.spk"]));
    let grain = ok(stage.spk().args(["grain", "new", "../home/0.spk"])).trim().to_owned();
    ok(stage.spk().args(["grain", "export", &grain, "-o", "../home/backup.zip"]));
    let file = stage.work().join("sandstorm-pkgdef.capnp");
    let text = fs::read_to_string(&file).unwrap().replace("appVersion = 0", "appVersion = 1");
    fs::write(&file, text).unwrap();
    ok(stage.spk().args(["pack", "-q", "--fast", "../home/1.spk"]));
    // A package that no grain runs with any more, and a backup from 1970.
    let other = ok(stage.spk().args(["grain", "new", "../home/1.spk"])).trim().to_owned();
    ok(stage.spk().args(["grain", "delete", "-q", &other]));
    let backups = stage.state().join("backups").join(&other);
    fs::copy(stage.home().join("backup.zip"), backups.join("1-delete.zip")).unwrap();
    stage.who.own(&stage.home());
    (stage, grain)
}

#[test]
fn a_dry_run_changes_nothing() {
    let (stage, grain) = house();
    // Mounts and half-made things: tests/doctor_clean.rs. Recorded sessions: spk/cli/tests/files.rs.
    let mut left = commands_with("--dry-run");
    assert!(left.remove("doctor") && left.remove("files prune"));
    let webkey = "http://127.0.0.1:9/#token";
    for (command, arguments, said) in [
        ("init", &["--template", "python", "--force"][..], "would write: app.py"),
        ("rekey", &[], "would replace "),
        ("pack", &["x.spk"], "sandstorm-manifest"),
        ("publish", &["--webkey", webkey, "../home/0.spk"], "would ask http://127.0.0.1:9/"),
        ("grain delete", &[&grain], "would delete: "),
        ("grain delete", &["--no-backup", &grain], "would delete: "),
        ("grain restore", &["../home/backup.zip"], "would restore: Example App, "),
        ("grain restore", &["../home/backup.zip", "--package", "../home/1.spk"], "would restore: "),
        ("grain upgrade", &[&grain, "../home/1.spk"], "from version 0 to 1"),
        ("grain upgrade", &["--no-backup", &grain], "from version 0 to 1"),
        ("grain gc", &[], "would remove: package "),
        ("grain gc", &[], "1-delete.zip"),
    ] {
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        contents(stage.work().parent().unwrap(), &mut before);
        let output = ok(stage.spk().args(command.split(' ')).arg("--dry-run").args(arguments));
        contents(stage.work().parent().unwrap(), &mut after);
        assert!(output.contains(said), "spk {command} {arguments:?}: {output}");
        let changed = before.keys().chain(after.keys());
        let changed: Vec<_> =
            changed.filter(|path| before.get(*path) != after.get(*path)).collect();
        assert!(changed.is_empty(), "spk {command} {arguments:?} changed {changed:?}");
        left.remove(command);
    }
    assert!(left.is_empty(), "not tried: {left:?}");

    // What is wrong is told as by the real thing, and before it.
    let mut cut = fs::read(stage.home().join("backup.zip")).unwrap();
    cut.pop();
    stage.write("cut.zip", cut);
    fails(stage.spk().args(["grain", "restore", "--dry-run", "cut.zip"]));
    fails(stage.spk().args(["grain", "upgrade", "--dry-run", &grain, "cut.zip"]));
    fails(stage.spk().args(["grain", "delete", "--dry-run", "nobody"]));

    // And then it is done.
    ok(stage.spk().args(["grain", "gc"]));
    assert_eq!(ok(stage.spk().args(["grain", "gc", "--dry-run"])), "");
    ok(stage.spk().args(["grain", "upgrade", &grain, "../home/1.spk"]));
    ok(stage.spk().args(["grain", "restore", "../home/backup.zip"]));
}

#[test]
fn what_cannot_be_undone_is_asked() {
    let (stage, grain) = house();
    // Mounts: tests/doctor_clean.rs. Apps that are found: tests/found.rs. Keys: spk/cli/tests.
    let mut left = commands_with("--yes");
    assert!(left.remove("doctor") && left.remove("init") && left.remove("rekey"));
    let shown = || ok(stage.spk().args(["grain", "show", "--json", &grain]));
    for (command, arguments) in [
        ("grain upgrade", &["--no-backup", &grain, "../home/1.spk"][..]),
        ("grain delete", &["--no-backup", &grain]),
    ] {
        let before = shown();
        let words: Vec<&str> = command.split(' ').chain(arguments.iter().copied()).collect();
        let output = fails(stage.spk().args(&words));
        assert_eq!(output.status.code(), Some(2), "nobody can be asked");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--yes"), "{output:?}");
        assert_eq!(shown(), before);
        if Path::new("/usr/bin/script").exists() {
            let line = format!("{} {}", stage.spk_path().display(), words.join(" "));
            let asked = format!("echo n | script -q -e -c '{line}' /dev/null");
            let said = ok(stage.run("/bin/sh").args(["-c", &asked]));
            assert!(said.contains("without a backup?") && said.contains("[Y/n]"), "{said}");
            assert_eq!(shown(), before);
        } else {
            skip::skip("what_cannot_be_undone_is_asked", "the part on a terminal: no script(1)");
        }
        ok(stage.spk().args(&words).arg("--yes"));
        left.remove(command);
    }
    fails(stage.spk().args(["grain", "show", &grain]));
    assert!(left.is_empty(), "not tried: {left:?}");
}

/// Commands write JSON when they are asked to, one value a line.
#[test]
fn json_is_json() {
    let (stage, grain) = house();
    // These want a running grain, a recorded session, or somebody who answers; what they print is
    // looked at in tests/check.rs, tests/sessions.rs, spk/cli/tests and wherever an app is started.
    const ELSEWHERE: &[&str] = &[
        "check",
        "dev",
        "run",
        "grain open",
        "grain shell",
        "grain share",
        "grain token",
        "files why",
        "files diff",
        "files prune",
        "files closure",
        "files coverage",
        "doctor",
    ];
    let mut left = commands_with("--json");
    for command in ELSEWHERE {
        assert!(left.remove(*command), "{command}");
    }
    let app = ok(stage.spk().arg("listkeys")).split_whitespace().next().unwrap().to_owned();
    let webkey = "http://127.0.0.1:9/#token";
    for (command, arguments) in [
        ("keygen", &[][..]),
        ("listkeys", &[]),
        ("getkey", &[&*app]),
        ("pack", &["--fast", "x.spk"]),
        ("pack", &["--dry-run", "x.spk"]),
        ("verify", &["x.spk"]),
        ("unpack", &["x.spk"]),
        ("publish", &["--dry-run", "--webkey", webkey, "x.spk"]),
        ("ls", &["x.spk"]),
        ("diff", &["x.spk", "../home/0.spk"]),
        ("cat", &["x.spk", "app"]),
        ("oci", &["x.spk", "-o", "x.tar"]),
        ("grain new", &["x.spk"]),
        ("grain list", &[]),
        ("grain show", &[&grain]),
        ("grain size", &[]),
        ("grain log", &[&grain]),
        ("grain rename", &[&grain, "another"]),
        ("grain stop", &[&grain]),
        ("grain export", &[&grain]),
        ("grain restore", &["--dry-run", "../home/backup.zip"]),
        ("grain restore", &["../home/backup.zip"]),
        ("grain upgrade", &["--dry-run", &grain]),
        ("grain upgrade", &[&grain]),
        ("grain delete", &["--dry-run", &grain]),
        ("grain delete", &[&grain]),
        ("grain gc", &["--dry-run"]),
        ("grain gc", &[]),
        ("rekey", &["--yes"]),
    ] {
        let output = ok(stage.spk().args(command.split(' ')).arg("--json").args(arguments));
        assert!(!output.is_empty() || command == "grain log", "spk {command} {arguments:?}");
        for line in output.lines() {
            let value = serde_json::from_str::<serde_json::Value>(line);
            assert!(value.is_ok(), "spk {command} {arguments:?}: {line}");
        }
        left.remove(command);
    }
    assert!(left.is_empty(), "not tried: {left:?}");
}
