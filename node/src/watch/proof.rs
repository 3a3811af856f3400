//! [`Proof`]: the signatures by which a host convicts itself.

use libvms_hypercore::replication::HeadProof;
use libvms_hypercore::signed_head::SignedHead;
use libvms_protocol::proof::{self, Equivocation};

/// Signed heads of the host's key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Proof<'a> {
    /// One signed head that our hosts never sign.
    Fork(&'a SignedHead),
    /// Two signed heads, and how each of them grew out of the length at which they differ.
    Equivocation([&'a HeadProof; 2]),
    /// A head that is shorter than another one seen. Every honest host has signed such heads.
    Shorter(&'a SignedHead),
}

impl Proof<'_> {
    /// Returns whether no honest host signs this.
    pub(super) fn convicts(self) -> bool {
        matches!(self, Self::Fork(_) | Self::Equivocation(_))
    }

    /// Returns the file that shows it to anybody; `None` if it convicts nobody.
    pub(super) fn file(self) -> Option<proof::Proof> {
        let made = match self {
            Self::Fork(head) => Equivocation::from_fork(head),
            Self::Equivocation([ours, theirs]) => Equivocation::from_conflict(ours, theirs),
            Self::Shorter(_) => None,
        };
        made.map(proof::Proof::Equivocation)
    }
}
