//! The signed heads of a published core, held against the lengths that the logged calls gave it.
//!
//! A host makes a call's entry durable before it appends what the call wrote to the archive, and appends that as a
//! whole. So each head of the archive that it signs has a length that the archive had **after some logged call**. Who
//! copies the archive may see such a head before the entry that accounts for it: cores come over different connections
//! and from different peers, and a replicator may have a newer archive than log. A head beyond the log therefore
//! waits, and convicts nobody. Once the log has gone past its length, it is judged: a length that no call has left the
//! archive with was signed with blocks that the log does not account for. The proof is the signed head, and the two
//! neighbouring entries under the log's own signed head; nothing needs to be executed.

use std::collections::VecDeque;

use libvms_protocol::audit::{ArchiveCore, Violation};
use libvms_protocol::checkpoint::Checkpoint;

/// Heads that may wait for the log. A log that lags by more lets some heads of the archive go by unjudged.
const WAITING_MAX: usize = 64;

/// The heads of one core that were seen and not judged yet, shorter ones first.
#[derive(Debug, Default)]
pub(super) struct Heads {
    waiting: VecDeque<Checkpoint>,
    longest: u64,
}

impl Heads {
    /// Takes the latest head that is known. One that was taken before changes nothing.
    pub(super) fn take(&mut self, head: Checkpoint) {
        if head.length() > self.longest && self.waiting.len() < WAITING_MAX {
            self.longest = head.length();
            self.waiting.push_back(head);
        }
    }

    /// The longest head that the log does not account for yet.
    pub(super) fn unexplained(&self) -> Option<&Checkpoint> {
        self.waiting.back()
    }

    /// Judges all heads that the log has reached. `lengths` are those that the logged calls left the core with, in
    /// order. Gives the first head that none of them left.
    pub(super) fn judge(&mut self, core: ArchiveCore, lengths: &[u64]) -> Option<(Checkpoint, Violation)> {
        let logged = lengths.last().copied().unwrap_or(0);
        while let Some(head) = self.waiting.front().copied().filter(|head| head.length() <= logged) {
            self.waiting.pop_front();
            let published = head.length();
            if let Err(place) = lengths.binary_search(&published) {
                let before = place.checked_sub(1).map_or(0, |before| lengths[before]);
                let violation =
                    Violation::ArchiveInsideCall { core, published, before, after: lengths[place] };
                return Some((head, violation));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use libvms_protocol::identity::SecretKey;
    use libvms_protocol::tree::TreeHash;

    use super::*;

    fn head(length: u64) -> Checkpoint {
        Checkpoint::sign(&SecretKey::from_seed(&[1; 32]), length, TreeHash([0; 32]))
    }

    #[test]
    fn a_head_is_judged_when_the_log_has_reached_it_and_not_before() {
        let mut heads = Heads::default();
        heads.take(head(4));
        heads.take(head(6));
        heads.take(head(5));
        assert_eq!(heads.judge(ArchiveCore::Files, &[1, 2, 3]), None);
        assert_eq!(heads.unexplained(), Some(&head(6)));
        assert_eq!(heads.judge(ArchiveCore::Files, &[1, 2, 3, 4]), None);
        assert_eq!(heads.judge(ArchiveCore::Files, &[1, 2, 3, 4]), None, "judged once");
        let violation =
            Violation::ArchiveInsideCall { core: ArchiveCore::Files, published: 6, before: 4, after: 9 };
        assert_eq!(heads.judge(ArchiveCore::Files, &[1, 2, 3, 4, 9]), Some((head(6), violation)));
        assert_eq!(heads.unexplained(), None);
    }

    #[test]
    fn heads_that_the_log_accounts_for_later_are_forgotten() {
        let mut heads = Heads::default();
        (1..200).for_each(|length| heads.take(head(length)));
        let lengths: Vec<u64> = (1..=200).collect();
        for logged in 0..lengths.len() {
            assert_eq!(heads.judge(ArchiveCore::Blobs, &lengths[..logged]), None);
        }
        assert_eq!(heads.unexplained(), None);
        // The next one is taken again: what waits is bounded, not what is judged.
        heads.take(head(300));
        assert_eq!(heads.unexplained(), Some(&head(300)));
    }
}
