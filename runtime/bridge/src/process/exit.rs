//! How the app ended.

use std::fmt;

use nix::sys::signal::Signal;

/// How the app ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with that status.
    Code(i32),
    /// That signal ended it.
    Signal(Signal),
}

impl fmt::Display for Exit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(status) => write!(out, "exited with status {status}"),
            Exit::Signal(signal) => {
                write!(out, "was killed by signal {} ({signal})", *signal as i32)
            }
        }
    }
}
