//! What the kernel has to offer.

use std::fs::{self, File};
use std::io::ErrorKind;

use spk_sandbox::{Cgroup, OLDEST_KERNEL};

use super::Check;

/// The kernel's version.
pub fn release() -> Check {
    let name = "kernel";
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let text = text.trim();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().ok());
    let version = (numbers.next().flatten().unwrap_or(0), numbers.next().flatten().unwrap_or(0));
    if version >= OLDEST_KERNEL {
        Check::ok(name, text)
    } else {
        Check::warning(
            name,
            format!("{text}, older than {}.{}", OLDEST_KERNEL.0, OLDEST_KERNEL.1),
            "a newer kernel; older ones are not tested",
        )
    }
}

/// `spk dev` serves the app's files through it.
pub fn fuse_device() -> Check {
    let name = "/dev/fuse";
    match File::options().read(true).write(true).open("/dev/fuse") {
        Ok(_) => Check::ok(name, "can be opened"),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Check::missing(
            name,
            "this user may not open it (only `spk dev` needs it)",
            "sudo chmod 0666 /dev/fuse, as udev does on most machines",
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => Check::missing(
            name,
            "is not there (only `spk dev` needs it)",
            "sudo modprobe fuse; in a container, pass the device in: --device /dev/fuse",
        ),
        Err(error) => Check::missing(
            name,
            format!("{error} (only `spk dev` needs it)"),
            "sudo modprobe fuse; in a container, pass the device in: --device /dev/fuse",
        ),
    }
}

/// The filter that everything in the sandbox runs under (seccomp(2)).
pub fn seccomp() -> Check {
    let name = "seccomp";
    match fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(actions) if actions.contains("user_notif") => {
            Check::ok(name, "filters and notifications")
        }
        Ok(_) => Check::warning(
            name,
            "filters, but no notifications: denied calls cannot be named",
            "a kernel of 5.0 or later",
        ),
        Err(_) => Check::missing(
            name,
            "the kernel has no seccomp filters",
            "a kernel built with CONFIG_SECCOMP_FILTER",
        ),
    }
}

/// The second wall around the app's files (landlock(7)).
pub fn landlock() -> Check {
    let name = "landlock";
    let enabled = fs::read_to_string("/sys/kernel/security/lsm")
        .ok()
        .map(|modules| modules.split(',').any(|module| module.trim() == "landlock"));
    match enabled {
        Some(true) => Check::ok(name, "enabled"),
        Some(false) => Check::warning(
            name,
            "not enabled; the sandbox works without this second layer",
            "add landlock to the kernel's lsm= boot parameter",
        ),
        None => Check::ok(name, "used if the kernel has it (/sys/kernel/security is not mounted)"),
    }
}

/// Limits on memory and processes of a whole grain (cgroups(7)), tried for real.
pub fn cgroup() -> Check {
    let name = "cgroup v2";
    match Cgroup::try_one() {
        Cgroup::Own { dir, memory: true, processes: true, .. } => Check::ok(
            name,
            format!(
                "each grain gets one below {}: its memory and processes are limited as a whole, \
                 and it is frozen and killed at once",
                dir.display()
            ),
        ),
        Cgroup::Own { dir, memory, lacking, .. } => Check::warning(
            name,
            format!(
                "each grain gets one below {} to be frozen and killed, but none that limits its \
                 {} ({})",
                dir.display(),
                if memory { "processes" } else { "memory" },
                lacking.unwrap_or_else(|| "the controller is missing".to_owned())
            ),
            if memory { PROCESSES_BY_RLIMIT } else { MEMORY_BY_RLIMIT },
        ),
        Cgroup::None(reason) => {
            Check::warning(name, format!("none for a grain: {reason}"), RLIMITS_ONLY)
        }
    }
}

/// What differs without the pids controller.
const PROCESSES_BY_RLIMIT: &str = "processes are limited by RLIMIT_NPROC instead";

/// What differs without the memory controller.
const MEMORY_BY_RLIMIT: &str = "the memory limit holds for each process on its own; for one of \
    the whole grain: systemd-run --user --scope -p Delegate=yes spk …";

/// What differs without a cgroup.
const RLIMITS_ONLY: &str = "the memory limit holds for each process on its own, and a grain is \
    frozen by signals; for both on whole grains: systemd-run --user --scope -p Delegate=yes spk …";
