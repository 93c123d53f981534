//! The helper's second half: it waits for orders, for init, and for denied calls.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::cgroup::Group;
use crate::exit::Exit;
use crate::explain::Explainer;
use crate::spec::Limits;
use crate::sys;
use crate::usage::{LOOK_EVERY, Usage};
use crate::wait_stopped::wait_until_stopped;
use crate::wire::{Channel, InitOrder, InitReport, Order, Report};

/// How often denied calls are reported at most: the launcher is not woken for each of them.
const DENIED_EVERY: Duration = Duration::from_millis(500);

/// How long processes may take to stand still: a system call that takes longer than this is stuck.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// What the helper has set up beside PID 1.
pub(crate) struct Extras {
    /// To be handed to the launcher.
    pub device: Option<OwnedFd>,
    pub group: Option<Group>,
    pub limits: Limits,
}

/// The helper once the namespaces stand.
pub(crate) struct Supervisor {
    init: Channel,
    pid: Pid,
    pidfd: OwnedFd,
    device: Option<OwnedFd>,
    group: Option<Group>,
    limits: Limits,
    /// Of `/tmp` and `/dev/shm`, until the app runs.
    tmpfs: (Option<OwnedFd>, Option<OwnedFd>),
    usage: Option<Usage>,
    look_at: Option<Instant>,
    explainer: Option<Explainer>,
    app: i32,
    missing: Vec<String>,
    status: Option<i32>,
    reported: bool,
    kill_at: Option<Instant>,
    killed: bool,
    /// SIGSTOP is on its way to all.
    stopping: bool,
    /// So is the SIGCONT that undoes it, of which nobody needs to hear.
    undone: bool,
    denied_at: Option<Instant>,
}

impl Supervisor {
    pub fn new(init: Channel, pid: Pid, pidfd: OwnedFd, extras: Extras) -> Supervisor {
        let Extras { device, group, limits } = extras;
        Supervisor {
            init,
            pid,
            pidfd,
            device,
            group,
            limits,
            tmpfs: (None, None),
            usage: None,
            look_at: None,
            explainer: None,
            app: 0,
            missing: Vec::new(),
            status: None,
            reported: false,
            kill_at: None,
            killed: false,
            stopping: false,
            undone: false,
            denied_at: None,
        }
    }

    /// Runs until every process inside is gone. An error: the launcher is gone too.
    pub fn run(mut self, launcher: Channel) -> Result<(), Errno> {
        let fds: Vec<_> = self.device.iter().map(|device| device.as_raw_fd()).collect();
        launcher.send(&Report::Prepared, &fds)?;
        // The file system must die with its server, so no copy of the device may stay here.
        self.device = None;
        let result = self.turns(&launcher);
        if result.is_err() {
            self.kill();
        }
        // Returns when PID 1 is reaped, which the kernel lets happen after all others are gone.
        let _reaped = waitpid(self.pid, None);
        self.drain(&launcher)?;
        self.flush_denied(&launcher)?;
        self.look(&launcher)?;
        if !self.reported {
            let starved = self.group.as_ref().is_some_and(Group::ran_out_of_memory);
            let exit = match self.status {
                _ if self.killed => Exit::Killed,
                None | Some(libc::SIGKILL) if starved => Exit::OutOfMemory,
                Some(status) => Exit::from_wait_status(status),
                None => Exit::Lost,
            };
            launcher.send(&Report::Ended(exit), &[])?;
        }
        result
    }

    fn turns(&mut self, launcher: &Channel) -> Result<(), Errno> {
        loop {
            let ready = self.wait(launcher)?;
            if ready.init {
                self.drain(launcher)?;
            }
            if ready.denied {
                self.serve_denied(launcher)?;
            }
            if ready.launcher {
                match launcher.try_receive::<Order>() {
                    Ok(Some(packet)) => self.obey(&packet.message, launcher)?,
                    Ok(None) => return Err(Errno::EPIPE),
                    Err(Errno::EAGAIN) => {}
                    Err(errno) => return Err(errno),
                }
            }
            if self.kill_at.is_some_and(|at| at <= Instant::now()) {
                self.kill();
            }
            if self.denied_at.is_some_and(|at| at <= Instant::now()) {
                self.flush_denied(launcher)?;
            }
            if self.look_at.is_some_and(|at| at <= Instant::now()) {
                self.look(launcher)?;
                self.look_at = Some(Instant::now() + LOOK_EVERY);
            }
            if ready.ended {
                return Ok(());
            }
        }
    }

