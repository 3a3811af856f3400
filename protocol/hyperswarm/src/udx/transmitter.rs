//! Decides which packet of a stream is sent, and when, by the bytes to send, the lost packets, the congestion window
//! and the remote's window. Start from [`Transmitter::poll`].

use std::net::SocketAddr;

use super::congestion::{Arrival, Congestion};
use super::loss::LossDetector;
use super::mtu::Mtu;
use super::pacer::Pacer;
use super::packet::{HEADER_BYTES, Packet};
use super::rate::Delivery;
use super::rtt::RoundTrip;
use super::send_buffer::{Arrived, SendBuffer, Sent};
use super::sequence::Sequence;
use libvms_hypercore::time::Instant;

/// Retransmission timeouts in a row before the next one ends the stream. With a timeout of a second, and two seconds
/// between them, that is 13 seconds, as in the reference.
const TIMEOUTS_MAX: u8 = 6;

/// Window of a remote that has sent nothing yet: every peer of the reference advertises at least this much.
const REMOTE_WINDOW_START: u32 = 4 * 1024 * 1024;

/// The remote has not answered for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimedOut;

/// The model of the path to the remote. Another path starts anew.
#[derive(Debug)]
struct PathModel {
    rtt: RoundTrip,
    congestion: Congestion,
    pacer: Pacer,
    mtu: Mtu,
    has_answered: bool,
}

/// The deadlines at which something happens without any input.
#[derive(Clone, Copy, Debug, Default)]
struct Timers {
    /// Everything in flight counts as lost.
    retransmit_at: Option<Instant>,
    /// One packet is sent to provoke an answer.
    probe_at: Option<Instant>,
    /// Packets may have become so late that they count as lost.
    search_at: Option<Instant>,
    /// The pacer lets the next packet pass.
    paced_until: Option<Instant>,
}

/// The sending side of a connected stream.
#[derive(Debug)]
pub(super) struct Transmitter {
    pub(super) sending: SendBuffer,
    delivery: Delivery,
    loss: LossDetector,
    path: PathModel,
    timers: Timers,
    timeouts: u8,
    /// Whether a packet may be sent regardless of the congestion window: we need an answer to it.
    owes_probe: bool,
    /// Lost bytes not yet reported to the congestion controller.
    lost_bytes: u64,
    pub(super) resent_packets: u64,
    remote_window: u32,
    /// The number and the acknowledgement of the packet that the window was taken from.
    window_from: (Sequence, Sequence),
}

impl Transmitter {
    pub(super) fn new(now: Instant, remote: SocketAddr, sending: SendBuffer) -> Self {
        Self {
            sending,
            delivery: Delivery::default(),
            loss: LossDetector::new(),
            path: PathModel::new(now, remote),
            timers: Timers::default(),
            timeouts: 0,
            owes_probe: false,
            lost_bytes: 0,
            resent_packets: 0,
            remote_window: REMOTE_WINDOW_START,
            window_from: (Sequence::START, Sequence::START),
        }
    }

    /// Changes the path to the remote; the model of the new path starts anew.
    pub(super) fn change_path(&mut self, now: Instant, remote: SocketAddr) {
        self.path = PathModel::new(now, remote);
        self.timers.paced_until = None;
        self.rearm(now);
    }

    /// Takes the acknowledgement that every packet carries. `sequence` is the packet's own number.
    pub(super) fn receive(&mut self, now: Instant, sequence: Sequence, packet: &Packet<'_>) {
        let first = self.sending.first();
        let acknowledged = first.nearest(packet.header.acknowledged);
        if acknowledged > self.sending.next() {
            return;
        }
        let mut arrived = Arrived::default();
        if acknowledged > first {
            self.sending.acknowledge(acknowledged, &mut arrived);
        }
        for (start, end) in packet.sack_blocks() {
            let first = self.sending.first();
            self.sending.acknowledge_block(first.nearest(start), first.nearest(end), &mut arrived);
        }
        if acknowledged >= first && (sequence, acknowledged) >= self.window_from {
            self.window_from = (sequence, acknowledged);
            self.remote_window = packet.header.window;
        }
        self.take_arrived(now, &arrived);
    }

