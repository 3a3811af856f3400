//! The writes of `hypercore`, put on disk so that a crash at any moment leaves a core that opens again.
//!
//! Start from [`Journal`]. The crate sees four stores ([`Journal::storage`]); behind them:
//!
//! - **data**: written through; with [`Durability::Sync`] durable before the append's oplog entry is written.
//! - **oplog entries**: each goes behind the ones on disk (after a reopening the crate would overwrite them), with
//!   the bit of the header that is on disk, and is durable before the append returns. That is the append's commit.
//! - **tree, bitfield**: the crate writes these back every few appends. They can be derived from the entries, so
//!   we keep the entries' nodes in memory and write nothing.
//! - with [`Durability::Later`] only a flush syncs, and [`Journal::bring_to_disk`] flushes, not an append: a
//!   header therefore still counts durable blocks only, and the entries are checked against the data when they are read.
//! - **oplog header**: kept in memory until the entries on disk are [`Journal::flush_bytes`] long. Then the tree and the
//!   bitfield are written and made durable, then the header into the slot that is not current, then the entries are
//!   cut off. Until the new header is whole, the old one and its entries hold; from then on they are obsolete.
//!
//! The crate (version 0.17.0-alpha.1) does not survive the following, and never meets it here: a torn entry or
//! header; entries that a newer header has made obsolete (it does not compare their bit); a partial entry at the end (it
//! loops); appending after a reopening (it writes over the entries); a failed write (it goes on; [`super::Core`] does not).
//!
//! The bitfield says which blocks exist. We never remove one, so it is all ones, which we write for other programs
//! and never read; the crate would panic on reading one of more than 32,768 blocks.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use hypercore::{Storage, StorageTraits, Store};
use libvms_hypercore::blocks::Length;
use libvms_hypercore::tree::{Hash, Node};
use random_access_storage::{BoxFuture, RandomAccess, RandomAccessError};

use super::file::Medium;
use super::oplog::{self, ENTRIES_START, Entry, Oplog};
use super::{Durability, StorageError};

/// When the entries have this many bytes, the tree is written and the oplog cut: the threshold of every Hypercore program.
/// It bounds the memory for nodes and the time to open.
pub(super) const FLUSH_BYTES: u64 = 64 * 1024;

/// Bytes of a node in the tree file: size and hash, at 40 times its index.
const NODE_BYTES: u64 = 40;
/// Bytes of one page of the bitfield, which is always written whole.
const PAGE_BYTES: u64 = 4096;

/// The four files of a core.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) path: PathBuf,
    pub(super) data: Box<dyn Medium>,
    pub(super) tree: Box<dyn Medium>,
    pub(super) bitfield: Box<dyn Medium>,
    pub(super) oplog: Box<dyn Medium>,
}

/// The files of an open core, and the nodes and header in memory that are not on disk yet.
#[derive(Debug)]
pub(super) struct Journal {
    files: Files,
    durability: Durability,
    flush_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The oplog as the crate reads it when it opens; empty afterwards.
    oplog_image: Vec<u8>,
    /// Nodes of the entries on disk.
    recent: BTreeMap<u64, Node>,
    /// The newest entry, until [`Journal::take_entry`].
    entry: Option<Entry>,
    /// The newest header that the crate wrote and we did not.
    header: Option<Vec<u8>>,
    slot: u8,
    header_bit: u8,
    /// The offset of the next entry.
    end: u64,
    /// Blocks in the core, and how many of them the bitfield file covers.
    length: Length,
    flushed_length: Length,
}

impl Journal {
    pub(super) fn new(files: Files, oplog: Oplog, durability: Durability, flush_bytes: u64) -> Self {
        let state = State {
            oplog_image: oplog.oplog_image(),
            slot: oplog.slot,
            header_bit: oplog.header_bit,
            end: oplog.end(),
            length: oplog.length(),
            flushed_length: oplog.header.length,
            entry: None,
            header: None,
            recent: oplog
                .entries
                .into_iter()
                .flat_map(|entry| entry.nodes)
                .map(|node| (node.index, node))
                .collect(),
        };
        Self { files, durability, flush_bytes, state: Mutex::new(state) }
    }

