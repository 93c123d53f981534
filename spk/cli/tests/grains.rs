//! `spk grain`, driven as a person or a script would: the whole life of a grain, and what is left
//! when it is cut short.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Two packages of one app.
const FIRST: &str = "packages/depth62.spk";
const SECOND: &str = "corrupt/c-ok.spk";
/// A large one of the same app: of these three only this one has the program that it starts, without
/// which no grain is made.
const STARTS: &str = "packages/segments.spk";

fn data(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../package/tests/data")).join(name)
}

struct State {
    temp: tempfile::TempDir,
}

impl State {
    fn new() -> State {
        State { temp: tempfile::tempdir().unwrap() }
    }

    fn dir(&self) -> PathBuf {
        self.temp.path().join("state")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spk"));
        command.arg("--state").arg(self.dir()).arg("grain").args(args);
        command.current_dir(self.temp.path()).stdin(Stdio::null());
        command
    }

    fn try_run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn run(&self, args: &[&str]) -> String {
        let output = self.try_run(args);
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "spk grain {args:?}: {talk}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    fn fails(&self, args: &[&str]) -> String {
        let output = self.try_run(args);
        assert_eq!(output.status.code(), Some(1), "spk grain {args:?}");
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    }

    fn json(&self, args: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.run(args)).unwrap()
    }

    fn new_grain(&self) -> String {
        let id = self.run(&["new", data(STARTS).to_str().unwrap(), "--title", "Notes"]);
        self.run(&["upgrade", "--no-backup", "--yes", &id, data(FIRST).to_str().unwrap()]);
        self.run(&["gc"]);
        id
    }

    fn var(&self, id: &str) -> PathBuf {
        self.dir().join("grains").join(id).join("sandbox")
    }
}

#[test]
fn a_grain_s_life() {
    let state = State::new();
    assert_eq!(state.json(&["list", "--json"]), serde_json::json!([]));
    let id = state.new_grain();
    std::fs::write(state.var(&id).join("note"), "remember").unwrap();
    std::fs::write(state.dir().join("grains").join(&id).join("log"), "one\n\u{1b}[2J\n").unwrap();
    let list = state.json(&["list", "--json"]);
    assert_eq!(list[0]["grainId"], id.as_str());
    assert!(list[0]["lastUsed"].as_u64().unwrap() >= list[0]["created"].as_u64().unwrap());
    let long = state.json(&["list", "-l", "--json"]);
    assert!(long[0]["size"].as_u64().unwrap() > 4096);
    let shown = state.run(&["list"]);
    assert!(["ago", "now"].iter().any(|age| shown.contains(age)), "{shown}");
    assert_eq!((&list[0]["state"], &list[0]["title"]), (&"stopped".into(), &"Notes".into()));
    state.run(&["rename", &id[..8], "Better \u{1b}[31mnotes"]);
    assert!(!state.run(&["list"]).contains('\u{1b}'));
    assert_eq!(state.run(&["log", &id]), "one\n\u{1b}[2J");
    let lines = state.run(&["log", &id, "--json"]);
    assert_eq!(lines.lines().count(), 2);
    let shown = state.json(&["show", &id, "--json"]);
    assert!(shown["size"].as_u64().unwrap() > 4096);
    assert_eq!(state.json(&["size", &id, "--json"])[0]["size"], shown["size"]);
    assert_eq!(state.json(&["stop", &id, "--json"])["stopped"], false);

    assert_eq!(state.run(&["export", &id]), format!("{id}.zip"));
    let report = state.json(&["export", &id, "-o", "b.zip", "--json"]);
    assert_eq!((&report["files"], &report["bytes"]), (&1.into(), &8.into()));
    let upgraded = state.json(&["upgrade", &id, data(SECOND).to_str().unwrap(), "--json"]);
    assert_ne!(upgraded["packageId"], list[0]["packageId"]);
    assert_eq!(state.json(&["gc", "--json"])["packages"][0], list[0]["packageId"]);

    let deleted = state.json(&["delete", &id, "--json"]);
    assert_eq!(state.json(&["list", "--json"]), serde_json::json!([]));
    // Both ways back: the user's backup, and the one taken before the deletion.
    let backups = [PathBuf::from("b.zip"), PathBuf::from(deleted["backup"].as_str().unwrap())];
    for backup in backups {
        let restored = state.run(&["restore", backup.to_str().unwrap()]);
        assert_ne!(restored, id);
        assert_eq!(std::fs::read(state.var(&restored).join("note")).unwrap(), b"remember");
    }
    let through_pipe = Command::new("sh")
        .args(["-c", "cat b.zip | \"$0\" --state state grain restore -", env!("CARGO_BIN_EXE_spk")])
        .current_dir(state.temp.path())
        .output()
        .unwrap();
    assert!(through_pipe.status.success());
    let error = state.fails(&["export", &id]);
    assert!(error.contains("no grain"), "{error}");
    assert!(state.fails(&["delete", "../../etc"]).contains("not a grain ID"));
}

