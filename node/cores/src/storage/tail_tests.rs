//! Oplogs that are cut, flipped and emptied at each place, and the blocks that can be recovered from the data.

use std::path::Path;

use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::SecretKey;

use super::{Core, Durability, StorageError, Tail, TailError};

const BLOCKS: u64 = 12;

/// Returns a block that says how long it is.
fn block(index: u64) -> Vec<u8> {
    let length = 2 + (index as usize * 7) % 23;
    let mut block = vec![index as u8; length];
    block[0] = length as u8;
    block
}

fn split(bytes: &[u8]) -> Option<usize> {
    let length = usize::from(*bytes.first()?);
    (bytes.len() >= length.max(1)).then_some(length.max(1))
}

/// Creates a core of twelve blocks in ten appends.
fn core(directory: &Path) -> Vec<u8> {
    let key = SecretKey::from_seed(&[3; 32]);
    let mut core = Core::create(directory, key, Durability::Relaxed).expect("an empty directory");
    let mut at = 0;
    while at < BLOCKS {
        let count = if at % 5 == 3 { 3 } else { 1 };
        let batch: Vec<Vec<u8>> = (at..at + count).map(block).collect();
        core.append(&batch).expect("a disk");
        at += count;
    }
    assert_eq!(at, BLOCKS);
    std::fs::read(directory.join("oplog")).expect("readable")
}

/// Returns the number of blocks that can be recovered in a directory, or the contradiction.
fn recover(directory: &Path) -> Result<u64, TailError> {
    let (mut core, tail) = Core::open_with_tail(directory, Durability::Relaxed).expect("a core");
    let Some(tail) = tail else { return Ok(core.length().0) };
    assert!(matches!(core.append(&[block(core.length().0)]), Err(StorageError::Poisoned { .. })));
    let count = checked(&tail)?;
    core.take_back(&tail, count, split).expect("a disk");
    let length = core.length();
    assert!(core.blocks(length.blocks()).map(Result::unwrap).eq((0..length.0).map(block)));
    core.append(&[block(length.0)]).expect("a disk");
    drop(core);
    let reopened = Core::open(directory, Durability::Relaxed).expect("mended");
    assert_eq!(reopened.length(), length + 1);
    Ok(length.0)
}

fn checked(tail: &Tail) -> Result<u64, TailError> {
    let (mut blocks, mut check, mut count) = (tail.blocks(split), tail.check(), 0);
    while let Some(block) = blocks.next_block().expect("readable") {
        check.push(&block);
        count += 1;
    }
    check.finish().map(|()| count)
}

fn with_oplog(oplog: &[u8], run: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().expect("a directory");
    core(directory.path());
    std::fs::write(directory.path().join("oplog"), oplog).expect("writable");
    run(directory.path());
}

fn entries_start() -> usize {
    super::oplog::ENTRIES_START as usize
}

#[test]
fn an_oplog_that_is_cut_anywhere_loses_no_block() {
    let directory = tempfile::tempdir().expect("a directory");
    let oplog = core(directory.path());
    for cut in (entries_start()..oplog.len()).step_by(13).chain([oplog.len() - 1, oplog.len() - 2]) {
        with_oplog(&oplog[..cut], |path| assert_eq!(recover(path), Ok(BLOCKS), "cut at {cut}"));
    }
}

#[test]
fn a_bit_flip_anywhere_in_the_entries_loses_no_block() {
    let directory = tempfile::tempdir().expect("a directory");
    let oplog = core(directory.path());
    for at in (entries_start()..oplog.len()).step_by(11) {
        let mut flipped = oplog.clone();
        flipped[at] ^= 4;
        with_oplog(&flipped, |path| assert_eq!(recover(path), Ok(BLOCKS), "flipped at {at}"));
    }
}

