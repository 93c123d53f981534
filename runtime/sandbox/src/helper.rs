//! The helper process: one thread, nothing inherited, made by executing this program again.
//!
//! It stays outside of the namespaces it makes. The launcher's death closes the channel, upon which
//! it kills PID 1; its own death kills PID 1 too (the parent-death signal). So nothing survives.

use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::app::Ends;
use crate::cgroup::Group;
use crate::error::{Failure, Step};
use crate::ids::{Ids, Translator};
use crate::init::{self, Init};
use crate::root;
use crate::supervisor::{Extras, Supervisor};
use crate::sys::{self, Forked};
use crate::wire::{Channel, ConsoleKind, InitOrder, InitReport, Order, Report, SpecData};

/// `argv[0]` that marks a helper: no path of a program looks like this.
pub(crate) const MARKER: &str = "spk: sandbox helper";

const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;

/// Becomes the sandbox helper, and never returns, if this process was started as one.
///
/// Must be the first thing in `main` of every program that launches: before any thread, any
/// runtime, any option parsing.
pub fn run_helper_if_asked() {
    if std::env::args_os().next().is_none_or(|name| name.as_bytes() != MARKER.as_bytes()) {
        return;
    }
    let Some(launcher) = sys::take_stdin().and_then(Channel::from_fd) else {
        // Someone gave us that name by hand; there is nobody to talk to.
        sys::exit_now(1)
    };
    // Nothing unwinds into what a process was copied from.
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tell(info);
        sys::exit_now(1);
    }));
    sys::exit_now(i32::from(run(launcher).is_err()))
}

/// The launcher's channel is gone or broken: there is nobody left to tell.
struct Abandoned;

fn run(launcher: Channel) -> Result<(), Abandoned> {
    // Away from the terminal: Ctrl-C there is for the launcher, which tells us in order.
    let _leader = nix::unistd::setsid();
    // The caller's keys are none of the app's business. Kernels without keyrings say ENOSYS.
    let _no_keyrings = sys::fresh_keyring();
    // Descriptors that the launcher did not mark close-on-exec, standard ones included.
    sys::close_from(1).map_err(|_| Abandoned)?;
    // Numbers 0 to 9 stay free, so that nothing of ours is in the way of the app's 0 to 3.
    let launcher = above(launcher.into_fd()).and_then(Channel::from_fd).ok_or(Abandoned)?;

    let packet = launcher.receive::<Order>().map_err(|_| Abandoned)?.ok_or(Abandoned)?;
    let Order::Prepare = packet.message else { return Err(Abandoned) };
    let mut fds = packet.fds.into_iter().filter_map(above);
    let (Some(file), Some(rpc), Some(output)) = (fds.next(), fds.next(), fds.next()) else {
        return Err(Abandoned);
    };
    let spec = read_spec(file).ok_or(Abandoned)?;
    let pipes = fds.next().zip(fds.next());
    if pipes.is_some() != (spec.console == ConsoleKind::Pipes) {
        return Err(Abandoned);
    }
    match prepare(&spec_summary(&spec), spec, Ends { rpc, output, pipes }) {
        Ok(supervisor) => supervisor.run(launcher).map_err(|_| Abandoned),
        Err(failure) => launcher.send(&Report::Failed(failure), &[]).map_err(|_| Abandoned),
    }
}

/// The parts of the spec that the helper itself looks at, since init takes it along.
struct Summary {
    root: Option<Vec<u8>>,
    var: Vec<u8>,
}

fn spec_summary(spec: &SpecData) -> Summary {
    Summary { root: spec.root.clone(), var: spec.var.clone() }
}

fn above(fd: OwnedFd) -> Option<OwnedFd> {
    sys::dup_above(fd.as_fd(), 10).ok()
}

