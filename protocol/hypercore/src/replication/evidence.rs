//! What peers said or showed that does not fit an append-only log.

use std::collections::BTreeSet;

use super::peer::PeerId;
use super::verify::{CheckError, Head, check_head};
use crate::identity::PublicKey;
use crate::signed_head::SignedHead;
use crate::wire::message::{Data, DataUpgrade};

/// Claims that are reported about one core, and the same of what is signed.
const REPORTED_MAX: usize = 256;

/// Something that the writer of an append-only log does not cause.
///
/// A claim is only a peer's word. Of what is signed, [`Evidence::ForkSigned`] and [`Evidence::Conflict`] convict the
/// writer: its own signatures stand against each other, whoever shows them. [`Evidence::ShorterSigned`] convicts nobody:
/// a slow replicator has such a head too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A peer says that the log was truncated: its fork is not 0. Its signed head is asked for.
    ForkClaimed {
        /// Who says so.
        peer: PeerId,
        /// How often the log was truncated.
        fork: u64,
        /// Its length now.
        length: u64,
    },
    /// A peer says that its log is shorter than it said before. Its signed head is asked for.
    ShrinkClaimed {
        /// Who says so.
        peer: PeerId,
        /// The length it told before.
        before: u64,
        /// The length it tells now.
        after: u64,
    },
    /// The core's key signed a head of another fork.
    ForkSigned {
        /// Who showed it.
        peer: PeerId,
        /// The head.
        theirs: SignedHead,
    },
    /// The core's key signed a shorter head, which agrees with our log as far as we can tell: an old one, or that of
    /// a log that went back.
    ShorterSigned {
        /// Who showed it.
        peer: PeerId,
        /// The head.
        theirs: SignedHead,
    },
    /// The core's key signed a longer log than its writer has, of which ours is a part: the writer lost some of it, or
    /// there are two of them.
    LongerSigned {
        /// Who showed it.
        peer: PeerId,
        /// The head.
        theirs: SignedHead,
    },
    /// The core's key signed two logs that differ at one length: ours and another one.
    Conflict {
        /// Who showed the other one.
        peer: PeerId,
        /// Our head, with the length where the logs differ.
        ours: Box<HeadProof>,
        /// The other head, with the same length.
        theirs: Box<HeadProof>,
    },
}

/// A head that a core's key signed, with what it takes to check that it grew out of a shorter log inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadProof {
    head: Head,
    proof: DataUpgrade,
}

impl HeadProof {
    /// Checks a proof that was kept, or that somebody else gives.
    ///
    /// # Errors
    /// [`CheckError`] unless the key signed the head that the proof leads to.
    pub fn check(key: PublicKey, fork: u64, proof: DataUpgrade) -> Result<Self, CheckError> {
        let data = Data { fork, upgrade: Some(proof), ..Data::default() };
        let head = check_head(key, &data)?;
        data.upgrade.map(|proof| Self { head, proof }).ok_or(CheckError::NotAsked)
    }

    /// What is signed, and the shorter log inside.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The nodes and the signature that show it.
    pub fn proof(&self) -> &DataUpgrade {
        &self.proof
    }

    /// Whether one key signed both, and they cannot be heads of one append-only log: they say different things about
    /// the same length.
    pub fn contradicts(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.head, &other.head);
        ours.signed.key() == theirs.signed.key()
            && ours.length == theirs.length
            && ours.tree_hash != theirs.tree_hash
    }
}

impl Evidence {
    /// One word for it.
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

    /// Whether the core's key speaks against its holder. A shorter head may simply be an old one.
    pub fn is_signed(&self) -> bool {
        matches!(self, Self::ForkSigned { .. } | Self::Conflict { .. })
    }

    /// What it is about, whoever says it.
    fn subject(&self) -> (&'static str, u64, u64) {
        let (first, second) = match self {
            Self::ForkClaimed { fork, length, .. } => (*fork, *length),
            Self::ShrinkClaimed { before, after, .. } => (*before, *after),
            Self::ForkSigned { theirs, .. }
            | Self::ShorterSigned { theirs, .. }
            | Self::LongerSigned { theirs, .. } => (theirs.fork(), theirs.length()),
            Self::Conflict { theirs, .. } => (theirs.head.signed.length(), theirs.head.length),
        };
        (self.name(), first, second)
    }
}

/// What was reported. Each thing is reported once, and only so many: a peer that connects again and again, or a writer
/// that signs anew all day, must not fill logs and disks.
#[derive(Debug, Default)]
pub(super) struct Reported {
    claims: BTreeSet<(&'static str, u64, u64)>,
    signed: BTreeSet<(&'static str, u64, u64)>,
}

impl Reported {
    /// Whether to report this; it counts as reported then.
    pub(super) fn is_new(&mut self, evidence: &Evidence) -> bool {
        // Claims, which cost nothing, must not crowd out what is signed.
        let reported = if evidence.is_signed() { &mut self.signed } else { &mut self.claims };
        reported.len() < REPORTED_MAX && reported.insert(evidence.subject())
    }
}
