//! What proofs about entries rest on: block 0 and other entries under one signed head.

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::{Node, TreeHash};
use serde::Deserialize;

use super::record::{Bytes, Head, NumberedEntry, hashes};
use super::{Judged, cannot_tell, describe, fails};
use crate::entry::{Authorization, Call, Entry, EntryError, Format, Init};

/// Checks a head that a proof rests on: its signature, and that the log was never truncated.
pub(super) fn check_head(head: &Head) -> Judged<SignedHead> {
    let signed = head.verify().map_err(|error| fails("head", error))?;
    match head.fork {
        0 => Ok(signed),
        fork => Err(fails("head", format_args!("it is of fork {fork}: this head alone is an equivocation"))),
    }
}

/// Checks that entries stand in the log of a head, and returns the tree hash at `cut`.
pub(super) fn check_path(
    head: &Head,
    entries: &[(BlockIndex, &Bytes)],
    cut: Option<Length>,
    path: &[Node],
) -> Judged<TreeHash> {
    let found = hashes(head.length, entries, cut, path).map_err(|why| fails("path", why))?;
    let (found_whole, signed) = (found.whole, head.hash);
    if found_whole == signed {
        Ok(found.cut)
    } else {
        Err(fails(
            "path",
            format_args!("it leads to tree hash {found_whole}, not to {signed}, which was signed"),
        ))
    }
}

/// As [`check_path`], for entries with their numbers.
pub(super) fn check_entries(
    head: &Head,
    entries: &[NumberedEntry],
    cut: Option<Length>,
    path: &[Node],
) -> Judged<TreeHash> {
    let entries: Vec<(BlockIndex, &Bytes)> =
        entries.iter().map(|entry| (entry.block, &entry.entry)).collect();
    check_path(head, &entries, cut, path)
}

/// Returns an entry by its number.
pub(super) fn entry_at(entries: &[NumberedEntry], block: BlockIndex) -> Judged<&[u8]> {
    let entry = entries.iter().find(|entry| entry.block == block);
    entry
        .map(|entry| entry.entry.0.as_slice())
        .ok_or_else(|| cannot_tell(format_args!("block {block} is missing")))
}

/// Reads block 0: the deployment, of a format that this program knows.
pub(super) fn read_init(block_0: &[u8]) -> Judged<Init> {
    match Entry::decode(block_0) {
        Ok(Entry::Init(init)) => Ok(init),
        _ => Err(cannot_tell("block 0 is not the init of a format that this program knows")),
    }
}

/// Returns whether a block says that it is an init of a format that this program knows, well-formed or not.
pub(super) fn claims_known_format(block_0: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Claim {
        #[serde(rename = "type")]
        kind: String,
        v: u64,
    }
    serde_ipld_dagcbor::from_slice::<Claim>(block_0)
        .is_ok_and(|claim| claim.kind == "init" && Format::try_from(claim.v).is_ok())
}

/// Reads an entry of a log of this format.
pub(super) fn read_entry(block: &[u8], format: Format) -> Judged<Entry> {
    Entry::decode_in(block, format).map_err(|error| match error {
        EntryError::Unknown { .. } => cannot_tell(describe::escaped(&error.to_string())),
        _ => fails("entry", describe::escaped(&error.to_string())),
    })
}

/// Returns the call of an entry.
pub(super) fn call_of(entry: &Entry) -> Judged<&Call> {
    match entry {
        Entry::Call(entry) => Ok(&entry.call),
        _ => Err(fails("entry", "it is not a call")),
    }
}

/// Returns the key, numbers and signature of a call.
pub(super) fn signed_by(call: &Call) -> Judged<Authorization> {
    call.authorization().ok_or_else(|| fails("entry", "it is not a signed call"))
}

/// Returns the age in milliseconds that a signed call of the log may have.
pub(super) fn call_age(init: &Init) -> Judged<u64> {
    init.limits.call_age.ok_or_else(|| fails("block 0", "the callers of this log do not sign"))
}
