//! What people expect of a command line: completion, exit status, quiet, colours, the environment.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use spk_tests::bins::{fails, ok};
use spk_tests::{Stage, Who, skip};

/// What the shell shows for the last of these words.
fn candidates(stage: &Stage, words: &[&str]) -> Vec<String> {
    let said = ok(stage
        .spk()
        .env("COMPLETE", "bash")
        .env("_CLAP_IFS", "\n")
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
        .arg("--")
        .args(words));
    said.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn completion_knows_commands_grains_apps_and_templates() {
    let stage = Stage::new(Who::User);
    assert!(candidates(&stage, &["spk", "pa"]).contains(&"pack".to_owned()));
    assert!(candidates(&stage, &["spk", "pack", "--no"]).contains(&"--no-cache".to_owned()));
    assert!(
        candidates(&stage, &["spk", "init", "--template", ""]).contains(&"raw-python".to_owned())
    );
    // Without a store there are no grains, and asking makes none.
    candidates(&stage, &["spk", "grain", "show", ""]);
    assert!(!stage.state().exists());

    stage.write("app", "");
    ok(stage.spk().args(["init", "-q", "-r", "-I", ".", "-A", "--", "/app"]));
    let app = ok(stage.spk().arg("listkeys")).trim().to_owned();
    ok(stage.spk().args(["pack", "-q", "--fast", "app.spk"]));
    let grain = ok(stage.spk().args(["grain", "new", "app.spk"])).trim().to_owned();
    for command in ["show", "export", "log", "delete", "stop"] {
        assert_eq!(
            candidates(&stage, &["spk", "grain", command, &grain[..2]]),
            [grain.as_str()],
            "spk grain {command}"
        );
    }
    assert_eq!(
        candidates(&stage, &["spk", "run", "app.spk", "--grain", &grain[..2]]),
        [grain.as_str()]
    );
    assert_eq!(candidates(&stage, &["spk", "getkey", &app[..3]]), [app.as_str()]);
    // Elsewhere there are others.
    let elsewhere = candidates(&stage, &["spk", "--state", "/nowhere", "grain", "show", ""]);
    assert!(!elsewhere.contains(&grain), "{elsewhere:?}");
    // The words after a bare `--` are the app's.
    assert!(candidates(&stage, &["spk", "init", "-p", "8000", "--", "pa"]).is_empty());
}

#[test]
fn shells_take_the_completion_scripts() {
    let stage = Stage::new(Who::User);
    for shell in ["bash", "zsh", "fish"] {
        let script = ok(stage.spk().args(["completions", shell]));
        let file = stage.write(&format!("completion.{shell}"), &script);
        if Command::new(shell).arg("--version").output().is_err() {
            skip::skip("shells_take_the_completion_scripts", &format!("{shell} is not installed"));
            continue;
        }
        ok(stage.run(shell).arg("-n").arg(&file));
    }
    fails(stage.spk().args(["completions", "tcsh"]));

    // Bash, as it asks when Tab is pressed.
    let bin = stage.spk_path();
    let script = format!(
        "PATH={}:$PATH; source completion.bash; COMP_WORDS=(spk doc); COMP_CWORD=1; COMP_TYPE=9; \
         $(complete -p spk | sed -n 's/.*-F \\([^ ]*\\).*/\\1/p') spk doc spk; echo ${{COMPREPLY[@]}}",
        bin.parent().unwrap().display()
    );
    let reply = ok(stage.run("bash").args(["--norc", "-c", &script]));
    assert_eq!(reply.trim(), "doctor");
}

#[test]
fn exit_status_is_as_documented() {
    let stage = Stage::new(Who::User);
    stage.write("bad.spk", "no package");
    let page = ok(stage.spk().arg("--help"));
    for line in [
        "  0  done",
        "  1  it failed",
        "  2  the command line makes no sense",
        "  3  this",
        "  70 ",
    ] {
        assert!(page.contains(line), "{page}");
    }
    for (status, arguments) in [
        (0, &["--version"][..]),
        (0, &["grain", "list"]),
        (1, &["verify", "bad.spk"]),
        (1, &["unpack", "bad.spk"]),
        (1, &["verify", "nowhere.spk"]),
        (1, &["listkeys"]),
        (1, &["grain", "show", "nobody"]),
        (2, &[]),
        (2, &["pakc"]),
        (2, &["pack"]),
        (2, &["pack", "--fats", "x.spk"]),
        (2, &["init", "--template", "cobol"]),
        (2, &["unpack", "bad"]),
    ] {
        let output = stage.spk().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        if status > 0 {
            assert!(output.stdout.is_empty(), "{arguments:?}: stdout is for data");
        }
    }
}

#[test]
fn slips_are_recognised() {
    let stage = Stage::new(Who::User);
    for (arguments, meant) in [
        (&["pakc"][..], "'pack'"),
        (&["grain", "exprot"], "'export'"),
        (&["pack", "--thread", "1", "x.spk"], "'--threads'"),
        (&["init", "--template", "pyhton"], "python?"),
    ] {
        let output = fails(stage.spk().args(arguments));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(meant), "{arguments:?}: {said}");
    }
}

