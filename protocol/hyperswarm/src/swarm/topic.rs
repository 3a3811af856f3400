//! The state of one topic: when it is looked up and announced.

use super::Roles;

/// Delay from the first lookup of a topic to the second. Two nodes that announce themselves at the same moment do not
/// see each other then, and a client that waits for a host that is just being started must not wait for minutes.
const FIRST_REFRESH_MS: u64 = 10_000;
/// The largest delay; it doubles up to this, as in the reference: nodes keep announcements for 13 minutes at least.
const REFRESH_MS: u64 = 600_000;
/// The divisor of the random extra delay (at most a fifth), so that not all nodes ask at once.
const SPREAD: u64 = 5;

/// Delay if no node answered: the network of this machine is most likely gone for the moment.
const RETRY_MS: u64 = 10_000;

/// A joined topic.
#[derive(Debug)]
pub(super) struct Topic {
    roles: Roles,
    state: State,
    /// Delay after the next lookup.
    interval_ms: u64,
}

#[derive(Debug)]
enum State {
    /// The topic is due for a lookup at this time.
    Due { at: u64 },
    /// A lookup is in progress.
    Refreshing {
        /// Whether something changed meanwhile, so that another lookup must follow.
        again: bool,
    },
}

impl Topic {
    pub(super) fn new(roles: Roles, now: u64) -> Self {
        Self { roles, state: State::Due { at: now }, interval_ms: FIRST_REFRESH_MS }
    }

    pub(super) fn roles(&self) -> Roles {
        self.roles
    }

    pub(super) fn due_at(&self) -> Option<u64> {
        match self.state {
            State::Due { at } => Some(at),
            State::Refreshing { .. } => None,
        }
    }

    /// Changes the roles. Returns whether there is an announcement to withdraw.
    pub(super) fn change(&mut self, roles: Roles, now: u64) -> bool {
        let before = std::mem::replace(&mut self.roles, roles);
        if before != roles {
            self.hurry(now);
        }
        before.server && !roles.server
    }

    /// Looks the topic up as soon as possible.
    pub(super) fn hurry(&mut self, now: u64) {
        self.interval_ms = FIRST_REFRESH_MS;
        self.state = match self.state {
            State::Due { .. } => State::Due { at: now },
            State::Refreshing { .. } => State::Refreshing { again: true },
        };
    }

    /// Begins a lookup if one is due. Returns whether it did.
    pub(super) fn begin_if_due(&mut self, now: u64) -> bool {
        let is_due = self.due_at().is_some_and(|at| at <= now);
        if is_due {
            self.state = State::Refreshing { again: false };
        }
        is_due
    }

    pub(super) fn refresh_failed(&mut self, now: u64, chance: u32) {
        self.state = due_after(RETRY_MS, now, chance);
    }

    pub(super) fn refreshed(&mut self, now: u64, chance: u32) {
        if let State::Refreshing { again: true } = self.state {
            self.state = State::Due { at: now };
            return;
        }
        self.state = due_after(self.interval_ms, now, chance);
        self.interval_ms = (2 * self.interval_ms).min(REFRESH_MS);
    }
}

fn due_after(interval_ms: u64, now: u64, chance: u32) -> State {
    State::Due { at: now + interval_ms + u64::from(chance) % (interval_ms / SPREAD) }
}
