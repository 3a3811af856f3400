//! The state of one peer: its priority, and when to try it next.

use std::collections::BTreeSet;

use super::TopicKey;
use crate::dht_rpc::Address;

/// A connection that lasted this long was a good one: the count of attempts starts anew.
const GOOD_MS: u64 = 15_000;
/// Attempts after which a peer that was only found is left alone until it is found again.
const ATTEMPTS_MAX: u32 = 3;
/// Delay before each attempt to a peer that was connected before, and to one that never was.
const DELAYS_PROVEN_MS: [u64; 4] = [1_000, 1_000, 5_000, 15_000];
const DELAYS_UNPROVEN_MS: [u64; 4] = [1_000, 5_000, 15_000, 15_000];
/// Delay after the peer said that it cannot connect at the moment, at least and at most: the reference pauses as long
/// within an attempt. A hole between two firewalls is punched for half a minute, one at a time.
const POSTPONED_MS: std::ops::Range<u64> = 10_000..20_000;
/// How often in a row such a delay does not count as an attempt.
const POSTPONED_MAX: u32 = 8;
/// Delay before further attempts to a peer that was asked for by its key.
const DELAY_EXPLICIT_MS: u64 = 600_000;

/// The priority of a peer among those to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Tried too often.
    VeryLow,
    /// Tried three times.
    Low,
    /// Not tried yet.
    Normal,
    /// Tried twice.
    High,
    /// Tried once: most likely the failure was temporary.
    VeryHigh,
    /// Asked for by its key.
    Explicit,
}

/// The state of a peer's connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// No connection, and no attempt planned.
    #[default]
    Idle,
    /// The next attempt begins at this time.
    Waiting {
        until: u64,
    },
    /// An attempt is in progress.
    Connecting,
    Connected,
}

/// The state of one peer.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) state: State,
    pub(super) relays: Vec<Address>,
    pub(super) topics: BTreeSet<TopicKey>,
    pub(super) is_explicit: bool,
    pub(super) is_banned: bool,
    attempts: u32,
    /// Number of postponements since the last attempt that counted.
    postponed: u32,
    /// Whether it was ever connected.
    is_proven: bool,
}

impl Peer {
    /// Returns whether a connection is wanted for as long as there is none.
    pub(super) fn is_wanted(&self) -> bool {
        !self.is_banned && (self.is_explicit || !self.topics.is_empty())
    }

    /// Returns when to try it, if at all.
    pub(super) fn due_at(&self) -> Option<u64> {
        match self.state {
            State::Waiting { until } if self.is_wanted() => Some(until),
            _ => None,
        }
    }

    pub(super) fn priority(&self) -> Priority {
        match self.attempts {
            _ if self.is_explicit => Priority::Explicit,
            0 => Priority::Normal,
            1 => Priority::VeryHigh,
            2 => Priority::High,
            3 => Priority::Low,
            _ => Priority::VeryLow,
        }
    }

    /// Tries it now, unless an attempt or connection exists.
    pub(super) fn wish(&mut self, now: u64) {
        if self.state == State::Idle {
            self.state = State::Waiting { until: now };
        }
    }

    /// Notes that a lookup found it. A peer that had been given up gets another chance: it is there, after all.
    pub(super) fn found_again(&mut self, now: u64) {
        if self.state == State::Idle && self.attempts > ATTEMPTS_MAX {
            self.attempts = 0;
        }
        self.wish(now);
    }

    pub(super) fn connected(&mut self) {
        self.state = State::Connected;
        self.is_proven = true;
        self.postponed = 0;
    }

    /// Notes that its connection ended after `lasted` milliseconds, or was never made. `chance` spreads the attempts of
    /// peers that lost it at once.
    pub(super) fn lost(&mut self, now: u64, lasted: u64, chance: u32) {
        if lasted >= GOOD_MS {
            self.attempts = 0;
        }
        self.attempts += 1;
        self.postponed = 0;
        self.state = match self.delay() {
            Some(delay) => State::Waiting { until: now + delay + u64::from(chance) % (delay / 2).max(1) },
            None => State::Idle,
        };
    }

    /// Postpones the attempt: the peer is there and cannot connect at the moment. Nothing is wrong with it, so it keeps
    /// its priority and is not given up, unless that goes on.
    pub(super) fn postpone(&mut self, now: u64, chance: u32) {
        if self.postponed >= POSTPONED_MAX {
            return self.lost(now, 0, chance);
        }
        self.postponed += 1;
        let spread = u64::from(chance) % (POSTPONED_MS.end - POSTPONED_MS.start);
        self.state = State::Waiting { until: now + POSTPONED_MS.start + spread };
    }

    fn delay(&self) -> Option<u64> {
        let delays = if self.is_proven { DELAYS_PROVEN_MS } else { DELAYS_UNPROVEN_MS };
        match delays.get(self.attempts as usize) {
            Some(delay) => Some(*delay),
            None => self.is_explicit.then_some(DELAY_EXPLICIT_MS),
        }
    }
}
