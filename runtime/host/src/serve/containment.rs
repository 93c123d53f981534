//! Where a panic ends one task and not the program: on the thread that serves apps.
//!
//! What an app sends is looked at before the RPC library acts on it, but the library has places where
//! it counts on what a hostile peer need not keep. A panic there takes the connection that was being
//! served, or the request, with it; the other grains, and the page, go on.

use std::cell::Cell;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// While it is there, panics of this thread are [contained](is_contained).
pub(super) struct Containment(());

impl Containment {
    pub fn begin() -> Containment {
        CONTAINED.set(true);
        Containment(())
    }
}

impl Drop for Containment {
    fn drop(&mut self) {
        CONTAINED.set(false);
    }
}

/// Whether a panic of this thread is to end no more than the task in which it happens. A program
/// whose panic hook ends the process asks this first.
pub fn is_contained() -> bool {
    CONTAINED.get()
}
