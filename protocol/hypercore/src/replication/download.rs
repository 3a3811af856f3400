//! Downloads: which peer to request longer heads and blocks from, and how answers are taken.

use std::cmp::Reverse;

use super::evidence::Evidence;
use super::peer::{Asked, Peer, PeerFault, PeerId, Pending, REGION_BLOCKS, REGIONS_MAX};
use super::store::Store;
use super::upload::is_congested;
use super::verify::{CheckError, Verified, check};
use super::{Action, Download, Replicator, span};
use crate::blocks::{BlockIndex, Length};
use crate::manifest::key_of as manifest_key;
use crate::time::Instant;
use crate::tree::index;
use crate::wire::message::{
    Bitfield, Cancel, Data, Message, Range, Region, Request, RequestBlock, RequestUpgrade,
};

/// Intervals of wanted blocks. Beyond them, requested blocks stay in the set until a neighbour goes.
const WANTED_RUNS_MAX: usize = 65_536;

/// Stored or requested blocks skipped in one search before other peers get their turn.
const PASSED_OVER_MAX: usize = 65_536;

/// Blocks beyond the first gap that are requested by [`Download::All`](super::Download::All): far more than are ever in
/// flight, and few enough that a log whose first block is withheld fills nobody's memory.
const AHEAD_MAX: u64 = 16_384;

/// Requests in a row that a peer may refuse: more blocks than it can have forgotten to retract.
const UNHELPFUL_MAX: u32 = 1024;

/// The peer that a block was requested from, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    pub(super) from: PeerId,
    pub(super) at: Instant,
}

impl Replicator {
    pub(super) fn schedule_requests(&mut self, now: Instant, store: &impl Store) {
        self.is_behind = false;
        self.ask_for_upgrade(now, store);
        let ids: Vec<PeerId> =
            self.peers.iter().filter(|(_, peer)| peer.has_room()).map(|(&id, _)| id).collect();
        for id in ids {
            self.ask_for_blocks(now, id, store);
        }
        self.compare_heads(now);
    }

    /// Requests a longer head from one peer. JavaScript peers break the connection unless their last sync said that
    /// they can prove it, and that they know our length.
    pub(super) fn ask_for_upgrade(&mut self, now: Instant, store: &impl Store) {
        if self.config.download == Download::Heads {
            return self.ask_all_for_upgrades(now, store);
        }
        // A head that was handed out must be stored first: the next one extends it.
        let is_pending = self.upgrade_from.is_some() || self.upgraded > self.length;
        if self.config.download == Download::Nothing || is_pending {
            return;
        }
        let ours = self.length;
        let offers =
            self.peers.iter().filter_map(|(&id, peer)| Some((id, peer, offered_length(peer, ours, now)?)));
        // Peers that kept us waiting, or have not delivered anything yet, come last, however long a log they claim.
        let best = offers
            .min_by_key(|(id, peer, length)| (peer.strikes, !peer.has_delivered, Reverse(*length), *id));
        if let Some((id, _, length)) = best {
            let asked = Asked::Upgrade { start: ours, length: length - ours };
            self.upgrade_from = Some(id);
            self.ask(now, id, asked, store);
        }
    }

    /// Requests from every peer with a longer log the proof that it extends ours: no peer must keep us from hearing
    /// another.
    fn ask_all_for_upgrades(&mut self, now: Instant, store: &impl Store) {
        let ours = self.length;
        let offer = |(&id, peer): (&PeerId, &Peer)| Some((id, offered_length(peer, ours, now)?));
        let offers: Vec<(PeerId, Length)> = self.peers.iter().filter_map(offer).collect();
        for (id, length) in offers {
            self.ask(now, id, Asked::Upgrade { start: ours, length: length - ours }, store);
        }
    }

    /// Requests as many blocks from a peer as its window allows.
    pub(super) fn ask_for_blocks(&mut self, now: Instant, id: PeerId, store: &impl Store) {
        let Some(peer) = self.peers.get(&id).filter(|peer| peer.is_usable(now)) else { return };
        let end = provable_length(peer, self.length, store);
        let mut from = BlockIndex::FIRST;
        while self.peers.get(&id).is_some_and(Peer::has_room) {
            let Some(block) = self.next_block(id, from, end, store) else { break };
            from = block + 1;
            self.ask_for_block(now, id, block, store);
        }
        self.ask_for_regions(id);
    }

    pub(super) fn ask_for_block(&mut self, now: Instant, id: PeerId, block: BlockIndex, store: &impl Store) {
        self.requested.insert(block, Asking { from: id, at: now });
        self.ask(now, id, Asked::Block { index: block }, store);
    }

