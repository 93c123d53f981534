//! The signals that end what runs in the foreground: Ctrl-C, `kill`, the end of the terminal, and
//! those that nobody sends by chance.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGHUP's bit in the masks of `/proc/self/status`.
const HANGUP: u64 = 1 << 0;

/// SIGABRT, SIGVTALRM, SIGXCPU, SIGXFSZ and SIGPROF are no names of tokio's; numbers of Linux on all
/// machines that spk is built for.
const UNNAMED: [i32; 5] = [6, 24, 25, 26, 27];

/// Waits for one of them; within a tokio runtime.
pub struct EndSignals(Vec<(SignalKind, Signal)>);

impl EndSignals {
    /// Those that ask for an end in good order: SIGINT, SIGTERM, and SIGHUP where whoever started us
    /// does not want it to be ignored, as `nohup` does. From now on they no longer end the process by
    /// themselves.
    ///
    /// # Errors
    ///
    /// When the system gives no handler for them.
    pub fn new() -> io::Result<EndSignals> {
        EndSignals::of(EndSignals::asking())
    }

    /// All that would end the process otherwise, but for those that cannot be caught and those that
    /// faults of its own cause.
    ///
    /// # Errors
    ///
    /// When the system gives no handler for them.
    pub fn any() -> io::Result<EndSignals> {
        let mut kinds = EndSignals::asking();
        kinds.extend([
            SignalKind::quit(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
            SignalKind::alarm(),
        ]);
        kinds.extend(UNNAMED.map(SignalKind::from_raw));
        EndSignals::of(kinds)
    }

    fn asking() -> Vec<SignalKind> {
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        if !hangup_is_ignored() {
            kinds.push(SignalKind::hangup());
        }
        kinds
    }

    fn of(kinds: Vec<SignalKind>) -> io::Result<EndSignals> {
        let listen = |kind| Ok((kind, signal(kind)?));
        Ok(EndSignals(kinds.into_iter().map(listen).collect::<io::Result<_>>()?))
    }

    /// The number of the next one that arrives.
    pub async fn recv(&mut self) -> i32 {
        let next = poll_fn(|context| {
            let arrived = self
                .0
                .iter_mut()
                .find_map(|(kind, signal)| signal.poll_recv(context).is_ready().then_some(*kind));
            arrived.map_or(Poll::Pending, Poll::Ready)
        });
        next.await.as_raw_value()
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