#[test]
fn exports_to_a_pipe_and_of_all() {
    let state = State::new();
    let ids = [state.new_grain(), state.new_grain()];
    let output = state.try_run(&["export", &ids[0], "-o", "-"]);
    std::fs::write(state.temp.path().join("piped.zip"), output.stdout).unwrap();
    state.run(&["restore", "piped.zip"]);
    let out = state.temp.path().join("out");
    // The directory is made.
    state.run(&["export", "--all", "-o", "out"]);
    // A pipe by name is written into; it is not replaced by a file.
    let pipe = state.temp.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut export = state.command(&["export", &ids[0], "-o", "pipe"]).spawn().unwrap();
    std::fs::write(state.temp.path().join("named.zip"), std::fs::read(&pipe).unwrap()).unwrap();
    assert!(export.wait().unwrap().success());
    assert!(!pipe.is_file());
    state.run(&["restore", "named.zip"]);
    assert_eq!(std::fs::read_dir(out).unwrap().count(), 3);
    let null = state.run(&["export", &ids[1], "-o", "/dev/null"]);
    assert_eq!(null, "/dev/null");
    assert!(!Path::new("/dev/null").is_file());
    let usage = state.try_run(&["export", &ids[0], &ids[1], "-o", "-"]);
    assert_eq!(usage.status.code(), Some(2));
}

/// Pseudo-random, and the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Content of a grain, by path.
fn content(var: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(var).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
        } else {
            found.insert(path.file_name().unwrap().into(), std::fs::read(&path).unwrap());
        }
    }
    found
}

/// Names in a directory.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn fill(var: &Path) {
    for dir in 0..6 {
        let dir = var.join(format!("d{dir}"));
        std::fs::create_dir(&dir).unwrap();
        for file in 0..30 {
            let text = format!("{dir:?}{file} ").repeat(200);
            std::fs::write(
                dir.join(format!("{}-{file}", dir.file_name().unwrap().display())),
                text,
            )
            .unwrap();
        }
    }
}

