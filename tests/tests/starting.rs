//! Packages that can never start are refused before anything is left of them, and whoever looks for
//! yesterday's grain is told where it is.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spk_tests::bins::{fails, ok};
use spk_tests::{Server, Stage, Who, http};

const APP: &str = include_str!("../data/app.py");

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A project that was traced.
fn traced(who: Who) -> Stage {
    let stage = Stage::new(who);
    stage.write("app.py", APP);
    ok(stage.spk().args(["init", "-q", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    let server = Server::start(stage.spk().arg("dev"));
    http::get(&server.at(""));
    server.stop();
    stage
}

fn pack(stage: &Stage, name: &str) -> Output {
    stage.spk().args(["pack", "-q", "--fast", name]).output().unwrap()
}

#[test]
fn a_second_run_tells_of_the_first_ones_grain() {
    for who in Who::all("a_second_run_tells_of_the_first_ones_grain") {
        let stage = traced(who);
        assert!(pack(&stage, "a.spk").status.success());
        let run = |stage: &Stage| {
            let server = Server::start(stage.spk().args(["run", "a.spk"]));
            (server.field("grainId"), server.stop())
        };
        let (first, told) = run(&stage);
        assert!(!told.contains("--grain"), "there is no other yet, that of spk dev apart: {told}");
        let (second, told) = run(&stage);
        assert_ne!(first, second);
        assert!(told.contains(&format!("spk run a.spk --grain {first}")), "{told}");
        let (_, told) = run(&stage);
        assert!(told.contains("2 other grains"), "{told}");
        // The last used one; times are in seconds.
        let last_used = |id: &str| {
            let shown = ok(stage.spk().args(["grain", "show", id, "--json"]));
            let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
            shown["lastUsed"].as_u64().unwrap()
        };
        let named = if told.contains(&format!("--grain {second}")) { &second } else { &first };
        assert!(told.contains(&format!("--grain {named}")), "{told}");
        assert_eq!(last_used(named), last_used(&first).max(last_used(&second)));
        // Who opens that grain is told of no other.
        let server = Server::start(stage.spk().args(["run", "a.spk", "--grain", &first]));
        assert!(!server.stop().contains("other grains"));
    }
}

#[test]
fn a_program_that_is_not_packed_is_named() {
    for who in Who::all("a_program_that_is_not_packed_is_named") {
        let stage = Stage::new(who);
        stage.write("app", "#!/bin/sh\n");
        let init = |words: &[&str]| {
            let mut command = stage.spk();
            ok(command.args(["init", "-q", "--force", "-I", ".", "-A"]).args(words));
        };
        // What the bridge starts, what is started itself, and what is looked for in a PATH: the
        // definitions of spk init have none.
        for (words, program) in [
            (&["-r", "--", "/opt/start"][..], "/opt/start"),
            (&["-p", "8000", "--", "/opt/start"], "/opt/start"),
        ] {
            init(words);
            let output = pack(&stage, "a.spk");
            assert_eq!(output.status.code(), Some(1), "{}", said(&output));
            assert!(said(&output).contains(&format!("starts {program}, ")), "{}", said(&output));
            assert!(!stage.work().join("a.spk").exists());
        }
        // Behind a link that leads out of the package it is as missing.
        symlink("/nowhere/start", stage.work().join("start")).unwrap();
        init(&["-r", "--", "/start"]);
        assert!(said(&pack(&stage, "a.spk")).contains("starts /start, "));
    }
}

/// A package without a command, signed by a key that was made for it.
const NOTHING_TO_START: &str = "\
    j8bN70Ua6pb9N3pYWgAABObWtEYCACEBFgAAAHQv5aPgAb8BF10AAGiEHgs91ndQISzc17XpPDEvDXoSAxdEy2va9KUdChoQsI8D\
    O8rEUmpr4JNIXGzvfzM8Z0f3o75oKqxoly2WP/PVBTnq1YmkfY775lHuRVvzS4+JddYN3qMbDcYPcJus3ignKEZnI1gEP1gkLtgr\
    NNZdLLO1Ufjb2gUYtHGd0pzCrohsFV+p6AB4EBQS0bwXvqXSQPOoR7ZuBFrvC1yokiwvE71IwhHxmBdF2eqqrz5uBq4an/l8+NUe\
    //cstxUiU2KM9D2wmpN1KbFa8tZuVr4QOR/RCRM6jbcqyovkQ42f+W+pxcpGjmBCzK+yhdonY6jJjcAPHS/yAr4Gm5w1AozH5XYc\
    0Fjxh4nBccqcS/0BZWkbOoaAAADg0OFHgl6bRgABswLAAwAAObbAUbHEZ/sCAAAAAARZWg==";

#[test]
fn a_package_without_a_program_leaves_no_grain() {
    for who in Who::all("a_package_without_a_program_leaves_no_grain") {
        let stage = Stage::new(who);
        stage.write("a.spk", STANDARD.decode(NOTHING_TO_START).unwrap());
        ok(stage.spk().args(["verify", "a.spk"]));
        for call in [&["run", "a.spk"][..], &["grain", "new", "a.spk"]] {
            let output = fails(stage.spk().args(call));
            assert!(said(&output).contains("names no program"), "{}", said(&output));
        }
        assert_eq!(ok(stage.spk().args(["grain", "list", "--json"])), "[]\n");
    }
}

#[test]
fn only_a_bridge_is_packed_as_one() {
    let stage = traced(Who::User);
    stage.write("script", "#!/bin/sh\n");
    stage.write("empty", "");
    // Text, a script, nothing, and a program that needs libraries which the package may lack.
    for file in ["/etc/passwd", "script", "empty", "/bin/sh", "no/such/file"] {
        let mut pack = stage.spk();
        let output = fails(pack.env("SPK_BRIDGE", file).args(["pack", "--fast", "a.spk"]));
        assert!(said(&output).contains("SPK_BRIDGE names no"), "{file}: {}", said(&output));
        assert!(!stage.work().join("a.spk").exists());
    }
    let bridge = stage.spk_path().with_file_name("sandstorm-http-bridge");
    ok(stage.spk().env("SPK_BRIDGE", bridge).args(["pack", "-q", "--fast", "a.spk"]));
}

/// The list that `spk dev` wrote where a script starts the bridge, as vagrant-spk's launchers may.
#[test]
fn a_list_that_names_the_bridge_gets_it() {
    let stage = Stage::new(Who::User);
    stage.write("app.py", APP);
    stage.write("launcher.sh", "exec /sandstorm-http-bridge 8000 -- /usr/bin/python3 -B /app.py\n");
    ok(stage.spk().args(["init", "-q", "-r", "--", "/bin/sh", "/launcher.sh"]));
    let server = Server::start(stage.spk().arg("dev"));
    assert_eq!(http::get(&server.at("")).status, 200);
    server.stop();
    let list = fs::read_to_string(stage.work().join("sandstorm-files.list")).unwrap();
    assert!(list.contains("\nsandstorm-http-bridge\n"), "{list}");
    let mut wrong = stage.spk();
    let wrong = fails(wrong.env("SPK_BRIDGE", "/bin/sh").args(["pack", "--fast", "a.spk"]));
    assert!(said(&wrong).contains("SPK_BRIDGE names no"), "{}", said(&wrong));
    let output = pack(&stage, "a.spk");
    assert!(output.status.success(), "{}", said(&output));
    let server = Server::start(stage.spk().args(["run", "a.spk"]));
    assert_eq!(http::get(&server.at("")).status, 200);
    server.stop();
}

#[test]
fn a_link_that_is_always_included_brings_what_it_leads_to() {
    let stage = Stage::new(Who::User);
    for file in ["app", "real/f", "real/deep/g", "file"] {
        stage.write(file, "x");
    }
    for (target, link) in
        [("real", "dir"), ("dir", "dir2"), ("file", "single"), ("/var/made", "dangling")]
    {
        symlink(target, stage.work().join(link)).unwrap();
    }
    ok(stage.spk().args(["init", "-q", "-r", "-I", ".", "--", "/app"]));
    let definition = stage.work().join("sandstorm-pkgdef.capnp");
    let text = fs::read_to_string(&definition).unwrap();
    let included = "alwaysInclude = [\"app\", \"dir2\", \"single\", \"dangling\"]";
    let line = text.lines().find(|line| line.contains("alwaysInclude = [")).unwrap();
    fs::write(&definition, text.replace(line.trim().trim_end_matches(','), included)).unwrap();
    stage.write("sandstorm-files.list", "");
    let output = pack(&stage, "a.spk");
    assert!(output.status.success(), "{}", said(&output));
    let listed = ok(stage.spk().args(["ls", "a.spk"]));
    for path in ["dir2", "dir", "real/f", "real/deep/g", "single", "file", "dangling"] {
        assert!(listed.lines().any(|line| line == path), "{path} is not in:\n{listed}");
    }
}

#[test]
fn all_grains_go_to_stdout_where_there_is_one() {
    let stage = traced(Who::User);
    let closed = stage.work().join("closed");
    fs::create_dir(&closed).unwrap();
    Who::User.own(&closed);
    let export = |stage: &Stage| {
        let mut export = stage.spk_in(&closed);
        export.args(["grain", "export", "--all", "-o", "-"]).output().unwrap()
    };
    let output = export(&stage);
    assert!(output.status.success(), "{}", said(&output));
    assert!(output.stdout.starts_with(b"PK"));
    assert_eq!(fs::read_dir(&closed).unwrap().count(), 0, "something was made");
    // Two do not fit, and none makes no backup.
    ok(stage.spk().args(["pack", "-q", "--fast", "a.spk"]));
    ok(stage.spk().args(["grain", "new", "a.spk"]));
    let output = export(&stage);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(output.stdout.is_empty() && said(&output).contains("-o DIR"), "{}", said(&output));
    assert_eq!(fs::read_dir(&closed).unwrap().count(), 0, "something was made");
}
