//! Which executable is behind a request.

/// The executable of process `pid`, as that process's own root shows it. Best effort: `None` for a
/// process that is gone, is a kernel thread, or may not be looked at.
///
/// `pid` is numbered in the PID namespace of whoever mounted (dev-mode.md §19.2); this looks it up
/// in our own, so mounts have to be made from a process in ours.
pub fn executable(pid: u32) -> Option<String> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let path = path.to_string_lossy();
    // the kernel says so of a program whose name was replaced meanwhile
    Some(path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned())
}
