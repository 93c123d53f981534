//! Taking a lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// With `panic = "abort"` no lock is ever poisoned; were it otherwise, a handler would still have
/// to answer.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
