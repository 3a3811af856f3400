//! The state of one peer of one core: what it claims, and the open requests in both directions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thiserror::Error;

use super::verify::CheckError;
use crate::blocks::{BlockIndex, Length};
use crate::ranges::Ranges;
use crate::signed_head::SignedHead;
use crate::time::Instant;
use crate::wire::message::{Request, Sync};

/// Intervals kept of a peer's blocks: about 0.2 MB.
pub(super) const PEER_RUNS_MAX: usize = 4096;

/// Requests in flight to a new peer. JavaScript peers start with about as many.
const WINDOW_START: u32 = 16;

/// Requests in flight to a peer that let one time out.
const WINDOW_MIN: u32 = 2;

/// How long a peer that does not answer gets no requests, at most. The pause doubles with each time-out.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Blocks of a region, which is requested and answered as a whole. JavaScript peers know no other size.
pub(super) const REGION_BLOCKS: u64 = 1 << 21;

/// Regions that a peer may want, and that we ask a peer for. JavaScript peers keep as many.
pub(super) const REGIONS_MAX: usize = 512;

/// Regions searched for a peer without a pause: more than the largest archives have.
const REGIONS_AT_ONCE: u32 = 16;

/// Time from one search of a region to the next one for the same peer.
const REGION_PAUSE: Duration = Duration::from_millis(200);

/// Identifies a peer of a machine: one channel of one connection. The caller chooses it and does not reuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

/// The reason why a peer is dropped: close its channel, better its connection.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PeerFault {
    /// No such peer is open. A caller that closes peers in time does not see this.
    #[error("no such peer is open")]
    Unknown,
    /// The peer sent data that does not verify.
    #[error("{0}")]
    Invalid(#[from] CheckError),
    /// The peer sends requests faster than it reads the answers.
    #[error("the peer has more than {max} requests waiting for an answer")]
    TooManyRequests {
        /// The most that may wait.
        max: usize,
    },
    /// The peer keeps requesting what we refuse. A JavaScript peer would soon stop asking at all until it reconnects.
    #[error("{count} requests of the peer had to be refused")]
    TooManyRefused {
        /// The refused requests.
        count: u32,
    },
    /// The peer keeps announcing blocks that it does not deliver.
    #[error("the peer refused {count} requests in a row for blocks that it had announced")]
    Unhelpful {
        /// The refused requests in a row.
        count: u32,
    },
}

/// The request to which an answer is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Block {
        index: BlockIndex,
    },
    Upgrade {
        start: Length,
        length: u64,
    },
    /// Proof of the head of another fork or of a shorter log, as the peer claims it.
    Head {
        fork: u64,
        length: Length,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) asked: Asked,
    pub(super) sent_at: Instant,
}

#[derive(Debug)]
pub(super) struct Peer {
    /// The newest sync from the peer.
    pub(super) sync: Option<Sync>,
    /// The newest sync to the peer.
    pub(super) told: Option<Sync>,
    /// The blocks that it announced.
    pub(super) has: Ranges<BlockIndex>,
    /// The length up to which we announced all blocks to it.
    pub(super) announced: Length,

    /// Requests awaiting an answer, by number. Numbers grow, so the first is the oldest.
    pub(super) pending: BTreeMap<u64, Pending>,
    window: u32,
    is_growing_fast: bool,
    answers_since_growth: u32,
    answered_at: Instant,
    /// When a part of an answer last arrived.
    pub(super) heard_at: Instant,
    /// The highest number of our requests that it answered.
    answered_latest: u64,
    /// Whether it has ever delivered requested data.
    pub(super) has_delivered: bool,
    /// Time-outs in a row.
    pub(super) strikes: u32,
    /// No requests are sent to it before this time.
    pub(super) paused_until: Option<Instant>,
    refusals_in_a_row: u32,
    /// The length at which it refused an upgrade.
    pub(super) upgrade_refused: Option<Length>,
    /// Set while a head that it sent is not signed: it gets no requests until it has shown a whole head.
    pub(super) suspected: Option<CheckError>,
    /// Forks and shorter lengths that it claimed, so that each is reported once.
    pub(super) claims: BTreeSet<(u64, Length)>,
    /// Number of heads that it showed unasked.
    pub(super) heads_shown: u32,
    /// The length of its head that was last requested for a comparison with ours.
    pub(super) compared_length: Length,
    /// When the next one may be requested.
    pub(super) compare_from: Instant,
    /// The signed head of its log, if that is a shorter part of ours, and when it was shown.
    pub(super) shorter: Option<(SignedHead, Instant)>,
    /// Regions that we asked it about.
    pub(super) asked_regions: BTreeSet<BlockIndex>,
    /// Whether it has more blocks than we could keep.
    pub(super) has_forgotten: bool,

    /// Its requests, in order.
    pub(super) requests: Requests,
    /// Regions that it asked about, waiting for an answer.
    pub(super) wants: BTreeSet<(BlockIndex, BlockIndex, bool)>,
    /// When the next region may be searched for it.
    pub(super) wants_from: Instant,
    regions_searched_until: Instant,
    /// Regions whose new blocks it wants to be announced.
    pub(super) informed: BTreeSet<BlockIndex>,
    /// Bytes handed out for it since the last call of [`handle_flushed`](super::Replicator::handle_flushed).
    pub(super) unsent_bytes: usize,
    pub(super) refused: u32,
}

/// Requests that wait for their turn, found by number, too.
#[derive(Debug, Default)]
pub(super) struct Requests {
    by_turn: BTreeMap<u64, Request>,
    turns: BTreeMap<u64, u64>,
    next_turn: u64,
}

