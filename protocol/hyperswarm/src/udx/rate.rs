//! At what rate a path delivers: measured between the sending of a packet and its acknowledgement, as
//! draft-cheng-iccrg-delivery-rate-estimation describes. The congestion controller is built on these samples.

/// What has been delivered so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Delivery {
    /// Bytes, with headers.
    pub(super) bytes: u64,
    delivered_at: u64,
    /// When the packet was sent that was delivered last; the start of the sending interval.
    first_sent_at: u64,
    /// Until so much is delivered, samples say what was sent and not what the path carries. 0: they tell the path.
    idle_until: u64,
}

/// The state of the [`Delivery`] when a packet was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Departure {
    pub(super) sent_at: u64,
    delivered: u64,
    delivered_at: u64,
    first_sent_at: u64,
    is_idle: bool,
}

/// What an acknowledgement says about the path.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateSample {
    /// Bytes a second, unless all happened too fast to be true.
    pub(super) rate: Option<u64>,
    /// Bytes that had been delivered when the packet was sent: a round trip has passed for those.
    pub(super) delivered_before: u64,
    /// The sender had less to send than the path could carry.
    pub(super) is_idle: bool,
}

impl Delivery {
    /// A packet is sent.
    pub(super) fn depart(&mut self, now: u64, bytes_in_flight: u64) -> Departure {
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

    /// A packet has arrived.
    pub(super) fn arrived(&mut self, now: u64, bytes: u64) {
        self.bytes += bytes;
        self.delivered_at = now;
        if self.bytes > self.idle_until {
            self.idle_until = 0;
        }
    }

    /// The sample of the packet that was sent last among those that one acknowledgement covers.
    pub(super) fn sample(&mut self, now: u64, departure: &Departure, shortest_us: u64) -> RateSample {
        self.first_sent_at = departure.sent_at;
        let sending_us = departure.sent_at.saturating_sub(departure.first_sent_at);
        let arriving_us = now.saturating_sub(departure.delivered_at);
        let delivered = self.bytes - departure.delivered;
        // The longer of the two: acknowledgements that come in a heap must not look like a fast path.
        let interval_us = sending_us.max(arriving_us);
        // So soon after a packet was sent again, the answer is to its first copy, and the interval too short.
        let is_plausible = interval_us >= shortest_us;
        let rate = delivered.saturating_mul(1_000_000).checked_div(interval_us).filter(|_| is_plausible);
        RateSample { rate, delivered_before: departure.delivered, is_idle: departure.is_idle }
    }

    /// There is nothing to send although the path would take more.
    pub(super) fn idle(&mut self, bytes_in_flight: u64) {
        self.idle_until = (self.bytes + bytes_in_flight).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heap_of_acknowledgements_does_not_look_like_a_fast_path() {
        let mut delivery = Delivery::default();
        let departures = [0, 1_000, 2_000].map(|now| delivery.depart(now, now));
        for _ in &departures {
            delivery.arrived(50_000, 1_000);
        }
        let sample = delivery.sample(50_000, &departures[2], 48_000);
        assert_eq!(sample.rate, Some(60_000));
    }

    #[test]
    fn samples_of_an_idle_sender_are_marked() {
        let mut delivery = Delivery::default();
        let first = delivery.depart(0, 0);
        delivery.idle(1_000);
        let second = delivery.depart(10, 1_000);
        delivery.arrived(100, 1_000);
        assert!(!delivery.sample(100, &first, 1).is_idle);
        delivery.arrived(110, 1_000);
        assert!(delivery.sample(110, &second, 1).is_idle);
        assert!(!delivery.depart(120, 0).is_idle);
    }
}
