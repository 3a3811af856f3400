//! Delivery rate estimation (draft-cheng-iccrg-delivery-rate-estimation): the rate of a path, measured between the
//! sending of a packet and its acknowledgement. The congestion controller is built on these samples.

use libvms_hypercore::time::Instant;

/// The deliveries so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Delivery {
    /// Bytes delivered, with headers.
    pub(super) bytes: u64,
    delivered_at: Instant,
    /// When the packet was sent that was delivered last; the start of the sending interval.
    first_sent_at: Instant,
    /// Until this many bytes are delivered, samples measure the sender and not the path. 0: they measure the path.
    idle_until: u64,
}

/// The state of the [`Delivery`] when a packet was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Departure {
    pub(super) sent_at: Instant,
    delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    is_idle: bool,
}

/// The measurement of one acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateSample {
    /// Bytes a second, unless everything happened too fast to be true.
    pub(super) rate: Option<u64>,
    /// Bytes that had been delivered when the packet was sent: a round trip has passed for those.
    pub(super) delivered_before: u64,
    /// Whether the sender had less to send than the path could carry.
    pub(super) is_idle: bool,
}

impl Delivery {
    /// Returns the state for a packet that is sent now.
    pub(super) fn depart(&mut self, now: Instant, bytes_in_flight: u64) -> Departure {
        if bytes_in_flight == 0 {
            (self.first_sent_at, self.delivered_at) = (now, now);
        }
        Departure {
            sent_at: now,
            delivered: self.bytes,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            is_idle: self.idle_until > 0,
        }
    }

    /// Notes that a packet has arrived.
    pub(super) fn arrived(&mut self, now: Instant, bytes: u64) {
        self.bytes += bytes;
        self.delivered_at = now;
        if self.bytes > self.idle_until {
            self.idle_until = 0;
        }
    }

    /// Returns the sample of the packet that was sent last among those that one acknowledgement covers.
    pub(super) fn sample(&mut self, now: Instant, departure: &Departure, shortest_us: u64) -> RateSample {
        self.first_sent_at = departure.sent_at;
        let sending_us = departure.sent_at.micros_since(departure.first_sent_at);
        let arriving_us = now.micros_since(departure.delivered_at);
        let delivered = self.bytes - departure.delivered;
        // The longer of the two: aggregated acknowledgements must not look like a fast path.
        let interval_us = sending_us.max(arriving_us);
        // So soon after a retransmission, the answer is to the first copy, and the interval too short.
        let is_plausible = interval_us >= shortest_us;
        let rate = delivered.saturating_mul(1_000_000).checked_div(interval_us).filter(|_| is_plausible);
        RateSample { rate, delivered_before: departure.delivered, is_idle: departure.is_idle }
    }

    /// Notes that there is nothing to send although the path would take more.
    pub(super) fn idle(&mut self, bytes_in_flight: u64) {
        self.idle_until = (self.bytes + bytes_in_flight).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregated_acknowledgements_do_not_look_like_a_fast_path() {
        let mut delivery = Delivery::default();
        let departures = [0, 1_000, 2_000].map(|now| delivery.depart(Instant::from_micros(now), now));
        for _ in &departures {
            delivery.arrived(Instant::from_micros(50_000), 1_000);
        }
        let sample = delivery.sample(Instant::from_micros(50_000), &departures[2], 48_000);
        assert_eq!(sample.rate, Some(60_000));
    }

    #[test]
    fn samples_of_an_idle_sender_are_marked() {
        let mut delivery = Delivery::default();
        let first = delivery.depart(Instant::START, 0);
        delivery.idle(1_000);
        let second = delivery.depart(Instant::from_micros(10), 1_000);
        delivery.arrived(Instant::from_micros(100), 1_000);
        assert!(!delivery.sample(Instant::from_micros(100), &first, 1).is_idle);
        delivery.arrived(Instant::from_micros(110), 1_000);
        assert!(delivery.sample(Instant::from_micros(110), &second, 1).is_idle);
        assert!(!delivery.depart(Instant::from_micros(120), 0).is_idle);
    }
}
