//! Response bodies that wait for their client: what has been given to the connection and not been
//! written yet is bounded, whatever the connection itself would take.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use spk_web_session::CutShort;

use super::body::Outgoing;

/// Bytes of a body that the connection has and the client has not taken; a piece more may come.
const WAITING: u64 = 64 * 1024;

/// How much of a connection was written.
#[derive(Clone, Default)]
pub(crate) struct Written(Arc<Mutex<Progress>>);

#[derive(Default)]
struct Progress {
    bytes: u64,
    /// Of a body that waits for more to be written.
    waker: Option<Waker>,
}

impl Written {
    fn locked(&self) -> MutexGuard<'_, Progress> {
        // Each change is one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many bytes more were.
    pub fn add(&self, bytes: usize) {
        let mut progress = self.locked();
        progress.bytes += bytes as u64;
        if let Some(waker) = progress.waker.take() {
            waker.wake();
        }
    }
}

/// See the module.
pub(crate) struct Paced {
    body: Outgoing,
    written: Written,
    /// What was written before it began.
    before: u64,
    given: u64,
}

impl Paced {
    /// A body that is about to be sent on this connection.
    pub fn new(body: Outgoing, written: &Written) -> Paced {
        Paced { body, written: written.clone(), before: written.locked().bytes, given: 0 }
    }

    fn has_room(&self, context: &Context<'_>) -> bool {
        let mut progress = self.written.locked();
        let room = self.given.saturating_sub(progress.bytes - self.before) <= WAITING;
        progress.waker = (!room).then(|| context.waker().clone());
        room
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        if !self.has_room(context) {
            return Poll::Pending;
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            self.given += frame.data_ref().map_or(0, Buf::remaining) as u64;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_body_waits_until_what_it_gave_was_written() {
        let (sender, pieces) = tokio::sync::mpsc::channel(8);
        for _ in 0..4 {
            sender.try_send(Bytes::from(vec![0; 50 * 1024])).unwrap();
        }
        drop(sender);
        let written = Written::default();
        written.add(1000);
        let mut body = Paced::new(Outgoing::Pieces(pieces), &written);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        let mut poll = || Pin::new(&mut body).poll_frame(&mut context);
        assert!(poll().is_ready() && poll().is_ready());
        // 100 KiB are with the connection.
        assert!(poll().is_pending());
        assert!(!woken.0.load(Ordering::Relaxed));
        written.add(30 * 1024);
        assert!(woken.0.load(Ordering::Relaxed));
        assert!(poll().is_pending());
        written.add(20 * 1024);
        assert!(poll().is_ready());
        written.add(1 << 20);
        assert!(matches!(poll(), Poll::Ready(Some(Ok(_)))));
        assert!(matches!(poll(), Poll::Ready(None)));
    }
}
