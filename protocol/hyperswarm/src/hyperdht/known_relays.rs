//! The relays through which peers were reached before: [`KnownRelays`].
//!
//! A second connection to the same peer goes through the nodes of the first one and needs no lookup. A note is taken
//! when a peer has answered a handshake, which cannot be forged; it lists the node that relayed the answer, and those
//! that the peer named itself. It is dropped when none of them reaches the peer any more, and after an hour: until then
//! the nodes that a server pings every few seconds have mostly stayed the same. A wrong note costs the timeout of one
//! packet without an answer; then the peer is looked up as if there were none.
//!
//! Source: npm hyperdht (`lib/connect.js`), which keeps as many for as long as it runs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::dht_rpc::address::Address;
use crate::hyperdht::record::RELAYS_MAX;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::time::Instant;

/// Peers with a note. Beyond it the oldest note is dropped.
const PEERS_MAX: usize = 512;
/// How long a note is valid.
const NOTE_KEPT: Duration = Duration::from_secs(60 * 60);

/// Notes of peers that were reached.
#[derive(Debug, Default)]
pub(crate) struct KnownRelays(BTreeMap<PublicKey, Note>);

#[derive(Debug)]
struct Note {
    at: Instant,
    relays: Vec<Address>,
}

impl KnownRelays {
    /// Returns the nodes through which a peer was reached, the best first; empty if none are known.
    pub(crate) fn of(&self, now: Instant, peer: &PublicKey) -> &[Address] {
        match self.0.get(peer) {
            Some(note) if note.at + NOTE_KEPT > now => &note.relays,
            _ => &[],
        }
    }

    /// Notes that `peer` was reached through `through`, and that according to it `named` know it, too.
    pub(crate) fn note(&mut self, now: Instant, peer: PublicKey, through: Address, named: &[Address]) {
        let mut relays = vec![through];
        for relay in named.iter().filter(|relay| relay.port() != 0) {
            if relays.len() < RELAYS_MAX && !relays.contains(relay) {
                relays.push(*relay);
            }
        }
        self.0.insert(peer, Note { at: now, relays });
        if self.0.len() > PEERS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, note)| note.at).map(|(peer, _)| *peer);
            oldest.inspect(|oldest| _ = self.0.remove(oldest));
        }
    }

    /// Drops the note of a peer, because it was of no use.
    pub(crate) fn drop(&mut self, peer: &PublicKey) {
        self.0.remove(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(port: u16) -> Address {
        Address::new([20, 0, 0, 1].into(), port)
    }

    fn peer(number: u16) -> PublicKey {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&number.to_le_bytes());
        PublicKey(key)
    }

    #[test]
    fn a_note_lists_a_few_nodes_and_expires_after_an_hour() {
        let mut known = KnownRelays::default();
        let named = [relay(0), relay(7), relay(8), relay(9), relay(10)];
        let noted = Instant::from_millis(5);
        known.note(noted, peer(1), relay(8), &named);
        assert_eq!(
            known.of(noted + NOTE_KEPT - Duration::from_millis(1), &peer(1)),
            [relay(8), relay(7), relay(9)]
        );
        assert!(known.of(noted + NOTE_KEPT, &peer(1)).is_empty() && known.of(noted, &peer(2)).is_empty());
        known.note(Instant::from_millis(6), peer(1), relay(3), &[]);
        assert_eq!(known.of(Instant::from_millis(6), &peer(1)), [relay(3)]);
        known.drop(&peer(1));
        assert!(known.of(Instant::from_millis(6), &peer(1)).is_empty());
    }

    #[test]
    fn the_oldest_note_is_forgotten_when_there_are_too_many() {
        let mut known = KnownRelays::default();
        for number in 0..=PEERS_MAX as u16 {
            known.note(Instant::from_millis(number.into()), peer(number), relay(1), &[]);
        }
        assert_eq!(known.0.len(), PEERS_MAX);
        assert!(
            known.of(Instant::from_millis(600), &peer(0)).is_empty()
                && !known.of(Instant::from_millis(600), &peer(1)).is_empty()
        );
    }
}
