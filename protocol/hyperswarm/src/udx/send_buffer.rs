//! The send buffer of a stream: bytes that were written, and packets until they are known to have arrived.
//!
//! Bytes lie in one buffer from the first unacknowledged to the last written; packets are ranges of it. So a byte is
//! copied once when it is written and once for each datagram. This module counts; `loss.rs` decides which packets are
//! lost, and `stream.rs` when to send.

mod sent;

use std::collections::VecDeque;

use super::packet::HEADER_BYTES;
use super::rate::Departure;
use super::sequence::Sequence;
use libvms_hypercore::ranges::Ranges;
pub(super) use sent::{Arrived, Sent, SentState};

/// Packets between the first that is missing at the remote and the last one sent: as many as our own receivers hold.
const PACKETS_MAX: usize = 4096;

/// A free buffer larger than this is released.
const KEPT_BYTES_MAX: usize = 256 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Wanted,
    Sent,
}

/// The bytes to send, and the packets in flight.
#[derive(Debug)]
pub(super) struct SendBuffer {
    buffer: VecDeque<u8>,
    /// Where the buffer begins, and up to where it has been cut into packets, from the start of the stream.
    buffer_start: u64,
    cut_end: u64,
    unsent_bytes_max: usize,
    end: End,
    /// The first packet that the remote lacks; the others follow it.
    first: Sequence,
    packets: VecDeque<Sent>,
    arrived: Ranges<u64>,
    lost: VecDeque<Sequence>,
    /// Every transmission in the order of time. Those that were repeated or acknowledged since are stale.
    by_time: VecDeque<(Sequence, u64)>,
    transmissions: u64,
    packets_in_flight: usize,
    bytes_in_flight: u64,
    /// Bytes of payload that are not known to have arrived.
    outstanding_bytes: u64,
}

impl SendBuffer {
    pub(super) fn new(unsent_bytes_max: usize) -> Self {
        Self {
            buffer: VecDeque::new(),
            buffer_start: 0,
            cut_end: 0,
            unsent_bytes_max,
            end: End::Open,
            first: Sequence::START,
            packets: VecDeque::new(),
            arrived: Ranges::new(PACKETS_MAX),
            lost: VecDeque::new(),
            by_time: VecDeque::new(),
            transmissions: 0,
            packets_in_flight: 0,
            bytes_in_flight: 0,
            outstanding_bytes: 0,
        }
    }

