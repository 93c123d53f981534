//! Backups on a machine that fails: each system call of `spk grain export`, `delete`, `upgrade` and
//! `restore` gives an error once. Then there is a complete backup, or an error that says of what;
//! and no data is lost.
//!
//! A sample, unless `SPK_TEST_FAULTS` says how many errors each call gets: with 1 it takes some minutes,
//! with 16, which is all of them, more than an hour.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::unistd::geteuid;
use serde_json::Value;
use spk_tests::bins::{describe, fails, ok};
use spk_tests::skip::skip;
use spk_tests::{Stage, Who};

/// What is made to fail.
const CALLS: [&str; 30] = [
    "open",
    "openat",
    "openat2",
    "read",
    "pread64",
    "getdents64",
    "newfstatat",
    "statx",
    "fstat",
    "readlinkat",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "syncfs",
    "renameat",
    "renameat2",
    "linkat",
    "symlinkat",
    "unlinkat",
    "mkdirat",
    "fchmod",
    "fchmodat",
    "chmod",
    "utimensat",
    "ftruncate",
    "copy_file_range",
    "ioctl",
    "lseek",
    "flock",
];

/// How it fails: as bad disks, lost servers, full tables, quotas and other people's policies do.
const ERRORS: [&str; 16] = [
    "EIO", "EUCLEAN", "ESTALE", "EMFILE", "ENOMEM", "EACCES", "ENFILE", "ENOSPC", "EROFS", "EPERM",
    "ENOENT", "ENXIO", "EDQUOT", "ENOTDIR", "EAGAIN", "ELOOP",
];

/// So many calls of each name fail unless told otherwise.
const SAMPLE: usize = 2;

/// What a zip file says of its members: name → mode, checksum, size, time.
type Members = BTreeMap<String, (u32, u32, u32, Vec<u8>)>;

/// Path → type and mode, time, content or target.
type Tree = BTreeMap<PathBuf, (u32, i64, Vec<u8>)>;

/// A state directory with one grain of version 1 of an app, and version 2 of the app.
struct Machine {
    stage: Stage,
    id: String,
    data: Tree,
    members: Members,
}

impl Machine {
    /// `None` where nothing may be traced.
    fn new(test: &str, who: Who) -> Option<Machine> {
        let stage = Stage::new(who);
        let mut traced = stage.run("strace");
        if !traced.args(["-qq", "-o", "/dev/null", "true"]).status().is_ok_and(|s| s.success()) {
            skip(test, "strace may not trace here");
            return None;
        }
        stage.write("app", "contents");
        ok(stage.spk().args(["init", "-q", "-r", "-I", ".", "-A", "--", "/app"]));
        let definition = fs::read_to_string(stage.work().join("sandstorm-pkgdef.capnp")).unwrap();
        ok(stage.spk().args(["pack", "-q", "--fast", "../home/1.spk"]));
        let made = ok(stage.spk().args(["grain", "new", "../home/1.spk", "--json"]));
        let id =
            serde_json::from_str::<Value>(&made).unwrap()["grainId"].as_str().unwrap().to_owned();
        let lines =
            definition.lines().map(|line| match line.trim_start().starts_with("appVersion") {
                true => "appVersion = 2,",
                false => line,
            });
        let newer: Vec<&str> = lines.collect();
        stage.write("sandstorm-pkgdef.capnp", newer.join("\n"));
        ok(stage.spk().args(["pack", "-q", "--fast", "../home/2.spk"]));
        // In the store for an upgrade.
        let other = ok(stage.spk().args(["grain", "new", "../home/2.spk"]));
        ok(stage.spk().args(["grain", "delete", "--no-backup", "-y", other.trim()]));
        let grain = stage.state().join("grains").join(&id);
        fill(&grain.join("sandbox"));
        fs::write(grain.join("log"), "printed\n").unwrap();
        who.own(&stage.state());
        if geteuid().is_root() {
            // Only root can look into them afterwards, for comparing.
            fs::set_permissions(grain.join("sandbox/d2/sub/f2"), Permissions::from_mode(0o000))
                .unwrap();
            fs::set_permissions(grain.join("sandbox/closed"), Permissions::from_mode(0o000))
                .unwrap();
        }
        ok(stage.spk().args(["grain", "export", &id, "-o", "good.zip"]));
        let data = tree(&grain.join("sandbox"));
        let members = members(&stage.work().join("good.zip"));
        assert_eq!(members.len(), data.len() + 2, "{members:?}");
        Some(Machine { stage, id, data, members })
    }

