//! All tests once more where `/` propagates mounts the other way: below systemd it is a shared
//! mount, in containers and on bare kernels a private one. What is mounted for an app must come to
//! light in neither.

use std::process::Command;

use crate::harness::{needs_root, skip};

/// Set for the tests that run elsewhere: how `/` propagates there.
const ELSEWHERE: &str = "SPK_SANDBOX_PROPAGATION";

/// Runs this program with `args` again, in a mount namespace of its own with the other propagation,
/// and looks for mounts that stayed. Whether all was well.
pub fn again(args: &[String]) -> bool {
    if std::env::var_os(ELSEWHERE).is_some() {
        return true;
    }
    if !nix::unistd::geteuid().is_root() {
        needs_root("with / propagating the other way", "it takes a mount namespace");
        return true;
    }
    let other = if is_shared() { "private" } else { "shared" };
    println!("\nagain, with a {other} /");
    // The script is alone in the namespace before and after; what differs was left by the tests.
    let script = "mounts() { cut -d' ' -f4-5 /proc/self/mountinfo | sort; }\n\
        before=$(mounts); status=0; \"$@\" || status=$?\n\
        after=$(mounts); [ \"$before\" = \"$after\" ] && exit $status\n\
        echo \"mounts before: $before\"; echo \"mounts after: $after\"; exit 1";
    let this = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", other, "sh", "-c", script, "sh"])
        .arg(this)
        .args(args)
        .env(ELSEWHERE, other)
        .status();
    match status {
        Ok(status) => status.success(),
        Err(error) => {
            skip("with / propagating the other way", &format!("unshare: {error}"));
            true
        }
    }
}

/// Whether what is mounted below `/` here appears elsewhere as well (proc_pid_mountinfo(5)).
fn is_shared() -> bool {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().any(|line| line.split(' ').nth(4) == Some("/") && line.contains(" shared:"))
}
