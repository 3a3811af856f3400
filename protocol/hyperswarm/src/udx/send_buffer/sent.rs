//! Packets that were sent, and the result of an acknowledgement.

use crate::udx::packet::HEADER_BYTES;
use crate::udx::rate::Departure;
use crate::udx::sequence::Sequence;

/// A packet that was sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::udx) struct Sent {
    /// Where its payload begins, from the start of the stream.
    pub(super) start: u64,
    pub(in crate::udx) payload_bytes: u16,
    pub(in crate::udx) is_end: bool,
    /// Bytes of padding, if the packet was sent to probe the MTU of the path.
    pub(in crate::udx) padding: u8,
    pub(in crate::udx) is_resent: bool,
    pub(in crate::udx) state: SentState,
    /// Number of its last transmission, among all of the stream.
    pub(in crate::udx) transmission: u64,
    pub(in crate::udx) departure: Departure,
}

/// The state of a packet, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::udx) enum SentState {
    InFlight,
    /// It must be sent again.
    Lost,
    /// It has arrived ahead of a gap.
    Arrived,
}

impl Sent {
    /// Returns the number of bytes that count against the congestion window.
    pub(in crate::udx) fn bytes(&self) -> u64 {
        (usize::from(self.payload_bytes) + HEADER_BYTES) as u64
    }
}

/// The result of one acknowledgement.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::udx) struct Arrived {
    pub(in crate::udx) packets: u64,
    /// Bytes that arrived, with headers.
    pub(in crate::udx) bytes: u64,
    /// Of the packets that arrived, the one that was sent last.
    pub(in crate::udx) newest: Option<(Sequence, Sent)>,
    /// The same among those that were sent once.
    pub(in crate::udx) newest_sent_once: Option<Sent>,
    /// The lowest that was not resent, which shows reordering if one above it arrived before.
    pub(in crate::udx) lowest_sent_once: Option<Sequence>,
    /// Whether a packet arrived that had been marked lost and not resent yet: we were wrong.
    pub(in crate::udx) has_been_misjudged: bool,
    pub(in crate::udx) has_probe: bool,
}

impl Arrived {
    pub(super) fn add(&mut self, sequence: Sequence, sent: &Sent) {
        self.packets += 1;
        self.bytes += sent.bytes();
        let is_newer = |other: &Sent| sent.transmission > other.transmission;
        if self.newest.as_ref().is_none_or(|(_, newest)| is_newer(newest)) {
            self.newest = Some((sequence, *sent));
        }
        if !sent.is_resent {
            if self.newest_sent_once.as_ref().is_none_or(is_newer) {
                self.newest_sent_once = Some(*sent);
            }
            self.lowest_sent_once.get_or_insert(sequence);
        }
        self.has_been_misjudged |= sent.state == SentState::Lost;
        self.has_probe |= sent.padding > 0;
    }
}
