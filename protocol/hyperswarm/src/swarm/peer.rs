//! The state of one peer: its priority, and when to try it next.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{TopicKey, random_part};
use crate::dht_rpc::Address;
use libvms_hypercore::time::Instant;

/// A connection that lasted this long was a good one: the count of attempts starts anew.
const GOOD_AFTER: Duration = Duration::from_secs(15);
/// Attempts after which a peer that was only found is left alone until it is found again.
const ATTEMPTS_MAX: u32 = 3;
/// Delay before each attempt to a peer that was connected before, and to one that never was.
const DELAYS_PROVEN: [Duration; 4] = seconds([1, 1, 5, 15]);
const DELAYS_UNPROVEN: [Duration; 4] = seconds([1, 5, 15, 15]);
/// Delay after the peer said that it cannot connect at the moment, at least and at most: the reference pauses as long
/// within an attempt. A hole between two firewalls is punched for half a minute, one at a time.
const POSTPONED_TIME: Duration = Duration::from_secs(10);
const POSTPONED_TIME_MAX: Duration = Duration::from_secs(20);
/// How often in a row such a delay does not count as an attempt.
const POSTPONED_MAX: u32 = 8;
/// Delay before further attempts to a peer that was asked for by its key.
const DELAY_EXPLICIT: Duration = Duration::from_secs(600);

const fn seconds(delays: [u64; 4]) -> [Duration; 4] {
    let [first, second, third, fourth] = delays;
    [
        Duration::from_secs(first),
        Duration::from_secs(second),
        Duration::from_secs(third),
        Duration::from_secs(fourth),
    ]
}

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
        until: Instant,
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
    pub(super) fn due_at(&self) -> Option<Instant> {
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
    pub(super) fn wish(&mut self, now: Instant) {
        if self.state == State::Idle {
            self.state = State::Waiting { until: now };
        }
    }

    /// Notes that a lookup found it. A peer that had been given up gets another chance: it is there, after all.
    pub(super) fn found_again(&mut self, now: Instant) {
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

    /// Notes that its connection ended after this time, or was never made. `chance` spreads the attempts of
    /// peers that lost it at once.
    pub(super) fn lost(&mut self, now: Instant, lasted: Duration, chance: u32) {
        if lasted >= GOOD_AFTER {
            self.attempts = 0;
        }
        self.attempts += 1;
        self.postponed = 0;
        self.state = match self.delay() {
            Some(delay) => State::Waiting { until: now + delay + random_part(delay / 2, chance) },
            None => State::Idle,
        };
    }

    /// Postpones the attempt: the peer is there and cannot connect at the moment. Nothing is wrong with it, so it keeps
    /// its priority and is not given up, unless that goes on.
    pub(super) fn postpone(&mut self, now: Instant, chance: u32) {
        if self.postponed >= POSTPONED_MAX {
            return self.lost(now, Duration::ZERO, chance);
        }
        self.postponed += 1;
        let spread = random_part(POSTPONED_TIME_MAX - POSTPONED_TIME, chance);
        self.state = State::Waiting { until: now + POSTPONED_TIME + spread };
    }

    fn delay(&self) -> Option<Duration> {
        let delays = if self.is_proven { DELAYS_PROVEN } else { DELAYS_UNPROVEN };
        match delays.get(self.attempts as usize) {
            Some(delay) => Some(*delay),
            None => self.is_explicit.then_some(DELAY_EXPLICIT),
        }
    }
}
