//! Calls on one object may overlap; what they send may not (http-bridge §11).

use std::cell::RefCell;

use futures::channel::oneshot;

/// Hands out turns in the order of the calls.
#[derive(Default)]
pub struct Turns {
    last: RefCell<Option<oneshot::Receiver<()>>>,
}

/// A place in the queue.
pub struct Turn {
    before: Option<oneshot::Receiver<()>>,
    holding: Holding,
}

/// Being the one whose turn it is. Dropping it lets the next one go on.
pub struct Holding {
    _next: oneshot::Sender<()>,
}

impl Turns {
    /// Takes the next place. To be called when the call arrives, not when it first runs.
    pub fn take(&self) -> Turn {
        let (next, after) = oneshot::channel();
        Turn { before: self.last.replace(Some(after)), holding: Holding { _next: next } }
    }
}

impl Turn {
    /// Waits until everybody before is done, or gone.
    pub async fn wait(self) -> Holding {
        if let Some(before) = self.before {
            // Nothing is ever sent: a turn ends by being dropped.
            let _ = before.await;
        }
        self.holding
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn later_turns_wait() {
        let turns = Turns::default();
        let (first, second, third) = (turns.take(), turns.take(), turns.take());
        let mut third = Box::pin(third.wait());
        assert!((&mut third).now_or_never().is_none());
        // A call that is cancelled before its turn must not let others overtake those before it.
        let first = first.wait().now_or_never().unwrap();
        let mut second = Box::pin(second.wait());
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        let second = second.now_or_never().unwrap();
        assert!((&mut third).now_or_never().is_none());
        drop(second);
        assert!(third.now_or_never().is_some());
    }
}
