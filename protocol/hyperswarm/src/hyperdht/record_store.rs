//! The store of a persistent node: records of topics, routes to peers that announced themselves, and values.
//!
//! Start from [`Storage::answer`], which serves all commands of hyperdht from FIND_PEER to IMMUTABLE_GET. A record is
//! stored only if its owner has signed it for this very node, and everything is forgotten unless it is stored again.
//! LibVMS does not use values, but a network of our nodes alone must serve everything that a stock node does.
//!
//! A host that floods a topic with made-up keys fills only its own share: each host that announced a topic gets one
//! record into an answer before any gets a second one.

mod generation;
mod item;

use crate::dht_rpc::address::{Address, NodeId, Target};
use crate::dht_rpc::incoming::{Incoming, Reply};
use crate::dht_rpc::message::{Command, ErrorCode, Token};
use crate::hyperdht::announce::{Announcement, Destination, Purpose};
use crate::hyperdht::mutable::{MutablePut, VALUE_BYTES_MAX};
use crate::hyperdht::record::{LOOKUP_RECORDS_MAX, LookupReply, PeerRecord, RELAYS_MAX, peer_target};
use generation::{Generations, Record};
use item::{Content, Items};
use libvms_hypercore::encoding::Reader;
use libvms_hypercore::hash::blake2b;
use libvms_hypercore::random::Random;
use libvms_hypercore::time::Instant;

/// How far a bump may lie in the future: clocks differ, but not by more than a minute among honest peers.
const BUMP_AHEAD_MAX_MS: u64 = 60_000;

/// The parts of a request that matter to the store.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The sender.
    pub from: Address,
    /// The command.
    pub command: Command,
    /// The target of the command.
    pub target: Option<&'a Target>,
    /// The token in the request, if this node issued it to that host.
    pub token: Option<&'a Token>,
    /// The further input of the command.
    pub value: Option<&'a [u8]>,
}

impl<'a> From<&'a Incoming> for Asked<'a> {
    fn from(incoming: &'a Incoming) -> Self {
        Self {
            from: incoming.handle.from(),
            command: incoming.command,
            target: incoming.target.as_ref(),
            token: incoming.token.as_ref(),
            value: incoming.value.as_deref(),
        }
    }
}

/// The time of a request, on two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The time of the machine.
    pub steady: Instant,
    /// Milliseconds since 1970, as the machine believes. Only bumps are compared with it.
    pub unix_ms: u64,
}

/// The records, routes and values of one node.
#[derive(Debug)]
pub struct Storage {
    generations: Generations,
    items: Items,
    random: Random,
}

impl Storage {
    /// Creates an empty store. `seed` must be 32 fresh random bytes: they determine which records an answer shows.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { generations: Generations::default(), items: Items::default(), random: Random::new(seed) }
    }

    /// Returns the answer to a request; `None` if no answer is to be sent.
    ///
    /// `own` is the id of this node, if it is persistent: other nodes store nothing and know nothing, and say so.
    pub fn answer(&mut self, now: Now, own: Option<&NodeId>, asked: &Asked<'_>) -> Option<Reply> {
        let Some(own) = own else { return Some(Reply::unknown_command()) };
        self.generations.advance(now.steady);
        self.items.advance(now.steady);
        match asked.command {
            Command::FIND_PEER => Some(Reply::found(self.route_record(asked.target?))),
            Command::LOOKUP => Some(Reply::found(self.lookup(asked.target?))),
            Command::ANNOUNCE => self.announce(now, own, asked),
            Command::UNANNOUNCE => self.unannounce(own, asked),
            Command::MUTABLE_PUT => self.put_mutable(asked),
            Command::MUTABLE_GET => self.get_mutable(asked).map(Reply::found),
            Command::IMMUTABLE_PUT => self.put_immutable(asked),
            Command::IMMUTABLE_GET => {
                Some(Reply::found(self.items.immutable(asked.target?).map(<[u8]>::to_vec)))
            }
            Command::PLUGIN => None,
            _ => Some(Reply::unknown_command()),
        }
    }

    /// Returns the address of the peer whose key hashes to `target`, if it announced itself here.
    pub fn route(&mut self, now: Instant, target: &Target) -> Option<Address> {
        self.generations.advance(now);
        self.generations.routes(target).next().map(|route| route.from)
    }

    /// Returns the number of records and routes.
    pub fn record_count(&self) -> usize {
        self.generations.record_count()
    }

    /// Returns the number of values, mutable and immutable ones.
    pub fn value_count(&self) -> usize {
        self.items.count()
    }

    fn route_record(&self, target: &Target) -> Option<Vec<u8>> {
        self.generations.routes(target).next().map(|route| route.peer.to_bytes())
    }

    fn lookup(&mut self, target: &Target) -> Option<Vec<u8>> {
        let records: Vec<&Record> = self.generations.records(target).collect();
        let mut peers = fair_choice(&records, &mut self.random);
        if peers.len() < LOOKUP_RECORDS_MAX {
            peers.extend(self.generations.routes(target).next().map(|route| route.peer.clone()));
        }
        let bump = self.generations.bump(target);
        (!peers.is_empty()).then(|| LookupReply { peers, bump }.encode())
    }

    fn announce(&mut self, now: Now, own: &NodeId, asked: &Asked<'_>) -> Option<Reply> {
        let (target, token) = (asked.target?, asked.token?);
        let announcement = Announcement::decode(asked.value?).ok()?;
        if announcement.peer.is_none() {
            return self.renew(target, announcement.refresh?, asked.from);
        }
        let destination = Destination { target, node: own, token };
        let mut peer = announcement.verified(Purpose::Announce, destination)?.clone();
        peer.relays.truncate(RELAYS_MAX);
        let key = peer.public_key;
        let record = Record { peer, from: asked.from, refresh: announcement.refresh };
        if peer_target(&key) == *target {
            self.generations.remove_record(target, &key);
            self.generations.put_route(*target, record);
        } else {
            self.generations.put_record(*target, record);
        }
        if announcement.bump <= now.unix_ms.saturating_add(BUMP_AHEAD_MAX_MS) {
            self.generations.raise_bump(target, announcement.bump);
        }
        Some(Reply::acknowledged())
    }

    /// Renews a record from the current address of a sender that shows the preimage of its refresh.
    fn renew(&mut self, target: &Target, shown: [u8; 32], from: Address) -> Option<Reply> {
        let promised = Some(blake2b(&[&shown]));
        let is_meant = |record: &&Record| record.refresh == promised;
        let route = self.generations.routes(target).next().filter(is_meant).cloned();
        let record = self.generations.records(target).find(is_meant).cloned();
        let renewed = |record: Record| Record { from, refresh: Some(shown), ..record };
        match (route, record) {
            (Some(route), _) => self.generations.put_route(*target, renewed(route)),
            (None, Some(record)) => self.generations.put_record(*target, renewed(record)),
            (None, None) => return None,
        }
        Some(Reply::acknowledged())
    }

    fn unannounce(&mut self, own: &NodeId, asked: &Asked<'_>) -> Option<Reply> {
        let (target, token) = (asked.target?, asked.token?);
        let announcement = Announcement::decode(asked.value?).ok()?;
        let destination = Destination { target, node: own, token };
        let key = announcement.verified(Purpose::Unannounce, destination)?.public_key;
        self.generations.remove_record(target, &key);
        if peer_target(&key) == *target {
            self.generations.remove_route(target);
        }
        Some(Reply::acknowledged())
    }
}

