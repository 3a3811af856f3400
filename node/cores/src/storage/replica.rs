//! A copy of a core that another process writes: the blocks from the first one on, and the signed head that proves them.
//!
//! ```text
//! DIR/head    two slots of 4 KiB, written in turn: key, signed head, number of stored blocks, roots of the head
//! DIR/data    the blocks, one after another
//! DIR/ends    the offset of each block's end in data, as u64le
//! DIR/tree    the nodes over these blocks, 40 bytes each, at their index: u64be size, hash
//! ```
//!
//! Blocks are stored in order; an early one waits in memory. Nothing counts before [`Replica::sync`] has written
//! a head that counts it: after a crash, the bytes beyond it are written again. The caller verifies blocks and nodes
//! against the signed head before it adds them.
//!
//! Disks lose data, and people copy half of a directory: opening a copy rebuilds damaged files from sound ones
//! (`repair.rs`). A block that is not the stored one is **lost**: it is missing until it is added again.

#[cfg(test)]
mod damage_tests;
mod head;
mod repair;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::ranges::Ranges;
use libvms_hypercore::signed_head::{SignedHead, UnverifiedHead};
use libvms_hypercore::tree::{Node, Roots, index};
use tracing::warn;

use super::StorageError;
use super::directory::{create_directory, sync_directory};
use head::{Heads, Slot};
use repair::{Content, Mended, is_block_of, node_bytes, node_from};

pub use head::Flush;

/// Bytes of a node in the tree.
const NODE_BYTES: u64 = 40;
/// Memory of a waiting block beside its bytes.
const EARLY_BYTES_EACH: usize = 128;
/// Bytes of memory that blocks may use which wait for earlier ones.
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
    head: Option<SignedHead>,
    /// The tree over the stored blocks.
    stored: Roots,
    /// Verified nodes that are not over stored blocks only: the roots of the head, and the nodes of proofs.
    ahead: BTreeMap<u64, Node>,
    early: BTreeMap<BlockIndex, Vec<u8>>,
    early_bytes: usize,
    /// The number of the next write of the head.
    turn: u64,
    is_changed: bool,
    /// Blocks that were stored and are damaged.
    lost: Ranges<BlockIndex>,
    /// The damage that was found, and what was done about it.
    damage: Vec<String>,
}

impl Replica {
    /// Opens the copy of the core `key` in `directory`, or creates an empty one. Nobody else may be using it.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] when the files are those of another core, or were forged;
    /// [`StorageError::Io`]. Damaged files are repaired: see [`Replica::damage`].
    pub fn open(directory: &Path, key: PublicKey) -> Result<Self, StorageError> {
        let io = |error| StorageError::io(directory)(error);
        create_directory(directory).map_err(io)?;
        let open = |name: &str| {
            let mut options = File::options();
            let options = options.read(true).write(true).create(true).truncate(false);
            options.open(directory.join(name)).map(Arc::new)
        };
        let mut replica = Self::from_files(directory, key, open).map_err(io)?;
        match head::read(directory)? {
            Heads::Newest(slot) => {
                let roots = replica.resume(slot)?;
                replica.repair(&roots)?;
            }
            Heads::None => sync_directory(directory).map_err(io)?,
            Heads::Damaged => replica.damage.push("its head was damaged: all of it is fetched again".into()),
        }
        for damage in &replica.damage {
            warn!(copy = %directory.display(), "this copy is damaged: {damage}");
        }
        Ok(replica)
    }

    /// Opens the copy in `directory` for reading, of whichever core it is. Another process may be using it: this one reads the
    /// state of its last sync.
    ///
    /// # Errors
    /// [`StorageError::NoCore`] when there is none; [`StorageError::Damaged`]; [`StorageError::Io`].
    pub fn read(directory: &Path) -> Result<Self, StorageError> {
        let io = |error| StorageError::io(directory)(error);
        let slot = match head::read(directory) {
            Err(StorageError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(StorageError::NoCore { path: directory.to_owned() });
            }
            Err(error) => return Err(error),
            Ok(Heads::None) => return Err(StorageError::NoCore { path: directory.to_owned() }),
            Ok(Heads::Damaged) => {
                let why = "its head is damaged; the watcher or replicator of this copy fetches it again when it starts";
                return Err(StorageError::damaged(directory, why));
            }
            Ok(Heads::Newest(slot)) => slot,
        };
        let open = |name: &str| File::open(directory.join(name)).map(Arc::new);
        let mut replica = Self::from_files(directory, slot.key, open).map_err(io)?;
        replica.stored = replica.resume(slot)?;
        Ok(replica)
    }

