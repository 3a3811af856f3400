//! Expiry: [`Generations`] keep the announcements of the last 13 to 27 minutes, as the reference does.
//!
//! New records go into the young generation. From time to time the old one is dropped, and the young one becomes the
//! old one: so no record needs a timer of its own. When the young one is full the same happens early.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::dht_rpc::address::{Address, Target};
use crate::hyperdht::record::PeerRecord;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::time::Instant;

/// A generation is young for two thirds of the 20 minutes that a record should live at least on average.
const GENERATION_TIME: Duration = Duration::from_secs(20 * 60 * 2 / 3);

/// Records and routes of one generation: about 10 MB with all relays.
const GENERATION_RECORDS_MAX: usize = 32_768;

/// Records and routes of one host in both generations. A host with more services can run nodes of its own.
const HOST_RECORDS_MAX: usize = 1_024;

/// Records of one host in one generation and topic: a company's peers may share an address.
const HOST_TOPIC_RECORDS_MAX: usize = 64;

/// Records of one generation and topic. An answer shows 20; a lookup walks over all of them.
const TOPIC_RECORDS_MAX: usize = 1_024;

// One topic, and one host, is a small part of the whole.
const _: () = assert!(HOST_RECORDS_MAX * 16 <= GENERATION_RECORDS_MAX);
const _: () = assert!(HOST_TOPIC_RECORDS_MAX * 16 <= TOPIC_RECORDS_MAX);

/// The announcement of one peer.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// The record as it is returned to others.
    pub(super) peer: PeerRecord,
    /// The sender of the announcement; for a route, the address of the peer.
    pub(super) from: Address,
    /// The hash of the value that renews the record.
    pub(super) refresh: Option<[u8; 32]>,
}

/// The young and the old generation.
#[derive(Debug, Default)]
pub(super) struct Generations {
    young: Generation,
    old: Generation,
    /// When the young one began.
    since: Instant,
}

#[derive(Debug, Default)]
struct Generation {
    topics: BTreeMap<Target, Topic>,
    routes: BTreeMap<Target, Record>,
    /// Number of records and routes of each host, and of all together.
    hosts: BTreeMap<Ipv4Addr, usize>,
    count: usize,
}

#[derive(Debug, Default)]
struct Topic {
    records: BTreeMap<PublicKey, Record>,
    bump: u64,
}

impl Generations {
    /// Drops generations that are too old by now.
    pub(super) fn advance(&mut self, now: Instant) {
        let age = now - self.since;
        if age >= 2 * GENERATION_TIME {
            *self = Self { since: now, ..Self::default() };
        } else if age >= GENERATION_TIME {
            // The time when it is due, not when it is noticed: else records of a quiet node would live longer.
            self.since += GENERATION_TIME;
            self.rotate();
        }
    }

    /// Returns the records of a topic, each peer's once.
    pub(super) fn records(&self, target: &Target) -> impl Iterator<Item = &Record> {
        let (young, old) = (self.young.topics.get(target), self.old.topics.get(target));
        let is_news = move |key: &PublicKey| young.is_none_or(|topic| !topic.records.contains_key(key));
        let older = old.into_iter().flat_map(|topic| &topic.records);
        let older = older.filter(move |(key, _)| is_news(key)).map(|(_, record)| record);
        young.into_iter().flat_map(|topic| topic.records.values()).chain(older)
    }

    /// Returns the route to a peer: none or one, the latest first.
    pub(super) fn routes(&self, target: &Target) -> impl Iterator<Item = &Record> {
        self.young.routes.get(target).into_iter().chain(self.old.routes.get(target))
    }

    pub(super) fn bump(&self, target: &Target) -> u64 {
        let bump = |generation: &Generation| generation.topics.get(target).map_or(0, |topic| topic.bump);
        bump(&self.young).max(bump(&self.old))
    }

    /// Stores a record, in place of one with the same key. Does nothing if the host has used up its share.
    pub(super) fn put_record(&mut self, target: Target, record: Record) {
        let key = record.peer.public_key;
        let bump = self.bump(&target);
        self.remove_record(&target, &key);
        let host = record.from.ip();
        if !self.has_room_for(host) {
            return;
        }
        let topic = self.young.topics.get(&target);
        let records = topic.map_or(0, |topic| topic.records.len());
        let of_host =
            |topic: &Topic| topic.records.values().filter(|record| record.from.ip() == host).count();
        if records >= TOPIC_RECORDS_MAX || topic.map_or(0, of_host) >= HOST_TOPIC_RECORDS_MAX {
            return;
        }
        let topic = self.young.topics.entry(target).or_default();
        topic.records.insert(key, record);
        // The topic may have been dropped with its last record, or be of the old generation.
        topic.bump = topic.bump.max(bump);
        self.young.counted(host);
    }

    /// Stores the route to a peer. Does nothing if the host has used up its share.
    pub(super) fn put_route(&mut self, target: Target, record: Record) {
        self.remove_route(&target);
        let host = record.from.ip();
        if self.has_room_for(host) {
            self.young.routes.insert(target, record);
            self.young.counted(host);
        }
    }

    pub(super) fn remove_record(&mut self, target: &Target, key: &PublicKey) {
        for generation in [&mut self.young, &mut self.old] {
            let Some(topic) = generation.topics.get_mut(target) else { continue };
            let removed = topic.records.remove(key);
            if topic.records.is_empty() {
                generation.topics.remove(target);
            }
            removed.inspect(|record| generation.uncounted(record.from.ip()));
        }
    }

    pub(super) fn remove_route(&mut self, target: &Target) {
        for generation in [&mut self.young, &mut self.old] {
            let removed = generation.routes.remove(target);
            removed.inspect(|record| generation.uncounted(record.from.ip()));
        }
    }

    /// Raises the bump of a topic that has records; other topics have none.
    pub(super) fn raise_bump(&mut self, target: &Target, bump: u64) {
        if let Some(topic) = self.young.topics.get_mut(target) {
            topic.bump = topic.bump.max(bump);
        }
    }

    pub(super) fn record_count(&self) -> usize {
        self.young.count + self.old.count
    }

    /// Returns whether the host may have one more. Makes room if there is none.
    fn has_room_for(&mut self, host: Ipv4Addr) -> bool {
        let of_host = |generation: &Generation| generation.hosts.get(&host).copied().unwrap_or(0);
        if of_host(&self.young) + of_host(&self.old) >= HOST_RECORDS_MAX {
            return false;
        }
        if self.young.count >= GENERATION_RECORDS_MAX {
            self.rotate();
        }
        true
    }

    fn rotate(&mut self) {
        self.old = std::mem::take(&mut self.young);
    }
}

impl Generation {
    fn counted(&mut self, host: Ipv4Addr) {
        self.count += 1;
        *self.hosts.entry(host).or_default() += 1;
    }

    fn uncounted(&mut self, host: Ipv4Addr) {
        self.count -= 1;
        let of_host = self.hosts.get_mut(&host).expect("each record's host is counted");
        *of_host -= 1;
        if *of_host == 0 {
            self.hosts.remove(&host);
        }
    }
}
