//! A copy of somebody else's core: the blocks from the first one on, and the signed head that they lead to.
//!
//! ```text
//! DIR/head    two slots of 4 KiB, written in turn: key, signed head, how many blocks are here, roots of the head
//! DIR/data    the blocks, one after another
//! DIR/ends    where each block ends in data, as u64le
//! DIR/tree    the nodes over these blocks, 40 bytes each, at their index: u64be size, hash
//! ```
//!
//! Blocks are added in order; one that comes early waits in memory. Nothing counts before [`Replica::sync`] has written
//! a head that says so: after a crash, what lies beyond it is written again. Whoever stores something here has verified
//! it against the signed head before.

mod head;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libvms_protocol::checkpoint::{Checkpoint, UnverifiedCheckpoint};
use libvms_protocol::identity::PublicKey;
use libvms_protocol::tree::{Hash, Node, Roots, hash, index};

use super::StorageError;
use super::directory::{create_directory, sync_directory};
use head::Slot;

pub use head::Flush;

/// Bytes of a node in the tree.
const NODE_BYTES: u64 = 40;
/// What a block that waits takes beside its bytes.
const EARLY_BYTES_EACH: usize = 128;
/// Bytes of memory that blocks may take which wait for earlier ones.
pub const EARLY_BYTES_MAX: usize = 64 << 20;

/// A copy of a core in a directory of its own.
#[derive(Debug)]
pub struct Replica {
    path: PathBuf,
    key: PublicKey,
    head_file: Arc<File>,
    data: Arc<File>,
    ends: Arc<File>,
    tree: Arc<File>,
    head: Option<Checkpoint>,
    /// The tree over the blocks that are here.
    stored: Roots,
    /// Verified nodes that do not lie over stored blocks only: the roots of the head, and what proofs have brought.
    ahead: BTreeMap<u64, Node>,
    early: BTreeMap<u64, Vec<u8>>,
    early_bytes: usize,
    /// Which write of the head comes next.
    turn: u64,
    is_changed: bool,
}

impl Replica {
    /// Opens the copy of the core `key` in `directory`, or makes an empty one. Nobody else may be using it.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] when the files are those of another core or contradict each other,
    /// [`StorageError::Io`].
    pub fn open(directory: &Path, key: PublicKey) -> Result<Self, StorageError> {
        let io = |error| StorageError::io(directory)(error);
        create_directory(directory).map_err(io)?;
        let open = |name: &str| {
            let mut options = File::options();
            let options = options.read(true).write(true).create(true).truncate(false);
            options.open(directory.join(name)).map(Arc::new)
        };
        let (head_file, data) = (open("head").map_err(io)?, open("data").map_err(io)?);
        let (ends, tree) = (open("ends").map_err(io)?, open("tree").map_err(io)?);
        let mut replica = Self {
            path: directory.to_owned(),
            key,
            head_file,
            data,
            ends,
            tree,
            head: None,
            stored: Roots::default(),
            ahead: BTreeMap::new(),
            early: BTreeMap::new(),
            early_bytes: 0,
            turn: 0,
            is_changed: false,
        };
        match head::read(directory)? {
            Some(slot) => replica.resume(slot)?,
            None => sync_directory(directory).map_err(io)?,
        }
        Ok(replica)
    }

