//! Beginning and end.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Stage, Who, find};

/// Reads the launcher's first line, which says that the app runs.
pub fn pid_of(launcher: &mut Child) -> i32 {
    let mut line = String::new();
    BufReader::new(launcher.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let value: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("said: {line}"));
    value["pid"].as_i64().unwrap_or_else(|| panic!("{value}")).try_into().unwrap()
}

/// Every process of the PID namespace whose init started `pid`: that init and what descends from it.
/// (Ordinary users cannot see which namespace an init is in.)
fn family(pid: i32) -> Vec<i32> {
    let mut family = vec![parent_of(pid)];
    let parents: Vec<(i32, i32)> =
        processes().into_iter().filter_map(|pid| Some((pid, find_parent(pid)?))).collect();
    let mut known = 0;
    while let Some(&parent) = family.get(known) {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| child));
        known += 1;
    }
    family
}

fn processes() -> Vec<i32> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .collect()
}

pub fn parent_of(pid: i32) -> i32 {
    find_parent(pid).unwrap()
}

/// `None` if the process has ended meanwhile.
fn find_parent(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("PPid:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().ok()
}

fn alive(pid: i32) -> bool {
    // A zombie is dead: it waits for whoever adopted it.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

fn all_gone(family: &[i32]) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while family.iter().any(|pid| alive(*pid)) {
        assert!(Instant::now() < deadline, "still alive: {family:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn exit_codes(who: Who) {
    let stage = Stage::new(who);
    for (what, exit) in [("exit-7", "Code(7)"), ("ids", "Code(0)"), ("abort", "Signal(6)")] {
        let lines = stage.run(&json!({ "argv": ["/app", what] }));
        assert_eq!(find(&lines, "exit"), exit, "{what}");
    }
}

pub fn exec_failures(who: Who) {
    let stage = Stage::new(who);
    let write = |name: &str, bytes: &[u8], mode| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(stage.path(name), bytes).unwrap();
        std::fs::set_permissions(stage.path(name), PermissionsExt::from_mode(mode)).unwrap();
    };
    write("package/script", b"#!/usr/bin/python3 -u\n", 0o755);
    write("package/plain", b"no program", 0o755);
    write("package/locked", b"#!/app\n", 0o644);
    let dynamic = std::fs::read("/bin/ls").unwrap();
    write("package/dynamic", &dynamic, 0o755);
    stage.give();
    for (program, words) in [
        ("/nothing", "cannot execute /nothing: there is no such file in the package"),
        ("/script", "its interpreter /usr/bin/python3 is not in the package"),
        ("/dynamic", "its interpreter /lib64/ld-linux-x86-64.so.2 is not in the package"),
        ("/plain", "neither a script nor a program"),
        ("/locked", "permission denied"),
    ] {
        let error = find(&stage.run(&json!({ "argv": [program] })), "error");
        assert!(error.as_str().unwrap().contains(words), "{program}: {error}");
    }
    let none = find(&stage.run(&json!({ "argv": [] })), "error");
    assert!(none.as_str().unwrap().contains("no such file"), "{none}");
    let order = json!({ "argv": ["/app", "ids"], "var": "/nonexistent/var" });
    let error = find(&stage.run(&order), "error");
    assert!(error.as_str().unwrap().contains("/nonexistent/var"), "{error}");
}

pub fn orphans_are_reaped(who: Who) {
    let stage = Stage::new(who);
    let order = json!({ "argv": ["/app", "orphans"], "processes": 50 });
    assert_eq!(stage.ask_with(&order), "reaped");
}

pub fn grace(who: Who) {
    let stage = Stage::new(who);
    let order = json!({ "argv": ["/app", "term"], "then": "terminate", "grace": 60_000 });
    assert_eq!(find(&stage.run(&order), "exit"), "Code(42)");
}

pub fn grace_runs_out(who: Who) {
    let stage = Stage::new(who);
    let order = json!({ "argv": ["/app", "deaf"], "then": "terminate", "grace": 50 });
    assert_eq!(find(&stage.run(&order), "exit"), "Killed");
    // The end of the app's first process is the end of its deaf child as well.
    std::fs::remove_file(stage.path("var/ready")).unwrap();
    let order = json!({ "argv": ["/app", "linger"], "then": "terminate", "grace": 60_000 });
    assert_eq!(find(&stage.run(&order), "exit"), "Signal(15)");
    let order = json!({ "argv": ["/app", "linger"], "then": "drop" });
    assert_eq!(find(&stage.run(&order), "exit"), "Killed");
}

pub fn freeze_and_thaw(who: Who) {
    let stage = Stage::new(who);
    let lines = stage.run(&json!({ "argv": ["/app", "beat"], "then": "freeze" }));
    assert_eq!(find(&lines, "frozen"), true);
    waited_to_the_end(&lines);
    assert_eq!(find(&lines, "exit"), "Killed");
}

/// However the launcher dies, no process and no mount stays.
pub fn launcher_dies(who: Who) {
    use nix::sys::signal::{Signal, kill};
    let stage = Stage::new(who);
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let _absent = std::fs::remove_file(stage.path("var/ready"));
        let order = json!({ "argv": ["/app", "linger"] });
        let mut launcher = stage.launcher(&order).stdout(Stdio::piped()).spawn().unwrap();
        let app = pid_of(&mut launcher);
        while !stage.path("var/ready").exists() {
            std::thread::yield_now();
        }
        let mut all = family(app);
        // The app, its deaf child, init; and the helper.
        assert!(all.len() >= 3, "{all:?}");
        all.push(parent_of(parent_of(app)));
        let launcher_pid = nix::unistd::Pid::from_raw(launcher.id().try_into().unwrap());
        kill(launcher_pid, signal).unwrap();
        launcher.wait().unwrap();
        all_gone(&all);
        assert_eq!(mounts(), before, "{signal}");
    }
}

/// The helper's end is the end of all, too, and the launcher is told.
pub fn helper_dies(who: Who) {
    helper_ends(who, false);
}

/// The same while init cannot see that: the kernel ends it.
pub fn helper_dies_unseen(who: Who) {
    helper_ends(who, true);
}

fn helper_ends(who: Who, init_is_stopped: bool) {
    use nix::sys::signal::{Signal, kill};
    let stage = Stage::new(who);
    let order = json!({ "argv": ["/app", "linger"] });
    let mut launcher = stage.launcher(&order).stdout(Stdio::piped()).spawn().unwrap();
    let app = pid_of(&mut launcher);
    while !stage.path("var/ready").exists() {
        std::thread::yield_now();
    }
    let all = family(app);
    let init = parent_of(app);
    let helper = nix::unistd::Pid::from_raw(parent_of(init));
    if init_is_stopped {
        kill(nix::unistd::Pid::from_raw(init), Signal::SIGSTOP).unwrap();
    }
    kill(helper, Signal::SIGKILL).unwrap();
    all_gone(&all);
    // The launcher sees it, and ends in good order.
    assert!(launcher.wait().unwrap().success());
}

pub fn explain(who: Who) {
    let stage = Stage::new(who);
    let lines = stage.run(&json!({ "argv": ["/app", "denied"], "explain": true }));
    assert_eq!(find(&lines, "exit"), "Code(0)");
    let denied = find(&lines, "denied");
    let of = |call: &str| {
        let found = denied.as_array().unwrap().iter().find(|d| d["call"] == call);
        found.unwrap_or_else(|| panic!("no {call} in {denied}")).clone()
    };
    assert_eq!(of("unshare")["count"], 3);
    assert_eq!(of("unshare")["answer"], "EPERM");
    assert_eq!(of("unshare")["program"], "/app");
    assert_eq!(of("chroot")["answer"], "EPERM");
}

/// Inside a user namespace made by someone else, as in rootless containers.
pub fn nested(who: Who) {
    let stage = Stage::new(who);
    let order = json!({ "argv": ["/app", "ids"] });
    let inner = stage.launcher(&order);
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--"]);
    command.arg(inner.get_program()).args(inner.get_args());
    if let (Who::User, true, Some((uid, gid))) =
        (who, nix::unistd::geteuid().is_root(), crate::harness::user_ids())
    {
        use std::os::unix::process::CommandExt as _;
        command.uid(uid).gid(gid);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Code(0)"), "{text} {}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("\\\"uid\\\":1000"), "{text}");
}

/// Where user namespaces are switched off, the error names the knob.
pub fn namespaces_unavailable(who: Who) {
    let stage = Stage::new(who);
    let inner = stage.launcher(&json!({ "argv": ["/app", "ids"] }));
    // A user namespace whose own limit is 0 is such a machine.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--", "sh", "-c", script, "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("cannot create a user namespace"), "{text}");
    assert!(text.contains("sudo sysctl user.max_user_namespaces"), "{text}");
}

/// What slept through a freeze has waited to its end: no error, least of all ENOSYS.
pub fn waited_to_the_end(lines: &[Value]) {
    assert_eq!(find(lines, "waits"), "Ok(0); 0; -1 ETIMEDOUT");
}

/// A chroot forbids user namespaces, which nobody would guess from EPERM.
pub fn in_a_chroot(who: Who) {
    if !nix::unistd::geteuid().is_root() {
        return crate::harness::needs_root("lifetime::in_a_chroot", "only root can chroot");
    }
    let stage = Stage::new(who);
    for name in ["proc", "dev"] {
        std::fs::create_dir(stage.path(name)).unwrap();
    }
    let (uid, gid) = match who {
        Who::Root => (0, 0),
        Who::User => crate::harness::user_ids().unwrap(),
    };
    let order = json!({ "argv": ["/app", "ids"], "package": "/package", "var": "/var" });
    let script =
        "mount -t proc proc \"$0/proc\" && mount --bind /dev \"$0/dev\" && exec chroot \"$@\"";
    let output = std::process::Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--", "sh", "-c", script])
        .arg(stage.path(""))
        .arg(format!("--userspec={uid}:{gid}"))
        .arg(stage.path(""))
        .args(["/launcher", "launch", &order.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("cannot create a user namespace"), "{text} {output:?}");
    assert!(text.contains("in a chroot: run outside of it"), "{text}");
}
