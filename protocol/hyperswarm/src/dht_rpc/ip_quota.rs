//! Quotas per host and per /24 against Sybil attacks: [`IpQuota`].
//!
//! The id of a node follows from its address, port included. So one machine has 64,512 ids, some of them closer to any
//! given key than every honest node of a large network: with enough of them in a table or at the end of a query, no
//! other node is asked any more. The reference has no defence against that. Here a host, and a network of 256 addresses
//! (a /24, the smallest that hosters rent out), have a bounded share of the places wherever nodes are collected:
//!
//! ```text
//!                       of one host   of one /24
//! row of the table, 20            2           10
//! whole table                    10           50
//! end of a query, 20              2           10
//! candidates of a query           4           64
//! ```
//!
//! Addresses outside public networks ([`Address::is_bogon`]) are not counted: on a public node they cannot answer, and
//! in a test network, or one of containers, all nodes are on one machine.

use std::net::Ipv4Addr;

use crate::dht_rpc::address::Address;

/// The places that may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IpQuota {
    /// Places of one host.
    pub(crate) host: usize,
    /// Places of all hosts in one /24, whose addresses have the first three bytes in common.
    pub(crate) network: usize,
}

/// The quota in a row of the table, and among the closest nodes of a query.
pub(crate) const OF_TWENTY: IpQuota = IpQuota { host: 2, network: 10 };
const _: () = assert!(2 * OF_TWENTY.network <= crate::dht_rpc::CLOSEST_MAX);
/// The quota in the whole table.
pub(crate) const OF_TABLE: IpQuota = IpQuota { host: 10, network: 50 };
/// The quota among the nodes that a query knows.
pub(crate) const OF_CANDIDATES: IpQuota = IpQuota { host: 4, network: 64 };

impl IpQuota {
    /// Returns whether the quota has room for `newcomer` beside the present nodes.
    pub(crate) fn has_room<'a>(
        self,
        newcomer: &Address,
        others: impl Iterator<Item = &'a Address> + Clone,
    ) -> bool {
        if newcomer.is_bogon() {
            return true;
        }
        let neighbours = others.filter(|other| network(other.ip()) == network(newcomer.ip()));
        let on_host = neighbours.clone().filter(|other| other.ip() == newcomer.ip()).count();
        on_host < self.host && neighbours.count() < self.network
    }

    /// Returns the entry to evict when `newcomer`, one of the entries, exceeds the quota of its host or /24: the last
    /// one there.
    pub(crate) fn surplus<'a>(
        self,
        newcomer: &Address,
        all: impl Iterator<Item = &'a Address> + Clone,
    ) -> Option<Address> {
        if newcomer.is_bogon() {
            return None;
        }
        let of_host = all.clone().filter(|other| other.ip() == newcomer.ip());
        let of_network = all.filter(|other| network(other.ip()) == network(newcomer.ip()));
        let last_beyond =
            |all: Vec<&Address>, most| all.last().filter(|_| all.len() > most).map(|last| **last);
        last_beyond(of_host.collect(), self.host).or_else(|| last_beyond(of_network.collect(), self.network))
    }
}

/// Returns the /24 of an address.
pub(crate) fn network(ip: Ipv4Addr) -> [u8; 3] {
    let [first, second, third, _] = ip.octets();
    [first, second, third]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: IpQuota = IpQuota { host: 2, network: 3 };

    fn at(last: u8, port: u16) -> Address {
        Address::new([20, 0, 0, last].into(), port)
    }

    #[test]
    fn a_host_and_its_network_get_exactly_their_quota() {
        let mut all = vec![at(1, 1)];
        assert!(SHARE.has_room(&at(1, 2), all.iter()));
        all.push(at(1, 2));
        assert!(!SHARE.has_room(&at(1, 3), all.iter()));
        assert!(SHARE.has_room(&at(2, 1), all.iter()));
        all.push(at(2, 1));
        assert!(!SHARE.has_room(&at(3, 1), all.iter()));
        assert!(SHARE.has_room(&Address::new([20, 0, 1, 1].into(), 1), all.iter()));
    }

    #[test]
    fn the_last_entry_over_a_quota_is_evicted() {
        assert_eq!(SHARE.surplus(&at(1, 2), [at(1, 1), at(1, 2)].iter()), None);
        assert_eq!(SHARE.surplus(&at(1, 2), [at(1, 1), at(1, 2), at(2, 1), at(1, 3)].iter()), Some(at(1, 3)));
        let spread = [at(4, 1), at(1, 1), at(2, 1), at(3, 1)];
        assert_eq!(SHARE.surplus(&at(4, 1), spread.iter()), Some(at(3, 1)));
    }

    #[test]
    fn machines_of_a_test_network_are_not_counted() {
        let local = |port| Address::new([127, 0, 0, 1].into(), port);
        let all: Vec<Address> = (1..=100).map(local).collect();
        assert!(SHARE.has_room(&local(101), all.iter()));
        assert_eq!(SHARE.surplus(&local(100), all.iter()), None);
    }
}