    /// Cuts off an incomplete entry, and the data beyond the `byte_length` bytes of all blocks.
    /// Syncs the writes that an earlier process may have left unsynced.
    pub(super) fn repair(&self, byte_length: u64) -> Result<(), StorageError> {
        let end = self.state().end;
        let files = &self.files;
        let repair = || -> io::Result<()> {
            // The oplog first: while it claims more, the data must not be cut.
            for (file, end) in [(&files.oplog, end), (&files.data, byte_length)] {
                if file.length()? > end {
                    file.set_length(end)?;
                }
            }
            self.sync(&[&*files.data, &*files.tree, &*files.bitfield, &*files.oplog])
        };
        repair().map_err(StorageError::io(self.path()))
    }

    /// Returns the offset of the next entry in the oplog.
    pub(super) fn end(&self) -> u64 {
        self.state().end
    }

    pub(super) fn path(&self) -> &Path {
        &self.files.path
    }

    pub(super) fn data(&self) -> &dyn Medium {
        &*self.files.data
    }

    pub(super) fn tree(&self) -> &dyn Medium {
        &*self.files.tree
    }

    /// Returns a node of the tree.
    pub(super) fn node(&self, index: u64) -> Result<Node, StorageError> {
        if let Some(node) = self.recent_node(index) {
            return Ok(node);
        }
        let mut bytes = [0; NODE_BYTES as usize];
        self.tree().read_at(node_offset(index), &mut bytes).map_err(|error| self.read_error(error))?;
        Ok(node_from_bytes(index, &bytes))
    }

    /// Returns a node that may not be in the tree file yet.
    pub(super) fn recent_node(&self, index: u64) -> Option<Node> {
        self.state().recent.get(&index).copied()
    }

