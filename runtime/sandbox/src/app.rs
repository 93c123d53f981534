//! PID 2 between its fork and its program: the last steps, in an order that matters.
//!
//! Landlock before seccomp, whose filter denies the Landlock calls; seccomp last of all.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

use spk_files::program;

use crate::error::{Failure, Step};
use crate::landlock;
use crate::privileges;
use crate::seccomp::{Arch, Denial, app_filter, terminal_filter};
use crate::spec::Limits;
use crate::sys;
use crate::wire::{Channel, ConsoleKind, InitReport};

/// The app's ends of what connects it with outside.
pub(crate) struct Ends {
    pub rpc: OwnedFd,
    pub output: OwnedFd,
    /// Input and errors, if they are not the null device and `output`.
    pub pipes: Option<(OwnedFd, OwnedFd)>,
}

/// What the app's process needs, made before the fork.
pub(crate) struct App<'a> {
    pub argv: &'a [CString],
    pub environ: &'a [CString],
    pub limits: &'a Limits,
    pub proc: bool,
    pub explain: bool,
    pub writes_reach_server: bool,
    /// Whether a cgroup limits memory.
    pub cgroup: bool,
    pub console: ConsoleKind,
    pub null: &'a OwnedFd,
    pub ends: &'a Ends,
    /// To the helper.
    pub helper: &'a Channel,
    /// To init: closed by a successful `execve`, or carries its error number.
    pub outcome: &'a OwnedFd,
}

/// Becomes the app's program. What goes wrong is said over the channels; then the process ends.
pub(crate) fn become_program(app: &App<'_>) -> ! {
    if let Err(failure) = prepare(app) {
        // Init sees the end of this process in any case.
        let _unheard = app.helper.send(&InitReport::Failed(failure), &[]);
        sys::exit_now(126);
    }
    let errno = match app.argv.first() {
        Some(program) => sys::execve(program, app.argv, app.environ),
        None => Errno::ENOENT,
    };
    let _unheard = nix::unistd::write(app.outcome, &(errno as i32).to_le_bytes());
    sys::exit_now(127);
}

fn prepare(app: &App<'_>) -> Result<(), Failure> {
    let failed = |step| move |errno| Failure::new(step, "", errno);
    // A session of its own: no terminal can be had through the launcher's.
    nix::unistd::setsid().map_err(failed(Step::Descriptors))?;
    sys::reset_signals();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
        .map_err(failed(Step::Descriptors))?;
    app.helper.send(&InitReport::App, &[]).map_err(failed(Step::Descriptors))?;
    let output = &app.ends.output;
    let (input, errors) = match (&app.ends.pipes, app.console) {
        (Some((input, errors)), _) => (input, errors),
        (None, ConsoleKind::Terminal) => (output, output),
        (None, _) => (app.null, output),
    };
    privileges::descriptors([input, output, errors, &app.ends.rpc].map(|fd| fd.as_fd()))?;
    let terminal = app.console == ConsoleKind::Terminal;
    if terminal {
        // Ours is a new session, which has none yet.
        sys::take_terminal(0).map_err(failed(Step::Descriptors))?;
    }
    if !landlock::restrict(app.proc, app.writes_reach_server)? {
        let missing = "no Landlock in this kernel".to_owned();
        app.helper.send(&InitReport::Missing(missing), &[]).map_err(failed(Step::Landlock))?;
    }
    privileges::limit(app.limits, app.cgroup)?;
    let filter = if terminal { terminal_filter } else { app_filter };
    let filter = |denial| {
        filter(Arch::NATIVE, denial)
            .map_err(|error| Failure::new(Step::Seccomp, error.to_string(), Errno::EOVERFLOW))
    };
    let told = match (app.explain, app.cgroup) {
        (true, _) => Denial::Notify,
        (false, false) => Denial::AnswerWithStacks,
        (false, true) => {
            return sys::seccomp::install(&filter(Denial::Answer)?).map_err(failed(Step::Seccomp));
        }
    };
    match sys::seccomp::install_with_listener(&filter(told)?) {
        Ok(listener) => app
            .helper
            .send(&InitReport::Listener, &[listener.as_raw_fd()])
            .map_err(failed(Step::Seccomp)),
        // There is one already, outside of all this; then stacks count as memory.
        Err(Errno::EBUSY) if !app.explain => {
            sys::seccomp::install(&filter(Denial::Answer)?).map_err(failed(Step::Seccomp))
        }
        Err(errno) => Err(failed(Step::Seccomp)(errno)),
    }
}

/// What is wrong with `program`, which `execve` refused with `errno`: looked up in the root that
/// the app would have had.
pub(crate) fn diagnose(program: &CString, errno: Errno) -> crate::ExecProblem {
    use crate::ExecProblem;
    let path = std::path::Path::new("/").join(std::ffi::OsStr::new(&*program.to_string_lossy()));
    let lacks = program::missing(&path).map(|missing| missing.in_words("in the package"));
    match errno {
        Errno::ENOENT if lacks.is_some() || path.exists() => {
            lacks.map_or(ExecProblem::Other(errno as i32), ExecProblem::Lacks)
        }
        Errno::ENOENT | Errno::ENOTDIR => ExecProblem::Missing,
        Errno::EACCES | Errno::EPERM => ExecProblem::NotExecutable,
        Errno::ENOEXEC => ExecProblem::Format,
        _ => ExecProblem::Other(errno as i32),
    }
}
