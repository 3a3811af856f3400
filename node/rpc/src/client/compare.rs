//! Comparing two signed heads of one log: [`compare`].

use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::Node;
use libvms_protocol::proof::Equivocation;
use libvms_protocol::proof::path::Cover;

/// How a head that is shown stands to one that is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Comparison {
    /// The known history is the beginning of the shown one.
    GoesOn,
    /// The shown head is shorter, or the nodes do not show how it goes on. This proves nothing.
    Stale,
    /// Both are signed, and neither is a part of the other.
    Fork(Box<Equivocation>),
}

/// Compares a head that is shown with a known one of the same log. `nodes` are those of the cover of the shown length with the
/// cut at the known one; none are needed where the lengths are equal.
pub(super) fn compare(known: &SignedHead, shown: &SignedHead, nodes: &[Node]) -> Comparison {
    let fork = |proof: Option<Equivocation>| match proof {
        Some(proof) => Comparison::Fork(Box::new(proof)),
        None => Comparison::Stale,
    };
    if shown.fork() != 0 {
        return fork(Equivocation::from_fork(shown));
    }
    if shown.length() == known.length() {
        return match shown.tree_hash() == known.tree_hash() {
            true => Comparison::GoesOn,
            false => fork(Equivocation::between(known, shown, vec![])),
        };
    }
    // Without such a cover the shown head is the shorter one.
    let cover = Cover::new(shown.length(), [], Some(known.length()));
    match cover.and_then(|cover| cover.check(&[], nodes).ok()) {
        Some(hashes) if hashes.whole != shown.tree_hash() => Comparison::Stale,
        Some(hashes) if hashes.cut == known.tree_hash() => Comparison::GoesOn,
        Some(_) => fork(Equivocation::between(known, shown, nodes.to_vec())),
        None => Comparison::Stale,
    }
}

#[cfg(test)]
mod tests {
    use libvms_hypercore::identity::SecretKey;
    use libvms_hypercore::tree::Roots;
    use libvms_protocol::proof::{Proof, Verdict};

    use super::*;
    use libvms_hypercore::blocks::{BlockIndex, Length};

    /// A log whose blocks are these bytes: its head, and its nodes by their number.
    fn log(blocks: &[u8]) -> (SignedHead, Vec<Option<Node>>) {
        let (mut roots, mut nodes) = (Roots::default(), vec![None; 2 * blocks.len() + 1]);
        for (block, byte) in (0..).zip(blocks) {
            roots.append_with(Node::leaf(BlockIndex(block), &[*byte]), |node| {
                nodes[node.index as usize] = Some(*node)
            });
        }
        let key = SecretKey::from_seed(&[1; 32]);
        (SignedHead::sign(&key, roots.length(), roots.tree_hash()), nodes)
    }

    fn nodes(of: &[u8], known: u64) -> Vec<Node> {
        let (head, nodes) = log(of);
        let cover = Cover::new(head.length(), [], Some(Length(known))).expect("inside");
        cover.nodes(|index| nodes[index as usize]).expect("all are kept")
    }

    #[test]
    fn a_longer_log_goes_on_forks_or_proves_nothing() {
        let long: Vec<u8> = (0..20).collect();
        for length in 1..=20_usize {
            let known = log(&long[..length]).0;
            let shown = log(&long).0;
            let honest = nodes(&long, length as u64);
            assert_eq!(compare(&known, &shown, &honest), Comparison::GoesOn, "{length}");
            let mut other = long.clone();
            other[length - 1] = 77;
            let (forked, proof) = (log(&other).0, nodes(&other, length as u64));
            let Comparison::Fork(proof) = compare(&known, &forked, &proof) else {
                panic!("a fork at {length}")
            };
            assert_eq!(Proof::Equivocation(*proof).check(), Verdict::Holds, "{length}");
            if length < 20 {
                assert_eq!(compare(&shown, &known, &honest), Comparison::Stale, "shorter: {length}");
                assert_eq!(compare(&known, &shown, &[]), Comparison::Stale, "no nodes: {length}");
                assert_eq!(compare(&known, &forked, &honest), Comparison::Stale, "other nodes: {length}");
            }
        }
    }
}
