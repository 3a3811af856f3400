//! [`UnreachablePeers`] warns the operator when peers were found but none could be connected to, with the reasons.
//!
//! A single failed attempt is no reason for a warning: peers go, and firewalls open at the second try. When all attempts fail
//! for a while, silence would look like a service that is down.

use std::collections::BTreeMap;
use std::time::Duration;

use libvms_hypercore::identity::PublicKey;
use libvms_hyperswarm::swarm::node::DialFailure;
use tokio::time::Instant;
use tracing::warn;

/// How long attempts must fail before the warning.
const PATIENCE: Duration = Duration::from_secs(20);
/// The warning is repeated after this time.
const REPEATED_AFTER: Duration = Duration::from_secs(600);
/// Limit of remembered peers. Anybody can announce as many as they like.
const PEERS_MAX: usize = 64;

/// The peers that could not be reached, since the last peer that could.
#[derive(Debug, Default)]
pub(super) struct UnreachablePeers {
    speak_at: Option<Instant>,
    failures: BTreeMap<PublicKey, DialFailure>,
}

impl UnreachablePeers {
    /// Records that a peer could not be reached.
    pub(super) fn failed(&mut self, now: Instant, peer: PublicKey, why: DialFailure) {
        self.speak_at.get_or_insert(now + PATIENCE);
        if self.failures.len() < PEERS_MAX || self.failures.contains_key(&peer) {
            self.failures.insert(peer, why);
        }
    }

    /// Forgets all failures: a peer was reached.
    pub(super) fn ended(&mut self) {
        *self = Self::default();
    }

    /// Returns when [`speak`](Self::speak) has a warning to log.
    pub(super) fn speak_at(&self) -> Option<Instant> {
        self.speak_at.filter(|_| !self.failures.is_empty())
    }

    /// Logs the warning when it is time. Returns the peers that it names, and the reason for each.
    pub(super) fn speak(&mut self, now: Instant) -> BTreeMap<PublicKey, DialFailure> {
        if self.speak_at().is_none_or(|at| at > now) {
            return BTreeMap::new();
        }
        self.speak_at = Some(now + REPEATED_AFTER);
        let failures = std::mem::take(&mut self.failures);
        for (peer, why) in &failures {
            warn!(%peer, %why, "found a peer that cannot be reached; nobody else is connected, and attempts go on");
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: DialFailure = DialFailure::Busy;

    #[test]
    fn failures_are_reported_after_a_while_and_not_all_the_time() {
        let (mut unreachable, now) = (UnreachablePeers::default(), Instant::now());
        assert_eq!((unreachable.speak_at(), unreachable.speak(now + REPEATED_AFTER).len()), (None, 0));
        unreachable.failed(now, PublicKey([1; 32]), BUSY);
        unreachable.failed(now + PATIENCE / 2, PublicKey([1; 32]), DialFailure::Silent);
        assert_eq!(unreachable.speak(now + PATIENCE / 2).len(), 0);
        assert_eq!(unreachable.speak_at(), Some(now + PATIENCE));
        assert_eq!(unreachable.speak(now + PATIENCE).len(), 1);
        unreachable.failed(now + PATIENCE, PublicKey([2; 32]), BUSY);
        assert_eq!(unreachable.speak(now + 2 * PATIENCE).len(), 0);
        assert_eq!(unreachable.speak(now + PATIENCE + REPEATED_AFTER).len(), 1);
    }

    #[test]
    fn a_reached_peer_ends_the_count_and_strangers_fill_no_memory() {
        let (mut unreachable, now) = (UnreachablePeers::default(), Instant::now());
        for peer in 0..=u8::MAX {
            unreachable.failed(now, PublicKey([peer; 32]), BUSY);
        }
        assert_eq!(unreachable.speak(now + PATIENCE).len(), PEERS_MAX);
        unreachable.ended();
        assert_eq!(unreachable.speak_at(), None);
    }
}
