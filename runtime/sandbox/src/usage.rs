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
use crate::stacks;

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
    /// A process has as many open descriptors as it may have before it raises its limit itself.
    OpenFiles,
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
        let seen = count(self.app, &self.limits);
        if seen.open_files {
            found.push(Met::OpenFiles);
        }
        if group.is_none_or(|group| !group.limits_memory()) {
            if seen.tasks >= self.limits.processes {
                found.push(Met::Processes);
            }
            if seen.memory {
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

/// Descriptors that may have been closed between the last refusal and the look, as of the request that met
/// it.
const JUST_CLOSED: u64 = 4;

/// What one look found in the PID namespace of an app.
#[derive(Debug, Default)]
struct Seen {
    /// Threads of all processes.
    tasks: u64,
    /// One of them has no room for more private memory.
    memory: bool,
    /// One of them can open no more.
    open_files: bool,
}

fn count(app: i32, limits: &Limits) -> Seen {
    let namespace = |pid: &Path| fs::read_link(pid.join("ns/pid")).ok();
    let mut seen = Seen::default();
    let Some(ours) = namespace(Path::new(&format!("/proc/{app}"))) else { return seen };
    let Ok(all) = fs::read_dir("/proc") else { return seen };
    // Init, which may not be looked into, has one thread.
    seen.tasks = 1;
    for entry in all.flatten() {
        let number =
            entry.file_name().to_str().is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()));
        if !number || namespace(&entry.path()).as_ref() != Some(&ours) {
            continue;
        }
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        seen.tasks += stacks::field(&status, "Threads:");
        // What its own limits are is asked of few.
        let data = stacks::field(&status, "VmData:") << 10;
        let much = data >= limits.memory_bytes / 100 * NEARLY_ALL;
        let many = stacks::field(&status, "FDSize:") >= limits.open_files_soft;
        if !much && !many {
            continue;
        }
        let own = fs::read_to_string(entry.path().join("limits")).unwrap_or_default();
        if let Some((soft, _)) = stacks::data_limit(&own) {
            seen.memory |= much && data >= soft / 100 * NEARLY_ALL;
        }
        if let Some((soft, _)) = stacks::open_files_limit(&own).filter(|_| many) {
            // What it set lower itself is its own matter.
            let open = || open_files(&entry.path()).saturating_add(JUST_CLOSED);
            seen.open_files |= soft >= limits.open_files_soft && open() >= soft;
        }
    }
    seen
}

/// How many descriptors the process at this place below `/proc` has open; 0 if it may not be looked into.
fn open_files(process: &Path) -> u64 {
    fs::read_dir(process.join("fd")).map_or(0, |all| all.count() as u64)
}
