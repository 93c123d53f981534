//! `spk dev --exec`: a command that uses the app, and says by its end that it is done.

use std::cell::Cell;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::driving::Ready;
use crate::error::{CliError, Result};
use crate::ui::Ui;

/// How long a command that is told to end may take, as the app may.
const GRACE: Duration = Duration::from_secs(5);
/// Between two looks at whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// A command, and what became of it.
#[derive(Clone)]
pub struct Exec {
    command: Vec<OsString>,
    ended: Rc<Cell<Option<std::io::Result<ExitStatus>>>>,
}

impl Exec {
    /// The program and its arguments.
    pub fn new(command: Vec<OsString>) -> Exec {
        Exec { command, ended: Rc::default() }
    }

    /// Runs it, in the environment of `spk` with what it needs besides:
    ///
    /// - `SPK_SESSION_URL`: the user's session, with a `/` at its end;
    /// - `SPK_ADDRESS`: `host:port` to connect to, for clients that cannot resolve names below `localhost`;
    /// - `SPK_USER`: who that is;
    /// - `SPK_API_URL`, `SPK_API_TOKEN`: the API's origin, and a token of the user's for it.
    pub async fn run(&self, user: &str, ready: &Ready, stdout: Stdio, ui: &Ui) {
        let outcome = match start(&self.command, user, ready, stdout) {
            Ok(mut child) => {
                ui.note(format!("running {}", words(&self.command)));
                child.wait().await
            }
            Err(error) => Err(error),
        };
        self.ended.set(Some(outcome));
    }

    /// What it ended with: an error with the command's own status, if that is not 0; or that it did not
    /// come to its end, so that nobody takes half of a test run for all of it.
    pub fn outcome(&self) -> Result<()> {
        let program = self.command.first().map(|name| name.display().to_string());
        let program = program.unwrap_or_default();
        let Some(outcome) = self.ended.take() else {
            return Err(CliError::new(format!("interrupted before {program} was done")));
        };
        let status = outcome
            .map_err(|error| CliError::from(error).context(format!("cannot run {program}")))?;
        if status.success() {
            return Ok(());
        }
        let said = match status.signal() {
            Some(signal) => 128 + signal,
            None => status.code().unwrap_or(1),
        };
        let message = format!("{program} ended with {status}");
        Err(CliError::command(message, u8::try_from(said).unwrap_or(1)))
    }
}

fn words(command: &[OsString]) -> String {
    command.iter().map(|word| word.display().to_string()).collect::<Vec<_>>().join(" ")
}

fn start(
    command: &[OsString],
    user: &str,
    ready: &Ready,
    stdout: Stdio,
) -> std::io::Result<Running> {
    let (program, arguments) = command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).stdout(stdout);
    command.env("SPK_SESSION_URL", &ready.session);
    command.env("SPK_ADDRESS", &ready.address);
    command.env("SPK_USER", user);
    if let Some(api) = &ready.api {
        command.env("SPK_API_URL", format!("{}/", api.url)).env("SPK_API_TOKEN", &api.token);
    }
    Ok(Running(command.spawn()?))
}

/// A command that ends when nobody waits for it any more: the app failed, or `spk` was told to end.
struct Running(Child);

impl Running {
    async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.0.wait().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // None: it has ended, and was waited for.
        let Some(pid) = self.0.id() else { return };
        let _gone = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM);
        let end = Instant::now() + GRACE;
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
        let _ended = self.0.start_kill();
    }
}
