//! One topic: when it is looked up and announced.

use super::Roles;

/// A topic is looked up again so many milliseconds after the last time, and announcements are renewed: nodes keep
/// them for 13 minutes at least.
const REFRESH_MS: u64 = 600_000;
/// At most so much comes on top, by chance, so that not all nodes ask at once.
const REFRESH_SPREAD_MS: u64 = 120_000;

/// A topic that was joined.
#[derive(Debug)]
pub(super) struct Topic {
    roles: Roles,
    state: State,
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
        Self { roles, state: State::Due { at: now } }
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

    pub(super) fn refreshed(&mut self, now: u64, chance: u32) {
        self.state = match self.state {
            State::Refreshing { again: true } => State::Due { at: now },
            _ => State::Due { at: now + REFRESH_MS + u64::from(chance) % REFRESH_SPREAD_MS },
        };
    }
}
