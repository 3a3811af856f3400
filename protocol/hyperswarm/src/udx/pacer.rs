//! Pacing: a token bucket of bytes that fills at the rate of the congestion controller.

use libvms_hypercore::time::Instant;

/// Smallest capacity of the bucket, so that timers of a millisecond or two do not slow a fast path down.
const BURST_BYTES_MIN: u64 = 16 * 1024;
/// Largest capacity: more at once overflows the usual receive buffer of a socket (208 KiB with its accounting).
const BURST_BYTES_MAX: u64 = 64 * 1024;
/// Else the capacity is the bytes that the rate yields in this time.
const BURST_US: u64 = 2_000;

const MILLION: u64 = 1_000_000;

/// The bucket.
#[derive(Clone, Debug)]
pub(super) struct Pacer {
    /// In millionths of a byte: bytes per second times microseconds, so that nothing is lost to rounding.
    credit: u64,
    filled_at: Instant,
}

impl Pacer {
    pub(super) fn new(now: Instant) -> Self {
        Self { credit: BURST_BYTES_MIN * MILLION, filled_at: now }
    }

    /// Fills the bucket at `rate` bytes a second. Returns when it will hold `bytes`: `now` if it does already.
    pub(super) fn ready_at(&mut self, now: Instant, rate: u64, bytes: u64) -> Instant {
        let capacity = scale(rate, BURST_US).clamp(BURST_BYTES_MIN, BURST_BYTES_MAX);
        let gained = rate.saturating_mul(now.micros_since(self.filled_at));
        self.credit = self.credit.saturating_add(gained).min(capacity * MILLION);
        self.filled_at = self.filled_at.max(now);
        let missing = (bytes.min(capacity) * MILLION).saturating_sub(self.credit);
        now.saturating_add_micros(missing.div_ceil(rate.max(1)))
    }

    pub(super) fn sent(&mut self, bytes: u64) {
        self.credit = self.credit.saturating_sub(bytes.saturating_mul(MILLION));
    }
}

/// Returns the number of bytes at `rate` a second in `us` microseconds.
pub(super) fn scale(rate: u64, us: u64) -> u64 {
    (u128::from(rate) * u128::from(us) / 1_000_000).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_second_are_the_rate() {
        let (mut pacer, mut now, mut sent) = (Pacer::new(Instant::START), Instant::START, 0);
        while now < Instant::from_micros(1_000_000) {
            let ready = pacer.ready_at(now, 1_000_000, 1_000);
            if ready > now {
                now = ready;
            } else {
                pacer.sent(1_000);
                sent += 1_000;
            }
        }
        assert!((1_000_000..=1_000_000 + BURST_BYTES_MIN).contains(&sent), "{sent}");
    }

    #[test]
    fn a_distant_time_and_a_rate_of_zero_do_not_overflow() {
        let mut pacer = Pacer::new(Instant::START);
        assert_eq!(pacer.ready_at(Instant::MAX, u64::MAX, 1_000), Instant::MAX);
        let mut pacer = Pacer::new(Instant::START);
        pacer.sent(BURST_BYTES_MIN);
        assert!(pacer.ready_at(Instant::START, 0, u64::MAX) > Instant::from_micros(1_000_000));
    }
}
