//! Hedged requests: a block that a peer has not delivered for 2 s is also requested from an idle peer.
//!
//! The first peer may still answer: the answer that arrives first is taken, the other one is already stored.

use std::time::Duration;

use super::Replicator;
use super::download::provable_length;
use super::peer::{Peer, PeerId};
use super::store::Store;
use crate::blocks::BlockIndex;
use crate::time::Instant;

/// How long a peer may owe an answer before idle peers are asked for it too.
const HELP_AFTER: Duration = Duration::from_secs(2);

/// How often to look for such requests.
const HELP_INTERVAL: Duration = Duration::from_millis(500);

impl Replicator {
    /// Returns when to look whether an idle peer can answer a request that another peer owes.
    pub(super) fn help_deadline(&self) -> Option<Instant> {
        let is_waiting = self.upgrade_from.is_some() || !self.requested.is_empty();
        (is_waiting && self.peers.len() > 1).then_some(self.help_from)
    }

    /// Requests from idle peers what others have owed for long: the silence of one must not hold up what another can
    /// deliver. The answer that arrives first is taken.
    pub(super) fn help(&mut self, now: Instant, store: &impl Store) {
        self.help_from = now + HELP_INTERVAL;
        self.help_with_upgrade(now, store);
        let is_idle = |peer: &Peer| peer.pending.is_empty() && peer.is_usable(now);
        let idle: Vec<PeerId> =
            self.peers.iter().filter(|(_, peer)| is_idle(peer)).map(|(&id, _)| id).collect();
        for id in idle {
            for block in self.late_blocks(now, id, store) {
                self.ask_for_block(now, id, block, store);
            }
        }
    }

    fn late_blocks(&self, now: Instant, helper: PeerId, store: &impl Store) -> Vec<BlockIndex> {
        let Some(peer) = self.peers.get(&helper) else { return vec![] };
        let end = provable_length(peer, self.length, store);
        let late = self.requested.iter().filter(|(block, asking)| {
            asking.from != helper
                && asking.at + HELP_AFTER <= now
                && end.has(**block)
                && peer.has.contains(**block)
        });
        late.map(|(&block, _)| block).take(peer.room()).collect()
    }

    fn help_with_upgrade(&mut self, now: Instant, store: &impl Store) {
        let Some(holder) = self.upgrade_from else { return };
        let since = self.peers.get(&holder).and_then(Peer::owes_upgrade_since);
        if since.is_some_and(|since| since + HELP_AFTER <= now) {
            self.upgrade_from = None;
            self.ask_for_upgrade(now, store);
            self.upgrade_from.get_or_insert(holder);
        }
    }
}