    /// Returns the first wanted block in `from..end` that the peer has and that is not requested from another.
    fn next_block(
        &mut self,
        id: PeerId,
        from: BlockIndex,
        end: Length,
        store: &impl Store,
    ) -> Option<BlockIndex> {
        let peer = self.peers.get(&id)?;
        let mut from = from;
        for _ in 0..PASSED_OVER_MAX {
            let block = self.wanted.next_common(&peer.has, from).filter(|&block| end.has(block))?;
            if self.config.download == Download::All && block >= self.contiguous.next_block() + AHEAD_MAX {
                return None;
            }
            if self.wanted.runs() < WANTED_RUNS_MAX {
                self.wanted.remove(block.alone());
            }
            if !self.requested.contains_key(&block) && !store.has(block) {
                return Some(block);
            }
            from = block + 1;
        }
        self.is_behind = true;
        None
    }

    /// Asks a peer with no more known blocks for us about the regions that we want.
    fn ask_for_regions(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(length) = peer.same_fork().map(|sync| sync.length) else { return };
        if !peer.pending.is_empty() {
            return;
        }
        if std::mem::take(&mut peer.has_forgotten) {
            peer.asked_regions.clear();
        }
        let mut from = BlockIndex::FIRST;
        while let Some(block) = self.wanted.next(from).filter(|&block| length.has(block)) {
            let start = block.group(REGION_BLOCKS);
            from = start + REGION_BLOCKS;
            if peer.asked_regions.len() >= REGIONS_MAX {
                break;
            }
            // Its announced blocks are requested already, or wait for room in the window.
            let is_known = self.wanted.next_common(&peer.has, start).is_some_and(|known| known < from);
            if !is_known && peer.asked_regions.insert(start) {
                let region = Region { start, length: REGION_BLOCKS, any: false };
                self.actions.push_back(Action::Send { peer: id, message: Message::Want(region) });
            }
        }
    }

    fn ask(&mut self, now: Instant, id: PeerId, asked: Asked, store: &impl Store) {
        let nodes = match asked {
            Asked::Block { index } => steps_to_known(store, index),
            Asked::Upgrade { .. } | Asked::Head { .. } => 0,
        };
        self.send_request(now, id, asked, nodes);
    }

    pub(super) fn send_request(&mut self, now: Instant, id: PeerId, asked: Asked, nodes: u64) {
        let number = self.next_request;
        self.next_request += 1;
        let request = match asked {
            Asked::Block { index } => {
                Request { id: number, block: Some(RequestBlock { index, nodes }), ..Request::default() }
            }
            Asked::Upgrade { start, length } => {
                // While the core is unknown, the manifest of its key is unknown, too.
                let (upgrade, manifest) = (Some(RequestUpgrade { start, length }), start.is_empty());
                Request { id: number, upgrade, manifest, ..Request::default() }
            }
            Asked::Head { fork, length } => {
                let upgrade = Some(RequestUpgrade { start: Length::ZERO, length: length.0 });
                Request { id: number, fork, upgrade, ..Request::default() }
            }
        };
        self.with_peer(id, |peer| {
            peer.pending.insert(number, Pending { asked, sent_at: now });
        });
        self.send(id, Message::Request(request));
    }

