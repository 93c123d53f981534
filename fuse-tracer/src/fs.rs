//! Request by request (dev-mode.md §10 and §12).
//!
//! Every open, of a file as of a directory, looks at the source again, whatever the kernel keeps:
//! if another file is there now, it answers `ESTALE`, upon which the kernel looks the name up anew
//! and tries once more; if the same file changed, the kernel drops what it kept. So an open never
//! meets old contents, even before the watcher has seen the change.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenAccMode, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, Request,
};
use spk_package::source_map::join;
use spk_package::view::{Content, NAME_MAX, Node, NodeKind};

use crate::attr::{self, BLOCK_SIZE, attributes};
use crate::nodes::{Entry, Identity, ROOT, Stamp};
use crate::record::Use;
use crate::shared::{Shared, errno};
use crate::tracer::Cache;

/// How long the kernel may keep what is watched, or is not to be seen changing.
const LONG: Duration = Duration::from_secs(3600);
/// How long it may keep names and attributes that nobody watches; as the original.
const SHORT: Duration = Duration::from_secs(1);
/// A source changed less than this before it was looked at may change once more without its times
/// telling: the clock of file times ticks every 4 ms (10 ms on some kernels).
const TICK_NS: i128 = 20_000_000;
/// The bit in `open`'s flags by which the kernel says that a file is opened to be executed
/// (`__FMODE_EXEC`).
const OPENED_FOR_EXEC: i32 = 0x20;
/// Inode number of listed names that were not looked up yet; what libfuse gives there.
const UNKNOWN_INO: u64 = 0xffff_ffff;

/// The file system that `fuser` calls.
pub struct TracedFs {
    shared: Arc<Shared>,
    handles: RwLock<HashMap<u64, Arc<Handle>>>,
    next_handle: AtomicU64,
}

struct Handle {
    ino: u64,
    what: Opened,
}

enum Opened {
    Bytes(Arc<[u8]>),
    File(File),
    Dir { node: Arc<Node>, listing: OnceLock<Vec<(Vec<u8>, NodeKind)>> },
}

impl TracedFs {
    pub fn new(shared: Arc<Shared>) -> TracedFs {
        TracedFs { shared, handles: RwLock::default(), next_handle: AtomicU64::new(1) }
    }

