//! The launcher role: does as one JSON order says, and prints what happens as lines of JSON.

use std::ffi::CString;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::time::Duration;

use serde_json::{Value, json};
use spk_sandbox::{Console, Exit, Launcher, Limits, Root, Running, Spec};

fn say(value: &Value) {
    println!("{value}");
}

pub fn main(order: &str) -> ! {
    let order: Value = serde_json::from_str(order).unwrap();
    let strings = |key: &str| -> Vec<CString> {
        let list = order.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        list.iter().map(|value| CString::new(value.as_str().unwrap()).unwrap()).collect()
    };
    let flag = |key: &str| order.get(key).and_then(Value::as_bool).unwrap_or(false);
    let path = |key: &str| order[key].as_str().unwrap().into();
    let (mut output, app_output) = std::io::pipe().unwrap();
    let (rpc, _app_rpc) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut limits = Limits::default();
    if let Some(count) = order.get("processes").and_then(Value::as_u64) {
        limits.processes = count;
    }
    if let Some(bytes) = order.get("memory").and_then(Value::as_u64) {
        limits.memory_bytes = bytes;
    }
    if flag("classic") {
        refuse_new_mount_calls();
    }
    // A descriptor without close-on-exec: it must not reach the app.
    let leak = std::fs::File::open("/").unwrap();
    nix::fcntl::fcntl(&leak, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    let spec = Spec {
        root: if flag("fuse") {
            Root::Fuse { writes_reach_server: false }
        } else {
            Root::Directory(path("package"))
        },
        var: path("var"),
        argv: strings("argv"),
        environ: strings("environ"),
        rpc: OwnedFd::from(_app_rpc),
        output: app_output.into(),
        console: Console::Nobody,
        proc: flag("proc"),
        explain: flag("explain"),
        limits,
    };
    let started = Launcher::new().prepare(spec).and_then(|mut prepared| {
        if let Some(device) = prepared.take_fuse() {
            super::fuse::serve(device, &order);
        }
        prepared.start()
    });
    let running = match started {
        Ok(running) => running,
        Err(error) => {
            say(&json!({ "error": error.to_string(), "remedy": error.remedy() }));
            std::process::exit(1);
        }
    };
    say(&json!({ "pid": running.app_pid(), "missing": running.missing_walls(),
        "cgroup": cgroup_of(running.app_pid()) }));
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        output.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    });
    let exit = steer(running, &order);
    drop(rpc);
    say(&json!({ "output": reader.join().unwrap() }));
    say(&json!({ "exit": format!("{exit:?}") }));
    std::process::exit(0);
}

fn steer(mut running: Running, order: &Value) -> Exit {
    match order.get("then").and_then(Value::as_str) {
        Some("terminate") => {
            wait_for_file(order);
            running.terminate(Duration::from_millis(order["grace"].as_u64().unwrap())).unwrap();
        }
        Some("freeze") => {
            wait_for_file(order);
            running.freeze().unwrap();
            let read = || std::fs::metadata(format!("{}/beat", order["var"].as_str().unwrap()));
            let before = read().unwrap().len();
            // Long enough for hundreds of beats, if it were not frozen.
            std::thread::sleep(Duration::from_millis(300));
            let frozen = read().unwrap().len() == before;
            if let Some(dir) = order.get("cgroup").and_then(Value::as_str) {
                let group = cgroup_of(running.app_pid()).unwrap();
                let group = format!("{dir}/{}", group.rsplit('/').next().unwrap());
                let events = std::fs::read_to_string(format!("{group}/cgroup.events")).unwrap();
                say(&json!({ "events": events }));
            }
            running.thaw().unwrap();
            while read().unwrap().len() == before {
                std::thread::yield_now();
            }
            say(&json!({ "frozen": frozen }));
            let waits = format!("{}/waits", order["var"].as_str().unwrap());
            let said = loop {
                match std::fs::read_to_string(&waits) {
                    Ok(said) => break said,
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            };
            say(&json!({ "waits": said }));
            running.kill().unwrap();
        }
        Some("drop") => {
            wait_for_file(order);
            drop(running);
            return Exit::Killed;
        }
        _ => {}
    }
    let exit = running.wait().unwrap();
    let denied: Vec<Value> =
        running.denied().iter().map(|denied| serde_json::to_value(denied).unwrap()).collect();
    say(&json!({ "denied": denied, "met": running.met() }));
    exit
}

/// Makes this kernel look like one from before Linux 5.2, for this process and all it starts.
fn refuse_new_mount_calls() {
    use seccompiler::{SeccompAction, SeccompFilter, TargetArch};
    let calls = [
        nix::libc::SYS_open_tree,
        nix::libc::SYS_move_mount,
        nix::libc::SYS_fsopen,
        nix::libc::SYS_fsconfig,
        nix::libc::SYS_fsmount,
        nix::libc::SYS_mount_setattr,
        nix::libc::SYS_openat2,
    ];
    #[cfg(target_arch = "x86_64")]
    let arch = TargetArch::x86_64;
    #[cfg(target_arch = "aarch64")]
    let arch = TargetArch::aarch64;
    let rules = calls.into_iter().map(|nr| (nr, vec![])).collect();
    let absent = SeccompAction::Errno(nix::libc::ENOSYS as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, absent, arch).unwrap();
    let program: seccompiler::BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

/// The name of its cgroup of version 2.
fn cgroup_of(pid: i32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// The app says that it is ready by making this file.
fn wait_for_file(order: &Value) {
    let path = format!("{}/ready", order["var"].as_str().unwrap());
    while !std::path::Path::new(&path).exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
}
