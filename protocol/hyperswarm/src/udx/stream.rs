//! One stream: an ordered, reliable flow of bytes each way between two peers that know each other's ids and addresses,
//! and unordered messages beside it. It lives in an [`Endpoint`](super::Endpoint), which owns the public contract.

mod delayed_ack;
mod output;

use std::collections::VecDeque;

use super::event::{CloseReason, Event, Notices};
use super::packet::{Header, Kind, Packet};
use super::receive_buffer::{ReceiveBuffer, Taken};
use super::send_buffer::SendBuffer;
use super::sequence::Sequence;
use super::transmitter::Transmitter;
use super::{Config, Firewall, Path, Statistics, UdxError};
use delayed_ack::DelayedAck;
use libvms_hypercore::time::Instant;

/// Heartbeats without any answer before the stream times out. At two seconds each, about as long as for data.
const HEARTBEATS_MAX: u32 = 6;

/// Messages that wait for their reader, and for the socket. They are unreliable: more are dropped.
const MESSAGES_MAX: usize = 64;

/// The remote of a stream.
#[derive(Debug)]
enum Peer {
    /// Not connected yet. If packets are admitted, the first one fixes the path.
    Awaited { firewall: Firewall, knocked: Option<Path> },
    /// `former`: the path before the last change; the remote may still use it until a packet arrives on the new one.
    Known { path: Path, id: u32, former: Option<Path>, is_heard: bool },
}

/// The state of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Open,
    /// Both sides have ended and everything has arrived. It still acknowledges: the last acknowledgement may be lost.
    Finished,
    /// It is given up and sends nothing any more.
    Closed,
}

/// A stream.
#[derive(Debug)]
pub(super) struct Stream {
    local: u32,
    config: Config,
    peer: Peer,
    life: Life,
    receiving: ReceiveBuffer,
    transmitter: Transmitter,
    delayed_ack: DelayedAck,
    /// The window that was last advertised to the remote.
    advertised: u32,
    messages_in: VecDeque<Vec<u8>>,
    messages_out: VecDeque<Vec<u8>>,
    last_sent_at: Instant,
    /// Heartbeats since the window closed, and since any packet arrived.
    window_heartbeats: u32,
    unanswered_heartbeats: u32,
    wants_room: bool,
    notices: Notices,
}

impl Stream {
    pub(super) fn new(now: Instant, local: u32, config: Config, firewall: Firewall) -> Self {
        // Until it is connected the path is unknown: this value is replaced then.
        let nowhere = ([0, 0, 0, 0], 0).into();
        Self {
            local,
            config,
            peer: Peer::Awaited { firewall, knocked: None },
            life: Life::Open,
            receiving: ReceiveBuffer::new(config.receive_bytes_max),
            transmitter: Transmitter::new(now, nowhere, SendBuffer::new(config.unsent_bytes_max)),
            delayed_ack: DelayedAck::default(),
            advertised: config.receive_bytes_max.try_into().unwrap_or(u32::MAX),
            messages_in: VecDeque::new(),
            messages_out: VecDeque::new(),
            last_sent_at: now,
            window_heartbeats: 0,
            unanswered_heartbeats: 0,
            wants_room: false,
            notices: Notices::default(),
        }
    }

    pub(super) fn connect(&mut self, now: Instant, path: Path, id: u32) -> Result<(), UdxError> {
        let Peer::Awaited { knocked, .. } = self.peer else { return Err(UdxError::Connected(self.local)) };
        let is_heard = knocked == Some(path);
        if !is_heard {
            // Packets of another sender until now are not the remote's.
            self.forget_received();
        }
        self.peer = Peer::Known { path, id, former: None, is_heard };
        self.last_sent_at = now;
        self.transmitter.change_path(now, path.remote);
        if is_heard {
            self.notices.is_connected = true;
        }
        Ok(())
    }

    pub(super) fn redirect(&mut self, now: Instant, path: Path, id: u32) -> Result<(), UdxError> {
        let Peer::Known { path: former, is_heard, .. } = self.peer else {
            return Err(UdxError::NotConnected(self.local));
        };
        self.peer = Peer::Known { path, id, former: Some(former).filter(|former| *former != path), is_heard };
        self.transmitter.change_path(now, path.remote);
        Ok(())
    }

