//! The receive buffer of a stream: reorders packets and holds unread bytes, within a fixed number of bytes.

use std::collections::VecDeque;

use super::packet::SACK_BLOCKS_MAX;
use super::sequence::Sequence;
use libvms_hypercore::ranges::Ranges;

/// Packets ahead of the next one that are held. With the window of 4 MiB that the reference advertises, its senders
/// have at most 3,640 packets in flight.
const AHEAD_PACKETS_MAX: u64 = 4096;

/// Bytes by which the packet that fills the first gap may exceed the bound: it makes the others readable. No datagram
/// of the reference is longer.
const NEXT_BYTES_MAX: usize = 2048;

/// A free buffer larger than this is released rather than kept for the next data.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// Packets in order, and those ahead of a gap.
#[derive(Debug)]
pub(super) struct ReceiveBuffer {
    next: Sequence,
    /// In order and not read yet.
    unread: VecDeque<u8>,
    /// Payloads ahead of a gap; the first place belongs to `next` and is empty.
    held: VecDeque<Option<Box<[u8]>>>,
    held_bytes: usize,
    ahead: Ranges<u64>,
    /// The held packet that arrived last: a SACK lists it in any case.
    newest: Option<Sequence>,
    bytes_max: usize,
    /// The packet that ends the stream, once it was seen.
    end: Option<Sequence>,
}

/// The fate of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It made bytes readable or the end known, or will when a gap is filled. Acknowledge it.
    Yes,
    /// Nothing of it was used, but its sender should learn our state.
    Answered,
    /// Nothing of it was used, and it gets no answer.
    No,
}

