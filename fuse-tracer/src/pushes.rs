//! Which file's content is given to the kernel just now.
//!
//! The kernel takes it page by page, and waits for pages that somebody reads, which is for answers of
//! ours: a thread that answers must not give what can be read. So nobody else gets to open a file
//! for the first time until its content is there; and one file at a time is enough.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::lock::lock;

/// See the module's description.
#[derive(Debug, Default)]
pub struct Pushes {
    one: Mutex<()>,
    /// The inode, or 0.
    ino: AtomicU64,
}

/// While it is there, no file of this inode is opened that was opened before.
pub struct Push<'a> {
    pushes: &'a Pushes,
    _one: MutexGuard<'a, ()>,
}

impl Pushes {
    /// To be had before the file counts as opened, and kept until the kernel has its content.
    /// `None`: another is being given.
    pub fn begin(&self, ino: u64) -> Option<Push<'_>> {
        let one = self.one.try_lock().ok()?;
        self.ino.store(ino, Ordering::SeqCst);
        Some(Push { pushes: self, _one: one })
    }

    /// To be called before a file is opened that counts as opened.
    pub fn wait(&self, ino: u64) {
        if self.ino.load(Ordering::SeqCst) == ino {
            drop(lock(&self.one));
        }
    }
}

impl Drop for Push<'_> {
    fn drop(&mut self) {
        self.pushes.ino.store(0, Ordering::SeqCst);
    }
}
