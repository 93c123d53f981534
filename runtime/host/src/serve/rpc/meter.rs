//! What one app makes the host keep.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use capnp::Error;
use tokio::sync::Notify;

use crate::serve::limits::HostLimits;
use crate::serve::limits::{self, Counts};
use crate::serve::notes::Notes;

/// Calls of the app that have begun and are not finished. Bridges have one or two for each request
/// under way, of which the front end takes 512; an app with so many more has lost count.
pub(super) const CALLS: usize = 16 * 1024;

/// Calls of the app that it gave up before they were answered. The library keeps a little of each
/// until the connection ends, about 200 bytes.
pub(super) const GIVEN_UP: usize = 1 << 20;

/// What a message costs beside its bytes: what the library and we keep of each, and what the
/// allocator adds.
const MESSAGE: u64 = 1024;

/// So long the app may wait for room before the developer learns why it stands still.
const PATIENCE: Duration = Duration::from_secs(5);

/// The counts of one connection.
pub(super) struct Meter {
    notes: Notes,
    /// Most bytes of messages from the app that are kept at a time; and of those for it. Beyond it
    /// nothing more is taken from the app, so that it comes to no more answers.
    most_held: u64,
    counts: Counts,
    held: Cell<u64>,
    /// Bytes of the message that is being read.
    reading: Cell<u64>,
    /// Messages for the app that are not written yet.
    queue: RefCell<Queue>,
    unanswered: Cell<usize>,
    room: Notify,
    /// Why the connection has to end.
    verdict: RefCell<Option<Error>>,
    condemned: Notify,
}

impl Meter {
    pub fn new(limits: &HostLimits, notes: Notes) -> Rc<Meter> {
        Rc::new(Meter {
            notes,
            most_held: limits.held_bytes,
            counts: limits.counts.clone(),
            held: Cell::new(0),
            reading: Cell::new(0),
            queue: RefCell::default(),
            unanswered: Cell::new(0),
            room: Notify::new(),
            verdict: RefCell::default(),
            condemned: Notify::new(),
        })
    }

    /// Bytes of a message have been read.
    pub fn read(&self, count: usize) {
        self.reading.set(self.reading.get() + count as u64);
    }

    /// The message is complete: it is held until the result is dropped.
    pub fn charge(self: &Rc<Self>) -> Charge {
        let bytes = self.reading.replace(0) + MESSAGE;
        self.held.set(self.held.get() + bytes);
        Charge { meter: self.clone(), bytes }
    }

    /// A message of so many bytes for the app joins the queue.
    pub fn queue(&self, bytes: u64) {
        self.queue.borrow_mut().push(bytes);
    }

    /// Bytes have been written to it.
    pub fn written(&self, bytes: usize) {
        self.queue.borrow_mut().written(bytes as u64);
        self.room.notify_one();
    }

    fn queued(&self) -> u64 {
        self.queue.borrow().cost()
    }

    /// A call to the app has been sent.
    pub fn asked(&self) {
        self.unanswered.set(self.unanswered.get() + 1);
        let most = self.counts.unanswered;
        if self.unanswered.get() > most {
            self.condemn(format!("it leaves more than {most} calls unanswered"));
        }
    }

    /// One has been answered.
    pub fn answered(&self) {
        self.unanswered.set(self.unanswered.get().saturating_sub(1));
    }

    /// An object was given to the app under this number. The library gives out the lowest that is
    /// free, so that the number tells how many there are.
    pub fn exported(&self, id: u32) {
        let most = self.counts.exports;
        if id > most {
            self.condemn(format!("it holds more than {most} of the host's objects"));
        }
    }

    /// The connection has to end.
    pub fn condemn(&self, reason: String) {
        let mut verdict = self.verdict.borrow_mut();
        if verdict.is_none() {
            *verdict = Some(Error::failed(reason));
        }
        self.condemned.notify_one();
    }

    /// Resolves with why the connection has to end, when it has to.
    pub async fn verdict(&self) -> Error {
        loop {
            if let Some(error) = self.verdict.borrow().clone() {
                return error;
            }
            self.condemned.notified().await;
        }
    }

    /// Waits until the host keeps little enough to read on. One message is always taken, so that a
    /// large one gets through.
    pub async fn room(&self) {
        let full = || self.held.get() >= self.most_held || self.queued() >= self.most_held;
        if !full() {
            return;
        }
        let wait = async {
            while full() {
                self.room.notified().await;
            }
        };
        let mut wait = std::pin::pin!(wait);
        if tokio::time::timeout(PATIENCE, wait.as_mut()).await.is_err() {
            self.notes.once(&format!(
                "the app waits: the host keeps {} of its messages that are not dealt with, \
                 and {} that it has not read (--limit-rpc allows more than {})",
                limits::size(self.held.get()),
                limits::size(self.queued()),
                limits::size(self.most_held),
            ));
            wait.await;
        }
    }
}

/// Messages that are written one after the other.
#[derive(Default)]
struct Queue {
    /// Where each ends, counted in bytes from the connection's beginning.
    ends: VecDeque<u64>,
    pushed: u64,
    written: u64,
}

impl Queue {
    fn push(&mut self, bytes: u64) {
        self.pushed += bytes;
        self.ends.push_back(self.pushed);
    }

    fn written(&mut self, bytes: u64) {
        self.written += bytes;
        while self.ends.front().is_some_and(|end| *end <= self.written) {
            self.ends.pop_front();
        }
    }

    /// What those cost that are not written.
    fn cost(&self) -> u64 {
        self.pushed.saturating_sub(self.written) + self.ends.len() as u64 * MESSAGE
    }
}

/// A message that is kept.
pub(super) struct Charge {
    meter: Rc<Meter>,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.meter.held.set(self.meter.held.get() - self.bytes);
        self.meter.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_costs_more_than_its_bytes_until_its_last_is_written() {
        let mut queue = Queue::default();
        queue.push(48);
        queue.push(16);
        assert_eq!(queue.cost(), 64 + 2 * MESSAGE);
        queue.written(47);
        assert_eq!(queue.cost(), 17 + 2 * MESSAGE);
        queue.written(1);
        assert_eq!(queue.cost(), 16 + MESSAGE);
        queue.written(16);
        assert_eq!(queue.cost(), 0);
    }
}
