//! Starting and ending the service of one mount.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use fuser::{Config, Session, SessionACL};
use spk_package::selection::Tree;
use spk_package::view::View;

use crate::attr::Ownership;
use crate::fs::TracedFs;
use crate::record::Record;
use crate::shared::Shared;
use crate::watch::{self, Stop, Watch};

/// Threads that answer requests. Two are needed so that one can wait for a slow disk; more than
/// four brought nothing (dev-mode.md §21).
const THREADS: std::ops::RangeInclusive<usize> = 2..=4;
/// How long [`Tracer::finish`] waits for the kernel to let go after the mount is gone. Only
/// processes that still hold the mount can make it wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the kernel may keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cache {
    /// Everything, and it is told when a source changes. Where sources cannot be watched, names
    /// and attributes for a second.
    #[default]
    Watched,
    /// Everything, and changes of the sources may go unseen (`-c`).
    Frozen,
    /// Nothing; for debugging.
    Off,
}

/// How to serve.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What the kernel may keep.
    pub cache: Cache,
    /// User and group that files are shown to belong to, as numbered inside the mount's user
    /// namespace.
    pub owner: (u32, u32),
    /// Show the sources' permission bits instead of those a packed file will have.
    pub raw_modes: bool,
    /// Look up which executable is behind a request. Only right if the mount was made by a process
    /// of our own PID namespace.
    pub callers: bool,
}

impl Default for Options {
    fn default() -> Self {
        // 1000: whom the sandbox shows an app as
        Options { cache: Cache::Watched, owner: (1000, 1000), raw_modes: false, callers: true }
    }
}

impl Options {
    pub(crate) fn ownership(&self) -> Ownership {
        Ownership { ids: self.owner, raw_modes: self.raw_modes }
    }
}

/// Why a mount cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel and we do not understand each other, or nothing is mounted with the descriptor.
    #[error("cannot begin to serve the FUSE descriptor")]
    Handshake(#[source] io::Error),
    /// No thread can be started.
    #[error("cannot start a thread for the file system")]
    Thread(#[source] io::Error),
}

/// A view being served on one mount.
pub struct Tracer {
    shared: Arc<Shared>,
    ended: Receiver<io::Result<()>>,
    watcher: Option<(Stop, JoinHandle<()>)>,
}

impl Tracer {
    /// Serves `view` on the FUSE descriptor of a mount that exists already, from threads of its
    /// own, until the mount is gone.
    pub fn serve(fuse: OwnedFd, view: Arc<View>, options: Options) -> Result<Tracer, Error> {
        Tracer::serve_all_or(fuse, view, None, options)
    }

    /// As [`serve`](Tracer::serve), but shows nothing of the view except `only`: the package as it
    /// would be. What is looked for beyond that, though the view has it, is recorded as
    /// [`Use::Withheld`](crate::Use::Withheld).
    pub fn serve_selected(
        fuse: OwnedFd,
        view: Arc<View>,
        only: Arc<Tree>,
        options: Options,
    ) -> Result<Tracer, Error> {
        Tracer::serve_all_or(fuse, view, Some(only), options)
    }

    fn serve_all_or(
        fuse: OwnedFd,
        view: Arc<View>,
        only: Option<Arc<Tree>>,
        options: Options,
    ) -> Result<Tracer, Error> {
        let mut note = None;
        let watch = match options.cache {
            Cache::Watched => Watch::new().map_err(|error| note = Some(error)).ok(),
            Cache::Frozen | Cache::Off => None,
        };
        let shared = Arc::new(Shared::new(view, only, options, watch));
        if let Some(error) = note {
            shared.remark(format!(
                "sources cannot be watched, so changes are seen a second late: {error} \
                 (see fs.inotify.max_user_instances)"
            ));
        }
        let mut config = Config::default();
        config.acl = SessionACL::All; // the kernel decides; fuser compares ids of another namespace
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        config.n_threads = Some(threads.clamp(*THREADS.start(), *THREADS.end()));
        config.clone_fd = can_clone();
        let session =
            Session::from_fd(TracedFs::new(shared.clone()), fuse, SessionACL::All, config)
                .map_err(Error::Handshake)?;
        // set once, here, before any request is read
        let _ = shared.notifier.set(session.notifier());
        let watcher = watch::spawn(&shared).map_err(Error::Thread)?;
        let (sender, ended) = mpsc::channel();
        std::thread::Builder::new()
            .name("fuse-session".into())
            .spawn(move || {
                // nobody waits for it after `finish` ran out of patience
                let _ = sender.send(session.run());
            })
            .map_err(Error::Thread)?;
        Ok(Tracer { shared, ended, watcher })
    }

    /// What was recorded so far.
    pub fn record(&self) -> Record {
        self.shared.record().clone()
    }

    /// A number that grows whenever a path comes into the file list: to see whether there is
    /// anything to write without copying the [record](Tracer::record).
    pub fn listed(&self) -> u64 {
        self.shared.listed()
    }

    /// Forgets what was recorded, for a tracer that goes on.
    pub fn reset(&self) -> Record {
        std::mem::take(&mut self.shared.record())
    }

    /// Serves another view from now on, such as after the package definition changed.
    pub fn set_view(&self, view: Arc<View>) {
        self.shared.set_view(view);
        watch::watch_roots(&self.shared);
        watch::invalidate_below(&self.shared, b"");
    }

    /// To be called when the mount is gone, or is about to go: waits a little for the last
    /// requests, and gives what was recorded.
    pub fn finish(self) -> Record {
        match self.ended.recv_timeout(PATIENCE) {
            Ok(_) | Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => {
                self.shared.remark("the file system is still in use by a process left over");
            }
        }
        std::mem::take(&mut self.shared.record())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.watcher.take() {
            stop.stop();
            let _ = thread.join();
        }
    }
}

/// Whether each thread can have a descriptor of its own: that opens the device again.
fn can_clone() -> bool {
    std::fs::File::options().read(true).write(true).open("/dev/fuse").is_ok()
}
