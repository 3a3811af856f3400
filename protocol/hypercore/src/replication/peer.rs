//! What we know of one peer of one core, and what stands open between us.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::verify::CheckError;
use crate::ranges::Ranges;
use crate::signed_head::SignedHead;
use crate::wire::message::{Request, Sync};

/// Intervals kept of what a peer has: about 0.2 MB.
pub(super) const PEER_RUNS_MAX: usize = 4096;

/// Requests in flight to a new peer. JavaScript peers start with about as many.
const WINDOW_START: u32 = 16;

/// Requests in flight to a peer that let one time out.
const WINDOW_MIN: u32 = 2;

/// How long a peer that does not answer is left alone, at first and at most.
const PAUSE_MS_MAX: u64 = 60_000;

/// Blocks of a region that is asked for and answered as a whole. JavaScript peers know no other size.
pub(super) const REGION_BLOCKS: u64 = 1 << 21;

/// Regions that a peer may want, and that we ask a peer for. JavaScript peers keep as many.
pub(super) const REGIONS_MAX: usize = 512;

/// Regions searched for a peer without a pause: more than the largest archives have.
const REGIONS_AT_ONCE: u64 = 16;

/// Milliseconds from one search of a region to the next one for the same peer.
const REGION_PAUSE_MS: u64 = 200;

/// Names a peer of a machine: one channel of one connection. The caller chooses it and does not use it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

/// Why a peer is given up: close its channel, better its connection.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PeerFault {
    /// No such peer is open. A caller that closes peers in time does not see this.
    #[error("no such peer")]
    Unknown,
    /// It sent something that does not verify.
    #[error("{0}")]
    Invalid(#[from] CheckError),
    /// It asks faster than it reads the answers.
    #[error("more than {max} requests wait for an answer")]
    TooManyRequests {
        /// How many may wait.
        max: usize,
    },
    /// It keeps asking for what we refuse. A JavaScript peer would soon stop asking at all until it reconnects.
    #[error("{count} of its requests had to be refused")]
    TooManyRefused {
        /// How many were.
        count: u32,
    },
    /// It keeps announcing blocks that it does not give.
    #[error("it refused {count} requests in a row for what it had announced")]
    Unhelpful {
        /// How many in a row.
        count: u32,
    },
}

/// What an answer is awaited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Block {
        index: u64,
    },
    Upgrade {
        start: u64,
        length: u64,
    },
    /// Proof of the head that a peer claims of another fork, or of a shorter log.
    Head {
        fork: u64,
        length: u64,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) asked: Asked,
    pub(super) sent_at: u64,
}

#[derive(Debug)]
pub(super) struct Peer {
    /// The newest state it told.
    pub(super) sync: Option<Sync>,
    /// The newest state we told it.
    pub(super) told: Option<Sync>,
    /// Blocks it says it has.
    pub(super) has: Ranges,
    /// `0..n` is what we said we have.
    pub(super) announced: u64,

    /// What we wait for, by request number. Numbers grow, so the first is the oldest.
    pub(super) pending: BTreeMap<u64, Pending>,
    window: u32,
    is_growing_fast: bool,
    answers_since_growth: u32,
    answered_at: u64,
    /// When more of an answer was on its way, last.
    pub(super) heard_at: u64,
    /// The latest of our requests that it answered.
    answered_latest: u64,
    /// Whether it has ever given what we asked for.
    pub(super) has_delivered: bool,
    /// How often in a row it let us wait too long.
    pub(super) strikes: u32,
    /// Nothing is asked of it until then; 0 when it may be asked.
    pub(super) paused_until: u64,
    refusals_in_a_row: u32,
    /// The length at which it refused an upgrade.
    pub(super) upgrade_refused: Option<u64>,
    /// A head it gave is not signed: nothing more is asked until it has shown a whole head.
    pub(super) suspected: Option<CheckError>,
    /// Forks and shorter lengths it claimed, so that each is reported once.
    pub(super) claims: BTreeSet<(u64, u64)>,
    /// Heads that it showed unasked.
    pub(super) heads_shown: u32,
    /// The length of the last head of its that was asked for to be compared with ours.
    pub(super) compared_length: u64,
    /// When the next one may be asked for.
    pub(super) compare_from: u64,
    /// The signed head of its log, if that is a shorter part of ours, and when it was shown.
    pub(super) shorter: Option<(SignedHead, u64)>,
    /// Regions we asked it about.
    pub(super) asked_regions: BTreeSet<u64>,
    /// It has more than we could keep.
    pub(super) has_forgotten: bool,

