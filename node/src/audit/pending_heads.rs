//! The signed heads of a published core, compared with the core as the logged calls left it: [`PendingHeads`].
//!
//! A host makes a call's entry durable before it appends the call's writes to the archive, and appends these as a
//! whole. So each signed head of the archive has a length that the archive had **after some logged call**, and the
//! content of that moment. A watcher may see such a head before the entry that accounts for it: cores arrive
//! over different connections and from different peers, and a replicator may have a newer archive than log. A head beyond
//! the log therefore waits, and does not convict; an entry that changes no files excludes nothing, since the next one may
//! explain the head. Once the log names the head's length, or goes past it, the head is judged. The proof is the signed
//! head, and the neighbouring entries under the log's own signed head; nothing needs to be executed.

use std::collections::VecDeque;

use libvms_hypercore::blocks::Length;
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::audit::{ArchiveCore, Violation};

/// Heads that may wait for the log. When a log lags by more, some heads of the archive pass unjudged.
const WAITING_MAX: usize = 64;

/// The heads of one core that were seen but not judged yet, shorter ones first.
#[derive(Debug, Default)]
pub(super) struct PendingHeads {
    waiting: VecDeque<SignedHead>,
    longest: Length,
}

impl PendingHeads {
    /// Takes the latest known head. Taking a head again changes nothing.
    pub(super) fn take(&mut self, head: SignedHead) {
        if head.length() > self.longest && self.waiting.len() < WAITING_MAX {
            self.longest = head.length();
            self.waiting.push_back(head);
        }
    }

    /// Returns the shortest head that the log does not account for yet: the first to be judged.
    pub(super) fn unexplained(&self) -> Option<&SignedHead> {
        self.waiting.front()
    }

    /// Judges all heads that the log has reached. `logged` holds length and tree hash of the core after each logged call, in
    /// order. Returns the first head that matches none of them.
    pub(super) fn judge(&mut self, core: ArchiveCore, logged: &[Logged]) -> Option<(SignedHead, Violation)> {
        let reached = logged.last().map(|(length, _)| *length).unwrap_or_default();
        while let Some(head) = self.waiting.front().copied().filter(|head| head.length() <= reached) {
            self.waiting.pop_front();
            let published = head.length();
            let violation = match logged.binary_search_by_key(&published, |(length, _)| *length) {
                Ok(place) if logged[place].1 == head.tree_hash() => continue,
                Ok(_) => Violation::ArchiveHeadDiffers { core, length: published },
                Err(place) => {
                    let before = place.checked_sub(1).map(|before| logged[before].0).unwrap_or_default();
                    Violation::ArchiveInsideCall { core, published, before, after: logged[place].0 }
                }
            };
            return Some((head, violation));
        }
        None
    }
}

/// Length and tree hash of a core after a call.
pub(super) type Logged = (Length, TreeHash);

#[cfg(test)]
mod tests {
    use libvms_hypercore::identity::SecretKey;

    use super::*;

    const HASH: TreeHash = TreeHash([0; 32]);

    fn lengths(lengths: &[u64]) -> Vec<Logged> {
        lengths.iter().map(|length| (Length(*length), HASH)).collect()
    }

    fn head(length: Length) -> SignedHead {
        SignedHead::sign(&SecretKey::from_seed(&[1; 32]), length, HASH)
    }

    #[test]
    fn a_head_is_judged_when_the_log_has_reached_it_and_not_before() {
        let mut heads = PendingHeads::default();
        heads.take(head(Length(4)));
        heads.take(head(Length(6)));
        heads.take(head(Length(5)));
        assert_eq!(heads.judge(ArchiveCore::Files, &lengths(&[1, 2, 3])), None);
        assert_eq!(heads.unexplained(), Some(&head(Length(4))));
        assert_eq!(heads.judge(ArchiveCore::Files, &lengths(&[1, 2, 3, 4])), None);
        assert_eq!(heads.judge(ArchiveCore::Files, &lengths(&[1, 2, 3, 4])), None, "judged once");
        let violation = Violation::ArchiveInsideCall {
            core: ArchiveCore::Files,
            published: Length(6),
            before: Length(4),
            after: Length(9),
        };
        assert_eq!(
            heads.judge(ArchiveCore::Files, &lengths(&[1, 2, 3, 4, 9])),
            Some((head(Length(6)), violation))
        );
        assert_eq!(heads.unexplained(), None);
    }

    #[test]
    fn heads_that_the_log_accounts_for_later_are_forgotten() {
        let mut heads = PendingHeads::default();
        (1..200).for_each(|length| heads.take(head(Length(length))));
        let lengths = lengths(&(1..=200).collect::<Vec<u64>>());
        for logged in 0..lengths.len() {
            assert_eq!(heads.judge(ArchiveCore::Blobs, &lengths[..logged]), None);
        }
        assert_eq!(heads.unexplained(), None);
        // The next head is taken again: the bound is on waiting heads, not on judged ones.
        heads.take(head(Length(300)));
        assert_eq!(heads.unexplained(), Some(&head(Length(300))));
    }

    #[test]
    fn a_head_of_a_logged_length_with_other_content_is_found() {
        let mut heads = PendingHeads::default();
        heads.take(head(Length(4)));
        assert_eq!(heads.judge(ArchiveCore::Files, &lengths(&[1, 3])), None, "nothing excludes it yet");
        let logged = [(Length(1), HASH), (Length(3), HASH), (Length(4), TreeHash([1; 32]))];
        let violation = Violation::ArchiveHeadDiffers { core: ArchiveCore::Files, length: Length(4) };
        assert_eq!(heads.judge(ArchiveCore::Files, &logged), Some((head(Length(4)), violation)));
    }
}
