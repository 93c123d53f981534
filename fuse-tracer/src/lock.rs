//! Taking a lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A handler that panics ends the process, so that no lock is poisoned; were it otherwise, one would
/// still have to answer.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
