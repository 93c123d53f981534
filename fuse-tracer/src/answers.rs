//! What is answered to look-ups, opens and listings.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    Errno, FileAttr, FileHandle, FopenFlags, Generation, INodeNo, OpenAccMode, OpenFlags,
    ReplyDirectoryPlus,
};
use spk_package::source_map::join;
use spk_package::view::{Content, Node, NodeKind, SourceFile};

use crate::attr::attributes;
use crate::fs::TracedFs;
use crate::handles::{Handle, Opened, read_at};
use crate::nodes::{Entry, Identity, ROOT, Stamp};
use crate::record::Use;
use crate::shared::errno;
use crate::tracer::Cache;

/// How long the kernel may keep what is watched, or is not to be seen changing.
const LONG: Duration = Duration::from_secs(3600);
/// How long it may keep names and attributes that nobody watches; as the original.
pub const SHORT: Duration = Duration::from_secs(1);
/// A source changed less than this before it was looked at may change once more without its times
/// telling: the clock of file times ticks every 4 ms (10 ms on some kernels).
const TICK_NS: i128 = 20_000_000;
/// The bit in `open`'s flags by which the kernel says that a file is opened to be executed
/// (`__FMODE_EXEC`).
const OPENED_FOR_EXEC: i32 = 0x20;
/// Files up to this length are given to the kernel whole when they are first opened. A request to
/// read, of at most 128 KiB, takes as long as copying about this much.
const PUSHED: usize = 512 << 10;

impl TracedFs {
    /// The node as it is now, if it is still the same file.
    pub fn fresh(&self, ino: u64) -> Result<Entry, Errno> {
        let (mut entry, parent) = {
            let nodes = self.shared.nodes();
            let entry = nodes.get(ino).cloned().ok_or(Errno::ESTALE)?;
            let parent = nodes.get(entry.parent).map(|parent| parent.node.clone());
            (entry, parent)
        };
        let view = self.shared.view();
        let found = match parent {
            _ if ino == ROOT => Ok(Some(view.root())),
            Some(parent) => view.child(&parent, entry.name()),
            None => view.lookup(&entry.path),
        };
        match found {
            Ok(Some(node)) if Identity::of(&node) == Identity::of(&entry.node) => {
                entry.node = Arc::new(node);
                if let Some(known) = self.shared.nodes().get_mut(ino) {
                    known.node = entry.node.clone();
                    known.is_known = true;
                }
                Ok(entry)
            }
            Ok(_) => Err(Errno::ESTALE),
            Err(error) => Err(self.shared.failed(&error)),
        }
    }

    /// How long the kernel may keep what it learns of names in this directory.
    pub fn ttl(&self, path: &[u8], dir: &Node) -> Duration {
        match (self.shared.options.cache, &self.shared.watch) {
            (Cache::Off, _) => Duration::ZERO,
            (Cache::Frozen, _) => LONG,
            (Cache::Watched, Some(watch)) if watch.cover(&self.shared, path, dir) => LONG,
            (Cache::Watched, _) => SHORT,
        }
    }

    pub fn attributes(&self, ino: u64, node: &Node) -> FileAttr {
        attributes(ino, node, self.shared.ownership())
    }

    /// Whether what the kernel keeps of `ino` is what `stamp` says; remembers it for next time.
    fn is_kept(&self, ino: u64, stamp: Stamp) -> bool {
        if self.shared.options.cache == Cache::Off {
            return false;
        }
        let mut nodes = self.shared.nodes();
        let Some(entry) = nodes.get_mut(ino) else { return false };
        let kept = entry.stamp.as_ref() == Some(&stamp);
        entry.stamp = (now_ns() - stamp.newest() > TICK_NS).then_some(stamp);
        kept
    }

    pub fn do_lookup(&self, pid: u32, parent: u64, name: &[u8]) -> Result<Found, Errno> {
        let dir = self.shared.nodes().get(parent).cloned().ok_or(Errno::ESTALE)?;
        // watch first, look then: a change in between is told of
        let ttl = self.ttl(&dir.path, &dir.node);
        let found = self.shared.view().child(&dir.node, name);
        let path = join(&dir.path, name);
        let shown = self.shared.is_shown(&path);
        match found.map_err(|error| self.shared.failed(&error))?.ok_or(Use::Miss) {
            Ok(_) if !shown => {
                self.shared.note(&path, Use::Withheld, pid);
                Ok(Found { ttl, node: None })
            }
            Err(missed) => {
                self.shared.note(&path, missed, pid);
                let remembered = self.shared.watch.as_ref().is_none_or(|watch| watch.missed(path));
                Ok(Found { ttl: if remembered { ttl } else { Duration::ZERO }, node: None })
            }
            Ok(node) => {
                let node = Arc::new(node);
                let interned = self.shared.nodes().intern(parent, name, node.clone(), 1);
                let ino = interned.ok_or(Errno::ESTALE)?;
                self.shared.note(&path, looked_at(&node), pid);
                Ok(Found { ttl, node: Some((ino, node)) })
            }
        }
    }

