//! Namespaces, mounts, seccomp and limits around one grain.
//!
//! Four processes, each named after its role:
//!
//! - the *launcher*: whoever calls [`Launcher`]; may have threads and an async runtime;
//! - the *helper*: the same binary executed again, with one thread and nothing inherited. It makes
//!   the namespaces, writes the id maps, and watches: if the launcher goes, it kills everything;
//! - *init*: PID 1 inside. It builds the root, reaps orphans, forwards signals; if the helper
//!   goes, the kernel kills it and with it the whole PID namespace;
//! - the *app*: PID 2, without capabilities, behind Landlock and the system call filter.
//!
//! This crate knows nothing of packages, grains or HTTP. It is the only one with `unsafe`.

mod app;
mod cgroup;
mod error;
mod exit;
mod explain;
mod helper;
mod ids;
mod init;
mod landlock;
mod launch;
mod mounts;
mod privileges;
mod remedy;
mod root;
pub mod seccomp;
mod spec;
mod stacks;
mod stdio;
mod supervisor;
mod sys;
mod usage;
mod wait_stopped;
mod wire;

pub use cgroup::Cgroup;
pub use error::{Error, ExecProblem, Failure, Kind, Step};
pub use exit::Exit;
pub use explain::Denied;
pub use helper::run_helper_if_asked;
pub use ids::ID_INSIDE;
pub use launch::{Launcher, Prepared, Running};
pub use remedy::{OLDEST_KERNEL, user_namespaces as user_namespaces_remedy};
pub use spec::{
    Console, FILE_BYTES, Limits, MEMORY_BYTES, OPEN_FILES_HARD, OPEN_FILES_SOFT, PROCESSES, Root,
    Spec, TMPFS_BYTES, TMPFS_INODES,
};
pub use stdio::stdout_was_closed;
pub use usage::Met;
