//! Uploads: announcing our blocks to a peer, and answering its requests.

use std::time::Duration;

use super::peer::{Peer, PeerFault, PeerId, REGION_BLOCKS, REGIONS_MAX};
use super::prove::{Refusal, answer};
use super::store::Store;
use super::{Replicator, span};
use crate::blocks::{BlockIndex, Length, each};
use crate::ranges::Ranges;
use crate::time::Instant;
use crate::tree::index;
use crate::wire::message::{Bitfield, Message, NoData, Range, Reason, Region, Request, Sync};

/// Waiting requests of one peer at which it counts as congested. JavaScript peers send at most 512 at once.
const REQUESTS_WAITING: usize = 512;

/// Requests of one peer that may wait, about 0.4 MB of them. A peer that reads its answers stays far below.
const REQUESTS_MAX: usize = 2048;

/// Bytes handed out for one peer before the first of them are written.
const UNSENT_BYTES: usize = 1024 * 1024;

/// Refusals after which a peer must reconnect: a JavaScript peer asks no more after 32, and keeps the channel.
const REFUSED_MAX: u32 = 24;

/// Bytes of a message without its variable parts, rounded up.
const MESSAGE_BYTES: usize = 64;

/// Most bytes of a node in a message.
const NODE_BYTES: usize = 50;

/// How often progress is announced to peers while blocks are still missing.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(1);

/// Intervals of new blocks kept until they are announced.
pub(super) const UNANNOUNCED_RUNS_MAX: usize = 1024;

/// Blocks at the end of the log whose arrival is announced to every peer, as JavaScript peers do.
pub(super) const TAIL_BLOCKS: u64 = 256;

pub(super) fn is_congested(peer: &Peer) -> bool {
    peer.requests.len() >= REQUESTS_WAITING || peer.unsent_bytes >= UNSENT_BYTES
}

impl Replicator {
    /// Sends the first messages to a peer: our sync, and the blocks that we have without a gap.
    pub(super) fn send_initial_sync(&mut self, id: PeerId) {
        let sync = Sync { length: self.length, can_upgrade: true, ..state() };
        self.with_peer(id, |peer| peer.told = Some(sync));
        self.send(id, Message::Sync(sync));
        self.announce_contiguous(id);
    }

