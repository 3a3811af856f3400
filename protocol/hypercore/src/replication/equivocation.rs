//! Equivocation: comparison of whole heads that peers show with our log, and the evidence against its writer if they
//! differ.
//!
//! A longer log shows by its upgrade whether it extends ours. Of all others the head is requested: now and then of
//! peers whose log is not longer, at once of those that claim a fork, that have shrunk, or whose head does not extend
//! ours.

use std::time::Duration;

use super::evidence::{Evidence, HeadProof};
use super::peer::{Asked, Peer, PeerFault, PeerId};
use super::prove::answer;
use super::store::{Store, roots_at};
use super::verify::{CheckError, Head, check_head};
use super::{Download, HEADS_SHOWN_MAX, Replicator};
use crate::blocks::Length;
use crate::time::Instant;
use crate::wire::message::{Data, Request, RequestUpgrade, Sync};

/// How long a downloading peer may have a shorter log than ours before it is reported: far longer than it takes to
/// request the longer head from us. A peer that does not request it has written the log, and lost some of it.
const SHORTER_TIME_MAX: Duration = Duration::from_secs(10);

/// How often a peer's shorter or equal log is compared with ours, as far as it has changed.
const COMPARE_INTERVAL: Duration = Duration::from_secs(10);

impl Replicator {
    /// Requests the heads of peers whose log is as long as ours or shorter. A longer log shows by its upgrade whether
    /// it extends ours; without this, two logs of one length would coexist unnoticed.
    pub(super) fn compare_heads(&mut self, now: Instant) {
        let due = |peer: &Peer| self.length_to_compare(peer).filter(|_| peer.compare_from <= now);
        let due: Vec<(PeerId, Length)> =
            self.peers.iter().filter_map(|(&id, peer)| Some((id, due(peer)?))).collect();
        for (id, length) in due {
            self.with_peer(id, |peer| {
                peer.compared_length = length;
                peer.compare_from = now + COMPARE_INTERVAL;
            });
            self.ask_for_head(now, id, 0, length);
        }
        self.report_shorter(now);
    }

    /// Reports the logs that have stayed shorter than ours for too long, each once.
    fn report_shorter(&mut self, now: Instant) {
        let ours = self.length;
        let mut stayed = vec![];
        for (&id, peer) in &mut self.peers {
            if peer.shorter_deadline(ours).is_some_and(|deadline| deadline <= now) {
                stayed.extend(
                    peer.shorter.take().map(|(theirs, _)| Evidence::ShorterSigned { peer: id, theirs }),
                );
            }
        }
        stayed.into_iter().for_each(|evidence| self.report(evidence));
    }

    /// Returns the length of a peer's log, if it was not compared with ours yet and our whole tree over it is stored.
    pub(super) fn length_to_compare(&self, peer: &Peer) -> Option<Length> {
        let length = peer.same_fork().filter(|sync| sync.uploading)?.length;
        let is_whole = length == self.length || length < self.length && self.contiguous == self.length;
        // A writer checks each peer once; a copy checks at each change.
        let is_due = self.config.download != Download::Heads || peer.compared_length.is_empty();
        let is_new = !length.is_empty() && length != peer.compared_length && is_due;
        (is_whole && is_new && self.config.download != Download::Nothing).then_some(length)
    }

    /// Requests the proof of a whole head, which the peer can make from its roots alone.
    pub(super) fn ask_for_head(&mut self, now: Instant, id: PeerId, fork: u64, length: Length) {
        self.send_request(now, id, Asked::Head { fork, length }, 0);
    }

    /// Takes a head that a peer shows unasked, under request number 0: a peer that found two signed logs shows its own
    /// to everybody.
    pub(super) fn take_shown_head(&mut self, id: PeerId, data: &Data, store: &impl Store) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.heads_shown = peer.heads_shown.saturating_add(1);
        if peer.heads_shown > HEADS_SHOWN_MAX {
            return;
        }
        if let Some(evidence) = self.judge_head(id, data, store).ok().flatten() {
            self.report(evidence);
        }
    }

    /// Reports a signed head that is not simply a part of our log.
    pub(super) fn take_head(
        &mut self,
        now: Instant,
        id: PeerId,
        data: &Data,
        store: &impl Store,
    ) -> Result<(), PeerFault> {
        let suspected = self.peers.get(&id).and_then(|peer| peer.suspected);
        let evidence = self.judge_head(id, data, store).map_err(|why| suspected.unwrap_or(why))?;
        match evidence {
            // Its log is signed, and differs from ours: it stays a suspect that gets no more requests. Disconnecting it
            // would only bring it back.
            Some(evidence) if suspected.is_some() && evidence.is_signed() => {
                self.report(evidence);
                return Ok(());
            }
            Some(evidence) => self.report(evidence),
            None => {
                let head = check_head(self.key, data).ok().map(|head| head.signed);
                let shorter = head.filter(|head| head.length() < self.length).map(|head| (head, now));
                self.with_peer(id, |peer| peer.shorter = shorter);
            }
        }
        suspected.map_or(Ok(()), |why| Err(why.into()))
    }

    /// Returns the evidence in a proof of a whole head against the writer of the log.
    fn judge_head(
        &self,
        id: PeerId,
        data: &Data,
        store: &impl Store,
    ) -> Result<Option<Evidence>, CheckError> {
        let Head { signed: theirs, length, tree_hash } = check_head(self.key, data)?;
        if theirs.fork() != 0 {
            return Ok(Some(Evidence::ForkSigned { peer: id, theirs }));
        }
        let is_ours = roots_at(store, length).map(|roots| roots.tree_hash() == tree_hash);
        if is_ours == Some(false) {
            return Ok(self.conflict(id, length, data, store));
        }
        // Without such a claim it is the head of a peer that is behind, as peers are.
        let has_shrunk = self.peers.get(&id).is_some_and(|peer| peer.claims.contains(&(0, length)));
        let is_shorter = has_shrunk && theirs.length() < self.length;
        Ok(is_shorter.then_some(Evidence::ShorterSigned { peer: id, theirs }))
    }

    /// Returns the peer's head beside ours, as proofs from the length at which they differ. `None` if the nodes are not
    /// stored that prove how our head extends that length.
    fn conflict(&self, id: PeerId, length: Length, data: &Data, store: &impl Store) -> Option<Evidence> {
        let upgrade = Some(RequestUpgrade { start: Length::ZERO, length: length.0 });
        let ours = answer(store, &Request { upgrade, ..Request::default() }).ok()?.upgrade?;
        let ours = Box::new(HeadProof::check(self.key, 0, ours).ok()?);
        let theirs = Box::new(HeadProof::check(self.key, 0, data.upgrade.clone()?).ok()?);
        ours.contradicts(&theirs).then_some(Evidence::Conflict { peer: id, ours, theirs })
    }
}

impl Peer {
    /// Returns when the peer's log, a shorter part of ours, has been so for too long.
    pub(super) fn shorter_deadline(&self, ours: Length) -> Option<Instant> {
        let (head, since) = self.shorter?;
        let is_still = |sync: &&Sync| sync.downloading && sync.length == head.length();
        self.same_fork().filter(is_still).filter(|_| head.length() < ours)?;
        Some(since + SHORTER_TIME_MAX)
    }
}