    /// A copy of the state directory, for one run.
    fn copy(&self) -> PathBuf {
        let copy = self.stage.work().join("state");
        // A leftover may be closed to its owner.
        ok(Command::new("rm").arg("-rf").arg(&copy));
        ok(Command::new("cp").arg("-a").arg(self.stage.state()).arg(&copy));
        let _ = fs::remove_file(self.stage.work().join("x.zip"));
        copy
    }

    /// Runs `arguments` in a copy, of which the `number`th call of the name in each thread fails.
    /// Gives the lines of the calls that did, and the copy.
    fn run(&self, arguments: &[&str], call: &str, inject: Option<(usize, &str)>) -> Run {
        let state = self.copy();
        let mut command = self.stage.run("strace");
        let trace = self.stage.work().join("trace");
        command.args(["-f", "-qq", "-y", "-s", "4096", "-o"]).arg(&trace);
        command.args(["-e", &format!("trace={call}")]);
        if let Some((number, error)) = inject {
            command.args(["-e", &format!("inject={call}:error={error}:when={number}")]);
        }
        command.arg(self.stage.spk_path()).arg("--state").arg(&state).args(arguments);
        let output = command.output().unwrap();
        let trace = String::from_utf8_lossy(&fs::read(&trace).unwrap()).into_owned();
        Run { output, trace, state }
    }

    /// How often each call occurs, at most in one thread.
    fn occurring(&self, arguments: &[&str]) -> Vec<(&'static str, usize)> {
        let all: Vec<String> = CALLS.iter().map(|call| format!("?{call}")).collect();
        let run = self.run(arguments, &all.join(","), None);
        assert!(run.output.status.success(), "{}", describe(&run.output));
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for line in run.trace.lines() {
            let Some((thread, rest)) = line.split_once(' ') else { continue };
            let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
            if let Some(call) = CALLS.iter().find(|known| **known == call) {
                *counts.entry((call, thread)).or_default() += 1;
            }
        }
        let most = |call: &&'static str| {
            let of_threads = counts.iter().filter(|((name, _), _)| name == call);
            of_threads.map(|(_, count)| *count).max().map(|count| (*call, count))
        };
        CALLS.iter().filter_map(most).collect()
    }

    /// Lets calls fail; `judge` looks at what came of each.
    fn fail_everywhere(&self, arguments: &[&str], judge: impl Fn(&Run)) {
        let asked = std::env::var("SPK_TEST_FAULTS").ok();
        let errors: Option<usize> = asked.map(|number| number.parse().unwrap());
        let (mut runs, mut failed, mut survived) = (0, 0, 0);
        for (kind, (call, count)) in self.occurring(arguments).into_iter().enumerate() {
            let numbers: Vec<usize> = match errors {
                // Threads share out the work differently in each run.
                Some(_) => (1..=count + 1).collect(),
                // Others as another user.
                None => {
                    let offset = if self.stage.who == Who::Root { 0 } else { 1 };
                    (0..SAMPLE).map(|n| 1 + count * (2 * n + offset) / (2 * SAMPLE)).collect()
                }
            };
            for (number, error) in numbers.into_iter().flat_map(|number| {
                let errors =
                    (0..errors.unwrap_or(1)).map(move |n| (kind + number + n) % ERRORS.len());
                errors.map(move |error| (number, ERRORS[error]))
            }) {
                let run = self.run(arguments, call, Some((number, error)));
                if !run.trace.contains("INJECTED") {
                    continue;
                }
                runs += 1;
                match run.output.status.code() {
                    Some(0) => survived += 1,
                    Some(1..=3) => failed += 1,
                    _ => panic!("{}", run.told()),
                }
                self.names_what(&run);
                judge(&run);
            }
        }
        println!("{arguments:?}: {runs} faults, {survived} did not matter, {failed} were told");
        assert!(failed > 10 && survived > 0);
    }

    /// An error says what it is about: the file, where it is one of the grain's.
    fn names_what(&self, run: &Run) {
        if run.output.status.success() {
            return;
        }
        let said = String::from_utf8_lossy(&run.output.stderr);
        assert!(
            said.lines().any(|line| line.starts_with("error: ") && line.len() > 20),
            "{}",
            run.told()
        );
        let sandbox = format!("grains/{}/sandbox", self.id);
        let about: BTreeSet<&str> = run
            .injected()
            .filter_map(|line| {
                let (_, inside) = line.split_once(&sandbox)?;
                let (open, rest) = inside.split_once('>')?;
                let named =
                    rest.split('"').nth(1).filter(|named| *named != "." && !named.is_empty());
                named.or(open.strip_prefix('/')).map(|path| path.rsplit('/').next().unwrap_or(path))
            })
            .collect();
        // More than one thread may have met its own.
        assert!(
            about.is_empty() || about.iter().any(|name| said.contains(name)),
            "{about:?}: {}",
            run.told()
        );
    }

    fn is_complete(&self, zip: &Path, run: &Run) {
        ok(Command::new("unzip").arg("-tqq").arg(zip));
        assert_eq!(members(zip), self.members, "{}", run.told());
    }

    /// The backups that were made before something else.
    fn backups(&self, run: &Run) -> Vec<PathBuf> {
        let dir = run.state.join("backups").join(&self.id);
        let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "zip")).collect()
    }

    /// Whether the grain is there; with all its data then.
    fn is_kept(&self, run: &Run) -> bool {
        let grain = run.state.join("grains").join(&self.id);
        if !grain.exists() {
            return false;
        }
        self.has_all(&grain.join("sandbox"), run);
        assert!(grain.join("grain.json").exists(), "{}", run.told());
        true
    }

    fn has_all(&self, sandbox: &Path, run: &Run) {
        let failed = !run.output.status.success();
        // A permission that was lent and could not be given back is told.
        let lent = |tree: Tree| -> Tree {
            let open = |mode: u32| if failed { mode | 0o700 } else { mode };
            tree.into_iter()
                .map(|(path, (mode, time, content))| (path, (open(mode), time, content)))
                .collect()
        };
        assert_eq!(lent(tree(sandbox)), lent(self.data.clone()), "{}", run.told());
    }
}

