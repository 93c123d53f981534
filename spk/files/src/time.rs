//! Modification times as archives and the kernel have them.

use rustix::fs::{Stat, Timespec, Timestamps};

/// A modification time: seconds since 1970, which may be negative, and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// Whole seconds, rounded towards the past.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

impl Time {
    /// The modification time in a `Stat`.
    pub fn of(stat: &Stat) -> Time {
        Time { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 }
    }

    /// As the kernel takes it, for the access time, too.
    pub fn both(self) -> Timestamps {
        let set = Timespec { tv_sec: self.seconds, tv_nsec: self.nanoseconds as _ };
        Timestamps { last_access: set, last_modification: set }
    }

    /// As the kernel takes it; the access time stays as it is.
    pub fn stamps(self) -> Timestamps {
        let keep = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT as _ };
        let set = Timespec { tv_sec: self.seconds, tv_nsec: self.nanoseconds as _ };
        Timestamps { last_access: keep, last_modification: set }
    }
}
