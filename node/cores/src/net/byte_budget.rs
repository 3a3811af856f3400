//! [`ByteBudget`] bounds the memory of one connection's messages on their way to cores.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of messages that may be on their way at once. A longer message travels alone.
const BYTES_MAX: usize = 1024 * 1024;

/// The messages that one connection has sent to cores and that the cores have not processed yet.
#[derive(Debug)]
pub(super) struct ByteBudget {
    semaphore: Arc<Semaphore>,
    bytes: Arc<AtomicUsize>,
}

/// One message's part of the budget; dropping it gives the part back.
#[derive(Debug)]
pub(super) struct BytePermit {
    _permit: OwnedSemaphorePermit,
    _counted: Counted,
}

#[derive(Debug)]
struct Counted {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl ByteBudget {
    pub(super) fn new() -> Self {
        Self { semaphore: Arc::new(Semaphore::new(BYTES_MAX)), bytes: Arc::default() }
    }

    /// Returns the bytes of memory that the messages use.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until a message of `bytes` fits into the budget.
    pub(super) async fn acquire(&self, bytes: usize) -> BytePermit {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let counted = Counted { bytes, all: self.bytes.clone() };
        let permits = bytes.min(BYTES_MAX) as u32;
        let permit = self.semaphore.clone().acquire_many_owned(permits).await;
        BytePermit { _permit: permit.expect("nobody closes it"), _counted: counted }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_message_waits_for_room_and_a_long_one_until_it_is_alone() {
        let budget = ByteBudget::new();
        let take = |bytes| budget.acquire(bytes).now_or_never();
        let half = take(BYTES_MAX / 2).expect("room");
        assert!(take(BYTES_MAX / 2 + 1).is_none());
        assert!(take(8 * BYTES_MAX).is_none());
        assert_eq!(budget.bytes(), BYTES_MAX / 2, "who no longer waits takes nothing");
        drop(half);
        let long = take(8 * BYTES_MAX).expect("it is alone");
        assert!(take(1).is_none());
        assert_eq!(budget.bytes(), 8 * BYTES_MAX);
        drop(long);
        assert!(take(BYTES_MAX).is_some());
    }
}
