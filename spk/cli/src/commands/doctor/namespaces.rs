//! User namespaces: tried, not guessed, and when they fail, the setting that is in the way.

use std::fs;
use std::process::Command;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::Check;
use crate::error::{CliError, Result};

/// Everything a sandbox unshares (grain-runtime §A.4, and the cgroup namespace).
const NAMESPACES: CloneFlags = CloneFlags::CLONE_NEWUSER
    .union(CloneFlags::CLONE_NEWNS)
    .union(CloneFlags::CLONE_NEWPID)
    .union(CloneFlags::CLONE_NEWNET)
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWUTS)
    .union(CloneFlags::CLONE_NEWCGROUP);

/// Whether a sandbox can be started by this user.
pub fn user_namespaces() -> Check {
    let name = "user namespaces";
    let remedy = spk_sandbox::user_namespaces_remedy().unwrap_or_default();
    // In a process of its own: it cannot come back out of a namespace.
    let output = std::env::current_exe().and_then(|exe| {
        // What it says on stderr is read: no log.
        let mut command = Command::new(exe);
        command.args(["doctor", "--try-namespaces"]).env_remove("SPK_LOG").output()
    });
    match output {
        Ok(output) if output.status.success() => Check::ok(name, "work for this user"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().trim_start_matches("error: ").to_owned();
            Check::missing(name, said, remedy)
        }
        Err(error) => Check::missing(name, format!("cannot be tried: {error}"), remedy),
    }
}

/// Tries it in this process.
pub fn try_them() -> Result<()> {
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    unshare(NAMESPACES).map_err(|errno| step("create them", errno))?;
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("1000 {uid} 1")),
        ("gid_map", format!("1000 {gid} 1")),
    ] {
        fs::write(format!("/proc/self/{file}"), text).map_err(|error| {
            CliError::new(format!("cannot write /proc/self/{file} in a new one: {error}"))
        })?;
    }
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .map_err(|errno| step("change mounts in a new one", errno))?;
    mount(Some("tmpfs"), "/tmp", Some("tmpfs"), MsFlags::empty(), None::<&str>)
        .map_err(|errno| step("mount in a new one", errno))?;
    Ok(())
}

fn step(what: &str, errno: Errno) -> CliError {
    CliError::new(format!("this user cannot {what}: {}", errno.desc().to_lowercase()))
}
