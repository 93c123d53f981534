//! `launch PACKAGE VAR PROCESSES MEMORY [NAME=VALUE…] -- ARGV…`: runs that in the sandbox with the
//! app's output as ours, and exits as it does.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::time::Duration;

use spk_sandbox::{Console, Exit, Launcher, Limits, Root, Spec};

pub fn main(args: &[&str]) -> ! {
    let [package, var, processes, memory, rest @ ..] = args else { panic!("too few arguments") };
    let split = rest.iter().position(|arg| *arg == "--").expect("a -- before the program");
    let strings = |list: &[&str]| list.iter().map(|arg| CString::new(*arg).unwrap()).collect();
    let (_host, app) = std::os::unix::net::UnixStream::pair().unwrap();
    let defaults = Limits::default();
    let explain = std::env::var_os("HOSTILE_EXPLAIN").is_some();
    let spec = Spec {
        root: Root::Directory(package.into()),
        var: var.into(),
        argv: strings(&rest[split + 1..]),
        environ: strings(&rest[..split]),
        rpc: OwnedFd::from(app),
        output: std::os::fd::AsFd::as_fd(&std::io::stdout()).try_clone_to_owned().unwrap(),
        console: Console::Nobody,
        proc: false,
        explain,
        limits: Limits {
            processes: processes.parse().unwrap_or(defaults.processes),
            memory_bytes: memory.parse().unwrap_or(defaults.memory_bytes),
            ..defaults
        },
    };
    let started = Launcher::new().prepare(spec).and_then(spk_sandbox::Prepared::start);
    let mut running = match started {
        Ok(running) => running,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(3);
        }
    };
    if let Some(seconds) = std::env::var_os("HOSTILE_SECONDS") {
        let seconds: u64 = seconds.to_str().unwrap().parse().unwrap();
        running.terminate(Duration::from_secs(seconds)).unwrap();
    }
    let exit = running.wait().unwrap();
    for denied in running.denied() {
        eprintln!("denied {denied:?}");
    }
    match exit {
        Exit::Code(code) => std::process::exit(code),
        Exit::Signal(signal) => {
            eprintln!("the app died of signal {signal}");
            std::process::exit(128 + signal)
        }
        other => {
            eprintln!("the app ended: {other:?}");
            std::process::exit(4)
        }
    }
}