    pub fn do_open(
        &self,
        pid: u32,
        ino: u64,
        flags: OpenFlags,
    ) -> Result<(FileHandle, FopenFlags), Errno> {
        if flags.acc_mode() != OpenAccMode::O_RDONLY {
            return Err(Errno::EROFS);
        }
        let told = self.shared.nodes().get(ino).map(|entry| Stamp::of(entry.node.metadata()));
        let entry = self.fresh(ino)?;
        let kind = if flags.0 & OPENED_FOR_EXEC != 0 { Use::Exec } else { Use::Read };
        self.shared.note(&entry.path, kind, pid);
        let (what, stamp) = match entry.node.content() {
            None => return Err(Errno::EISDIR),
            Some(_) if entry.node.kind().is_special() => {
                (Opened::Bytes(Arc::default()), Stamp(Vec::new()))
            }
            Some(Content::Bytes(bytes)) => (Opened::Bytes(bytes.clone()), Stamp(Vec::new())),
            Some(Content::Source(source)) => {
                let (file, stamp) = self.source(ino, &entry, source)?;
                (Opened::File(file), stamp)
            }
        };
        if let Some(notifier) = self.shared.notifier.get()
            && matches!(what, Opened::File(_))
            && told.as_ref() != Some(&stamp)
        {
            // the attributes alone, which needs no page and so may be said from here
            let _ = notifier.inval_inode(INodeNo(ino), -1, 0);
        }
        let mut reply = FopenFlags::FOPEN_NOFLUSH;
        let is_first = self.is_first(ino) && told.as_ref() == Some(&stamp);
        let pushed = match &what {
            Opened::File(file) if is_first => self.push(ino, file, &stamp),
            _ => false,
        };
        if self.is_kept(ino, stamp) || pushed {
            reply |= FopenFlags::FOPEN_KEEP_CACHE;
        }
        Ok((self.handles.add(ino, what), reply))
    }

    /// The open file behind a node that is fresh.
    fn source(
        &self,
        ino: u64,
        entry: &Entry,
        source: &SourceFile,
    ) -> Result<(Arc<File>, Stamp), Errno> {
        let seen = Stamp::of(entry.node.metadata());
        if let Some(file) = self.shared.files.get(ino, &seen) {
            // the number stands for this file, and it was there a moment ago
            return Ok((file, seen));
        }
        let (file, metadata) = source.open_with_metadata().map_err(|error| {
            self.shared.record().note_unreadable(&source.path(), &error);
            errno(&error)
        })?;
        if Identity::of(&entry.node) != Identity::Source(metadata.dev(), metadata.ino()) {
            return Err(Errno::ESTALE);
        }
        let (file, stamp) = (Arc::new(file), Stamp::of([&metadata]));
        if self.shared.options.cache != Cache::Off {
            self.shared.files.keep(ino, &file, &stamp);
        }
        Ok((file, stamp))
    }

    /// Whether the kernel cannot have pages of this file yet; from now on it may.
    fn is_first(&self, ino: u64) -> bool {
        let mut nodes = self.shared.nodes();
        let entry = nodes.get_mut(ino);
        entry.is_some_and(|entry| !std::mem::replace(&mut entry.has_pages, true))
    }

    /// Gives the kernel the content of a small file that is opened for the first time, so that it
    /// need not ask for it. The stamp is what it knows of the file. Whether it has all of it now.
    ///
    /// The kernel waits for pages that somebody reads just now, and so for another of our threads;
    /// as one at a time pushes, there is one. Whoever opens the file at the same moment reads it
    /// the usual way.
    fn push(&self, ino: u64, file: &File, stamp: &Stamp) -> bool {
        let Some(size) = stamp.size().and_then(|size| usize::try_from(size).ok()) else {
            return false;
        };
        if self.shared.options.cache == Cache::Off || !(1..=PUSHED).contains(&size) {
            return false;
        }
        let (Some(notifier), Ok(_one)) =
            (self.shared.notifier.get(), self.shared.pushing.try_lock())
        else {
            return false;
        };
        match read_at(file, 0, size) {
            Ok(data) if data.len() == size => {
                if notifier.store(INodeNo(ino), 0, &data).is_err() {
                    return false;
                }
            }
            _ => return false,
        }
        // Changed meanwhile: the watcher may have told the kernel before it had these pages.
        let unchanged = file.metadata().is_ok_and(|now| Stamp::of([&now]) == *stamp);
        if !unchanged {
            let _ = notifier.inval_inode(INodeNo(ino), 0, 0);
        }
        unchanged
    }

