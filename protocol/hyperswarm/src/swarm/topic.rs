//! The state of one topic: when it is looked up and announced.

use std::time::Duration;

use super::{Roles, random_part};
use libvms_hypercore::time::Instant;

/// Delay from the first lookup of a topic to the second. Two nodes that announce themselves at the same moment do not
/// see each other then, and a client that waits for a host that is just being started must not wait for minutes.
const FIRST_REFRESH_INTERVAL: Duration = Duration::from_secs(10);
/// The largest delay; it doubles up to this, as in the reference: nodes keep announcements for 13 minutes at least.
const REFRESH_INTERVAL: Duration = Duration::from_secs(600);
/// The divisor of the random extra delay (at most a fifth), so that not all nodes ask at once.
const SPREAD: u32 = 5;

/// Delay if no node answered: the network of this machine is most likely gone for the moment.
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// A joined topic.
#[derive(Debug)]
pub(super) struct Topic {
    roles: Roles,
    state: State,
    /// Delay after the next lookup.
    interval: Duration,
}

#[derive(Debug)]
enum State {
    /// The topic is due for a lookup at this time.
    Due { at: Instant },
    /// A lookup is in progress.
    Refreshing {
        /// Whether something changed meanwhile, so that another lookup must follow.
        again: bool,
    },
}

impl Topic {
    pub(super) fn new(roles: Roles, now: Instant) -> Self {
        Self { roles, state: State::Due { at: now }, interval: FIRST_REFRESH_INTERVAL }
    }

    pub(super) fn roles(&self) -> Roles {
        self.roles
    }

    pub(super) fn due_at(&self) -> Option<Instant> {
        match self.state {
            State::Due { at } => Some(at),
            State::Refreshing { .. } => None,
        }
    }

    /// Changes the roles. Returns whether there is an announcement to withdraw.
    pub(super) fn change(&mut self, roles: Roles, now: Instant) -> bool {
        let before = std::mem::replace(&mut self.roles, roles);
        if before != roles {
            self.hurry(now);
        }
        before.server && !roles.server
    }

    /// Looks the topic up as soon as possible.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.interval = FIRST_REFRESH_INTERVAL;
        self.state = match self.state {
            State::Due { .. } => State::Due { at: now },
            State::Refreshing { .. } => State::Refreshing { again: true },
        };
    }

    /// Begins a lookup if one is due. Returns whether it did.
    pub(super) fn begin_if_due(&mut self, now: Instant) -> bool {
        let is_due = self.due_at().is_some_and(|at| at <= now);
        if is_due {
            self.state = State::Refreshing { again: false };
        }
        is_due
    }

    pub(super) fn refresh_failed(&mut self, now: Instant, chance: u32) {
        self.state = due_after(RETRY_DELAY, now, chance);
    }

    pub(super) fn refreshed(&mut self, now: Instant, chance: u32) {
        if let State::Refreshing { again: true } = self.state {
            self.state = State::Due { at: now };
            return;
        }
        self.state = due_after(self.interval, now, chance);
        self.interval = (2 * self.interval).min(REFRESH_INTERVAL);
    }
}

fn due_after(interval: Duration, now: Instant, chance: u32) -> State {
    State::Due { at: now + interval + random_part(interval / SPREAD, chance) }
}
