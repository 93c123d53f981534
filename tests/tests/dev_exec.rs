//! `spk dev --exec`: a command uses the app in a person's place.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use spk_tests::bins::{describe, ok};
use spk_tests::{Stage, Who, procs};

const PYTHON: [&str; 2] = ["/usr/bin/python3", "-B"];

fn project(who: Who) -> Stage {
    let stage = Stage::new(who);
    stage.write("app.py", include_str!("../data/app.py"));
    stage.write("static/page.txt", "a page\n");
    stage.write("drive.py", include_str!("../data/drive.py"));
    ok(stage.spk().args(["init", "-q", "-p", "8000", "--", PYTHON[0], PYTHON[1], "/app.py"]));
    stage
}

/// `spk dev OPTIONS --exec COMMAND`, to its end.
fn exec(stage: &Stage, options: &[&str], command: &[&str]) -> Output {
    stage.spk().arg("dev").args(options).arg("--exec").args(command).output().unwrap()
}

fn list(stage: &Stage) -> String {
    fs::read_to_string(stage.work().join("sandstorm-files.list")).unwrap_or_default()
}

#[test]
fn its_output_is_ours_and_what_it_used_is_listed() {
    for who in Who::all("its_output_is_ours_and_what_it_used_is_listed") {
        let stage = project(who);
        let drive = [&PYTHON[..], &["drive.py", "/static", "api:/static", "/none"]].concat();
        let done = exec(&stage, &["--user", "bob"], &drive);
        assert!(done.status.success(), "{}", describe(&done));
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(said, "200 a page\n\n200 a page\n\n404 no such page\nuser bob\n");
        assert!(list(&stage).contains("\nstatic/page.txt\n"), "{}", list(&stage));
    }
}

/// Whatever is behind it is the command's, options of the same name, too.
#[test]
fn it_ends_with_the_command_s_status_and_keeps_what_was_used() {
    let stage = project(Who::User);
    let get = "/usr/bin/python3 -B drive.py /static; test \"$*\" = '--json --exec -v' && exit 7";
    let done = exec(&stage, &["-q"], &["/bin/sh", "-c", get, "sh", "--json", "--exec", "-v"]);
    assert_eq!(done.status.code(), Some(7), "{}", describe(&done));
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("/bin/sh ended with exit status: 7"), "{said}");
    assert!(list(&stage).contains("\nstatic/page.txt\n"), "{}", list(&stage));

    let done = exec(&stage, &["-q"], &["/bin/sh", "-c", "kill -9 $$"]);
    assert_eq!(done.status.code(), Some(128 + 9), "{}", describe(&done));

    let done = exec(&stage, &["-q"], &["/no/such/command"]);
    assert_eq!(done.status.code(), Some(1), "{}", describe(&done));
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        said.contains("cannot run /no/such/command") && said.contains("No such file"),
        "{said}"
    );
}

#[test]
fn an_app_that_does_not_start_is_not_used() {
    let stage = project(Who::User);
    stage.write("app.py", "raise SystemExit('broken')\n");
    let done = exec(&stage, &[], &["/bin/touch", "was-run"]);
    assert_eq!(done.status.code(), Some(1), "{}", describe(&done));
    assert!(String::from_utf8_lossy(&done.stderr).contains("broken"), "{}", describe(&done));
    assert!(!stage.work().join("was-run").exists());
}

/// With --json what is served is said on stdout all the same, before the command's own output.
#[test]
fn the_addresses_are_told_as_json_where_that_is_asked_for() {
    let stage = project(Who::User);
    let done = exec(&stage, &["--json"], &["/bin/echo", "done"]);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let (ready, rest) = said.split_once('\n').unwrap();
    let ready: serde_json::Value = serde_json::from_str(ready).unwrap();
    assert_eq!((ready["event"].as_str(), rest), (Some("ready"), "done\n"), "{said}");
    assert!(ready["api"]["token"].is_string(), "{ready}");
}

/// Who ends `spk` ends the command, which is no success; and what was used is kept.
#[test]
fn a_signal_ends_the_command_as_well() {
    for who in Who::all("a_signal_ends_the_command_as_well") {
        for ends_itself in [true, false] {
            let stage = project(who);
            let trap = if ends_itself { "echo ended >&2; exit 3" } else { "" };
            let script = format!("trap '{trap}' TERM; touch begun; while :; do sleep 0.1; done");
            let mut command: Command = stage.spk();
            command.args(["dev", "--exec", "/bin/sh", "-c", &script]);
            let spk = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            wait_for(&stage.work().join("begun"));
            let begun = only_child(&spk, "/bin/sh");
            kill(Pid::from_raw(spk.id().cast_signed()), Signal::SIGTERM).unwrap();
            let done = spk.wait_with_output().unwrap();
            assert_eq!(done.status.code(), Some(1), "{}", describe(&done));
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(said.contains("interrupted before /bin/sh was done"), "{said}");
            assert_eq!(said.contains("ended\n"), ends_itself, "{said}");
            assert!(!Path::new("/proc").join(begun.to_string()).join("exe").exists(), "{begun}");
            assert!(list(&stage).contains("app.py"), "{}", list(&stage));
        }
    }
}

#[track_caller]
fn wait_for(file: &Path) {
    /// Only what a broken program takes.
    const LONGEST: Duration = Duration::from_secs(60);
    let end = Instant::now() + LONGEST;
    while !file.exists() {
        assert!(Instant::now() < end, "{} is not made", file.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The process of this program that `spk` started.
fn only_child(spk: &Child, program: &str) -> i32 {
    let exe = fs::canonicalize(program).unwrap();
    let found = procs::matching(&exe, "");
    let of_spk = |pid: i32| procs::status(pid, "PPid") == spk.id().to_string();
    found.into_iter().map(|process| process.pid).find(|pid| of_spk(*pid)).unwrap()
}
