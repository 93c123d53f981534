//! Backups of grains while they run: databases that are written without a pause, and an app that
//! lets links and directories change places.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use serde_json::{Value, json};
use spk_tests::bins::{describe, fails, ok};
use spk_tests::skip::skip;
use spk_tests::{Server, Stage, Who, http};

/// How long an app's first step may take: PostgreSQL makes its cluster.
const BEGINNING: Duration = Duration::from_secs(60);

/// Exports of the running SQLite grain: what was promised.
const SQLITE_EXPORTS: usize = 50;

/// Exports of the running PostgreSQL grain; `SPK_TEST_POSTGRES_EXPORTS=50` does them all. Each
/// needs a recovery of the server, so here are fewer.
const POSTGRES_EXPORTS: usize = 8;

/// Names that changed places, at least, before the race is over.
const SWAPS: u64 = 10_000;

/// Exports and restores during it, at least.
const RACES: usize = 20;

fn postgres() -> Option<PathBuf> {
    let mut versions: Vec<_> =
        std::fs::read_dir("/usr/lib/postgresql").ok()?.map(|entry| entry.unwrap().path()).collect();
    versions.sort();
    Some(versions.pop()?.join("bin"))
}

/// The writing app's package, the same for all tests, as `out.spk`.
fn packed(who: Who) -> Stage {
    static PACKAGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let stage = Stage::new(Who::User);
        stage.write("app.py", include_str!("../data/writer.py"));
        // PostgreSQL wants its user to have a name; `spk dev` draws one of 2000 numbers.
        let line = |id: u32| format!("app:x:{id}:{id}::/var:/bin/sh\n");
        stage.write("etc/passwd", (1..=2000).map(line).collect::<String>());
        ok(stage.spk().args(["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
        let server = Server::start(stage.spk().arg("dev"));
        // What the packed app will use must have been used.
        for part in ["sqlite", "postgres", "swap?/nowhere"] {
            if part != "postgres" || postgres().is_some() {
                reaches(&server, part, 1);
            }
        }
        server.stop();
        ok(stage.spk().args(["pack", "--fast", "out.spk"]));
        std::fs::read(stage.work().join("out.spk")).unwrap()
    });
    let stage = Stage::new(who);
    stage.write("out.spk", &*PACKAGE);
    stage
}

/// How far a part of the app is; the first question starts it.
#[track_caller]
fn progress(server: &Server, part: &str) -> u64 {
    let answer = http::get(&server.at(part));
    assert_eq!(answer.status, 200, "{part}: {}", server.said());
    let state: Value = serde_json::from_str(&answer.text()).unwrap();
    let state = &state[part.split('?').next().unwrap()];
    assert_eq!(state[1], "", "{part}: {}", server.said());
    state[0].as_u64().unwrap()
}

#[track_caller]
fn reaches(server: &Server, part: &str, number: u64) {
    let end = Instant::now() + BEGINNING;
    while progress(server, part) < number {
        assert!(Instant::now() < end, "{part} does nothing:\n{}", server.said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct Running {
    stage: Stage,
    server: Server,
    id: String,
}

fn running(who: Who) -> Running {
    let stage = packed(who);
    let server = Server::start(stage.spk().args(["run", "out.spk"]));
    let id = server.field("grainId");
    Running { stage, server, id }
}

impl Running {
    /// Exports; what is told about it.
    #[track_caller]
    fn export(&self, flags: &[&str]) -> Value {
        let mut command = self.stage.spk();
        command.args(["grain", "export", &self.id, "-o", "b.zip", "--json"]).args(flags);
        serde_json::from_str(&ok(&mut command)).unwrap()
    }

    /// A new directory with what was exported.
    fn unzipped(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir_in(self.stage.work()).unwrap();
        let zip = self.stage.work().join("b.zip");
        ok(Command::new("unzip").arg("-q").arg(zip).arg("data/*").arg("-d").arg(dir.path()));
        self.stage.who.own(dir.path());
        dir
    }
}

/// Reads the bank in a database file, as it opens after a crash.
const READ_SQLITE: &str = r#"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
first, last, count = db.execute("select min(n), max(n), count(*) from entry").fetchone()
assert last - first + 1 == count, (first, last, count)
print(last, db.execute("select sum(balance) from account").fetchone()[0])
for number, balance in db.execute("select id, balance from account order by id"):
    print(balance)
"#;

/// The balances after `count` transfers, computed anew (see `transfer` in the app).
fn bank(count: u64) -> Vec<i64> {
    let mut balances = vec![1000i64; 20];
    for n in 1..=count {
        let from = n * 7 % 20;
        let to = (from + 1 + n % 19) % 20;
        balances[from as usize] -= (n % 13) as i64;
        balances[to as usize] += (n % 13) as i64;
    }
    balances
}

#[test]
fn sqlite_is_consistent_in_every_export() {
    for who in Who::all("sqlite_is_consistent_in_every_export") {
        let grain = running(who);
        reaches(&grain.server, "sqlite", 1);
        let exports = if who == Who::User { SQLITE_EXPORTS } else { SQLITE_EXPORTS / 5 };
        let mut seen = Vec::new();
        let mut longest = 0;
        for number in 0..exports {
            let before = progress(&grain.server, "sqlite");
            let told = grain.export(&["--store"]);
            longest = longest.max(told["frozenMs"].as_u64().expect("it was frozen"));
            let after = progress(&grain.server, "sqlite");
            let dir = grain.unzipped();
            let mut read = Command::new("python3");
            let said = ok(read.args(["-c", READ_SQLITE]).arg(dir.path().join("data/bank.db")));
            let numbers: Vec<i64> =
                said.split_whitespace().map(|word| word.parse().unwrap()).collect();
            let last = numbers[0] as u64;
            assert_eq!(numbers[1], 20_000, "export {number}");
            assert_eq!(numbers[2..], bank(last), "export {number} after {last} transfers");
            // All that was committed before, and nothing from after.
            assert!((before..=after + 1).contains(&last), "{before} {last} {after}");
            seen.push(last);
        }
        // It went on between and after them.
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
        reaches(&grain.server, "sqlite", seen.last().unwrap() + 10);
        println!("{exports} exports as {who:?}, frozen for {longest} ms at most, {seen:?}");
        grain.server.stop();
    }
}

#[test]
fn postgresql_is_consistent_in_every_export() {
    let name = "postgresql_is_consistent_in_every_export";
    let Some(bin) = postgres() else { return skip(name, "PostgreSQL is not installed") };
    let asked = std::env::var("SPK_TEST_POSTGRES_EXPORTS").ok();
    let exports = asked.map_or(POSTGRES_EXPORTS, |number| number.parse().unwrap());
    let grain = running(Who::User);
    reaches(&grain.server, "postgres", 1);
    let mut seen = Vec::new();
    let mut longest = 0;
    for number in 0..exports {
        let before = progress(&grain.server, "postgres");
        longest = longest.max(grain.export(&["--store"])["frozenMs"].as_u64().unwrap());
        let after = progress(&grain.server, "postgres");
        let dir = grain.unzipped();
        let pg = dir.path().join("data/pg");
        ok(grain.stage.run("chmod").args(["-R", "go-rwx"]).arg(&pg));
        std::fs::remove_file(pg.join("postmaster.pid")).unwrap();
        // Alone, without a server: recovers as after a crash, and answers.
        let mut single = grain.stage.run(bin.join("postgres").to_str().unwrap());
        single.args(["--single", "-c", "jit=off", "-D"]).arg(&pg).arg("postgres");
        let questions = "select max(n) as last from entry\n\
            select max(n) - min(n) + 1 - count(*) as gaps from entry\n\
            select sum(length(text)) > 0 as read from entry\n\
            select string_agg(balance::text, ',' order by id) as bank from account\n";
        let mut child = single
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), questions.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer = |name: &str| -> String {
            let found =
                said.split_once(&format!("{name} = \"")).and_then(|(_, r)| r.split_once('"'));
            found.unwrap_or_else(|| panic!("export {number}: {}", describe(&output))).0.to_owned()
        };
        let last: u64 = answer("last").parse().unwrap();
        assert_eq!(answer("gaps"), "0", "export {number}");
        assert_eq!(answer("read"), "t", "export {number}");
        let expected: Vec<String> = bank(last).iter().map(i64::to_string).collect();
        assert_eq!(answer("bank"), expected.join(","), "export {number}");
        assert!((before..=after + 1).contains(&last), "{before} {last} {after}");
        seen.push(last);
    }
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
    println!("{exports} exports, frozen for {longest} ms at most, {seen:?}");
    grain.server.stop();
}

/// Everything that happens to a directory and what is in it, while this lives.
struct Guard(Inotify);

impl Guard {
    fn new(dir: &Path) -> Guard {
        let guard = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).unwrap();
        guard.add_watch(dir, AddWatchFlags::IN_ALL_EVENTS).unwrap();
        Guard(guard)
    }

    fn events(&self) -> Vec<String> {
        match self.0.read_events() {
            Ok(events) => events.iter().map(|event| format!("{event:?}")).collect(),
            Err(nix::errno::Errno::EAGAIN) => Vec::new(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn swapped_names_lead_nowhere() {
    for who in Who::all("swapped_names_lead_nowhere") {
        let grain = running(who);
        let secret = grain.stage.work().join("secret");
        grain.stage.write("secret/key", "TOP-SECRET");
        let part = format!("swap?{}", secret.display());
        reaches(&grain.server, &part, 1);
        // The links would lead there: seen from outside they are good.
        let guard = Guard::new(&secret);
        let mut runs = 0;
        while progress(&grain.server, &part) < SWAPS || runs < RACES {
            // By turns frozen and not.
            let flags: &[&str] = if runs % 2 == 0 { &["--store", "--live"] } else { &["--store"] };
            grain.export(flags);
            let zip = std::fs::read(grain.stage.work().join("b.zip")).unwrap();
            assert!(!zip.windows(10).any(|window| window == b"TOP-SECRET"), "run {runs}");
            let restored = ok(grain.stage.spk().args(["grain", "restore", "b.zip"]));
            let restored = restored.trim_end();
            let var = grain.stage.state().join("grains").join(restored).join("sandbox");
            no_secret(&var);
            ok(grain.stage.spk().args(["grain", "size", restored, &grain.id]));
            ok(grain.stage.spk().args(["grain", "delete", "--no-backup", "--yes", restored]));
            assert_eq!(guard.events(), Vec::<String>::new(), "run {runs} as {who:?}");
            runs += 1;
        }
        let swaps = progress(&grain.server, &part);
        println!("{swaps} swaps, {runs} exports and restores as {who:?}");
        // The grain goes while the names still change places; with its backup.
        fails(grain.stage.spk().args(["grain", "delete", &grain.id]));
        let id = grain.id.clone();
        grain.server.stop();
        ok(grain.stage.spk().args(["grain", "delete", &id]));
        assert_eq!(guard.events(), Vec::<String>::new(), "as {who:?}");
        // The watch works: this it sees.
        assert_eq!(std::fs::read(secret.join("key")).unwrap(), b"TOP-SECRET");
        assert_ne!(guard.events(), Vec::<String>::new());
    }
}

/// No file below `dir` has the secret in it; links are not followed, and what is closed is opened.
fn no_secret(dir: &Path) {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    set_permissions(dir, Permissions::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            no_secret(&path);
        } else if kind.is_file() {
            set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            assert_ne!(std::fs::read(&path).unwrap(), b"TOP-SECRET", "{path:?}");
        }
    }
}

#[test]
fn a_running_grain_says_so() {
    let grain = running(Who::User);
    reaches(&grain.server, "sqlite", 1);
    let spk = |arguments: &[&str]| {
        let mut command = grain.stage.spk();
        command.arg("grain").args(arguments);
        command
    };
    let id = grain.id.as_str();
    let list: Value = serde_json::from_str(&ok(&mut spk(&["list", "--json"]))).unwrap();
    assert_eq!(list[0]["state"], "running");
    let shown: Value = serde_json::from_str(&ok(&mut spk(&["show", id, "--json"]))).unwrap();
    assert_eq!(shown["url"], grain.server.field("url"));
    let deleting = vec!["delete", id];
    for arguments in [vec!["shell", id], deleting, vec!["upgrade", id, "out.spk"], vec!["open", id]]
    {
        let output = fails(&mut spk(&arguments));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let pid = grain.server.pid();
        assert!(said.contains(&format!("in use by process {pid} (run)")), "{arguments:?}: {said}");
        assert!(said.contains(&format!("spk grain stop {id}")), "{arguments:?}: {said}");
    }
    // A freeze that takes too long is refused, and the app goes on.
    let before = progress(&grain.server, "sqlite");
    let output = fails(&mut spk(&["export", id, "--freeze-limit", "0.000001", "-o", "no.zip"]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("--freeze-limit"), "{said}");
    assert!(!grain.stage.work().join("no.zip").exists());
    reaches(&grain.server, "sqlite", before + 10);
    // The log goes to whoever follows it.
    let stopped: Value = serde_json::from_str(&ok(&mut spk(&["stop", id, "--json"]))).unwrap();
    assert_eq!(stopped, json!({ "grainId": id, "stopped": true }));
    let list: Value = serde_json::from_str(&ok(&mut spk(&["list", "--json"]))).unwrap();
    assert_eq!(list[0]["state"], "stopped");
    // Now the shell has it, in the same /var, with the package's own programs.
    let said =
        ok(&mut spk(&["shell", id, "--", "python3", "-c", "import os; print(os.listdir('/var'))"]));
    assert!(said.contains("bank.db"), "{said}");
}
