//! The output of a stream: the choice of the next datagram.

use crate::udx::packet::{Header, Kind};
use crate::udx::send_buffer::Sent;
use crate::udx::sequence::Sequence;

use super::Stream;
use libvms_hypercore::time::Instant;

impl Stream {
    /// Returns when the next heartbeat is due: while the remote has no room, and if the caller wants keep-alives.
    pub(super) fn heartbeat_at(&self) -> Option<Instant> {
        if self.transmitter.is_window_closed() {
            let timeout = self.transmitter.timeout_us();
            return Some(match self.window_heartbeats {
                0 => Instant::START,
                1 => self.last_sent_at.saturating_add_micros(timeout),
                _ => self.last_sent_at.saturating_add_micros(2 * timeout),
            });
        }
        let interval = self.config.keepalive?;
        let sending = &self.transmitter.sending;
        (sending.is_settled() && !sending.has_new()).then_some(self.last_sent_at + interval)
    }

    pub(super) fn write_next(&mut self, now: Instant, datagram: &mut Vec<u8>) -> Option<()> {
        if let Some(message) = self.messages_out.pop_front() {
            self.header(Kind::MESSAGE).write(datagram);
            datagram.extend_from_slice(&message);
        } else if let Some((sequence, sent)) = self.transmitter.poll(now) {
            self.write_packet(sequence, &sent, datagram);
        } else if self.heartbeat_at().is_some_and(|at| at <= now) {
            self.window_heartbeats += u32::from(self.transmitter.is_window_closed());
            self.unanswered_heartbeats += 1;
            self.header(Kind::HEARTBEAT).write(datagram);
        } else if self.delayed_ack.is_due(now) {
            self.write_state(Kind::STATE, datagram);
        } else {
            return None;
        }
        if !self.transmitter.is_window_closed() {
            self.window_heartbeats = 0;
        }
        Some(())
    }

    fn write_packet(&mut self, sequence: Sequence, sent: &Sent, datagram: &mut Vec<u8>) {
        let mut kind = if sent.payload_bytes > 0 { Kind::DATA } else { Kind::STATE };
        if sent.is_end {
            kind = kind | Kind::END;
        }
        let header = Header { data_offset: sent.padding, sequence: sequence.wire(), ..self.header(kind) };
        header.write(datagram);
        datagram.resize(datagram.len() + usize::from(sent.padding), 0);
        self.transmitter.sending.write_payload(sent, datagram);
        // It acknowledges as well as a packet of its own would, unless there are gaps to list.
        if !self.receiving.has_gaps() {
            self.delayed_ack.settle();
        }
        self.advertised = header.window;
    }

    pub(super) fn write_state(&mut self, kind: Kind, datagram: &mut Vec<u8>) {
        let kind = if self.receiving.has_gaps() { kind | Kind::SACK } else { kind };
        let header = self.header(kind);
        header.write(datagram);
        for (start, end) in self.receiving.sack_blocks() {
            datagram.extend_from_slice(&start.to_le_bytes());
            datagram.extend_from_slice(&end.to_le_bytes());
        }
        self.delayed_ack.settle();
        self.advertised = header.window;
    }

    pub(super) fn header(&self, kind: Kind) -> Header {
        let stream = self.remote().map_or(0, |(_, id)| id);
        Header {
            kind,
            data_offset: 0,
            stream,
            window: self.receiving.window(),
            sequence: self.transmitter.sending.next().wire(),
            acknowledged: self.receiving.next().wire(),
        }
    }
}
