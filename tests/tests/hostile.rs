//! The hostile app in the sandbox, and, to show that it can win, outside of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use spk_sandbox::seccomp::{Arch, CALLS, Data, Denial, Verdict, app_filter, interpret, number};
use spk_tests::Who;
use spk_tests::bins::copy_program;

const HOSTILE: &str = env!("CARGO_BIN_EXE_spk-hostile");
/// Numbers beyond the newest known call that are tried.
const BEYOND: u32 = 50;

/// A package with the hostile program in it.
struct Stage {
    dir: tempfile::TempDir,
    who: Who,
}

impl Stage {
    fn new(who: Who) -> Stage {
        let dir = tempfile::Builder::new().prefix("hostile-").tempdir_in("/tmp").unwrap();
        for name in ["dev", "tmp", "var", "proc", "bin"] {
            std::fs::create_dir_all(dir.path().join("package").join(name)).unwrap();
        }
        std::fs::create_dir(dir.path().join("var")).unwrap();
        std::fs::write(dir.path().join("package/proc/cpuinfo"), "").unwrap();
        std::fs::write(dir.path().join("package/bin/data"), "data").unwrap();
        copy_program(Path::new(HOSTILE), &dir.path().join("package/hostile"));
        copy_program(Path::new(HOSTILE), &dir.path().join("package/suid"));
        copy_program(Path::new(HOSTILE), &dir.path().join("launcher"));
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        who.own(dir.path());
        // After the change of owner, which takes the bit away.
        let suid = PermissionsExt::from_mode(0o4755);
        std::fs::set_permissions(dir.path().join("package/suid"), suid).unwrap();
        Stage { dir, who }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs the app with `args` in the sandbox.
    fn run(&self, processes: &str, memory: &str, args: &[&str]) -> Output {
        self.command(processes, memory, args).stderr(Stdio::inherit()).output().unwrap()
    }

    fn command(&self, processes: &str, memory: &str, args: &[&str]) -> Command {
        let mut command = self.who.command(self.path("launcher"), Path::new("/"));
        command.arg("launch").arg(self.path("package")).arg(self.path("var"));
        command.args([processes, memory, "--", "/hostile"]).args(args);
        command
    }
}

fn table(text: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let rows: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once('\t').unwrap_or_else(|| panic!("no row: {line}")))
        .map(|(name, outcome)| (name.to_owned(), outcome.to_owned()))
        .collect();
    let count = rows.len();
    let table: BTreeMap<_, _> = rows.into_iter().collect();
    assert_eq!(table.len(), count, "two attempts of the same name");
    table
}

fn expected() -> BTreeMap<String, String> {
    table(include_bytes!("../hostile/expected.tsv"))
}

/// Rows 1 to 90 of the catalogue, and what was found since, each with the attempts or the test that
/// makes it, or why not.
#[test]
fn every_row_of_the_catalogue_is_attempted() {
    let catalogue = include_str!("../hostile/catalogue.tsv");
    let rows: Vec<_> = catalogue.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(rows.len() >= 90, "{} rows", rows.len());
    let expected = expected();
    let mut not_made = expected.clone();
    for (index, row) in rows.iter().enumerate() {
        let [number, how, what] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("no row: {row}");
        };
        assert_eq!(number, (index + 1).to_string());
        match how {
            "attempts" => {
                for name in what.split("; ") {
                    assert!(expected.contains_key(name), "row {number}: no attempt {name:?}");
                    not_made.remove(name);
                }
            }
            "test" | "not" => assert!(!what.is_empty(), "row {number}"),
            other => panic!("row {number}: {other}"),
        }
    }
    // The rest goes beyond the catalogue.
    assert!(not_made.len() < expected.len());
}

#[test]
fn no_attempt_gets_more_than_it_should() {
    let mut expected = expected();
    assert!(expected.len() >= 90, "{} attempts", expected.len());
    let settings = nix::sys::statvfs::statvfs("/proc/sys").unwrap().flags();
    if settings.contains(nix::sys::statvfs::FsFlags::ST_RDONLY) {
        // As in containers: it was made no smaller, and the launcher said so.
        let row = "TCP connection that nobody reads";
        spk_tests::skip::skip(row, "/proc/sys is read-only here");
        *expected.get_mut(row).unwrap() = "any".into();
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let name = format!("spk-hostile-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _abstract = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    for who in Who::all("no_attempt_gets_more_than_it_should") {
        let stage = Stage::new(who);
        let output = stage.run("-", "-", &["attempts", &port, &name]);
        let seen = table(&output.stdout);
        let wrong: Vec<String> = expected
            .iter()
            .filter_map(|(name, allowed)| {
                let got = seen.get(name).map_or("not attempted", String::as_str);
                let fine = allowed.split('|').any(|outcome| outcome == got || outcome == "any");
                (!fine).then(|| format!("{name}: {got}, not {allowed}"))
            })
            .collect();
        assert!(wrong.is_empty(), "as {who:?}:\n{}", wrong.join("\n"));
        let unknown: Vec<_> = seen.keys().filter(|name| !expected.contains_key(*name)).collect();
        assert!(unknown.is_empty(), "not in the table: {unknown:?}");
        let set_id: Vec<_> = walkdir::WalkDir::new(stage.path("var"))
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| entry.metadata().unwrap().permissions().mode() & 0o6000 != 0)
            .collect();
        assert!(set_id.is_empty(), "on the host's disk: {set_id:?}");
    }
}

