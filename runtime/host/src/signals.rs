//! The signals that end what runs in the foreground: Ctrl-C, `kill`, and the end of the terminal.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGHUP's bit in the masks of `/proc/self/status`.
const HANGUP: u64 = 1 << 0;

/// Waits for one of them; within a tokio runtime.
pub struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
    /// Nothing where whoever started us wants it to be ignored, as `nohup` does.
    hangup: Option<Signal>,
}

impl EndSignals {
    /// From now on they no longer end the process by themselves.
    ///
    /// # Errors
    ///
    /// When the system gives no handler for them.
    pub fn new() -> io::Result<EndSignals> {
        let hangup = match hangup_is_ignored() {
            true => None,
            false => Some(signal(SignalKind::hangup())?),
        };
        Ok(EndSignals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup,
        })
    }

    /// The number of the next one that arrives.
    pub async fn recv(&mut self) -> i32 {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = hangup => SignalKind::hangup(),
        };
        kind.as_raw_value()
    }
}

/// Whether the process was started with SIGHUP ignored. A handler would take that back.
fn hangup_is_ignored() -> bool {
    // Without /proc it is taken for the usual case.
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & HANGUP != 0)
}

#[cfg(test)]
mod tests {
    use super::ignores_hangup;

    #[test]
    fn what_is_ignored_is_read_from_the_mask() {
        assert!(ignores_hangup("Name:\tspk\nSigIgn:\t0000000000001001\nSigCgt:\t0000\n"));
        assert!(!ignores_hangup("Name:\tspk\nSigIgn:\t0000000000001000\nSigCgt:\t0001\n"));
        assert!(!ignores_hangup("SigIgn:\tx\n"));
        assert!(!ignores_hangup(""));
    }
}
