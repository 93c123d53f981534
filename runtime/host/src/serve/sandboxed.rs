//! The launcher that is used: the app in its sandbox.

use std::ffi::CString;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use spk_sandbox::{Console, Exit, Launcher, Limits, Root, Running, Spec};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::error::Error;
use super::launch::{Launch, Launched, Process};
use super::limits;
use super::log::Log;
use super::notes::Notes;
use super::options::{Program, Rootfs};
use super::settings::{Options, Settings};

/// Starts the app of one grain in a sandbox.
struct SandboxLauncher {
    rootfs: Rootfs,
    argv: Vec<CString>,
    environ: Vec<CString>,
    var: PathBuf,
    proc: bool,
    limits: Limits,
    explain: bool,
}

/// Takes apart what is served and how it is started.
pub(crate) fn split(options: Options) -> Result<(Settings, Box<dyn Launch>), Error> {
    let Options { app, grain, policy, visit, restarts, site } = options;
    let bridge_port = app.program.port();
    let (argv, environ) = command(&app.program)?;
    let launcher = SandboxLauncher {
        rootfs: app.rootfs,
        argv,
        environ,
        var: grain.var.clone(),
        proc: app.proc,
        limits: policy.limits.clone(),
        explain: policy.explain,
    };
    let settings = Settings { policy, visit, restarts, site, bridge_port, ..Settings::new(grain) };
    Ok((settings, Box::new(launcher)))
}

/// Exactly the manifest's arguments and environment (grain-runtime §A.11).
fn command(program: &Program) -> Result<(Vec<CString>, Vec<CString>), Error> {
    let c_string = |bytes: Vec<u8>| {
        CString::new(bytes).map_err(|error| {
            let part = String::from_utf8_lossy(&error.into_vec()).into_owned();
            Error::Command { part }
        })
    };
    let argv = program.argv.iter().cloned().map(c_string).collect::<Result<_, _>>()?;
    let environ = program
        .environ
        .iter()
        .map(|(name, value)| c_string([name.as_slice(), b"=", value].concat()))
        .collect::<Result<_, _>>()?;
    Ok((argv, environ))
}

impl Launch for SandboxLauncher {
    fn start(&mut self, log: &Log, notes: &Notes) -> Result<Launched, Error> {
        let start = |action| move |source| Error::Start { action, source };
        let (ours, theirs) = UnixStream::pair().map_err(start("make a socket pair"))?;
        let (output, input) = io::pipe().map_err(start("make a pipe"))?;
        let root = match &self.rootfs {
            Rootfs::Package(dir) => Root::Directory(dir.clone()),
            Rootfs::Fuse { writes_reach_server, .. } => {
                Root::Fuse { writes_reach_server: *writes_reach_server }
            }
        };
        let spec = Spec {
            root,
            var: self.var.clone(),
            argv: self.argv.clone(),
            environ: self.environ.clone(),
            rpc: OwnedFd::from(theirs),
            output: OwnedFd::from(input),
            console: Console::Nobody,
            proc: self.proc,
            explain: self.explain,
            limits: self.limits.clone(),
        };
        let mut prepared = Launcher::new().prepare(spec)?;
        log.drain(output).map_err(start("start the thread of the log"))?;
        if let (Rootfs::Fuse { hook, .. }, Some(fuse)) = (&mut self.rootfs, prepared.take_fuse()) {
            hook(fuse).map_err(Error::FileSystem)?;
        }
        let running = prepared.start()?;
        for missing in running.missing_walls() {
            notes.once(&format!("a second wall of the sandbox is missing here: {missing}"));
        }
        // The sandbox's own descriptor cannot be lent to the event loop while it is also used to
        // ask for news: the loop gets a duplicate.
        let news = running.as_fd().try_clone_to_owned().map_err(start("watch the app"))?;
        // An `OwnedFd` always gives the same descriptor and closes it after its `AsyncFd` is gone:
        // all that the unsafe replacement asks for.
        #[expect(deprecated)]
        let news =
            AsyncFd::with_interest(news, Interest::READABLE).map_err(start("watch the app"))?;
        Ok(Launched {
            rpc: ours,
            process: Box::new(Sandboxed {
                running,
                news,
                notes: notes.clone(),
                limits: self.limits.clone(),
            }),
        })
    }
}

struct Sandboxed {
    running: Running,
    news: AsyncFd<OwnedFd>,
    notes: Notes,
    limits: Limits,
}

impl Process for Sandboxed {
    fn pid(&self) -> Option<i32> {
        Some(self.running.app_pid())
    }

    fn ended(&mut self) -> Pin<Box<dyn Future<Output = Exit> + '_>> {
        Box::pin(async move {
            loop {
                let news = self.running.try_wait();
                self.notes.denied(self.running.denied());
                for met in self.running.met() {
                    self.notes.once(&limits::in_words(met, &self.limits));
                }
                match news {
                    Ok(Some(exit)) => return exit,
                    Err(_) => return Exit::Lost,
                    Ok(None) => {}
                }
                match self.news.readable().await {
                    Ok(mut ready) => ready.clear_ready(),
                    Err(_) => return Exit::Lost,
                }
            }
        })
    }

    fn terminate(&mut self, grace: Duration) -> io::Result<()> {
        self.running.terminate(grace).map_err(io::Error::other)
    }

    fn kill(&mut self) -> io::Result<()> {
        self.running.kill().map_err(io::Error::other)
    }

    fn freeze(&mut self) -> io::Result<()> {
        self.running.freeze().map_err(io::Error::other)
    }

    fn thaw(&mut self) -> io::Result<()> {
        self.running.thaw().map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reaches_the_app_byte_for_byte() {
        let program = Program {
            argv: vec![b"/bin/a b".to_vec(), b"".to_vec(), b"\xff'\"".to_vec()],
            environ: vec![(b"A".to_vec(), b"=x".to_vec())],
        };
        let (argv, environ) = command(&program).unwrap();
        assert_eq!(argv, [c"/bin/a b".to_owned(), c"".to_owned(), c"\xff'\"".to_owned()]);
        assert_eq!(environ, [c"A==x".to_owned()]);
        let bad = Program { argv: vec![b"a\0b".to_vec()], environ: Vec::new() };
        assert!(matches!(command(&bad), Err(Error::Command { .. })));
    }

    #[test]
    fn the_bridge_s_port_is_found_in_its_command() {
        let program = |argv: &[&str]| Program {
            argv: argv.iter().map(|argument| argument.as_bytes().to_vec()).collect(),
            environ: Vec::new(),
        };
        assert_eq!(program(&["/sandstorm-http-bridge", "8000", "--", "/x"]).port(), Some(8000));
        assert_eq!(program(&["/sandstorm-http-bridge", "--verbose", "80", "/x"]).port(), Some(80));
        assert_eq!(program(&["/x", "8000"]).port(), None);
        assert_eq!(program(&[]).port(), None);
    }
}
