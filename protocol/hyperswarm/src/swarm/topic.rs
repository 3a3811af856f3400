//! One topic: when it is looked up and announced.

use super::Roles;

/// A topic is looked up again so many milliseconds after the first time. Two that announce themselves at the same moment
/// do not see each other then, and somebody who waits for a host that is just being started must not wait for minutes.
const FIRST_REFRESH_MS: u64 = 10_000;
/// Each time it takes twice as long until it is this, as in the reference: nodes keep announcements for 13 minutes at least.
const REFRESH_MS: u64 = 600_000;
/// At most this share comes on top, by chance, so that not all nodes ask at once.
const SPREAD: u64 = 5;

/// When nobody answered: the network of this machine is most likely gone for the moment.
const RETRY_MS: u64 = 10_000;

/// A topic that was joined.
#[derive(Debug)]
pub(super) struct Topic {
    roles: Roles,
    state: State,
    /// How long to wait after the next lookup.
    interval_ms: u64,
}

#[derive(Debug)]
enum State {
    /// It is to be looked up at this moment.
    Due { at: u64 },
    /// It is being looked up.
    Refreshing {
        /// Something changed meanwhile: once more.
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

    /// Takes other roles. Says whether there is an announcement to take back.
    pub(super) fn change(&mut self, roles: Roles, now: u64) -> bool {
        let before = std::mem::replace(&mut self.roles, roles);
        if before != roles {
            self.hurry(now);
        }
        before.server && !roles.server
    }

    /// Looks it up as soon as possible.
    pub(super) fn hurry(&mut self, now: u64) {
        self.interval_ms = FIRST_REFRESH_MS;
        self.state = match self.state {
            State::Due { .. } => State::Due { at: now },
            State::Refreshing { .. } => State::Refreshing { again: true },
        };
    }

    /// Whether a lookup begins now.
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
