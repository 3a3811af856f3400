//! Every file of a copy, damaged in every way: the copy reports it, and is whole again once the missing blocks are added.

use libvms_hypercore::blocks::{BlockIndex, each};
use std::fs;
use std::path::Path;

use super::tests::{Source, check};
use super::*;

/// Damage to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// A bit is flipped after so many 64ths of the file.
    Flipped(usize),
    /// The file ends after so many 64ths.
    Cut(usize),
    Deleted,
    Zeroed,
    /// The file has another content.
    Replaced,
}

impl Damage {
    fn all() -> impl Iterator<Item = Self> {
        let places = || [0, 1, 7, 20, 33, 47, 63].into_iter();
        let others = [Self::Deleted, Self::Zeroed, Self::Replaced];
        places().map(Self::Flipped).chain(places().map(Self::Cut)).chain(others)
    }

    fn befall(self, file: &Path) {
        let mut bytes = fs::read(file).expect("a file");
        let place = |part: usize| bytes.len() * part / 64;
        match self {
            Self::Flipped(part) => {
                let at = place(part);
                bytes[at] ^= 4;
            }
            Self::Cut(part) => {
                let at = place(part);
                bytes.truncate(at);
            }
            Self::Deleted => return fs::remove_file(file).expect("it was there"),
            Self::Zeroed => bytes.fill(0),
            Self::Replaced => bytes = b"something else ".repeat(700),
        }
        fs::write(file, bytes).expect("writable");
    }
}

/// Returns a copy of the first `stored` blocks of a source; its head counts all.
fn copy(directory: &Path, source: &Source, stored: u64) -> Replica {
    let mut replica = Replica::open(directory, source.key.public_key()).expect("a directory");
    replica.set_head(source.head(), &source.roots);
    for block in 0..stored {
        replica.add_block(BlockIndex(block), source.blocks[block as usize].clone()).expect("a disk");
        if block % 8 == 7 {
            replica.sync().expect("a disk");
        }
    }
    replica.sync().expect("a disk");
    replica
}

/// Adds the missing blocks and nodes, as peers send them.
fn complete(replica: &mut Replica, source: &Source) {
    replica.set_head(source.head(), &source.roots);
    for block in 0..source.blocks.len() as u64 {
        if replica.block(BlockIndex(block)).is_err() && block < replica.length().0 {
            replica.lose(BlockIndex(block));
        }
        if !replica.has(BlockIndex(block)) {
            let bytes = source.blocks[block as usize].clone();
            replica
                .add_block(BlockIndex(block), bytes)
                .unwrap_or_else(|error| panic!("block {block}: {error}"));
        }
    }
}

/// Returns a directory in memory if there is such a place: syncing there costs nothing.
fn place() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory")
}

/// Tests a copy of the first `stored` of 77 blocks, damaged in every way.
fn sweep(stored: u64, befall: &dyn Fn(&Path, Damage)) {
    let (source, sound, whole) = (Source::of(77), place(), place());
    drop(copy(sound.path(), &source, stored));
    let whole = copy(whole.path(), &source, 77);
    let nodes: Vec<_> = (0..2 * 77).map(|index| whole.node(index).expect("a disk")).collect();
    for damage in Damage::all() {
        let directory = place();
        for file in ["head", "data", "ends", "tree"] {
            fs::copy(sound.path().join(file), directory.path().join(file)).expect("a disk");
        }
        befall(directory.path(), damage);
        let open = || Replica::open(directory.path(), source.key.public_key());
        let mut replica = open().unwrap_or_else(|error| panic!("{damage:?}: {error}"));
        for block in each(replica.length().blocks()) {
            if let Ok(bytes) = replica.block(block) {
                assert_eq!(
                    bytes, source.blocks[block.0 as usize],
                    "{damage:?}: what is given is what was stored"
                );
            }
        }
        complete(&mut replica, &source);
        check(&replica, &source, 77);
        assert_eq!(replica.roots(), &source.roots, "{damage:?}");
        for (node, index) in nodes.iter().zip(0..) {
            assert_eq!(replica.node(index).expect("a disk"), *node, "{damage:?}: node {index}");
        }
        replica.sync().expect("a disk");
        drop(replica);
        let replica = open().expect("sound");
        assert_eq!(replica.damage(), [""; 0], "{damage:?}: it is mended for good");
        check(&replica, &source, 77);
    }
}

#[test]
fn a_whole_copy_survives_damage_to_any_one_file() {
    for file in ["head", "data", "ends", "tree"] {
        sweep(77, &|directory, damage| damage.befall(&directory.join(file)));
    }
}

#[test]
fn a_part_of_a_copy_survives_damage_to_any_one_file() {
    for file in ["head", "data", "ends", "tree"] {
        sweep(45, &|directory, damage| damage.befall(&directory.join(file)));
    }
}

#[test]
fn damage_to_two_files_costs_blocks_and_nothing_else() {
    for pair in [["data", "tree"], ["ends", "tree"], ["data", "ends"], ["head", "tree"], ["head", "data"]] {
        sweep(77, &|directory, damage| pair.iter().for_each(|file| damage.befall(&directory.join(file))));
    }
}

#[test]
fn damage_is_reported() {
    let source = Source::of(77);
    for (file, word) in [("data", "cut off"), ("ends", "ends"), ("tree", "tree"), ("head", "head")] {
        let directory = place();
        drop(copy(directory.path(), &source, 77));
        let damage = if file == "head" { Damage::Zeroed } else { Damage::Cut(20) };
        damage.befall(&directory.path().join(file));
        let replica = Replica::open(directory.path(), source.key.public_key()).expect("mended");
        assert!(matches!(replica.damage(), [told] if told.contains(word)), "{file}: {:?}", replica.damage());
    }
}

#[test]
fn a_growing_copy_is_read_without_changing_it() {
    let (directory, source) = (place(), Source::of(77));
    assert!(matches!(Replica::read(directory.path()), Err(StorageError::NoCore { .. })));
    let mut replica = copy(directory.path(), &source, 45);
    let read = Replica::read(directory.path()).expect("a copy");
    assert_eq!(read.key(), source.key.public_key());
    complete(&mut replica, &source);
    check(&read, &source, 45);
    check(&Replica::read(directory.path()).expect("a copy"), &source, 45);
    replica.sync().expect("a disk");
    check(&Replica::read(directory.path()).expect("a copy"), &source, 77);
    for file in ["data", "ends", "tree"] {
        let path = directory.path().join(file);
        let bytes = fs::read(&path).expect("a file");
        fs::write(&path, &bytes[..bytes.len() / 2]).expect("writable");
        let read = Replica::read(directory.path()).expect("its head is sound");
        assert!(matches!(read.block(BlockIndex(70)), Err(StorageError::Damaged { .. })), "{file}");
        assert_eq!(fs::read(&path).expect("a file").len(), bytes.len() / 2, "{file}");
        fs::write(&path, bytes).expect("writable");
    }
}
