//! Opening and listing a directory.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fuser::{Errno, FopenFlags, Generation, INodeNo, ReplyDirectoryPlus};
use spk_files::path::join;
use spk_package::view::NodeKind;

use crate::handles::{Handle, Opened};
use crate::kept;
use crate::look_up::{attributes, fresh, looked_at};
use crate::nodes::{ROOT, Stamp};
use crate::options::Cache;
use crate::record::Use;
use crate::shared::Shared;

/// Opens a directory for process `pid`.
pub fn open(shared: &Shared, pid: u32, ino: u64) -> Result<(Opened, FopenFlags), Errno> {
    let entry = fresh(shared, ino)?;
    if entry.node.kind() != NodeKind::Directory {
        return Err(Errno::ENOTDIR);
    }
    shared.note(&entry.path, Use::List, pid);
    kept::ttl(shared, &entry.path, &entry.node); // so that a change of the listing is seen
    let dirs = shared.view().source_dirs(&entry.node);
    let stamp = match dirs.as_slice() {
        // which was looked at just now
        [_] if ino != ROOT => Stamp::of(entry.node.metadata()),
        dirs => {
            let metadata: Vec<_> =
                dirs.iter().filter_map(|dir| std::fs::metadata(dir).ok()).collect();
            Stamp::of(&metadata)
        }
    };
    let mut reply = FopenFlags::FOPEN_CACHE_DIR;
    if kept::is_kept(shared, ino, stamp) {
        reply |= FopenFlags::FOPEN_KEEP_CACHE;
    }
    let what = Opened::Dir { node: entry.node, listing: OnceLock::new() };
    Ok((what, reply))
}

/// The names of an open directory, as they were when they were first asked for.
pub fn names<'a>(shared: &Shared, handle: &'a Handle) -> Result<&'a [(Vec<u8>, NodeKind)], Errno> {
    let Opened::Dir { node, listing } = &handle.what else { return Err(Errno::ENOTDIR) };
    if let Some(listing) = listing.get() {
        return Ok(listing);
    }
    let mut children: BTreeMap<_, _> =
        shared.view().children(node).map_err(|error| shared.failed(&error))?;
    if let Some(entry) = shared.nodes().get(handle.ino) {
        children.retain(|name, _| shared.is_shown(&join(&entry.path, name)));
    }
    let own = [(b".".to_vec(), NodeKind::Directory), (b"..".to_vec(), NodeKind::Directory)];
    Ok(listing.get_or_init(|| own.into_iter().chain(children).collect()))
}

/// The inode number of `..`.
pub fn parent_of(shared: &Shared, ino: u64) -> u64 {
    shared.nodes().get(ino).map_or(ROOT, |entry| entry.parent)
}

/// Adds entries from `offset` on until the reply is full.
pub fn fill_plus(
    shared: &Shared,
    handle: &Handle,
    offset: u64,
    reply: &mut ReplyDirectoryPlus,
) -> Result<(), Errno> {
    let listing = names(shared, handle)?;
    let Opened::Dir { node: dir, .. } = &handle.what else { return Err(Errno::ENOTDIR) };
    let path = shared.nodes().get(handle.ino).ok_or(Errno::ESTALE)?.path.clone();
    let ttl = kept::ttl(shared, &path, dir);
    let view = shared.view();
    let skip = usize::try_from(offset).unwrap_or(usize::MAX);
    for (index, (name, _)) in listing.iter().enumerate().skip(skip) {
        let next = index as u64 + 1;
        let os_name = OsStr::from_bytes(name);
        if index < 2 {
            // the kernel takes nothing but the name and number of these two
            let ino = if index == 0 { handle.ino } else { parent_of(shared, handle.ino) };
            let attr = attributes(shared, ino, dir);
            if reply.add(INodeNo(ino), next, os_name, &Duration::ZERO, &attr, Generation(0)) {
                break;
            }
            continue;
        }
        let node = match view.child(dir, name) {
            Ok(Some(node)) => Arc::new(node),
            Ok(None) => continue, // gone meanwhile
            Err(error) => {
                shared.failed(&error);
                continue;
            }
        };
        let interned = shared.nodes().intern(handle.ino, name, node.clone(), 0);
        let ino = interned.ok_or(Errno::ESTALE)?;
        let attr = attributes(shared, ino, &node);
        // A later look at an empty file has to arrive here, and one at what is in the first piece
        // of a listing: who lists has not asked for it by name, and the kernel wants further
        // pieces with attributes only where somebody looks at all of them.
        let arrives = offset == 0 && shared.options.cache != Cache::Frozen;
        let ttl = if arrives || looked_at(&node) == Use::Empty { Duration::ZERO } else { ttl };
        if reply.add(INodeNo(ino), next, os_name, &ttl, &attr, Generation(0)) {
            break;
        }
        shared.nodes().intern(handle.ino, name, node, 1);
    }
    Ok(())
}