/// Without the filter and the mounts many attempts succeed: the suite can fail.
#[test]
fn outside_of_the_sandbox_attempts_succeed() {
    let stage = Stage::new(Who::User);
    // Always an ordinary user, and namespaces that are thrown away with it.
    let mut command = stage.who.command("unshare", Path::new("/"));
    command
        .args(["--user", "--map-root-user", "--mount", "--net", "--pid", "--ipc", "--uts"])
        .args(["--fork", "--kill-child", "--"])
        .arg(stage.path("launcher"))
        .args(["attempts", "1", "nobody"]);
    let output = command.stderr(Stdio::null()).output().unwrap();
    let seen = table(&output.stdout);
    let expected = expected();
    assert_eq!(seen.len(), expected.len(), "the free run did not get to its end");
    let won =
        seen.iter().filter(|(name, outcome)| *outcome == "ok" && expected[*name] != "ok").count();
    assert!(won >= 25, "only {won} attempts succeed outside");
    println!("{won} of {} attempts succeed outside of the sandbox", seen.len());
}

/// Every number from 0 to beyond the highest known, and the x32 range.
#[test]
fn every_number_gets_its_verdict() {
    let filter = app_filter(Arch::NATIVE, Denial::Answer).unwrap();
    let highest =
        CALLS.iter().filter_map(|call| number(Arch::NATIVE, call)).max().unwrap() + BEYOND;
    for who in Who::all("every_number_gets_its_verdict") {
        let stage = Stage::new(who);
        let output = stage.run("-", "-", &["numbers", &highest.to_string()]);
        let seen = table(&output.stdout);
        assert_eq!(seen.len() as u32, 2 * (highest + 1));
        for (nr, outcome) in &seen {
            let nr: u32 = nr.parse().unwrap();
            let data = Data { nr, arch: Arch::NATIVE.audit(), args: [u64::MAX; 6] };
            let name = spk_sandbox::seccomp::name(Arch::NATIVE, nr).unwrap_or("unknown");
            match interpret(&filter, &data) {
                // Newer kernels let these two past any filter; outside of a probe they do nothing.
                Verdict::Errno(_)
                    if (name == "uretprobe" && outcome == "SIGILL")
                        || (name == "uprobe" && outcome == "ENXIO") => {}
                Verdict::Errno(0) => assert_eq!(outcome, "ok", "{name} ({nr})"),
                Verdict::Errno(errno) => {
                    let errno = format!("{:?}", nix::errno::Errno::from_raw(errno));
                    assert_eq!(*outcome, errno, "{name} ({nr})");
                }
                // It reached the kernel. An older one may not know it, and says so.
                Verdict::Allow => {
                    // futex says the same of an operation it does not know.
                    let excused = nr >= 448 || name == "futex";
                    assert!(outcome != "ENOSYS" || excused, "{name} ({nr}) is not there");
                }
                other => panic!("{name} ({nr}): {other:?}"),
            }
        }
    }
}

/// The host keeps answering while `attack` runs: the longest pause of a thread that should wake
/// every 5 ms.
fn heartbeat<T>(attack: impl FnOnce() -> T) -> (T, Duration) {
    let stop = AtomicBool::new(false);
    let longest = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let before = Instant::now();
                std::thread::sleep(Duration::from_millis(5));
                let pause = u64::try_from(before.elapsed().as_millis()).unwrap();
                longest.fetch_max(pause, Ordering::Relaxed);
            }
        });
        let done = attack();
        stop.store(true, Ordering::Relaxed);
        (done, Duration::from_millis(longest.load(Ordering::Relaxed)))
    })
}

/// The longest pause of the host that an attack may cause, on a machine busy with other tests.
const RESPONSIVE: Duration = Duration::from_secs(2);

/// Runs a resource attack inside an outer limit, so that a sandbox that fails cannot take the
/// machine along; what the attack says it got.
fn attack(stage: &Stage, processes: &str, memory: &str, which: &str) -> u64 {
    let inner = stage.command(processes, memory, &["resources", which]);
    let mut outer = Command::new("prlimit");
    outer.args(["--nproc=3000", "--as=8589934592", "--fsize=68719476736", "--nofile=20000"]);
    outer.args(["timeout", "60"]).arg(inner.get_program()).args(inner.get_args());
    outer.stdin(Stdio::null()).stderr(Stdio::inherit());
    let (output, pause) = heartbeat(|| outer.output().unwrap());
    assert!(output.status.success(), "{which}: {}", output.status);
    assert!(pause < RESPONSIVE, "{which}: the host stood still for {pause:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().parse().unwrap_or_else(|_| panic!("{which} said {text}"))
}

#[test]
fn nobody_takes_too_much() {
    for who in Who::all("nobody_takes_too_much") {
        let stage = Stage::new(who);
        for (which, processes, memory, at_least, at_most) in [
            ("forks", "100", "-", 5, 100),
            ("memory", "-", "134217728", 100, 128),
            ("descriptors", "-", "-", 4000, 4096),
            ("tmp", "-", "-", 15, 16),
            ("shm", "-", "-", 15, 16),
            ("inodes", "-", "-", 4000, 4096),
            ("shm-inodes", "-", "-", 4000, 4096),
            ("kill-all", "-", "-", 3, 3),
            ("file", "-", "-", 16 << 10, 32 << 10),
        ] {
            let got = attack(&stage, processes, memory, which);
            assert!((at_least..=at_most).contains(&got), "{which} as {who:?}: {got}");
        }
    }
}

/// An app that writes faster than anyone reads is held up; it cannot make the host keep it all.
#[test]
fn a_flood_of_output_waits_for_its_reader() {
    use std::io::Read as _;
    let stage = Stage::new(Who::User);
    let mut child =
        stage.command("-", "-", &["resources", "log"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut block = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        let got = out.read(&mut block).unwrap();
        if got == 0 {
            break;
        }
        // A pipe holds 64 KiB unless its owner asks for more, which the app's end could.
        assert!(got <= 1 << 20);
        total += got;
    }
    assert_eq!(total, 256 << 20);
    assert!(child.wait().unwrap().success());
}