/// What came of one run.
struct Run {
    output: Output,
    trace: String,
    state: PathBuf,
}

impl Run {
    fn injected(&self) -> impl Iterator<Item = &str> {
        self.trace.lines().filter(|line| line.contains("INJECTED"))
    }

    /// Whether a part of a package seemed to be gone.
    fn lost_a_package(&self) -> bool {
        let gone =
            |line: &str| ["ENOENT", "ENOTDIR", "ELOOP"].iter().any(|error| line.contains(error));
        self.injected().any(|line| line.contains("/packages") && gone(line))
    }

    fn told(&self) -> String {
        let calls: Vec<&str> = self.injected().collect();
        format!("{}\n{}", calls.join("\n"), describe(&self.output))
    }
}

/// Something of everything, small.
fn fill(sandbox: &Path) {
    fs::create_dir_all(sandbox.join("d2/sub")).unwrap();
    fs::create_dir_all(sandbox.join("closed")).unwrap();
    fs::write(sandbox.join("f1"), "one").unwrap();
    fs::write(sandbox.join("d2/sub/f2"), "two").unwrap();
    fs::write(sandbox.join("closed/f3"), "three").unwrap();
    symlink("d2/sub", sandbox.join("link")).unwrap();
    // More than is read at once, with data behind a hole.
    let sparse = fs::File::create(sandbox.join("sparse")).unwrap();
    sparse.write_all_at(b"begin", 0).unwrap();
    sparse.write_all_at(b"middle", 1 << 20).unwrap();
    sparse.set_len(2 << 20).unwrap();
}

/// Content that can be told apart, and shown when it is not right.
fn shortened(content: Vec<u8>) -> Vec<u8> {
    match content.len() {
        0..100 => content,
        length => {
            let mut hash = DefaultHasher::new();
            content.hash(&mut hash);
            format!("{length} bytes, {:x}", hash.finish()).into_bytes()
        }
    }
}

fn tree(root: &Path) -> Tree {
    let entry = |entry: walkdir::DirEntry| {
        let (stat, path) = (entry.path().symlink_metadata().unwrap(), entry.path());
        let content = match stat.mode() & 0o170_000 {
            0o100_000 => shortened(fs::read(path).unwrap()),
            0o120_000 => fs::read_link(path).unwrap().as_os_str().as_bytes().to_vec(),
            _ => Vec::new(),
        };
        (path.strip_prefix(root).unwrap().to_owned(), (stat.mode(), stat.mtime(), content))
    };
    walkdir::WalkDir::new(root).into_iter().map(|found| entry(found.unwrap())).collect()
}

