//! The exit status says whose matter a failure is: 3 where the machine lacks something, 70 where
//! `spk` itself is wrong (1 and 2 are in command_line.rs).
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use spk_tests::bins::{describe, ok};
use spk_tests::{Stage, Who};

/// A stage with a project and a package, whose program nobody gets to start here.
fn stage(who: Who) -> Stage {
    let stage = Stage::new(who);
    stage.write("app", "contents");
    ok(stage.spk().args(["init", "-q", "-r", "-I", ".", "-A", "--", "/app"]));
    ok(stage.spk().args(["pack", "-q", "--fast", "app.spk"]));
    stage
}

/// `spk` on a kernel that answers as `injected` says: see strace(1), "Tampering".
fn on_a_kernel_that(stage: &Stage, injected: &[&str], arguments: &[&str]) -> Output {
    let mut command = stage.run("strace");
    command.args(["-f", "-qq", "-o"]).arg(stage.work().join("strace")).args(injected);
    let output = command.arg(stage.spk_path()).args(arguments).output().unwrap();
    let trace = std::fs::read_to_string(stage.work().join("strace")).unwrap();
    assert!(trace.contains("INJECTED") || trace.contains("killed by SIGKILL"), "{trace}");
    output
}

#[track_caller]
fn ended(output: &Output, status: i32, words: &[&str]) {
    let all = describe(output);
    assert_eq!(output.status.code(), Some(status), "{all}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(words.iter().all(|words| said.contains(words)), "{words:?}: {all}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("poor"), "{all}");
}

const FUSE: [&str; 6] = [
    "-P",
    "/dev/fuse",
    "-e",
    "trace=openat,openat2,open",
    "-e",
    "inject=openat,openat2,open:error=ENOENT",
];

#[test]
fn without_a_fuse_device_the_machine_is_to_blame() {
    for who in Who::all("without_a_fuse_device_the_machine_is_to_blame") {
        let stage = stage(who);
        let remedy = ["/dev/fuse", "modprobe fuse", "spk doctor"];
        ended(&on_a_kernel_that(&stage, &FUSE, &["dev"]), 3, &remedy);
        ended(&on_a_kernel_that(&stage, &FUSE, &["check", "app.spk"]), 3, &remedy);
        std::fs::create_dir(stage.work().join("mount")).unwrap();
        stage.who.own(&stage.work());
        ended(&on_a_kernel_that(&stage, &FUSE, &["dev", "-m", "mount"]), 3, &["/dev/fuse"]);
    }
}

#[test]
fn an_old_kernel_is_named() {
    for who in Who::all("an_old_kernel_is_named") {
        let stage = stage(who);
        // Of what is needed, the call for which there is no other way on any kernel.
        let old = ["-e", "trace=pivot_root", "-e", "inject=pivot_root:error=ENOSYS"];
        let remedy = ["a kernel of 5.12 or later is needed; this is ", "ENOSYS", "spk doctor"];
        ended(&on_a_kernel_that(&stage, &old, &["run", "app.spk"]), 3, &remedy);
    }
}

#[test]
fn without_user_namespaces_the_machine_is_to_blame() {
    let stage = stage(Who::User);
    for arguments in [&["run", "app.spk"][..], &["dev"], &["check", "app.spk"]] {
        // A user namespace whose own limit is 0 is a machine on which they are switched off.
        let off = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
        let mut command = stage.run("unshare");
        command.args(["--user", "--map-root-user", "--mount", "--", "sh", "-c", off, "sh"]);
        let output = command.arg(stage.spk_path()).args(arguments).output().unwrap();
        ended(&output, 3, &["user namespace", "sysctl user.max_user_namespaces=10000"]);
    }
}

#[test]
fn a_program_that_is_not_installed_is_what_the_machine_lacks() {
    let stage = stage(Who::User);
    let publish = |path: &str| -> Output {
        let mut command: Command = stage.spk();
        command.args(["publish", "--webkey", "http://127.0.0.1:1/#token", "app.spk"]);
        command.env("PATH", path).output().unwrap()
    };
    ended(&publish("/nowhere"), 3, &["cannot run curl", "apt install curl"]);
    ended(&publish("/usr/bin:/bin"), 1, &["cannot reach the index"]);
}

#[test]
fn an_error_of_its_own_is_told_as_such() {
    for who in Who::all("an_error_of_its_own_is_told_as_such") {
        let stage = stage(who);
        // The helper that makes the sandbox dies.
        let killed = ["-e", "trace=keyctl", "-e", "inject=keyctl:signal=KILL"];
        let output = on_a_kernel_that(&stage, &killed, &["run", "app.spk"]);
        ended(&output, 70, &["the sandbox helper ended unexpectedly"]);
    }
}
