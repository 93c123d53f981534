//! The launcher's side: start the helper, follow it through the stages, steer the running app.
//!
//! The stages are types: [`Launcher`] → [`Prepared`] → [`Running`] → [`Exit`]. Dropping any of the
//! middle two ends what they stand for.

use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::error::Error;
use crate::exit::Exit;
use crate::explain::Denied;
use crate::helper::MARKER;
use crate::spec::{Console, Root, Spec};
use crate::usage::Met;
use crate::wire::{Channel, ConsoleKind, Order, Report, SpecData};

/// The running program itself, whatever became of its file.
const SELF: &str = "/proc/self/exe";

/// Starts sandboxes.
#[derive(Debug, Clone)]
pub struct Launcher {
    helper: PathBuf,
}

impl Default for Launcher {
    fn default() -> Launcher {
        Launcher::new()
    }
}

impl Launcher {
    /// A launcher whose helper is this program, which must call
    /// [`run_helper_if_asked`](crate::run_helper_if_asked) first thing in `main`.
    pub fn new() -> Launcher {
        Launcher::with_helper(SELF.into())
    }

    /// A launcher whose helper is another program that does so: for tests, whose `main` is the
    /// test harness's.
    pub fn with_helper(helper: PathBuf) -> Launcher {
        Launcher { helper }
    }

    /// Makes the namespaces, and the FUSE file system if `spec` asks for one. Blocks some
    /// milliseconds.
    ///
    /// # Errors
    /// The step that failed; [`Error::remedy`] knows the usual causes.
    pub fn prepare(&self, spec: Spec) -> Result<Prepared, Error> {
        let program = spec.argv.first().map(|arg| arg.to_string_lossy().into_owned());
        let (data, descriptors) = split(spec);
        let fuse = data.root.is_none();
        let file = spec_file(&data).map_err(Error::Channel)?;
        let (ours, theirs) = Channel::pair().map_err(channel)?;
        let child = Command::new(&self.helper)
            .arg0(MARKER)
            .env_clear()
            .current_dir("/")
            .stdin(theirs.into_fd())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|reason| Error::StartHelper {
                program: self.helper.display().to_string(),
                reason,
            })?;
        tracing::debug!(pid = child.id(), "sandbox: the helper runs");
        let mut link = Link { channel: ours, child, ended: false };
        let fds: Vec<_> =
            std::iter::once(&file).chain(&descriptors).map(|fd| fd.as_raw_fd()).collect();
        link.send(&Order::Prepare, &fds)?;
        drop((file, descriptors));
        let (report, mut fds) = link.receive()?;
        match report {
            Report::Prepared => {}
            Report::Failed(failure) => {
                tracing::debug!(step = ?failure.step, errno = failure.errno, "sandbox: refused");
                return Err(Error::Setup(failure));
            }
            other => return Err(Error::Protocol(format!("{other:?}"))),
        }
        let device = fds.pop();
        if device.is_some() != fuse {
            return Err(Error::Protocol("no FUSE descriptor".into()));
        }
        tracing::debug!(fuse, "sandbox: namespaces are made");
        Ok(Prepared { link, device, program: program.unwrap_or_default() })
    }
}

fn channel(errno: Errno) -> Error {
    Error::Channel(errno.into())
}

/// The data, and the descriptors in the order of [`Order::Prepare`].
fn split(spec: Spec) -> (SpecData, Vec<OwnedFd>) {
    let absolute = |path: PathBuf| {
        // The helper's working directory is another; a path that is wrong stays wrong.
        std::path::absolute(&path).unwrap_or(path).into_os_string().into_vec()
    };
    let writes_reach_server = matches!(spec.root, Root::Fuse { writes_reach_server: true });
    let mut descriptors = vec![spec.rpc, spec.output];
    let console = match spec.console {
        Console::Nobody => ConsoleKind::Nobody,
        Console::Terminal => ConsoleKind::Terminal,
        Console::Pipes { input, errors } => {
            descriptors.extend([input, errors]);
            ConsoleKind::Pipes
        }
    };
    let data = SpecData {
        root: match spec.root {
            Root::Directory(path) => Some(absolute(path)),
            Root::Fuse { .. } => None,
        },
        var: absolute(spec.var),
        argv: spec.argv,
        environ: spec.environ,
        proc: spec.proc,
        explain: spec.explain,
        writes_reach_server,
        console,
        limits: spec.limits,
    };
    (data, descriptors)
}