fn read_spec(file: OwnedFd) -> Option<SpecData> {
    let mut text = Vec::new();
    std::fs::File::from(file).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Makes the namespaces, with init waiting in them for its maps.
fn prepare(summary: &Summary, spec: SpecData, ends: Ends) -> Result<Supervisor, Failure> {
    let (ids, mounts) = identity(summary)?;
    let limits = spec.limits.clone();
    let launcher = nix::unistd::getppid().as_raw().cast_unsigned();
    let group = Group::make(&limits, &[launcher, std::process::id()]).ok();
    let (ours, theirs) = Channel::pair().map_err(|errno| Failure::new(Step::Fork, "", errno))?;
    ours.name_senders().map_err(|errno| Failure::new(Step::Fork, "", errno))?;
    let theirs = above(theirs.into_fd())
        .and_then(Channel::from_fd)
        .ok_or_else(|| Failure::new(Step::Fork, "", Errno::EMFILE))?;
    let (forked, group) = fork_init(group)?;
    let (pid, pidfd) = match forked {
        Forked::Child => {
            drop((ours, mounts));
            // The group is the helper's to remove.
            std::mem::forget(group);
            // Above all the helper's end of the launcher's channel, which our caller holds.
            let Ends { rpc, output, pipes } = &ends;
            let pipes = pipes.iter().flat_map(|(input, errors)| [input, errors]);
            let kept = [rpc, output].into_iter().chain(pipes).map(|fd| fd.as_raw_fd());
            let kept = kept.chain([theirs.as_fd().as_raw_fd()]).collect();
            if sys::close_all_but(kept).is_err() {
                sys::exit_now(1);
            }
            init::run(Init { helper: theirs, spec, ids, ends })
        }
        Forked::Parent(pid, pidfd) => (pid, pidfd),
    };
    // The app's ends and init's end are theirs alone.
    drop((theirs, ends));
    let go_on = || {
        // The machine's memory killer should rather take the grain than the user's other work.
        let _kept = std::fs::write(format!("/proc/{pid}/oom_score_adj"), OOM_SCORE);
        ids.write_maps(pid)?;
        let fds: Vec<_> = mounts.iter().map(|fd| fd.as_raw_fd()).collect();
        let memory = group.as_ref().is_some_and(Group::limits_memory);
        ours.send(&InitOrder::Mapped { cgroup: memory }, &fds)
            .map_err(|errno| Failure::new(Step::IdMap, "", errno))?;
        match ours.receive::<InitReport>() {
            Ok(Some(packet)) => match packet.message {
                InitReport::Prepared => Ok(packet.fds.into_iter().next()),
                InitReport::Failed(failure) => Err(failure),
                _ => Err(Failure::new(Step::Namespaces, "", Errno::EPROTO)),
            },
            Ok(None) => Err(Failure::new(Step::Namespaces, "", Errno::ECHILD)),
            Err(errno) => Err(Failure::new(Step::Namespaces, "", errno)),
        }
    };
    match go_on() {
        Ok(device) => {
            Ok(Supervisor::new(ours, Pid::from_raw(pid), pidfd, Extras { device, group, limits }))
        }
        Err(failure) => {
            let _gone = sys::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
            let _reaped = waitpid(Pid::from_raw(pid), None);
            Err(failure)
        }
    }
}

/// Forks init into its namespaces and, if that can be had, its cgroup: the root of what it sees.
fn fork_init(group: Option<Group>) -> Result<(Forked, Option<Group>), Failure> {
    if let Some(group) = group {
        let born = group.open().and_then(|dir| sys::clone_into_cgroup(NAMESPACES, dir.as_fd()));
        if let Ok(forked) = born {
            return Ok((forked, Some(group)));
        }
        // Before Linux 5.7; or it is the namespaces, and the plain call says so.
        let forked = plain_fork()?;
        let joined = match &forked {
            Forked::Parent(pid, _) => group.join(*pid).is_ok(),
            Forked::Child => true,
        };
        return Ok((forked, joined.then_some(group)));
    }
    Ok((plain_fork()?, None))
}

fn plain_fork() -> Result<Forked, Failure> {
    sys::clone_into(NAMESPACES).map_err(|errno| Failure::new(Step::Namespaces, "", errno))
}

/// How much more likely than others the app is chosen when memory runs out (-1000 to 1000).
const OOM_SCORE: &str = "300";

/// Who the app is outside, and the mounts that had to be made out here for that: of the root (if it
/// is a directory) and of `/var`.
///
/// Root of the machine gives the app ids that own nothing, and shows it its files as its own by
/// mounts with translated ids. Where that cannot be had, and for everyone else, the app has the
/// launcher's own ids outside.
fn identity(summary: &Summary) -> Result<(Ids, Vec<OwnedFd>), Failure> {
    let own = Ids::own();
    if own.outside_uid != 0 {
        return Ok((own, Vec::new()));
    }
    // The launcher's groups would stay with the app. Inside a user namespace this may be refused.
    let _kept = nix::unistd::setgroups(&[]);
    let var = Path::new(std::ffi::OsStr::from_bytes(&summary.var));
    let foreign = Ids::foreign(var);
    match translate(summary, &foreign) {
        Ok(mounts) => Ok((foreign, mounts)),
        Err(_) => Ok((own, Vec::new())),
    }
}

fn translate(summary: &Summary, ids: &Ids) -> Result<Vec<OwnedFd>, Failure> {
    let mut mounts = Vec::new();
    let mut translator = Translator::new(*ids);
    let mut translated = |path: &[u8]| {
        let failed = |errno| {
            Failure::new(Step::IdMapMount, String::from_utf8_lossy(path).into_owned(), errno)
        };
        let path = std::ffi::CString::new(path).map_err(|_| failed(Errno::EINVAL))?;
        translator.mount(&path).map_err(failed)
    };
    if let Some(path) = &summary.root {
        let root = translated(path)?;
        root::harden_root(&root)?;
        mounts.push(root);
    }
    let var = translated(&summary.var)?;
    root::harden_var(&var)?;
    mounts.push(var);
    Ok(mounts)
}
