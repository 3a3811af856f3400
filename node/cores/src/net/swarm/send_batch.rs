//! Datagrams on their way out: an [`SendBatch`] is filled from the machine and emptied batch by batch.
//!
//! A [`GsoBatch`] is as much as one system call can send (Linux UDP GSO): consecutive datagrams from the same socket to the
//! same address, of the same size except a shorter last one. Most of a transfer is such batches;
//! other batches have one datagram.

use libvms_hyperswarm::dht_rpc::Socket;
use libvms_hyperswarm::swarm::node::Transmit;

/// The longest batch. IP allows no more for a segmented send, headers included.
const BATCH_BYTES_MAX: usize = 65_000;

/// Datagrams in the order in which they are to leave, in one buffer that is reused.
#[derive(Debug, Default)]
pub(super) struct SendBatch {
    bytes: Vec<u8>,
    queued: Vec<Queued>,
}

#[derive(Debug)]
struct Queued {
    transmit: Transmit,
    /// Where the datagram's bytes begin and end.
    start: usize,
    end: usize,
}

impl Queued {
    fn len(&self) -> usize {
        self.end - self.start
    }
}

/// Datagrams that go out together.
#[derive(Debug)]
pub(super) struct GsoBatch<'a> {
    pub(super) transmit: &'a Transmit,
    pub(super) bytes: &'a [u8],
    /// The size of each datagram; the last one may be shorter.
    pub(super) datagram_bytes: usize,
    /// The number of datagrams.
    pub(super) count: usize,
}

impl<'a> GsoBatch<'a> {
    /// Returns the datagrams one by one.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = &'a [u8]> {
        self.bytes.chunks(self.datagram_bytes.max(1))
    }
}

impl SendBatch {
    /// Replaces the content by at most `count_max` datagrams from `poll`, which appends each behind the last.
    pub(super) fn refill(
        &mut self,
        count_max: usize,
        mut poll: impl FnMut(&mut Vec<u8>) -> Option<Transmit>,
    ) {
        self.bytes.clear();
        self.queued.clear();
        while self.queued.len() < count_max {
            let start = self.bytes.len();
            let Some(transmit) = poll(&mut self.bytes) else { break };
            self.queued.push(Queued { transmit, start, end: self.bytes.len() });
        }
    }

    /// Returns the number of datagrams.
    pub(super) fn len(&self) -> usize {
        self.queued.len()
    }

    /// Returns the socket from which a datagram leaves.
    pub(super) fn socket(&self, place: usize) -> Option<Socket> {
        Some(self.queued.get(place)?.transmit.socket)
    }

    /// Returns the datagrams from `place` on that can go out together, at most `count_max`.
    pub(super) fn batch(&self, place: usize, count_max: usize) -> Option<GsoBatch<'_>> {
        let (first, others) = self.queued.get(place..)?.split_first()?;
        let mut last = first;
        let mut count = 1;
        for next in others.iter().take(count_max.saturating_sub(1)) {
            let fits = next.len() <= first.len() && next.end - first.start <= BATCH_BYTES_MAX;
            // Only the last one may be shorter, and an empty one would be lost among the others.
            if next.transmit != first.transmit || last.len() != first.len() || !fits || next.len() == 0 {
                break;
            }
            (last, count) = (next, count + 1);
        }
        let bytes = &self.bytes[first.start..last.end];
        Some(GsoBatch { transmit: &first.transmit, bytes, datagram_bytes: first.len(), count })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn to(port: u16) -> Transmit {
        Transmit { socket: Socket::Client, to: SocketAddr::from(([127, 0, 0, 1], port)), ttl: None }
    }

    /// Returns the number of datagrams in each batch.
    fn runs(datagrams: &[(Transmit, usize)], count_max: usize) -> Vec<usize> {
        let mut outgoing = SendBatch::default();
        let mut left = datagrams.iter();
        outgoing.refill(datagrams.len(), |into| {
            let (transmit, bytes) = left.next()?;
            into.resize(into.len() + bytes, 7);
            Some(*transmit)
        });
        let mut counts = vec![];
        let mut place = 0;
        while let Some(batch) = outgoing.batch(place, count_max) {
            assert_eq!(batch.datagrams().count(), batch.count.min(batch.bytes.len()));
            counts.push(batch.count);
            place += batch.count;
        }
        counts
    }

    #[test]
    fn equal_datagrams_and_a_shorter_last_one_go_together() {
        let sizes = [100, 100, 100, 50, 50, 60, 60, 10, 10];
        assert_eq!(runs(&sizes.map(|bytes| (to(1), bytes)), 64), [4, 1, 3, 1]);
    }

    #[test]
    fn a_batch_has_one_receiver_one_socket_and_one_ttl() {
        let low = Transmit { ttl: Some(5), ..to(1) };
        let server = Transmit { socket: Socket::Server, ..to(1) };
        let all = [to(1), to(1), to(2), to(1), low, low, server, to(1)];
        assert_eq!(runs(&all.map(|transmit| (transmit, 10)), 64), [2, 1, 1, 2, 1, 1]);
    }

    #[test]
    fn a_batch_is_no_longer_than_the_system_takes() {
        assert_eq!(runs(&[(to(1), 1472); 100], 64), [44, 44, 12]);
        assert_eq!(runs(&[(to(1), 10); 100], 64), [64, 36]);
        assert_eq!(runs(&[(to(1), 10); 3], 1), [1, 1, 1]);
    }

    #[test]
    fn empty_datagrams_go_alone_and_an_empty_outbox_has_no_batch() {
        assert_eq!(runs(&[0, 0, 9, 0].map(|bytes| (to(1), bytes)), 64), [1, 1, 1, 1]);
        assert_eq!(runs(&[], 64), [0; 0]);
    }
}
