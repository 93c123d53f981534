//! How long from the wish to the app's program, which says so with a byte, against `bwrap` with
//! equivalent mounts: the two take turns, so that the machine's other work meets both. The ratio of the medians must
//! not exceed [`ALLOWED`].
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

use std::ffi::CString;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use spk_sandbox::{Console, Exit, Launcher, Limits, Root, Spec};

/// Promised: at most this many times bwrap's time.
const ALLOWED: f64 = 1.5;
/// Pairs of starts.
const ROUNDS: usize = 60;

fn main() -> ExitCode {
    spk_sandbox::run_helper_if_asked();
    if std::env::args().next().as_deref() == Some("/app") {
        print!("x");
        return ExitCode::SUCCESS;
    }
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let (package, var) = (dir.path().join("package"), dir.path().join("var"));
    for name in ["dev", "tmp", "var", "proc"] {
        std::fs::create_dir_all(package.join(name)).unwrap();
    }
    std::fs::write(package.join("proc/cpuinfo"), "").unwrap();
    std::fs::create_dir(&var).unwrap();
    std::fs::copy(std::env::current_exe().unwrap(), package.join("app")).unwrap();
    if Command::new("bwrap").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("SKIPPED start: bwrap is not installed");
        return ExitCode::SUCCESS;
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // One of each first, for the caches.
    for round in 0..=ROUNDS {
        let pair = (spk(&package, &var), bwrap(&package, &var));
        if round > 0 {
            ours.push(pair.0);
            theirs.push(pair.1);
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!("from the wish to the program: spk {ours:?}, bwrap {theirs:?}, ratio {ratio:.2}");
    if ratio <= ALLOWED { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn spk(package: &Path, var: &Path) -> Duration {
    let (_host, app) = std::os::unix::net::UnixStream::pair().unwrap();
    let (mut reader, output) = std::io::pipe().unwrap();
    let spec = Spec {
        root: Root::Directory(package.to_owned()),
        var: var.to_owned(),
        argv: vec![CString::from(c"/app")],
        environ: vec![],
        rpc: OwnedFd::from(app),
        output: output.into(),
        console: Console::Nobody,
        proc: false,
        explain: false,
        limits: Limits::default(),
    };
    let begin = Instant::now();
    let mut running = Launcher::new().prepare(spec).unwrap().start().unwrap();
    reader.read_exact(&mut [0]).unwrap();
    let took = begin.elapsed();
    assert_eq!(running.wait().unwrap(), Exit::Code(0));
    took
}

fn bwrap(package: &Path, var: &Path) -> Duration {
    let mut command = Command::new("bwrap");
    command.args(["--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000"]);
    command.args(["--hostname", "sandbox", "--new-session", "--die-with-parent", "--clearenv"]);
    command.arg("--ro-bind").arg(package).arg("/");
    command.args(["--tmpfs", "/tmp", "--dev", "/dev", "--tmpfs", "/dev/shm", "--bind"]);
    command.arg(var).arg("/var").args(["--ro-bind", "/proc/cpuinfo", "/proc/cpuinfo"]);
    let (mut reader, output) = std::io::pipe().unwrap();
    command.arg("/app").stdin(Stdio::null()).stdout(output);
    let begin = Instant::now();
    let mut child = command.spawn().unwrap();
    reader.read_exact(&mut [0]).unwrap();
    let took = begin.elapsed();
    assert!(child.wait().unwrap().success());
    took
}
