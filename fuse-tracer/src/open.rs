//! Opening a file: its source is looked at again, whatever the kernel keeps, and a small one is
//! given to the kernel whole.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use fuser::{Errno, FopenFlags, OpenAccMode, OpenFlags};
use spk_package::view::{Content, SourceFile};

use crate::handles::{Opened, read_at};
use crate::kept::is_kept;
use crate::look_up::fresh;
use crate::nodes::{Entry, Identity, Stamp};
use crate::options::Cache;
use crate::pushes::Push;
use crate::record::Use;
use crate::shared::{Shared, errno};

/// The bit in `open`'s flags by which the kernel says that a file is opened to be executed
/// (`__FMODE_EXEC`).
const OPENED_FOR_EXEC: i32 = 0x20;
/// Files up to this length are given to the kernel whole when they are first opened. A request to
/// read, of at most 128 KiB, takes as long as copying about this much.
const PUSHED: usize = 512 << 10;

/// Opens a file for process `pid`: what is open then, and what the kernel may do with it.
pub fn open(
    shared: &Shared,
    pid: u32,
    ino: u64,
    flags: OpenFlags,
) -> Result<(Opened, FopenFlags), Errno> {
    if flags.acc_mode() != OpenAccMode::O_RDONLY {
        return Err(Errno::EROFS);
    }
    let told = shared.nodes().get(ino).map(|entry| Stamp::of(entry.node.metadata()));
    let entry = fresh(shared, ino)?;
    let kind = if flags.0 & OPENED_FOR_EXEC != 0 { Use::Exec } else { Use::Read };
    shared.note(&entry.path, kind, pid);
    let (what, stamp) = match entry.node.content() {
        None => return Err(Errno::EISDIR),
        Some(_) if entry.node.kind().is_special() => {
            (Opened::Bytes(Arc::default()), Stamp(Vec::new()))
        }
        Some(Content::Bytes(bytes)) => (Opened::Bytes(bytes.clone()), Stamp(Vec::new())),
        Some(Content::Source(of)) => {
            let (file, stamp) = source(shared, ino, &entry, of)?;
            (Opened::File(file), stamp)
        }
    };
    if let Some(notifier) = shared.notifier.get()
        && matches!(what, Opened::File(_))
        && told.as_ref() != Some(&stamp)
    {
        notifier.drop_attributes(ino);
    }
    let mut reply = FopenFlags::FOPEN_NOFLUSH;
    let room = shared.pushes.begin(ino);
    let pushed = if is_first(shared, ino) {
        match (&what, room) {
            (Opened::File(file), Some(room)) if told.as_ref() == Some(&stamp) => {
                push(shared, ino, file, &stamp, room)
            }
            _ => false,
        }
    } else {
        drop(room);
        shared.pushes.wait(ino);
        false
    };
    if is_kept(shared, ino, stamp) || pushed {
        reply |= FopenFlags::FOPEN_KEEP_CACHE;
    }
    Ok((what, reply))
}

/// The open file behind a node that is fresh.
fn source(
    shared: &Shared,
    ino: u64,
    entry: &Entry,
    source: &SourceFile,
) -> Result<(Arc<File>, Stamp), Errno> {
    let seen = Stamp::of(entry.node.metadata());
    if let Some(file) = shared.files.get(ino, &seen) {
        // the number stands for this file, and it was there a moment ago
        return Ok((file, seen));
    }
    let (file, metadata) = source.open_with_metadata().map_err(|error| {
        shared.record().note_unreadable(&source.path(), &error);
        errno(&error)
    })?;
    if Identity::of(&entry.node) != Identity::Source(metadata.dev(), metadata.ino()) {
        return Err(Errno::ESTALE);
    }
    let (file, stamp) = (Arc::new(file), Stamp::of([&metadata]));
    if shared.options.cache != Cache::Off {
        shared.files.keep(ino, &file, &stamp);
    }
    Ok((file, stamp))
}

/// Whether the kernel cannot have pages of this file yet; from now on it may.
fn is_first(shared: &Shared, ino: u64) -> bool {
    let mut nodes = shared.nodes();
    let entry = nodes.get_mut(ino);
    entry.is_some_and(|entry| !std::mem::replace(&mut entry.has_pages, true))
}

/// Gives the kernel the content of a small file that is opened for the first time, so that it
/// need not ask for it. The stamp is what it knows of the file. Whether it has all of it now.
fn push(shared: &Shared, ino: u64, file: &File, stamp: &Stamp, _room: Push<'_>) -> bool {
    let Some(size) = stamp.size().and_then(|size| usize::try_from(size).ok()) else {
        return false;
    };
    if shared.options.cache == Cache::Off || !(1..=PUSHED).contains(&size) {
        return false;
    }
    let Some(notifier) = shared.notifier.get() else { return false };
    match read_at(file, 0, size) {
        Ok(data) if data.len() == size && notifier.store(ino, &data) => {}
        _ => return false,
    }
    // Changed meanwhile: the watcher may have told the kernel before it had these pages.
    let unchanged = file.metadata().is_ok_and(|now| Stamp::of([&now]) == *stamp);
    if !unchanged {
        notifier.drop_unread(ino);
    }
    unchanged
}
