//! Locks of the network.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these; were it so, what is behind it is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
