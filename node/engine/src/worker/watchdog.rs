//! The watchdog of worker processes: how long a driver waits for a request, the clock behind the fault `killed`.
//!
//! Fuel ends everything that the engine counts, at the same place everywhere. A built-in that never counts, or native code
//! that has broken out, is ended by this clock, at no place that a replay could find; so the clock is set far above any
//! fuel's duration. Only time spent waiting is measured: a slow driver takes nothing from its worker. Suspended time does
//! not count either, of the machine or of the driver: a wait that took far longer than requested says
//! nothing about the worker.

use std::time::Duration;

use libvms_protocol::entry::Limits;

/// For a call without any fuel: a machine under load is slow to start anything.
const BASE: Duration = Duration::from_secs(10);
/// Twenty times the computing time on an idle machine.
const PER_UNIT_OF_FUEL: Duration = Duration::from_millis(20);
/// The limit for any amount of fuel: nobody waits longer than a day.
const MOST: Duration = Duration::from_hours(24);
/// The smallest time that can be chosen.
const LEAST: Duration = Duration::from_millis(1);
/// For a process that has not sent its greeting yet.
const START: Duration = Duration::from_secs(60);

/// The remaining time for the running request.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// The limit for the running request.
    most: Duration,
    /// The limit for each request after it.
    later: Duration,
    waited: Duration,
}

impl Watchdog {
    /// Returns the watchdog of a process that is starting.
    pub(super) fn at_start() -> Self {
        Self { most: START, later: START, waited: Duration::ZERO }
    }

    /// Returns the watchdog of requests under such limits; the first request loads the script. `call_time_max` replaces the time
    /// that follows from their fuel.
    pub(super) fn with(limits: &Limits, call_time_max: Option<Duration>) -> Self {
        let most = |fuel| call_time_max.map_or_else(|| by_fuel(fuel), |chosen| chosen.clamp(LEAST, MOST));
        Self { most: most(limits.load_fuel()), later: most(limits.fuel), waited: Duration::ZERO }
    }

    /// Returns how long to wait before the next look at the clock.
    pub(super) fn tick(&self) -> Duration {
        (self.most / 8).clamp(Duration::from_millis(1), Duration::from_secs(1))
    }

    /// Counts the time that a wait of one tick has taken.
    pub(super) fn wait(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time.min(2 * self.tick()));
    }

    /// Restarts the watchdog for the next request.
    pub(super) fn renew(&mut self) {
        self.most = self.later;
        self.waited = Duration::ZERO;
    }

    /// Returns how long it was, if it is over.
    pub(super) fn end(&self) -> Option<Duration> {
        (self.waited >= self.most).then_some(self.waited)
    }
}

fn by_fuel(fuel: u64) -> Duration {
    let units = u32::try_from(fuel).unwrap_or(u32::MAX);
    BASE.saturating_add(PER_UNIT_OF_FUEL.saturating_mul(units)).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_seconds(seconds: u64) -> Watchdog {
        let most = Duration::from_secs(seconds);
        Watchdog { most, later: most, waited: Duration::ZERO }
    }

    #[test]
    fn the_watchdog_waits_longer_with_fuel_up_to_a_day() {
        let most = |fuel| by_fuel(fuel).as_secs();
        assert_eq!((most(0), most(1_000), most(60_000)), (10, 30, 1_210));
        assert_eq!(most(u64::MAX), 86_400);
    }

    #[test]
    fn loading_has_its_own_time() {
        let limits = Limits { fuel: 1_000, load: Some(10_000), ..Limits::default() };
        let mut watchdog = Watchdog::with(&limits, None);
        assert_eq!(watchdog.most.as_secs(), 210);
        watchdog.renew();
        assert_eq!(watchdog.most.as_secs(), 30);
    }

    #[test]
    fn the_watchdog_bites_after_its_time_was_waited_for_one_request() {
        let mut watchdog = with_seconds(2);
        let wait = |watchdog: &mut Watchdog, ticks| {
            (0..ticks).for_each(|_| watchdog.wait(watchdog.tick()));
            watchdog.end()
        };
        assert_eq!(wait(&mut watchdog, 7), None);
        watchdog.renew();
        assert_eq!(wait(&mut watchdog, 7), None);
        assert_eq!(wait(&mut watchdog, 1), Some(Duration::from_secs(2)));
    }

    #[test]
    fn an_hour_of_suspension_does_not_count_as_waiting() {
        let mut watchdog = with_seconds(30);
        watchdog.wait(Duration::from_secs(3_600));
        assert_eq!((watchdog.end(), watchdog.waited), (None, Duration::from_secs(2)));
    }
}
