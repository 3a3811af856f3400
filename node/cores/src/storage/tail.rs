//! [`Tail`]: the bytes beyond the last whole append in a core's oplog.
//!
//! An append is written in this order: its blocks into the data, durable; its entry into the oplog, durable; then it is
//! acknowledged. So three events leave bytes beyond the last whole entry: a crash before the entry was whole, whose
//! blocks were never acknowledged; damage to the oplog, whose blocks were acknowledged; and a crash while the data was
//! written. The first two cannot be told apart, and need not be: whole blocks can be appended again. That is safe,
//! because one key signs one tree in one way: readers see the same head and blocks as before. The remains of the broken
//! entries, their hashes and signatures, tell whether the blocks are still the ones that were signed ([`TailCheck`]).

use std::sync::Arc;

use libvms_hypercore::blocks::{Length, each};
use libvms_hypercore::identity::{PublicKey, Signature};
use libvms_hypercore::limits::BLOCK_BYTES_MAX;
use libvms_hypercore::signed_head::UnverifiedHead;
use libvms_hypercore::tree::{Node, Roots, hash};
use thiserror::Error;

use super::StorageError;
use super::file::Medium;
use super::journal::{Files, Journal, node_from_bytes, node_offset};
use super::oplog::{Oplog, Remains};

/// Bytes read at a time.
const READ_BYTES: usize = 128 * 1024;
/// Bytes that systems bring to disk together.
const PAGE_BYTES: u64 = 4096;

/// The blocks beyond the last whole append of a core, or what a crash has left of them.
#[derive(Debug)]
pub struct Tail {
    journal: Arc<Journal>,
    key: PublicKey,
    /// The tree before the tail.
    roots: Roots,
    /// Bytes in the data file.
    end: u64,
    remains: Remains,
}

/// The tail differs from what an append leaves. Its blocks may have been acknowledged, so others must not replace them.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TailError {
    /// A signed head counts more blocks than the data holds.
    #[error("its oplog counts {length} blocks, but its data holds only {found}")]
    Missing {
        /// The number of signed blocks.
        length: Length,
        /// The number of blocks in the data.
        found: Length,
    },
    /// A block does not match its stored or signed hash.
    #[error("its data and the remains of its oplog disagree about the first {length} blocks")]
    Contradiction {
        /// The length up to which they were compared.
        length: Length,
    },
    /// The bytes that follow are not a block, and not the remains of one after a crash.
    #[error("the bytes of its data from offset {offset} on are not a block")]
    NoBlock {
        /// The offset of these bytes.
        offset: u64,
    },
}

impl Tail {
    /// Returns the tail beyond `roots`; `None` if there is none.
    pub(super) fn find(
        journal: &Arc<Journal>,
        roots: &Roots,
        key: PublicKey,
        remainder: &[u8],
    ) -> Result<Option<Self>, StorageError> {
        let remains = Remains::find(remainder, roots.length());
        let end = journal.data().length().map_err(StorageError::io(journal.path()))?;
        let is_clean = end <= roots.byte_length() && !remains.is_anything;
        let tail = Self { journal: Arc::clone(journal), key, roots: roots.clone(), end, remains };
        Ok((!is_clean).then_some(tail))
    }

    /// Returns the number of data bytes that no whole oplog entry counts.
    pub fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.roots.byte_length())
    }

    /// Returns whether the oplog ends in an incomplete entry. It is written after the blocks: they are durable then.
    pub fn has_broken_entry(&self) -> bool {
        self.remains.is_anything
    }

    /// Returns whether the data from `offset` on, or all of its last page, is zeros:
    /// a loss of power leaves zeros for bytes that were never synced.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn is_unwritten_from(&self, offset: u64) -> Result<bool, StorageError> {
        let page = self.end.saturating_sub(1) / PAGE_BYTES * PAGE_BYTES;
        let from = offset.max(page);
        let mut bytes = vec![0; self.end.saturating_sub(from) as usize];
        let read = self.journal.data().read_at(from, &mut bytes);
        read.map_err(|error| self.journal.read_error(error))?;
        Ok(bytes.iter().all(|byte| *byte == 0))
    }

    /// Returns the bytes of the data and of the oplog that whole entries cover.
    pub fn whole_bytes(&self) -> [u64; 2] {
        [self.roots.byte_length(), self.journal.end()]
    }

    /// Returns the blocks. `split` returns the length of the first block in some bytes, or `None` if they hold no whole one.
    pub fn blocks(&self, split: fn(&[u8]) -> Option<usize>) -> TailBlocks<'_> {
        let (data, at) = (self.journal.data(), self.roots.byte_length());
        TailBlocks { tail: self, data, split, at, buffer: vec![] }
    }

    /// Compares blocks, in order, with the remains of the oplog.
    pub fn check(&self) -> TailCheck<'_> {
        TailCheck { tail: self, roots: self.roots.clone(), signed: self.roots.length(), contradicted: None }
    }
}

/// The blocks of a tail, one after another: see [`Tail::blocks`].
#[derive(Debug)]
pub struct TailBlocks<'a> {
    tail: &'a Tail,
    data: &'a dyn Medium,
    split: fn(&[u8]) -> Option<usize>,
    at: u64,
    /// Bytes of the data from `at` on.
    buffer: Vec<u8>,
}

