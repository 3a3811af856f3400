//! Path MTU discovery by probes (RFC 8899): starts with a size that every path carries and tries larger ones.
//!
//! A probe is a full packet with padding. Its loss therefore says something about the size alone and costs nothing but
//! a retransmission without the padding. The sockets below must set "don't fragment", as those of `libvms` do, or
//! probes only measure that fragments arrive; a probe that the interface itself refuses must be lost like any other. A
//! size that was once confirmed is kept: packets cannot be cut again once numbered, so a path that shrinks later ends
//! the stream by timeout, as it does in the reference.

use std::net::SocketAddr;

use super::packet::HEADER_BYTES;

/// Bytes of the IP packets that are sent at first. The reference begins so.
const START_BYTES: usize = 1200;
/// The MTU of Ethernet. The reference cuts datagrams over 2,048 bytes.
const CEILING_BYTES: usize = 1500;
/// The first step; the padding's length has eight bits.
const STEP_BYTES: usize = 224;
const STEP_BYTES_MIN: usize = 32;
const FAILURES_MAX: u8 = 3;

const _: () = assert!(STEP_BYTES <= u8::MAX as usize);

/// The search for the size of one path.
#[derive(Clone, Debug)]
pub(super) struct Mtu {
    confirmed: usize,
    step: usize,
    probed: Option<usize>,
    failures: u8,
    below_udx: usize,
}

impl Mtu {
    pub(super) fn new(remote: SocketAddr) -> Self {
        let ip_and_udp = if remote.is_ipv4() { 20 + 8 } else { 40 + 8 };
        Self { confirmed: START_BYTES, step: STEP_BYTES, probed: None, failures: 0, below_udx: ip_and_udp }
    }

    /// Returns the number of payload bytes in a full packet.
    pub(super) fn payload_bytes(&self) -> usize {
        self.confirmed - self.below_udx - HEADER_BYTES
    }

    /// Returns the padding of the next full packet, in bytes, if a larger size is to be tried and no probe is in
    /// flight.
    pub(super) fn probe_padding(&self) -> Option<u8> {
        let size = CEILING_BYTES.min(self.confirmed + self.step);
        let is_wanted = self.probed.is_none() && self.failures < FAILURES_MAX && size > self.confirmed;
        is_wanted.then_some((size - self.confirmed) as u8)
    }

    pub(super) fn probe_sent(&mut self, padding: u8) {
        self.probed = Some(self.confirmed + usize::from(padding));
    }

    pub(super) fn probe_arrived(&mut self) {
        self.confirmed = self.probed.take().unwrap_or(self.confirmed);
    }

    pub(super) fn probe_lost(&mut self) {
        if let Some(size) = self.probed.take() {
            self.failures += 1;
            self.step = STEP_BYTES_MIN.max((size - self.confirmed) / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    /// Returns the size that is confirmed in the end on a path that carries `limit` bytes.
    fn search(limit: usize) -> usize {
        let mut mtu = Mtu::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        while let Some(padding) = mtu.probe_padding() {
            mtu.probe_sent(padding);
            assert_eq!(mtu.probe_padding(), None, "one at a time");
            let size = mtu.confirmed + usize::from(padding);
            if size <= limit { mtu.probe_arrived() } else { mtu.probe_lost() }
        }
        mtu.confirmed
    }

    #[test]
    fn the_search_ends_at_the_mtu_of_the_path() {
        assert_eq!(search(1500), 1500);
        assert_eq!(search(9000), 1500);
        assert!((1440..=1492).contains(&search(1492)));
        assert_eq!(search(1200), 1200);
    }

    #[test]
    fn the_first_packets_are_as_large_as_those_of_the_reference() {
        assert_eq!(Mtu::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 1))).payload_bytes(), 1152);
        assert_eq!(Mtu::new(SocketAddr::from((Ipv6Addr::LOCALHOST, 1))).payload_bytes(), 1132);
    }
}
