//! The time of the machines: an [`Instant`] on a clock that the caller chose.
//!
//! No machine reads a clock. Its caller passes the time with each input, as the time since a start of its own: the start
//! of a program, or of a simulation. Lengths of time are [`Duration`]s.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

const SECOND_US: u64 = 1_000_000;

/// A point in time: the time since a start that the caller chose, in whole microseconds.
///
/// All instants that one machine sees must be on one clock that never goes back. Parts of a microsecond are dropped.
/// Arithmetic saturates: an instant before the start is [`START`](Self::START), and one beyond 584,000 years is
/// [`MAX`](Self::MAX), which never comes. The methods `checked_*` report both.
///
/// ```
/// use std::time::Duration;
/// use libvms_hypercore::time::Instant;
///
/// // A driver: all times are since its start.
/// let start = std::time::Instant::now();
/// let now = Instant::after(start.elapsed());
/// let deadline = now + Duration::from_millis(1500);
/// assert!(now < deadline);
/// assert_eq!(deadline - now, Duration::from_millis(1500));
/// assert_eq!(start + deadline.since_start(), start + now.since_start() + Duration::from_millis(1500));
///
/// // A simulation: time is whatever it says.
/// assert_eq!(Instant::START + Duration::from_secs(2), Instant::from_millis(2000));
/// assert_eq!(Instant::START - Instant::from_millis(2000), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    micros: u64,
}

impl Instant {
    /// The start itself: no instant is earlier.
    pub const START: Self = Self { micros: 0 };

    /// The last instant, which never comes.
    pub const MAX: Self = Self { micros: u64::MAX };

    /// Creates the instant this long after the start; [`MAX`](Self::MAX) if that is too long.
    #[inline]
    pub const fn after(elapsed: Duration) -> Self {
        Self { micros: micros(elapsed) }
    }

    /// Creates the instant this many microseconds after the start.
    #[inline]
    pub const fn from_micros(micros: u64) -> Self {
        Self { micros }
    }

    /// Creates the instant this many milliseconds after the start; [`MAX`](Self::MAX) if they are too many.
    #[inline]
    pub const fn from_millis(millis: u64) -> Self {
        Self { micros: millis.saturating_mul(1000) }
    }

    /// Returns the time since the start.
    #[inline]
    pub const fn since_start(self) -> Duration {
        Duration::from_micros(self.micros)
    }

    /// Returns the microseconds since the start.
    #[inline]
    pub const fn as_micros(self) -> u64 {
        self.micros
    }

    /// Returns the whole milliseconds since the start.
    #[inline]
    pub const fn as_millis(self) -> u64 {
        self.micros / 1000
    }

    /// Returns the instant this much later; `None` if it would be beyond [`MAX`](Self::MAX).
    #[inline]
    pub const fn checked_add(self, duration: Duration) -> Option<Self> {
        let Some(micros) = checked_micros(duration) else { return None };
        match self.micros.checked_add(micros) {
            Some(micros) => Some(Self { micros }),
            None => None,
        }
    }

    /// Returns the instant this much earlier; `None` if it would be before the start.
    #[inline]
    pub const fn checked_sub(self, duration: Duration) -> Option<Self> {
        let Some(micros) = checked_micros(duration) else { return None };
        match self.micros.checked_sub(micros) {
            Some(micros) => Some(Self { micros }),
            None => None,
        }
    }

    /// Returns the instant this many microseconds later, at most [`MAX`](Self::MAX).
    #[inline]
    pub const fn saturating_add_micros(self, micros: u64) -> Self {
        Self { micros: self.micros.saturating_add(micros) }
    }

    /// Returns the time since an earlier instant; `None` if that one is later.
    #[inline]
    pub const fn checked_duration_since(self, earlier: Self) -> Option<Duration> {
        match self.micros.checked_sub(earlier.micros) {
            Some(micros) => Some(Duration::from_micros(micros)),
            None => None,
        }
    }

    /// Returns the microseconds since an earlier instant, for rates; 0 if that one is later.
    #[inline]
    pub const fn micros_since(self, earlier: Self) -> u64 {
        self.micros.saturating_sub(earlier.micros)
    }
}

/// Saturates at [`Instant::MAX`].
impl Add<Duration> for Instant {
    type Output = Self;

    #[inline]
    fn add(self, duration: Duration) -> Self {
        self.saturating_add_micros(micros(duration))
    }
}

/// Saturates at [`Instant::MAX`].
impl AddAssign<Duration> for Instant {
    #[inline]
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

/// Saturates at [`Instant::START`].
impl Sub<Duration> for Instant {
    type Output = Self;

    #[inline]
    fn sub(self, duration: Duration) -> Self {
        Self { micros: self.micros.saturating_sub(micros(duration)) }
    }
}

/// Returns the time since an earlier instant; none if that one is later.
impl Sub for Instant {
    type Output = Duration;

    #[inline]
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_micros(self.micros_since(earlier))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.since_start().fmt(f)
    }
}

/// Returns the whole microseconds of a duration, if they fit.
#[inline]
const fn checked_micros(duration: Duration) -> Option<u64> {
    // Two steps of 64 bits: `Duration::as_micros` calculates with 128.
    match duration.as_secs().checked_mul(SECOND_US) {
        Some(micros) => micros.checked_add(duration.subsec_micros() as u64),
        None => None,
    }
}

#[inline]
const fn micros(duration: Duration) -> u64 {
    match checked_micros(duration) {
        Some(micros) => micros,
        None => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn arithmetic_saturates_at_both_ends_of_time() {
        assert_eq!(Instant::MAX + SECOND, Instant::MAX);
        assert_eq!(Instant::START + Duration::MAX, Instant::MAX);
        assert_eq!(Instant::from_millis(999) - SECOND, Instant::START);
        assert_eq!(Instant::from_millis(u64::MAX), Instant::MAX);
        assert_eq!(Instant::after(Duration::MAX), Instant::MAX);
        assert_eq!(Instant::MAX.saturating_add_micros(1), Instant::MAX);
        assert_eq!(Instant::START.micros_since(Instant::MAX), 0);
        assert_eq!(Instant::START - Instant::MAX, Duration::ZERO);
    }

    #[test]
    fn checked_arithmetic_reports_both_ends_of_time() {
        let last = Instant::MAX - SECOND;
        assert_eq!(last.checked_add(SECOND), Some(Instant::MAX));
        assert_eq!(last.checked_add(SECOND + Duration::from_micros(1)), None);
        assert_eq!(last.checked_add(Duration::MAX), None);
        assert_eq!(Instant::from_millis(1000).checked_sub(SECOND), Some(Instant::START));
        assert_eq!(Instant::from_micros(999_999).checked_sub(SECOND), None);
        assert_eq!(Instant::MAX.checked_sub(Duration::MAX), None);
        assert_eq!(Instant::MAX.checked_duration_since(last), Some(SECOND));
        assert_eq!(last.checked_duration_since(Instant::MAX), None);
    }

    #[test]
    fn parts_of_a_microsecond_are_dropped() {
        let instant = Instant::after(Duration::from_nanos(1_234_567_999));
        assert_eq!((instant.as_micros(), instant.as_millis()), (1_234_567, 1234));
        assert_eq!(instant.since_start(), Duration::from_micros(1_234_567));
        assert_eq!(instant + Duration::from_nanos(999), instant);
    }
}
