//! Loss detection by send time, as RACK does (RFC 8985): a packet is lost if one that was sent later has arrived, and
//! the time in which reordering could explain the gap has passed.

use super::rtt::RoundTrip;
use super::send_buffer::{Arrived, SendBuffer};
use super::sequence::Sequence;
use libvms_hypercore::time::Instant;

/// The reordering window grows by a quarter of the shortest round trip whenever it proves too short, up to a whole one.
const QUARTERS_MAX: u64 = 4;

/// Packets after a gap that make it a loss rather than a reordering, if no reordering was ever seen.
const PACKETS_BEYOND_GAP: u64 = 3;

/// The state of the detection.
#[derive(Clone, Debug)]
pub(super) struct LossDetector {
    /// Of all that arrived, the latest transmission, and its round trip.
    newest_transmission: u64,
    newest_round_trip_us: u64,
    highest: Sequence,
    /// The reordering window, in quarters of the shortest round trip. 0: no reordering was ever seen.
    quarters: u64,
    /// Packets that have arrived above the first gap since it appeared.
    beyond_gap: u64,
}

/// The result of a search.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// Bytes marked lost, with headers.
    pub(super) lost_bytes: u64,
    pub(super) has_lost_probe: bool,
    /// When to search again, if nothing arrives until then.
    pub(super) next_at: Option<Instant>,
}

impl LossDetector {
    pub(super) fn new() -> Self {
        Self {
            newest_transmission: 0,
            newest_round_trip_us: 0,
            highest: Sequence::START,
            quarters: 0,
            beyond_gap: 0,
        }
    }

    /// Takes the packets that have arrived.
    pub(super) fn arrived(&mut self, now: Instant, arrived: &Arrived, rtt: &RoundTrip, has_gap: bool) {
        let Some((sequence, sent)) = arrived.newest else { return };
        let is_late = arrived.lowest_sent_once.is_some_and(|lowest| lowest < self.highest);
        if arrived.has_been_misjudged || (is_late && self.quarters == 0) {
            self.quarters = QUARTERS_MAX.min(self.quarters + 1);
        }
        self.highest = self.highest.max(sequence);
        self.beyond_gap = if has_gap { self.beyond_gap + arrived.packets } else { 0 };
        let round_trip_us = now.micros_since(sent.departure.sent_at);
        // So quick an answer is to an earlier copy.
        let is_for_earlier_copy = sent.is_resent && round_trip_us < rtt.shortest_us();
        if sent.transmission > self.newest_transmission && !is_for_earlier_copy {
            (self.newest_transmission, self.newest_round_trip_us) = (sent.transmission, round_trip_us);
        }
    }

    /// Marks lost packets. The work is proportional to their number.
    pub(super) fn search(&self, now: Instant, sending: &mut SendBuffer, rtt: &RoundTrip) -> Found {
        let mut found = Found::default();
        let patience = self.newest_round_trip_us + self.reordering_us(rtt);
        while let Some((sequence, sent)) = sending.oldest_in_flight() {
            if sent.transmission >= self.newest_transmission {
                break;
            }
            let lost_at = sent.departure.sent_at.saturating_add_micros(patience);
            if lost_at > now {
                found.next_at = Some(lost_at);
                break;
            }
            sending.give_up(sequence);
            found.lost_bytes += sent.bytes();
            found.has_lost_probe |= sent.padding > 0;
        }
        found
    }

    fn reordering_us(&self, rtt: &RoundTrip) -> u64 {
        if self.quarters == 0 && self.beyond_gap >= PACKETS_BEYOND_GAP {
            return 0;
        }
        let late_us = self.quarters.max(1) * rtt.shortest_us() / 4;
        late_us.min(rtt.mean_us().unwrap_or(0))
    }
}
