//! What lies beyond the last append that a core's oplog tells whole.
//!
//! An append is written in this order: its blocks into the data, durable; its entry into the oplog, durable; then whoever
//! waits is told. So three things leave something beyond the last whole entry: a crash before the entry was whole, whose
//! blocks nobody was told of; damage to the oplog, whose blocks somebody was told of; and a crash while the data was
//! written. The first two cannot be told apart, and need not be: blocks that are whole can be appended again. That is safe,
//! because one key signs one tree in one way: what was shown before is shown again. What is left of the broken entries,
//! their hashes and signatures, tells whether the blocks are still the ones that were signed ([`TailCheck`]).

use std::sync::Arc;

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

/// Blocks beyond the last whole append of a core, or what a crash has left of them.
#[derive(Debug)]
pub struct Tail {
    journal: Arc<Journal>,
    key: PublicKey,
    /// The tree below the tail.
    roots: Roots,
    /// Bytes in the data file.
    end: u64,
    remains: Remains,
}

/// What is not as any append leaves it. Whoever was told of these blocks must not be told something else.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TailError {
    /// A signed head counts more blocks than are here.
    #[error("its oplog tells of {length} blocks, and its data holds only {found}")]
    Missing {
        /// Blocks that were signed.
        length: u64,
        /// Blocks that are here.
        found: u64,
    },
    /// A block is not the one whose hash was kept or signed.
    #[error("its data and what is left of its oplog disagree about the first {length} blocks")]
    Contradiction {
        /// Up to where they differ.
        length: u64,
    },
    /// What follows is no block, and not what a crash leaves of one.
    #[error("the bytes of its data from {offset} on are no block")]
    NoBlock {
        /// Where they begin.
        offset: u64,
    },
}

impl Tail {
    /// What lies beyond `roots`; `None` where there is nothing.
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

    /// Bytes of the data that no whole entry of the oplog tells of.
    pub fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.roots.byte_length())
    }

    /// Whether the oplog ends in what is no whole entry. It is written after the blocks: they are durable then.
    pub fn has_broken_entry(&self) -> bool {
        self.remains.is_anything
    }

    /// Whether the data from `offset` on, or all of its last page, is zeros: what a loss of power leaves of bytes that were
    /// never brought to disk.
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

    /// Bytes of the data and of the oplog that whole entries tell of.
    pub fn whole_bytes(&self) -> [u64; 2] {
        [self.roots.byte_length(), self.journal.end()]
    }

    /// The blocks. `split` gives the length of the first block in some bytes, or `None` where they hold no whole one.
    pub fn blocks(&self, split: fn(&[u8]) -> Option<usize>) -> TailBlocks<'_> {
        let (data, at) = (self.journal.data(), self.roots.byte_length());
        TailBlocks { tail: self, data, split, at, buffer: vec![] }
    }

    /// Compares blocks, in order, with what is left of the oplog.
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
    /// The next block; `None` where no whole one follows.
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

    /// Whether nothing follows.
    pub fn is_at_end(&self) -> bool {
        self.at >= self.tail.end
    }

    /// Where the next block begins in the data.
    pub fn offset(&self) -> u64 {
        self.at
    }
}

/// A comparison of a tail's blocks with the hashes and signatures that are left of the oplog.
#[derive(Debug)]
pub struct TailCheck<'a> {
    tail: &'a Tail,
    roots: Roots,
    /// Up to this length the blocks are those that were signed.
    signed: u64,
    /// The first length at which a whole entry, or what is left of a broken one, says something else.
    contradicted: Option<(bool, u64)>,
}

impl TailCheck<'_> {
    /// Takes the next block.
    pub fn push(&mut self, block: &[u8]) {
        let Remains { broken, whole, .. } = &self.tail.remains;
        let mut added: Vec<Node> = vec![];
        self.roots.append_with(Node::leaf(self.roots.length(), block), |node| added.push(*node));
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

    /// Whether the blocks that were taken are all that was signed, as far as anything can tell.
    ///
    /// # Errors
    /// [`TailError`] with what they are not.
    pub fn finish(mut self) -> Result<(), TailError> {
        let (Remains { broken, whole, .. }, found) = (&self.tail.remains, self.roots.length());
        if let Some(length) = whole.iter().map(|entry| entry.length).max().filter(|length| *length > found) {
            return Err(TailError::Missing { length, found });
        }
        // The length that it tells may be what is broken.
        if broken.signature.is_some_and(|signature| self.is_signed(&signature)) {
            self.signed = found;
        }
        match (self.contradicted, broken.length) {
            (Some((is_whole, length)), _) if is_whole || length > self.signed => {
                Err(TailError::Contradiction { length })
            }
            // Where everything that was found is signed, the length that it tells is what is broken.
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

/// How many entries of an oplog tell of blocks that are whole in the data: all before the first that is not.
///
/// What a header counts is durable; with [`super::Durability::Later`], what entries tell may have been lost with the power.
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
        for block in entry.length_before..entry.length {
            let leaf = entry.nodes.iter().find(|node| node.index == 2 * block);
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
