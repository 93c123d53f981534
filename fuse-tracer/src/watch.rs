//! Tells the kernel when a source changes, so that it may keep everything else (dev-mode §19.7).
//!
//! A directory is watched from the first time a name is looked up in it, before the look, so that
//! no change is lost in between. What inotify reports is brought to all package paths the source
//! directory is mapped to. Notifications are sent from the watcher's own thread only: the kernel
//! may have to wait for a request that is being answered.
//!
//! * Changed in place: its attributes and pages are dropped.
//! * Made, deleted, renamed: the name is dropped (also a name known not to be there), unless it
//!   still stands for the same file, and the directory's attributes and listing. A directory:
//!   everything below it too.
//! * Events lost: everything.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use fuser::INodeNo;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use nix::sys::statfs::statfs;
use spk_package::source_map::join;
use spk_package::view::{Layer, Node, NodeKind};

use crate::nodes::{Identity, ROOT};
use crate::shared::{Shared, lock};

/// File systems that do not tell of all changes: others change their files (network and host
/// folders), or there is nobody to tell (`proc`, `sys`). From `linux/magic.h` and the drivers.
const UNTOLD: [i64; 13] = [
    0x6969,      // nfs
    0x517b,      // smb
    0xff53_4d42, // cifs
    0xfe53_4d42, // smb2
    0x0102_1997, // 9p
    0x6573_5546, // fuse, also virtiofs
    0x786f_4256, // vboxsf
    0xbacb_acbc, // vmhgfs
    0x00c3_6400, // ceph
    0x5346_414f, // afs
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x6367_7270, // cgroup2
];

/// Paths remembered that were looked for and not there, so that the kernel can be told when a whole
/// directory changes. It keeps no others.
const MAX_MISSES: usize = 100_000;

const OF_INTEREST: AddWatchFlags = AddWatchFlags::IN_MODIFY
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR);
const COMES_OR_GOES: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO);
const WATCH_ENDS: AddWatchFlags = AddWatchFlags::IN_DELETE_SELF
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_IGNORED)
    .union(AddWatchFlags::IN_UNMOUNT);

/// Which source directories are watched, and for what.
pub struct Watch {
    inotify: Inotify,
    state: Mutex<State>,
    stop: (OwnedFd, Arc<OwnedFd>),
}

#[derive(Default)]
struct State {
    watches: HashMap<WatchDescriptor, HashSet<Target>>,
    /// By package path: the layers it had, and whether all of them are watched.
    covered: HashMap<Vec<u8>, (Vec<Layer>, bool)>,
    misses: BTreeSet<Vec<u8>>,
}

/// What a watched directory means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Target {
    /// It is merged into the directory at this package path.
    Dir(Vec<u8>),
    /// Its entry of this name is the source of a mapping with this package path.
    Root(OsString, Vec<u8>),
}

/// Ends the watcher's thread.
pub struct Stop(Arc<OwnedFd>);

impl Stop {
    /// Asks it to end.
    pub fn stop(&self) {
        let _ = nix::unistd::write(self.0.as_fd(), b"x");
    }
}