    /// Takes as many bytes as there is room for. Returns their number.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        let accepted = bytes.len().min(self.room());
        self.buffer.extend(&bytes[..accepted]);
        accepted
    }

    /// Returns the number of bytes that can be written now.
    pub(super) fn room(&self) -> usize {
        self.unsent_bytes_max.saturating_sub(self.unsent_bytes())
    }

    pub(super) fn end(&mut self) {
        if self.end == End::Open {
            self.end = End::Wanted;
        }
    }

    /// Returns whether nothing can be written any more.
    pub(super) fn is_ending(&self) -> bool {
        self.end != End::Open
    }

    /// Returns whether the remote has everything, and our end.
    pub(super) fn has_ended(&self) -> bool {
        self.end == End::Sent && self.packets.is_empty()
    }

    /// Returns whether the remote has every byte, and lacks at most our end.
    pub(super) fn lacks_only_end(&self) -> bool {
        self.end == End::Sent && self.packets.iter().all(|sent| sent.is_end && sent.payload_bytes == 0)
    }

    /// Returns the number of the next new packet.
    pub(super) fn next(&self) -> Sequence {
        self.first + self.packets.len() as u64
    }

    /// Returns the first packet that the remote lacks.
    pub(super) fn first(&self) -> Sequence {
        self.first
    }

    /// Returns the number of bytes that are in no packet yet.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.buffer.len() - (self.cut_end - self.buffer_start) as usize
    }

    /// Returns whether there are bytes for a new packet, and a number for it.
    pub(super) fn has_new(&self) -> bool {
        (self.unsent_bytes() > 0 || self.end == End::Wanted) && self.packets.len() < PACKETS_MAX
    }

    /// Returns whether packets have arrived ahead of one that has not.
    pub(super) fn has_gap(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// Returns whether every packet is known to have arrived.
    pub(super) fn is_settled(&self) -> bool {
        self.packets.is_empty()
    }

    pub(super) fn packets_in_flight(&self) -> usize {
        self.packets_in_flight
    }

    pub(super) fn bytes_in_flight(&self) -> u64 {
        self.bytes_in_flight
    }

    pub(super) fn outstanding_bytes(&self) -> u64 {
        self.outstanding_bytes
    }

    pub(super) fn get(&self, sequence: Sequence) -> Option<&Sent> {
        if sequence < self.first { None } else { self.packets.get((sequence - self.first) as usize) }
    }

    /// Makes a new packet of the next bytes, at most `payload_bytes_max`, and counts it as sent.
    pub(super) fn cut(&mut self, payload_bytes_max: usize, padding: u8, departure: Departure) -> Sequence {
        let payload_bytes = self.unsent_bytes().min(payload_bytes_max);
        let is_end = self.end == End::Wanted && payload_bytes == self.unsent_bytes();
        if is_end {
            self.end = End::Sent;
        }
        let (sequence, transmission) = (self.next(), self.transmission(self.next()));
        self.packets.push_back(Sent {
            start: self.cut_end,
            payload_bytes: payload_bytes as u16,
            is_end,
            padding,
            is_resent: false,
            state: SentState::InFlight,
            transmission,
            departure,
        });
        self.cut_end += payload_bytes as u64;
        self.outstanding_bytes += payload_bytes as u64;
        self.count_in_flight(payload_bytes);
        sequence
    }

    /// Counts a packet as sent again, without its padding.
    pub(super) fn resend(&mut self, sequence: Sequence, departure: Departure) {
        let transmission = self.transmission(sequence);
        let index = (sequence - self.first) as usize;
        let Some(sent) = self.packets.get_mut(index) else { return };
        let (was_lost, payload_bytes) = (sent.state == SentState::Lost, sent.payload_bytes);
        (sent.is_resent, sent.padding, sent.state) = (true, 0, SentState::InFlight);
        (sent.transmission, sent.departure) = (transmission, departure);
        if was_lost {
            self.count_in_flight(usize::from(payload_bytes));
        }
    }

    /// Returns the next packet to retransmit.
    pub(super) fn next_lost(&mut self) -> Option<Sequence> {
        while let Some(&sequence) = self.lost.front() {
            if self.get(sequence).is_some_and(|sent| sent.state == SentState::Lost) {
                return Some(sequence);
            }
            self.lost.pop_front();
        }
        None
    }

    /// Returns the last packet that is not known to have arrived.
    pub(super) fn last_outstanding(&self) -> Option<Sequence> {
        let place = self.packets.iter().rposition(|sent| sent.state != SentState::Arrived)?;
        Some(self.first + place as u64)
    }

    /// Appends the payload of a packet.
    pub(super) fn write_payload(&self, sent: &Sent, datagram: &mut Vec<u8>) {
        let start = (sent.start - self.buffer_start) as usize;
        let end = start + usize::from(sent.payload_bytes);
        let (front, back) = self.buffer.as_slices();
        let split = front.len();
        if start < split {
            datagram.extend_from_slice(&front[start..end.min(split)]);
        }
        if end > split {
            datagram.extend_from_slice(&back[start.max(split) - split..end - split]);
        }
    }

    /// Acknowledges everything below `acknowledged`, which must not be above [`next`](Self::next).
    pub(super) fn acknowledge(&mut self, acknowledged: Sequence, arrived: &mut Arrived) {
        let mut payload_bytes = 0;
        while self.first < acknowledged {
            let Some(sent) = self.packets.pop_front() else { break };
            self.settle(self.first, &sent, arrived);
            payload_bytes += usize::from(sent.payload_bytes);
            self.first = self.first.next();
        }
        self.buffer.drain(..payload_bytes);
        self.buffer_start += payload_bytes as u64;
        if !self.arrived.is_empty() {
            self.arrived.remove(0..self.first.index());
        }
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer = VecDeque::new();
        }
    }

    /// Acknowledges packets ahead of a gap, as a block of a SACK says. Implausible blocks are ignored: they are empty
    /// or reversed, or cover packets that were acknowledged before or never sent.
    pub(super) fn acknowledge_block(&mut self, start: Sequence, end: Sequence, arrived: &mut Arrived) {
        if start >= end || start < self.first || end > self.next() {
            return;
        }
        // Every acknowledgement repeats the blocks of the last one: only its new packets are looked at.
        let mut from = self.arrived.next_missing(start.index());
        while from < end.index() {
            let until = self.arrived.next(from).unwrap_or(u64::MAX).min(end.index());
            for index in from..until {
                self.settle_ahead(Sequence::from_index(index), arrived);
            }
            from = self.arrived.next_missing(until);
        }
        self.arrived.insert(start.index()..end.index());
    }

    /// Marks a packet lost: it must be sent again.
    pub(super) fn give_up(&mut self, sequence: Sequence) {
        let index = (sequence - self.first) as usize;
        let Some(sent) = self.packets.get_mut(index).filter(|sent| sent.state == SentState::InFlight) else {
            return;
        };
        sent.state = SentState::Lost;
        self.packets_in_flight -= 1;
        self.bytes_in_flight -= sent.bytes();
        self.lost.push_back(sequence);
    }

    /// Marks every packet lost that is not known to have arrived, to be sent again from the lowest on.
    pub(super) fn give_up_all(&mut self) {
        self.lost.clear();
        self.by_time.clear();
        (self.packets_in_flight, self.bytes_in_flight) = (0, 0);
        for (place, sent) in self.packets.iter_mut().enumerate() {
            if sent.state != SentState::Arrived {
                sent.state = SentState::Lost;
                self.lost.push_back(self.first + place as u64);
            }
        }
    }

    /// Returns the packet in flight whose last transmission is the oldest.
    pub(super) fn oldest_in_flight(&mut self) -> Option<(Sequence, Sent)> {
        while let Some(&(sequence, transmission)) = self.by_time.front() {
            let sent = self.get(sequence).filter(|sent| sent.transmission == transmission);
            if let Some(sent) = sent.filter(|sent| sent.state == SentState::InFlight) {
                return Some((sequence, *sent));
            }
            self.by_time.pop_front();
        }
        None
    }

    fn transmission(&mut self, sequence: Sequence) -> u64 {
        self.transmissions += 1;
        self.by_time.push_back((sequence, self.transmissions));
        self.transmissions
    }

    fn count_in_flight(&mut self, payload_bytes: usize) {
        self.packets_in_flight += 1;
        self.bytes_in_flight += (payload_bytes + HEADER_BYTES) as u64;
    }

    fn settle_ahead(&mut self, sequence: Sequence, arrived: &mut Arrived) {
        let index = (sequence - self.first) as usize;
        let Some(sent) = self.packets.get(index).copied() else { return };
        self.settle(sequence, &sent, arrived);
        self.packets[index].state = SentState::Arrived;
    }

    fn settle(&mut self, sequence: Sequence, sent: &Sent, arrived: &mut Arrived) {
        if sent.state == SentState::Arrived {
            return;
        }
        if sent.state == SentState::InFlight {
            self.packets_in_flight -= 1;
            self.bytes_in_flight -= sent.bytes();
        }
        self.outstanding_bytes -= u64::from(sent.payload_bytes);
        arrived.add(sequence, sent);
    }
}
