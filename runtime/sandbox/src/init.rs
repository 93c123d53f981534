//! PID 1 inside: builds the root, starts the app, reaps, forwards signals, reports.
//!
//! Its end is the end of every process in the namespace. It holds no capability any more by the
//! time the app's process is forked.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use crate::app::{self, App, Ends};
use crate::error::{Failure, Step};
use crate::ids::Ids;
use crate::mounts::Mount;
use crate::seccomp::reaper_filter;
use crate::wire::{Channel, InitOrder, InitReport, SpecData};
use crate::{privileges, root, sys};

/// What init has from the helper by being its copy.
pub(crate) struct Init {
    pub helper: Channel,
    pub spec: SpecData,
    pub ids: Ids,
    pub ends: Ends,
}

/// Everything the helper set up for us before it let us go on.
struct Mounts {
    root: Mount,
    var: Mount,
}

/// Init's whole life.
pub(crate) fn run(init: Init) -> ! {
    match start(&init) {
        Ok(Some(started)) => {
            let Init { helper, ends, .. } = init;
            // The app's ends are the app's alone: when it closes them, the other side must see it.
            drop(ends);
            watch(&helper, started)
        }
        // The helper is gone, or all has been said.
        Ok(None) => sys::exit_now(1),
        Err(failure) => {
            let _unheard = init.helper.send(&InitReport::Failed(failure), &[]);
            sys::exit_now(1)
        }
    }
}

/// The app runs.
struct Started {
    app: Pid,
    signals: SignalFd,
}

fn start(init: &Init) -> Result<Option<Started>, Failure> {
    die_with_helper()?;
    let Ok(Some(packet)) = init.helper.receive::<InitOrder>() else { return Ok(None) };
    let InitOrder::Mapped { cgroup } = packet.message else { return Ok(None) };
    let mut outside = packet.fds.into_iter();

    // Before taking on the inner ids: the device may be root's alone.
    let device = match init.spec.root {
        Some(_) => None,
        None => Some(fuse_device()?),
    };
    take_ids(&init.ids)?;
    // Changing ids clears it.
    die_with_helper()?;
    let walls = isolate()?;
    let mounts = match (outside.next(), outside.next(), &device, &init.spec.root) {
        (Some(root), Some(var), None, _) => {
            Mounts { root: Mount::Detached(root), var: Mount::Detached(var) }
        }
        (Some(var), None, Some(device), _) => {
            Mounts { root: fuse_root(device, init)?, var: Mount::Detached(var) }
        }
        (_, _, Some(device), _) => {
            Mounts { root: fuse_root(device, init)?, var: bind_var(&init.spec.var)? }
        }
        (_, _, None, path) => {
            let path = c_string(path.as_deref().unwrap_or_default())?;
            Mounts { root: root::bind_root(&path)?, var: bind_var(&init.spec.var)? }
        }
    };
    let fds: Vec<_> = device.iter().map(|device| device.as_raw_fd()).collect();
    if init.helper.send(&InitReport::Prepared, &fds).is_err() {
        return Ok(None);
    }
    // From here on only the server has the device: when it dies, the file system answers errors.
    drop(device);

    let Ok(Some(packet)) = init.helper.receive::<InitOrder>() else { return Ok(None) };
    let InitOrder::Start = packet.message else { return Ok(None) };
    let null = open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| Failure::new(Step::Descriptors, "/dev/null", errno))?;
    let tmpfs = root::enter(mounts.root, mounts.var, &init.spec.limits, init.spec.proc)?;
    let entered = InitReport::Entered { tmp: tmpfs.tmp.is_some(), shm: tmpfs.shm.is_some() };
    let fds: Vec<_> =
        [&tmpfs.tmp, &tmpfs.shm].into_iter().flatten().map(|fd| fd.as_raw_fd()).collect();
    if init.helper.send(&entered, &fds).is_err() {
        return Ok(None);
    }
    drop(tmpfs);
    // Nothing of the host is left in the tree, so neither should a descriptor be.
    let inside = open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
    let null = inside.unwrap_or(null);
    let signals = block_signals()?;
    // No other process of the same user can look into PID 1.
    nix::sys::prctl::set_dumpable(false)
        .map_err(|errno| Failure::new(Step::Capabilities, "", errno))?;
    privileges::give_up()?;
    let Some(app) = fork_app(init, cgroup, &null)? else { return Ok(None) };
    if init.helper.send(&InitReport::Started { walls }, &[]).is_err() {
        return Ok(None);
    }
    Ok(Some(Started { app, signals }))
}

