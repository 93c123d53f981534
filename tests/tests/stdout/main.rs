//! What cannot be written to stdout is an error, for every command that prints; only a pipe whose
//! reader has gone ends a command in silence.
#![allow(clippy::unwrap_used)]

mod json;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use spk_tests::bins::{describe, ok};
use spk_tests::{Server, Stage, Who, http};

const APP: &str = include_str!("../../data/app.py");

/// Calls of every command that prints; `ID` is an app's, `RUNS` a grain that runs, `STOPPED` one
/// that does not.
const CALLS: &[&str] = &[
    "--version",
    "--help",
    "help pack",
    "pack --help",
    "init -o - -p 8000 -i abc -- /bin/true",
    "init -n --force --template static",
    "keygen -k ring",
    "keygen -k ring --json",
    "listkeys",
    "listkeys --json",
    "listkeys --apps",
    "getkey ID",
    "rekey --dry-run",
    "files why app.py",
    "files why app.py --json",
    "files diff --json",
    "files prune --dry-run --json",
    "files closure --json",
    "files coverage --json",
    "pack --fast b.spk",
    "pack --fast --json b.spk",
    "pack --fast --report b.spk",
    "pack --fast -",
    "pack -n b.spk",
    "check a.spk --json",
    "verify a.spk",
    "verify --json a.spk",
    "unpack a.spk fresh",
    "publish a.spk --dry-run --webkey http://127.0.0.1:1#token",
    "ls a.spk",
    "ls -l a.spk",
    "ls --json a.spk",
    "diff a.spk a.spk --json",
    "cat a.spk app.py",
    "cat --json a.spk app.py",
    "grain list",
    "grain list --json",
    "grain show STOPPED",
    "grain show STOPPED --json",
    "grain new a.spk",
    "grain new a.spk --json",
    "grain stop STOPPED --json",
    "grain rename STOPPED again --json",
    "grain upgrade STOPPED a.spk --dry-run",
    "grain export STOPPED -o -",
    "grain export STOPPED -o back.zip",
    "grain export STOPPED -o back.zip --json",
    "grain restore kept.zip",
    "grain restore kept.zip --dry-run",
    "grain delete STOPPED --dry-run",
    "grain log STOPPED",
    "grain log STOPPED --json",
    "grain shell STOPPED -- /usr/bin/python3 -c print(1)",
    "grain shell STOPPED --json -- /usr/bin/python3 -c print(1)",
    "grain size",
    "grain size --json",
    "grain gc --dry-run --json",
    "grain token RUNS",
    "grain token RUNS --list --json",
    "grain share RUNS --to bob --json",
    "grain share RUNS --list --json",
    "oci a.spk -o -",
    "oci a.spk -o image.tar",
    "doctor",
    "doctor --json",
    "completions bash",
    // Last: from then on the definition is another app's.
    "rekey --yes",
];

/// Those that serve: what they print is looked at below.
const SERVING: &[&str] = &["dev", "run", "grain open"];

/// The words of all commands that have none below them, from the names of their pages.
fn leaves() -> BTreeSet<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference");
    let pages = fs::read_dir(dir).unwrap().map(|page| page.unwrap().file_name());
    let names: Vec<String> = pages
        .filter_map(|name| Some(name.to_str()?.strip_prefix("spk-")?.strip_suffix(".md")?.into()))
        .collect();
    let has_none_below =
        |name: &&String| !names.iter().any(|other| other.starts_with(&format!("{name}-")));
    names.iter().filter(has_none_below).map(|name| name.replace('-', " ")).collect()
}

#[test]
fn every_command_is_in_the_table() {
    let mut missing = leaves();
    missing.retain(|words| {
        let called = CALLS.iter().chain(SERVING);
        !called.into_iter().any(|call| *call == words || call.starts_with(&format!("{words} ")))
    });
    assert!(missing.is_empty(), "not tried: {missing:?}");
}

/// A traced and packed app, a grain that runs and one that does not.
struct Place {
    stage: Stage,
    app: String,
    stopped: String,
    server: Server,
}

