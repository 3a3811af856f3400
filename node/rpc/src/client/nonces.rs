//! The numbers of signed calls: microseconds of the log's time, each greater than the one before. Start from [`Nonces`].
//!
//! A call is good for a minute or so of the log's time, so its number must be of that time, which the host tells. A number
//! far ahead of the true time would lock its key out until then, so a host's word alone is believed for 5 s only; beyond,
//! an entry under a signed head must have shown the time.

use std::time::{Duration, Instant};

use libvms_protocol::limits::NONCE_MAX;

/// How far ahead of this machine's clock a client signs by the host's word alone.
const AHEAD_MAX: u64 = 5_000_000;

/// Left between a number and the latest time that an entry has shown: room for the calls of a second.
const ROOM: u64 = 1_000_000;

const MICROS_PER_MILLI: u64 = 1_000;

/// The last number, and what is known of the log's time. All times are in microseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nonces {
    last: u64,
    told: u64,
    told_at: Instant,
    /// The latest time that an entry under a signed head has.
    shown: u64,
    /// How old a call may be.
    age_max: u64,
}

/// The log's time is further ahead of this machine's clock than was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ahead {
    pub(super) own: u64,
    pub(super) log: u64,
}

impl Nonces {
    /// Begins with the last number that the key has used in the log, if it is known, and with the time that the host tells.
    /// `age_max_millis` is how old a call may be, in milliseconds.
    pub(super) fn new(last: Option<u64>, told: u64, told_at: Instant, age_max_millis: u64) -> Self {
        let age_max = age_max_millis.saturating_mul(MICROS_PER_MILLI);
        Self { last: last.unwrap_or(0), told, told_at, shown: 0, age_max }
    }

    /// Returns the last number.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Takes the log's time as the host tells it.
    pub(super) fn tell(&mut self, told: u64, told_at: Instant) {
        (self.told, self.told_at) = (told, told_at);
    }

    /// Takes the time of an entry under a signed head, in milliseconds.
    pub(super) fn show(&mut self, at_millis: u64) {
        // To the end of its millisecond: a call may be signed within it.
        let end = at_millis.saturating_mul(MICROS_PER_MILLI).saturating_add(MICROS_PER_MILLI - 1);
        self.shown = self.shown.max(end);
    }

    /// Takes that the key has used greater numbers elsewhere, where this machine's clock says `own`. They are not after the
    /// log's time, nor is any that is signed here after what was shown of it.
    pub(super) fn overtaken(&mut self, own: u64, now: Instant) {
        self.last = self.last.max(self.log_time(now).min(self.bound(own).saturating_sub(1)));
    }

    /// Returns the number of a call that is signed now, where this machine's clock says `own`.
    pub(super) fn next(&mut self, own: u64, now: Instant) -> Result<u64, Ahead> {
        let log = self.log_time(now);
        let bound = self.bound(own);
        let by_time = if log > bound { bound.saturating_sub(ROOM) } else { log };
        let nonce = by_time.max(self.last.saturating_add(1));
        // A call that old would be refused, and one beyond the bound is not signed.
        if nonce > bound || log.saturating_sub(nonce) > self.age_max {
            return Err(Ahead { own, log: log.max(self.last) });
        }
        self.last = nonce;
        Ok(nonce)
    }

    /// Returns how long it takes, as far as is known, until the log's time is that of a number.
    pub(super) fn wait_for(&self, nonce: u64, now: Instant) -> Duration {
        Duration::from_micros(nonce.saturating_sub(self.log_time(now)))
    }

    /// Returns the greatest number that is signed.
    fn bound(&self, own: u64) -> u64 {
        own.saturating_add(AHEAD_MAX).max(self.shown).min(NONCE_MAX)
    }

    /// Returns the log's time, if it has gone on like the clock here.
    fn log_time(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.told_at).as_micros();
        self.told.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const NOW: u64 = 1_790_000_000 * SECOND;

    fn nonces(told: u64) -> (Nonces, Instant) {
        let begun = Instant::now();
        (Nonces::new(None, told, begun, 60_000), begun)
    }

