//! What changes in the sources.
//!
//! A directory is watched from the first time a name is looked up in it, before the look, so that
//! no change is lost in between. What inotify reports is brought to all package paths the source
//! directory is mapped to. What follows from a change: [`follow_changes`](crate::follow_changes).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use nix::sys::statfs::statfs;
use spk_files::path::join;
use spk_package::view::{Layer, Node, View};

use crate::lock::lock;

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
    pub fn cover(&self, view: &View, path: &[u8], dir: &Node, remark: impl Fn(String)) -> bool {
        let mut state = lock(&self.state);
        if let Some((layers, whole)) = state.covered.get(path)
            && layers == dir.layers()
        {
            return *whole;
        }
        let mut whole = true;
        for source in view.source_dirs(dir) {
            // with the lock held: an event of the new watch has to find it
            match self.add(&mut state, &source, Target::Dir(path.to_vec())) {
                Ok(told) => whole &= told,
                // not there any more: its parent's watch tells when it comes back
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(error) => {
                    whole = false;
                    remark(unwatched(error));
                }
            }
        }
        state.covered.insert(path.to_vec(), (dir.layers().to_vec(), whole));
        whole
    }

    /// Forgets that these directories are watched, so that they are covered anew.
    pub fn uncover<'a>(&self, paths: impl Iterator<Item = &'a [u8]>) {
        let mut state = lock(&self.state);
        for path in paths {
            state.covered.remove(path);
        }
    }

    /// Watches the directories above the mappings' sources for the sources themselves: they may
    /// come, go and be replaced.
    pub fn cover_roots(&self, view: &View, remark: impl Fn(String)) {
        for mapping in view.source_map().mappings() {
            let Ok(source) = std::path::absolute(&mapping.source_path) else { continue };
            let (Some(parent), Some(name)) = (source.parent(), source.file_name()) else {
                continue;
            };
            let target = Target::Root(name.to_owned(), mapping.package_path.clone());
            match self.add(&mut lock(&self.state), parent, target) {
                Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => {}
                Err(error) => remark(unwatched(error)),
            }
        }
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
    pub fn take_misses(&self, path: &[u8]) -> Vec<Vec<u8>> {
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
        tracing::debug!(dir = %dir.display(), "directory watched");
        state.watches.entry(descriptor).or_default().insert(target);
        Ok(true)
    }

    /// What ends [`wait`](Watch::wait).
    pub fn stop(&self) -> Stop {
        Stop(self.stop.1.clone())
    }

    /// Waits for changes, or until it is stopped.
    pub fn wait(&self) -> News {
        loop {
            let mut fds = [
                PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.stop.0.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                Err(_) => return News::Stopped,
                Ok(_) => {}
            }
            if fds[1].any().unwrap_or(true) {
                return News::Stopped;
            }
            return self.read().map_or(News::Lost, |events| News::Changes(self.changes(events)));
        }
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

/// What [`Watch::wait`] waited for.
pub enum News {
    /// In the order in which they are to be followed.
    Changes(BTreeSet<Change>),
    /// There were too many to be told of.
    Lost,
    /// It is over.
    Stopped,
}

/// What changed in the package. Names before what is in place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
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
    pub fn path(&self) -> Vec<u8> {
        match self {
            Change::Below(path) | Change::Root(path) => path.clone(),
            Change::Name(dir, name) | Change::InPlace(dir, name) => join(dir, name),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Change::Below(_) => "all of",
            Change::Name(..) => "the name",
            Change::InPlace(..) => "the file",
            Change::Root(_) => "the source of",
        };
        write!(f, "{what} /{}", String::from_utf8_lossy(&self.path()))
    }
}

fn unwatched(error: Errno) -> String {
    let remedy = match error {
        Errno::ENOSPC => " (raise fs.inotify.max_user_watches)",
        _ => "",
    };
    format!("some sources cannot be watched, so changes are seen a second late: {error}{remedy}")
}
