//! Stored blocks can be read again, after a crash as far as they were synced.

use std::fs;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::SecretKey;

use super::head::SLOT_BYTES;

use super::*;

/// A signed core in memory.
pub(super) struct Source {
    pub(super) blocks: Vec<Vec<u8>>,
    pub(super) roots: Roots,
    pub(super) key: SecretKey,
}

impl Source {
    pub(super) fn of(count: u64) -> Self {
        let blocks: Vec<Vec<u8>> =
            (0..count).map(|block| block.to_string().repeat(block as usize % 50).into_bytes()).collect();
        let mut roots = Roots::default();
        blocks.iter().for_each(|block| roots.append(block));
        Self { blocks, roots, key: SecretKey::from_seed(&[3; 32]) }
    }

    pub(super) fn head(&self) -> SignedHead {
        SignedHead::sign(&self.key, self.roots.length(), self.roots.tree_hash())
    }
}

pub(super) fn check(replica: &Replica, source: &Source, length: u64) {
    assert_eq!(replica.length(), Length(length));
    for block in 0..length {
        assert_eq!(replica.block(BlockIndex(block)).expect("stored"), source.blocks[block as usize]);
    }
    assert!(replica.block(BlockIndex(length)).is_err());
}

#[test]
fn blocks_come_in_any_order_and_stay() {
    let (directory, source) = (tempfile::tempdir().expect("a directory"), Source::of(100));
    let open = || Replica::open(directory.path(), source.key.public_key()).expect("ours");
    let mut replica = open();
    replica.set_head(source.head(), &source.roots);
    for block in (0..50).rev().chain(60..70) {
        replica.add_block(BlockIndex(block), source.blocks[block as usize].clone()).expect("a disk");
    }
    check(&replica, &source, 50);
    assert!(replica.has(BlockIndex(65)) && !replica.has(BlockIndex(55)));
    replica.sync().expect("a disk");
    drop(replica);
    let mut replica = open();
    check(&replica, &source, 50);
    assert!(!replica.has(BlockIndex(65)), "what waited in memory is gone");
    assert_eq!(replica.signed_head(), Some(source.head()));
    for index in index::roots(Length(100)) {
        assert_eq!(replica.node(index).expect("a disk").map(|node| node.index), Some(index));
    }
    for block in 50..100 {
        replica.add_block(BlockIndex(block), source.blocks[block as usize].clone()).expect("a disk");
    }
    check(&replica, &source, 100);
    assert_eq!(replica.roots().tree_hash(), source.head().tree_hash());
    assert!(replica.ahead.is_empty(), "the tree on disk has taken over");
}

#[test]
fn a_crash_goes_back_to_the_last_sync_and_no_further() {
    let (directory, source) = (tempfile::tempdir().expect("a directory"), Source::of(30));
    let open = || Replica::open(directory.path(), source.key.public_key());
    let mut replica = open().expect("a directory");
    for block in 0..30 {
        replica.add_block(BlockIndex(block), source.blocks[block as usize].clone()).expect("a disk");
        if block == 9 || block == 19 {
            replica.sync().expect("a disk");
        }
    }
    drop(replica);
    check(&open().expect("ours"), &source, 20);
    // The newer head is torn: the older one counts.
    let head = directory.path().join("head");
    let mut bytes = fs::read(&head).expect("a head");
    bytes[SLOT_BYTES + 100] ^= 1;
    fs::write(&head, &bytes).expect("writable");
    check(&open().expect("ours"), &source, 10);
    bytes[100] ^= 1;
    fs::write(&head, &bytes).expect("writable");
    let replica = open().expect("it begins anew");
    assert_eq!((replica.length(), replica.damage().len()), (Length(0), 1));
}

#[test]
fn another_cores_copy_and_changed_data_are_found_out() {
    let (directory, source) = (tempfile::tempdir().expect("a directory"), Source::of(5));
    let mut replica = Replica::open(directory.path(), source.key.public_key()).expect("a directory");
    replica.add_block(BlockIndex(0), source.blocks[0].clone()).expect("a disk");
    replica.add_block(BlockIndex(1), source.blocks[1].clone()).expect("a disk");
    replica.sync().expect("a disk");
    drop(replica);
    let other = SecretKey::from_seed(&[4; 32]).public_key();
    assert!(matches!(Replica::open(directory.path(), other), Err(StorageError::Damaged { .. })));
    fs::write(directory.path().join("data"), "x").expect("writable");
    let replica = Replica::open(directory.path(), source.key.public_key()).expect("a directory");
    assert!(matches!(replica.block(BlockIndex(1)), Err(StorageError::Damaged { .. })));
}
