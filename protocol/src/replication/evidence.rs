//! What peers said or showed that does not fit an append-only log.

use std::collections::BTreeSet;

use super::peer::PeerId;
use crate::checkpoint::Checkpoint;
use crate::tree::TreeHash;
use crate::wire::message::DataUpgrade;

/// Claims that are reported about one core, and the same of what is signed.
const REPORTED_MAX: usize = 256;

/// Something that an honest writer of the log does not cause. A claim is only a peer's word; what is signed is the
/// writer's.
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
        theirs: Checkpoint,
    },
    /// The core's key signed a shorter head, which agrees with our log as far as we can tell: an old one, or that of
    /// a log that went back.
    ShorterSigned {
        /// Who showed it.
        peer: PeerId,
        /// The head.
        theirs: Checkpoint,
    },
    /// The core's key signed a log that differs from ours.
    Conflict {
        /// Who showed it.
        peer: PeerId,
        /// The head.
        theirs: Checkpoint,
        /// A length at which the logs differ.
        length: u64,
        /// Hash of our roots at this length.
        our_tree: TreeHash,
        /// Hash of theirs.
        their_tree: TreeHash,
        /// How their roots at this length grow to their head.
        proof: Box<DataUpgrade>,
    },
}

impl Evidence {
    /// One word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ForkClaimed { .. } => "fork-claimed",
            Self::ShrinkClaimed { .. } => "shrink-claimed",
            Self::ForkSigned { .. } => "fork-signed",
            Self::ShorterSigned { .. } => "shorter-signed",
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
            Self::ForkSigned { theirs, .. } | Self::ShorterSigned { theirs, .. } => {
                (theirs.fork(), theirs.length())
            }
            Self::Conflict { theirs, length, .. } => (theirs.length(), *length),
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