impl TailBlocks<'_> {
    /// Returns the next block; `None` if no whole one follows.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn next_block(&mut self) -> Result<Option<Vec<u8>>, StorageError> {
        loop {
            if let Some(length) = (self.split)(&self.buffer).filter(|length| *length > 0) {
                let block = self.buffer.drain(..length).collect();
                self.at += length as u64;
                return Ok(Some(block));
            }
            let from = self.at + self.buffer.len() as u64;
            let count = self.tail.end.saturating_sub(from).min(READ_BYTES as u64) as usize;
            if count == 0 || self.buffer.len() > BLOCK_BYTES_MAX {
                return Ok(None);
            }
            let start = self.buffer.len();
            self.buffer.resize(start + count, 0);
            let read = self.data.read_at(from, &mut self.buffer[start..]);
            read.map_err(|error| self.tail.journal.read_error(error))?;
        }
    }

    /// Returns whether nothing follows.
    pub fn is_at_end(&self) -> bool {
        self.at >= self.tail.end
    }

    /// Returns the offset of the next block in the data.
    pub fn offset(&self) -> u64 {
        self.at
    }
}

/// A comparison of a tail's blocks with the hashes and signatures that remain in the oplog.
#[derive(Debug)]
pub struct TailCheck<'a> {
    tail: &'a Tail,
    roots: Roots,
    /// Up to this length the blocks are the signed ones.
    signed: Length,
    /// The first length at which a whole entry, or the remains of a broken one, disagree.
    contradicted: Option<(bool, Length)>,
}

impl TailCheck<'_> {
    /// Adds the next block.
    pub fn push(&mut self, block: &[u8]) {
        let Remains { broken, whole, .. } = &self.tail.remains;
        let mut added: Vec<Node> = vec![];
        self.roots.append_with(Node::leaf(self.roots.length().next_block(), block), |node| added.push(*node));
        let length = self.roots.length();
        for entry in whole.iter().filter(|entry| entry.length == length) {
            match self.is_signed(&entry.signature) {
                true => self.signed = length,
                false => self.contradict(true),
            }
        }
        if broken.length == Some(length)
            && broken.signature.is_some_and(|signature| self.is_signed(&signature))
        {
            self.signed = length;
        }
        let is_other = |node: &Node| added.iter().any(|ours| ours.index == node.index && ours != node);
        if broken.nodes.iter().any(is_other) {
            self.contradict(false);
        }
    }

    /// Checks that the blocks added are all that was signed, as far as anything can tell.
    ///
    /// # Errors
    /// [`TailError`] with the contradiction.
    pub fn finish(mut self) -> Result<(), TailError> {
        let (Remains { broken, whole, .. }, found) = (&self.tail.remains, self.roots.length());
        if let Some(length) = whole.iter().map(|entry| entry.length).max().filter(|length| *length > found) {
            return Err(TailError::Missing { length, found });
        }
        // The length field may be the broken part.
        if broken.signature.is_some_and(|signature| self.is_signed(&signature)) {
            self.signed = found;
        }
        match (self.contradicted, broken.length) {
            (Some((is_whole, length)), _) if is_whole || length > self.signed => {
                Err(TailError::Contradiction { length })
            }
            // If everything that was found is signed, the length field is the broken part.
            (_, Some(length))
                if length > found && !(self.signed == found && found > self.tail.roots.length()) =>
            {
                Err(TailError::Missing { length, found })
            }
            _ => Ok(()),
        }
    }

    fn contradict(&mut self, is_whole: bool) {
        let length = self.roots.length();
        match &mut self.contradicted {
            Some((known, _)) => *known |= is_whole,
            none => *none = Some((is_whole, length)),
        }
    }

    fn is_signed(&self, signature: &Signature) -> bool {
        let claim = UnverifiedHead {
            key: self.tail.key,
            length: self.roots.length(),
            fork: 0,
            tree_hash: self.roots.tree_hash(),
            signature: *signature,
        };
        claim.verify().is_ok()
    }
}

/// Returns how many entries of an oplog have their blocks whole in the data: all before the first that does not.
///
/// Blocks that a header counts are durable; with [`super::Durability::Later`], a loss of power may have lost those of entries.
pub(super) fn whole_entries(files: &Files, oplog: &Oplog) -> Result<usize, StorageError> {
    let unreadable = |error| StorageError::io(&files.path)(error);
    let mut start = 0_u64;
    for index in libvms_hypercore::tree::index::roots(oplog.header.length) {
        let mut bytes = [0; 40];
        match files.tree.read_at(node_offset(index), &mut bytes) {
            Ok(()) => start = start.wrapping_add(node_from_bytes(index, &bytes).size),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(StorageError::damaged(&files.path, "a file is shorter than the oplog says"));
            }
            Err(error) => return Err(unreadable(error)),
        }
    }
    let end = files.data.length().map_err(unreadable)?;
    for (count, entry) in oplog.entries.iter().enumerate() {
        for block in each(entry.length.blocks_since(entry.length_before)) {
            let leaf = entry.nodes.iter().find(|node| node.index == 2 * block.0);
            let place = leaf.and_then(|leaf| Some((leaf, start.checked_add(leaf.size)?)));
            let Some((leaf, next)) = place.filter(|(_, next)| *next <= end) else { return Ok(count) };
            let mut bytes = vec![0; leaf.size as usize];
            files.data.read_at(start, &mut bytes).map_err(unreadable)?;
            if hash::leaf(&bytes) != leaf.hash {
                return Ok(count);
            }
            start = next;
        }
    }
    Ok(oplog.entries.len())
}