    fn wait(&mut self, launcher: &Channel) -> Result<Ready, Errno> {
        let deadline = [self.kill_at, self.denied_at, self.look_at].into_iter().flatten().min();
        let timeout = deadline.map_or(PollTimeout::NONE, |at| {
            // Rounded up, so that the deadline has passed when we wake.
            let left = at.saturating_duration_since(Instant::now()).as_millis() + 1;
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let entry = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut polled =
            vec![entry(launcher.as_fd()), entry(self.init.as_fd()), entry(self.pidfd.as_fd())];
        if let Some(explainer) = &self.explainer {
            polled.push(entry(explainer.as_fd()));
        }
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        let ready = |index: usize| {
            polled.get(index).and_then(PollFd::revents).is_some_and(|events| !events.is_empty())
        };
        let ended = ready(2);
        Ok(Ready {
            launcher: ready(0),
            // A closed channel stays ready; the pidfd then says the rest.
            init: ready(1),
            ended,
            denied: ready(3),
        })
    }

    /// Takes everything init has said.
    fn drain(&mut self, launcher: &Channel) -> Result<(), Errno> {
        while let Ok(Some(packet)) = self.init.try_receive::<InitReport>() {
            match packet.message {
                InitReport::App => self.app = packet.sender.unwrap_or_default(),
                InitReport::Listener => {
                    self.explainer = packet
                        .fds
                        .into_iter()
                        .next()
                        .map(|listener| Explainer::new(listener, self.limits.clone()));
                }
                InitReport::Entered { tmp, shm } => {
                    let mut fds = packet.fds.into_iter();
                    let tmp = if tmp { fds.next() } else { None };
                    self.tmpfs = (tmp, if shm { fds.next() } else { None });
                }
                InitReport::Missing(wall) => self.missing.push(wall),
                InitReport::Started { mut walls } => {
                    walls.append(&mut self.missing);
                    let (tmp, shm) = std::mem::take(&mut self.tmpfs);
                    self.usage = Some(Usage::new(self.limits.clone(), tmp, shm, self.app));
                    self.look_at = Some(Instant::now() + LOOK_EVERY);
                    launcher.send(&Report::Started { pid: self.app, walls }, &[])?;
                }
                InitReport::Failed(failure) => {
                    if !self.reported {
                        self.reported = true;
                        launcher.send(&Report::Failed(failure), &[])?;
                    }
                    self.kill();
                }
                InitReport::ExecFailed(problem) => {
                    self.reported = true;
                    launcher.send(&Report::ExecFailed(problem), &[])?;
                }
                InitReport::SignalledAll(_) if self.undone => self.undone = false,
                InitReport::SignalledAll(errno) => {
                    let errno = self.wait_for_stop(errno);
                    launcher.send(&Report::Frozen(errno), &[])?;
                }
                InitReport::Status(status) => self.status = Some(status),
                InitReport::Prepared => {}
            }
        }
        Ok(())
    }

    fn obey(&mut self, order: &Order, launcher: &Channel) -> Result<(), Errno> {
        let to_init = match order {
            Order::Start => InitOrder::Start,
            Order::Terminate { grace } => {
                self.kill_at = Some(Instant::now() + Duration::from_millis(*grace));
                if let Some(group) = &self.group {
                    let _not_frozen = group.thaw();
                }
                // A stopped process would sleep through its grace.
                let _gone = self.init.send(&InitOrder::Signal(libc::SIGTERM), &[]);
                InitOrder::Signal(libc::SIGCONT)
            }
            Order::Kill => {
                self.kill();
                return Ok(());
            }
            Order::Freeze | Order::Thaw if self.group.is_some() => {
                let done = match (&self.group, order) {
                    (Some(group), Order::Freeze) => group.freeze(),
                    (Some(group), _) => group.thaw(),
                    (None, _) => Ok(()),
                };
                return launcher.send(&Report::Frozen(done.err().map_or(0, |e| e as i32)), &[]);
            }
            Order::Freeze => {
                self.stopping = true;
                InitOrder::SignalAll(libc::SIGSTOP)
            }
            Order::Thaw => InitOrder::SignalAll(libc::SIGCONT),
            Order::Prepare => return Ok(()),
        };
        // If init is gone, its pidfd is ready, and the next turn is the last.
        let _gone = self.init.send(&to_init, &[]);
        Ok(())
    }

    /// After SIGSTOP to all: success, or the error number of what kept them from standing still, in
    /// which case they go on.
    fn wait_for_stop(&mut self, errno: i32) -> i32 {
        if !std::mem::take(&mut self.stopping) || errno != 0 {
            return errno;
        }
        match wait_until_stopped(self.pid.as_raw(), STOP_LIMIT) {
            Ok(()) => 0,
            Err(errno) => {
                let _gone = self.init.send(&InitOrder::SignalAll(libc::SIGCONT), &[]);
                self.undone = true;
                errno as i32
            }
        }
    }

    fn kill(&mut self) {
        self.kill_at = None;
        if self.status.is_none() {
            self.killed = true;
        }
        if let Some(group) = &self.group {
            group.kill();
        }
        let _gone = sys::pidfd_send_signal(self.pidfd(), libc::SIGKILL);
    }

    fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    fn serve_denied(&mut self, launcher: &Channel) -> Result<(), Errno> {
        let Some(explainer) = &mut self.explainer else { return Ok(()) };
        if explainer.serve_one() {
            self.denied_at.get_or_insert_with(|| Instant::now() + DENIED_EVERY);
        } else {
            self.flush_denied(launcher)?;
            self.explainer = None;
        }
        Ok(())
    }

    fn look(&mut self, launcher: &Channel) -> Result<(), Errno> {
        let Some(usage) = &mut self.usage else { return Ok(()) };
        let met = usage.look(self.group.as_ref());
        if met.is_empty() { Ok(()) } else { launcher.send(&Report::Met(met), &[]) }
    }

    fn flush_denied(&mut self, launcher: &Channel) -> Result<(), Errno> {
        self.denied_at = None;
        let Some(explainer) = &mut self.explainer else { return Ok(()) };
        /// So many fit a packet with the longest of names, every byte of them escaped.
        const AT_ONCE: usize = 16;
        for part in explainer.take().chunks(AT_ONCE) {
            launcher.send(&Report::Denied(part.to_vec()), &[])?;
        }
        Ok(())
    }
}

/// What has news.
struct Ready {
    launcher: bool,
    init: bool,
    ended: bool,
    denied: bool,
}
