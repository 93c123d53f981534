//! How much is in a tree.

use std::io;

use rustix::fs::{FileType, Stat};

use crate::path::join;
use crate::{Dir, is_gone};

impl Dir {
    /// Bytes on the disk of this directory and all below it. What cannot be opened, because it
    /// vanished or its owner closed it, counts for itself only.
    pub fn disk_usage(&self) -> io::Result<u64> {
        let blocks = |stat: &Stat| (stat.st_blocks as u64).saturating_mul(512);
        let below = self.sum(|stat, kind| match kind {
            FileType::Directory => blocks(stat),
            _ => blocks(stat) / u64::from(stat.st_nlink as u32).max(1),
        })?;
        Ok(blocks(&self.stat_self()?).saturating_add(below))
    }

    /// Bytes in all regular files below this directory, as far as they can be looked at.
    pub fn file_bytes(&self) -> io::Result<u64> {
        self.sum(|stat, kind| if kind == FileType::RegularFile { stat.st_size as u64 } else { 0 })
    }

    fn sum(&self, of: impl Fn(&Stat, FileType) -> u64) -> io::Result<u64> {
        let mut bytes = 0_u64;
        let mut pending = vec![Vec::new()];
        while let Some(path) = pending.pop() {
            let (dir, names) = match self.open_dir(&path).and_then(|d| d.names().map(|n| (d, n))) {
                Ok(opened) => opened,
                Err(error) if !path.is_empty() && out_of_reach(&error) => continue,
                Err(error) => return Err(error),
            };
            for name in names {
                let stat = match dir.stat(&name) {
                    Err(error) if out_of_reach(&error) => continue,
                    stat => stat?,
                };
                let kind = FileType::from_raw_mode(stat.st_mode);
                bytes = bytes.saturating_add(of(&stat, kind));
                if kind == FileType::Directory {
                    pending.push(join(&path, &name));
                }
            }
        }
        Ok(bytes)
    }
}

/// Vanished, or closed by its owner: both happen to a running app's data.
fn out_of_reach(error: &io::Error) -> bool {
    is_gone(error) || error.kind() == io::ErrorKind::PermissionDenied
}