    /// Forgets the path of the first packet and everything that arrived on it.
    pub(super) fn refuse(&mut self) {
        if let Peer::Awaited { knocked, .. } = &mut self.peer {
            *knocked = None;
            self.forget_received();
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize, UdxError> {
        if self.life != Life::Open || self.transmitter.sending.is_ending() {
            return Err(UdxError::Ended(self.local));
        }
        let accepted = self.transmitter.sending.write(bytes);
        self.wants_room |= accepted < bytes.len();
        Ok(accepted)
    }

    pub(super) fn end(&mut self) {
        self.transmitter.sending.end();
    }

    pub(super) fn send_message(&mut self, message: &[u8]) -> Result<bool, UdxError> {
        let bytes_max = self.transmitter.payload_bytes_max();
        if self.life != Life::Open {
            return Err(UdxError::Ended(self.local));
        }
        if message.len() > bytes_max {
            return Err(UdxError::MessageTooLong { bytes: message.len(), bytes_max });
        }
        let has_room = self.messages_out.len() < MESSAGES_MAX;
        if has_room {
            self.messages_out.push_back(message.to_vec());
        }
        Ok(has_room)
    }

    pub(super) fn read(&mut self, into: &mut [u8]) -> usize {
        let count = self.receiving.read(into);
        // A remote that knows of little room waits for more; less than a quarter is not worth a packet.
        let (free, all) = (self.receiving.window(), self.config.receive_bytes_max as u64);
        let is_waiting = u64::from(self.advertised) < all / 2;
        if is_waiting && u64::from(free.saturating_sub(self.advertised)) >= all / 4 {
            self.delayed_ack.at_once();
        }
        count
    }

    pub(super) fn readable_bytes(&self) -> usize {
        self.receiving.readable_bytes()
    }

    pub(super) fn receive_message(&mut self) -> Option<Vec<u8>> {
        self.messages_in.pop_front()
    }

    /// Takes a packet that arrived on `path`. Returns whether it was the remote's.
    pub(super) fn receive(&mut self, now: Instant, path: Path, packet: &Packet<'_>) -> bool {
        if self.life == Life::Closed || !self.admits(path) {
            return false;
        }
        self.unanswered_heartbeats = 0;
        let kind = packet.header.kind;
        if kind.has(Kind::HEARTBEAT) {
            self.delayed_ack.at_once();
            return true;
        }
        if kind.has(Kind::MESSAGE) {
            self.take_message(packet.payload);
        }
        let sequence = self.receiving.next().nearest(packet.header.sequence);
        if kind.is_numbered() {
            self.take_data(now, sequence, packet);
        }
        if self.life == Life::Open && kind.has(Kind::DESTROY) && self.receiving.is_near(sequence) {
            self.close(CloseReason::Reset);
            return true;
        }
        // A number from far ahead would make its window the last one that is ever believed.
        if sequence < self.receiving.next() || self.receiving.is_near(sequence) {
            self.transmitter.receive(now, sequence, packet);
            self.offer_room();
        }
        self.check_finished();
        true
    }

    /// Writes the next datagram to send, if there is one. Returns its path.
    pub(super) fn poll(&mut self, now: Instant, datagram: &mut Vec<u8>) -> Option<Path> {
        let Peer::Known { path, .. } = self.peer else { return None };
        if self.life == Life::Open {
            self.run_timers(now);
        }
        if self.life == Life::Open {
            self.write_next(now, datagram)?;
        } else if self.life == Life::Finished && self.delayed_ack.due_at().is_some() {
            self.write_state(Kind::STATE, datagram);
        } else {
            return None;
        }
        self.last_sent_at = now;
        Some(path)
    }

    /// Returns when to poll again, if nothing happens before.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        if self.life != Life::Open || !self.is_connected() {
            return None;
        }
        let timeouts = self.transmitter.next_timeout().into_iter();
        timeouts.chain(self.heartbeat_at()).chain(self.delayed_ack.due_at()).min()
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.notices.take()
    }

    pub(super) fn has_event(&self) -> bool {
        self.notices.is_any()
    }

    /// Returns the path and the remote's id, if they are known.
    pub(super) fn remote(&self) -> Option<(Path, u32)> {
        match self.peer {
            Peer::Known { path, id, .. } => Some((path, id)),
            Peer::Awaited { .. } => None,
        }
    }