    pub(super) fn receive_data(
        &mut self,
        now: Instant,
        id: PeerId,
        data: Data,
        store: &impl Store,
    ) -> Result<(), PeerFault> {
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(()) };
        if data.request == 0 {
            self.take_shown_head(id, &data, store);
            return Ok(());
        }
        // An answer to a cancelled request comes late.
        let Some(pending) = peer.take_pending(data.request) else { return Ok(()) };
        let asked = pending.asked;
        let window_max = self.config.window_max;
        if !is_answer_to(&data, asked) {
            self.put_back(id, asked);
            return Err(CheckError::NotAsked.into());
        }
        match asked {
            Asked::Head { .. } => self.take_head(now, id, &data, store)?,
            Asked::Block { .. } | Asked::Upgrade { .. } => self.take_proof(now, id, asked, data, store)?,
        }
        self.with_peer(id, |peer| peer.answered(now, window_max));
        self.ask_for_upgrade(now, store);
        self.ask_for_blocks(now, id, store);
        Ok(())
    }

    /// Hands out verified data. Invalid data is the peer's fault, unless our log has grown since the request.
    fn take_proof(
        &mut self,
        now: Instant,
        id: PeerId,
        asked: Asked,
        data: Data,
        store: &impl Store,
    ) -> Result<(), PeerFault> {
        if data.manifest.as_ref().is_some_and(|manifest| manifest_key(manifest) == self.key) {
            self.put_back(id, asked);
            return Err(CheckError::HasManifest.into());
        }
        match check(self.key, store, data) {
            Ok(Verified { upgrade: Some(upgrade), .. }) if self.config.download == Download::Heads => {
                let theirs = upgrade.head;
                self.upgrade_from = None;
                self.with_peer(id, |peer| {
                    peer.compared_length = theirs.length();
                    peer.upgrade_refused = peer.same_fork().map(|sync| sync.length);
                });
                self.report(Evidence::LongerSigned { peer: id, theirs });
                Ok(())
            }
            Ok(verified) => {
                if let Some((block, _)) = &verified.block {
                    self.requested.remove(block);
                    self.wanted.remove(block.alone());
                    self.unannounced.insert(block.alone());
                }
                if let Some(upgrade) = &verified.upgrade {
                    self.upgrade_from = None;
                    self.upgraded = upgrade.head.length();
                    // Its head is ours now.
                    let length = self.upgraded;
                    self.with_peer(id, |peer| peer.compared_length = length);
                }
                self.actions.push_back(Action::Store(verified));
                Ok(())
            }
            Err(why) => {
                self.put_back(id, asked);
                match (why, asked) {
                    (CheckError::Stale, _) => Ok(()),
                    // A head that does not extend ours may be the signed head of another log: request it whole.
                    (CheckError::WrongSignature { .. }, Asked::Upgrade { .. }) if !self.length.is_empty() => {
                        self.with_peer(id, |peer| peer.suspected = Some(why));
                        self.ask_for_head(now, id, 0, self.length);
                        Ok(())
                    }
                    _ => Err(why.into()),
                }
            }
        }
    }

    pub(super) fn receive_no_data(
        &mut self,
        now: Instant,
        id: PeerId,
        request: u64,
        store: &impl Store,
    ) -> Result<(), PeerFault> {
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(()) };
        let Some(pending) = peer.take_pending(request) else { return Ok(()) };
        let count = peer.refused_us(now);
        match pending.asked {
            Asked::Block { index } => peer.has.remove(index.alone()),
            Asked::Upgrade { .. } => peer.upgrade_refused = peer.same_fork().map(|sync| sync.length),
            Asked::Head { .. } => {}
        }
        let suspected = peer.suspected;
        self.put_back(id, pending.asked);
        match (pending.asked, suspected) {
            (Asked::Head { .. }, Some(why)) => return Err(why.into()),
            _ if count > UNHELPFUL_MAX => return Err(PeerFault::Unhelpful { count }),
            _ => {}
        }
        self.schedule_requests(now, store);
        Ok(())
    }

    pub(super) fn receive_range(&mut self, now: Instant, id: PeerId, range: Range, store: &impl Store) {
        let Some(blocks) = span(range.start, range.length) else { return };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if range.drop {
            peer.has.remove(blocks);
            return;
        }
        peer.has_forgotten |= peer.has.is_full();
        peer.has.insert(blocks.clone());
        if self.wanted.overlaps(&blocks) {
            self.ask_for_blocks(now, id, store);
        }
    }

    pub(super) fn receive_bitfield(
        &mut self,
        now: Instant,
        id: PeerId,
        bitfield: &Bitfield,
        store: &impl Store,
    ) {
        let Bitfield { start, words } = bitfield;
        let Some(blocks) = span(*start, 32 * words.len() as u64) else { return };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.has.remove(blocks);
        // Only blocks that we may request are kept, so that a full set is useful.
        for run in runs(*start, words) {
            if peer.has.is_full() && Some(run.start) >= peer.has.end() {
                peer.has_forgotten = true;
                break;
            }
            if self.wanted.overlaps(&run) {
                peer.has_forgotten |= peer.has.is_full();
                peer.has.insert(run);
            }
        }
        self.ask_for_blocks(now, id, store);
    }

    /// Puts back a request that the peer cannot answer: others may be asked.
    pub(super) fn put_back(&mut self, id: PeerId, asked: Asked) {
        match asked {
            Asked::Block { index } => {
                if self.requested.get(&index).is_some_and(|asking| asking.from == id) {
                    self.requested.remove(&index);
                    self.wanted.insert(index.alone());
                }
            }
            Asked::Upgrade { .. } => {
                if self.upgrade_from == Some(id) {
                    self.upgrade_from = None;
                }
            }
            Asked::Head { .. } => {}
        }
    }

    /// Takes requests back from peers that have kept us waiting too long.
    pub(super) fn expire(&mut self, now: Instant) {
        let timeout = self.config.request_timeout;
        let ids: Vec<PeerId> = self.peers.keys().copied().collect();
        for id in ids {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            peer.paused_until.take_if(|until| *until <= now);
            let is_silent = peer.silence_deadline(timeout).is_some_and(|deadline| deadline <= now);
            let is_passed_over = peer.passed_over_deadline(timeout).is_some_and(|deadline| deadline <= now);
            let suspected = peer.suspected.filter(|_| is_silent || is_passed_over);
            match suspected {
                Some(why) => self.fault(id, why.into()),
                None if is_silent => self.cancel_all(now, id),
                None if is_passed_over => self.cancel_oldest(id),
                None => {}
            }
        }
    }

    fn cancel_all(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.timed_out(now, self.config.request_timeout);
        let numbers: Vec<u64> = peer.pending.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.cancel(id, number));
    }

    /// Cancels the oldest request: the peer answers others, so it seems not to have that block.
    fn cancel_oldest(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some((&number, oldest)) = peer.pending.first_key_value() else { return };
        if let Asked::Block { index } = oldest.asked {
            peer.has.remove(index.alone());
        }
        self.cancel(id, number);
    }

    fn cancel(&mut self, id: PeerId, number: u64) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if let Some(pending) = peer.pending.remove(&number) {
            self.put_back(id, pending.asked);
            self.send(id, Message::Cancel(Cancel { request: number }));
        }
    }

    pub(super) fn peer_deadline(&self, peer: &Peer) -> Option<Instant> {
        let timeout = self.config.request_timeout;
        let region = (!peer.wants.is_empty() && !is_congested(peer)).then_some(peer.wants_from);
        let compare = self.length_to_compare(peer).map(|_| peer.compare_from);
        let shorter = peer.shorter_deadline(self.length);
        let (silence, passed_over) = (peer.silence_deadline(timeout), peer.passed_over_deadline(timeout));
        let deadlines = [silence, passed_over, peer.paused_until, region, compare, shorter];
        deadlines.into_iter().flatten().min()
    }
}

