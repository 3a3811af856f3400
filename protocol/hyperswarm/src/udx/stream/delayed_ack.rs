//! When what has come is acknowledged: [`DelayedAck`].
//!
//! A sender needs to hear at once of all that comes while something is missing (else it sends again what has come; tried: a
//! third more was sent), of what came twice and of the end. The rest can wait for company:
//! every acknowledgement costs both sides a system call and a turn of their loops, and a receiver that is as fast as its
//! sender would send one for every second packet. To a reference peer, whose clock has whole milliseconds, more frequent
//! ones on a path shorter than that even look like a slow path.

/// An acknowledgement waits for so many packets at most: the smallest window of a sender. With more, senders that start, or
/// lose one packet in twenty, are slower.
const PACKETS_MAX: u32 = 4;
/// And for so long. It is below what senders wait before they send again for want of an answer.
const DELAY_US: u64 = 500;
/// The first packets of a stream are acknowledged at once: by them the sender measures the path.
const PROMPT_PACKETS: u32 = 16;

/// What the remote has not been told yet.
#[derive(Debug, Default)]
pub(super) struct DelayedAck {
    /// Packets that wait.
    packets: u32,
    /// Packets so far, as far as they are counted.
    first: u32,
    due_at: Option<u64>,
}

impl DelayedAck {
    /// Something came that is to be answered at once.
    pub(super) fn at_once(&mut self) {
        self.due_at = Some(0);
    }

    /// A packet came in order, and nothing is missing.
    pub(super) fn in_time(&mut self, now: u64) {
        self.packets += 1;
        self.first = self.first.saturating_add(1);
        if self.packets >= PACKETS_MAX || self.first <= PROMPT_PACKETS {
            self.at_once();
        }
        self.due_at.get_or_insert(now + DELAY_US);
    }

    /// The remote was told.
    pub(super) fn settle(&mut self) {
        (self.packets, self.due_at) = (0, None);
    }

    /// When the remote is to be told, if there is anything.
    pub(super) fn due_at(&self) -> Option<u64> {
        self.due_at
    }

    pub(super) fn is_due(&self, now: u64) -> bool {
        self.due_at.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that has seen enough packets to be patient.
    fn patient() -> DelayedAck {
        let mut delayed_ack = DelayedAck::default();
        for _ in 0..PROMPT_PACKETS {
            delayed_ack.in_time(0);
            assert!(delayed_ack.is_due(0), "the first packets are answered at once");
            delayed_ack.settle();
        }
        delayed_ack
    }

    #[test]
    fn a_packet_waits_for_company_but_not_for_long() {
        let mut delayed_ack = patient();
        delayed_ack.in_time(100);
        delayed_ack.in_time(300);
        assert_eq!(delayed_ack.due_at(), Some(100 + DELAY_US));
        assert!(!delayed_ack.is_due(99 + DELAY_US) && delayed_ack.is_due(100 + DELAY_US));
    }

    #[test]
    fn many_packets_are_answered_together_and_what_is_urgent_at_once() {
        let mut delayed_ack = patient();
        for packet in 1..PACKETS_MAX {
            delayed_ack.in_time(7);
            assert!(!delayed_ack.is_due(7), "{packet}");
        }
        delayed_ack.in_time(7);
        assert!(delayed_ack.is_due(7));
        delayed_ack.settle();
        assert_eq!(delayed_ack.due_at(), None);
        delayed_ack.in_time(7);
        delayed_ack.at_once();
        assert!(delayed_ack.is_due(7));
    }
}
