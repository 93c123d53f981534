//! `spk grain shell`.

mod console;
mod program;
mod terminal;

use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use fuse_tracer::Tracer;
use serde_json::json;
use spk_grains::store::{Grain, Store};
use spk_sandbox::{Console, Exit, Launcher, Limits, Root, Running, Spec};

use self::program::{Root as ProgramRoot, Session};
use crate::error::{CliError, Result, ResultExt};
use crate::ui::Ui;

/// Open a shell, or run a command, on a stopped grain's data
///
/// In the grain's own sandbox: the package as a read-only root, the grain's data in /var, no
/// network. The grain is held meanwhile: nothing else can start, export or delete it. Ends with
/// the command's exit status.
#[derive(clap::Args)]
pub struct Args {
    /// The grain: its ID, or a unique beginning of it
    #[arg(value_name = "ID")]
    id: String,
    /// What to run instead of a shell; a name without a slash is looked for in PATH
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<std::ffi::OsString>,
    /// Show a shell of this machine, which must be linked statically, in /.spk [default: busybox,
    /// and only when the package has no shell]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    host_shell: Option<Option<PathBuf>>,
    /// Show /proc, which apps do not have
    #[arg(long)]
    proc: bool,
    /// Run a command without input, and print JSON: its output and its exit status
    #[arg(long, requires = "command")]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    // One that runs has to be stopped first: two writers, of which one does not know of the other,
    // are what the lock is there to prevent.
    let grain = super::hold(store, &args.id, "shell")?;
    let Some(package) = grain.meta().package_id else {
        return Err(CliError::new(format!("grain {} was made by spk dev", grain.id()))
            .hint("`spk grain upgrade ID FILE` gives it a package"));
    };
    let package = store.package(&package)?;
    let mut session = Session::new(&package, &args.command, args.host_shell.as_ref())?;
    session.notes.iter().for_each(|note| ui.note(note));
    session.proc |= args.proc;
    let exit = match args.json {
        true => report(&session, &grain, ui)?,
        false if io::stdin().is_terminal() && io::stdout().is_terminal() => {
            // Before any thread: one that does not block them would swallow them.
            let signals = terminal::signals().context("cannot watch for signals")?;
            let (terminal, theirs) = terminal::open().context("cannot make a pseudo-terminal")?;
            let mut started = start(&session, &grain, theirs, Console::Terminal)?;
            terminal::relay(terminal, signals, &mut started.running)
                .context("the terminal failed")?
        }
        false => {
            let (ours, output, console) = console::pipes().context("cannot make pipes")?;
            let mut started = start(&session, &grain, output, console)?;
            console::relay(ours, &mut started.running, &mut ui.pipe()).context("a pipe failed")?
        }
    };
    drop((session, grain, package));
    if ui.reader_gone() {
        // It was killed because nobody reads what it prints.
        return Ok(());
    }
    match status(exit, ui) {
        0 => Ok(()),
        status => std::process::exit(status),
    }
}

/// A sandbox, and what serves its root.
struct Started {
    running: Running,
    _tracer: Option<Tracer>,
}

fn start(session: &Session, grain: &Grain, output: OwnedFd, console: Console) -> Result<Started> {
    // Nobody is there to answer: the other end is closed at once.
    let (_, rpc) = UnixStream::pair().context("cannot make a socket pair")?;
    let spec = Spec {
        root: match &session.root {
            ProgramRoot::Package(dir) => Root::Directory(dir.clone()),
            ProgramRoot::WithTools(_) => Root::Fuse { writes_reach_server: false },
        },
        var: grain.var_path(),
        argv: session.argv.clone(),
        environ: session.environ.clone(),
        rpc: rpc.into(),
        output,
        console,
        proc: session.proc,
        explain: false,
        limits: Limits::default(),
    };
    let sandbox = |error: spk_sandbox::Error| {
        let remedy = session.remedy(&error).or_else(|| error.remedy());
        let error = CliError::from(error);
        match remedy {
            Some(remedy) => error.hint(remedy),
            None => error,
        }
    };
    let mut prepared = Launcher::new().prepare(spec).map_err(sandbox)?;
    let tracer = match (&session.root, prepared.take_fuse()) {
        (ProgramRoot::WithTools(tools), Some(fuse)) => Some(tools.serve(fuse)?),
        _ => None,
    };
    let running = prepared.start().map_err(sandbox)?;
    Ok(Started { running, _tracer: tracer })
}

/// Runs it without input and prints what came of it.
fn report(session: &Session, grain: &Grain, ui: &Ui) -> Result<Exit> {
    let (ours, output, console) = console::pipes().context("cannot make pipes")?;
    let mut started = start(session, grain, output, console)?;
    let (exit, output, errors) =
        console::collect(ours, &mut started.running).context("a pipe failed")?;
    let value = json!({
        "grainId": grain.id().as_str(),
        "status": match exit { Exit::Code(code) => Some(code), _ => None },
        "signal": match exit { Exit::Signal(signal) => Some(signal), _ => None },
        "stdout": output.text(),
        "stderr": errors.text(),
        "truncated": output.truncated || errors.truncated,
    });
    ui.line(value.to_string())?;
    Ok(exit)
}

/// The exit status that says how it ended, as shells have it.
fn status(exit: Exit, ui: &Ui) -> i32 {
    /// Of what was killed from outside, as by SIGKILL.
    const KILLED: i32 = 128 + 9;
    match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal,
        Exit::OutOfMemory => {
            ui.warn("the kernel killed the shell: its memory was used up");
            KILLED
        }
        Exit::Killed | Exit::Lost => KILLED,
    }
}