    /// Returns the last acknowledgement of a finished stream, or the reset of one that is given up.
    pub(super) fn final_ack(&self) -> Option<Header> {
        match self.life {
            Life::Open => Some(self.header(Kind::DESTROY)),
            Life::Finished => Some(self.header(Kind::STATE)),
            Life::Closed => None,
        }
    }

    /// Returns whether both sides have ended and everything has arrived.
    pub(super) fn is_finished(&self) -> bool {
        self.life == Life::Finished
    }

    pub(super) fn statistics(&self) -> Statistics {
        let sending = &self.transmitter.sending;
        Statistics {
            round_trip_us: self.transmitter.round_trip_us(),
            payload_bytes_max: self.transmitter.payload_bytes_max(),
            delivery_rate: self.transmitter.delivery_rate(),
            congestion_window_bytes: self.transmitter.congestion_window(),
            in_flight_bytes: sending.bytes_in_flight(),
            unsent_bytes: sending.unsent_bytes(),
            resent_packets: self.transmitter.resent_packets,
        }
    }

    fn is_connected(&self) -> bool {
        matches!(self.peer, Peer::Known { .. })
    }

    /// Returns whether a packet that arrived on `from` may be the remote's. The id alone proves little: every on-path
    /// observer sees it in each packet.
    fn admits(&mut self, from: Path) -> bool {
        match &mut self.peer {
            Peer::Awaited { firewall: Firewall::Closed, .. } => false,
            Peer::Awaited { knocked: Some(knocked), .. } => *knocked == from,
            Peer::Awaited { knocked, .. } => {
                *knocked = Some(from);
                self.notices.knocked = Some(from);
                true
            }
            Peer::Known { path, former, is_heard, .. } if *path == from => {
                *former = None;
                self.notices.is_connected |= !*is_heard;
                *is_heard = true;
                true
            }
            Peer::Known { former, .. } => *former == Some(from),
        }
    }

    fn take_message(&mut self, payload: &[u8]) {
        if self.messages_in.len() < MESSAGES_MAX {
            self.messages_in.push_back(payload.to_vec());
            self.notices.has_message = true;
        }
    }

    fn take_data(&mut self, now: Instant, sequence: Sequence, packet: &Packet<'_>) {
        let kind = packet.header.kind;
        let had_gaps = self.receiving.has_gaps();
        let payload = if kind.has(Kind::DATA) { packet.payload } else { &[] };
        let (readable, had_ended) = (self.receiving.readable_bytes(), self.receiving.has_ended());
        let taken = self.receiving.take(sequence, payload, kind.has(Kind::END));
        match taken {
            Taken::No => {}
            Taken::Yes if !had_gaps && !self.receiving.has_gaps() && !self.receiving.has_ended() => {
                self.delayed_ack.in_time(now);
            }
            Taken::Yes | Taken::Answered => self.delayed_ack.at_once(),
        }
        self.notices.is_readable |= self.receiving.readable_bytes() > readable;
        self.notices.has_remote_ended |= self.receiving.has_ended() && !had_ended;
    }

    /// Reports room to a writer that was refused, once there is enough to be worth while.
    fn offer_room(&mut self) {
        if self.wants_room && self.transmitter.sending.room() >= self.config.unsent_bytes_max / 2 {
            (self.wants_room, self.notices.is_writable) = (false, true);
        }
    }

    fn forget_received(&mut self) {
        self.receiving = ReceiveBuffer::new(self.config.receive_bytes_max);
        self.messages_in.clear();
        self.delayed_ack = DelayedAck::default();
        self.notices = Notices::default();
    }

    fn run_timers(&mut self, now: Instant) {
        let has_timed_out = self.transmitter.run_timers(now).is_err();
        let is_silent =
            self.unanswered_heartbeats > HEARTBEATS_MAX && self.heartbeat_at().is_some_and(|at| at <= now);
        if has_timed_out && self.receiving.has_ended() && self.transmitter.sending.lacks_only_end() {
            // It has all of our bytes and has ended: most likely it has closed, and answers no more.
            self.finish();
        } else if has_timed_out || is_silent {
            self.close(CloseReason::TimedOut);
        }
    }

    fn check_finished(&mut self) {
        if self.life == Life::Open && self.receiving.has_ended() && self.transmitter.sending.has_ended() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        self.life = Life::Finished;
        self.notices.closed = Some(CloseReason::Finished);
    }

    fn close(&mut self, reason: CloseReason) {
        self.life = Life::Closed;
        self.notices.closed = Some(reason);
    }
}
