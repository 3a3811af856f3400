//! [`Reader`] finds the blocks and nodes of an open core, and checks each block against its leaf.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::tree::{Inclusion, Node, Roots, hash, index};

use super::StorageError;
use super::file::ReadAhead;
use super::journal::{Journal, node_from_bytes, node_offset};

/// Reads a core with the tree roots `roots`. Every block read is checked against its leaf.
#[derive(Debug)]
pub(super) struct Reader {
    journal: Arc<Journal>,
    pub(super) roots: Roots,
    places: Mutex<Places>,
}

/// Offsets of blocks found so far.
#[derive(Debug, Default)]
struct Places {
    /// A block and its offset: the one behind the block that was read last.
    next: (BlockIndex, u64),
    /// Sizes of nodes from [`CACHED_DEPTH`] on. A complete subtree never changes.
    sizes: HashMap<u64, u64>,
}

/// With one node in 32, the cache takes about a byte per block, and finding a block costs at most five reads.
const CACHED_DEPTH: u32 = 5;

impl Reader {
    pub(super) fn new(journal: Arc<Journal>, roots: Roots) -> Self {
        Self { journal, roots, places: Mutex::default() }
    }

    /// Reads the roots of `length` blocks.
    pub(super) fn read_roots(journal: &Journal, length: Length) -> Result<Roots, StorageError> {
        let nodes = index::roots(length).map(|index| journal.node(index)).collect::<Result<_, _>>()?;
        Roots::from_nodes(length, nodes)
            .ok_or_else(|| StorageError::damaged(journal.path(), "the sizes in its tree are impossible"))
    }

    pub(super) fn block(&self, block: BlockIndex) -> Result<Vec<u8>, StorageError> {
        self.check_range(block)?;
        let leaf = self.journal.node(2 * block.0)?;
        let place = self.place(block, leaf.size)?;
        let mut bytes = vec![0; (place.end - place.start) as usize];
        self.journal
            .data()
            .read_at(place.start, &mut bytes)
            .map_err(|error| self.journal.read_error(error))?;
        self.check_block(&leaf, &bytes)?;
        Ok(bytes)
    }

