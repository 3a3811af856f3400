//! The bytes that one connection holds.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{FREE_BYTES, GRANULE_BYTES};
use crate::progress::Progress;

/// The counts that a connection updates without a lock.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) id: u64,
    /// All bytes held, free ones included.
    pub(super) held: AtomicUsize,
    /// The part of `held` that depends on the caller: messages it has not completed, and answers it has not read.
    pub(super) buffered: AtomicUsize,
    /// Bytes that are not charged; 0 once the connection has left.
    pub(super) free: AtomicUsize,
    pub(super) has_spoken: AtomicBool,
    pub(super) is_busy: AtomicBool,
    pub(super) heard: Mutex<Instant>,
    pub(super) progress: Arc<Progress>,
    pub(super) ended: CancellationToken,
}

impl Account {
    pub(super) fn new(id: u64) -> Self {
        Self {
            id,
            held: AtomicUsize::new(0),
            buffered: AtomicUsize::new(0),
            free: AtomicUsize::new(FREE_BYTES),
            has_spoken: AtomicBool::new(false),
            is_busy: AtomicBool::new(false),
            heard: Mutex::new(Instant::now()),
            progress: Arc::new(Progress::new()),
            ended: CancellationToken::new(),
        }
    }

    pub(super) fn due(&self, held: usize) -> usize {
        held.saturating_sub(self.free.load(Ordering::SeqCst)).next_multiple_of(GRANULE_BYTES)
    }

    /// Adds `bytes` that depend on the caller. The first ones count as progress: before them the caller could make none.
    pub(super) fn buffer(&self, bytes: usize) {
        if self.buffered.fetch_add(bytes, Ordering::SeqCst) == 0 {
            self.progress.step();
        }
    }

    pub(super) fn idle(&self) -> Duration {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}
