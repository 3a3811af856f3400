//! Equivocation: a host signed two histories of one core.

use libvms_hypercore::blocks::Length;
use libvms_hypercore::replication::{Evidence, HeadProof};
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::{Node, TreeHash};
use serde::{Deserialize, Serialize};

use super::record::{Head, Tag, Version, check_path, constant, hashes, within};
use super::{Judged, ProofError, cannot_tell, describe, fails};

constant!(
    /// The `kind`.
    KindName: String = "equivocation"
);

/// The proof that the key of a core signed two histories of it: a head after a truncation; two heads of one length with
/// different hashes; or two heads of different lengths that differ at a length inside both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Equivocation {
    #[serde(rename = "type")]
    tag: Tag,
    v: Version,
    kind: KindName,
    /// One head with a fork, or two without.
    pub heads: Vec<Head>,
    /// The length at which the two histories differ, unless it is that of both heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Length>,
    /// For each head the given nodes of the cover of its length with the cut `at`; none where `at` is its length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<[Vec<Node>; 2]>,
}

impl Equivocation {
    /// The name of this kind.
    pub const KIND: &'static str = "equivocation";

    /// Makes the proof from a head after a truncation. `None` if its fork is 0.
    pub fn from_fork(head: &SignedHead) -> Option<Self> {
        Self::new(vec![head.into()], None, None)
    }

    /// Makes the proof from what replication found. `None` if that convicts nobody.
    pub fn from_evidence(evidence: &Evidence) -> Option<Self> {
        match evidence {
            Evidence::ForkSigned { theirs, .. } => Self::from_fork(theirs),
            Evidence::Conflict { ours, theirs, .. } => Self::from_conflict(ours, theirs),
            _ => None,
        }
    }

    /// Makes the proof from two heads that differ at the length from which they are proved. `None` if they do not.
    pub fn from_conflict(ours: &HeadProof, theirs: &HeadProof) -> Option<Self> {
        let (one, other) = (ours.head(), theirs.head());
        let heads = [(one.signed, nodes_of(ours)), (other.signed, nodes_of(theirs))];
        if one.length == other.length { Self::from_heads(heads, one.length) } else { None }
    }

    /// Makes the proof from two heads, in any order, and the nodes of the longer one's cover with the cut at the
    /// shorter one's length (a consistency proof). `None` if the shorter one is a part of the longer one, or if that
    /// cannot be told from these nodes.
    pub fn between(one: &SignedHead, other: &SignedHead, nodes: Vec<Node>) -> Option<Self> {
        let (shorter, longer) = if one.length() <= other.length() { (one, other) } else { (other, one) };
        Self::from_heads([(*shorter, vec![]), (*longer, nodes)], shorter.length())
    }

    /// Makes the proof from two heads, in any order, each with the nodes of its cover with the cut `at`; none where `at` is
    /// its length.
    pub(super) fn from_heads(mut heads: [(SignedHead, Vec<Node>); 2], at: Length) -> Option<Self> {
        // All that find the same two heads make the same file.
        heads.sort_by_key(|(head, _)| (head.length(), head.tree_hash()));
        let is_at_both = heads.iter().all(|(head, _)| head.length() == at);
        let [(one, one_path), (other, other_path)] = heads;
        let heads = vec![Head::from(&one), Head::from(&other)];
        if is_at_both {
            return Self::new(heads, None, None);
        }
        let path = |head: &SignedHead, path| if head.length() == at { vec![] } else { path };
        Self::new(heads, Some(at), Some([path(&one, one_path), path(&other, other_path)]))
    }

    /// Returns the proof if it holds.
    fn new(heads: Vec<Head>, at: Option<Length>, paths: Option<[Vec<Node>; 2]>) -> Option<Self> {
        let proof = Self { tag: Tag, v: Version, kind: KindName, heads, at, paths };
        (proof.check_bounds().is_ok() && proof.judge().is_ok()).then_some(proof)
    }

    pub(super) fn check_bounds(&self) -> Result<(), ProofError> {
        within("heads", self.heads.len(), 2)?;
        if self.heads.is_empty() {
            return Err(ProofError::malformed("an equivocation without a head"));
        }
        self.paths.iter().flatten().try_for_each(|path| check_path(path))
    }

    pub(super) fn judge(&self) -> Judged {
        for head in &self.heads {
            head.verify().map_err(|error| fails("head", error))?;
        }
        if self.heads.iter().any(|head| head.log != self.heads[0].log) {
            return Err(fails("heads", "they are of different keys"));
        }
        if self.heads.iter().any(|head| head.fork != 0) {
            return Ok(());
        }
        match &self.heads[..] {
            [one, other] => self.judge_pair(one, other),
            _ => Err(cannot_tell("the head is of fork 0, and there is no other")),
        }
    }

    /// Judges two heads of one key without a fork.
    fn judge_pair(&self, one: &Head, other: &Head) -> Judged {
        let (at, hashes) = match (self.at, &self.paths) {
            (None, None) if one.length == other.length => (one.length, [one.hash, other.hash]),
            (Some(at), Some([path, other_path])) => {
                (at, [hash_at(at, one, path)?, hash_at(at, other, other_path)?])
            }
            _ => return Err(cannot_tell("the nodes are missing that compare heads of different lengths")),
        };
        if hashes[0] == hashes[1] {
            return Err(fails("comparison", format_args!("both histories are the same at length {at}")));
        }
        Ok(())
    }

    pub(super) fn claim(&self) -> String {
        let log = self.heads.first().map(|head| head.log.to_string()).unwrap_or_default();
        match &self.heads[..] {
            [one, other] if one.fork == 0 && other.fork == 0 => {
                let (shorter, longer) = (one.length.min(other.length), one.length.max(other.length));
                let at = self.at.unwrap_or(shorter);
                format!(
                    "Key {log} signed two histories of one core, of {shorter} and of {longer} blocks, which differ \
                     within their first {at} blocks."
                )
            }
            heads => {
                let forks: Vec<String> =
                    heads.iter().map(|head| format!("{} at length {}", head.fork, head.length)).collect();
                format!("Key {log} signed a core after truncating it: fork {}.", forks.join(", "))
            }
        }
    }

    pub(super) fn contents(&self) -> String {
        let heads = describe::count(self.heads.len(), "signed head", "signed heads");
        let nodes = self.paths.iter().flatten().map(Vec::len).sum();
        format!("{heads}, {} of the trees.", describe::count(nodes, "node", "nodes"))
    }
}

/// Returns the tree hash of a signed log's first `at` blocks.
pub(super) fn hash_at(at: Length, head: &Head, path: &[Node]) -> Judged<TreeHash> {
    if at == head.length && path.is_empty() {
        return Ok(head.hash);
    }
    if at >= head.length {
        return Err(fails("path", format_args!("the head at length {} needs none to {at}", head.length)));
    }
    let hashes = hashes(head.length, &[], Some(at), path).map_err(|why| fails("path", why))?;
    if hashes.whole == head.hash {
        Ok(hashes.cut)
    } else {
        Err(fails("path", format_args!("it does not lead to the head at length {}", head.length)))
    }
}

/// Returns the nodes that lead from the length in question to the signed head: those of its cover, in order.
fn nodes_of(proof: &HeadProof) -> Vec<Node> {
    let sent = proof.proof();
    sent.nodes.iter().chain(&sent.additional_nodes).copied().collect()
}