/// Reads the central directory of a small zip file.
fn members(zip: &Path) -> Members {
    let bytes = fs::read(zip).unwrap();
    let number = |at: usize, length: usize| {
        bytes[at..at + length].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    let end = bytes.len() - 22;
    let (count, mut at) = (number(end + 10, 2), number(end + 16, 4));
    let mut found = Members::new();
    for _ in 0..count {
        let (name, extra) = (number(at + 28, 2), number(at + 30, 2));
        let text = String::from_utf8(bytes[at + 46..at + 46 + name].to_vec()).unwrap();
        let time = match text == "metadata" {
            true => Vec::new(),
            false => bytes[at + 46 + name..at + 46 + name + extra].to_vec(),
        };
        let (mode, crc, size) = (number(at + 40, 2), number(at + 16, 4), number(at + 24, 4));
        // The metadata have no time of their own.
        found.insert(text, (mode as u32, crc as u32, size as u32, time));
        at += 46 + name + extra;
    }
    assert_eq!(at, end);
    found
}

fn everybody(test: &str, what: impl Fn(&Machine)) {
    for who in Who::all(test) {
        let Some(machine) = Machine::new(test, who) else { return };
        what(&machine);
    }
}

#[test]
fn an_export_is_complete_or_fails() {
    everybody("an_export_is_complete_or_fails", |machine| {
        let zip = machine.stage.work().join("x.zip");
        machine.fail_everywhere(&["grain", "export", &machine.id, "-o", "x.zip"], |run| {
            assert!(machine.is_kept(run), "{}", run.told());
            match zip.exists() {
                true => machine.is_complete(&zip, run),
                false => assert!(!run.output.status.success(), "{}", run.told()),
            }
        });
    });
}

#[test]
fn data_behind_a_hole_is_not_taken_for_a_hole() {
    everybody("data_behind_a_hole_is_not_taken_for_a_hole", |machine| {
        let zip = machine.stage.work().join("x.zip");
        let export = ["grain", "export", &machine.id, "-o", "x.zip"];
        let mut injected = 0;
        // What the kernel says where no data follows.
        for number in 1..=12 {
            let run = machine.run(&export, "lseek", Some((number, "ENXIO")));
            injected += run.injected().filter(|line| line.contains("SEEK_DATA")).count();
            match run.output.status.success() {
                true => machine.is_complete(&zip, &run),
                false => assert!(!zip.exists(), "{}", run.told()),
            }
        }
        assert!(injected > 0);
    });
}

#[test]
fn nothing_is_deleted_without_a_complete_backup() {
    everybody("nothing_is_deleted_without_a_complete_backup", |machine| {
        machine.fail_everywhere(&["grain", "delete", &machine.id, "-y"], |run| {
            let backups = machine.backups(run);
            backups.iter().for_each(|zip| machine.is_complete(zip, run));
            let kept = machine.is_kept(run);
            assert!(kept || backups.len() == 1, "{}", run.told());
            assert!(!(kept && run.output.status.success()), "{}", run.told());
        });
    });
}

#[test]
fn nothing_is_upgraded_without_a_complete_backup() {
    everybody("nothing_is_upgraded_without_a_complete_backup", |machine| {
        machine.fail_everywhere(&["grain", "upgrade", &machine.id], |run| {
            assert!(machine.is_kept(run), "{}", run.told());
            let backups = machine.backups(run);
            backups.iter().for_each(|zip| machine.is_complete(zip, run));
            let meta = run.state.join("grains").join(&machine.id).join("grain.json");
            let meta: Value = serde_json::from_slice(&fs::read(meta).unwrap()).unwrap();
            match meta["appVersion"].as_u64() {
                Some(2) => assert_eq!(backups.len(), 1, "{}", run.told()),
                // A package that is not there as a whole is none, and there is another.
                _ => {
                    assert!(!run.output.status.success() || run.lost_a_package(), "{}", run.told())
                }
            }
        });
    });
}

#[test]
fn a_restored_grain_is_complete_or_not_there() {
    everybody("a_restored_grain_is_complete_or_not_there", |machine| {
        machine.fail_everywhere(&["grain", "restore", "good.zip"], |run| {
            assert!(machine.is_kept(run), "{}", run.told());
            let mut restored = 0;
            for entry in fs::read_dir(run.state.join("grains")).unwrap() {
                let grain = entry.unwrap();
                if *grain.file_name() != *machine.id {
                    machine.has_all(&grain.path().join("sandbox"), run);
                    restored += 1;
                }
            }
            assert!(
                restored <= 1 && (restored == 1 || !run.output.status.success()),
                "{}",
                run.told()
            );
        });
    });
}

#[test]
fn what_another_process_works_on_is_not_taken_for_a_left_over() {
    everybody("what_another_process_works_on_is_not_taken_for_a_left_over", |machine| {
        let state = machine.copy();
        let unfinished = state.join("tmp/restore.AAAAAAAAAAAA");
        fs::create_dir(&unfinished).unwrap();
        fs::write(unfinished.join("data"), "half").unwrap();
        machine.stage.who.own(&state);
        for error in ["EMFILE", "EIO"] {
            let named = ["-P", "restore.AAAAAAAAAAAA", "-P", unfinished.to_str().unwrap()];
            let inject = format!("inject=openat2:error={error}");
            let mut command = machine.stage.run("strace");
            command.args(["-f", "-qq", "-o", "trace"]).args(named).args(["-e", "trace=openat2"]);
            command.args(["-e", &inject]).arg(machine.stage.spk_path()).arg("--state").arg(&state);
            let output = fails(command.args(["grain", "list"]));
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("restore.AAAAAAAAAAAA"), "{said}");
            assert!(unfinished.join("data").exists());
        }
        // Nobody works there: now it goes.
        ok(machine.stage.spk().arg("--state").arg(&state).args(["grain", "list"]));
        assert!(!unfinished.exists());
    });
}