#[test]
fn the_environment_names_files() {
    let stage = Stage::new(Who::User);
    let keyring = stage.work().join("keys");
    ok(stage.spk().args(["keygen", "-q"]).env("SPK_KEYRING", &keyring));
    assert!(keyring.exists() && !stage.home().join(".sandstorm-keyring").exists());

    stage.write("elsewhere/app", "");
    stage.write("schemas/ours.capnp", "@0xb8f3a1c2d4e5f607;\nconst title :Text = \"ours\";\n");
    let project = stage.work().join("elsewhere");
    ok(stage
        .spk_in(&project)
        .args(["init", "-q", "-r", "-I", ".", "-A", "--", "/app"])
        .env("SPK_KEYRING", &keyring));
    let file = project.join("sandstorm-pkgdef.capnp");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("\"Example App\"", "import \"/ours.capnp\".title");
    fs::write(&file, text).unwrap();
    let pack = |imports: &str| {
        let mut command = stage.spk();
        command
            .args(["pack", "-q", "--fast", "app.spk"])
            .env("SPK_KEYRING", &keyring)
            .env("SPK_PKG_DEF", format!("{}:pkgdef", file.display()))
            .env("SPK_IMPORT_PATH", imports);
        command
    };
    fails(&mut pack("/nowhere"));
    ok(&mut pack(&format!("/nowhere:{}", stage.work().join("schemas").display())));
    assert!(ok(stage.spk().args(["verify", "app.spk"])).contains("\"ours\""));

    let state = stage.work().join("state");
    ok(stage.spk().args(["grain", "new", "app.spk"]).env("SPK_STATE", &state));
    assert!(state.join("grains").exists() && !stage.state().exists());
}

#[test]
fn quiet_verbose_and_colours() {
    let stage = Stage::new(Who::User);
    let said = |arguments: &[&str]| {
        let output = stage.spk().args(arguments).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(&["keygen"]).contains("keep a copy"));
    assert_eq!(said(&["keygen", "-q"]), "");
    assert_eq!(said(&["-q", "keygen"]), "");
    if !Path::new("/usr/bin/script").exists() {
        return skip::skip("quiet_verbose_and_colours", "the part on a terminal: no script(1)");
    }
    // On a terminal.
    let terminal = |variable: &str| {
        let line = format!("{} verify nowhere.spk", stage.spk_path().display());
        let mut command = stage.run("script");
        command.args(["-q", "-e", "-c", &line, "/dev/null"]).env("TERM", "xterm");
        if !variable.is_empty() {
            command.env(variable, "1");
        }
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(terminal("").contains("\x1b[31merror:"), "{:?}", terminal(""));
    assert!(!terminal("NO_COLOR").contains('\x1b'), "{:?}", terminal("NO_COLOR"));
}

/// Packages through pipes, where a name is `-`. (`grep -q` would not read to the end.)
#[test]
fn a_dash_is_a_pipe() {
    let stage = Stage::new(Who::User);
    stage.write("app", "contents");
    ok(stage.spk().args(["init", "-q", "-r", "-I", ".", "-A", "--", "/app"]));
    ok(stage.spk().args(["pack", "-q", "--fast", "app.spk"]));
    let spk = stage.spk_path();
    let spk = spk.display();
    for line in [
        format!("cat app.spk | {spk} verify - | grep appId"),
        format!("cat app.spk | {spk} ls - | grep -x app"),
        format!("cat app.spk | {spk} cat - app | grep contents"),
        format!("cat app.spk | {spk} unpack - out && test -f out/app"),
        format!("cat app.spk | {spk} diff app.spk - | (! grep .)"),
        format!("{spk} pack --fast --allow app.spk - | {spk} verify - | grep appId"),
        format!("cat app.spk | {spk} grain new - && {spk} grain list | grep Example"),
        format!(
            "! {spk} pack --json --fast --allow app.spk - >nothing && test ! -s nothing && test ! -e ./-"
        ),
        format!("cat app.spk | {spk} oci - -o - | tar -t | grep -x oci-layout"),
        format!(
            "id=$({spk} grain new app.spk) && {spk} grain export $id -o - | {spk} grain restore -"
        ),
    ] {
        ok(stage.run("/bin/bash").args(["-o", "pipefail", "-ec", &line]));
    }
}