    /// Sends a peer our sync, with its own length acknowledged, if that is new to it.
    pub(super) fn send_sync(&mut self, id: PeerId, store: &impl Store) {
        // A slow reader is sent what it missed once it has caught up.
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.unsent_bytes < UNSENT_BYTES) else {
            return;
        };
        let theirs = peer.same_fork().map(|sync| sync.length);
        let remote_length = theirs.unwrap_or_default();
        let is_other_fork = peer.sync.is_some() && theirs.is_none();
        let can_upgrade = !is_other_fork && can_upgrade(store, remote_length, self.length);
        let sync = Sync { length: self.length, remote_length, can_upgrade, ..state() };
        if peer.told != Some(sync) {
            peer.told = Some(sync);
            peer.unsent_bytes += MESSAGE_BYTES;
            self.send(id, Message::Sync(sync));
        }
    }

    /// Announces new blocks to all peers: at once if nothing is missing, else from time to time.
    pub(super) fn announce(&mut self, now: Instant, store: &impl Store, is_longer: bool) {
        let is_due = self.announce_deadline().is_some_and(|deadline| deadline <= now);
        let is_complete = self.contiguous == self.length;
        let ids: Vec<PeerId> = self.peers.keys().copied().collect();
        for &id in &ids {
            if is_due || is_complete {
                self.announce_contiguous(id);
                self.announce_scattered(id, store);
            }
            let is_ready =
                (is_due || is_complete) && self.peers.get(&id).is_some_and(|peer| self.is_held_back(peer));
            if is_longer || is_ready {
                self.send_sync(id, store);
            }
        }
        if ids.is_empty() {
            // Peers that connect later are sent the state at that time.
            self.unannounced.clear();
        } else if is_due || is_complete {
            self.unannounced.clear();
            self.announce_from = now + ANNOUNCE_INTERVAL;
        }
    }

    /// Returns whether a peer with a shorter log waits for our word that we can prove ours to it. While blocks are
    /// missing here, the nodes that it needs may be missing, too.
    fn is_held_back(&self, peer: &Peer) -> bool {
        let is_shorter = peer.same_fork().is_some_and(|sync| sync.length < self.length);
        is_shorter && peer.told.is_some_and(|told| !told.can_upgrade)
    }

    /// Returns when to announce progress to peers.
    pub(super) fn announce_deadline(&self) -> Option<Instant> {
        let is_waiting = !self.unannounced.is_empty() && !self.peers.is_empty();
        is_waiting.then_some(self.announce_from)
    }

    /// Sends a peer that reads again what it missed meanwhile.
    pub(super) fn catch_up(&mut self, id: PeerId, store: &impl Store) {
        let Some(peer) = self.peers.get(&id) else { return };
        let is_unacknowledged = |theirs: Length| {
            theirs < self.length && peer.told.is_some_and(|told| told.remote_length != theirs)
        };
        let is_outdated = peer.told.is_some_and(|told| told.length != self.length);
        if is_outdated || peer.same_fork().is_some_and(|sync| is_unacknowledged(sync.length)) {
            self.send_sync(id, store);
        }
        self.announce_contiguous(id);
    }

    fn announce_contiguous(&mut self, id: PeerId) {
        let contiguous = self.contiguous;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.announced >= contiguous || peer.unsent_bytes >= UNSENT_BYTES {
            return;
        }
        peer.announced = contiguous;
        peer.unsent_bytes += MESSAGE_BYTES;
        self.send(id, have(contiguous.blocks()));
    }

    /// Announces new blocks behind a gap, as far as the peer asked to hear of them and does not have them.
    fn announce_scattered(&mut self, id: PeerId, store: &impl Store) {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.unsent_bytes < UNSENT_BYTES) else {
            return;
        };
        let tail = self.length.saturating_sub(TAIL_BLOCKS).next_block();
        let new = self.unannounced.within(self.length.blocks_since(self.contiguous));
        let is_of_interest = |block: BlockIndex| {
            let is_asked_for = block >= tail || peer.informed.contains(&block.group(REGION_BLOCKS));
            is_asked_for && !peer.has.contains(block) && store.has(block)
        };
        let mut runs = Ranges::new(UNANNOUNCED_RUNS_MAX);
        for block in new.into_iter().flat_map(each).filter(|&block| is_of_interest(block)) {
            runs.insert(block.alone());
        }
        peer.unsent_bytes += MESSAGE_BYTES * runs.runs();
        for run in runs.iter() {
            self.send(id, have(run));
        }
    }

    pub(super) fn receive_request(
        &mut self,
        now: Instant,
        id: PeerId,
        request: Request,
        store: &impl Store,
    ) -> Result<(), PeerFault> {
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(()) };
        if peer.requests.len() >= REQUESTS_MAX {
            return Err(PeerFault::TooManyRequests { max: REQUESTS_MAX });
        }
        peer.requests.push(request);
        self.serve(now, id, store)
    }

    pub(super) fn serve_or_fault(&mut self, now: Instant, id: PeerId, store: &impl Store) {
        if let Err(why) = self.serve(now, id, store) {
            self.fault(id, why);
        }
    }

    /// Answers waiting requests, as long as the connection has room.
    fn serve(&mut self, now: Instant, id: PeerId, store: &impl Store) -> Result<(), PeerFault> {
        while let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.unsent_bytes < UNSENT_BYTES) {
            if peer.wants_from <= now
                && let Some(region) = peer.wants.pop_first()
            {
                self.answer_want(now, id, region, store);
                continue;
            }
            let Some(request) = peer.requests.pop() else { break };
            let message = match answer(store, &request) {
                Ok(data) => Message::Data(data),
                Err(refusal) => {
                    peer.refused += 1;
                    let count = peer.refused;
                    if count > REFUSED_MAX {
                        return Err(PeerFault::TooManyRefused { count });
                    }
                    refuse(&request, refusal)
                }
            };
            peer.unsent_bytes += cost(&message);
            self.send(id, message);
        }
        Ok(())
    }

    pub(super) fn receive_want(&mut self, now: Instant, id: PeerId, region: Region, store: &impl Store) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(blocks) = span(region.start, region.length) else { return };
        // Longer regions are invalid: they get no answer, as with JavaScript peers.
        if region.length > REGION_BLOCKS || peer.wants.len() >= REGIONS_MAX {
            return;
        }
        if peer.informed.len() < REGIONS_MAX {
            peer.informed.insert(blocks.start.group(REGION_BLOCKS));
        }
        peer.wants.insert((blocks.start, blocks.end, region.any));
        self.serve_or_fault(now, id, store);
    }

    pub(super) fn receive_unwant(&mut self, id: PeerId, region: Region) {
        let Some(blocks) = span(region.start, region.length) else { return };
        self.with_peer(id, |peer| {
            peer.informed.remove(&blocks.start.group(REGION_BLOCKS));
        });
    }

    /// Answers a want with our blocks of a region: the blocks without a gap if they cover it, else bit by bit.
    fn answer_want(
        &mut self,
        now: Instant,
        id: PeerId,
        (start, end, any): (BlockIndex, BlockIndex, bool),
        store: &impl Store,
    ) {
        let end = end.min(self.length.next_block());
        let contiguous = self.contiguous.next_block();
        if start < end && end > contiguous {
            self.with_peer(id, |peer| peer.region_searched(now));
        }
        let message = if start >= end {
            None
        } else if end <= contiguous {
            Some(have(self.contiguous.blocks()))
        } else if any {
            let found = each(start..end).find(|&block| store.has(block));
            found.map(|block| have(block.alone()))
        } else {
            bitfield(store, start, end)
        };
        let Some(message) = message else { return };
        self.with_peer(id, |peer| peer.unsent_bytes += cost(&message));
        self.send(id, message);
    }
}

