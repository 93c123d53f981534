//! A command whose input and output are not a terminal: bytes are passed on through pipes of its
//! own, so that nothing inside ever holds a descriptor of a file outside.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::OwnedFd;
use std::thread;

use spk_sandbox::{Console, Exit, Running};

use crate::stdout::Stdout;

/// What is kept of each output stream for `--json`.
const MOST: u64 = 1 << 20;

/// Our ends of the pipes.
pub struct Ends {
    input: PipeWriter,
    output: PipeReader,
    errors: PipeReader,
}

/// Three pipes: our ends, and where the command writes and reads.
pub fn pipes() -> io::Result<(Ends, OwnedFd, Console)> {
    let (their_input, input) = io::pipe()?;
    let (output, their_output) = io::pipe()?;
    let (errors, their_errors) = io::pipe()?;
    let console = Console::Pipes { input: their_input.into(), errors: their_errors.into() };
    Ok((Ends { input, output, errors }, their_output.into(), console))
}

/// Passes our own standard streams, of which `stdout` is one, on until the command has ended.
pub fn relay(ends: Ends, running: &mut Running, stdout: &mut Stdout) -> io::Result<Exit> {
    let Ends { mut input, mut output, mut errors } = ends;
    // Not waited for: it may sit in a read that never ends.
    thread::spawn(move || io::copy(&mut io::stdin().lock(), &mut input));
    let errors = thread::spawn(move || io::copy(&mut errors, &mut io::stderr()));
    let copied = io::copy(&mut output, stdout);
    if let Err(error) = copied {
        // As for any program whose reader has gone: SIGPIPE, in effect.
        if error.kind() != io::ErrorKind::BrokenPipe {
            return Err(error);
        }
        running.kill().map_err(io::Error::other)?;
    }
    let exit = running.wait().map_err(io::Error::other)?;
    // The pipe has ended with the last process inside.
    let _ = errors.join();
    Ok(exit)
}

/// What a command has printed.
pub struct Collected {
    bytes: Vec<u8>,
    /// More than is kept was printed.
    pub truncated: bool,
}

impl Collected {
    /// As text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Gives no input, and keeps the output.
pub fn collect(ends: Ends, running: &mut Running) -> io::Result<(Exit, Collected, Collected)> {
    let Ends { input, output, errors } = ends;
    drop(input);
    let errors = thread::spawn(move || read(errors));
    let output = read(output)?;
    let exit = running.wait().map_err(io::Error::other)?;
    let errors = errors.join().map_err(|_| io::Error::other("a thread failed"))??;
    Ok((exit, output, errors))
}

fn read(mut pipe: PipeReader) -> io::Result<Collected> {
    let mut bytes = Vec::new();
    pipe.by_ref().take(MOST).read_to_end(&mut bytes)?;
    let more = io::copy(&mut pipe, &mut io::sink())?;
    Ok(Collected { bytes, truncated: more > 0 })
}
