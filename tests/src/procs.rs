//! What is left of a program: its processes and its mounts, as `/proc` shows them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A process.
#[derive(Debug, Clone)]
pub struct Process {
    /// Process ID as this namespace sees it.
    pub pid: i32,
    /// Arguments, joined by spaces.
    pub command: String,
    /// Executable, where it can be read.
    pub exe: Option<PathBuf>,
}

/// All processes whose executable is `exe`, and if `mark` is not empty those whose environment
/// or arguments hold it; zombies have none of these and are not counted.
pub fn matching(exe: &Path, mark: &str) -> Vec<Process> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if pid == std::process::id() as i32 {
            continue;
        }
        let dir = entry.path();
        let its_exe = fs::read_link(dir.join("exe")).ok();
        let command = read_list(&dir.join("cmdline"));
        let environ = read_list(&dir.join("environ"));
        let marked = !mark.is_empty() && (environ.contains(mark) || command.contains(mark));
        if marked || its_exe.as_deref() == Some(exe) {
            found.push(Process { pid, command, exe: its_exe });
        }
    }
    found
}

/// Waits until none matches; gives those that are still there after `limit`.
pub fn gone(exe: &Path, mark: &str, limit: Duration) -> Vec<Process> {
    let end = Instant::now() + limit;
    loop {
        let left = matching(exe, mark);
        if left.is_empty() || Instant::now() > end {
            return left;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// FUSE mounts in the mount table of any process.
pub fn fuse_mounts() -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(table) = fs::read_to_string(entry.path().join("mountinfo")) else { continue };
        for line in table.lines().filter(|line| line.contains(" - fuse")) {
            found.push(format!("{}: {line}", entry.path().display()));
        }
    }
    found
}

/// This process's own mount table.
pub fn own_mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

/// A field of `/proc/PID/status`.
pub fn status(pid: i32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    text.lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("no {field} in the status of {pid}"))
        .trim()
        .to_owned()
}

fn read_list(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).replace('\0', " ")
}