    pub(super) fn blocks(&self, range: Range<BlockIndex>) -> Blocks<'_> {
        Blocks {
            reader: self,
            range,
            start: None,
            tree: ReadAhead::new(self.journal.tree()),
            data: ReadAhead::new(self.journal.data()),
        }
    }

    pub(super) fn inclusion(&self, block: BlockIndex) -> Result<Inclusion, StorageError> {
        self.check_range(block)?;
        let mut siblings = Vec::new();
        let mut current = 2 * block.0;
        while !self.roots.nodes().iter().any(|root| root.index == current) {
            let above = index::sibling(current).zip(index::parent(current));
            let (sibling, parent) =
                above.expect("below a root of fewer than 2^62 blocks, every node has a parent");
            siblings.push(self.journal.node(sibling)?);
            current = parent;
        }
        Ok(Inclusion { block, siblings, roots: self.roots.clone() })
    }

    /// Returns a node over blocks that are all in the core; `None` for any other.
    pub(super) fn node(&self, node: u64) -> Result<Option<Node>, StorageError> {
        let last_leaf = node.saturating_add((1 << index::depth(node).min(62)) - 1);
        if last_leaf >= 2 * self.roots.length().0 { Ok(None) } else { self.journal.node(node).map(Some) }
    }

    fn check_range(&self, block: BlockIndex) -> Result<(), StorageError> {
        let length = self.roots.length();
        if length.has(block) {
            return Ok(());
        }
        Err(StorageError::OutOfRange { path: self.journal.path().to_owned(), block, length })
    }

    fn check_block(&self, leaf: &Node, bytes: &[u8]) -> Result<(), StorageError> {
        if hash::leaf(bytes) == leaf.hash {
            return Ok(());
        }
        Err(self.damaged(format!("block {} is not the one that was stored", leaf.index / 2)))
    }

    fn damaged(&self, why: impl Into<String>) -> StorageError {
        StorageError::damaged(self.journal.path(), why)
    }

    /// Returns the byte range of a block in the data, which holds at least the bytes that the roots count.
    fn place(&self, block: BlockIndex, size: u64) -> Result<Range<u64>, StorageError> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let start =
            if places.next.0 == block { places.next.1 } else { self.start(block, &mut places.sizes)? };
        let place = self.checked_place(start, size)?;
        places.next = (block + 1, place.end);
        Ok(place)
    }

    fn checked_place(&self, start: u64, size: u64) -> Result<Range<u64>, StorageError> {
        let end = start.checked_add(size).filter(|end| *end <= self.roots.byte_length());
        end.map(|end| start..end).ok_or_else(|| self.damaged("the sizes in its tree do not add up"))
    }

    /// Returns the number of bytes before a block: of all roots and subtrees to the left of its path.
    fn start(&self, block: BlockIndex, sizes: &mut HashMap<u64, u64>) -> Result<u64, StorageError> {
        let leaf = 2 * block.0;
        let mut start = 0_u64;
        for root in self.roots.nodes() {
            // A subtree of depth d spans the indices from its own minus (2^d - 1) to its own plus (2^d - 1).
            let mut depth = index::depth(root.index);
            if leaf > root.index + ((1 << depth) - 1) {
                start = start.wrapping_add(root.size);
                continue;
            }
            let mut node = root.index;
            while depth > 0 {
                depth -= 1;
                let half = 1_u64 << depth;
                if leaf < node {
                    node -= half;
                } else {
                    start = start.wrapping_add(self.size(node - half, sizes)?);
                    node += half;
                }
            }
            break;
        }
        Ok(start)
    }

    fn size(&self, node: u64, sizes: &mut HashMap<u64, u64>) -> Result<u64, StorageError> {
        if index::depth(node) < CACHED_DEPTH {
            return Ok(self.journal.node(node)?.size);
        }
        if let Some(size) = sizes.get(&node) {
            return Ok(*size);
        }
        let size = self.journal.node(node)?.size;
        sizes.insert(node, size);
        Ok(size)
    }
}

/// The blocks of a range, with read-ahead. See [`super::Core::blocks`].
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    reader: &'a Reader,
    range: Range<BlockIndex>,
    /// The offset of the next block, once the first has been looked up.
    start: Option<u64>,
    tree: ReadAhead<'a>,
    data: ReadAhead<'a>,
}

impl Blocks<'_> {
    fn read(&mut self, block: BlockIndex) -> Result<Vec<u8>, StorageError> {
        self.reader.check_range(block)?;
        let journal = &self.reader.journal;
        let leaf = match journal.recent_node(2 * block.0) {
            Some(leaf) => leaf,
            None => {
                let bytes = self.tree.read(node_offset(2 * block.0), 40);
                let bytes = bytes.map_err(|error| journal.read_error(error))?;
                node_from_bytes(2 * block.0, bytes.first_chunk().expect("40 bytes were read"))
            }
        };
        let place = match self.start {
            Some(start) => self.reader.checked_place(start, leaf.size)?,
            None => self.reader.place(block, leaf.size)?,
        };
        let bytes = self.data.read(place.start, leaf.size as usize);
        let bytes = bytes.map_err(|error| journal.read_error(error))?;
        self.reader.check_block(&leaf, bytes)?;
        self.start = Some(place.end);
        Ok(bytes.to_vec())
    }
}

impl Iterator for Blocks<'_> {
    type Item = Result<Vec<u8>, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.range.is_empty() {
            return None;
        }
        let block = self.range.start;
        let result = self.read(block);
        self.range.start = if result.is_ok() { block + 1 } else { self.range.end };
        Some(result)
    }
}