    /// Converts an error of reading the tree or the data: a file that is too short is damage.
    pub(super) fn read_error(&self, error: io::Error) -> StorageError {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            StorageError::damaged(self.path(), "a file is shorter than the oplog says")
        } else {
            StorageError::Io { path: self.path().to_owned(), source: error }
        }
    }

    /// Returns the entry of the append that just succeeded.
    pub(super) fn take_entry(&self) -> Option<Entry> {
        self.state().entry.take()
    }

    /// Returns the stores that the crate works on.
    pub(super) fn storage(self: &Arc<Self>) -> Result<Storage, hypercore::HypercoreError> {
        let journal = Arc::clone(self);
        let create = move |store| {
            let store: Arc<dyn StorageTraits> =
                Arc::new(JournalStore { journal: Arc::clone(&journal), store });
            Box::pin(std::future::ready(Ok(store))) as BoxFuture<_>
        };
        now_or_never(Storage::open(create, false))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sync(&self, media: &[&dyn Medium]) -> io::Result<()> {
        match self.durability {
            Durability::Sync => media.iter().try_for_each(|medium| medium.sync()),
            Durability::Later | Durability::Relaxed => Ok(()),
        }
    }

    /// Syncs the files of a flush: also where an append does not wait for the disk.
    fn sync_flush(&self, media: &[&dyn Medium]) -> io::Result<()> {
        match self.durability {
            Durability::Sync | Durability::Later => media.iter().try_for_each(|medium| medium.sync()),
            Durability::Relaxed => Ok(()),
        }
    }

    /// Flushes with [`Durability::Later`] if it is time; with `all`, makes everything durable in any case.
    pub(super) fn bring_to_disk(&self, all: bool) -> Result<(), StorageError> {
        if self.durability != Durability::Later {
            return Ok(());
        }
        let files = &self.files;
        let brought = self.flush_if_due().and_then(|()| match all {
            true => [&files.data, &files.oplog].into_iter().try_for_each(|file| file.sync()),
            false => Ok(()),
        });
        brought.map_err(StorageError::io(self.path()))
    }

    fn write_data(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.files.data.write_at(offset, bytes)?;
        self.sync(&[&*self.files.data])
    }

    fn write_oplog(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let payload = oplog::unframe(bytes).ok_or_else(|| unexpected("an oplog record without a leader"))?;
        let mut state = self.state();
        if offset < ENTRIES_START {
            state.header = Some(payload.to_vec());
            return Ok(());
        }
        let entry = Entry::decode(payload).ok_or_else(|| unexpected("an oplog entry that is no append"))?;
        let framed = oplog::frame(payload, state.slot);
        self.files.oplog.write_at(state.end, &framed)?;
        self.sync(&[&*self.files.oplog])?;
        state.end += framed.len() as u64;
        state.length = entry.length;
        // A header that was not written in time is older than this entry.
        state.header = None;
        state.recent.extend(entry.nodes.iter().map(|node| (node.index, *node)));
        state.entry = Some(entry);
        Ok(())
    }

    /// Flushes if there are enough entries: the crate has written a header and wants the entries cut off, a good time for it.
    fn flush_if_due(&self) -> io::Result<()> {
        let mut state = self.state();
        let Some(header) = state.header.take() else { return Ok(()) };
        if state.end - ENTRIES_START < self.flush_bytes {
            return Ok(());
        }
        self.write_tree(&state.recent)?;
        self.write_bitfield(state.flushed_length, state.length)?;
        if self.durability == Durability::Later {
            self.files.data.sync()?;
        }
        self.sync_flush(&[&*self.files.tree, &*self.files.bitfield])?;
        self.switch_header(&mut state, &header)?;
        self.files.oplog.set_length(ENTRIES_START)?;
        state.end = ENTRIES_START;
        state.flushed_length = state.length;
        state.recent.clear();
        Ok(())
    }

    /// Writes neighbouring nodes together.
    fn write_tree(&self, nodes: &BTreeMap<u64, Node>) -> io::Result<()> {
        let nodes: Vec<&Node> = nodes.values().collect();
        for run in nodes.chunk_by(|left, right| left.index + 1 == right.index) {
            let bytes: Vec<u8> = run.iter().flat_map(|node| node_bytes(node)).collect();
            self.files.tree.write_at(node_offset(run[0].index), &bytes)?;
        }
        Ok(())
    }

    /// Sets the bits of the blocks `from..to`, in whole pages.
    fn write_bitfield(&self, from: Length, to: Length) -> io::Result<()> {
        let blocks_per_page = PAGE_BYTES * 8;
        for page in from.0 / blocks_per_page..to.0.div_ceil(blocks_per_page) {
            let blocks = (to.0 - page * blocks_per_page).min(blocks_per_page);
            let mut bytes = vec![0xff; (blocks / 8) as usize];
            // The first block is the lowest bit.
            bytes.push((1_u8 << (blocks % 8)) - 1);
            bytes.resize(PAGE_BYTES as usize + 1, 0);
            self.files.bitfield.write_at(page * PAGE_BYTES, &bytes[..PAGE_BYTES as usize])?;
        }
        Ok(())
    }

    /// Writes the header into the slot that is not current. One header is whole at any moment.
    fn switch_header(&self, state: &mut State, header: &[u8]) -> io::Result<()> {
        let slot = 1 - state.slot;
        let bit = if slot == 1 { 1 - state.header_bit } else { state.header_bit };
        let framed = oplog::frame(header, bit);
        if framed.len() > oplog::SLOT_BYTES {
            return Err(unexpected("a header that is too large for its slot"));
        }
        self.files.oplog.write_at(u64::from(slot) * oplog::SLOT_BYTES as u64, &framed)?;
        self.sync_flush(&[&*self.files.oplog])?;
        (state.slot, state.header_bit) = (slot, bit);
        Ok(())
    }

    fn read(&self, store: &Store, offset: u64, length: u64) -> Result<Vec<u8>, RandomAccessError> {
        match store {
            Store::Oplog => {
                // The crate reads it once, and whole.
                let oplog_image = std::mem::take(&mut self.state().oplog_image);
                if (offset, length) == (0, oplog_image.len() as u64) {
                    Ok(oplog_image)
                } else {
                    Err(unexpected("a part").into())
                }
            }
            Store::Tree if length == NODE_BYTES && offset.is_multiple_of(NODE_BYTES) => {
                let node = self.node(offset / NODE_BYTES).map_err(io::Error::other)?;
                Ok(node_bytes(&node).to_vec())
            }
            Store::Bitfield if length == 0 => Ok(Vec::new()),
            _ => Err(unexpected("a read of another part").into()),
        }
    }

    fn write(&self, store: &Store, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match store {
            Store::Data => self.write_data(offset, bytes),
            Store::Oplog => self.write_oplog(offset, bytes),
            Store::Tree | Store::Bitfield => Ok(()),
        }
    }

    fn truncate(&self, store: &Store, length: u64) -> io::Result<()> {
        match store {
            // An append does not wait for a flush.
            Store::Oplog if length == ENTRIES_START && self.durability == Durability::Later => Ok(()),
            Store::Oplog if length == ENTRIES_START => self.flush_if_due(),
            _ => Err(unexpected("a truncation")),
        }
    }
}

