//! The head of a replica, in two slots that are written in turn: if a crash tears one, the other one counts.
//!
//! ```text
//! 0    turn u64le            8    key               40   number of stored blocks u64le
//! 48   length u64le          56   its signature     120  the roots of that length: size u64le, hash
//! then                       the roots over the stored blocks, if there is room (zeros in older copies)
//! last 32 bytes              BLAKE2b-256 of the rest
//! ```

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libvms_hypercore::blocks::Length;
use libvms_hypercore::hash::blake2b;
use libvms_hypercore::identity::{PublicKey, Signature};
use libvms_hypercore::tree::{Hash, Node, index};

use crate::storage::StorageError;

/// Bytes of one slot: room for the fixed part and 64 roots.
pub(super) const SLOT_BYTES: usize = 4096;

/// Roots that fit into a slot. A copy of fewer than 2^49 blocks has fewer, twice.
const ROOTS_MAX: usize = (SLOT_BYTES - 32 - 120) / 40;

/// The content of one slot.
#[derive(Debug)]
pub(super) struct Slot {
    /// The number of the write: the higher one is the newer.
    pub(super) turn: u64,
    pub(super) key: PublicKey,
    pub(super) stored: Length,
    pub(super) head: Option<(Length, Signature)>,
    pub(super) roots: Vec<Node>,
    /// The roots over the stored blocks, if the slot has them.
    pub(super) stored_roots: Option<Vec<Node>>,
}

/// The content of the file of heads.
#[derive(Debug)]
pub(super) enum Heads {
    /// Nothing was ever written.
    None,
    /// The content is foreign or damaged: the number of stored blocks is unknown.
    Damaged,
    /// The newest whole slot.
    Newest(Slot),
}

/// Reads the file of heads.
pub(super) fn read(directory: &Path) -> Result<Heads, StorageError> {
    let bytes = fs::read(directory.join("head")).map_err(StorageError::io(directory))?;
    let slots = bytes.chunks_exact(SLOT_BYTES).take(2).filter_map(Slot::parse);
    Ok(match slots.max_by_key(|slot| slot.turn) {
        Some(newest) => Heads::Newest(newest),
        // The first head of all, in the middle of a write when the machine stopped.
        None if bytes.len() <= SLOT_BYTES => Heads::None,
        None => Heads::Damaged,
    })
}

/// The pending sync of a replica.
#[derive(Debug)]
#[must_use = "nothing is on the disk before it has run"]
pub struct Flush {
    pub(super) path: PathBuf,
    pub(super) content: [Arc<File>; 3],
    pub(super) head_file: Arc<File>,
    pub(super) slot: Slot,
}

impl Flush {
    /// Syncs everything, and returns once it is durable.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn run(self) -> Result<(), StorageError> {
        let io = |error| StorageError::io(&self.path)(error);
        // The content that the head counts must be durable before the head.
        self.content.iter().try_for_each(|file| file.sync_data()).map_err(io)?;
        self.head_file
            .write_all_at(&self.slot.encode(), (self.slot.turn % 2) * SLOT_BYTES as u64)
            .map_err(io)?;
        self.head_file.sync_data().map_err(io)
    }
}

impl Slot {
    fn encode(&self) -> Vec<u8> {
        let mut slot = Vec::with_capacity(SLOT_BYTES);
        slot.extend_from_slice(&self.turn.to_le_bytes());
        slot.extend_from_slice(&self.key.0);
        slot.extend_from_slice(&self.stored.0.to_le_bytes());
        let (length, signature) = self.head.unwrap_or((Length::ZERO, Signature([0; 64])));
        slot.extend_from_slice(&length.0.to_le_bytes());
        slot.extend_from_slice(&signature.0);
        let stored_roots = self.stored_roots.iter().flatten();
        for node in self.roots.iter().chain(stored_roots.take(ROOTS_MAX - self.roots.len())) {
            slot.extend_from_slice(&node.size.to_le_bytes());
            slot.extend_from_slice(&node.hash.0);
        }
        slot.resize(SLOT_BYTES - 32, 0);
        let checksum = blake2b(&[&slot]);
        slot.extend_from_slice(&checksum);
        slot
    }

    /// Returns `None` unless the slot was written to its end.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_at_checked(SLOT_BYTES - 32)?;
        if blake2b(&[content]) != checksum {
            return None;
        }
        let number = |at: usize| {
            content.get(at..at + 8).map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")))
        };
        let length = Length(number(48)?);
        let head = (!length.is_empty())
            .then(|| content[56..120].try_into().ok().map(|bytes| (length, Signature(bytes))));
        let root = |(position, index): (usize, u64)| {
            let at = 120 + 40 * position;
            let digest = content.get(at + 8..at + 40)?;
            Some(Node { index, size: number(at)?, hash: Hash(digest.try_into().ok()?) })
        };
        let positions = |length: Length| index::roots(length.min(Length((1 << 62) - 1)));
        let roots = positions(length).enumerate().map(root).collect::<Option<Vec<_>>>()?;
        let stored = Length(number(40)?);
        let behind = (roots.len()..).zip(positions(stored));
        let stored_roots: Option<Vec<Node>> = behind.map(root).collect();
        let is_written = |roots: &Vec<Node>| roots.iter().all(|root| root.hash.0 != [0; 32]);
        Some(Self {
            turn: number(0)?,
            key: PublicKey(content[8..40].try_into().ok()?),
            stored,
            head: head.flatten(),
            roots,
            stored_roots: stored_roots.filter(is_written),
        })
    }
}