    /// The core's key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// The latest signed head that is known; the blocks that it counts may not all be here.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        self.head
    }

    /// Blocks that are here: all from the first on, without a gap.
    pub fn length(&self) -> u64 {
        self.stored.length()
    }

    /// Whether a block is here or waits for earlier ones.
    pub fn has(&self, block: u64) -> bool {
        block < self.length() || self.early.contains_key(&block)
    }

    /// Bytes of memory that blocks take which wait for earlier ones. Whoever downloads stays below [`EARLY_BYTES_MAX`].
    pub fn early_bytes(&self) -> usize {
        self.early_bytes
    }

    /// The roots over the blocks that are here.
    pub fn roots(&self) -> &Roots {
        &self.stored
    }

    /// A node of the tree, as far as it is known.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn node(&self, index: u64) -> Result<Option<Node>, StorageError> {
        if let Some(node) = self.ahead.get(&index) {
            return Ok(Some(*node));
        }
        if !self.is_over_stored(index) {
            return Ok(None);
        }
        let mut bytes = [0; NODE_BYTES as usize];
        self.tree.read_exact_at(&mut bytes, NODE_BYTES * index).map_err(StorageError::io(&self.path))?;
        let (size, digest) = bytes.split_at(8);
        let size = u64::from_be_bytes(size.try_into().expect("eight bytes"));
        Ok(Some(Node { index, size, hash: Hash(digest.try_into().expect("32 bytes")) }))
    }

    /// Reads a block that is here.
    ///
    /// # Errors
    /// [`StorageError::OutOfRange`]; [`StorageError::Damaged`] when it is not what was stored; [`StorageError::Io`].
    pub fn block(&self, block: u64) -> Result<Vec<u8>, StorageError> {
        if block >= self.length() {
            return match self.early.get(&block) {
                Some(bytes) => Ok(bytes.clone()),
                None => {
                    Err(StorageError::OutOfRange { path: self.path.clone(), block, length: self.length() })
                }
            };
        }
        let start = if block == 0 { 0 } else { self.end_of(block - 1)? };
        let end = self.end_of(block)?;
        if end < start || end > self.stored.byte_length() {
            return Err(StorageError::damaged(&self.path, "the ends of its blocks contradict each other"));
        }
        let mut bytes = vec![0; (end - start) as usize];
        self.data.read_exact_at(&mut bytes, start).map_err(StorageError::io(&self.path))?;
        match self.node(2 * block)? {
            Some(leaf) if leaf.hash == hash::leaf(&bytes) => Ok(bytes),
            _ => Err(StorageError::damaged(
                &self.path,
                format!("block {block} is not the one that was stored"),
            )),
        }
    }

    /// Takes a newer signed head with the roots that it signs. An older or equal one changes nothing.
    pub fn set_head(&mut self, head: Checkpoint, roots: &Roots) {
        if self.head.is_some_and(|known| known.length() >= head.length()) {
            return;
        }
        self.head = Some(head);
        self.add_nodes(roots.nodes());
        self.is_changed = true;
    }

    /// Takes verified nodes.
    pub fn add_nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            if !self.is_over_stored(node.index) {
                self.ahead.insert(node.index, *node);
            }
        }
    }

    /// Takes a verified block. It is here at once if all earlier ones are, and waits in memory otherwise.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn add_block(&mut self, block: u64, bytes: Vec<u8>) -> Result<(), StorageError> {
        if self.has(block) {
            return Ok(());
        }
        self.early_bytes += EARLY_BYTES_EACH + bytes.len();
        self.early.insert(block, bytes);
        while let Some(bytes) = self.early.remove(&self.stored.length()) {
            self.early_bytes -= EARLY_BYTES_EACH + bytes.len();
            self.append(&bytes)?;
        }
        Ok(())
    }

    /// Brings everything to disk.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn sync(&mut self) -> Result<(), StorageError> {
        self.begin_flush().map_or(Ok(()), Flush::run)
    }

    /// What brings everything to disk that is here now, while the replica goes on; `None` if that is done already.
    /// Carry it out before the next one is begun. When it fails, nobody knows what is on the disk: open the replica
    /// again.
    pub fn begin_flush(&mut self) -> Option<Flush> {
        if !self.is_changed {
            return None;
        }
        let flush = Flush {
            path: self.path.clone(),
            content: [&self.data, &self.ends, &self.tree].map(Arc::clone),
            head_file: self.head_file.clone(),
            slot: self.slot(),
        };
        self.turn += 1;
        self.is_changed = false;
        Some(flush)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let (block, start) = (self.stored.length(), self.stored.byte_length());
        let io = |error| StorageError::io(&self.path)(error);
        self.data.write_all_at(bytes, start).map_err(io)?;
        self.ends.write_all_at(&(start + bytes.len() as u64).to_le_bytes(), 8 * block).map_err(io)?;
        let mut completed = vec![];
        // Its leaf came with it and was checked against it: hashing a large block twice would cost as much as decrypting it.
        let leaf = self.ahead.get(&(2 * block)).copied().unwrap_or_else(|| Node::leaf(block, bytes));
        self.stored.append_with(leaf, |node| completed.push(*node));
        for node in completed {
            let bytes = [node.size.to_be_bytes().as_slice(), &node.hash.0].concat();
            self.tree.write_all_at(&bytes, NODE_BYTES * node.index).map_err(io)?;
            self.ahead.remove(&node.index);
        }
        self.is_changed = true;
        Ok(())
    }

    fn end_of(&self, block: u64) -> Result<u64, StorageError> {
        let mut bytes = [0; 8];
        self.ends.read_exact_at(&mut bytes, 8 * block).map_err(StorageError::io(&self.path))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Whether all blocks below a node are here.
    fn is_over_stored(&self, node: u64) -> bool {
        let last_leaf = node.saturating_add((1 << index::depth(node).min(62)) - 1);
        last_leaf < 2 * self.length()
    }

    fn slot(&self) -> Slot {
        let length = self.head.map_or(0, |head| head.length());
        Slot {
            turn: self.turn,
            key: self.key,
            stored: self.stored.length(),
            head: self.head.map(|head| (head.length(), head.signature())),
            roots: index::roots(length).filter_map(|index| self.node(index).ok().flatten()).collect(),
        }
    }

    fn resume(&mut self, slot: Slot) -> Result<(), StorageError> {
        let damaged = |why: &str| StorageError::damaged(&self.path, why);
        if slot.key != self.key {
            return Err(damaged("it is the copy of another core"));
        }
        let (path, key) = (self.path.clone(), self.key);
        self.turn = slot.turn + 1;
        // The nodes over stored blocks are read from the tree; they must lead to sizes that the data can hold.
        let below = Roots::from_nodes(slot.stored, self.read_roots(slot.stored)?);
        self.stored = below.ok_or_else(|| StorageError::damaged(&path, "its tree is impossible"))?;
        if let Some((length, signature)) = slot.head {
            let roots = Roots::from_nodes(length, slot.roots)
                .ok_or_else(|| StorageError::damaged(&path, "the roots of its head are impossible"))?;
            let claim =
                UnverifiedCheckpoint { key, length, fork: 0, tree_hash: roots.tree_hash(), signature };
            let head = claim.verify().map_err(|error| StorageError::damaged(&path, error.to_string()))?;
            self.head = Some(head);
            self.add_nodes(roots.nodes());
        }
        let data_bytes = self.data.metadata().map_err(StorageError::io(&path))?.len();
        if data_bytes < self.stored.byte_length() {
            return Err(StorageError::damaged(&path, "its data is shorter than its tree says"));
        }
        Ok(())
    }

    fn read_roots(&self, length: u64) -> Result<Vec<Node>, StorageError> {
        let read = |index| {
            let mut bytes = [0; NODE_BYTES as usize];
            self.tree.read_exact_at(&mut bytes, NODE_BYTES * index).map_err(StorageError::io(&self.path))?;
            let size = u64::from_be_bytes(bytes[..8].try_into().expect("eight bytes"));
            Ok(Node { index, size, hash: Hash(bytes[8..].try_into().expect("32 bytes")) })
        };
        index::roots(length).map(read).collect()
    }
}
