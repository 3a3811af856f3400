//! Panics of worker processes on demand, for tests: no program has it that is built without the feature `test-support`.

use std::sync::{Mutex, PoisonError};

/// The method whose calls panic.
static PANICKING: Mutex<Option<String>> = Mutex::new(None);

/// Makes worker processes panic, from now on, before each call of the method `method`.
pub fn panic_in_calls_of(method: Option<&str>) {
    *PANICKING.lock().unwrap_or_else(PoisonError::into_inner) = method.map(str::to_owned);
}

/// Returns whether a worker must panic before this call.
pub(super) fn is_panicking(method: &str) -> bool {
    PANICKING.lock().unwrap_or_else(PoisonError::into_inner).as_deref() == Some(method)
}
