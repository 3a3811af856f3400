//! The time without a connection, and the pauses between the attempts to connect again.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The first pause. A host that restarts is back sooner than a person notices.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// From the loss of a connection to the first answer over another one.
#[derive(Debug)]
pub(super) struct Outage {
    since: Instant,
    pause: Duration,
}

impl Outage {
    /// Begins now.
    pub(super) fn begin() -> Self {
        Self { since: Instant::now(), pause: PAUSE_MIN }
    }

    /// Returns how long it lasts already.
    pub(super) fn lasts(&self) -> Duration {
        self.since.elapsed()
    }

    /// Returns how long to wait before the next attempt: twice as long each time, less up to a half, so that the callers of
    /// one host do not come back all at once.
    pub(super) fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (2 * pause).min(PAUSE_MAX);
        // Nothing depends on this chance, and the clock is enough of it.
        let chance = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_micros() % 1000;
        pause - pause * chance / 2000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        let mut outage = Outage::begin();
        let pauses: Vec<Duration> = (0..12).map(|_| outage.next_pause()).collect();
        for (number, pause) in pauses.iter().enumerate() {
            let longest = (PAUSE_MIN * 2_u32.pow(number as u32)).min(PAUSE_MAX);
            assert!((longest / 2..=longest).contains(pause), "pause {number} is {pause:?}");
        }
        assert!(pauses[11] >= PAUSE_MAX / 2);
    }
}