/// The spec as a file in memory: arguments and environment may be longer than a packet.
fn spec_file(data: &SpecData) -> Result<OwnedFd, std::io::Error> {
    use std::io::Seek as _;
    let fd = memfd_create(c"spk-spec", MFdFlags::MFD_CLOEXEC)?;
    let mut file = std::fs::File::from(fd);
    serde_json::to_writer(&mut file, data)?;
    file.flush()?;
    file.rewind()?;
    Ok(file.into())
}

/// The helper and the channel to it; dropping it ends the helper and waits for that.
#[derive(Debug)]
struct Link {
    channel: Channel,
    child: Child,
    ended: bool,
}

impl Link {
    fn send(&self, order: &Order, fds: &[std::os::fd::RawFd]) -> Result<(), Error> {
        match self.channel.send(order, fds) {
            Ok(()) => Ok(()),
            // It has ended; what it said last is still to be read.
            Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(errno) => Err(channel(errno)),
        }
    }

    fn receive(&mut self) -> Result<(Report, Vec<OwnedFd>), Error> {
        match self.channel.receive() {
            Ok(Some(packet)) => Ok((packet.message, packet.fds)),
            Ok(None) => Err(self.died()),
            Err(errno) => Err(channel(errno)),
        }
    }

    fn died(&mut self) -> Error {
        self.ended = true;
        match self.child.wait() {
            Ok(status) => Error::HelperDied(status.to_string()),
            Err(error) => Error::Channel(error),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Also ends a helper that waits for an order: it reads the end of the channel.
        let _gone = nix::sys::socket::shutdown(
            self.channel.as_fd().as_raw_fd(),
            nix::sys::socket::Shutdown::Both,
        );
        let _reaped = self.child.wait();
    }
}

/// The namespaces stand; nothing of the app's has run.
#[derive(Debug)]
pub struct Prepared {
    link: Link,
    device: Option<OwnedFd>,
    program: String,
}

impl Prepared {
    /// The FUSE device's descriptor, once, if the root is [`Root::Fuse`]. It must be served, by
    /// another thread or process, before [`Prepared::start`] is called.
    pub fn take_fuse(&mut self) -> Option<OwnedFd> {
        self.device.take()
    }

    /// Builds the root and executes the app's program. Blocks until that has succeeded or failed;
    /// with a FUSE root, it makes requests to its server.
    ///
    /// # Errors
    /// The step that failed, or what is wrong with the program ([`Error::Exec`]).
    pub fn start(mut self) -> Result<Running, Error> {
        tracing::debug!("sandbox: the root is built, and closed around the app");
        self.link.send(&Order::Start, &[])?;
        loop {
            match self.link.receive()?.0 {
                Report::Started { pid, walls } => {
                    tracing::info!(pid, program = self.program, "sandbox: the app's program runs");
                    for wall in &walls {
                        tracing::warn!(wall, "sandbox: a second wall is missing");
                    }
                    let Prepared { link, .. } = self;
                    return Ok(Running {
                        link,
                        pid,
                        walls,
                        denied: Vec::new(),
                        met: Vec::new(),
                        exit: None,
                    });
                }
                Report::Failed(failure) => {
                    tracing::debug!(step = ?failure.step, errno = failure.errno, "sandbox: refused");
                    return Err(Error::Setup(failure));
                }
                Report::ExecFailed(problem) => {
                    return Err(Error::Exec { program: self.program.clone(), problem });
                }
                Report::Denied(_) | Report::Met(_) => {}
                Report::Ended(exit) => {
                    return Err(Error::HelperDied(format!("{exit:?}")));
                }
                other => return Err(Error::Protocol(format!("{other:?}"))),
            }
        }
    }
}

/// A running app. Dropping it kills the app and waits until all its processes are gone.
#[derive(Debug)]
pub struct Running {
    link: Link,
    pid: i32,
    walls: Vec<String>,
    denied: Vec<Denied>,
    met: Vec<Met>,
    exit: Option<Exit>,
}

impl AsFd for Running {
    /// Readable when [`Running::try_wait`], [`Running::denied`] or [`Running::met`] may have news.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.channel.as_fd()
    }
}