#[test]
fn a_project_that_cannot_be_looked_at_is_not_gone() {
    everybody("a_project_that_cannot_be_looked_at_is_not_gone", |machine| {
        let state = machine.copy();
        let project = machine.stage.write("project/definition", "");
        let meta = state.join("grains").join(&machine.id).join("grain.json");
        let mut grain: Value = serde_json::from_slice(&fs::read(&meta).unwrap()).unwrap();
        grain.as_object_mut().unwrap().remove("packageId");
        grain["project"] = project.to_str().unwrap().into();
        fs::write(&meta, grain.to_string()).unwrap();
        let gc = ["grain", "gc", "--dev"];
        let mut command = machine.stage.run("strace");
        command.args(["-f", "-qq", "-o", "trace", "-P"]).arg(&project);
        command.args(["-e", "trace=stat,newfstatat,statx"]);
        command.args(["-e", "inject=stat,newfstatat,statx:error=ESTALE"]);
        ok(command.arg(machine.stage.spk_path()).arg("--state").arg(&state).args(gc));
        let trace = fs::read_to_string(machine.stage.work().join("trace")).unwrap();
        assert!(trace.contains("INJECTED"), "{trace}");
        assert!(meta.exists());
        fs::remove_file(project).unwrap();
        ok(machine.stage.spk().arg("--state").arg(&state).args(gc));
        assert!(!meta.exists());
    });
}

#[test]
fn what_cannot_be_read_keeps_a_grain_from_being_deleted() {
    let test = "what_cannot_be_read_keeps_a_grain_from_being_deleted";
    everybody(test, |machine| {
        // A directory, a file, a link, and what is in a directory: bad for good.
        for (name, call) in [
            ("d2", "openat2"),
            ("f1", "openat"),
            ("link", "readlinkat"),
            ("d2", "getdents64"),
            ("f1", "newfstatat"),
            ("sparse", "pread64"),
        ] {
            let state = machine.copy();
            let path = state.join("grains").join(&machine.id).join("sandbox").join(name);
            for arguments in
                [&["export", &machine.id, "-o", "x.zip"][..], &["delete", &machine.id, "-y"]]
            {
                let mut command = machine.stage.run("strace");
                command.args(["-f", "-qq", "-o", "trace", "-P", name, "-P"]).arg(&path);
                command.args([
                    "-e",
                    &format!("trace={call}"),
                    "-e",
                    &format!("inject={call}:error=EIO"),
                ]);
                command.arg(machine.stage.spk_path()).arg("--state").arg(&state);
                let output = fails(command.arg("grain").args(arguments));
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(
                    said.contains(name) && said.contains("os error 5"),
                    "{name} {call}: {said}"
                );
            }
            assert!(
                path.symlink_metadata().is_ok() && !machine.stage.work().join("x.zip").exists()
            );
            assert_eq!(tree(&state.join("grains").join(&machine.id).join("sandbox")), machine.data);
        }
    });
}

/// What is found out of a grain when it is opened is handed on, so that all of a backup is of one
/// moment.
#[test]
fn an_export_opens_its_grain_once() {
    everybody("an_export_opens_its_grain_once", |machine| {
        let export = ["grain", "export", &machine.id, "-o", "x.zip"];
        let run = machine.run(&export, "?open,openat,openat2", None);
        assert!(run.output.status.success(), "{}", run.told());
        let opened = |name: &str| {
            let call = format!("\"{name}\", ");
            run.trace.lines().filter(|line| line.contains(&call)).count()
        };
        assert_eq!((opened("sandbox"), opened("log")), (1, 1), "{}", run.trace);
    });
}
