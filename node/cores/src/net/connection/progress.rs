//! Telling a slow peer from one that only pretends to be there.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes of a message that count as progress before its end: whoever trickles single bytes is taken for dead.
const PROGRESS_BYTES: usize = 64 * 1024;

/// When something was last got done in one direction.
#[derive(Debug)]
pub(super) struct ProgressTimer {
    since: Instant,
    bytes: usize,
}

impl ProgressTimer {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }

    /// Something is whole: a message is there, or all that waited is written.
    pub(super) fn done(&mut self) {
        *self = Self::new();
    }

    /// Some bytes have moved. True when these were enough to count as progress.
    pub(super) fn moved(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let is_progress = self.bytes >= PROGRESS_BYTES;
        if is_progress {
            self.done();
        }
        is_progress
    }

    /// For how long nothing has been done.
    pub(super) fn rest(&self) -> Duration {
        self.since.elapsed()
    }

    /// When nothing will have been done for so long.
    pub(super) fn deadline(&self, patience: Duration) -> Instant {
        self.since + patience
    }
}
