//! The NAT behaviour (RFC 4787) in front of one socket, classified by how other nodes see the socket: [`NatSamples`].
//!
//! Source: npm hyperdht (`lib/nat.js`).

use std::collections::{BTreeMap, BTreeSet};

use crate::dht_rpc::address::Address;
use crate::hyperdht::command::Firewall;

/// Number of nodes that are asked. Three must agree; the fourth makes up for one that is dead or lies.
pub(crate) const SAMPLES: usize = 4;

/// The addresses of one socket as other nodes see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct NatSamples {
    hits: BTreeMap<Address, usize>,
    count: usize,
}

impl NatSamples {
    /// Adds the address that one node sees.
    pub(crate) fn add(&mut self, address: Address) {
        *self.hits.entry(address).or_default() += 1;
        self.count += 1;
    }

    /// Returns the kind of firewall. Fewer than three samples say nothing.
    pub(crate) fn firewall(&self) -> Firewall {
        let mut hits: Vec<usize> = self.hits.values().copied().collect();
        hits.sort_unstable_by(|first, second| second.cmp(first));
        let hosts: BTreeSet<_> = self.hits.keys().map(Address::ip).collect();
        match hits.as_slice() {
            _ if self.count < 3 => Firewall::Unknown,
            [most, ..] if *most >= 3 => Firewall::Consistent,
            [1, ..] => Firewall::Random,
            // Two uplinks, each of them consistent.
            [2, 2, ..] if hosts.len() > 1 => Firewall::Consistent,
            [2, ..] if hosts.len() == 1 && self.count > 3 => Firewall::Random,
            _ => Firewall::Unknown,
        }
    }

    /// Returns the addresses of the socket: with port 0 if each sender would need another port.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        let most = self.hits.values().copied().max().unwrap_or(0);
        let top = self.hits.iter().filter(|(_, hits)| **hits == most).map(|(address, _)| *address);
        match self.firewall() {
            Firewall::Consistent | Firewall::Open => top.collect(),
            Firewall::Random => top.take(1).map(|address| address.with_port(0)).collect(),
            Firewall::Unknown => vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(seen: &[(u8, u16)]) -> NatSamples {
        let mut samples = NatSamples::default();
        for (host, port) in seen {
            samples.add(Address::new([20, 0, 0, *host].into(), *port));
        }
        samples
    }

    #[test]
    fn nats_are_classified_by_the_addresses_that_nodes_see() {
        for (seen, firewall) in [
            (&[][..], Firewall::Unknown),
            (&[(1, 1), (1, 1)], Firewall::Unknown),
            (&[(1, 1), (1, 1), (1, 1)], Firewall::Consistent),
            (&[(1, 1), (1, 2), (1, 1), (1, 1)], Firewall::Consistent),
            (&[(1, 1), (1, 2), (1, 3)], Firewall::Random),
            (&[(1, 1), (1, 2), (1, 2)], Firewall::Unknown),
            (&[(1, 1), (1, 2), (1, 2), (1, 3)], Firewall::Random),
            (&[(1, 1), (2, 2), (1, 1), (2, 2)], Firewall::Consistent),
            (&[(1, 1), (2, 2), (1, 1), (2, 3)], Firewall::Unknown),
        ] {
            assert_eq!(samples(seen).firewall(), firewall, "{seen:?}");
        }
    }

    #[test]
    fn an_address_has_a_port_only_if_all_senders_can_use_it() {
        assert_eq!(samples(&[(1, 7), (1, 7), (1, 7)]).addresses(), [Address::new([20, 0, 0, 1].into(), 7)]);
        assert_eq!(samples(&[(1, 1), (1, 2), (1, 3)]).addresses(), [Address::new([20, 0, 0, 1].into(), 0)]);
        assert!(samples(&[(1, 1)]).addresses().is_empty());
    }
}
