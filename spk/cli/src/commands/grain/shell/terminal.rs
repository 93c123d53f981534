//! A shell at a terminal: it gets a pseudo-terminal of its own, and bytes go back and forth. The
//! user's terminal never enters the sandbox, so nothing inside can change its settings or put
//! input into its queue.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use spk_sandbox::{Exit, Running};

/// How long a shell may take to end when we are told to.
const GRACE: Duration = Duration::from_secs(2);

/// Bytes passed on at a time.
const PIECE: usize = 16 << 10;

/// A new pseudo-terminal of the size of the user's: our side and the shell's.
pub fn open() -> io::Result<(File, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags)?;
    unlockpt(&ours)?;
    // Of this very terminal, whatever /dev/pts is mounted.
    let theirs = ioctl_tiocgptpeer(&ours, flags)?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let ours = File::from(ours);
    follow_size(&ours);
    Ok((ours, theirs))
}

/// Gives the shell's terminal the size of ours; the kernel tells the programs in it.
fn follow_size(ours: &File) {
    // A terminal without a size: the default does.
    let _ = tcgetwinsize(io::stdin()).and_then(|size| tcsetwinsize(ours, size));
}

/// The user's terminal, passing on every key; as it was before when dropped.
struct Raw(Termios);

impl Raw {
    fn make() -> io::Result<Raw> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no settings.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}

/// Blocks the signals that matter to a terminal, so that they come through the descriptor: it is
/// put right before we go. To be called while there is one thread.
pub fn signals() -> io::Result<SignalFd> {
    let signals = [Signal::SIGWINCH, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT];
    let signals: SigSet = signals.into_iter().collect();
    signals.thread_block()?;
    Ok(SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// Passes keys and output on until the shell has ended.
pub fn relay(mut ours: File, signals: SignalFd, running: &mut Running) -> io::Result<Exit> {
    let _raw = Raw::make()?;
    let mut keys: Vec<u8> = Vec::new();
    let mut typing = true;
    let exit = loop {
        if let Some(exit) = running.try_wait().map_err(io::Error::other)? {
            break exit;
        }
        // No more keys are read than the shell takes.
        let wish = if keys.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
        let stdin = io::stdin();
        let listen = typing && keys.is_empty();
        let mut polled = vec![
            PollFd::new(ours.as_fd(), PollFlags::POLLIN | wish),
            PollFd::new(running.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        if listen {
            polled.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let keyed = listen && polled.pop().and_then(|fd| fd.any()).unwrap_or_default();
        drop(polled);
        while let Ok(Some(signal)) = signals.read_signal() {
            match signal.ssi_signo as i32 {
                number if number == Signal::SIGWINCH as i32 => follow_size(&ours),
                _ => running.terminate(GRACE).map_err(io::Error::other)?,
            }
        }
        if keyed {
            keys.resize(PIECE, 0);
            let count = nix::unistd::read(io::stdin(), &mut keys).unwrap_or(0);
            keys.truncate(count);
            typing = count > 0;
        }
        if !keys.is_empty() {
            match ours.write(&keys) {
                Ok(count) => drop(keys.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The last process inside has closed its terminal.
                Err(_) => keys.clear(),
            }
        }
        if !pass_on(&mut ours)? {
            break running.wait().map_err(io::Error::other)?;
        }
    };
    // What it said last.
    pass_on(&mut ours)?;
    Ok(exit)
}

/// Prints what has been written; false when nobody is left to write more.
fn pass_on(ours: &mut File) -> io::Result<bool> {
    let mut piece = [0; PIECE];
    let mut out = io::stdout().lock();
    loop {
        match ours.read(&mut piece) {
            Ok(0) => return Ok(false),
            Ok(count) => out.write_all(&piece[..count])?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // EIO: no process has the other side open.
            Err(_) => {
                out.flush()?;
                return Ok(false);
            }
        }
    }
    out.flush()?;
    Ok(true)
}