impl ReceiveBuffer {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            next: Sequence::START,
            unread: VecDeque::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            ahead: Ranges::new(AHEAD_PACKETS_MAX as usize),
            newest: None,
            bytes_max,
            end: None,
        }
    }

    /// Returns the first packet that is missing.
    pub(super) fn next(&self) -> Sequence {
        self.next
    }

    /// Returns the number of bytes that can still be received.
    pub(super) fn window(&self) -> u32 {
        let free = self.bytes_max.saturating_sub(self.unread.len() + self.held_bytes);
        free.try_into().unwrap_or(u32::MAX)
    }

    /// Returns whether everything up to the remote's end has arrived.
    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some_and(|end| end < self.next)
    }

    /// Returns whether a number is so close that a packet with it would be held.
    pub(super) fn is_near(&self, sequence: Sequence) -> bool {
        sequence >= self.next && sequence - self.next < AHEAD_PACKETS_MAX
    }

    /// Returns the number of bytes that can be read.
    pub(super) fn readable_bytes(&self) -> usize {
        self.unread.len()
    }

    /// Takes a numbered packet.
    pub(super) fn take(&mut self, sequence: Sequence, payload: &[u8], is_end: bool) -> Taken {
        if sequence < self.next {
            return Taken::Answered;
        }
        if !self.is_near(sequence) {
            return Taken::No;
        }
        if self.contradicts_end(sequence, is_end) || !self.has_room(sequence, payload.len()) {
            return Taken::Answered;
        }
        if is_end {
            self.end = Some(sequence);
        }
        if sequence == self.next {
            self.deliver(payload);
        } else {
            self.hold(sequence, payload);
        }
        Taken::Yes
    }

    /// Moves bytes out, in order. Returns their number.
    pub(super) fn read(&mut self, into: &mut [u8]) -> usize {
        let (front, back) = self.unread.as_slices();
        let from_front = front.len().min(into.len());
        let from_back = back.len().min(into.len() - from_front);
        into[..from_front].copy_from_slice(&front[..from_front]);
        into[from_front..from_front + from_back].copy_from_slice(&back[..from_back]);
        self.unread.drain(..from_front + from_back);
        if self.unread.is_empty() && self.unread.capacity() > KEPT_BYTES_MAX {
            self.unread = VecDeque::new();
        }
        from_front + from_back
    }

    /// Returns whether packets ahead of a gap are held, so that an acknowledgement must list them.
    pub(super) fn has_gaps(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Returns the blocks to list: the lowest runs, and that of the newest packet if there are too many.
    pub(super) fn sack_blocks(&self) -> impl Iterator<Item = (u32, u32)> {
        let last = self.ahead.iter().nth(SACK_BLOCKS_MAX - 1);
        let is_unlisted = |newest: &u64| last.as_ref().is_some_and(|last| *newest >= last.end);
        let newest = self.newest.map(Sequence::index).filter(|newest| is_unlisted(newest));
        let last = newest.filter(|&newest| self.ahead.contains(newest)).map(|at| at..at + 1).or(last);
        let lowest = self.ahead.iter().take(SACK_BLOCKS_MAX - 1);
        let wire = |index: u64| Sequence::from_index(index).wire();
        lowest.chain(last).map(move |run| (wire(run.start), wire(run.end)))
    }

    /// Returns whether a packet contradicts the end: there is one end, and nothing after it. Packets that say otherwise
    /// come from a broken or hostile sender: the first one counts.
    fn contradicts_end(&self, sequence: Sequence, is_end: bool) -> bool {
        match self.end {
            Some(end) => sequence > end || (is_end && sequence != end),
            None => is_end && self.ahead.end() > Some(sequence.next().index()),
        }
    }

    fn has_room(&self, sequence: Sequence, bytes: usize) -> bool {
        let reserve = if sequence == self.next { NEXT_BYTES_MAX } else { 0 };
        self.unread.len() + self.held_bytes + bytes <= self.bytes_max + reserve
    }

    fn deliver(&mut self, payload: &[u8]) {
        self.unread.extend(payload);
        self.next = self.next.next();
        self.held.pop_front();
        if self.ahead.is_empty() {
            return;
        }
        while let Some(payload) = self.held.front_mut().and_then(Option::take) {
            self.held_bytes -= payload.len();
            self.unread.extend(&payload);
            self.next = self.next.next();
            self.held.pop_front();
        }
        self.ahead.remove(0..self.next.index());
    }

    fn hold(&mut self, sequence: Sequence, payload: &[u8]) {
        let place = (sequence - self.next) as usize;
        if self.held.len() <= place {
            self.held.resize(place + 1, None);
        }
        if self.held[place].is_none() {
            self.newest = Some(sequence);
            self.held_bytes += payload.len();
            self.held[place] = Some(payload.into());
            self.ahead.insert(sequence.index()..sequence.index() + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: Sequence = Sequence::START;

    fn read_all(receiving: &mut ReceiveBuffer) -> Vec<u8> {
        let mut bytes = vec![0; receiving.readable_bytes()];
        let count = receiving.read(&mut bytes);
        assert_eq!(count, bytes.len());
        bytes
    }

    #[test]
    fn the_first_end_counts() {
        let mut receiving = ReceiveBuffer::new(1000);
        assert_eq!(receiving.take(FIRST + 2, b"c", true), Taken::Yes);
        assert_eq!(receiving.take(FIRST + 1, b"", true), Taken::Answered);
        assert_eq!(receiving.take(FIRST + 3, b"d", false), Taken::Answered);
        assert_eq!(receiving.take(FIRST + 3, b"", true), Taken::Answered);
        assert_eq!(receiving.take(FIRST, b"a", false), Taken::Yes);
        assert!(!receiving.has_ended());
        assert_eq!(receiving.take(FIRST + 1, b"b", false), Taken::Yes);
        assert!(receiving.has_ended());
        assert_eq!(read_all(&mut receiving), b"abc");
    }

    #[test]
    fn an_end_before_received_data_is_not_believed() {
        let mut receiving = ReceiveBuffer::new(1000);
        receiving.take(FIRST + 5, b"f", false);
        assert_eq!(receiving.take(FIRST + 4, b"", true), Taken::Answered);
        assert_eq!(receiving.take(FIRST + 6, b"", true), Taken::Yes);
    }

    #[test]
    fn at_most_the_window_and_one_packet_are_held() {
        let mut receiving = ReceiveBuffer::new(1000);
        assert_eq!(receiving.take(FIRST + 1, &[1; 1000], false), Taken::Yes);
        assert_eq!(receiving.window(), 0);
        assert_eq!(receiving.take(FIRST + 2, &[2], false), Taken::Answered);
        assert_eq!(receiving.take(FIRST + 1, &[1; 1000], false), Taken::Answered);
        assert_eq!(receiving.take(FIRST, &[0; 1000], false), Taken::Yes);
        assert_eq!(receiving.readable_bytes(), 2000);
        assert_eq!(receiving.take(FIRST + 2, &[2; 1049], false), Taken::Answered);
        assert_eq!(receiving.take(FIRST + 2, &[2; 1048], false), Taken::Yes);
        assert_eq!(receiving.take(FIRST + 3, &[3], false), Taken::Answered);
    }

    #[test]
    fn packets_far_ahead_are_not_held_and_not_answered() {
        let mut receiving = ReceiveBuffer::new(1000);
        assert_eq!(receiving.take(FIRST + AHEAD_PACKETS_MAX, b"x", false), Taken::No);
        assert_eq!(receiving.take(FIRST + (AHEAD_PACKETS_MAX - 1), b"x", false), Taken::Yes);
        assert_eq!(receiving.take(FIRST.nearest(u32::MAX), b"x", false), Taken::Answered);
    }

    #[test]
    fn a_sack_of_many_runs_lists_the_lowest_and_the_newest() {
        let mut receiving = ReceiveBuffer::new(100_000);
        for packet in 0..100 {
            receiving.take(FIRST + 2 * packet + 1, b"x", false);
        }
        let blocks: Vec<_> = receiving.sack_blocks().collect();
        assert_eq!(blocks.len(), SACK_BLOCKS_MAX);
        assert_eq!((blocks[0], blocks[48], blocks[49]), ((1, 2), (97, 98), (199, 200)));
        receiving.take(FIRST + 1, b"x", false);
        assert_eq!(receiving.sack_blocks().last(), Some((199, 200)), "what came last, not what came again");
        receiving.take(FIRST + 40, b"x", false);
        assert_eq!(receiving.sack_blocks().last(), Some((101, 102)), "the newest is among the lowest");
    }

    proptest! {
        #[test]
        fn every_order_of_packets_gives_the_same_bytes(
            order in Just((0..40u64).chain(0..40).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut receiving = ReceiveBuffer::new(10_000);
            for packet in order {
                receiving.take(FIRST + packet, &[packet as u8; 7][..packet as usize % 8], packet == 39);
            }
            let expected: Vec<u8> = (0..40u8).flat_map(|packet| vec![packet; packet as usize % 8]).collect();
            prop_assert!(receiving.has_ended() && !receiving.has_gaps());
            prop_assert_eq!(receiving.held_bytes, 0);
            prop_assert_eq!(read_all(&mut receiving), expected);
        }
    }
}
