//! The app's process: start, signals, end (http-bridge §2.2, §2.4).

use std::io;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use spk_files::program;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use super::args::Options;
use super::error::Error;
use super::exit::Exit;
use crate::limits;

/// What HTTP clients in the app shall reach without the proxy.
const NO_PROXY: &str = "localhost,127.0.0.1";

/// Why waiting for the app is over.
pub enum End {
    /// Nobody asked for it.
    ByItself(Exit),
    /// A signal to the bridge was passed on.
    OnSignal,
}

/// The signals the bridge reacts to.
pub struct Signals {
    child: tokio::signal::unix::Signal,
    end: EndSignals,
}

/// The signals that ask for the end.
struct EndSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// Installs the handlers. Before the child is started, so that its end is not missed.
    pub fn listen() -> io::Result<Signals> {
        Ok(Signals {
            child: signal(SignalKind::child())?,
            end: EndSignals {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hangup: signal(SignalKind::hangup())?,
            },
        })
    }
}

impl EndSignals {
    /// The next one.
    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::SIGTERM,
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.hangup.recv() => Signal::SIGHUP,
        }
    }
}

/// The app's process.
pub struct Child {
    pid: Pid,
}

impl Child {
    /// Starts the command, with variables that make HTTP clients use the proxy, except for loopback
    /// (http-bridge §2.2). Everything else is inherited. The standard library gives it default
    /// signal handling and an empty mask; the host's socket is close-on-exec.
    pub fn start(
        options: &Options,
        directory: Option<&Path>,
        proxy_port: u16,
    ) -> Result<Child, Error> {
        let [program, arguments @ ..] = &options.command[..] else {
            return Err(exec_error("", io::ErrorKind::InvalidInput.into()));
        };
        let command = program.to_string_lossy();
        let proxy = format!("http://127.0.0.1:{proxy_port}/");
        let mut app = Command::new(program);
        if let Some(directory) = directory {
            app.current_dir(directory);
        }
        let child = app
            .args(arguments)
            .env("http_proxy", &proxy)
            .env("HTTP_PROXY", &proxy)
            .env("no_proxy", NO_PROXY)
            .spawn()
            .map_err(|source| exec_error(&command, source))?;
        // Reaped by `reap`, together with whatever else may end up as our child.
        let pid = i32::try_from(child.id())
            .map_err(|_| exec_error(&command, io::Error::other("the process ID does not fit")))?;
        Ok(Child { pid: Pid::from_raw(pid) })
    }

    /// Waits for the end of the app, passing signals on and reaping orphans.
    pub async fn wait(&mut self, signals: &mut Signals) -> End {
        let mut asked = false;
        loop {
            if let Some(ended) = self.reap() {
                return if asked { End::OnSignal } else { End::ByItself(ended) };
            }
            tokio::select! {
                _ = signals.child.recv() => {}
                signal = signals.end.next() => {
                    asked = true;
                    // Fails only if the app has ended, which the next turn finds out.
                    let _ = kill(self.pid, signal);
                }
            }
        }
    }

    /// Ends the app: politely first.
    pub async fn end(&mut self, signals: &mut Signals) {
        let _ = kill(self.pid, Signal::SIGTERM);
        if timeout(limits::KILL_GRACE, self.wait(signals)).await.is_err() {
            let _ = kill(self.pid, Signal::SIGKILL);
            self.wait(signals).await;
        }
    }

    /// Reaps all children that have ended. As PID 1 the bridge inherits every orphan of the grain;
    /// otherwise there is only the app.
    fn reap(&self) -> Option<Exit> {
        let mut found = None;
        loop {
            let (pid, exit) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) => (pid, Exit::Code(status)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Exit::Signal(signal)),
                Ok(WaitStatus::StillAlive) | Err(_) => return found,
                Ok(_) => continue,
            };
            if pid == self.pid {
                found = Some(exit);
            }
        }
    }
}

fn exec_error(command: &str, reason: io::Error) -> Error {
    let lacks = match reason.kind() {
        io::ErrorKind::NotFound if command.contains('/') => program::missing(Path::new(command)),
        _ => None,
    };
    let lacks = lacks
        .map(|missing| format!(": {}", missing.in_words("in the sandbox")))
        .unwrap_or_default();
    Error::Exec { command: command.to_owned(), reason, lacks }
}