impl Watch {
    /// A watcher that watches nothing yet.
    pub fn new() -> Result<Watch, Errno> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        Ok(Watch { inotify, state: Mutex::default(), stop: (read, Arc::new(write)) })
    }

    /// Sees to it that the sources of the directory at `path` are watched; `false` if some
    /// cannot be.
    pub fn cover(&self, shared: &Shared, path: &[u8], dir: &Node) -> bool {
        let mut state = lock(&self.state);
        if let Some((layers, whole)) = state.covered.get(path)
            && layers == dir.layers()
        {
            return *whole;
        }
        let mut whole = true;
        for source in shared.view().source_dirs(dir) {
            // with the lock held: an event of the new watch has to find it
            match self.add(&mut state, &source, Target::Dir(path.to_vec())) {
                Ok(told) => whole &= told,
                // not there any more: its parent's watch tells when it comes back
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(error) => {
                    whole = false;
                    shared.remark(unwatched(error));
                }
            }
        }
        state.covered.insert(path.to_vec(), (dir.layers().to_vec(), whole));
        whole
    }

    /// Remembers a path that was not there; `false` if there are too many.
    pub fn missed(&self, path: Vec<u8>) -> bool {
        let mut state = lock(&self.state);
        let is_room = state.misses.len() < MAX_MISSES;
        if is_room {
            state.misses.insert(path);
        }
        is_room
    }

    /// Takes out what was missed at or below `path`.
    fn take_misses(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let mut state = lock(&self.state);
        if path.is_empty() {
            return std::mem::take(&mut state.misses).into_iter().collect();
        }
        let below = [path, b"/"].concat();
        let from =
            state.misses.range(path.to_vec()..).take_while(|missed| missed.starts_with(path));
        let inside = |missed: &&Vec<u8>| *missed == path || missed.starts_with(&below);
        let found: Vec<Vec<u8>> = from.filter(inside).cloned().collect();
        for missed in &found {
            state.misses.remove(missed);
        }
        found
    }

    fn add(&self, state: &mut State, dir: &Path, target: Target) -> Result<bool, Errno> {
        if let Ok(kind) = statfs(dir)
            && UNTOLD.contains(&kind.filesystem_type().0)
        {
            return Ok(false);
        }
        let descriptor = self.inotify.add_watch(dir, OF_INTEREST)?;
        state.watches.entry(descriptor).or_default().insert(target);
        Ok(true)
    }

    /// Everything that can be read now; `None` when events were lost.
    fn read(&self) -> Option<Vec<InotifyEvent>> {
        let mut events = Vec::new();
        while let Ok(more) = self.inotify.read_events() {
            events.extend(more);
        }
        let lost = |event: &InotifyEvent| event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
        (!events.iter().any(lost)).then_some(events)
    }

    /// What the events mean for the package.
    fn changes(&self, events: Vec<InotifyEvent>) -> BTreeSet<Change> {
        let mut state = lock(&self.state);
        let mut changes = BTreeSet::new();
        for event in events {
            if event.mask.intersects(WATCH_ENDS) {
                let targets = state.watches.remove(&event.wd).unwrap_or_default();
                for target in targets {
                    if let Target::Dir(path) = target {
                        state.covered.remove(&path);
                        changes.insert(Change::Below(path));
                    }
                }
                if event.mask.contains(AddWatchFlags::IN_MOVE_SELF) {
                    // it has another path now, which is not the package's business
                    let _ = self.inotify.rm_watch(event.wd);
                }
                continue;
            }
            let Some(name) = event.name else { continue };
            for target in state.watches.get(&event.wd).into_iter().flatten() {
                match target {
                    Target::Root(root, path) if *root == name => {
                        if event.mask.intersects(COMES_OR_GOES) {
                            changes.insert(Change::Below(path.clone()));
                        } else {
                            changes.insert(Change::Root(path.clone()));
                        }
                    }
                    Target::Root(..) => {}
                    Target::Dir(path) => {
                        let name = name.as_bytes().to_vec();
                        let path = path.clone();
                        changes.insert(if !event.mask.intersects(COMES_OR_GOES) {
                            Change::InPlace(path, name)
                        } else if event.mask.contains(AddWatchFlags::IN_ISDIR) {
                            Change::Below(join(&path, &name))
                        } else {
                            Change::Name(path, name)
                        });
                    }
                }
            }
        }
        changes
    }
}

/// What changed in the package. Names before what is in place: see [`in_place`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// A directory came or went: everything at this path.
    Below(Vec<u8>),
    /// Another file, or none, is under this name of the directory.
    Name(Vec<u8>, Vec<u8>),
    /// The file under this name of the directory changed.
    InPlace(Vec<u8>, Vec<u8>),
    /// The source of a mapping with this package path changed in place, which may be a file.
    Root(Vec<u8>),
}

impl Change {
    /// The package path concerned.
    fn path(&self) -> Vec<u8> {
        match self {
            Change::Below(path) | Change::Root(path) => path.clone(),
            Change::Name(dir, name) | Change::InPlace(dir, name) => join(dir, name),
        }
    }
}

/// Starts the watcher's thread, if there is a watcher.
pub fn spawn(shared: &Arc<Shared>) -> std::io::Result<Option<(Stop, JoinHandle<()>)>> {
    let Some(watch) = &shared.watch else { return Ok(None) };
    let stop = Stop(watch.stop.1.clone());
    watch_roots(shared);
    let shared = shared.clone();
    let thread =
        std::thread::Builder::new().name("fuse-watch".into()).spawn(move || run(&shared))?;
    Ok(Some((stop, thread)))
}

