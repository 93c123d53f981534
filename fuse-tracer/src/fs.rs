//! Request by request (dev-mode §10 and §12).
//!
//! Every open, of a file as of a directory, looks at the source again, whatever the kernel keeps:
//! if another file is there now, it answers `ESTALE`, upon which the kernel looks the name up anew
//! and tries once more; if the same file changed, the kernel drops what it kept. So an open never
//! meets old contents, even before the watcher has seen the change.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fuser::{
    AccessFlags, BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation,
    INodeNo, InitFlags, KernelConfig, LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, Request, TimeOrNow,
};
use spk_files::path::join;
use spk_package::view::NAME_MAX;

use crate::attr::{self, BLOCK_SIZE};
use crate::handles::{Handles, Opened, read_at};
use crate::look_up::{Found, attributes, fresh, look_up, looked_at};
use crate::record::Use;
use crate::request_counts::Request as Kind;
use crate::shared::{Shared, errno};
use crate::{kept, list, open};

/// Inode number of listed names that were not looked up yet; what libfuse gives there.
const UNKNOWN_INO: u64 = 0xffff_ffff;

/// The file system that `fuser` calls.
pub struct TracedFs {
    pub shared: Arc<Shared>,
    pub handles: Handles,
}

impl TracedFs {
    pub fn new(shared: Arc<Shared>) -> TracedFs {
        TracedFs { shared, handles: Handles::default() }
    }

    /// Records that somebody wants to change what is at a node, or at a name in it.
    fn refuse(&self, request: &Request, ino: INodeNo, name: Option<&OsStr>) -> Errno {
        let at = self.shared.nodes().get(ino.0).map(|entry| entry.path.clone());
        if let Some(at) = at {
            let path = name.map_or_else(|| at.to_vec(), |name| join(&at, name.as_bytes()));
            self.shared.note(&path, Use::Write, request.pid());
        }
        Errno::EROFS
    }
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

/// What is not here answers `ENOSYS` by `fuser`'s default: flush, xattrs, ioctl, poll, lseek, locks.
/// The kernel then does without, and does not ask again. What modifies, the kernel refuses by
/// itself on a read-only mount; where they reach us ([`Options::writes_reach_server`](crate::Options)), we do.
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
        self.shared.requests.count(Kind::Lookup);
        self.shared.note_asker(request.uid(), request.gid());
        match look_up(&self.shared, request.pid(), parent.0, name.as_bytes()) {
            Ok(Found { ttl, node: Some((ino, node)) }) => {
                reply.entry(&ttl, &attributes(&self.shared, ino, &node), Generation(0));
            }
            Ok(Found { ttl, node: None }) if name.len() <= NAME_MAX => {
                reply.entry(&ttl, &NOTHING, Generation(0));
            }
            Ok(_) => reply.error(Errno::ENAMETOOLONG),
            Err(error) => reply.error(error),
        }
    }

    fn forget(&self, _request: &Request, ino: INodeNo, lookups: u64) {
        self.shared.requests.count(Kind::Forget);
        let forgotten = self.shared.nodes().forget(ino.0, lookups);
        if forgotten {
            self.shared.files.close(ino.0);
        }
    }

    fn getattr(
        &self,
        request: &Request,
        ino: INodeNo,
        _handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        self.shared.requests.count(Kind::Getattr);
        self.shared.note_asker(request.uid(), request.gid());
        let entry = match fresh(&self.shared, ino.0) {
            Ok(entry) => entry,
            // replaced or deleted, but open: as it was
            Err(error) if error == Errno::ESTALE && self.handles.has(ino.0) => {
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
        let ttl = parent
            .map_or(kept::SHORT, |parent| kept::ttl(&self.shared, &parent.path, &parent.node));
        reply.attr(&ttl, &attributes(&self.shared, ino.0, &entry.node));
    }

    fn readlink(&self, request: &Request, ino: INodeNo, reply: ReplyData) {
        self.shared.requests.count(Kind::Readlink);
        let text = fresh(&self.shared, ino.0).and_then(|entry| {
            self.shared.note(&entry.path, Use::Link, request.pid());
            entry.node.read_link().map_err(|error| errno(&error))
        });
        match text {
            Ok(text) => reply.data(&text),
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.shared.requests.count(Kind::Open);
        if flags.acc_mode() != OpenAccMode::O_RDONLY {
            return reply.error(self.refuse(request, ino, None));
        }
        match open::open(&self.shared, request.pid(), ino.0, flags) {
            Ok((what, flags)) => reply.opened(self.handles.add(ino.0, what), flags),
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
        self.shared.requests.count(Kind::Read);
        let handle = match self.handles.get(handle) {
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
        self.shared.requests.count(Kind::Release);
        self.handles.remove(handle);
        reply.ok();
    }

    fn opendir(&self, request: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        self.shared.requests.count(Kind::Opendir);
        match list::open(&self.shared, request.pid(), ino.0) {
            Ok((what, flags)) => reply.opened(self.handles.add(ino.0, what), flags),
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
        self.shared.requests.count(Kind::Readdir);
        let handle = match self.handles.get(handle) {
            Ok(handle) => handle,
            Err(error) => return reply.error(error),
        };
        let listing = match list::names(&self.shared, &handle) {
            Ok(listing) => listing,
            Err(error) => return reply.error(error),
        };
        let path = self.shared.nodes().get(ino.0).map(|entry| entry.path.clone());
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, (name, kind)) in listing.iter().enumerate().skip(skip) {
            let number = match (index, &path) {
                (0, _) => ino.0,
                (1, _) => list::parent_of(&self.shared, ino.0),
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
        self.shared.requests.count(Kind::Readdirplus);
        let filled = self
            .handles
            .get(handle)
            .and_then(|handle| list::fill_plus(&self.shared, &handle, offset, &mut reply));
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
        self.shared.requests.count(Kind::Releasedir);
        self.handles.remove(handle);
        reply.ok();
    }

    fn statfs(&self, _request: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        reply.statfs(0, 0, 0, 0, 0, BLOCK_SIZE, NAME_MAX as u32, BLOCK_SIZE);
    }

    fn access(&self, _request: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        if !self.shared.options.writes_reach_server {
            // checked by the kernel (`default_permissions`), or granted
            return reply.error(Errno::ENOSYS);
        }
        let entry = self.shared.nodes().get(ino.0).cloned();
        let Some(entry) = entry else { return reply.error(Errno::ESTALE) };
        let executable = attributes(&self.shared, ino.0, &entry.node).perm & 0o111 != 0;
        if mask.contains(AccessFlags::W_OK) {
            reply.error(Errno::EROFS);
        } else if mask.contains(AccessFlags::X_OK) && !executable {
            reply.error(Errno::EACCES);
        } else {
            reply.ok();
        }
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        _size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.error(self.refuse(request, ino, None));
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        reply.error(self.refuse(request, parent, Some(name)));
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        reply.error(self.refuse(request, parent, Some(name)));
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        reply.error(self.refuse(request, parent, Some(name)));
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply.error(self.refuse(request, parent, Some(name)));
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply.error(self.refuse(request, parent, Some(name)));
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        _target: &Path,
        reply: ReplyEntry,
    ) {
        reply.error(self.refuse(request, parent, Some(name)));
    }

    fn link(
        &self,
        request: &Request,
        _ino: INodeNo,
        parent: INodeNo,
        name: &OsStr,
        reply: ReplyEntry,
    ) {
        reply.error(self.refuse(request, parent, Some(name)));
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        _new_parent: INodeNo,
        _new_name: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(self.refuse(request, parent, Some(name)));
    }
}