    /// Acts on deadlines that have passed.
    pub(super) fn run_timers(&mut self, now: Instant) -> Result<(), TimedOut> {
        let is_due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        if is_due(&mut self.timers.search_at) {
            self.search(now);
        }
        if is_due(&mut self.timers.probe_at) {
            self.owes_probe = true;
            self.timers.retransmit_at = Some(now.saturating_add_micros(self.path.rtt.timeout_us()));
        }
        if is_due(&mut self.timers.retransmit_at) {
            self.time_out(now)?;
        }
        self.timers.paced_until.take_if(|at| *at <= now);
        Ok(())
    }

    /// Picks the next packet to send and counts it as sent.
    pub(super) fn poll(&mut self, now: Instant) -> Option<(Sequence, Sent)> {
        let sequence = match (self.owes_probe, self.sending.next_lost()) {
            (true, _) => self.send_probe(now)?,
            (false, Some(lost)) => {
                let bytes = self.sending.get(lost)?.bytes();
                self.pass(now, bytes)?;
                self.resend(now, lost)
            }
            (false, None) if self.can_send_new() => {
                self.pass(now, (self.next_payload_bytes() + HEADER_BYTES) as u64)?;
                self.send_new(now)
            }
            (false, None) => {
                self.note_idleness();
                return None;
            }
        };
        Some((sequence, *self.sending.get(sequence)?))
    }

    /// Returns whether there are bytes to send that the remote has no room for, and no packet is in flight whose answer
    /// could report room.
    pub(super) fn is_window_closed(&self) -> bool {
        self.remote_window == 0 && self.sending.outstanding_bytes() == 0 && self.sending.unsent_bytes() > 0
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let Timers { retransmit_at, probe_at, search_at, paced_until } = self.timers;
        [retransmit_at, probe_at, search_at, paced_until].into_iter().flatten().min()
    }

    pub(super) fn timeout_us(&self) -> u64 {
        self.path.rtt.timeout_us()
    }

    pub(super) fn round_trip_us(&self) -> Option<u64> {
        self.path.rtt.mean_us()
    }

    /// Returns the number of payload bytes in a full packet.
    pub(super) fn payload_bytes_max(&self) -> usize {
        self.path.mtu.payload_bytes()
    }

    pub(super) fn congestion_window(&self) -> u64 {
        self.path.congestion.window()
    }

    pub(super) fn delivery_rate(&self) -> u64 {
        self.path.congestion.rate()
    }

    fn take_arrived(&mut self, now: Instant, arrived: &Arrived) {
        let Some((_, newest)) = arrived.newest else { return };
        let path = &mut self.path;
        let round_trip_us =
            arrived.newest_sent_once.map(|sent| now.micros_since(sent.departure.sent_at).max(1));
        if let Some(round_trip_us) = round_trip_us {
            path.rtt.sample(now, round_trip_us);
        }
        if arrived.has_probe {
            path.mtu.probe_arrived();
        }
        path.has_answered = true;
        self.delivery.arrived(now, arrived.bytes);
        let sample = self.delivery.sample(now, &newest.departure, path.rtt.shortest_us());
        self.loss.arrived(now, arrived, &path.rtt, self.sending.has_gap());
        self.search(now);
        let arrival = Arrival {
            now,
            bytes: arrived.bytes,
            delivered: self.delivery.bytes,
            in_flight: self.sending.bytes_in_flight(),
            sample,
            round_trip_us,
            lost_bytes: std::mem::take(&mut self.lost_bytes),
        };
        self.path.congestion.arrived(&arrival);
        (self.timeouts, self.owes_probe) = (0, false);
        self.rearm(now);
    }

    fn search(&mut self, now: Instant) {
        let found = self.loss.search(now, &mut self.sending, &self.path.rtt);
        self.timers.search_at = found.next_at;
        self.lost_bytes += found.lost_bytes;
        if found.has_lost_probe {
            self.path.mtu.probe_lost();
        }
    }

    fn time_out(&mut self, now: Instant) -> Result<(), TimedOut> {
        if self.timeouts >= TIMEOUTS_MAX {
            return Err(TimedOut);
        }
        self.timeouts += 1;
        self.sending.give_up_all();
        self.path.congestion.timed_out();
        self.path.mtu.probe_lost();
        self.owes_probe = false;
        // The first comes after the timeout, the others after twice that: no further doubling, so that a path that
        // comes back is found soon.
        let retransmit_at = Some(now.saturating_add_micros(2 * self.path.rtt.timeout_us()));
        self.timers = Timers { retransmit_at, ..Timers::default() };
        Ok(())
    }

