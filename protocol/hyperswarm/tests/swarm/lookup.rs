//! The cost and the results of a topic lookup, seen from the wire: [`Lookup`].

use std::collections::{BTreeMap, BTreeSet};

use libvms_hypercore::identity::PublicKey;
use libvms_hyperswarm::dht_rpc::{Address, Command, Message, Target};
use libvms_hyperswarm::hyperdht::record::LookupReply;

/// One lookup of one host.
pub(crate) struct Lookup {
    topic: Target,
    /// Requests that it has sent, repetitions too.
    pub(crate) requests: usize,
    /// The peers that the answers name.
    pub(crate) found: BTreeSet<PublicKey>,
    /// Number of requests in a row that led to the first node that names a peer.
    pub(crate) hops: Option<usize>,
    /// The same for each node that was named.
    distances: BTreeMap<Address, usize>,
}

impl Lookup {
    pub(crate) fn new(topic: Target) -> Self {
        Self { topic, requests: 0, found: BTreeSet::new(), hops: None, distances: BTreeMap::new() }
    }

    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        if let Ok(Message::Request(request)) = Message::decode(bytes) {
            let is_ours = request.command == Command::LOOKUP && request.target == Some(self.topic);
            self.requests += usize::from(is_ours);
        }
    }

    pub(crate) fn received(&mut self, from: Address, bytes: &[u8]) {
        let Ok(Message::Response(response)) = Message::decode(bytes) else { return };
        let distance = self.distances.get(&from).copied().unwrap_or(0) + 1;
        for node in &response.closer {
            let known = self.distances.entry(*node).or_insert(distance);
            *known = distance.min(*known);
        }
        let Some(reply) = response.value.as_ref().and_then(|value| LookupReply::decode(value).ok()) else {
            return;
        };
        if !reply.peers.is_empty() {
            self.hops.get_or_insert(distance);
        }
        self.found.extend(reply.peers.iter().map(|peer| peer.public_key));
    }
}
