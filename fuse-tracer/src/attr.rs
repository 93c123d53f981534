//! Attributes as the app sees them: those the packed file will have, as far as that can be.
//!
//! After installation files are 0644 or 0755 and owned by one user (dev-mode §9 and §17), so
//! that is what is shown; times, lengths and inode numbers apart. Special files are packed as
//! empty files (package-format §5.1) and shown as such.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo};
use spk_package::view::{Node, NodeKind};

/// What `st_blksize` says: a page.
pub const BLOCK_SIZE: u32 = 4096;

/// Whom files are shown to belong to, and whether permission bits are shown as they are.
#[derive(Clone, Copy, Debug)]
pub struct Ownership {
    /// User and group, numbered in the user namespace of the mount.
    pub ids: (u32, u32),
    /// Show the sources' permission bits instead of those a packed file has.
    pub raw_modes: bool,
}

/// How a node is shown.
pub fn kind(kind: NodeKind) -> FileType {
    match kind {
        NodeKind::Directory => FileType::Directory,
        NodeKind::Symlink => FileType::Symlink,
        _ => FileType::RegularFile,
    }
}

/// Attributes of `node` under inode number `ino`.
pub fn attributes(ino: u64, node: &Node, ownership: Ownership) -> FileAttr {
    let metadata = node.metadata();
    let (mtime, ctime) = match metadata {
        Some(metadata) => (
            time(metadata.mtime(), metadata.mtime_nsec()),
            time(metadata.ctime(), metadata.ctime_nsec()),
        ),
        None => (UNIX_EPOCH, UNIX_EPOCH),
    };
    let size = node.size();
    FileAttr {
        ino: INodeNo(ino),
        size,
        blocks: match metadata {
            Some(metadata) if node.kind() == NodeKind::File => metadata.blocks(),
            _ => size.div_ceil(512),
        },
        atime: mtime,
        mtime,
        ctime,
        crtime: UNIX_EPOCH,
        kind: kind(node.kind()),
        perm: permissions(node, ownership.raw_modes),
        nlink: 1,
        uid: ownership.ids.0,
        gid: ownership.ids.1,
        rdev: 0,
        blksize: BLOCK_SIZE,
        flags: 0,
    }
}

fn permissions(node: &Node, raw: bool) -> u16 {
    match (node.kind(), node.metadata()) {
        (NodeKind::Symlink, _) => 0o777,
        (NodeKind::Directory | NodeKind::File, Some(metadata)) if raw => {
            u16::try_from(metadata.mode() & 0o7777).unwrap_or(0)
        }
        (NodeKind::Directory, _) => 0o755,
        // what the tool makes itself is not for writing even by its mode
        (NodeKind::File, None) => 0o444,
        (NodeKind::File, Some(_)) if node.is_executable() => 0o755,
        _ => 0o644,
    }
}

fn time(seconds: i64, nanoseconds: i64) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let moment =
        if seconds >= 0 { UNIX_EPOCH.checked_add(whole) } else { UNIX_EPOCH.checked_sub(whole) };
    let nanoseconds = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
    moment.and_then(|moment| moment.checked_add(nanoseconds)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_count_backwards() {
        assert_eq!(time(-1, 500_000_000), UNIX_EPOCH - Duration::from_millis(500));
        assert_eq!(time(3, 7), UNIX_EPOCH + Duration::new(3, 7));
    }
}