    fn rearm(&mut self, now: Instant) {
        if self.sending.is_settled() {
            (self.timers.retransmit_at, self.timers.probe_at) = (None, None);
            return;
        }
        let retransmit_at = now.saturating_add_micros(self.path.rtt.timeout_us());
        let probe_at = now.saturating_add_micros(self.path.rtt.probe_us(self.sending.packets_in_flight()));
        self.timers.retransmit_at = Some(retransmit_at);
        self.timers.probe_at = (probe_at < retransmit_at && self.timeouts == 0).then_some(probe_at);
    }

    /// Returns whether the path takes this many bytes now.
    fn pass(&mut self, now: Instant, bytes: u64) -> Option<()> {
        if self.sending.bytes_in_flight() >= self.path.congestion.window() {
            return None;
        }
        let Some(rate) = self.path.congestion.pacing_rate() else { return Some(()) };
        let ready_at = self.path.pacer.ready_at(now, rate, bytes);
        if ready_at > now {
            self.timers.paced_until = Some(ready_at);
            return None;
        }
        self.path.pacer.sent(bytes);
        Some(())
    }

    /// Notes an idle sender: the acknowledgements of packets in flight then understate what the path could carry.
    fn note_idleness(&mut self) {
        let in_flight = self.sending.bytes_in_flight();
        if self.sending.unsent_bytes() == 0 && in_flight < self.path.congestion.window() {
            self.delivery.idle(in_flight);
        }
    }

    fn can_send_new(&self) -> bool {
        if !self.sending.has_new() {
            return false;
        }
        let (outstanding, bytes) = (self.sending.outstanding_bytes(), self.next_payload_bytes() as u64);
        let window = u64::from(self.remote_window);
        // However small the window: one packet is let through, which a gap of any size in a buffer has room for.
        bytes == 0 || outstanding + bytes <= window || (outstanding == 0 && window > 0)
    }

    fn next_payload_bytes(&self) -> usize {
        self.sending.unsent_bytes().min(self.payload_bytes_max())
    }

    fn send_probe(&mut self, now: Instant) -> Option<Sequence> {
        self.owes_probe = false;
        if self.can_send_new() {
            return Some(self.send_new(now));
        }
        let last = self.sending.last_outstanding()?;
        Some(self.resend(now, last))
    }

    fn send_new(&mut self, now: Instant) -> Sequence {
        let path = &mut self.path;
        let payload_bytes_max = path.mtu.payload_bytes();
        let is_full = self.sending.unsent_bytes() >= payload_bytes_max;
        let padding = path.mtu.probe_padding().filter(|_| is_full && path.has_answered).unwrap_or(0);
        if padding > 0 {
            path.mtu.probe_sent(padding);
        }
        let departure = self.delivery.depart(now, self.sending.bytes_in_flight());
        let sequence = self.sending.cut(payload_bytes_max, padding, departure);
        let probe_at = now.saturating_add_micros(path.rtt.probe_us(self.sending.packets_in_flight()));
        let retransmit_at =
            *self.timers.retransmit_at.get_or_insert(now.saturating_add_micros(path.rtt.timeout_us()));
        // After a probe the answer is awaited: another packet is no reason for another probe.
        let may_probe = self.timers.probe_at.is_some() || self.sending.packets_in_flight() == 1;
        self.timers.probe_at =
            (may_probe && self.timeouts == 0 && probe_at < retransmit_at).then_some(probe_at);
        sequence
    }

    fn resend(&mut self, now: Instant, sequence: Sequence) -> Sequence {
        if self.sending.get(sequence).is_some_and(|sent| sent.padding > 0) {
            self.path.mtu.probe_lost();
        }
        let departure = self.delivery.depart(now, self.sending.bytes_in_flight());
        self.sending.resend(sequence, departure);
        self.resent_packets += 1;
        sequence
    }
}

impl PathModel {
    fn new(now: Instant, remote: SocketAddr) -> Self {
        Self {
            rtt: RoundTrip::default(),
            congestion: Congestion::new(now),
            pacer: Pacer::new(now),
            mtu: Mtu::new(remote),
            has_answered: false,
        }
    }
}
