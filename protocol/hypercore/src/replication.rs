//! Replication of one core with its peers, without I/O (npm hypercore 11, `lib/replicator.js`): the [`Replicator`].
//!
//! Messages of the channel `hypercore/alpha` come in with the time; messages, verified blocks and heads, and evidence
//! against the log's writer go out. The machine behaves as JavaScript hypercore 11 expects of a peer, for a core
//! without a manifest that is never truncated.
//!
//! [`answer`] makes the proofs that peers request, [`check`] checks those that they send; both work on their own.
//! `upload.rs` serves peers and announces our blocks, `download.rs` decides which peer to ask for which block,
//! `hedging.rs` which other peer to ask as well, `equivocation.rs` compares whole heads; `peer.rs` holds the state of
//! each peer, and [`Ranges`] is the bounded set that all of them use.

mod download;
mod equivocation;
mod evidence;
mod hedging;
mod peer;
mod prove;
mod store;
mod upload;
mod verify;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use evidence::Reported;
pub use evidence::{Evidence, HeadProof};
pub use peer::{PeerFault, PeerId};
pub use prove::{Refusal, answer};
pub use store::Store;
pub use verify::{CheckError, Head, Upgrade, Verified, check, check_head};

use crate::blocks::{BlockIndex, Length};
use crate::encoding::UINT_MAX;
use crate::identity::PublicKey;
use crate::ranges::Ranges;
use crate::time::Instant;
use crate::wire::message::{Cancel, Message, NoData, Sync};
use download::Asking;
use peer::Peer;

/// Claims of forks and shorter lengths by one peer that are reported and investigated.
const CLAIMS_MAX: usize = 16;

/// Heads that one peer may show unasked, as peers do that found a conflict. Each costs a check of its signature.
const HEADS_SHOWN_MAX: u32 = 16;

/// The blocks to fetch. Peers are served in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Download {
    /// No blocks, and no longer heads either.
    Nothing,
    /// No blocks; heads that do not belong to the stored log are only reported: for the writer of the log, whose log no
    /// peer can exceed.
    Heads,
    /// Every block of the log, and future ones. Blocks far ahead of the first gap are left for later, so that nobody
    /// has to hold much that cannot be used yet.
    All,
    /// These blocks, as far as the log reaches, and every longer head.
    Ranges(Vec<Range<BlockIndex>>),
}

/// The configuration of a [`Replicator`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The blocks to fetch.
    pub download: Download,
    /// The time after which a peer that owes answers and sends none loses its requests to others.
    pub request_timeout: Duration,
    /// The most requests in flight to one peer.
    pub window_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { download: Download::All, request_timeout: Duration::from_secs(10), window_max: 128 }
    }
}

/// An action for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a message to a peer.
    Send {
        /// The recipient.
        peer: PeerId,
        /// The message.
        message: Message,
    },
    /// Store verified data, then call [`Replicator::handle_store_changed`].
    Store(Verified),
    /// Keep evidence against the writer of the log.
    Evidence(Evidence),
    /// Close a peer's channel: the machine has already forgotten the peer.
    Fault {
        /// The peer.
        peer: PeerId,
        /// The reason.
        why: PeerFault,
    },
}

/// The replication of one core with all its peers.
///
/// A [machine](crate#machines) with actions. Complete every [`Action::Store`] before the next input. Open a peer when
/// both sides have opened the channel and the remote's capability was checked. When everything handed out for a peer
/// has been written, call [`handle_flushed`](Self::handle_flushed); while [`is_congested`](Self::is_congested), do not
/// read from it.
#[derive(Debug)]
pub struct Replicator {
    key: PublicKey,
    config: Config,
    peers: BTreeMap<PeerId, Peer>,
    actions: VecDeque<Action>,

    /// Our length, and the length without a gap, as last read from the store.
    length: Length,
    contiguous: Length,

    /// The blocks to fetch, whether the log reaches there or not.
    selection: Ranges<BlockIndex>,
    /// Missing blocks not requested from any peer; may include stored blocks until the search reaches them.
    wanted: Ranges<BlockIndex>,
    /// The length up to which `wanted` was filled.
    covered: Length,
    /// The peer that each block was last requested from.
    requested: BTreeMap<BlockIndex, Asking>,
    /// When to look next for peers to hedge requests with.
    help_from: Instant,
    /// The peer that a longer head was requested from.
    upgrade_from: Option<PeerId>,
    /// The length up to which heads were handed out to be stored.
    upgraded: Length,
    next_request: u64,
    /// Whether a search for blocks to request was cut short.
    is_behind: bool,
    reported: Reported,

    /// New blocks behind the contiguous ones, not yet announced to peers.
    unannounced: Ranges<BlockIndex>,
    announce_from: Instant,
}

