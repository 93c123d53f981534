//! How an app ended, in words.

use spk_sandbox::Exit;

/// What the app did: "exited with status 1". What met a limit names the option that raises it.
pub(super) fn in_words(exit: Exit) -> String {
    match exit {
        Exit::Code(status) => format!("exited with status {status}"),
        Exit::OutOfMemory => {
            "was killed: it used more memory than --limit-memory allows".to_owned()
        }
        Exit::Signal(libc::SIGXFSZ) => {
            "was killed: it wrote a larger file than --limit-file allows".to_owned()
        }
        Exit::Signal(libc::SIGSYS) => {
            "was killed for a system call of a foreign architecture".to_owned()
        }
        Exit::Signal(signal) => format!("was killed by signal {signal}"),
        Exit::Killed => "was stopped".to_owned(),
        Exit::Lost => "ended".to_owned(),
    }
}