fn run(shared: &Shared) {
    let Some(watch) = &shared.watch else { return };
    loop {
        let mut fds = [
            PollFd::new(watch.inotify.as_fd(), PollFlags::POLLIN),
            PollFd::new(watch.stop.0.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        if fds[1].any().unwrap_or(true) {
            return;
        }
        match watch.read() {
            Some(events) => {
                for change in watch.changes(events) {
                    apply(shared, &change);
                    shared.tell_change(&change.path());
                }
            }
            None => {
                shared.remark("changes came faster than they could be followed; all was reread");
                invalidate_below(shared, b"");
            }
        }
    }
}

/// Watches the directories above the mappings' sources for the sources themselves: they may come,
/// go and be replaced.
pub fn watch_roots(shared: &Shared) {
    let Some(watch) = &shared.watch else { return };
    let view = shared.view();
    for mapping in view.source_map().mappings() {
        let Ok(source) = std::path::absolute(&mapping.source_path) else { continue };
        let (Some(parent), Some(name)) = (source.parent(), source.file_name()) else { continue };
        let target = Target::Root(name.to_owned(), mapping.package_path.clone());
        match watch.add(&mut lock(&watch.state), parent, target) {
            Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => {}
            Err(error) => shared.remark(unwatched(error)),
        }
    }
}

fn apply(shared: &Shared, change: &Change) {
    match change {
        Change::Below(path) => invalidate_below(shared, path),
        Change::Name(dir, name) => name_changed(shared, dir, name),
        Change::InPlace(dir, name) => in_place(shared, dir, name),
        Change::Root(path) if path.is_empty() => {
            let _ = changed(shared, ROOT);
        }
        Change::Root(path) => {
            let (dir, name) = split(path);
            in_place(shared, dir, name);
        }
    }
}

/// Drops the name, and what is kept of its directory.
fn name_changed(shared: &Shared, dir: &[u8], name: &[u8]) {
    // a directory the kernel does not know has no names it knows
    let Some(parent) = shared.nodes().ino(dir) else { return };
    let _ = changed(shared, parent);
    in_place(shared, dir, name);
}

/// Drops attributes and pages of a file that changed, and its name unless it stands for the same
/// file as before.
fn in_place(shared: &Shared, dir: &[u8], name: &[u8]) {
    let (parent, ino) = {
        let nodes = shared.nodes();
        (nodes.ino(dir), nodes.ino(&join(dir, name)))
    };
    let name_is_good = ino.is_some_and(|ino| changed(shared, ino) == NameIs::Good);
    if let (Some(parent), false) = (parent, name_is_good) {
        drop_name(shared, parent, name);
    }
}

/// What the kernel has under a node's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameIs {
    /// What is there.
    Good,
    /// Something else.
    Stale,
}

/// Drops what the kernel keeps of a node, but for its name, and says what that is.
///
/// A name is not dropped without need: with a directory's name go the working directories of
/// processes in it, and what is mounted on it or below. So the names of `var` and `tmp`, where a
/// sandbox mounts, are always good.
fn changed(shared: &Shared, ino: u64) -> NameIs {
    let name_is = refresh(shared, ino);
    if let Some(notifier) = shared.notifier.get() {
        // not known to the kernel: nothing to drop
        let _ = notifier.inval_inode(INodeNo(ino), 0, 0);
    }
    name_is
}

fn drop_name(shared: &Shared, parent: u64, name: &[u8]) {
    if let Some(notifier) = shared.notifier.get() {
        // not known to the kernel: nothing to drop
        let _ = notifier.inval_entry(INodeNo(parent), OsStr::from_bytes(name));
    }
}

/// Looks at a node's source again.
fn refresh(shared: &Shared, ino: u64) -> NameIs {
    let Some(entry) = shared.nodes().get(ino).cloned() else { return NameIs::Stale };
    let view = shared.view();
    let node = if ino == ROOT { Ok(Some(view.root())) } else { view.lookup(&entry.path) };
    let mut nodes = shared.nodes();
    let Some(known) = nodes.get_mut(ino) else { return NameIs::Stale };
    known.stamp = None;
    match node {
        Ok(Some(node)) if Identity::of(&node) == Identity::of(&known.node) => {
            known.node = Arc::new(node);
            match Identity::of(&known.node) {
                // A look-up that found the old attributes may be on its way to the kernel, which
                // locks the directory until it has the answer: dropping the name waits for it.
                Identity::Source(..) if !known.is_known => NameIs::Stale,
                _ => NameIs::Good,
            }
        }
        // gone or another: it stays what it was for those who have it open
        _ => {
            drop(nodes);
            shared.files.close(ino);
            NameIs::Stale
        }
    }
}

/// Drops everything at and below a package path.
pub fn invalidate_below(shared: &Shared, path: &[u8]) {
    let known = shared.nodes().below(path);
    if let Some(watch) = &shared.watch {
        let mut state = lock(&watch.state);
        for (_, entry) in &known {
            if entry.node.kind() == NodeKind::Directory {
                state.covered.remove(&entry.path[..]);
            }
        }
    }
    for (ino, entry) in &known {
        if changed(shared, *ino) == NameIs::Stale && *ino != ROOT {
            drop_name(shared, entry.parent, entry.name());
        }
    }
    let misses = shared.watch.as_ref().map(|watch| watch.take_misses(path));
    for missed in misses.unwrap_or_default() {
        let (dir, name) = split(&missed);
        let parent = shared.nodes().ino(dir);
        if let Some(parent) = parent {
            drop_name(shared, parent, name);
        }
    }
    if !path.is_empty() {
        // the name itself, whether or not there was something
        let (dir, name) = split(path);
        name_changed(shared, dir, name);
    }
}

/// The directory and the name of a package path that is not the root.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&b""[..], path),
    }
}

fn unwatched(error: Errno) -> String {
    let remedy = match error {
        Errno::ENOSPC => " (raise fs.inotify.max_user_watches)",
        _ => "",
    };
    format!("some sources cannot be watched, so changes are seen a second late: {error}{remedy}")
}