    /// Returns whether a directory holds a copy.
    pub fn is_at(directory: &Path) -> bool {
        directory.join("head").is_file()
    }

    fn from_files(
        directory: &Path,
        key: PublicKey,
        open: impl Fn(&str) -> std::io::Result<Arc<File>>,
    ) -> std::io::Result<Self> {
        Ok(Self {
            path: directory.to_owned(),
            key,
            head_file: open("head")?,
            data: open("data")?,
            ends: open("ends")?,
            tree: open("tree")?,
            head: None,
            stored: Roots::default(),
            ahead: BTreeMap::new(),
            early: BTreeMap::new(),
            early_bytes: 0,
            turn: 0,
            is_changed: false,
            lost: Ranges::new(usize::MAX),
            damage: vec![],
        })
    }

    /// Returns the directory of the copy.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the damage that was found when the copy was opened, and what was done about it, for people.
    pub fn damage(&self) -> &[String] {
        &self.damage
    }

    /// Returns the blocks that were stored and are damaged, from low to high. They are missing until they are added again.
    pub fn lost(&self) -> Vec<Range<BlockIndex>> {
        self.lost.iter().collect()
    }

    /// Records that a stored block is damaged.
    pub fn lose(&mut self, block: BlockIndex) {
        if self.length().has(block) {
            self.lost.insert(block.alone());
        }
    }

    /// Returns the core's key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Returns the latest signed head that is known; not all blocks that it counts may be stored.
    pub fn signed_head(&self) -> Option<SignedHead> {
        self.head
    }

    /// Returns the number of stored blocks: all from the first on, without a gap except [`lost`](Self::lost) ones.
    pub fn length(&self) -> Length {
        self.stored.length()
    }

    /// Returns whether a block is stored or waits for earlier ones.
    pub fn has(&self, block: BlockIndex) -> bool {
        self.length().has(block) && !self.lost.contains(block) || self.early.contains_key(&block)
    }

    /// Returns the bytes of memory of blocks that wait for earlier ones. A downloader stays below [`EARLY_BYTES_MAX`].
    pub fn early_bytes(&self) -> usize {
        self.early_bytes
    }

    /// Returns the roots over the stored blocks.
    pub fn roots(&self) -> &Roots {
        &self.stored
    }

