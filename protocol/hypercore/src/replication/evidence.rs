//! Evidence that a log is not append-only: what peers claimed or proved, and which of it is conclusive.

use std::collections::BTreeSet;

use super::peer::PeerId;
use super::verify::{CheckError, Head, check_head};
use crate::blocks::Length;
use crate::identity::PublicKey;
use crate::signed_head::SignedHead;
use crate::wire::message::{Data, DataUpgrade};

/// Claims that are reported about one core; as many signed pieces of evidence are reported.
const REPORTED_MAX: usize = 256;

/// Evidence that the writer of an append-only log does not cause.
///
/// A claim is only a peer's word. Of signed evidence, [`Evidence::ForkSigned`] and [`Evidence::Conflict`] convict the
/// writer: its own signatures contradict each other, no matter which peer shows them. [`Evidence::ShorterSigned`]
/// convicts nobody: a slow replicator has such a head, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A peer claims that the log was truncated: its fork is not 0. Its signed head is requested.
    ForkClaimed {
        /// The peer that claims it.
        peer: PeerId,
        /// How often the log was truncated.
        fork: u64,
        /// The length of its log now.
        length: Length,
    },
    /// A peer claims a shorter length than before. Its signed head is requested.
    ShrinkClaimed {
        /// The peer that claims it.
        peer: PeerId,
        /// The length that it claimed before.
        before: Length,
        /// The length that it claims now.
        after: Length,
    },
    /// The core's key signed a head of another fork.
    ForkSigned {
        /// The peer that showed it.
        peer: PeerId,
        /// The head.
        theirs: SignedHead,
    },
    /// The core's key signed a shorter head, which agrees with our log as far as we can tell: an old one, or that of a
    /// log that was truncated.
    ShorterSigned {
        /// The peer that showed it.
        peer: PeerId,
        /// The head.
        theirs: SignedHead,
    },
    /// The core's key signed a longer log than its writer has, and ours is a part of it: the writer lost blocks, or
    /// there are two writers.
    LongerSigned {
        /// The peer that showed it.
        peer: PeerId,
        /// The head.
        theirs: SignedHead,
    },
    /// The core's key signed two logs that differ at one length: ours and another one.
    Conflict {
        /// The peer that showed the other log.
        peer: PeerId,
        /// Our head, with the length at which the logs differ.
        ours: Box<HeadProof>,
        /// The other head, with the same length.
        theirs: Box<HeadProof>,
    },
}

/// A head that a core's key signed, with the proof that it extends a shorter log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadProof {
    head: Head,
    proof: DataUpgrade,
}

impl HeadProof {
    /// Checks a proof that was kept, or that somebody else provides.
    ///
    /// # Errors
    /// [`CheckError`] unless the key signed the head that the proof leads to.
    pub fn check(key: PublicKey, fork: u64, proof: DataUpgrade) -> Result<Self, CheckError> {
        let data = Data { fork, upgrade: Some(proof), ..Data::default() };
        let head = check_head(key, &data)?;
        data.upgrade.map(|proof| Self { head, proof }).ok_or(CheckError::NotAsked)
    }

    /// Returns the signed head, and the shorter log inside.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Returns the nodes and the signature that prove it.
    pub fn proof(&self) -> &DataUpgrade {
        &self.proof
    }

    /// Returns whether one key signed both, and they cannot be heads of one append-only log: they differ at the same
    /// length.
    pub fn contradicts(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.head, &other.head);
        ours.signed.key() == theirs.signed.key()
            && ours.length == theirs.length
            && ours.tree_hash != theirs.tree_hash
    }
}

impl Evidence {
    /// Returns one word for the kind of evidence.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ForkClaimed { .. } => "fork-claimed",
            Self::ShrinkClaimed { .. } => "shrink-claimed",
            Self::ForkSigned { .. } => "fork-signed",
            Self::ShorterSigned { .. } => "shorter-signed",
            Self::LongerSigned { .. } => "longer-signed",
            Self::Conflict { .. } => "conflict",
        }
    }

    /// Returns whether the evidence is signed by the core's key. A shorter head may simply be an old one.
    pub fn is_signed(&self) -> bool {
        matches!(self, Self::ForkSigned { .. } | Self::Conflict { .. })
    }

    /// Returns the subject of the evidence, without the peer.
    fn subject(&self) -> (&'static str, u64, u64) {
        let (first, second) = match self {
            Self::ForkClaimed { fork, length, .. } => (*fork, length.0),
            Self::ShrinkClaimed { before, after, .. } => (before.0, after.0),
            Self::ForkSigned { theirs, .. }
            | Self::ShorterSigned { theirs, .. }
            | Self::LongerSigned { theirs, .. } => (theirs.fork(), theirs.length().0),
            Self::Conflict { theirs, .. } => (theirs.head.signed.length().0, theirs.head.length.0),
        };
        (self.name(), first, second)
    }
}

/// The evidence reported so far. Each piece is reported once, and only a bounded number: a peer that reconnects again
/// and again, or a writer that signs anew all day, must not fill logs and disks.
#[derive(Debug, Default)]
pub(super) struct Reported {
    claims: BTreeSet<(&'static str, u64, u64)>,
    signed: BTreeSet<(&'static str, u64, u64)>,
}

impl Reported {
    /// Returns whether to report this; it counts as reported from then on.
    pub(super) fn is_new(&mut self, evidence: &Evidence) -> bool {
        // Claims, which cost nothing, must not crowd out signed evidence.
        let reported = if evidence.is_signed() { &mut self.signed } else { &mut self.claims };
        reported.len() < REPORTED_MAX && reported.insert(evidence.subject())
    }
}
