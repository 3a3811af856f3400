//! Inclusion: an entry stands in the log that the host signed. The receipt of a call is this proof.

use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::Node;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::basis::{check_head, check_path};
use super::path::Cover;
use super::record::{self, Bytes, Head, Tag, Version, constant};
use super::{Judged, ProofError, Verdict, describe};
use crate::entry::{Entry, EntryError};

constant!(
    /// The `kind`.
    KindName: String = "inclusion"
);

/// The proof that the key signed a log in which `entry` is block `block`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inclusion {
    #[serde(rename = "type")]
    tag: Tag,
    v: Version,
    kind: KindName,
    /// The signed head.
    pub checkpoint: Head,
    /// Number of the block.
    pub block: BlockIndex,
    /// The block.
    pub entry: Bytes,
    /// The given nodes of its [`Cover`].
    pub path: Vec<Node>,
}

/// Why a receipt does not show an entry.
#[derive(Debug, Error)]
pub enum ReceiptError {
    /// The receipt is not a proof of inclusion.
    #[error(transparent)]
    Unreadable(#[from] ProofError),
    /// The receipt is about another log.
    #[error("the receipt is about log {found}, not about {expected}")]
    OtherLog {
        /// The receipt's log.
        found: PublicKey,
        /// The log asked for.
        expected: PublicKey,
    },
    /// The claim does not hold.
    #[error("{0}")]
    Refuted(Verdict),
    /// The block is in the log, and cannot be read as an entry.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

impl Inclusion {
    /// The name of this kind.
    pub const KIND: &'static str = "inclusion";

    /// Makes the proof of a block under a head, from a store of nodes that holds those of the head's log. `None` if the
    /// block is not in that log, or if a node is not there.
    pub fn make(
        head: &SignedHead,
        block: BlockIndex,
        entry: Vec<u8>,
        node: impl FnMut(u64) -> Option<Node>,
    ) -> Option<Self> {
        let path = Cover::new(head.length(), [block], None)?.nodes(node)?;
        let (checkpoint, entry) = (head.into(), Bytes(entry));
        Some(Self { tag: Tag, v: Version, kind: KindName, checkpoint, block, entry, path })
    }

    /// Reads a receipt, and returns the head and the entry that it shows to stand in `log`.
    ///
    /// # Errors
    /// [`ReceiptError`]. Whether the entry is the one that was asked for, the caller must compare.
    pub fn open(receipt: &[u8], log: &PublicKey) -> Result<(Self, SignedHead, Entry), ReceiptError> {
        record::within("bytes", receipt.len(), super::PROOF_BYTES_MAX)?;
        let proof = super::decode(receipt, Self::check_bounds)?;
        let (found, expected) = (proof.checkpoint.log, *log);
        if found != expected {
            return Err(ReceiptError::OtherLog { found, expected });
        }
        let head = proof.judge().map_err(ReceiptError::Refuted)?;
        let entry = Entry::decode(&proof.entry.0)?;
        Ok((proof, head, entry))
    }

    pub(super) fn check_bounds(&self) -> Result<(), ProofError> {
        record::check_entry(&self.entry)?;
        record::check_path(&self.path)
    }

    pub(super) fn judge(&self) -> Judged<SignedHead> {
        let head = check_head(&self.checkpoint)?;
        check_path(&self.checkpoint, &[(self.block, &self.entry)], None, &self.path)?;
        Ok(head)
    }

    pub(super) fn claim(&self) -> String {
        let Self { checkpoint: Head { log, length, .. }, block, entry, .. } = self;
        format!(
            "Key {log} signed a log of {length} blocks, of which block {block} is {}.",
            describe::entry(&entry.0)
        )
    }

    pub(super) fn contents(&self) -> String {
        let nodes = describe::count(self.path.len(), "node", "nodes");
        format!("A signed head, an entry of {} bytes, {nodes} of the tree.", self.entry.0.len())
    }
}