/// One of the crate's stores.
#[derive(Debug)]
struct JournalStore {
    journal: Arc<Journal>,
    store: Store,
}

impl RandomAccess for JournalStore {
    fn write(&self, offset: u64, data: &[u8]) -> BoxFuture<Result<(), RandomAccessError>> {
        ready(self.journal.write(&self.store, offset, data).map_err(RandomAccessError::from))
    }

    fn read(&self, offset: u64, length: u64) -> BoxFuture<Result<Vec<u8>, RandomAccessError>> {
        ready(self.journal.read(&self.store, offset, length))
    }

    fn del(&self, _offset: u64, _length: u64) -> BoxFuture<Result<(), RandomAccessError>> {
        ready(Err(unexpected("a deletion").into()))
    }

    fn truncate(&self, length: u64) -> BoxFuture<Result<(), RandomAccessError>> {
        ready(self.journal.truncate(&self.store, length).map_err(RandomAccessError::from))
    }

    /// Returns the lengths that the crate asks for when it opens: of the oplog, and of a bitfield that it sees as empty.
    fn len(&self) -> u64 {
        match self.store {
            Store::Oplog => self.journal.state().oplog_image.len() as u64,
            Store::Tree | Store::Data | Store::Bitfield => 0,
        }
    }
}

/// Runs a future of the crate, which waits for nothing but our stores.
pub(super) fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("our stores answer at once")
}

fn ready<T: Send + 'static>(result: Result<T, RandomAccessError>) -> BoxFuture<Result<T, RandomAccessError>> {
    Box::pin(std::future::ready(result))
}

/// Returns an error: the crate does something that the pinned version does not do.
fn unexpected(what: &str) -> io::Error {
    io::Error::other(format!("the hypercore library asked for {what}"))
}

pub(super) fn node_offset(index: u64) -> u64 {
    // Indices of nodes stay below 2^63; a file cannot be so long that a larger product would matter.
    index.saturating_mul(NODE_BYTES)
}

fn node_bytes(node: &Node) -> [u8; NODE_BYTES as usize] {
    let mut bytes = [0; NODE_BYTES as usize];
    bytes[..8].copy_from_slice(&node.size.to_le_bytes());
    bytes[8..].copy_from_slice(&node.hash.0);
    bytes
}

pub(super) fn node_from_bytes(index: u64, bytes: &[u8; NODE_BYTES as usize]) -> Node {
    let (size, hash) = bytes.split_first_chunk::<8>().expect("40 bytes hold 8");
    let hash = hash.try_into().expect("40 bytes without 8 are 32");
    Node { index, size: u64::from_le_bytes(*size), hash: Hash(hash) }
}