fn state() -> Sync {
    // A peer whose sync says downloading keeps its channels open while nothing is to be done.
    Sync { uploading: true, downloading: true, ..Sync::default() }
}

/// Returns whether all nodes are stored that extend a log of `from` blocks to ours.
fn can_upgrade(store: &impl Store, from: Length, to: Length) -> bool {
    from < to && index::roots(from).chain(index::growth(from, to)).all(|node| store.node(node).is_some())
}

fn have(blocks: std::ops::Range<BlockIndex>) -> Message {
    Message::Range(Range { drop: false, start: blocks.start, length: blocks.end - blocks.start })
}

fn refuse(request: &Request, refusal: Refusal) -> Message {
    let reason = match refusal {
        Refusal::NotAvailable => Reason::NOT_AVAILABLE,
        Refusal::Invalid => Reason::INVALID_REQUEST,
    };
    Message::NoData(NoData { request: request.id, reason })
}

/// Returns about how many bytes a message takes.
fn cost(message: &Message) -> usize {
    let variable = match message {
        Message::Data(data) => {
            let block =
                data.block.as_ref().map_or(0, |block| block.value.len() + NODE_BYTES * block.nodes.len());
            let upgrade = data.upgrade.as_ref().map_or(0, |upgrade| {
                NODE_BYTES * (upgrade.nodes.len() + upgrade.additional_nodes.len()) + MESSAGE_BYTES
            });
            block + upgrade
        }
        Message::Bitfield(bitfield) => 4 * bitfield.words.len(),
        _ => 0,
    };
    MESSAGE_BYTES + variable
}

/// Returns one bit for each block of a region, as whole words. `None` if no block of it is stored.
fn bitfield(store: &impl Store, start: BlockIndex, end: BlockIndex) -> Option<Message> {
    let start = start.group(32);
    let word = |first: BlockIndex| {
        let bits = (0..32).filter(|&bit| first + bit < end && store.has(first + bit));
        bits.fold(0_u32, |word, bit| word | 1 << bit)
    };
    let words: Vec<u32> = (start.0..end.0).step_by(32).map(BlockIndex).map(word).collect();
    words.iter().any(|&word| word != 0).then_some(Message::Bitfield(Bitfield { start, words }))
}