impl Place {
    fn new(who: Who) -> Place {
        let stage = Stage::new(who);
        stage.write("app.py", APP);
        ok(stage.spk().args(["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
        let server = Server::start(stage.spk().arg("dev"));
        http::get(&server.at(""));
        server.stop();
        ok(stage.spk().args(["pack", "--fast", "a.spk"]));
        let app = ok(stage.spk().arg("listkeys")).trim().to_owned();
        let ran = Server::start(stage.spk().args(["run", "a.spk"]));
        http::get(&ran.at(""));
        let stopped = ran.field("grainId");
        ran.stop();
        // So that its log has a line in any case.
        let log = stage.state().join("grains").join(&stopped).join("log");
        fs::write(&log, "a line\n").unwrap();
        who.own(&stage.state());
        ok(stage.spk().args(["grain", "export", &stopped, "-o", "kept.zip"]));
        let server = Server::start(stage.spk().args(["run", "a.spk"]));
        Place { stage, app, stopped, server }
    }

    fn words(&self, call: &str) -> Vec<String> {
        let _ = fs::remove_dir_all(self.stage.work().join("fresh"));
        let running = self.server.field("grainId");
        call.split(' ')
            .map(|word| match word {
                "ID" => self.app.clone(),
                "RUNS" => running.clone(),
                "STOPPED" => self.stopped.clone(),
                word => word.to_owned(),
            })
            .collect()
    }

    fn call(&self, call: &str, stdout: impl Into<Stdio>) -> Output {
        let mut command = self.stage.spk();
        output(command.args(self.words(call)).stdout(stdout))
    }

    /// With stdout closed, as by a shell's `>&-`.
    fn call_closed(&self, call: &str) -> Output {
        let mut shell = self.stage.run("/bin/sh");
        shell.args(["-c", "exec \"$0\" \"$@\" >&-"]).arg(self.stage.spk_path());
        output(shell.args(self.words(call)).stdout(Stdio::null()))
    }
}

fn output(command: &mut Command) -> Output {
    command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
}

/// What is wrong with the end of a call whose output could not be written.
fn wrong(output: &Output, call: &str, why: &str) -> Option<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    let told = said.contains("cannot write to stdout") && said.contains(why);
    (output.status.code() != Some(1) || !told)
        .then(|| format!("spk {call} ({why}): {}", describe(output)))
}

#[track_caller]
fn assert_fails(output: &Output, call: &str, why: &str) {
    assert_eq!(wrong(output, call, why), None);
}

#[test]
fn what_cannot_be_written_is_a_failure_of_every_command() {
    for who in Who::all("what_cannot_be_written_is_a_failure_of_every_command") {
        let place = Place::new(who);
        let mut all = Vec::new();
        for call in CALLS {
            let full = File::options().write(true).open("/dev/full").unwrap();
            all.extend(wrong(&place.call(call, full), call, "No space left on device"));
            all.extend(wrong(&place.call_closed(call), call, "Bad file descriptor"));
            let read_only = File::open("/dev/null").unwrap();
            all.extend(wrong(&place.call(call, read_only), call, "Bad file descriptor"));
            // Nobody reads any more: nothing is wrong.
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let output = place.call(call, writer);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if !output.status.success() || said.contains("error") {
                all.push(format!("spk {call} | true: {}", describe(&output)));
            }
        }
        place.server.stop();
        assert!(all.is_empty(), "{}", all.join("\n"));
    }
}

/// A real file system that is full, and not a device that pretends to be.
#[test]
fn a_key_that_does_not_fit_is_no_copy() {
    let stage = Stage::new(Who::User);
    ok(stage.spk().args(["keygen", "-q"]));
    let app = ok(stage.spk().arg("listkeys")).trim().to_owned();
    let script = "mount -t tmpfs -o size=4k none /mnt && { head -c 4096 /dev/zero >/mnt/filled; \
                  \"$0\" getkey \"$1\" >/mnt/copy; }";
    let mut unshare = stage.run("/usr/bin/unshare");
    unshare.args(["-rm", "/bin/sh", "-c", script]).arg(stage.spk_path()).arg(&app);
    let result = output(unshare.stdout(Stdio::null()));
    assert_fails(&result, "getkey", "No space left on device");
}

/// `spk run`, `spk dev` and `spk grain open`: whoever waits for the address would wait for ever.
#[test]
fn an_address_that_cannot_be_told_ends_what_is_served() {
    for who in Who::all("an_address_that_cannot_be_told_ends_what_is_served") {
        let place = Place::new(who);
        let open = format!("grain open {}", place.stopped);
        for call in ["run a.spk", "run a.spk --json", "dev", "dev --json", &open] {
            let full = File::options().write(true).open("/dev/full").unwrap();
            assert_fails(&place.call(call, full), call, "No space left on device");
        }
        assert_fails(&place.call_closed("run a.spk"), "run a.spk", "Bad file descriptor");
        // What the session used is kept all the same.
        let list = fs::read_to_string(place.stage.work().join("sandstorm-files.list")).unwrap();
        assert!(list.contains("\napp.py\n"), "{list}");
        place.server.stop();
    }
}

#[test]
fn completion_by_the_shell_fails_as_well() {
    let stage = Stage::new(Who::User);
    for shell in ["bash", "zsh", "fish"] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        assert_fails(
            &output(stage.spk().env("COMPLETE", shell).stdout(full)),
            &format!("for {shell}"),
            "No space left on device",
        );
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let unread = output(stage.spk().env("COMPLETE", shell).stdout(writer));
        assert!(unread.status.success() && unread.stderr.is_empty(), "{}", describe(&unread));
    }
}
