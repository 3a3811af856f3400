//! Locking a mutex of the network.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these locks; even if something did, the content is still consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