    /// The node as it is now, if it is still the same file.
    fn fresh(&self, ino: u64) -> Result<Entry, Errno> {
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
                }
                Ok(entry)
            }
            Ok(_) => Err(Errno::ESTALE),
            Err(error) => Err(self.shared.failed(&error)),
        }
    }

    /// How long the kernel may keep what it learns of names in this directory.
    fn ttl(&self, path: &[u8], dir: &Node) -> Duration {
        match (self.shared.options.cache, &self.shared.watch) {
            (Cache::Off, _) => Duration::ZERO,
            (Cache::Frozen, _) => LONG,
            (Cache::Watched, Some(watch)) if watch.cover(&self.shared, path, dir) => LONG,
            (Cache::Watched, _) => SHORT,
        }
    }

    fn attributes(&self, ino: u64, node: &Node) -> FileAttr {
        attributes(ino, node, self.shared.options.ownership())
    }

    fn add_handle(&self, ino: u64, what: Opened) -> FileHandle {
        let number = self.next_handle.fetch_add(1, Ordering::Relaxed);
        let handle = Arc::new(Handle { ino, what });
        self.handles.write().unwrap_or_else(PoisonError::into_inner).insert(number, handle);
        FileHandle(number)
    }

    fn handle(&self, handle: FileHandle) -> Result<Arc<Handle>, Errno> {
        let handles = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        handles.get(&handle.0).cloned().ok_or(Errno::EBADF)
    }

    fn drop_handle(&self, handle: FileHandle) {
        self.handles.write().unwrap_or_else(PoisonError::into_inner).remove(&handle.0);
    }

    fn is_open(&self, ino: u64) -> bool {
        let handles = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        handles.values().any(|handle| handle.ino == ino)
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

    fn do_lookup(&self, pid: u32, parent: u64, name: &[u8]) -> Result<Found, Errno> {
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
                if let (ROOT, Some(watch)) = (parent, &self.shared.watch) {
                    watch.missed_in_root(name);
                }
                Ok(Found { ttl, node: None })
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

    fn do_open(
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
                let file = source.open().map_err(|error| {
                    self.shared.record().note_unreadable(&source.path(), &error);
                    errno(&error)
                })?;
                let metadata = file.metadata().map_err(|error| errno(&error))?;
                let stamp = Stamp::of([&metadata]);
                let same =
                    Identity::of(&entry.node) == Identity::Source(stamp.0[0].0, stamp.0[0].1);
                if !same {
                    return Err(Errno::ESTALE);
                }
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
        if self.is_kept(ino, stamp) {
            reply |= FopenFlags::FOPEN_KEEP_CACHE;
        }
        Ok((self.add_handle(ino, what), reply))
    }

    fn do_opendir(&self, pid: u32, ino: u64) -> Result<(FileHandle, FopenFlags), Errno> {
        let entry = self.fresh(ino)?;
        if entry.node.kind() != NodeKind::Directory {
            return Err(Errno::ENOTDIR);
        }
        if ino != ROOT {
            self.shared.note(&entry.path, Use::List, pid);
        }
        self.ttl(&entry.path, &entry.node); // so that a change of the listing is seen
        let view = self.shared.view();
        let dirs = view.source_dirs(&entry.node);
        let metadata: Vec<_> = dirs.iter().filter_map(|dir| std::fs::metadata(dir).ok()).collect();
        let mut reply = FopenFlags::FOPEN_CACHE_DIR;
        if self.is_kept(ino, Stamp::of(&metadata)) {
            reply |= FopenFlags::FOPEN_KEEP_CACHE;
        }
        let what = Opened::Dir { node: entry.node, listing: OnceLock::new() };
        Ok((self.add_handle(ino, what), reply))
    }

    /// The names of an open directory, as they were when they were first asked for.
    fn listing<'a>(&self, handle: &'a Handle) -> Result<&'a [(Vec<u8>, NodeKind)], Errno> {
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

    fn parent_of(&self, ino: u64) -> u64 {
        self.shared.nodes().get(ino).map_or(ROOT, |entry| entry.parent)
    }

    /// Adds entries from `offset` on until the reply is full.
    fn fill_plus(
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

struct Found {
    ttl: Duration,
    node: Option<(u64, Arc<Node>)>,
}

/// What looking at a node's attributes is recorded as.
fn looked_at(node: &Node) -> Use {
    if node.kind() == NodeKind::File && node.size() == 0 { Use::Empty } else { Use::Stat }
}

fn now_ns() -> i128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(now.as_nanos()).unwrap_or(i128::MAX)
}

/// Reads until `size` bytes or the end.
fn read_at(file: &File, offset: u64, size: usize) -> io::Result<Vec<u8>> {
    let mut data = vec![0; size];
    let mut length = 0;
    while length < size {
        match file.read_at(&mut data[length..], offset + length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    data.truncate(length);
    Ok(data)
}

/// What a negative answer carries besides its number, 0: nothing that is looked at.
const NOTHING: FileAttr = FileAttr {
    ino: INodeNo(0),
    size: 0,
    blocks: 0,
    atime: UNIX_EPOCH,
    mtime: UNIX_EPOCH,
    ctime: UNIX_EPOCH,
    crtime: UNIX_EPOCH,
    kind: FileType::RegularFile,
    perm: 0,
    nlink: 0,
    uid: 0,
    gid: 0,
    rdev: 0,
    blksize: 0,
    flags: 0,
};

/// What is not here answers `ENOSYS` by `fuser`'s default: flush, access, xattrs, ioctl, poll,
/// lseek, locks, and everything that modifies, which the kernel refuses by itself on a read-only
/// mount. It then does without, and does not ask again.
impl Filesystem for TracedFs {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for flag in [
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_CACHE_SYMLINKS,
            InitFlags::FUSE_AUTO_INVAL_DATA,
        ] {
            // an old kernel does without
            let _ = config.add_capabilities(flag);
        }
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.do_lookup(request.pid(), parent.0, name.as_bytes()) {
            Ok(Found { ttl, node: Some((ino, node)) }) => {
                reply.entry(&ttl, &self.attributes(ino, &node), Generation(0));
            }
            Ok(Found { ttl, node: None }) if name.len() <= NAME_MAX => {
                reply.entry(&ttl, &NOTHING, Generation(0));
            }
            Ok(_) => reply.error(Errno::ENAMETOOLONG),
            Err(error) => reply.error(error),
        }
    }

    fn forget(&self, _request: &Request, ino: INodeNo, lookups: u64) {
        self.shared.nodes().forget(ino.0, lookups);
    }

    fn getattr(
        &self,
        request: &Request,
        ino: INodeNo,
        _handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        let entry = match self.fresh(ino.0) {
            Ok(entry) => entry,
            // replaced or deleted, but open: as it was
            Err(error) if error == Errno::ESTALE && self.is_open(ino.0) => {
                match self.shared.nodes().get(ino.0).cloned() {
                    Some(entry) => entry,
                    None => return reply.error(error),
                }
            }
            Err(error) => return reply.error(error),
        };
        if looked_at(&entry.node) == Use::Empty {
            self.shared.note(&entry.path, Use::Empty, request.pid());
        }
        let parent = self.shared.nodes().get(entry.parent).cloned();
        let ttl = parent.map_or(SHORT, |parent| self.ttl(&parent.path, &parent.node));
        reply.attr(&ttl, &self.attributes(ino.0, &entry.node));
    }

    fn readlink(&self, request: &Request, ino: INodeNo, reply: ReplyData) {
        let text = self.fresh(ino.0).and_then(|entry| {
            self.shared.note(&entry.path, Use::Link, request.pid());
            entry.node.read_link().map_err(|error| errno(&error))
        });
        match text {
            Ok(text) => reply.data(&text),
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.do_open(request.pid(), ino.0, flags) {
            Ok((handle, flags)) => reply.opened(handle, flags),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let handle = match self.handle(handle) {
            Ok(handle) => handle,
            Err(error) => return reply.error(error),
        };
        match &handle.what {
            Opened::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let end = start.saturating_add(size as usize).min(bytes.len());
                reply.data(&bytes[start..end]);
            }
            Opened::File(file) => match read_at(file, offset, size as usize) {
                Ok(data) => reply.data(&data),
                Err(error) => reply.error(errno(&error)),
            },
            Opened::Dir { .. } => reply.error(Errno::EISDIR),
        }
    }

    fn release(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.drop_handle(handle);
        reply.ok();
    }

    fn opendir(&self, request: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.do_opendir(request.pid(), ino.0) {
            Ok((handle, flags)) => reply.opened(handle, flags),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let handle = match self.handle(handle) {
            Ok(handle) => handle,
            Err(error) => return reply.error(error),
        };
        let listing = match self.listing(&handle) {
            Ok(listing) => listing,
            Err(error) => return reply.error(error),
        };
        let path = self.shared.nodes().get(ino.0).map(|entry| entry.path.clone());
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, (name, kind)) in listing.iter().enumerate().skip(skip) {
            let number = match (index, &path) {
                (0, _) => ino.0,
                (1, _) => self.parent_of(ino.0),
                (_, Some(path)) => {
                    self.shared.nodes().ino(&join(path, name)).unwrap_or(UNKNOWN_INO)
                }
                (_, None) => UNKNOWN_INO,
            };
            let name = OsStr::from_bytes(name);
            if reply.add(INodeNo(number), index as u64 + 1, attr::kind(*kind), name) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let filled =
            self.handle(handle).and_then(|handle| self.fill_plus(&handle, offset, &mut reply));
        match filled {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    fn releasedir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.drop_handle(handle);
        reply.ok();
    }

    fn statfs(&self, _request: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        reply.statfs(0, 0, 0, 0, 0, BLOCK_SIZE, NAME_MAX as u32, BLOCK_SIZE);
    }
}
