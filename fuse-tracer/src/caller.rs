//! Which executable is behind a request.
//!
//! A request carries the number of its process in the PID namespace of whoever mounted
//! (dev-mode §19.2). For a sandbox's mount that is the sandbox's own; its processes are our
//! descendants, and `/proc/PID/status` of each tells both numbers (`NSpid` in
//! proc_pid_status(5)).

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::{Arc, Mutex};

use nix::fcntl::OFlag;

use crate::asked;
use crate::lock::lock;

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
    /// Directories of processes (and threads: a request has the number of its thread) in `/proc`,
    /// by the number in requests. Such a directory stays that of the process it was opened for:
    /// once that has ended, nothing is found in it, even if another has its number.
    known: Mutex<HashMap<u32, Arc<File>>>,
}

impl Finder {
    /// The executable of process `pid`, as that process's own root shows it. Best effort: `None`
    /// for a process that is gone, is a kernel thread, or may not be looked at.
    pub fn executable(&self, callers: Callers, pid: u32) -> Option<String> {
        if pid == 0 || callers == Callers::Unknown {
            return None; // 0: of no PID namespace that the mount knows
        }
        let known = lock(&self.known).get(&pid).cloned();
        let path = known.and_then(|process| program(&process)).or_else(|| {
            let process = match callers {
                Callers::Sandboxed => self.find(pid)?,
                _ => self.remember(pid, directory(pid)?),
            };
            program(&process)
        })?;
        let path = path.to_string_lossy();
        // the kernel says so of a program whose name was replaced meanwhile
        Some(path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned())
    }

    /// The whole path that process `pid` waits for, of which `known` is the beginning. Best effort.
    pub fn asked_path(&self, callers: Callers, pid: u32, known: &[u8]) -> Option<Vec<u8>> {
        if pid == 0 || callers == Callers::Unknown {
            return None;
        }
        let remembered = lock(&self.known).get(&pid).cloned();
        // One that has ended and left its number to another has no program any more.
        let remembered = remembered.filter(|process| program(process).is_some());
        let process = remembered.or_else(|| match callers {
            Callers::Sandboxed => self.find(pid),
            _ => Some(self.remember(pid, directory(pid)?)),
        })?;
        asked::whole(process, known)
    }

    /// The process with this number inside.
    fn find(&self, inside: u32) -> Option<Arc<File>> {
        let outside = *descendants().get(&inside)?;
        let process = directory(outside)?;
        // it may have ended, and another have its number, while it was looked for
        (innermost(&format!("/proc/{outside}")) == Some(inside))
            .then(|| self.remember(inside, process))
    }

    fn remember(&self, pid: u32, process: File) -> Arc<File> {
        let process = Arc::new(process);
        let mut known = lock(&self.known);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(pid, process.clone());
        process
    }
}

/// Processes remembered at a time; each is an open directory.
const MAX_KNOWN: usize = 64;

fn directory(pid: u32) -> Option<File> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    File::options().read(true).custom_flags(flags.bits()).open(format!("/proc/{pid}")).ok()
}

fn program(process: &File) -> Option<OsString> {
    nix::fcntl::readlinkat(process, "exe").ok()
}

/// The processes below us, and their threads, that have a number of their own inside, by that
/// number. Of several sandboxes the one started last counts.
fn descendants() -> HashMap<u32, u32> {
    let mut found = HashMap::new();
    let mut pending = vec![std::process::id()];
    while let Some(pid) = pending.pop() {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for task in tasks.flatten() {
            let number = task.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            if let Some(number) = number
                && let Some(inside) = innermost(&format!("/proc/{pid}/task/{number}"))
            {
                let newest = found.entry(inside).or_insert(number);
                *newest = number.max(*newest);
            }
            let children = std::fs::read_to_string(task.path().join("children"));
            let children = children.unwrap_or_default();
            pending
                .extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

/// The last of the numbers of the process with this directory in `/proc`, if it has more than one
/// as we see it.
fn innermost(process: &str) -> Option<u32> {
    let status = std::fs::read_to_string(format!("{process}/status")).ok()?;
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
    fn an_ended_process_is_not_taken_for_the_next_with_its_number() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let finder = Finder::default();
        let process = finder.remember(child.id(), directory(child.id()).unwrap());
        assert!(program(&process).is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(program(&process), None);
    }

    #[test]
    fn a_thread_is_found_by_its_own_number() {
        let own = std::env::current_exe().unwrap();
        let by_thread = std::thread::spawn(|| {
            let thread = nix::unistd::gettid().as_raw() as u32;
            assert_ne!(thread, std::process::id());
            Finder::default().executable(Callers::Ours, thread)
        });
        assert_eq!(by_thread.join().unwrap().unwrap(), own.to_string_lossy());
    }

    #[test]
    fn processes_of_our_own_namespace_are_not_taken_for_others() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!(innermost(&format!("/proc/{}", child.id())), None);
        assert_eq!(Finder::default().executable(Callers::Sandboxed, child.id()), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
