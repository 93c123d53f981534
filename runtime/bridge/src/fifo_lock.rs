//! A lock that is had in the order in which it was asked for: calls on one object may overlap, what
//! they send may not (http-bridge §11).

use std::cell::RefCell;

use futures::channel::oneshot;

/// Lets one in at a time, in the order of [`queue`](FifoLock::queue).
#[derive(Default)]
pub struct FifoLock {
    last: RefCell<Option<oneshot::Receiver<()>>>,
}

/// A place in the queue.
pub struct Turn {
    before: Option<oneshot::Receiver<()>>,
    guard: Guard,
}

/// Having the lock. Dropping it lets the next one go on.
pub struct Guard {
    _next: oneshot::Sender<()>,
}

impl FifoLock {
    /// Takes the next place. To be called when the call arrives, not when it first runs.
    pub fn queue(&self) -> Turn {
        let (next, after) = oneshot::channel();
        Turn { before: self.last.replace(Some(after)), guard: Guard { _next: next } }
    }
}

impl Turn {
    /// Waits until everybody before is done, or gone.
    pub async fn wait(self) -> Guard {
        if let Some(before) = self.before {
            // Nothing is ever sent: a guard ends by being dropped.
            let _ = before.await;
        }
        self.guard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn later_turns_wait() {
        let lock = FifoLock::default();
        let (first, second, third) = (lock.queue(), lock.queue(), lock.queue());
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
