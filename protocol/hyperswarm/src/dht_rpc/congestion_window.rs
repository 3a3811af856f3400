//! The congestion window: how many requests a node sends at once, [`CongestionWindow`].
//!
//! At most 80 requests in 0.75 seconds and 160 in 3 seconds stay unanswered: an answer makes room again, so a live
//! network is queried quickly and a dead or hostile one is not flooded. Source of the numbers: npm dht-rpc
//! (`lib/io.js`).

use libvms_hypercore::time::Instant;

/// Milliseconds of one slot.
const SLOT_MS: u64 = 750;
/// Most unanswered requests of one slot.
const SLOT_MAX: u32 = 80;
/// Most unanswered requests of all four slots.
const TOTAL_MAX: u32 = 160;

/// A count of the requests sent in the last four slots.
#[derive(Debug, Default)]
pub(crate) struct CongestionWindow {
    slots: [u32; 4],
    current: u64,
}

impl CongestionWindow {
    /// Returns whether another request may be sent.
    pub(crate) fn has_room(&mut self, now: Instant) -> bool {
        self.advance(now);
        self.slots[self.index()] < SLOT_MAX && self.slots.iter().sum::<u32>() < TOTAL_MAX
    }

    /// Counts a sent request.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.advance(now);
        self.slots[self.index()] += 1;
    }

    /// Counts an answer.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.advance(now);
        let index = self.index();
        self.slots[index] = self.slots[index].saturating_sub(1);
    }

    /// Returns when the next slot begins, which may make room.
    pub(crate) fn next_slot(&self) -> Instant {
        Instant::from_millis((self.current + 1) * SLOT_MS)
    }

    fn index(&self) -> usize {
        (self.current % 4) as usize
    }

    fn advance(&mut self, now: Instant) {
        let slot = now.as_millis() / SLOT_MS;
        for _ in 0..slot.saturating_sub(self.current).min(4) {
            self.current += 1;
            let index = self.index();
            self.slots[index] = 0;
        }
        self.current = self.current.max(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time or answers empty it.
    #[test]
    fn unanswered_requests_fill_the_congestion_window() {
        let mut window = CongestionWindow::default();
        for _ in 0..80 {
            assert!(window.has_room(Instant::from_millis(10_000)));
            window.sent(Instant::from_millis(10_000));
        }
        assert!(!window.has_room(Instant::from_millis(10_000)));
        window.answered(Instant::from_millis(10_000));
        assert!(window.has_room(Instant::from_millis(10_000)));
        let (next, slot) = (window.next_slot(), std::time::Duration::from_millis(SLOT_MS));
        for _ in 0..80 {
            window.sent(next);
        }
        assert!(window.has_room(next + slot), "159 are unanswered");
        window.sent(next + slot);
        assert!(!window.has_room(next + slot));
        assert!(window.has_room(next + 4 * slot));
    }
}