/// Returns the length of the log that the peer can prove to us, if longer than ours.
fn offered_length(peer: &Peer, ours: Length, now: Instant) -> Option<Length> {
    let sync = peer.same_fork().filter(|_| peer.is_usable(now) && peer.has_room())?;
    let is_ready = sync.can_upgrade && sync.remote_length == ours;
    let is_open =
        is_ready && peer.upgrade_refused != Some(sync.length) && peer.owes_upgrade_since().is_none();
    (is_open && sync.length > ours).then_some(sync.length)
}

/// Returns the length below which the peer can prove blocks to us. The proof of a block ends at a node that we have
/// stored. That node is inside the peer's tree only if the peer's log is as long as ours, or its roots are among our
/// nodes. JavaScript peers count other requests against us, and end the connection at the 64th.
pub(super) fn provable_length(peer: &Peer, ours: Length, store: &impl Store) -> Length {
    let theirs = peer.same_fork().map(|sync| sync.length).unwrap_or_default();
    let is_inside = theirs >= ours || index::roots(theirs).all(|root| store.node(root).is_some());
    if is_inside { theirs } else { Length::ZERO }
}

/// Returns the steps from a block's leaf up to the first stored node.
fn steps_to_known(store: &impl Store, block: BlockIndex) -> u64 {
    let mut node = index::leaf(block);
    let is_unknown = |index: &u64| store.node(*index).is_none();
    std::iter::from_fn(|| {
        let current = node.filter(is_unknown)?;
        node = index::parent(current);
        Some(current)
    })
    .count() as u64
}

/// Returns whether an answer has the requested parts, and no others. A manifest may come along.
fn is_answer_to(data: &Data, asked: Asked) -> bool {
    if data.hash.is_some() || data.seek.is_some() {
        return false;
    }
    let block = data.block.as_ref().map(|block| block.index);
    let upgrade = data.upgrade.as_ref().map(|upgrade| (upgrade.start, upgrade.length));
    match asked {
        Asked::Block { index } => data.fork == 0 && block == Some(index) && upgrade.is_none(),
        Asked::Upgrade { start, length } => {
            data.fork == 0 && block.is_none() && upgrade == Some((start, length))
        }
        Asked::Head { fork, length } => {
            data.fork == fork && block.is_none() && upgrade == Some((Length::ZERO, length.0))
        }
    }
}

/// Returns the runs of one bits in a bitfield, from low to high.
fn runs(start: BlockIndex, words: &[u32]) -> impl Iterator<Item = std::ops::Range<BlockIndex>> + '_ {
    let end = 32 * words.len() as u64;
    let mut next = 0;
    std::iter::from_fn(move || {
        let first = find(words, next, true).filter(|&first| first < end)?;
        next = find(words, first, false).unwrap_or(end);
        Some(start.saturating_add(first)..start.saturating_add(next))
    })
}

/// Returns the first bit, not below `from`, that equals `is_set`.
fn find(words: &[u32], from: u64, is_set: bool) -> Option<u64> {
    let first = (from / 32) as usize;
    let mut mask = u32::MAX << (from % 32);
    for (offset, word) in words.get(first..)?.iter().enumerate() {
        let bits = if is_set { *word } else { !*word } & mask;
        if bits != 0 {
            return Some(32 * (first + offset) as u64 + u64::from(bits.trailing_zeros()));
        }
        mask = u32::MAX;
    }
    None
}
