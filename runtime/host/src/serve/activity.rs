//! Whether a grain is used, and room for the bodies of its answers.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::{BODIES, SMALL_BODY};

/// Signs of life: what keeps a grain from being stopped as idle.
pub(crate) struct Activity {
    last: Cell<Instant>,
    busy: Cell<usize>,
    /// Room for whole bodies on their way to clients, in KiB.
    bodies: Arc<Semaphore>,
}

impl Activity {
    pub fn new() -> Activity {
        let bodies = Arc::new(Semaphore::new(BODIES as usize));
        Activity { last: Cell::new(Instant::now()), busy: Cell::new(0), bodies }
    }

    /// The grain is busy until the result is dropped: a request, a response being read, a
    /// WebSocket.
    pub fn begin(self: &Rc<Self>) -> Busy {
        self.busy.set(self.busy.get() + 1);
        Busy { activity: self.clone() }
    }

    /// How long nobody has used it.
    pub fn idle_for(&self) -> Duration {
        if self.busy.get() > 0 { Duration::ZERO } else { self.last.get().elapsed() }
    }
}

/// See [`Activity::begin`].
pub(crate) struct Busy {
    activity: Rc<Activity>,
}

impl Busy {
    /// Waits until so many bytes of a body can be held for a client; `None` for a small one, which
    /// never waits. One larger than all there may be waits until it is alone.
    pub async fn room_for(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        if bytes <= SMALL_BODY {
            return None;
        }
        let kibibytes = u32::try_from(bytes.div_ceil(1024)).unwrap_or(BODIES).min(BODIES);
        // The semaphore is never closed.
        self.activity.bodies.clone().acquire_many_owned(kibibytes).await.ok()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.activity.busy.set(self.activity.busy.get() - 1);
        self.activity.last.set(Instant::now());
    }
}
