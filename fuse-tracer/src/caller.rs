//! Which executable is behind a request.
//!
//! A request carries the number of its process in the PID namespace of whoever mounted
//! (dev-mode.md §19.2). For a sandbox's mount that is the sandbox's own; its processes are our
//! descendants, and `/proc/PID/status` of each tells both numbers (`NSpid` in
//! proc_pid_status(5)).

use std::collections::HashMap;
use std::sync::Mutex;

use crate::shared::lock;

/// How to find a request's process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Callers {
    /// Do not look.
    Unknown,
    /// Processes have the numbers that our PID namespace gives them.
    #[default]
    Ours,
    /// They are our descendants, with the numbers of a PID namespace below ours.
    Sandboxed,
}

/// Finds executables, and remembers the processes they were found for.
#[derive(Default)]
pub struct Finder {
    /// Numbers inside and outside.
    known: Mutex<HashMap<u32, u32>>,
}

impl Finder {
    /// The executable of process `pid`, as that process's own root shows it. Best effort: `None`
    /// for a process that is gone, is a kernel thread, or may not be looked at.
    pub fn executable(&self, callers: Callers, pid: u32) -> Option<String> {
        let pid = match callers {
            Callers::Unknown => return None,
            Callers::Ours => pid,
            Callers::Sandboxed => self.outside(pid)?,
        };
        let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let path = path.to_string_lossy();
        // the kernel says so of a program whose name was replaced meanwhile
        Some(path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned())
    }

    /// The number here of the process with the number `inside`.
    fn outside(&self, inside: u32) -> Option<u32> {
        let known = lock(&self.known).get(&inside).copied();
        if let Some(outside) = known.filter(|outside| innermost(*outside) == Some(inside)) {
            return Some(outside);
        }
        let found = descendants();
        let outside = found.get(&inside).copied();
        *lock(&self.known) = found;
        outside
    }
}

/// The processes below us that have a number of their own inside, by that number. Of several
/// sandboxes the one started last counts.
fn descendants() -> HashMap<u32, u32> {
    let mut found = HashMap::new();
    let mut pending = vec![std::process::id()];
    while let Some(pid) = pending.pop() {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for task in tasks.flatten() {
            let children = std::fs::read_to_string(task.path().join("children"));
            let children = children.unwrap_or_default();
            let children = children.split_whitespace().filter_map(|child| child.parse().ok());
            for child in children {
                if let Some(inside) = innermost(child) {
                    let newest = found.entry(inside).or_insert(child);
                    *newest = child.max(*newest);
                }
                pending.push(child);
            }
        }
    }
    found
}

/// The last of a process's numbers, if it has more than one as we see it.
fn innermost(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    let mut numbers = numbers.split_whitespace().skip(1).peekable();
    numbers.peek()?;
    numbers.last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_executable_is_found_under_our_own_number() {
        let found = Finder::default().executable(Callers::Ours, std::process::id()).unwrap();
        assert_eq!(found, std::env::current_exe().unwrap().to_string_lossy());
        assert_eq!(Finder::default().executable(Callers::Unknown, std::process::id()), None);
    }

    #[test]
    fn processes_of_our_own_namespace_are_not_taken_for_others() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!(innermost(child.id()), None);
        assert_eq!(Finder::default().executable(Callers::Sandboxed, child.id()), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
