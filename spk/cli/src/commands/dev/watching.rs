//! `spk dev --watch`: from changes of single files to reasons for starting the app again.

use std::collections::BTreeSet;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::error::{Result, ResultExt};

/// After the last change it stays quiet for so long before the app is started again: an editor's
/// save or a checkout is many changes.
const QUIET: Duration = Duration::from_millis(250);
/// Changes that do not end are not waited for longer.
const LONGEST: Duration = Duration::from_secs(3);
/// Files that a reason names.
const NAMED: usize = 3;

/// Where changes go in, and where the reasons come out.
pub fn debounced() -> Result<(Sender<Vec<u8>>, UnboundedReceiver<String>)> {
    let (sender, changes) = mpsc::channel();
    let (reasons, receiver) = unbounded_channel();
    std::thread::Builder::new()
        .name("changes".into())
        .spawn(move || debounce(&changes, &reasons))
        .context("cannot start the thread that waits for changes")?;
    Ok((sender, receiver))
}

/// Ends when nobody tells of changes any more, or nobody wants to know.
fn debounce(changes: &Receiver<Vec<u8>>, reasons: &UnboundedSender<String>) {
    while let Ok(first) = changes.recv() {
        let begin = Instant::now();
        let mut changed = BTreeSet::from([first]);
        while begin.elapsed() < LONGEST {
            match changes.recv_timeout(QUIET) {
                Ok(more) => changed.insert(more),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            };
        }
        if reasons.send(reason(&changed)).is_err() {
            return;
        }
    }
}

fn reason(changed: &BTreeSet<Vec<u8>>) -> String {
    let names: Vec<String> =
        changed.iter().take(NAMED).map(|path| String::from_utf8_lossy(path).into_owned()).collect();
    let more = match changed.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("changed: {}{more}; starting the app again", names.join(", "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn many_changes_are_one_reason_in_one_line() {
        let (sender, changes) = mpsc::channel();
        let (reasons, mut receiver) = unbounded_channel();
        for name in ["d", "a", "b", "c", "a"] {
            sender.send(name.into()).unwrap();
        }
        drop(sender);
        debounce(&changes, &reasons);
        let reason = receiver.try_recv().unwrap();
        assert_eq!(reason, "changed: a, b, c and 1 more; starting the app again");
        assert!(receiver.try_recv().is_err(), "one reason only");
    }
}
