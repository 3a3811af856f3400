//! The progress of a connection: tells slow callers from callers that only hold memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes in either direction that count as progress: a caller that sends one byte a second makes none.
const STEP_BYTES: u64 = 64 << 10;

/// When a connection last made progress. The connection's own task writes it, all tasks read it.
#[derive(Debug)]
pub(super) struct Progress {
    begun: Instant,
    /// Bytes since the last step.
    moved: AtomicU64,
    /// Milliseconds from `begun` to the last step.
    stepped: AtomicU64,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), moved: AtomicU64::new(0), stepped: AtomicU64::new(0) }
    }

    /// Records that `bytes` were read or written.
    pub(super) fn moved(&self, bytes: usize) {
        if self.moved.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64 >= STEP_BYTES {
            self.step();
        }
    }

    /// Records a step of progress: a message is complete, or everything is written.
    pub(super) fn step(&self) {
        self.moved.store(0, Ordering::Relaxed);
        let elapsed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.stepped.store(elapsed, Ordering::Relaxed);
    }

    /// Returns the time since the last progress.
    #[cfg_attr(not(feature = "server"), allow(dead_code, reason = "only the server asks"))]
    pub(super) fn stalled(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.stepped.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_no_progress() {
        let progress = Progress::new();
        std::thread::sleep(Duration::from_millis(20));
        for _ in 0..1_000 {
            progress.moved(1);
        }
        assert!(progress.stalled() >= Duration::from_millis(20));
        progress.moved(64 << 10);
        assert!(progress.stalled() < Duration::from_millis(20));
    }
}
