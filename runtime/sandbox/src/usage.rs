//! Which limits a grain has met: what its app sees only as an error, its developer is told.
//!
//! Looked at from outside, now and then: the kernel tells nobody when a file system is full or a
//! process limit is met. A short peak between two looks goes unnoticed, except where a cgroup
//! counts.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use nix::sys::statvfs::fstatvfs;
use serde::{Deserialize, Serialize};

use crate::cgroup::Group;
use crate::spec::Limits;

/// How often a grain is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A limit that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Met {
    /// No space in `/tmp`.
    Tmp,
    /// No more files in `/tmp`.
    TmpInodes,
    /// No space in `/dev/shm`.
    Shm,
    /// No more files in `/dev/shm`.
    ShmInodes,
    /// No more processes or threads.
    Processes,
    /// No more memory.
    Memory,
}

/// Looks at one grain.
#[derive(Debug)]
pub(crate) struct Usage {
    limits: Limits,
    /// `/tmp` and `/dev/shm`, if the package has those directories.
    tmp: Option<OwnedFd>,
    shm: Option<OwnedFd>,
    app: i32,
    met: Vec<Met>,
}

impl Usage {
    pub fn new(limits: Limits, tmp: Option<OwnedFd>, shm: Option<OwnedFd>, app: i32) -> Usage {
        Usage { limits, tmp, shm, app, met: Vec::new() }
    }

    /// The limits met since the last look, each reported once in a grain's life.
    pub fn look(&mut self, group: Option<&Group>) -> Vec<Met> {
        let mut found = Vec::new();
        for (fd, space, inodes) in
            [(&self.tmp, Met::Tmp, Met::TmpInodes), (&self.shm, Met::Shm, Met::ShmInodes)]
        {
            let Some(now) = fd.as_ref().and_then(|fd| fstatvfs(fd).ok()) else { continue };
            if now.blocks_available() == 0 {
                found.push(space);
            }
            if now.files_free() == 0 {
                found.push(inodes);
            }
        }
        if group.is_some_and(Group::refused_processes) {
            found.push(Met::Processes);
        }
        if group.is_some_and(Group::ran_out_of_memory) {
            found.push(Met::Memory);
        }
        if group.is_none_or(|group| !group.limits_memory()) {
            let (tasks, data) = count(self.app);
            if tasks >= self.limits.processes {
                found.push(Met::Processes);
            }
            if data >= self.limits.memory_bytes / 100 * NEARLY_ALL {
                found.push(Met::Memory);
            }
        }
        found.retain(|met| !self.met.contains(met));
        self.met.extend(&found);
        found
    }
}

/// Per cent of the private memory limit from which an allocation of usual size fails.
const NEARLY_ALL: u64 = 95;

/// Threads in the PID namespace that `app` is in, and the largest private memory of one process.
fn count(app: i32) -> (u64, u64) {
    let namespace = |pid: &Path| fs::read_link(pid.join("ns/pid")).ok();
    let Some(ours) = namespace(Path::new(&format!("/proc/{app}"))) else { return (0, 0) };
    let Ok(all) = fs::read_dir("/proc") else { return (0, 0) };
    // Init, which may not be looked into, has one thread.
    let (mut tasks, mut data) = (1, 0);
    for entry in all.flatten() {
        let number =
            entry.file_name().to_str().is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()));
        if !number || namespace(&entry.path()).as_ref() != Some(&ours) {
            continue;
        }
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        tasks += field("Threads:");
        data = data.max(field("VmData:") << 10);
    }
    (tasks, data)
}
