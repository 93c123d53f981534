//! What the request handlers, the watcher and the [`Tracer`](crate::Tracer) share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use spk_package::selection::Tree;
use spk_package::view::{self, Node, View};

use crate::attr::Ownership;
use crate::caller::Finder;
use crate::lock::lock;
use crate::nodes::Nodes;
use crate::notifier::Notifier;
use crate::open_files::OpenFiles;
use crate::options::Options;
use crate::pushes::Pushes;
use crate::record::{Record, Use};
use crate::request_counts::Counts;
use crate::watch::Watch;

/// How often it is found out what somebody looks for below `/proc` and `/sys`: a program that looks
/// again and again for the same is not held up for ever.
const MAX_ASKED: usize = 4096;

/// See the module's description. Locks are taken one at a time and never while the kernel is
/// being notified.
pub struct Shared {
    pub options: Options,
    /// If given, nothing but this is shown of the view.
    only: Option<Arc<Tree>>,
    view: RwLock<Arc<View>>,
    nodes: Mutex<Nodes>,
    record: Mutex<Record>,
    /// Grows when a path comes into the file list.
    listed: AtomicU64,
    finder: Finder,
    pub requests: Counts,
    /// Source files kept open.
    pub files: OpenFiles,
    /// Files whose contents are given to the kernel.
    pub pushes: Pushes,
    pub notifier: OnceLock<Notifier>,
    pub watch: Option<Watch>,
    /// Is told of changes to what was used.
    pub changes: Mutex<Option<Sender<Vec<u8>>>>,
    /// How often it was asked for the whole path of what is the kernel's.
    asked: AtomicUsize,
    /// User and group of the first request, where attempts to write are to arrive.
    asker: OnceLock<(u32, u32)>,
}

impl Shared {
    /// Takes note of who asks. The kernel refuses by itself to write what belongs to nobody it knows
    /// in the mount's user namespace, and a sandbox's own ids there may be drawn at random: what is
    /// to be asked for belongs to who asks.
    pub fn note_asker(&self, uid: u32, gid: u32) {
        if self.options.writes_reach_server {
            self.asker.get_or_init(|| (uid, gid));
        }
    }

    /// How files are shown.
    pub fn ownership(&self) -> Ownership {
        let mut ownership = self.options.ownership();
        if let Some(asker) = self.asker.get() {
            ownership.ids = *asker;
        }
        ownership
    }

    pub fn new(
        view: Arc<View>,
        only: Option<Arc<Tree>>,
        options: Options,
        watch: Option<Watch>,
    ) -> Shared {
        let nodes = Mutex::new(Nodes::new(view.root()));
        Shared {
            options,
            only,
            view: RwLock::new(view),
            nodes,
            record: Mutex::default(),
            listed: AtomicU64::new(0),
            finder: Finder::default(),
            requests: Counts::default(),
            files: OpenFiles::default(),
            pushes: Pushes::default(),
            notifier: OnceLock::new(),
            watch,
            changes: Mutex::default(),
            asked: AtomicUsize::new(0),
            asker: OnceLock::new(),
        }
    }

    pub fn view(&self) -> Arc<View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_view(&self, view: Arc<View>) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
    }

    /// Whether a path of the view is to be shown.
    pub fn is_shown(&self, path: &[u8]) -> bool {
        self.only.as_ref().is_none_or(|only| only.get(path).is_some())
    }

    pub fn nodes(&self) -> MutexGuard<'_, Nodes> {
        lock(&self.nodes)
    }

    pub fn record(&self) -> MutexGuard<'_, Record> {
        lock(&self.record)
    }

    pub fn listed(&self) -> u64 {
        self.listed.load(Ordering::Relaxed)
    }

    /// Records a use of `path` by process `pid`.
    pub fn note(&self, path: &[u8], kind: Use, pid: u32) {
        let noted = self.record().note(path, kind);
        if noted.newly_listed {
            self.listed.fetch_add(1, Ordering::Relaxed);
        }
        // without the lock: it takes a few system calls
        if noted.wants_caller
            && let Some(caller) = self.finder.executable(self.options.callers, pid)
        {
            self.record().note_caller(path, kind, caller);
        }
    }

    /// Records that process `pid` looked for `path`, or for something below it, which would be the
    /// kernel's.
    pub fn note_kernels(&self, path: &[u8], pid: u32) {
        let whole = match self.asked.fetch_add(1, Ordering::Relaxed) < MAX_ASKED {
            true => self.finder.asked_path(self.options.callers, pid, path),
            false => None,
        };
        self.note(whole.as_deref().unwrap_or(path), Use::Miss, pid);
    }

    /// Records a source that cannot be looked at, and gives what to answer.
    pub fn failed(&self, error: &view::Error) -> fuser::Errno {
        self.record().note_unreadable(error.path(), error.io());
        errno(error.io())
    }

    /// Tells who wants to know that the source at `path`, or something below it, changed, if it was
    /// used.
    pub fn tell_change(&self, path: &[u8]) {
        let changes = lock(&self.changes);
        let Some(to) = changes.as_ref() else { return };
        let used = self.record().first_used(path);
        if let Some(used) = used {
            // whoever wanted to know may be gone
            let _ = to.send(used);
        }
    }

    /// Sees to it that the sources of the directory at `path` are watched; `false` if some cannot
    /// be.
    pub fn is_covered(&self, watch: &Watch, path: &[u8], dir: &Node) -> bool {
        watch.cover(&self.view(), path, dir, |note| self.remark(note))
    }

    /// Watches for the sources of the mappings, which may come, go and be replaced.
    pub fn watch_roots(&self) {
        if let Some(watch) = &self.watch {
            watch.cover_roots(&self.view(), |note| self.remark(note));
        }
    }

    /// Records something for the developer to know.
    pub fn remark(&self, note: impl Into<String>) {
        self.record().notes.insert(note.into());
    }
}

/// What to answer for a failure at the source: the same.
pub fn errno(error: &std::io::Error) -> fuser::Errno {
    error.raw_os_error().map_or(fuser::Errno::EIO, fuser::Errno::from_i32)
}
