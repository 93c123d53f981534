//! How many requests of each kind arrived: each is a round trip that a process waits for, and so
//! what the speed of a mount is made of.

use std::sync::atomic::{AtomicU64, Ordering};

/// A kind of request, named as in `linux/fuse.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    /// A name is looked up.
    Lookup,
    /// The kernel drops a node; nobody waits for that.
    Forget,
    /// Attributes are asked for.
    Getattr,
    /// A link is read.
    Readlink,
    /// A file is opened.
    Open,
    /// Contents are read.
    Read,
    /// A file is closed for the last time; nobody waits for that.
    Release,
    /// A directory is opened.
    Opendir,
    /// Names are listed.
    Readdir,
    /// Names are listed with their attributes.
    Readdirplus,
    /// A directory is closed for the last time; nobody waits for that.
    Releasedir,
}

impl Request {
    /// All kinds.
    pub const ALL: [Request; 11] = [
        Request::Lookup,
        Request::Forget,
        Request::Getattr,
        Request::Readlink,
        Request::Open,
        Request::Read,
        Request::Release,
        Request::Opendir,
        Request::Readdir,
        Request::Readdirplus,
        Request::Releasedir,
    ];
}

/// Counters, one for each kind.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; Request::ALL.len()]);

impl Counts {
    pub fn count(&self, request: Request) {
        self.0[request as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn get(&self, request: Request) -> u64 {
        self.0[request as usize].load(Ordering::Relaxed)
    }
}
