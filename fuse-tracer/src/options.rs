//! How a view is served.

use crate::attr::Ownership;
use crate::caller::Callers;

/// What the kernel may keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cache {
    /// Everything, and it is told when a source changes. Where sources cannot be watched, names
    /// and attributes for a second.
    #[default]
    Watched,
    /// Everything, and changes of the sources may go unseen (`-c`).
    Frozen,
    /// Nothing; for debugging.
    Off,
}

/// How to serve.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What the kernel may keep.
    pub cache: Cache,
    /// User and group that files are shown to belong to, as numbered inside the mount's user
    /// namespace.
    pub owner: (u32, u32),
    /// Show the sources' permission bits instead of those a packed file will have.
    pub raw_modes: bool,
    /// How to find which executable is behind a request.
    pub callers: Callers,
    /// The mount is not read-only, so that attempts to write arrive here: they are recorded
    /// ([`Use::Write`](crate::Use::Write)) and refused. Files belong to whoever asks first, rather
    /// than to `owner`: the kernel does not pass on attempts to write what belongs to nobody.
    pub writes_reach_server: bool,
}

impl Default for Options {
    fn default() -> Self {
        // 1000: whom the sandbox shows an app as
        Options {
            cache: Cache::Watched,
            owner: (1000, 1000),
            raw_modes: false,
            callers: Callers::Ours,
            writes_reach_server: false,
        }
    }
}

impl Options {
    pub(crate) fn ownership(&self) -> Ownership {
        Ownership { ids: self.owner, raw_modes: self.raw_modes }
    }
}
