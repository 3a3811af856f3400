//! [`ProgressTimer`] tells a slow peer from a peer that only pretends to be there.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes of a message that count as progress before its end: a peer that trickles single bytes counts as dead.
const PROGRESS_BYTES: usize = 64 * 1024;

/// The time of the last progress in one direction.
#[derive(Debug)]
pub(super) struct ProgressTimer {
    since: Instant,
    bytes: usize,
}

impl ProgressTimer {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }

    /// Records that something is complete: a message received, or everything pending written.
    pub(super) fn done(&mut self) {
        *self = Self::new();
    }

    /// Records that `bytes` have moved; returns whether these were enough to count as progress.
    pub(super) fn moved(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let is_progress = self.bytes >= PROGRESS_BYTES;
        if is_progress {
            self.done();
        }
        is_progress
    }

    /// Returns the time since the last progress.
    pub(super) fn rest(&self) -> Duration {
        self.since.elapsed()
    }

    /// Returns the instant at which `patience` has passed without progress.
    pub(super) fn deadline(&self, patience: Duration) -> Instant {
        self.since + patience
    }
}