impl Storage {
    /// Stores an immutable value. Only stored values are acknowledged: else there is no answer. An answer is as long as
    /// any, like the reference's.
    fn put_immutable(&mut self, asked: &Asked<'_>) -> Option<Reply> {
        let (target, value, _) = (asked.target?, asked.value?, asked.token?);
        let is_meant = value.len() <= VALUE_BYTES_MAX && blake2b(&[value]) == target.0;
        let is_stored =
            is_meant && self.items.put(*target, asked.from.ip(), Content::Immutable(value.to_vec()));
        is_stored.then(|| Reply::found(None))
    }

    fn put_mutable(&mut self, asked: &Asked<'_>) -> Option<Reply> {
        let (target, value, _) = (asked.target?, asked.value?, asked.token?);
        let MutablePut { public_key, item } = MutablePut::decode(value).ok()?;
        if peer_target(&public_key) != *target || !item.is_signed_by(&public_key) {
            return None;
        }
        if let Some(known) = self.items.mutable(target) {
            if known.sequence == item.sequence && known.value != item.value {
                return Some(Reply::failed(ErrorCode::SEQUENCE_REUSED));
            }
            if item.sequence < known.sequence {
                return Some(Reply::failed(ErrorCode::SEQUENCE_TOO_LOW));
            }
        }
        self.items.put(*target, asked.from.ip(), Content::Mutable(item)).then(|| Reply::found(None))
    }

    /// Returns the value, if it is not older than requested. The outer `None` means an invalid request, which gets no
    /// answer.
    fn get_mutable(&self, asked: &Asked<'_>) -> Option<Option<Vec<u8>>> {
        let sequence = Reader::new(asked.value?).uint().ok()?;
        let item = self.items.mutable(asked.target?);
        Some(item.filter(|item| item.sequence >= sequence).map(|item| item.encode()))
    }
}

/// Chooses at most [`LOOKUP_RECORDS_MAX`] records at random, but each host's first before any host's second.
fn fair_choice(records: &[&Record], random: &mut Random) -> Vec<PeerRecord> {
    let mut order: Vec<&Record> = records.to_vec();
    shuffle(&mut order, random);
    let mut seen = std::collections::BTreeMap::new();
    let mut ranked: Vec<(usize, &Record)> = order
        .into_iter()
        .map(|record| {
            let rank = seen.entry(record.from.ip()).or_insert(0);
            *rank += 1;
            (*rank, record)
        })
        .collect();
    // Stable: records of the same rank stay in random order.
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().take(LOOKUP_RECORDS_MAX).map(|(_, record)| record.peer.clone()).collect()
}

/// Shuffles by Fisher and Yates. With 64-bit draws the bias among a few thousand places is too small to measure.
fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for last in (1..items.len()).rev() {
        let bytes = random.bytes();
        let draw = u64::from_le_bytes(*bytes.first_chunk().expect("32 bytes"));
        items.swap(last, (draw % (last as u64 + 1)) as usize);
    }
}
