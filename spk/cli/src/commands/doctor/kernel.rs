//! What the kernel has to offer.

use std::fs::{self, File};
use std::io::ErrorKind;

use super::Check;

/// Oldest kernel with all that the sandbox is built from: `mount_setattr` is of 5.12.
const OLDEST: (u32, u32) = (5, 12);

/// The kernel's version.
pub fn release() -> Check {
    let name = "kernel";
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let text = text.trim();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().ok());
    let version = (numbers.next().flatten().unwrap_or(0), numbers.next().flatten().unwrap_or(0));
    if version >= OLDEST {
        Check::ok(name, text)
    } else {
        Check::warning(
            name,
            format!("{text}, older than {}.{}", OLDEST.0, OLDEST.1),
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

/// Limits on memory and processes of a whole grain (cgroups(7)).
pub fn cgroup() -> Check {
    let name = "cgroup v2";
    let Ok(own) = fs::read_to_string("/proc/self/cgroup") else {
        return Check::warning(name, "the kernel has no cgroups", RLIMITS_ONLY);
    };
    let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::")) else {
        return Check::warning(name, "only version 1 is mounted", RLIMITS_ONLY);
    };
    let dir = format!("/sys/fs/cgroup{}", path.trim_end_matches('/'));
    let controllers = fs::read_to_string(format!("{dir}/cgroup.controllers"));
    match controllers {
        Ok(list)
            if ["memory", "pids"]
                .iter()
                .all(|wanted| list.split_whitespace().any(|c| c == *wanted))
                && nix::unistd::access(dir.as_str(), nix::unistd::AccessFlags::W_OK).is_ok() =>
        {
            Check::ok(name, format!("{dir} is ours, with {}", list.trim()))
        }
        Ok(_) => Check::warning(
            name,
            format!("{dir} is not delegated to this user"),
            "limits fall back to rlimits; to have them for the whole grain: \
             systemd-run --user --scope -p Delegate=yes spk …",
        ),
        Err(_) => Check::warning(name, "not mounted at /sys/fs/cgroup", RLIMITS_ONLY),
    }
}

const RLIMITS_ONLY: &str = "limits fall back to rlimits, which hold for each process on its own";
