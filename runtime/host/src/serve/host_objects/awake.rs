//! Wake locks: an app that works on without anybody asking (grain-runtime §A.13 and §C.5). Held
//! until the app drops the handle, the app ends, or the user says stop.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use capnp::Error;
use spk_schema::activity_capnp::ongoing_notification;
use spk_schema::util_capnp::handle;

use crate::serve::activity::{Activity, Busy};

/// Wake locks at a time: each is a line that a person reads.
pub(super) const LOCKS: usize = 64;

/// The wake locks of one grain.
pub(crate) struct Awake {
    activity: Rc<Activity>,
    locks: Rc<Locks>,
    next: Cell<u64>,
}

#[derive(Default)]
struct Locks(RefCell<BTreeMap<u64, Lock>>);

struct Lock {
    caption: String,
    notification: Option<ongoing_notification::Client>,
    _busy: Busy,
}

impl Awake {
    pub fn new(activity: Rc<Activity>) -> Awake {
        Awake { activity, locks: Rc::default(), next: Cell::new(1) }
    }

    /// Takes a lock. `None`: there are too many.
    pub fn lock(
        &self,
        caption: String,
        notification: Option<ongoing_notification::Client>,
    ) -> Option<handle::Client> {
        if self.locks.0.borrow().len() >= LOCKS {
            return None;
        }
        let number = self.next.replace(self.next.get() + 1);
        let lock = Lock { caption, notification, _busy: self.activity.begin() };
        self.locks.0.borrow_mut().insert(number, lock);
        Some(capnp_rpc::new_client(Held { number, locks: Rc::downgrade(&self.locks) }))
    }

    /// What the app says it does, by number.
    pub fn list(&self) -> Vec<(u64, String)> {
        let locks = self.locks.0.borrow();
        locks.iter().map(|(number, lock)| (*number, lock.caption.clone())).collect()
    }

    /// The user says stop. `false`: there is no such lock.
    pub fn cancel(&self, number: u64) -> bool {
        let lock = self.locks.0.borrow_mut().remove(&number);
        let Some(lock) = lock else { return false };
        if let Some(notification) = &lock.notification {
            let cancelled = notification.cancel_request().send().promise;
            tokio::task::spawn_local(async move {
                // The app may think of it what it likes.
                let _ = cancelled.await;
            });
        }
        true
    }
}

/// The app's handle.
struct Held {
    number: u64,
    locks: Weak<Locks>,
}

impl handle::Server for Held {
    async fn ping(
        self: Rc<Self>,
        _: handle::PingParams,
        _: handle::PingResults,
    ) -> Result<(), Error> {
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let lock = self.locks.upgrade().and_then(|locks| locks.0.borrow_mut().remove(&self.number));
        drop(lock);
    }
}
