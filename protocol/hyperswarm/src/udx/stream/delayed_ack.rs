//! Delayed acknowledgements (RFC 9293, section 3.8.6.3): [`DelayedAck`].
//!
//! A sender must hear at once of everything that arrives while a packet is missing (else it resends packets that have
//! arrived; tried: a third more was sent), of duplicates and of the end. The rest can wait: every acknowledgement costs
//! both sides a system call and a turn of their loops, and a receiver that is as fast as its sender would send one for
//! every second packet. To a reference peer, whose clock has whole milliseconds, more frequent ones on a path shorter
//! than that even look like a slow path.

use std::time::Duration;

use libvms_hypercore::time::Instant;

/// Packets that an acknowledgement waits for at most: the smallest window of a sender. With more, senders that start,
/// or lose one packet in twenty, are slower.
const PACKETS_MAX: u32 = 4;
/// Time that an acknowledgement waits at most. It is below the time after which senders retransmit without an answer.
const DELAY: Duration = Duration::from_micros(500);
/// The first packets of a stream are acknowledged at once: the sender measures the path by them.
const PROMPT_PACKETS: u32 = 16;

/// The acknowledgement that is owed to the remote.
#[derive(Debug, Default)]
pub(super) struct DelayedAck {
    /// Packets that wait for it.
    packets: u32,
    /// Packets so far, as far as they are counted.
    first: u32,
    due_at: Option<Instant>,
}

impl DelayedAck {
    /// Notes a packet that must be acknowledged at once.
    pub(super) fn at_once(&mut self) {
        self.due_at = Some(Instant::START);
    }

    /// Notes a packet that arrived in order while nothing is missing.
    pub(super) fn in_time(&mut self, now: Instant) {
        self.packets += 1;
        self.first = self.first.saturating_add(1);
        if self.packets >= PACKETS_MAX || self.first <= PROMPT_PACKETS {
            self.at_once();
        }
        self.due_at.get_or_insert(now + DELAY);
    }

    /// Notes that the acknowledgement was sent.
    pub(super) fn settle(&mut self) {
        (self.packets, self.due_at) = (0, None);
    }

    /// Returns when to send the acknowledgement, if one is owed.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due_at.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a state after enough packets to delay acknowledgements.
    fn patient() -> DelayedAck {
        let mut delayed_ack = DelayedAck::default();
        for _ in 0..PROMPT_PACKETS {
            delayed_ack.in_time(Instant::START);
            assert!(delayed_ack.is_due(Instant::START), "the first packets are answered at once");
            delayed_ack.settle();
        }
        delayed_ack
    }

    #[test]
    fn an_acknowledgement_is_delayed_for_a_bounded_time() {
        let mut delayed_ack = patient();
        delayed_ack.in_time(Instant::from_micros(100));
        delayed_ack.in_time(Instant::from_micros(300));
        assert_eq!(delayed_ack.due_at(), Some(Instant::from_micros(100) + DELAY));
        assert!(!delayed_ack.is_due(Instant::from_micros(99) + DELAY));
        assert!(delayed_ack.is_due(Instant::from_micros(100) + DELAY));
    }

    /// Others are acknowledged together.
    #[test]
    fn urgent_packets_are_acknowledged_at_once() {
        let mut delayed_ack = patient();
        for packet in 1..PACKETS_MAX {
            delayed_ack.in_time(Instant::from_micros(7));
            assert!(!delayed_ack.is_due(Instant::from_micros(7)), "{packet}");
        }
        delayed_ack.in_time(Instant::from_micros(7));
        assert!(delayed_ack.is_due(Instant::from_micros(7)));
        delayed_ack.settle();
        assert_eq!(delayed_ack.due_at(), None);
        delayed_ack.in_time(Instant::from_micros(7));
        delayed_ack.at_once();
        assert!(delayed_ack.is_due(Instant::from_micros(7)));
    }
}
