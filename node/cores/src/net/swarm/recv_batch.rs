//! Datagrams on their way in: an [`RecvBatch`] holds those received with one system call (on Linux: `recvmmsg` with GRO).

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use quinn_udp::{BATCH_SIZE, RecvMeta};

use super::socket::DatagramSocket;

/// The system joins datagrams up to this size. A datagram that does not fit is lost, and so is everything joined with it.
const JOINED_BYTES_MAX: usize = 1 << 16;
/// The longest datagram of the protocol has 1,500 bytes with its headers; longer ones are not of the protocol.
const DATAGRAM_BYTES_MAX: usize = 2048;

/// Buffers for one call's datagrams. All sockets share one: it is large, and a swarm that punches has hundreds of sockets.
#[derive(Debug)]
pub(super) struct RecvBatch {
    bytes: Vec<u8>,
    received: [RecvMeta; BATCH_SIZE],
    count: usize,
}

impl RecvBatch {
    pub(super) fn new() -> Self {
        // The system commits memory only where it is written to: with few datagrams the buffers cost little.
        let bytes = vec![0; BATCH_SIZE * JOINED_BYTES_MAX];
        Self { bytes, received: [RecvMeta::default(); BATCH_SIZE], count: 0 }
    }

    /// Replaces the content by the datagrams that wait in a socket.
    ///
    /// # Errors
    /// When nothing waits, or an earlier datagram was refused (ICMP).
    pub(super) fn refill(&mut self, socket: &DatagramSocket) -> io::Result<()> {
        self.count = 0;
        let mut rooms = self.bytes.chunks_exact_mut(JOINED_BYTES_MAX);
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(rooms.next().unwrap_or_default()));
        self.count = socket.receive(&mut buffers, &mut self.received)?;
        Ok(())
    }

    /// Returns how many buffers the system has filled.
    #[cfg(test)]
    pub(super) fn buffers(&self) -> usize {
        self.count
    }

    /// Returns the datagrams one by one, with their senders.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let joined = self.received[..self.count].iter().zip(self.bytes.chunks_exact(JOINED_BYTES_MAX));
        joined.flat_map(|(received, bytes)| {
            let bytes = &bytes[..received.len.min(bytes.len())];
            split(bytes, received.stride).map(|datagram| (received.addr, datagram))
        })
    }
}

/// Splits joined datagrams: all have the same size, except a shorter last one.
fn split(bytes: &[u8], datagram_bytes: usize) -> impl Iterator<Item = &[u8]> {
    // An empty datagram has no size, and no use.
    bytes.chunks(datagram_bytes.max(1)).filter(|datagram| datagram.len() <= DATAGRAM_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(bytes: usize, datagram_bytes: usize) -> Vec<usize> {
        split(&vec![0; bytes], datagram_bytes).map(<[u8]>::len).collect()
    }

    #[test]
    fn joined_datagrams_are_split_and_the_last_may_be_shorter() {
        assert_eq!(sizes(3_001, 1_000), [1_000, 1_000, 1_000, 1]);
        assert_eq!(sizes(2_000, 1_000), [1_000, 1_000]);
        assert_eq!(sizes(999, 1_000), [999]);
    }

    #[test]
    fn empty_and_too_long_datagrams_are_dropped() {
        assert_eq!(sizes(0, 0), [0; 0]);
        assert_eq!(sizes(5, 0).len(), 5, "no size is no reason to panic");
        assert_eq!(sizes(DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MAX), [DATAGRAM_BYTES_MAX]);
        assert_eq!(sizes(DATAGRAM_BYTES_MAX + 1, DATAGRAM_BYTES_MAX + 1), [0; 0]);
    }
}
