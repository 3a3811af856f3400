//! Datagrams on their way in: an [`Inbox`] holds what one call has taken from a socket.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use quinn_udp::{BATCH_SIZE, RecvMeta};

use super::socket::DatagramSocket;

/// What the system joins datagrams up to. What does not fit is lost with all that is in it.
const JOINED_BYTES_MAX: usize = 1 << 16;
/// The longest datagram of the protocol is 1,500 bytes with its headers; what is longer is not of it.
const DATAGRAM_BYTES_MAX: usize = 2048;

/// Room for one call's datagrams. One for all sockets: it is large, and a swarm that punches has hundreds of them.
#[derive(Debug)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    received: [RecvMeta; BATCH_SIZE],
    count: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        // The system gives memory only to what is written to: where little comes, it costs little.
        let bytes = vec![0; BATCH_SIZE * JOINED_BYTES_MAX];
        Self { bytes, received: [RecvMeta::default(); BATCH_SIZE], count: 0 }
    }

    /// Takes what waits in a socket, instead of what it held before.
    ///
    /// # Errors
    /// Where nothing waits, or an earlier datagram has found nobody.
    pub(super) fn refill(&mut self, socket: &DatagramSocket) -> io::Result<()> {
        self.count = 0;
        let mut rooms = self.bytes.chunks_exact_mut(JOINED_BYTES_MAX);
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(rooms.next().unwrap_or_default()));
        self.count = socket.receive(&mut buffers, &mut self.received)?;
        Ok(())
    }

    /// How many buffers the system has filled.
    #[cfg(test)]
    pub(super) fn buffers(&self) -> usize {
        self.count
    }

    /// What was taken, one by one, and from whom.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let joined = self.received[..self.count].iter().zip(self.bytes.chunks_exact(JOINED_BYTES_MAX));
        joined.flat_map(|(received, bytes)| {
            let bytes = &bytes[..received.len.min(bytes.len())];
            split(bytes, received.stride).map(|datagram| (received.addr, datagram))
        })
    }
}

/// The datagrams that were joined: all of the same size, but for a shorter last one.
fn split(bytes: &[u8], datagram_bytes: usize) -> impl Iterator<Item = &[u8]> {
    // An empty datagram is of no size, and of no use.
    bytes.chunks(datagram_bytes.max(1)).filter(|datagram| datagram.len() <= DATAGRAM_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(bytes: usize, datagram_bytes: usize) -> Vec<usize> {
        split(&vec![0; bytes], datagram_bytes).map(<[u8]>::len).collect()
    }

    #[test]
    fn what_was_joined_is_split_and_the_last_may_be_odd() {
        assert_eq!(sizes(3_001, 1_000), [1_000, 1_000, 1_000, 1]);
        assert_eq!(sizes(2_000, 1_000), [1_000, 1_000]);
        assert_eq!(sizes(999, 1_000), [999]);
    }

    #[test]
    fn empty_datagrams_and_those_that_are_too_long_are_none() {
        assert_eq!(sizes(0, 0), [0; 0]);
        assert_eq!(sizes(5, 0).len(), 5, "no size is no reason to panic");
        assert_eq!(sizes(DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MAX), [DATAGRAM_BYTES_MAX]);
        assert_eq!(sizes(DATAGRAM_BYTES_MAX + 1, DATAGRAM_BYTES_MAX + 1), [0; 0]);
    }
}