fn kill_after(mut child: Child, delay: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < delay {
        if child.try_wait().unwrap().is_some() {
            return;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn two_hundred_kills_lose_nothing() {
    let state = State::new();
    let keeper = state.new_grain();
    fill(&state.var(&keeper));
    let expected = content(&state.var(&keeper));
    let packages = [data(FIRST), data(SECOND)].map(|path| path.to_str().unwrap().to_owned());
    // How long each takes when nobody kills it.
    let timed = |args: &[&str]| {
        let begin = Instant::now();
        state.run(args);
        begin.elapsed()
    };
    let export_time = timed(&["export", &keeper, "-o", "b.zip"]);
    let begin = Instant::now();
    let mut victim = state.run(&["restore", "b.zip"]);
    let restore_time = begin.elapsed();
    let upgrade_time = timed(&["upgrade", &victim, &packages[1]]);
    let delete_time = timed(&["delete", &victim]);
    victim = state.run(&["restore", "b.zip"]);
    let mut dice = Dice(7);
    let (mut cleaned, mut finished) = (0, 0);
    for round in 0..200u64 {
        let (args, typical): (Vec<&str>, Duration) = match round % 4 {
            0 => (vec!["export", &keeper, "-o", "b.zip"], export_time),
            1 => (vec!["restore", "b.zip"], restore_time),
            2 => (vec!["upgrade", &victim, &packages[round as usize / 4 % 2]], upgrade_time),
            _ => (vec!["delete", &victim], delete_time),
        };
        let delay = typical * dice.below(1200) as u32 / 1000;
        let mut command = state.command(&args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        kill_after(command.spawn().unwrap(), delay);
        // The store opens, and tells what it has cleaned up.
        let list = state.try_run(&["list", "--json"]);
        let talk = String::from_utf8_lossy(&list.stderr).into_owned();
        assert!(list.status.success(), "round {round}: {talk}");
        cleaned += usize::from(talk.contains("interrupted"));
        let list: Vec<serde_json::Value> = serde_json::from_slice(&list.stdout).unwrap();
        let ids: Vec<String> =
            list.iter().map(|grain| grain["grainId"].as_str().unwrap().to_owned()).collect();
        assert!(ids.contains(&keeper), "round {round}");
        assert_eq!(std::fs::read_dir(state.dir().join("tmp")).unwrap().count(), 0);
        for (id, grain) in ids.iter().zip(&list) {
            assert_eq!(grain["state"], "stopped", "round {round}");
            assert!(grain.get("problem").is_none(), "round {round}: {grain}");
            assert!(content(&state.var(id)) == expected, "round {round}: {id} after {args:?}");
        }
        let mut unzip = Command::new("unzip");
        let whole = unzip.args(["-tqq", "b.zip"]).current_dir(state.temp.path()).output().unwrap();
        assert!(whole.status.success(), "round {round}");
        if !ids.contains(&victim) {
            finished += 1;
            // Gone only with its backup on the disk.
            let backups = state.dir().join("backups").join(&victim);
            let names = names(&backups);
            let backup = names.iter().find(|name| name.ends_with("-delete.zip")).unwrap();
            let whole = Command::new("unzip").arg("-tqq").arg(backups.join(backup)).status();
            assert!(whole.unwrap().success(), "round {round}");
        }
        for backups in names(&state.dir().join("backups")) {
            let left = names(&state.dir().join("backups").join(&backups));
            assert!(left.iter().all(|name| !name.starts_with('.')), "round {round}: {left:?}");
        }
        // Restores that were complete make grains; one victim is enough.
        for id in ids.iter().filter(|id| **id != keeper && **id != victim) {
            state.run(&["delete", "--no-backup", "--yes", id]);
        }
        if !ids.contains(&victim) {
            victim = state.run(&["restore", "b.zip"]);
        }
    }
    println!("{cleaned} clean-ups, {finished} deletions completed");
    assert!(cleaned > 0, "no kill came at a moment that matters");
    assert_eq!(state.run(&["export", &keeper, "-o", "b.zip"]), "b.zip");
    let left = std::fs::read_dir(state.temp.path()).unwrap();
    let left =
        left.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("partial"));
    assert_eq!(left.count(), 0);
}

#[test]
fn full_disks_lose_nothing() {
    // A small tmpfs in a namespace of its own. The loop inside leaves one page more each time, so
    // that each write of each operation is once the first that finds no room.
    let state = State::new();
    let keeper = state.new_grain();
    let mut dice = Dice(11);
    for file in 0..16 {
        // Does not become smaller in a backup.
        let noise: Vec<u8> = (0..5000).map(|_| dice.below(256) as u8).collect();
        std::fs::write(state.var(&keeper).join(format!("noise{file}")), noise).unwrap();
    }
    state.run(&["export", &keeper, "-o", "b.zip"]);
    let script = r#"
        set -e
        mount -t tmpfs -o size=6m none "$1/mnt"
        cp -a "$1/state" "$1/mnt/state"
        cp "$1/b.zip" "$1/mnt/b.zip"
        cd "$1/mnt"
        before=$(cd state/grains && find . -path '*/sandbox/*' -type f | sort | xargs sha256sum | sha256sum)
        free=$(( $(stat -f -c '%f' .) * 4 ))
        failed=0; deleted=; degrees=0
        for pages in $(seq 0 200); do
            fallocate -l $(((free - pages * 4) * 1024)) filler
            for what in "export $2 -o b.zip" "restore b.zip" "rename $2 other" \
                        "upgrade $2 $3" "upgrade $2 $4" "delete $2"; do
                "$0" --state state grain $what >out.txt 2>&1 || failed=$((failed + 1))
                rm -f out.txt
                case "$what" in delete*) [ -d "state/grains/$2" ] || deleted=yes;; esac
            done
            rm -f filler
            degrees=$((degrees + 1))
            "$0" --state state grain list --json >list.txt
            unzip -tqq b.zip
            [ -z "$(ls state/tmp)" ]
            if [ -n "$deleted" ]; then
                # Gone only with its backup on the disk.
                unzip -tqq state/backups/$2/*-delete.zip
                break
            fi
            for grain in state/grains/*; do
                [ "$grain" = "state/grains/$2" ] || "$0" --state state grain delete --no-backup --yes "$(basename $grain)"
            done
            rm -rf state/backups/*
            after=$(cd state/grains && find . -path '*/sandbox/*' -type f | sort | xargs sha256sum | sha256sum)
            [ "$before" = "$after" ]
        done
        echo "degrees $degrees failed $failed"
        [ $degrees -gt 20 ] && [ $failed -gt 40 ] && [ -n "$deleted" ]
    "#;
    std::fs::create_dir(state.temp.path().join("mnt")).unwrap();
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_spk")])
        .arg(state.temp.path())
        .arg(&keeper)
        .args([data(SECOND), data(FIRST)])
        .output()
        .unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    if talk.contains("unshare") {
        let reason = "no unprivileged mount namespace for a small tmpfs";
        spk_skip::skip("full_disks_lose_nothing", reason);
        return;
    }
    assert!(output.status.success(), "{}{talk}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn swapped_links_lead_nowhere() {
    // An app that swaps names while its grain is exported, as it can with --live.
    let state = State::new();
    let id = state.new_grain();
    let var = state.var(&id);
    let secret = state.temp.path().join("secret");
    std::fs::create_dir(&secret).unwrap();
    std::fs::write(secret.join("key"), "TOP-SECRET").unwrap();
    std::fs::set_permissions(secret.join("key"), PermissionsExt::from_mode(0o640)).unwrap();
    std::fs::create_dir(var.join("real")).unwrap();
    std::fs::write(var.join("real/key"), "harmless").unwrap();
    std::fs::write(var.join("plain"), "harmless").unwrap();
    let script = r#"
import os, sys
var, secret = sys.argv[1:]
os.chdir(var)
n = 0
os.symlink(secret, "l"); os.symlink(secret + "/key", "m")
# renameat2 with RENAME_EXCHANGE: the directory and the link change places at once.
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
swap = lambda a, b: libc.syscall(316, -100, a, -100, b, 2)
open("started", "w").close()
while not os.path.exists("enough"):
    swap(b"real", b"l"); swap(b"plain", b"m"); n += 2
    open("count", "w").write(str(n))
"#;
    let mut app =
        Command::new("python3").args(["-c", script]).arg(&var).arg(&secret).spawn().unwrap();
    while !var.join("started").exists() {
        assert!(app.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    let swaps = || -> u64 {
        std::fs::read_to_string(var.join("count")).ok().and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    let mut exports = 0;
    while swaps() < 10_000 || exports < 30 {
        let output = state.try_run(&["export", &id, "--store", "-o", "race.zip"]);
        let zip = std::fs::read(state.temp.path().join("race.zip")).unwrap_or_default();
        assert!(!zip.windows(10).any(|window| window == b"TOP-SECRET"));
        exports += usize::from(output.status.success());
        state.run(&["size", &id]);
    }
    std::fs::write(var.join("enough"), "").unwrap();
    app.wait().unwrap();
    assert_eq!(std::fs::read(secret.join("key")).unwrap(), b"TOP-SECRET");
    let mode = std::fs::metadata(secret.join("key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    state.run(&["delete", "--no-backup", "--yes", &id]);
    assert!(secret.join("key").exists());
}