/// SIGKILL for PID 1, and so for all, when the helper ends. The helper's channel shows whether it
/// ended before this call.
fn die_with_helper() -> Result<(), Failure> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|errno| Failure::new(Step::DeathSignal, "", errno))
}

fn fuse_device() -> Result<OwnedFd, Failure> {
    open("/dev/fuse", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| Failure::new(Step::FuseDevice, "/dev/fuse", errno))
}

fn fuse_root(device: &OwnedFd, init: &Init) -> Result<Mount, Failure> {
    root::fuse(device, init.ids.uid, init.ids.gid, init.spec.writes_reach_server)
}

fn bind_var(path: &[u8]) -> Result<Mount, Failure> {
    root::bind_var(&c_string(path)?)
}

fn c_string(path: &[u8]) -> Result<CString, Failure> {
    CString::new(path)
        .map_err(|_| Failure::new(Step::Bind, String::from_utf8_lossy(path), Errno::EINVAL))
}

/// As root outside we are nobody inside until we take on the mapped ids.
fn take_ids(ids: &Ids) -> Result<(), Failure> {
    let failed = |errno| Failure::new(Step::Ids, "", errno);
    let (uid, gid) = (ids.uid.into(), ids.gid.into());
    if nix::unistd::getgid() != gid || nix::unistd::getegid() != gid {
        nix::unistd::setresgid(gid, gid, gid).map_err(failed)?;
    }
    if nix::unistd::getuid() != uid || nix::unistd::geteuid() != uid {
        // Keep the capabilities in this namespace: uid 0 is not mapped, so they are not lost.
        nix::unistd::setresuid(uid, uid, uid).map_err(failed)?;
    }
    Ok(())
}

/// What is set once per namespace. Returns what could not be had, in words.
fn isolate() -> Result<Vec<String>, Failure> {
    let failed = |step: Step| move |errno| Failure::new(step, "", errno);
    let mut missing = Vec::new();
    // After the helper has put us into our cgroup, so that it is the root of what is seen.
    if unshare(CloneFlags::CLONE_NEWCGROUP).is_err() {
        missing.push("no cgroup namespace".to_owned());
    }
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .map_err(failed(Step::Propagation))?;
    // In containers /proc/sys is read-only; the filter refuses new namespaces all the same.
    if fs::write("/proc/sys/user/max_user_namespaces", "0").is_err() {
        missing.push("no limit on user namespaces but the filter".to_owned());
    }
    for (file, most) in WATCHING {
        // As above; the user's own limit stays in force.
        let _in_a_container = fs::write(format!("/proc/sys/user/{file}"), most);
    }
    // Its own in every network namespace since Linux 4.15.
    let small = |(file, sizes)| fs::write(format!("/proc/sys/net/ipv4/{file}"), sizes).is_ok();
    if !TCP_BUFFERS.into_iter().all(small) {
        missing.push("no limit on the buffers of TCP connections but the machine's".to_owned());
    }
    nix::unistd::sethostname("sandbox").map_err(failed(Step::HostName))?;
    sys::set_domain_name(c"sandbox").map_err(failed(Step::HostName))?;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(failed(Step::Loopback))?;
    sys::loopback_up(socket.as_fd()).map_err(failed(Step::Loopback))?;
    Ok(missing)
}

/// The kernel counts these by user, outside of any cgroup: an app shall leave the user some. Half of
/// the instances that a user gets by default, and ample watches.
const WATCHING: [(&str, &str); 2] =
    [("max_inotify_instances", "64"), ("max_inotify_watches", "32768")];

/// The least, the usual and the most bytes of a TCP connection's buffers. What the kernel has for TCP
/// is one pool for the whole machine, and by its own settings one connection that nobody reads takes
/// some 8 MiB of it. The usual ones are the kernel's.
const TCP_BUFFERS: [(&str, &str); 2] =
    [("tcp_rmem", "4096 131072 524288"), ("tcp_wmem", "4096 16384 524288")];

