//! Starting and ending the service of one mount.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::Duration;

use fuser::{Config, MountOption, Session, SessionACL, SessionUnmounter};
use spk_package::selection::Tree;
use spk_package::view::View;

use crate::device;
use crate::follow_changes::{self, invalidate_below};
use crate::fs::TracedFs;
use crate::lock::lock;
use crate::notifier::Notifier;
use crate::options::{Cache, Options};
use crate::record::Record;
use crate::request_counts::Request;
use crate::shared::Shared;
use crate::watch::{Stop, Watch};

/// Threads that answer requests. Two are needed so that one can wait for a slow disk; more than
/// four brought nothing (dev-mode §21).
const THREADS: std::ops::RangeInclusive<usize> = 2..=4;
/// How long [`Tracer::finish`] waits for the kernel to let go after the mount is gone. Only
/// processes that still hold the mount can make it wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// What mount tables show after `fuse.`.
pub const SUBTYPE: &str = "spk";

/// Why a mount cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel and we do not understand each other, or nothing is mounted with the descriptor.
    #[error("cannot begin to serve the FUSE descriptor")]
    Handshake(#[source] io::Error),
    /// The machine has not what mounting needs.
    #[error("cannot mount a FUSE file system without {0}")]
    Lacking(&'static str, #[source] io::Error),
    /// The file system cannot be mounted.
    #[error("cannot mount a FUSE file system at {}", .0.display())]
    Mount(std::path::PathBuf, #[source] io::Error),
    /// No thread can be started.
    #[error("cannot start a thread for the file system")]
    Thread(#[source] io::Error),
}

/// Why a mount at `dir` failed: what the machine lacks is looked for only now, since fusermount3 may
/// open what its caller may not.
fn not_mounted(dir: &Path, root: bool, error: io::Error) -> Error {
    match device::open() {
        Err(absent) => Error::Lacking(device::PATH, absent),
        // The directory is there: what was not found is the program.
        Ok(_) if !root && error.kind() == io::ErrorKind::NotFound && dir.is_dir() => {
            Error::Lacking("fusermount3", error)
        }
        Ok(_) => Error::Mount(dir.to_owned(), error),
    }
}

/// A view being served on one mount.
pub struct Tracer {
    shared: Arc<Shared>,
    ended: Receiver<()>,
    watcher: Option<(Stop, JoinHandle<()>)>,
    unmounter: Option<SessionUnmounter>,
    has_ended: bool,
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

    /// Mounts `view` at `dir` in our own mount namespace, and serves it. As root with `mount(2)`,
    /// for everybody; otherwise through the system's `fusermount3`, for ourselves. No source of the
    /// view may lead to `dir`: we would wait for ourselves (dev-mode §13).
    ///
    /// [`unmount`](Tracer::unmount) ends it, as does anybody who unmounts it.
    pub fn mount(dir: &Path, view: Arc<View>, options: Options) -> Result<Tracer, Error> {
        let root = nix::unistd::geteuid().is_root();
        let acl = if root { SessionACL::All } else { SessionACL::Owner };
        let mut config = Tracer::config(acl);
        config.mount_options = vec![
            MountOption::RO,
            MountOption::NoSuid,
            MountOption::NoDev,
            MountOption::DefaultPermissions,
            MountOption::FSName("spk".into()),
            MountOption::Subtype(SUBTYPE.into()),
        ];
        let shared = Tracer::share(view, None, options);
        let mut session = Session::new(TracedFs::new(shared.clone()), dir, &config)
            .map_err(|error| not_mounted(dir, root, error))?;
        let unmounter = session.unmount_callable();
        let mut tracer = Tracer::run(session, shared)?;
        tracer.unmounter = Some(unmounter);
        Ok(tracer)
    }

    fn serve_all_or(
        fuse: OwnedFd,
        view: Arc<View>,
        only: Option<Arc<Tree>>,
        options: Options,
    ) -> Result<Tracer, Error> {
        let shared = Tracer::share(view, only, options);
        // the kernel decides; fuser compares ids of another namespace
        let config = Tracer::config(SessionACL::All);
        let session =
            Session::from_fd(TracedFs::new(shared.clone()), fuse, SessionACL::All, config)
                .map_err(Error::Handshake)?;
        Tracer::run(session, shared)
    }

    fn config(acl: SessionACL) -> Config {
        let mut config = Config::default();
        config.acl = acl;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        config.n_threads = Some(threads.clamp(*THREADS.start(), *THREADS.end()));
        // That opens the device again.
        config.clone_fd = device::open().is_ok();
        config
    }

    fn share(view: Arc<View>, only: Option<Arc<Tree>>, options: Options) -> Arc<Shared> {
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
        shared
    }

    fn run(session: Session<TracedFs>, shared: Arc<Shared>) -> Result<Tracer, Error> {
        // set once, here, before any request is read
        let notifier = Notifier::start(&session, session.notifier()).map_err(Error::Thread)?;
        let _ = shared.notifier.set(notifier);
        let watcher = follow_changes::spawn(&shared).map_err(Error::Thread)?;
        tracing::info!(watched = watcher.is_some(), "file system served");
        let (sender, ended) = mpsc::channel();
        std::thread::Builder::new()
            .name("fuse-session".into())
            .spawn(move || {
                // nobody waits for it after `finish` ran out of patience
                let _ = session.run();
                let _ = sender.send(());
            })
            .map_err(Error::Thread)?;
        Ok(Tracer { shared, ended, watcher, unmounter: None, has_ended: false })
    }

    /// What was recorded so far.
    pub fn record(&self) -> Record {
        self.shared.record().clone()
    }

    /// What `look` finds in what was recorded so far, which waits meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(&self.shared.record())
    }

    /// A number that grows whenever a path comes into the file list: to see whether there is
    /// anything to write without copying the [record](Tracer::record).
    pub fn listed(&self) -> u64 {
        self.shared.listed()
    }

    /// How many uses of paths are recorded: grows with each that is the first of its kind.
    pub fn uses(&self) -> usize {
        self.shared.record().paths.values().map(std::collections::BTreeMap::len).sum()
    }

    /// How many requests of this kind arrived so far.
    pub fn requests(&self, kind: Request) -> u64 {
        self.shared.requests.get(kind)
    }

    /// From now on, `to` is told the package paths of used files whose sources change.
    pub fn tell_changes(&self, to: Sender<Vec<u8>>) {
        *lock(&self.shared.changes) = Some(to);
    }

    /// Whether the mount is gone.
    pub fn has_ended(&mut self) -> bool {
        self.has_ended |= self.ended.try_recv() != Err(TryRecvError::Empty);
        self.has_ended
    }

    /// Unmounts what [`mount`](Tracer::mount) mounted.
    ///
    /// # Errors
    /// If it cannot be unmounted, such as because it is in use.
    pub fn unmount(&mut self) -> io::Result<()> {
        match &mut self.unmounter {
            Some(unmounter) => unmounter.unmount(),
            None => Ok(()),
        }
    }

    /// Forgets what was recorded, for a tracer that goes on.
    pub fn reset(&self) -> Record {
        std::mem::take(&mut self.shared.record())
    }

    /// Serves another view from now on, such as after the package definition changed.
    pub fn set_view(&self, view: Arc<View>) {
        self.shared.set_view(view);
        self.shared.watch_roots();
        invalidate_below(&self.shared, b"");
    }

    /// To be called when the mount is gone, or is about to go: waits a little for the last
    /// requests, and gives what was recorded.
    pub fn finish(mut self) -> Record {
        if self.has_ended() {
            return std::mem::take(&mut self.shared.record());
        }
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