impl Running {
    /// The app's first process, as the launcher's PID namespace numbers it.
    pub fn app_pid(&self) -> i32 {
        self.pid
    }

    /// What of the sandbox could not be had on this machine, in words. Each is a second wall; the
    /// first ones are never missing.
    pub fn missing_walls(&self) -> &[String] {
        &self.walls
    }

    /// The end, if it has come. Never blocks.
    ///
    /// # Errors
    /// If the helper is gone without a word; then everything inside is gone too.
    pub fn try_wait(&mut self) -> Result<Option<Exit>, Error> {
        while self.exit.is_none() {
            match self.link.channel.try_receive::<Report>() {
                Ok(Some(packet)) => self.note(packet.message),
                Ok(None) => self.exit = Some(Exit::Lost),
                Err(Errno::EAGAIN) => break,
                Err(errno) => return Err(channel(errno)),
            }
        }
        Ok(self.exit)
    }

    /// Blocks until the end.
    ///
    /// # Errors
    /// As [`Running::try_wait`].
    pub fn wait(&mut self) -> Result<Exit, Error> {
        loop {
            if let Some(exit) = self.exit {
                return Ok(exit);
            }
            match self.link.channel.receive::<Report>() {
                Ok(Some(packet)) => self.note(packet.message),
                Ok(None) => self.exit = Some(Exit::Lost),
                Err(errno) => return Err(channel(errno)),
            }
        }
    }

    fn note(&mut self, report: Report) {
        match report {
            Report::Ended(exit) => self.exit = Some(exit),
            Report::Denied(more) => self.denied.extend(more),
            Report::Met(more) => self.met.extend(more),
            _ => {}
        }
    }

    /// SIGTERM to the app's first process now, SIGKILL to everything after `grace`. Returns at
    /// once; wait for the end with the other methods.
    ///
    /// # Errors
    /// If the helper cannot be told.
    pub fn terminate(&mut self, grace: Duration) -> Result<(), Error> {
        let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX >> 1);
        self.link.send(&Order::Terminate { grace }, &[])
    }

    /// SIGKILL to everything. Returns at once.
    ///
    /// # Errors
    /// If the helper cannot be told.
    pub fn kill(&mut self) -> Result<(), Error> {
        self.link.send(&Order::Kill, &[])
    }

    /// Stops every process inside, so that what they write to `/var` holds still. Blocks until
    /// that is so.
    ///
    /// # Errors
    /// [`Error::Freeze`].
    pub fn freeze(&mut self) -> Result<(), Error> {
        self.halt(&Order::Freeze)
    }

    /// Undoes [`Running::freeze`].
    ///
    /// # Errors
    /// [`Error::Freeze`].
    pub fn thaw(&mut self) -> Result<(), Error> {
        self.halt(&Order::Thaw)
    }

    fn halt(&mut self, order: &Order) -> Result<(), Error> {
        self.link.send(order, &[])?;
        loop {
            match self.link.receive()?.0 {
                Report::Frozen(0) => return Ok(()),
                Report::Frozen(errno) => {
                    return Err(Error::Freeze(std::io::Error::from_raw_os_error(errno)));
                }
                other => self.note(other),
            }
            if self.exit.is_some() {
                return Err(Error::Freeze(Errno::ESRCH.into()));
            }
        }
    }

    /// The denied calls since the last call of this, if the spec asked for them: summed up by call,
    /// answer and program. Call [`Running::try_wait`] first to take what has arrived.
    pub fn denied(&mut self) -> Vec<Denied> {
        std::mem::take(&mut self.denied)
    }

    /// The limits that the app has met since the last call of this, each once in its life. Call
    /// [`Running::try_wait`] first to take what has arrived.
    pub fn met(&mut self) -> Vec<Met> {
        std::mem::take(&mut self.met)
    }
}