    /// What it asked for, in order.
    pub(super) requests: Requests,
    /// Regions it asked about, waiting for an answer.
    pub(super) wants: BTreeSet<(u64, u64, bool)>,
    /// When the next region may be searched for it.
    pub(super) wants_from: u64,
    regions_searched_until: u64,
    /// Regions whose new blocks it wants to hear of.
    pub(super) informed: BTreeSet<u64>,
    /// Bytes handed out for it since the last word that all is written.
    pub(super) unsent_bytes: usize,
    pub(super) refused: u32,
}

/// Requests that wait for their turn, found by number too.
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

    /// Puts a request at the end. One of the same number that still waits is dropped, as JavaScript peers expect.
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
    /// A peer of whom nothing is known. What it has matters only where something is fetched.
    pub(super) fn new(is_source: bool) -> Self {
        Self {
            sync: None,
            told: None,
            has: Ranges::new(if is_source { PEER_RUNS_MAX } else { 1 }),
            announced: 0,
            pending: BTreeMap::new(),
            window: WINDOW_START,
            is_growing_fast: true,
            answers_since_growth: 0,
            answered_at: 0,
            heard_at: 0,
            answered_latest: 0,
            has_delivered: false,
            strikes: 0,
            paused_until: 0,
            refusals_in_a_row: 0,
            upgrade_refused: None,
            suspected: None,
            claims: BTreeSet::new(),
            heads_shown: 0,
            compared_length: 0,
            compare_from: 0,
            shorter: None,
            asked_regions: BTreeSet::new(),
            has_forgotten: false,
            requests: Requests::default(),
            wants: BTreeSet::new(),
            wants_from: 0,
            regions_searched_until: 0,
            informed: BTreeSet::new(),
            unsent_bytes: 0,
            refused: 0,
        }
    }

    /// The state it told, if it is on our fork.
    pub(super) fn same_fork(&self) -> Option<&Sync> {
        self.sync.as_ref().filter(|sync| sync.fork == 0)
    }

    /// Whether anything may be asked of it now.
    pub(super) fn is_usable(&self, now: u64) -> bool {
        self.same_fork().is_some_and(|sync| sync.uploading)
            && self.suspected.is_none()
            && now >= self.paused_until
    }

    /// How many more requests it may have in flight.
    pub(super) fn room(&self) -> usize {
        (self.window as usize).saturating_sub(self.pending.len())
    }

    pub(super) fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// When it was asked for a longer head that it still owes.
    pub(super) fn owes_upgrade_since(&self) -> Option<u64> {
        let is_upgrade = |pending: &&Pending| matches!(pending.asked, Asked::Upgrade { .. });
        self.pending.values().find(is_upgrade).map(|pending| pending.sent_at)
    }

    /// It has answered a request, one way or the other: gives what it was.
    pub(super) fn take_pending(&mut self, request: u64) -> Option<Pending> {
        let pending = self.pending.remove(&request)?;
        self.answered_latest = self.answered_latest.max(request);
        Some(pending)
    }

    /// An answer came in time: it may have more in flight. Doubles per round trip until the first time-out.
    pub(super) fn answered(&mut self, now: u64, window_max: u32) {
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

    /// It refused to answer. How often in a row it has.
    pub(super) fn refused_us(&mut self, now: u64) -> u32 {
        self.answered_at = now;
        self.refusals_in_a_row += 1;
        self.refusals_in_a_row
    }

    /// It let us wait too long: ask less, and leave it alone for a while, longer each time.
    pub(super) fn timed_out(&mut self, now: u64, timeout_ms: u64) {
        self.is_growing_fast = false;
        self.window = (self.window / 2).max(WINDOW_MIN);
        let pause = timeout_ms.saturating_mul(1 << self.strikes.min(6)).min(PAUSE_MS_MAX);
        self.paused_until = now.saturating_add(pause);
        self.strikes = self.strikes.saturating_add(1);
    }

    /// A region was searched bit by bit for it, which takes milliseconds: so many at once, then one at a time.
    pub(super) fn region_searched(&mut self, now: u64) {
        self.regions_searched_until = self.regions_searched_until.max(now) + REGION_PAUSE_MS;
        self.wants_from = self.regions_searched_until.saturating_sub(REGIONS_AT_ONCE * REGION_PAUSE_MS);
    }

    /// When silence has lasted too long, if anything is awaited.
    pub(super) fn silence_deadline(&self, timeout_ms: u64) -> Option<u64> {
        let (_, oldest) = self.pending.first_key_value()?;
        Some(oldest.sent_at.max(self.answered_at).max(self.heard_at).saturating_add(timeout_ms))
    }

    /// When the oldest request has been passed over for too long while others were answered.
    pub(super) fn passed_over_deadline(&self, timeout_ms: u64) -> Option<u64> {
        let (&number, oldest) = self.pending.first_key_value()?;
        let is_passed_over = number < self.answered_latest;
        is_passed_over.then(|| oldest.sent_at.saturating_add(timeout_ms.saturating_mul(6)))
    }
}