#[test]
fn entries_that_were_zeroed_lose_no_block() {
    let directory = tempfile::tempdir().expect("a directory");
    let oplog = core(directory.path());
    for from in [entries_start(), entries_start() + 300, oplog.len() - 40] {
        let mut zeroed = oplog.clone();
        zeroed[from..].fill(0);
        with_oplog(&zeroed, |path| assert_eq!(recover(path), Ok(BLOCKS), "zeros from {from}"));
    }
}

#[test]
fn a_block_that_is_not_the_signed_one_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let oplog = core(directory.path());
    // The oplog is broken in its last entry but one, and whole behind it: the data must be what was signed.
    for (cut, flip) in [(None, Some(oplog.len() - 250)), (Some(oplog.len() - 1), None)] {
        let mut broken = oplog[..cut.unwrap_or(oplog.len())].to_vec();
        if let Some(at) = flip {
            broken[at] ^= 1;
        }
        with_oplog(&broken, |path| {
            let data = path.join("data");
            let mut bytes = std::fs::read(&data).expect("readable");
            *bytes.last_mut().expect("blocks") ^= 1;
            std::fs::write(&data, bytes).expect("writable");
            assert!(matches!(recover(path), Err(TailError::Contradiction { .. })), "{cut:?} {flip:?}");
        });
    }
}

#[test]
fn a_signed_block_that_is_gone_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let oplog = core(directory.path());
    with_oplog(&oplog[..oplog.len() - 1], |path| {
        let data = std::fs::File::options().write(true).open(path.join("data")).expect("a file");
        data.set_len(data.metadata().expect("a file").len() - block(BLOCKS - 1).len() as u64).expect("cut");
        assert_eq!(
            recover(path),
            Err(TailError::Missing { length: Length(BLOCKS), found: Length(BLOCKS - 1) })
        );
    });
}

#[test]
fn half_a_block_without_an_entry_is_cut_off() {
    let directory = tempfile::tempdir().expect("a directory");
    let oplog = core(directory.path());
    with_oplog(&oplog, |path| {
        use std::io::Write;
        let mut data = std::fs::File::options().append(true).open(path.join("data")).expect("a file");
        data.write_all(&[20, 1, 2, 3]).expect("a disk");
        let (_, tail) = Core::open_with_tail(path, Durability::Relaxed).expect("a core");
        let tail = tail.expect("a tail");
        assert_eq!((tail.bytes(), tail.has_broken_entry()), (4, false));
        assert_eq!(recover(path), Ok(BLOCKS));
    });
}

#[test]
fn entries_made_obsolete_by_a_newer_header_are_no_tail() {
    let directory = tempfile::tempdir().expect("a directory");
    core(directory.path());
    let (_, tail) = Core::open_with_tail(directory.path(), Durability::Relaxed).expect("a core");
    assert!(tail.is_none(), "{tail:?}");
}

#[test]
fn a_lost_newer_header_loses_no_block() {
    let directory = tempfile::tempdir().expect("a directory");
    let key = SecretKey::from_seed(&[3; 32]);
    let mut core = Core::create(directory.path(), key, Durability::Relaxed).expect("an empty directory");
    let appended = 900;
    for at in 0..appended {
        core.append(&[block(at % 256)]).expect("a disk");
    }
    drop(core);
    let path = directory.path().join("oplog");
    let whole = std::fs::read(&path).expect("readable");
    assert!(whole[4096..8192].iter().any(|byte| *byte != 0), "it was flushed");
    for (at, cut) in [(20, None), (4096 + 20, None), (4096 + 20, Some(8192)), (4096 + 20, Some(8300))] {
        let mut broken = whole[..cut.unwrap_or(whole.len())].to_vec();
        broken[at] ^= 1;
        std::fs::write(&path, &broken).expect("writable");
        let (core, tail) = Core::open_with_tail(directory.path(), Durability::Relaxed).expect("a core");
        let found = tail.map_or(0, |tail| checked(&tail).expect("what was signed"));
        assert_eq!(core.length() + found, Length(appended), "flipped at {at}, cut at {cut:?}");
    }
}