impl Requests {
    pub(super) fn len(&self) -> usize {
        self.by_turn.len()
    }

    /// Appends a request. A waiting one with the same number is dropped, as JavaScript peers expect.
    pub(super) fn push(&mut self, request: Request) {
        self.cancel(request.id);
        self.turns.insert(request.id, self.next_turn);
        self.by_turn.insert(self.next_turn, request);
        self.next_turn += 1;
    }

    pub(super) fn pop(&mut self) -> Option<Request> {
        let (_, request) = self.by_turn.pop_first()?;
        self.turns.remove(&request.id);
        Some(request)
    }

    pub(super) fn cancel(&mut self, id: u64) {
        if let Some(turn) = self.turns.remove(&id) {
            self.by_turn.remove(&turn);
        }
    }
}

impl Peer {
    /// Creates a peer in the initial state. Its blocks matter only if something is fetched.
    pub(super) fn new(is_source: bool) -> Self {
        Self {
            sync: None,
            told: None,
            has: Ranges::new(if is_source { PEER_RUNS_MAX } else { 1 }),
            announced: Length::ZERO,
            pending: BTreeMap::new(),
            window: WINDOW_START,
            is_growing_fast: true,
            answers_since_growth: 0,
            answered_at: Instant::START,
            heard_at: Instant::START,
            answered_latest: 0,
            has_delivered: false,
            strikes: 0,
            paused_until: None,
            refusals_in_a_row: 0,
            upgrade_refused: None,
            suspected: None,
            claims: BTreeSet::new(),
            heads_shown: 0,
            compared_length: Length::ZERO,
            compare_from: Instant::START,
            shorter: None,
            asked_regions: BTreeSet::new(),
            has_forgotten: false,
            requests: Requests::default(),
            wants: BTreeSet::new(),
            wants_from: Instant::START,
            regions_searched_until: Instant::START,
            informed: BTreeSet::new(),
            unsent_bytes: 0,
            refused: 0,
        }
    }

    /// Returns its newest sync, if it is on our fork.
    pub(super) fn same_fork(&self) -> Option<&Sync> {
        self.sync.as_ref().filter(|sync| sync.fork == 0)
    }

    /// Returns whether it may get requests now.
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        self.same_fork().is_some_and(|sync| sync.uploading)
            && self.suspected.is_none()
            && self.paused_until.is_none_or(|until| now >= until)
    }

    /// Returns how many more requests it may have in flight.
    pub(super) fn room(&self) -> usize {
        (self.window as usize).saturating_sub(self.pending.len())
    }

    pub(super) fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// Returns when a longer head was requested that it still owes.
    pub(super) fn owes_upgrade_since(&self) -> Option<Instant> {
        let is_upgrade = |pending: &&Pending| matches!(pending.asked, Asked::Upgrade { .. });
        self.pending.values().find(is_upgrade).map(|pending| pending.sent_at)
    }

    /// Removes and returns a request that it has answered, one way or the other.
    pub(super) fn take_pending(&mut self, request: u64) -> Option<Pending> {
        let pending = self.pending.remove(&request)?;
        self.answered_latest = self.answered_latest.max(request);
        Some(pending)
    }

    /// Notes an answer in time: it may have more in flight. The window doubles per round trip until the first time-out.
    pub(super) fn answered(&mut self, now: Instant, window_max: u32) {
        self.answered_at = now;
        self.has_delivered = true;
        self.strikes = 0;
        self.refusals_in_a_row = 0;
        self.answers_since_growth += 1;
        if self.is_growing_fast || self.answers_since_growth >= self.window {
            self.answers_since_growth = 0;
            self.window = (self.window + 1).min(window_max.max(WINDOW_MIN));
        }
    }

    /// Notes a refusal to answer. Returns how many it made in a row.
    pub(super) fn refused_us(&mut self, now: Instant) -> u32 {
        self.answered_at = now;
        self.refusals_in_a_row += 1;
        self.refusals_in_a_row
    }

    /// Notes a time-out: shrinks the window, and pauses requests for a while, longer each time.
    pub(super) fn timed_out(&mut self, now: Instant, timeout: Duration) {
        self.is_growing_fast = false;
        self.window = (self.window / 2).max(WINDOW_MIN);
        let pause = timeout.saturating_mul(1 << self.strikes.min(6)).min(PAUSE_MAX);
        self.paused_until = Some(now + pause);
        self.strikes = self.strikes.saturating_add(1);
    }

    /// Notes that a region was searched bit by bit for it, which takes milliseconds: several at once, then one at a
    /// time.
    pub(super) fn region_searched(&mut self, now: Instant) {
        self.regions_searched_until = self.regions_searched_until.max(now) + REGION_PAUSE;
        self.wants_from = self.regions_searched_until - REGIONS_AT_ONCE * REGION_PAUSE;
    }

    /// Returns when the silence of the peer has lasted too long, if anything is awaited.
    pub(super) fn silence_deadline(&self, timeout: Duration) -> Option<Instant> {
        let (_, oldest) = self.pending.first_key_value()?;
        Some(oldest.sent_at.max(self.answered_at).max(self.heard_at) + timeout)
    }

    /// Returns when the oldest request has been passed over for too long while others were answered.
    pub(super) fn passed_over_deadline(&self, timeout: Duration) -> Option<Instant> {
        let (&number, oldest) = self.pending.first_key_value()?;
        let is_passed_over = number < self.answered_latest;
        is_passed_over.then(|| oldest.sent_at + timeout.saturating_mul(6))
    }
}