    #[test]
    fn numbers_follow_the_logs_time_and_ascend() {
        let (mut nonces, begun) = nonces(NOW);
        assert_eq!(nonces.next(NOW + 9, begun), Ok(NOW));
        assert_eq!(nonces.next(NOW + 9, begun), Ok(NOW + 1));
        assert_eq!(nonces.next(NOW, begun + Duration::from_secs(3)), Ok(NOW + 3 * SECOND));
        nonces.tell(NOW - 50 * SECOND, begun);
        assert_eq!(nonces.next(NOW, begun), Ok(NOW + 3 * SECOND + 1), "never a smaller one");
        assert_eq!(nonces.wait_for(NOW - 40 * SECOND, begun), Duration::from_secs(10));
        assert_eq!(nonces.wait_for(NOW - 60 * SECOND, begun), Duration::ZERO);
    }

    #[test]
    fn a_clock_here_that_is_ahead_does_not_matter() {
        let (mut nonces, begun) = nonces(NOW - 3600 * SECOND);
        assert_eq!(nonces.next(NOW, begun), Ok(NOW - 3600 * SECOND));
    }

    #[test]
    fn a_time_ahead_is_signed_only_as_far_as_an_entry_shows_it() {
        let (mut nonces, begun) = nonces(NOW + 5 * SECOND);
        assert_eq!(nonces.next(NOW, begun), Ok(NOW + 5 * SECOND));
        // By the host's word alone, a call is signed while it is young enough in its time.
        let (mut nonces, begun) = self::nonces(NOW + 60 * SECOND);
        assert_eq!(nonces.next(NOW, begun), Ok(NOW + 4 * SECOND));
        let hour = NOW + 3600 * SECOND;
        nonces.tell(hour, begun);
        assert_eq!(nonces.next(NOW, begun), Err(Ahead { own: NOW, log: hour }));
        nonces.show((hour - 70 * SECOND) / 1000);
        assert_eq!(nonces.next(NOW, begun), Err(Ahead { own: NOW, log: hour }), "too old there");
        nonces.show((hour - 2 * SECOND) / 1000);
        assert_eq!(nonces.next(NOW, begun), Ok(hour - 3 * SECOND + 999));
        assert_eq!(nonces.next(NOW, begun), Ok(hour - 3 * SECOND + 1000));
    }

    #[test]
    fn an_overtaken_key_signs_as_late_as_it_may() {
        let (mut nonces, begun) = nonces(NOW);
        assert_eq!(nonces.next(NOW, begun), Ok(NOW));
        nonces.tell(NOW + SECOND, begun);
        nonces.overtaken(NOW, begun);
        assert_eq!(nonces.next(NOW, begun), Ok(NOW + SECOND + 1));
        // The log's time stands still an hour ahead.
        let hour = NOW + 3600 * SECOND;
        nonces.tell(hour, begun);
        nonces.show(hour / 1000);
        assert_eq!(nonces.next(NOW, begun), Ok(hour));
        nonces.tell(hour + SECOND, begun);
        nonces.overtaken(NOW, begun);
        assert_eq!(nonces.next(NOW, begun), Ok(hour + 999));
        assert!(nonces.next(NOW, begun).is_err(), "nothing later was shown");
    }

    #[test]
    fn a_number_of_the_past_that_lies_ahead_stops_the_next_one() {
        let begun = Instant::now();
        let mut nonces = Nonces::new(Some(NOW + 3600 * SECOND), NOW, begun, 60_000);
        assert_eq!(nonces.next(NOW, begun), Err(Ahead { own: NOW, log: NOW + 3600 * SECOND }));
        let mut nonces = Nonces::new(Some(NOW + SECOND), NOW, begun, 60_000);
        assert_eq!(nonces.next(NOW, begun), Ok(NOW + SECOND + 1));
        let mut nonces = Nonces::new(Some(u64::MAX), u64::MAX, begun, u64::MAX);
        assert!(nonces.next(u64::MAX, begun).is_err());
    }
}
