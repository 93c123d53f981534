//! How an app ended: the one word for it, from the helper that sees it to the host that tells.

use serde::{Deserialize, Serialize};

/// How the app ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// The app's first process returned this code.
    Code(i32),
    /// The app's first process died of this signal.
    Signal(i32),
    /// By [`Running::kill`](crate::Running::kill), or because the grace of
    /// [`Running::terminate`](crate::Running::terminate) was over.
    Killed,
    /// By the kernel, since the memory of its cgroup was used up.
    OutOfMemory,
    /// The helper or PID 1 was killed by someone else (as the kernel does when the machine's memory
    /// runs out).
    Lost,
}

impl Exit {
    /// What the app's status from wait(2) says.
    pub(crate) fn from_wait_status(status: i32) -> Exit {
        if libc::WIFEXITED(status) {
            Exit::Code(libc::WEXITSTATUS(status))
        } else {
            Exit::Signal(libc::WTERMSIG(status))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_status_is_a_code_or_a_signal() {
        assert_eq!(Exit::from_wait_status(3 << 8), Exit::Code(3));
        assert_eq!(Exit::from_wait_status(0), Exit::Code(0));
        assert_eq!(Exit::from_wait_status(libc::SIGKILL), Exit::Signal(libc::SIGKILL));
        // With a core dumped.
        assert_eq!(Exit::from_wait_status(libc::SIGSEGV | 0x80), Exit::Signal(libc::SIGSEGV));
    }
}