    /// Returns a node of the tree, if it is known.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn node(&self, node: u64) -> Result<Option<Node>, StorageError> {
        if let Some(known) = self.ahead.get(&node) {
            return Ok(Some(*known));
        }
        if !self.is_over_stored(node) {
            return Ok(None);
        }
        let mut bytes = [0; NODE_BYTES as usize];
        self.tree.read_exact_at(&mut bytes, NODE_BYTES * node).map_err(StorageError::io(&self.path))?;
        Ok(Some(node_from(node, &bytes)))
    }

    /// Reads a stored block.
    ///
    /// # Errors
    /// [`StorageError::OutOfRange`]; [`StorageError::Damaged`] when the block is lost or not the stored one;
    /// [`StorageError::Io`].
    pub fn block(&self, block: BlockIndex) -> Result<Vec<u8>, StorageError> {
        if !self.length().has(block) {
            return match self.early.get(&block) {
                Some(bytes) => Ok(bytes.clone()),
                None => {
                    Err(StorageError::OutOfRange { path: self.path.clone(), block, length: self.length() })
                }
            };
        }
        let lost =
            || StorageError::damaged(&self.path, format!("block {block} is not the one that was stored"));
        if self.lost.contains(block) {
            return Err(lost());
        }
        let cut = |error: StorageError| match error {
            StorageError::Io { source, .. } if source.kind() == std::io::ErrorKind::UnexpectedEof => lost(),
            error => error,
        };
        let (start, end) = self.place(block).map_err(cut)?;
        if end < start || end > self.stored.byte_length() {
            return Err(StorageError::damaged(&self.path, "the ends of its blocks contradict each other"));
        }
        let mut bytes = vec![0; (end - start) as usize];
        let read = self.data.read_exact_at(&mut bytes, start).map_err(StorageError::io(&self.path));
        read.map_err(cut)?;
        match self.node(2 * block.0).map_err(cut)? {
            Some(leaf) if is_block_of(&leaf, &bytes) => Ok(bytes),
            _ => Err(lost()),
        }
    }

    /// Returns the offsets of a block's begin and end in the data.
    fn place(&self, block: BlockIndex) -> Result<(u64, u64), StorageError> {
        let before = block.length_before().last();
        let start = before.map_or(Ok(0), |before| self.end_of(before))?;
        Ok((start, self.end_of(block)?))
    }

    /// Replaces the head by a newer one, with the roots that it signs. An older or equal one changes nothing.
    pub fn set_head(&mut self, head: SignedHead, roots: &Roots) {
        if self.head.is_some_and(|known| known.length() >= head.length()) {
            return;
        }
        self.head = Some(head);
        self.add_nodes(roots.nodes());
        self.is_changed = true;
    }

    /// Adds verified nodes.
    pub fn add_nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            if !self.is_over_stored(node.index) {
                self.ahead.insert(node.index, *node);
            }
        }
    }

    /// Adds a verified block. It is stored at once if all earlier ones are, and waits in memory otherwise.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn add_block(&mut self, block: BlockIndex, bytes: Vec<u8>) -> Result<(), StorageError> {
        if self.has(block) {
            return Ok(());
        }
        if self.length().has(block) {
            return self.restore(block, &bytes);
        }
        self.early_bytes += EARLY_BYTES_EACH + bytes.len();
        self.early.insert(block, bytes);
        while let Some(bytes) = self.early.remove(&self.stored.length().next_block()) {
            self.append(&bytes)?;
            self.early_bytes -= EARLY_BYTES_EACH + bytes.len();
        }
        Ok(())
    }

    /// Stores a lost block again.
    fn restore(&mut self, block: BlockIndex, bytes: &[u8]) -> Result<(), StorageError> {
        let (start, end) = self.place(block)?;
        let leaf = self.node(2 * block.0)?;
        let fits = end.checked_sub(start) == Some(bytes.len() as u64);
        if !fits || !leaf.is_some_and(|leaf| is_block_of(&leaf, bytes)) {
            let why = format!("the place of block {block}, which is lost, is damaged as well");
            return Err(StorageError::damaged(&self.path, why));
        }
        self.data.write_all_at(bytes, start).map_err(StorageError::io(&self.path))?;
        self.lost.remove(block.alone());
        self.is_changed = true;
        Ok(())
    }

    /// Syncs everything to disk.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn sync(&mut self) -> Result<(), StorageError> {
        self.begin_flush().map_or(Ok(()), Flush::run)
    }

    /// Returns the pending sync, which can run while the replica goes on; `None` if everything is synced.
    /// Run it before the next one is begun. When it fails, the state on disk is unknown: reopen the
    /// replica.
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
        let (block, start) = (self.stored.length().next_block(), self.stored.byte_length());
        let io = |error| StorageError::io(&self.path)(error);
        self.data.write_all_at(bytes, start).map_err(io)?;
        self.ends.write_all_at(&(start + bytes.len() as u64).to_le_bytes(), 8 * block.0).map_err(io)?;
        // Its leaf came with it and was checked against it: hashing a large block twice would cost as much as decrypting it.
        let leaf = self.ahead.get(&(2 * block.0)).copied().unwrap_or_else(|| Node::leaf(block, bytes));
        let (mut stored, mut completed) = (self.stored.clone(), vec![]);
        stored.append_with(leaf, |node| completed.push(*node));
        for node in &completed {
            self.tree.write_all_at(&node_bytes(node), NODE_BYTES * node.index).map_err(io)?;
        }
        // Only now: a block that could not be written to its end is not stored.
        self.stored = stored;
        for node in &completed {
            self.ahead.remove(&node.index);
        }
        self.is_changed = true;
        Ok(())
    }

    fn end_of(&self, block: BlockIndex) -> Result<u64, StorageError> {
        let mut bytes = [0; 8];
        self.ends.read_exact_at(&mut bytes, 8 * block.0).map_err(StorageError::io(&self.path))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Returns whether all blocks below a node are stored.
    fn is_over_stored(&self, node: u64) -> bool {
        let last_leaf = node.saturating_add((1 << index::depth(node).min(62)) - 1);
        last_leaf < 2 * self.length().0
    }

    fn slot(&self) -> Slot {
        let length = self.head.map(|head| head.length()).unwrap_or_default();
        Slot {
            turn: self.turn,
            key: self.key,
            stored: self.stored.length(),
            head: self.head.map(|head| (head.length(), head.signature())),
            roots: index::roots(length).filter_map(|index| self.node(index).ok().flatten()).collect(),
            stored_roots: Some(self.stored.nodes().to_vec()),
        }
    }

    /// Restores the state of the head; returns the roots over the blocks that should be stored.
    fn resume(&mut self, slot: Slot) -> Result<Roots, StorageError> {
        let damaged = |why: &str| StorageError::damaged(&self.path, why);
        if slot.key != self.key {
            let why =
                format!("it is the copy of another core, {}: move it away, or back to its place", slot.key);
            return Err(damaged(&why));
        }
        self.turn = slot.turn + 1;
        let impossible = || damaged("the roots in its head are impossible");
        let mut head_roots = None;
        if let Some((length, signature)) = slot.head {
            let roots = Roots::from_nodes(length, slot.roots).ok_or_else(impossible)?;
            let key = self.key;
            let claim = UnverifiedHead { key, length, fork: 0, tree_hash: roots.tree_hash(), signature };
            let head = claim.verify().map_err(|error| damaged(&error.to_string()))?;
            head_roots = Some((head, roots));
        }
        let nodes = match (slot.stored_roots, &head_roots) {
            (Some(nodes), _) => nodes,
            // A head of an earlier version: if it counts exactly the stored blocks, its roots are theirs.
            (None, Some((head, roots))) if head.length() == slot.stored => roots.nodes().to_vec(),
            (None, _) => self.read_roots(slot.stored).unwrap_or_default(),
        };
        let stored = Roots::from_nodes(slot.stored, nodes).unwrap_or_else(|| {
            self.damage.push("the roots of its tree are damaged: all of it is fetched again".into());
            Roots::default()
        });
        if let Some((head, roots)) = head_roots {
            self.head = Some(head);
            self.add_nodes(roots.nodes());
        }
        Ok(stored)
    }

    /// Returns whether the tree and the ends of the blocks are as they were stored. Reads all of them.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn is_sound(&self) -> Result<bool, StorageError> {
        let content = Content { data: &self.data, ends: &self.ends, tree: &self.tree };
        Ok(content.check_tree(&self.stored).map_err(StorageError::io(&self.path))? == Some(true))
    }

    /// Repairs the files, and takes over the blocks that remain.
    fn repair(&mut self, roots: &Roots) -> Result<(), StorageError> {
        let content = Content { data: &self.data, ends: &self.ends, tree: &self.tree };
        let Mended { stored, mut damage } = content.repair(roots).map_err(StorageError::io(&self.path))?;
        let head = self.ahead.split_off(&0);
        self.stored = stored;
        // Nodes over missing blocks are known from the head alone.
        self.add_nodes(&head.into_values().collect::<Vec<_>>());
        let data_bytes = self.data.metadata().map_err(StorageError::io(&self.path))?.len();
        if data_bytes < self.stored.byte_length() {
            let first = self.first_behind(data_bytes)?;
            self.lost.insert(first..self.length().next_block());
            damage.push(format!(
                "{} of its {} blocks are cut off: they are fetched again",
                self.length().next_block() - first,
                self.length()
            ));
        }
        self.damage.append(&mut damage);
        Ok(())
    }

    /// Returns the first block that ends beyond this offset in the data.
    fn first_behind(&self, place: u64) -> Result<BlockIndex, StorageError> {
        let (mut low, mut high) = (BlockIndex::FIRST, self.length().next_block());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.end_of(middle)? <= place {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn read_roots(&self, length: Length) -> Result<Vec<Node>, StorageError> {
        let read = |index| {
            let mut bytes = [0; NODE_BYTES as usize];
            self.tree.read_exact_at(&mut bytes, NODE_BYTES * index).map_err(StorageError::io(&self.path))?;
            Ok(node_from(index, &bytes))
        };
        index::roots(length).map(read).collect()
    }
}