/// Signals that are passed on to the app.
const FORWARDED: &[Signal] = &[
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

fn block_signals() -> Result<SignalFd, Failure> {
    let failed = |errno| Failure::new(Step::Fork, "", errno);
    let mut watched = SigSet::empty();
    watched.add(Signal::SIGCHLD);
    for signal in FORWARDED {
        watched.add(*signal);
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None).map_err(failed)?;
    SignalFd::with_flags(&watched, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)
}

/// Forks the app's process and waits until its program runs. `None`: it does not, and that has
/// been reported.
fn fork_app(init: &Init, cgroup: bool, null: &OwnedFd) -> Result<Option<Pid>, Failure> {
    let failed = |errno| Failure::new(Step::Fork, "", errno);
    let (outcome, low) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    let ours = sys::dup_above(low.as_fd(), 10).map_err(failed)?;
    // Every copy but the app's must be closed, or the end of the app's would not show.
    drop(low);
    let Some(pid) = sys::fork().map_err(failed)? else {
        app::become_program(&App {
            argv: &init.spec.argv,
            environ: &init.spec.environ,
            limits: &init.spec.limits,
            proc: init.spec.proc,
            explain: init.spec.explain,
            writes_reach_server: init.spec.writes_reach_server,
            cgroup,
            console: init.spec.console,
            null,
            ends: &init.ends,
            helper: &init.helper,
            outcome: &ours,
        });
    };
    drop(ours);
    let pid = Pid::from_raw(pid);
    let mut errno = [0; 4];
    let length = loop {
        match nix::unistd::read(&outcome, &mut errno) {
            Err(Errno::EINTR) => {}
            other => break other.map_err(failed)?,
        }
    };
    if length == errno.len() {
        let errno = Errno::from_raw(i32::from_le_bytes(errno));
        let problem = match init.spec.argv.first() {
            Some(program) => app::diagnose(program, errno),
            None => crate::ExecProblem::Missing,
        };
        let _unheard = init.helper.send(&InitReport::ExecFailed(problem), &[]);
        return Ok(None);
    }
    Ok(Some(pid))
}

/// Reaps and forwards until the app ends.
fn watch(helper: &Channel, started: Started) -> ! {
    let Started { app, signals } = started;
    if let Some(filter) = reaper_filter() {
        // The app's own filter is in place in any case; this one guards against our mistakes.
        let _refused = sys::seccomp::install(&filter);
    }
    loop {
        if let Some(status) = reap(app) {
            let _unheard = helper.send(&InitReport::Status(status), &[]);
            sys::exit_now(0);
        }
        let mut polled = [
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(helper.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => sys::exit_now(1),
        }
        while let Ok(Some(info)) = signals.read_signal() {
            let number = i32::try_from(info.ssi_signo).unwrap_or_default();
            if number != libc::SIGCHLD {
                forward(app, number);
            }
        }
        match helper.try_receive::<InitOrder>() {
            Ok(Some(packet)) => obey(helper, app, &packet.message),
            Err(Errno::EAGAIN) => {}
            // Without the helper nobody could stop the grain.
            Ok(None) | Err(_) => sys::exit_now(1),
        }
    }
}

fn obey(helper: &Channel, app: Pid, order: &InitOrder) {
    match order {
        InitOrder::Signal(number) => forward(app, *number),
        InitOrder::SignalAll(number) => {
            let signal = Signal::try_from(*number).ok();
            // All but this process. No process at all is no error: it is about to end.
            let errno = match kill(Pid::from_raw(-1), signal) {
                Ok(()) | Err(Errno::ESRCH) => 0,
                Err(errno) => errno as i32,
            };
            let _unheard = helper.send(&InitReport::SignalledAll(errno), &[]);
        }
        InitOrder::Mapped { .. } | InitOrder::Start => {}
    }
}

fn forward(app: Pid, number: i32) {
    // It may just have ended; the next turn of the loop sees that.
    let _gone = kill(app, Signal::try_from(number).ok());
}

/// Collects every ended process. The app's `wait` status, once it is among them.
fn reap(app: Pid) -> Option<i32> {
    loop {
        let mut status = 0;
        match sys::reap_any(&mut status) {
            Ok(Some(pid)) if pid == app.as_raw() => return Some(status),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}