    pub fn do_opendir(&self, pid: u32, ino: u64) -> Result<(FileHandle, FopenFlags), Errno> {
        let entry = self.fresh(ino)?;
        if entry.node.kind() != NodeKind::Directory {
            return Err(Errno::ENOTDIR);
        }
        if ino != ROOT {
            self.shared.note(&entry.path, Use::List, pid);
        }
        self.ttl(&entry.path, &entry.node); // so that a change of the listing is seen
        let dirs = self.shared.view().source_dirs(&entry.node);
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
        if self.is_kept(ino, stamp) {
            reply |= FopenFlags::FOPEN_KEEP_CACHE;
        }
        let what = Opened::Dir { node: entry.node, listing: OnceLock::new() };
        Ok((self.handles.add(ino, what), reply))
    }

    /// The names of an open directory, as they were when they were first asked for.
    pub fn listing<'a>(&self, handle: &'a Handle) -> Result<&'a [(Vec<u8>, NodeKind)], Errno> {
        let Opened::Dir { node, listing } = &handle.what else { return Err(Errno::ENOTDIR) };
        if let Some(listing) = listing.get() {
            return Ok(listing);
        }
        let mut children: BTreeMap<_, _> =
            self.shared.view().children(node).map_err(|error| self.shared.failed(&error))?;
        if let Some(entry) = self.shared.nodes().get(handle.ino) {
            children.retain(|name, _| self.shared.is_shown(&join(&entry.path, name)));
        }
        let own = [(b".".to_vec(), NodeKind::Directory), (b"..".to_vec(), NodeKind::Directory)];
        Ok(listing.get_or_init(|| own.into_iter().chain(children).collect()))
    }

    pub fn parent_of(&self, ino: u64) -> u64 {
        self.shared.nodes().get(ino).map_or(ROOT, |entry| entry.parent)
    }

    /// Adds entries from `offset` on until the reply is full.
    pub fn fill_plus(
        &self,
        handle: &Handle,
        offset: u64,
        reply: &mut ReplyDirectoryPlus,
    ) -> Result<(), Errno> {
        let listing = self.listing(handle)?;
        let Opened::Dir { node: dir, .. } = &handle.what else { return Err(Errno::ENOTDIR) };
        let path = self.shared.nodes().get(handle.ino).ok_or(Errno::ESTALE)?.path.clone();
        let ttl = self.ttl(&path, dir);
        let view = self.shared.view();
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, (name, _)) in listing.iter().enumerate().skip(skip) {
            let next = index as u64 + 1;
            let os_name = OsStr::from_bytes(name);
            if index < 2 {
                // the kernel takes nothing but the name and number of these two
                let ino = if index == 0 { handle.ino } else { self.parent_of(handle.ino) };
                let attr = self.attributes(ino, dir);
                if reply.add(INodeNo(ino), next, os_name, &Duration::ZERO, &attr, Generation(0)) {
                    break;
                }
                continue;
            }
            let node = match view.child(dir, name) {
                Ok(Some(node)) => Arc::new(node),
                Ok(None) => continue, // gone meanwhile
                Err(error) => {
                    self.shared.failed(&error);
                    continue;
                }
            };
            let interned = self.shared.nodes().intern(handle.ino, name, node.clone(), 0);
            let ino = interned.ok_or(Errno::ESTALE)?;
            let attr = self.attributes(ino, &node);
            // a later look at an empty file has to arrive here
            let ttl = if looked_at(&node) == Use::Empty { Duration::ZERO } else { ttl };
            if reply.add(INodeNo(ino), next, os_name, &ttl, &attr, Generation(0)) {
                break;
            }
            self.shared.nodes().intern(handle.ino, name, node, 1);
        }
        Ok(())
    }
}

/// What a look-up found, and for how long the kernel may keep it.
pub struct Found {
    pub ttl: Duration,
    pub node: Option<(u64, Arc<Node>)>,
}

/// What looking at a node's attributes is recorded as.
pub fn looked_at(node: &Node) -> Use {
    if node.kind() == NodeKind::File && node.size() == 0 { Use::Empty } else { Use::Stat }
}

fn now_ns() -> i128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(now.as_nanos()).unwrap_or(i128::MAX)
}
