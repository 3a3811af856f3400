//! Recovery of the bytes that a crash or damage has left beyond the log's last whole append.
//!
//! It is unknown whether these entries were answered or replicated (see `storage/tail.rs`). So no readable entry may be
//! dropped: a log that goes on without it would be a second history, signed with the same key. An entry is recovered
//! when it is whole, matches the hashes and signatures that are left of it, and is what the script gives. If one cannot
//! be recovered, the host does not start. Only bytes that never were on the disk whole are cut off: no answer was sent
//! for those.

use std::path::Path;

use libvms_cores::storage::{Core, StorageError, Tail};
use libvms_protocol::entry::{Entry, EntryError};
use tracing::warn;

use super::error::OpenError;
use super::store::HostStore;
use crate::replay::Replay;

/// Executes the entries of a tail after those of the log. Returns their number; they are not in the log yet.
pub(super) fn replay_tail(
    directory: &Path,
    tail: &Tail,
    replay: &mut Replay<HostStore>,
) -> Result<u64, OpenError> {
    let refuse = |why: String| OpenError::Tail { path: directory.into(), why, whole: tail.whole_bytes() };
    let (mut blocks, mut check, mut count) = (tail.blocks(Entry::first_length), tail.check(), 0);
    loop {
        let offset = blocks.offset();
        let no_block = || refuse(format!("the bytes of its data from {offset} on are not an entry"));
        let Some(block) = blocks.next_block()? else {
            // An entry of the oplog is written when its data is durable: with one, no crash explains half a block.
            match blocks.is_at_end() || !tail.has_broken_entry() {
                true => break,
                false => return Err(no_block()),
            }
        };
        if let Err(EntryError::Malformed { .. } | EntryError::TooLarge { .. }) = Entry::decode(&block) {
            match !tail.has_broken_entry() && tail.is_unwritten_from(offset)? {
                true => break,
                false => return Err(no_block()),
            }
        }
        check.push(&block);
        replay.push(&block).map_err(|stop| refuse(stop.to_string()))?;
        count += 1;
    }
    replay.settle().map_err(|stop| refuse(stop.to_string()))?;
    check.finish().map_err(|error| refuse(error.to_string()))?;
    Ok(count)
}

/// Appends the first `count` entries of a tail to the log, and cuts off the remaining bytes.
pub(super) fn take_back(log: &mut Core, tail: &Tail, count: u64) -> Result<(), StorageError> {
    warn!(
        entries = count,
        bytes = tail.bytes(),
        "the log's last write was cut short or is damaged: the entries that are whole are taken back in"
    );
    log.take_back(tail, count, Entry::first_length)
}
