//! Round-trip time estimation and retransmission timeout (RFC 6298), with the bounds of the reference.

use std::time::Duration;

use libvms_hypercore::time::Instant;

/// The shortest retransmission timeout, in microseconds; also before the first measurement.
const TIMEOUT_MIN_US: u64 = 1_000_000;
const TIMEOUT_MAX_US: u64 = 30_000_000;

/// How long the shortest round trip is believed before a longer one may replace it. RFC 8985 wants a time in which
/// routes do not change.
const SHORTEST_KEPT_TIME: Duration = Duration::from_secs(300);

/// The round trip of one path.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundTrip {
    smoothed: Option<Smoothed>,
    shortest_us: u64,
    shortest_at: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Smoothed {
    mean_us: u64,
    deviation_us: u64,
}

impl RoundTrip {
    /// Takes a measurement of a packet that was sent only once: of others it is unknown which copy was answered.
    pub(super) fn sample(&mut self, now: Instant, round_trip_us: u64) {
        if self.smoothed.is_none()
            || round_trip_us <= self.shortest_us
            || now > self.shortest_at + SHORTEST_KEPT_TIME
        {
            (self.shortest_us, self.shortest_at) = (round_trip_us, now);
        }
        self.smoothed = Some(match self.smoothed {
            None => Smoothed { mean_us: round_trip_us, deviation_us: round_trip_us / 2 },
            Some(Smoothed { mean_us, deviation_us }) => Smoothed {
                deviation_us: (3 * deviation_us + mean_us.abs_diff(round_trip_us)) / 4,
                mean_us: (7 * mean_us + round_trip_us) / 8,
            },
        });
    }

    /// Returns the mean, in microseconds, once there is one.
    pub(super) fn mean_us(&self) -> Option<u64> {
        self.smoothed.map(|smoothed| smoothed.mean_us)
    }

    /// Returns the shortest recent one; 0 before the first measurement.
    pub(super) fn shortest_us(&self) -> u64 {
        self.shortest_us
    }

    /// Returns the retransmission timeout: without any answer for this long, everything in flight counts as lost.
    pub(super) fn timeout_us(&self) -> u64 {
        let wanted = self.smoothed.map_or(0, |smoothed| smoothed.mean_us + 4 * smoothed.deviation_us);
        wanted.clamp(TIMEOUT_MIN_US, TIMEOUT_MAX_US)
    }

    /// Returns the probe timeout: without any answer for this long, one packet is sent to provoke one (RFC 8985, "tail
    /// loss probe").
    pub(super) fn probe_us(&self, packets_in_flight: usize) -> u64 {
        // A lone packet may be answered late by a peer that waits for a second one.
        let patience = if packets_in_flight == 1 { 2_000 } else { 0 };
        self.mean_us().map_or(TIMEOUT_MIN_US, |mean| 2 * mean + patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_follows_the_measurements_between_its_bounds() {
        let mut rtt = RoundTrip::default();
        assert_eq!(rtt.timeout_us(), TIMEOUT_MIN_US);
        rtt.sample(Instant::START, 800_000);
        assert_eq!(rtt.timeout_us(), 2_400_000);
        for now in 1..200 {
            rtt.sample(Instant::from_micros(now), 10_000);
        }
        assert_eq!(rtt.timeout_us(), TIMEOUT_MIN_US);
        assert_eq!(rtt.shortest_us(), 10_000);
        rtt.sample(Instant::from_micros(200), u64::from(u32::MAX));
        assert_eq!(rtt.timeout_us(), TIMEOUT_MAX_US);
    }

    #[test]
    fn the_shortest_round_trip_is_forgotten_in_the_end() {
        let mut rtt = RoundTrip::default();
        rtt.sample(Instant::START, 1_000);
        rtt.sample(Instant::after(SHORTEST_KEPT_TIME), 5_000);
        assert_eq!(rtt.shortest_us(), 1_000);
        rtt.sample(Instant::after(SHORTEST_KEPT_TIME + Duration::from_micros(1)), 5_000);
        assert_eq!(rtt.shortest_us(), 5_000);
    }
}
