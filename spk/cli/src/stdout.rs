//! What commands print for the caller: the one writer of data on stdout, which tells what could not
//! be written. A pipe whose reader has gone ends the command in silence, with status 0, so that
//! `spk ls … | head` succeeds; anything else that goes wrong is a failure of the command.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use crate::error::CliError;

/// Stdout, unbuffered. Clones know together whether somebody still reads.
#[derive(Clone, Debug, Default)]
pub struct Stdout {
    reader_gone: Arc<AtomicBool>,
}

impl Stdout {
    /// Whether writing has failed because nobody reads any more.
    pub fn reader_gone(&self) -> bool {
        self.reader_gone.load(Ordering::Relaxed)
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = checked(io::stdout(), bytes);
        if written == Err(Errno::PIPE) {
            self.reader_gone.store(true, Ordering::Relaxed);
        }
        written.map_err(unwritten)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file that stdout was directed to, if it is one, and what was its path when it was opened, as
/// far as that is known.
pub fn file() -> Option<(Metadata, PathBuf)> {
    let own = io::stdout().as_fd().try_clone_to_owned().ok()?;
    let metadata = File::from(own).metadata().ok().filter(Metadata::is_file)?;
    Some((metadata, fs::read_link("/proc/self/fd/1").unwrap_or_default()))
}

/// Writes to what stdout was when the program began. Not through `std`, which takes EBADF for
/// success, and keeps what it could not write.
fn checked(stdout: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    match spk_sandbox::stdout_was_closed() {
        true => Err(Errno::BADF),
        false => rustix::io::write(stdout, bytes),
    }
}

/// Stdout while an app is served: ours alone. The RPC library prints an app's connection errors
/// there, which an app can cause, and panics when nobody reads them any more.
pub struct Reserved(OwnedFd);

impl Reserved {
    /// Puts nothing in its place until this is dropped.
    pub fn take() -> io::Result<Reserved> {
        let own = io::stdout().as_fd().try_clone_to_owned()?;
        let null = File::options().write(true).open("/dev/null")?;
        nix::unistd::dup2_stdout(&null)?;
        Ok(Reserved(own))
    }

    /// The real stdout, for a program that writes there in our place.
    pub fn handed_on(&self) -> io::Result<Stdio> {
        match spk_sandbox::stdout_was_closed() {
            true => Ok(Stdio::null()),
            false => Ok(self.0.try_clone()?.into()),
        }
    }

    /// One line of data, as [`Ui::line`](crate::ui::Ui::line); whoever closed a pipe does not want
    /// to know, and what is served goes on.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        match self.write_all(format!("{text}\n").as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }
}

impl Write for Reserved {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        checked(&self.0, bytes).map_err(unwritten)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // Data that comes after the app's end belongs on the real one again.
        let _ = nix::unistd::dup2_stdout(&self.0);
    }
}

/// What is behind the errors of these writers, so that whoever passes them on tells where it was.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to stdout")]
struct Unwritten(#[source] io::Error);

fn unwritten(errno: Errno) -> io::Error {
    let error = io::Error::from(errno);
    io::Error::new(error.kind(), Unwritten(error))
}

/// What a command says when its data could not be written.
pub fn failure(error: io::Error) -> CliError {
    match error.raw_os_error() {
        // Of `std`, which does not say where.
        Some(_) => CliError::from(error).context("cannot write to stdout"),
        None => error.into(),
    }
}
