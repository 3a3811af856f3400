//! The clock for the times of calls: [`LogClock`].

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use libvms_protocol::limits::TIME_MAX;

/// Milliseconds, at most, by which an entry's time passes the one before while the machine's clock stands behind it.
const CATCHING_UP_MAX: u64 = 1_000;

/// Returns the milliseconds since 1970. A clock before 1970 counts as 1970.
pub(super) fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(TIME_MAX).min(TIME_MAX)
}

/// The time of a log, which never goes back.
///
/// Where the machine's clock was once ahead and is right again, the log's time goes on at half the pace until the clock has
/// caught up: if it stood still, signed calls would be too old or too early for as long.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogClock {
    latest_at: u64,
    since: Instant,
}

impl LogClock {
    /// Continues a log whose latest entry has the time `latest_at`, in milliseconds since 1970.
    pub(super) fn new(latest_at: u64) -> Self {
        Self { latest_at, since: Instant::now() }
    }

    /// Returns the time that an entry would have now, in milliseconds since 1970.
    pub(super) fn next(&self) -> u64 {
        self.next_at(now(), Instant::now())
    }

    fn next_at(&self, clock: u64, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.since).as_millis() / 2;
        let passed = u64::try_from(elapsed).unwrap_or(u64::MAX).min(CATCHING_UP_MAX);
        if clock >= self.latest_at { clock } else { self.latest_at.saturating_add(passed).min(TIME_MAX) }
    }

    /// Records that an entry has the time `at`.
    pub(super) fn advance(&mut self, at: u64) {
        if at > self.latest_at {
            *self = Self::new(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_time_of_a_log_goes_on_while_the_clock_is_behind() {
        let clock = LogClock::new(5_000);
        let after = |clock_at, millis| clock.next_at(clock_at, clock.since + Duration::from_millis(millis));
        assert_eq!(after(5_001, 0), 5_001);
        assert_eq!(after(4_999, 0), 5_000);
        assert_eq!(after(0, 100), 5_050);
        assert_eq!(after(0, 1_000_000), 6_000);
        assert_eq!(LogClock::new(TIME_MAX).next_at(0, clock.since + Duration::from_secs(9)), TIME_MAX);
    }

    #[test]
    fn calls_in_quick_succession_do_not_hold_the_time_up() {
        let mut clock = LogClock::new(u64::MAX / 2);
        let since = clock.since;
        clock.advance(u64::MAX / 2);
        assert_eq!(clock.since, since, "a call at the same time leaves the span as it is");
    }
}