impl Replicator {
    /// Creates a machine without peers, for the core with this key.
    pub fn new(key: PublicKey, config: Config) -> Self {
        let mut selection = Ranges::new(usize::MAX);
        match &config.download {
            Download::Nothing | Download::Heads => {}
            Download::All => selection.insert(Length(u64::MAX).blocks()),
            Download::Ranges(ranges) => ranges.iter().for_each(|range| selection.insert(range.clone())),
        }
        Self {
            key,
            config,
            peers: BTreeMap::new(),
            actions: VecDeque::new(),
            length: Length::ZERO,
            contiguous: Length::ZERO,
            selection,
            wanted: Ranges::new(usize::MAX),
            covered: Length::ZERO,
            requested: BTreeMap::new(),
            help_from: Instant::START,
            upgrade_from: None,
            upgraded: Length::ZERO,
            next_request: 1,
            is_behind: false,
            reported: Reported::default(),
            unannounced: Ranges::new(upload::UNANNOUNCED_RUNS_MAX),
            announce_from: Instant::START,
        }
    }

    /// Returns the key of the replicated core.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Returns the next action, if any.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout), if time alone can change anything.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = self.peers.values().filter_map(|peer| self.peer_deadline(peer));
        let deadlines = deadlines.chain(self.help_deadline());
        deadlines.chain(self.announce_deadline()).chain(self.is_behind.then_some(Instant::START)).min()
    }

    /// Returns whether to stop reading from a peer until its answers have been written.
    pub fn is_congested(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(upload::is_congested)
    }

    /// Returns the open peers, and the length of each one's log as it claims (on our fork).
    pub fn peers(&self) -> impl Iterator<Item = (PeerId, Option<Length>)> + '_ {
        self.peers.iter().map(|(&id, peer)| (id, peer.same_fork().map(|sync| sync.length)))
    }

    /// Returns the number of requests in flight.
    pub fn requests_in_flight(&self) -> usize {
        self.peers.values().map(|peer| peer.pending.len()).sum()
    }

    /// Adds blocks to the ones to fetch.
    pub fn download(&mut self, now: Instant, blocks: Range<BlockIndex>, store: &impl Store) {
        self.refresh(store);
        self.selection.insert(blocks.clone());
        let known = blocks.start..blocks.end.min(self.covered.next_block());
        if !known.is_empty() {
            self.wanted.insert(known);
        }
        self.schedule_requests(now, store);
    }

    /// Adds a peer: its channel is open on both sides.
    pub fn handle_peer_opened(&mut self, now: Instant, id: PeerId, store: &impl Store) {
        self.refresh(store);
        self.remove_peer(id);
        self.peers.insert(id, Peer::new(self.config.download != Download::Nothing));
        self.send_initial_sync(id);
        self.schedule_requests(now, store);
    }

    /// Removes a peer: its channel is closed. The requests that it still owed go to others.
    pub fn handle_peer_closed(&mut self, now: Instant, id: PeerId, store: &impl Store) {
        self.remove_peer(id);
        self.schedule_requests(now, store);
    }

    /// Reads the store anew: our core has grown, or an [`Action::Store`] is complete.
    pub fn handle_store_changed(&mut self, now: Instant, store: &impl Store) {
        let length_before = self.length;
        self.refresh(store);
        self.announce(now, store, self.length != length_before);
        self.schedule_requests(now, store);
    }

    /// Notes that everything handed out for this peer has been written.
    pub fn handle_flushed(&mut self, now: Instant, id: PeerId, store: &impl Store) {
        if let Some(peer) = self.peers.get_mut(&id) {
            let was_congested = upload::is_congested(peer);
            peer.unsent_bytes = 0;
            if was_congested {
                self.catch_up(id, store);
            }
            self.serve_or_fault(now, id, store);
        }
    }

    /// Notes that more of a long message from this peer has arrived: it is sending, and may be given more time.
    pub fn handle_progress(&mut self, now: Instant, id: PeerId) {
        self.with_peer(id, |peer| peer.heard_at = now);
    }

    /// Acts on deadlines that have passed.
    pub fn handle_timeout(&mut self, now: Instant, store: &impl Store) {
        self.refresh(store);
        self.expire(now);
        if self.help_deadline().is_some_and(|deadline| deadline <= now) {
            self.help(now, store);
        }
        if self.announce_deadline().is_some_and(|deadline| deadline <= now) {
            self.announce(now, store, false);
        }
        let waiting: Vec<PeerId> =
            self.peers.iter().filter(|(_, peer)| !peer.wants.is_empty()).map(|(&id, _)| id).collect();
        waiting.into_iter().for_each(|id| self.serve_or_fault(now, id, store));
        self.schedule_requests(now, store);
    }

    /// Takes a message that a peer sent.
    ///
    /// # Errors
    /// [`PeerFault`] if the peer must be closed; the machine has already forgotten it.
    pub fn handle_message(
        &mut self,
        now: Instant,
        id: PeerId,
        message: Message,
        store: &impl Store,
    ) -> Result<(), PeerFault> {
        if !self.peers.contains_key(&id) {
            return Err(PeerFault::Unknown);
        }
        self.refresh(store);
        let result = self.handle(now, id, message, store);
        if result.is_err() {
            self.remove_peer(id);
            self.schedule_requests(now, store);
        }
        result
    }

    fn handle(
        &mut self,
        now: Instant,
        id: PeerId,
        message: Message,
        store: &impl Store,
    ) -> Result<(), PeerFault> {
        match message {
            Message::Sync(sync) => self.receive_sync(now, id, sync, store),
            Message::Request(request) => return self.receive_request(now, id, request, store),
            Message::Cancel(Cancel { request }) => self.with_peer(id, |peer| peer.requests.cancel(request)),
            Message::Data(data) => return self.receive_data(now, id, data, store),
            Message::NoData(NoData { request, .. }) => return self.receive_no_data(now, id, request, store),
            Message::Want(region) => self.receive_want(now, id, region, store),
            Message::Unwant(region) => self.receive_unwant(id, region),
            Message::Bitfield(bitfield) => self.receive_bitfield(now, id, &bitfield, store),
            Message::Range(range) => self.receive_range(now, id, range, store),
            // Hints of higher layers, which expect no answer.
            Message::Extension(_) => {}
        }
        Ok(())
    }

    fn receive_sync(&mut self, now: Instant, id: PeerId, sync: Sync, store: &impl Store) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let before = peer.sync.replace(sync);
        let length_before = before.filter(|before| before.fork == sync.fork).map(|before| before.length);
        if length_before != Some(sync.length) {
            peer.upgrade_refused = None;
        }
        let is_changed = length_before != Some(sync.length);
        self.check_claims(now, id, sync, length_before);
        // Its upgrades wait until it sees its own length acknowledged.
        if is_changed && sync.fork == 0 && sync.length < self.length {
            self.send_sync(id, store);
        }
        self.ask_for_upgrade(now, store);
        self.ask_for_blocks(now, id, store);
        self.compare_heads(now);
    }

    /// Reports a fork or a log that shrank, and requests the signed head, once each.
    fn check_claims(&mut self, now: Instant, id: PeerId, sync: Sync, length_before: Option<Length>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let shrunk_from = length_before.filter(|&before| before > sync.length);
        if sync.fork == 0 && shrunk_from.is_none() {
            return;
        }
        if peer.claims.len() >= CLAIMS_MAX || !peer.claims.insert((sync.fork, sync.length)) {
            return;
        }
        peer.compared_length = sync.length;
        let evidence = match shrunk_from {
            Some(before) if sync.fork == 0 => {
                Evidence::ShrinkClaimed { peer: id, before, after: sync.length }
            }
            _ => Evidence::ForkClaimed { peer: id, fork: sync.fork, length: sync.length },
        };
        self.report(evidence);
        if !sync.length.is_empty() {
            self.ask_for_head(now, id, sync.fork, sync.length);
        }
    }

    /// Reads length and contiguous length again, and adds new blocks to the wanted ones.
    fn refresh(&mut self, store: &impl Store) {
        let length_before = self.length;
        self.length = store.length().min(Length(UINT_MAX));
        self.contiguous = store.contiguous_length().min(self.length);
        self.upgraded = self.upgraded.max(self.length);
        let tail = self.length.saturating_sub(upload::TAIL_BLOCKS);
        self.unannounced.insert(self.length.blocks_since(length_before.max(tail)));
        if self.length > self.covered {
            let new = self.length.blocks_since(self.covered.max(self.contiguous));
            for range in self.selection.within(new) {
                self.wanted.insert(range);
            }
            self.covered = self.length;
        }
    }

    fn remove_peer(&mut self, id: PeerId) {
        let Some(peer) = self.peers.remove(&id) else { return };
        for pending in peer.pending.values() {
            self.put_back(id, pending.asked);
        }
    }

    fn report(&mut self, evidence: Evidence) {
        if self.reported.is_new(&evidence) {
            self.actions.push_back(Action::Evidence(evidence));
        }
    }

    fn fault(&mut self, id: PeerId, why: PeerFault) {
        self.remove_peer(id);
        self.actions.push_back(Action::Fault { peer: id, why });
    }

    fn with_peer(&mut self, id: PeerId, change: impl FnOnce(&mut Peer)) {
        if let Some(peer) = self.peers.get_mut(&id) {
            change(peer);
        }
    }

    fn send(&mut self, id: PeerId, message: Message) {
        self.actions.push_back(Action::Send { peer: id, message });
    }
}

/// Returns the blocks of a region in a message, or `None` if the numbers cannot be a region.
fn span(start: BlockIndex, length: u64) -> Option<Range<BlockIndex>> {
    let end = start.saturating_add(length).min(BlockIndex(UINT_MAX));
    (start < end).then_some(start..end)
}
