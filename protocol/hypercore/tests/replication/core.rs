//! A core in memory, like a storage, which checks everything that it stores.

use std::collections::BTreeMap;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::{PublicKey, SecretKey, Signature};
use libvms_hypercore::replication::{Store, Verified};
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::{Node, Roots, hash, index};

#[derive(Clone, Default)]
pub(crate) struct Core {
    pub(crate) blocks: BTreeMap<u64, Vec<u8>>,
    pub(crate) nodes: BTreeMap<u64, Node>,
    pub(crate) head: Option<SignedHead>,
    contiguous: u64,
}

/// Returns the key pair of the cores in these tests.
pub(crate) fn writer() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

pub(crate) fn key() -> PublicKey {
    writer().public_key()
}

/// Returns the content of a block of the test cores.
pub(crate) fn content(block: u64) -> Vec<u8> {
    (0..4 + block % 50).map(|byte| (block * 31 + byte * 7) as u8).collect()
}

impl Core {
    pub(crate) fn written(length: u64) -> Self {
        let mut core = Self::default();
        core.append(&(0..length).map(content).collect::<Vec<_>>());
        core
    }

    pub(crate) fn append(&mut self, blocks: &[Vec<u8>]) {
        self.append_signed(blocks, &writer());
    }

    pub(crate) fn append_signed(&mut self, blocks: &[Vec<u8>], key: &SecretKey) {
        let mut length = self.length();
        for block in blocks {
            let mut node = Node::leaf(length.next_block(), block);
            self.nodes.insert(node.index, node);
            while !index::is_left(node.index) {
                let left = self.nodes[&index::sibling(node.index).expect("small")];
                let parent = index::parent(node.index).expect("small");
                node = Node { index: parent, size: left.size + node.size, hash: hash::parent(&left, &node) };
                self.nodes.insert(parent, node);
            }
            self.blocks.insert(length.0, block.clone());
            length += 1;
        }
        self.head = Some(SignedHead::sign(key, length, self.roots_at(length).tree_hash()));
        self.count();
    }

    pub(crate) fn roots_at(&self, length: Length) -> Roots {
        let nodes = index::roots(length).map(|root| self.nodes[&root]).collect();
        Roots::from_nodes(length, nodes).expect("the roots of this length")
    }

    /// Stores verified data, and checks that it is part of `truth`.
    pub(crate) fn store(&mut self, verified: Verified, truth: &Self) {
        for node in &verified.nodes {
            assert_eq!(truth.nodes.get(&node.index), Some(node), "a node that is not in the log");
        }
        if let Some(upgrade) = &verified.upgrade {
            assert_eq!(upgrade.start, self.length(), "a head grows out of the stored one");
            assert_eq!(upgrade.roots, truth.roots_at(upgrade.head.length()));
            assert_eq!(upgrade.head.tree_hash(), upgrade.roots.tree_hash());
            self.head = Some(upgrade.head);
        }
        self.nodes.extend(verified.nodes.into_iter().map(|node| (node.index, node)));
        if let Some(root) = index::roots(self.length()).find(|root| !self.nodes.contains_key(root)) {
            panic!("root {root} was not among the nodes");
        }
        if let Some((block, bytes)) = verified.block {
            assert_eq!(truth.blocks.get(&block.0), Some(&bytes), "a block that is not in the log");
            assert!(self.nodes.contains_key(&(2 * block.0)), "the leaf comes along");
            assert_eq!(self.blocks.insert(block.0, bytes), None, "block {block} came twice");
        }
        self.count();
    }

    pub(crate) fn is_complete(&self, truth: &Self) -> bool {
        self.head == truth.head && self.blocks == truth.blocks
    }

    pub(crate) fn clear(&mut self, block: u64) {
        self.blocks.remove(&block);
        self.contiguous = self.contiguous.min(block);
    }

    fn count(&mut self) {
        while self.blocks.contains_key(&self.contiguous) {
            self.contiguous += 1;
        }
    }
}

impl Store for Core {
    fn length(&self) -> Length {
        self.head.map(|head| head.length()).unwrap_or_default()
    }

    fn signature(&self) -> Option<Signature> {
        self.head.map(|head| head.signature())
    }

    fn contiguous_length(&self) -> Length {
        Length(self.contiguous)
    }

    fn has(&self, block: BlockIndex) -> bool {
        self.blocks.contains_key(&block.0)
    }

    fn block(&self, block: BlockIndex) -> Option<Vec<u8>> {
        self.blocks.get(&block.0).cloned()
    }

    fn node(&self, index: u64) -> Option<Node> {
        self.nodes.get(&index).copied()
    }
}
