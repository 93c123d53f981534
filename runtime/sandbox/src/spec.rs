//! What to run and where: the caller's side of a launch.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One app process tree to be started in a sandbox of its own.
#[derive(Debug)]
pub struct Spec {
    /// What the app sees as `/`, always read-only.
    pub root: Root,
    /// The host directory that the app sees as `/var`, the only place that outlives it.
    pub var: PathBuf,
    /// The program (its path inside the root, never searched for) and its arguments.
    pub argv: Vec<CString>,
    /// The whole environment, as `NAME=value`: nothing of the caller's is added.
    pub environ: Vec<CString>,
    /// The Cap'n Proto socket: descriptor 3 of the app.
    pub rpc: OwnedFd,
    /// Where descriptors 1 and 2 of the app write. Best a pipe: an app that holds a file can
    /// rewrite it.
    pub output: OwnedFd,
    /// Who is at the other end of the first three descriptors.
    pub console: Console,
    /// Mount a real `/proc` when the root has such a directory. For developer sessions only.
    pub proc: bool,
    /// Report system calls that the filter denied ([`crate::Running::denied`]), at some cost for
    /// each denied call.
    pub explain: bool,
    /// How much the app may use.
    pub limits: Limits,
}

/// Who is at the other end of descriptors 0, 1 and 2.
#[derive(Debug)]
pub enum Console {
    /// Nobody, as for every app: descriptor 0 is `/dev/null`, 1 and 2 are [`Spec::output`].
    Nobody,
    /// A program: 0 and 2 are pipes of their own.
    Pipes {
        /// Where descriptor 0 reads.
        input: OwnedFd,
        /// Where descriptor 2 writes.
        errors: OwnedFd,
    },
    /// A person: [`Spec::output`] is the slave side of a new pseudo-terminal, which becomes all
    /// three descriptors and the controlling terminal. Terminal ioctls are allowed then, except
    /// those that put input into a terminal's queue. Never the user's own terminal: what is inside
    /// must not be able to change that.
    Terminal,
}

/// What the app sees as `/`.
#[derive(Debug, Clone)]
pub enum Root {
    /// A directory of the host: an unpacked package.
    Directory(PathBuf),
    /// A FUSE file system whose descriptor [`crate::Prepared::take_fuse`] hands out.
    Fuse {
        /// The kernel passes on attempts to write, so that they can be recorded: who serves the file
        /// system has to refuse them. Landlock's second opinion on writing is waived.
        writes_reach_server: bool,
    },
}

/// How much one grain may use. [`Limits::default`] is what documentation calls the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Size of `/tmp` in bytes.
    pub tmp_bytes: u64,
    /// Size of `/dev/shm` in bytes.
    pub shm_bytes: u64,
    /// How many files and directories `/tmp` and `/dev/shm` hold each.
    pub tmpfs_inodes: u64,
    /// Open descriptors per process before the app raises the limit itself.
    pub open_files_soft: u64,
    /// Open descriptors per process, at most.
    pub open_files_hard: u64,
    /// Processes and threads of the whole grain.
    pub processes: u64,
    /// Memory of the whole grain in bytes where a cgroup can be had; else of each process's data, beside
    /// which the stacks of its threads have room.
    pub memory_bytes: u64,
    /// Largest single file the app can write, in bytes.
    pub file_bytes: u64,
}

/// 16 MiB: what Sandstorm gives, so an app that needs more fails here as it would there.
pub const TMPFS_BYTES: u64 = 16 << 20;
/// 4096 inodes: as Sandstorm; without it empty files alone could fill kernel memory.
pub const TMPFS_INODES: u64 = 4096;
/// Soft descriptor limit: as Sandstorm. Above 1024 `select` corrupts memory.
pub const OPEN_FILES_SOFT: u64 = 1024;
/// Hard descriptor limit: as Sandstorm.
pub const OPEN_FILES_HARD: u64 = 4096;
/// 512 tasks: ample for PostgreSQL or a JVM, and a fork bomb stops before the host notices.
pub const PROCESSES: u64 = 512;
/// 2 GiB: Sandstorm sets none; a JVM or Node heap fits, a runaway allocation does not.
pub const MEMORY_BYTES: u64 = 2 << 30;
/// 16 GiB: larger than any database of a personal app, smaller than a disk.
pub const FILE_BYTES: u64 = 16 << 30;

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            tmp_bytes: TMPFS_BYTES,
            shm_bytes: TMPFS_BYTES,
            tmpfs_inodes: TMPFS_INODES,
            open_files_soft: OPEN_FILES_SOFT,
            open_files_hard: OPEN_FILES_HARD,
            processes: PROCESSES,
            memory_bytes: MEMORY_BYTES,
            file_bytes: FILE_BYTES,
        }
    }
}
