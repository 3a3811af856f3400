//! One core on disk: append, read, prove.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use hypercore::{Hypercore, HypercoreBuilder};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::limits::BLOCK_BYTES_MAX;
use libvms_hypercore::signed_head::{SignedHead, UnverifiedHead};
use libvms_hypercore::tree::{Inclusion, Node, Roots, index};
use tokio::sync::watch;

use super::create::{self, OPLOG_BYTES_MAX};
use super::journal::{FLUSH_BYTES, Files, Journal, now_or_never};
use super::oplog::{Entry, Oplog};
use super::reader::Reader;
use super::tail::{self, Tail};
use super::view::{CoreView, Head};
use super::{Durability, StorageError};

/// The most blocks in one append.
pub const BATCH_BLOCKS_MAX: usize = 1 << 18;

// An oplog entry repeats two nodes per block, of at most 50 bytes each.
const _: () = assert!((BATCH_BLOCKS_MAX as u64) * 100 + 2 * FLUSH_BYTES < OPLOG_BYTES_MAX);

/// A signed, append-only list of blocks in a directory of its own.
///
/// One process may write to it (see [`super::DataDirectory`]); others may read at the same time. Each read checks a block
/// against the tree.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// use libvms_cores::storage::{Core, Durability};
/// use libvms_hypercore::blocks::{BlockIndex, Length};
/// use libvms_hypercore::identity::SecretKey;
///
/// let path = directory.path().join("log");
/// let mut core = Core::create(&path, SecretKey::from_seed(&[7; 32]), Durability::Sync)?;
/// let signed_head = core.append(&["first", "second"])?;
/// assert_eq!((signed_head.length(), core.block(BlockIndex(1))?), (Length(2), b"second".to_vec()));
/// drop(core);
/// assert_eq!(Core::open_read_only(&path)?.signed_head(), Some(signed_head));
/// # Ok(())
/// # }
/// ```
pub struct Core {
    journal: Arc<Journal>,
    reader: Reader,
    /// The appender; `None` in a core that was opened for reading.
    hypercore: Option<Hypercore>,
    key: PublicKey,
    secret_key: Option<SecretKey>,
    signed_head: Option<SignedHead>,
    /// Publishes the head to readers in this process.
    head: watch::Sender<Head>,
    is_poisoned: bool,
    /// Whether nothing lies beyond the last append.
    is_settled: bool,
}

impl Core {
    /// Creates a core without blocks, and its directory if it is missing.
    ///
    /// # Errors
    /// [`StorageError::Exists`] when there is a core already; [`StorageError::Damaged`] when there are files that might
    /// be one; [`StorageError::Io`].
    pub fn create(directory: &Path, key: SecretKey, durability: Durability) -> Result<Self, StorageError> {
        create::create(directory, &key, durability)?;
        Self::open(directory, durability)
    }

    /// Opens a core for appending, and repairs the traces of a crash.
    ///
    /// # Errors
    /// [`StorageError::NoCore`] when there is none; [`StorageError::ReadOnly`] when the secret key is not in the
    /// files; [`StorageError::Damaged`] when the files contradict each other; [`StorageError::Io`].
    pub fn open(directory: &Path, durability: Durability) -> Result<Self, StorageError> {
        let oplog = create::find(directory)?;
        Self::resume(create::open_files(directory, true)?, oplog, durability, FLUSH_BYTES)
    }

    /// Opens a core for appending, and returns the bytes beyond the last whole append. They stay as they are
    /// until [`Core::settle`], which must precede an append.
    ///
    /// # Errors
    /// As [`Core::open`].
    pub fn open_with_tail(
        directory: &Path,
        durability: Durability,
    ) -> Result<(Self, Option<Tail>), StorageError> {
        let oplog = create::find_beginning(directory)?;
        Self::resume_with_tail(create::open_files(directory, true)?, oplog, durability, FLUSH_BYTES)
    }

    /// Opens a core for appending whose data can be derived again from elsewhere. The core goes as far as its files are whole,
    /// and the rest is cut off.
    ///
    /// # Errors
    /// As [`Core::open`].
    pub fn open_derived(directory: &Path, durability: Durability) -> Result<Self, StorageError> {
        let oplog = create::find_beginning(directory)?;
        Self::resume_derived(create::open_files(directory, true)?, oplog, durability, FLUSH_BYTES)
    }

    /// Opens a core for reading, at its present length. Writes nothing, and needs no lock: another process may
    /// append meanwhile, which this value does not see.
    ///
    /// # Errors
    /// [`StorageError::NoCore`] when there is none; [`StorageError::Damaged`] when the files contradict each other;
    /// [`StorageError::Io`].
    pub fn open_read_only(directory: &Path) -> Result<Self, StorageError> {
        let oplog = create::find_while_it_grows(directory)?;
        Self::view(create::open_files(directory, false)?, oplog, Durability::Relaxed, FLUSH_BYTES)
    }

    /// Returns the public key that verifies the blocks' signatures; it names the core.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Returns the secret key, if the files hold it.
    pub fn secret_key(&self) -> Option<SecretKey> {
        self.secret_key.clone()
    }

    /// Returns the number of blocks.
    pub fn length(&self) -> Length {
        self.reader.roots.length()
    }

    /// Returns the number of bytes in all blocks.
    pub fn byte_length(&self) -> u64 {
        self.reader.roots.byte_length()
    }

    /// Returns the signed head, or `None` while the core is empty.
    pub fn signed_head(&self) -> Option<SignedHead> {
        self.signed_head
    }

    /// Returns the roots of the tree over all blocks.
    pub fn roots(&self) -> &Roots {
        &self.reader.roots
    }

    /// Appends blocks with one signature, and returns the new head. All of them are appended, or none.
    ///
    /// An empty slice appends nothing and returns the present head.
    ///
    /// # Errors
    /// [`StorageError::ReadOnly`]; [`StorageError::TooLarge`] for more than [`BATCH_BLOCKS_MAX`] blocks or one of more
    /// than [`BLOCK_BYTES_MAX`] bytes; [`StorageError::Empty`] when nothing is appended to a core without blocks. These
    /// change nothing. After any other error, such as [`StorageError::Io`] from a full disk, the blocks may be stored or
    /// not: the core refuses further appends as [`StorageError::Poisoned`], and reopening it finds out.
    pub fn append(&mut self, blocks: &[impl AsRef<[u8]>]) -> Result<SignedHead, StorageError> {
        let path = || self.journal.path().to_owned();
        let (Some(hypercore), Some(secret_key)) = (&self.hypercore, &self.secret_key) else {
            return Err(StorageError::ReadOnly { path: path() });
        };
        if self.is_poisoned || !self.is_settled {
            return Err(StorageError::Poisoned { path: path() });
        }
        if blocks.is_empty() {
            return self.signed_head.ok_or_else(|| StorageError::Empty { path: path() });
        }
        check_sizes(self.journal.path(), blocks)?;
        self.is_poisoned = true;
        now_or_never(hypercore.append_batch(blocks))
            .map_err(|error| StorageError::hypercore(self.journal.path(), error))?;
        let (roots, signed_head) = self.head_after(secret_key)?;
        self.head.send_replace(Head { roots: roots.clone(), signed_head: Some(signed_head) });
        self.reader.roots = roots;
        self.signed_head = Some(signed_head);
        self.is_poisoned = false;
        Ok(signed_head)
    }

    /// Reads block number `block`.
    ///
    /// # Errors
    /// [`StorageError::OutOfRange`]; [`StorageError::Damaged`] when the block is not the stored one; [`StorageError::Io`].
    pub fn block(&self, block: BlockIndex) -> Result<Vec<u8>, StorageError> {
        self.reader.block(block)
    }

    /// Reads the blocks of a range in order, faster than [`Self::block`] does. Ends after the first error;
    /// a range beyond the end yields the blocks that exist, then [`StorageError::OutOfRange`].
    pub fn blocks(&self, range: Range<BlockIndex>) -> impl Iterator<Item = Result<Vec<u8>, StorageError>> {
        self.reader.blocks(range)
    }

    /// Returns the proof that a block is in the core as its signed head signs it.
    ///
    /// # Errors
    /// [`StorageError::OutOfRange`]; [`StorageError::Damaged`]; [`StorageError::Io`].
    pub fn inclusion(&self, block: BlockIndex) -> Result<Inclusion, StorageError> {
        self.reader.inclusion(block)
    }

    /// Cuts off the bytes beyond the last whole append.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn settle(&mut self) -> Result<(), StorageError> {
        self.journal.repair(self.byte_length())?;
        self.is_settled = true;
        Ok(())
    }

    /// Returns whether a directory holds a core with blocks, whole or not. Only reads.
    ///
    /// # Errors
    /// As [`Core::open_read_only`].
    pub fn has_blocks(directory: &Path) -> Result<bool, StorageError> {
        let oplog = match create::find_beginning(directory) {
            Err(StorageError::NoCore { .. }) => return Ok(false),
            found => found?,
        };
        let data = create::open_files(directory, false)?.data;
        Ok(!oplog.length().is_empty() || data.length().map_err(StorageError::io(directory))? > 0)
    }

    /// Returns the bytes of a core's data beyond its last whole append, and whether its oplog ends in an incomplete entry. Only
    /// reads, and nobody may be appending.
    ///
    /// # Errors
    /// As [`Core::open_read_only`].
    pub fn beyond(directory: &Path) -> Result<(u64, bool), StorageError> {
        let oplog = create::find_beginning(directory)?;
        let remainder = oplog.remainder.clone();
        let files = create::open_files(directory, false)?;
        let core = Self::view(files, oplog, Durability::Relaxed, FLUSH_BYTES)?;
        let tail = Tail::find(&core.journal, &core.reader.roots, core.key, &remainder)?;
        Ok(tail.map_or((0, false), |tail| (tail.bytes(), tail.has_broken_entry())))
    }

    /// Appends the first `count` blocks of a tail, and cuts off the rest. A crash meanwhile changes nothing: the
    /// same bytes are written at the same place.
    ///
    /// # Errors
    /// As [`Core::append`].
    pub fn take_back(
        &mut self,
        tail: &Tail,
        count: u64,
        split: fn(&[u8]) -> Option<usize>,
    ) -> Result<(), StorageError> {
        self.is_settled = true;
        let (mut blocks, mut left) = (tail.blocks(split), count);
        while left > 0 {
            let mut batch: Vec<Vec<u8>> = vec![];
            while left > 0
                && batch.len() < BATCH_BLOCKS_MAX
                && batch.iter().map(Vec::len).sum::<usize>() < BLOCK_BYTES_MAX
            {
                let block = blocks.next_block()?;
                batch.push(
                    block.ok_or_else(|| StorageError::damaged(self.journal.path(), "its data changes"))?,
                );
                left -= 1;
            }
            self.append(&batch)?;
        }
        self.settle()
    }

    /// Makes older appends durable with [`Durability::Later`] when that is due, and all of them if `all`.
    ///
    /// # Errors
    /// [`StorageError::Io`]. The state on disk is then unknown: reopen the core.
    pub fn bring_to_disk(&mut self, all: bool) -> Result<(), StorageError> {
        let brought = self.journal.bring_to_disk(all);
        self.is_poisoned |= brought.is_err();
        brought
    }

    /// Returns a node over blocks that are all in the core; `None` for any other.
    ///
    /// # Errors
    /// [`StorageError::Damaged`]; [`StorageError::Io`].
    pub fn node(&self, node: u64) -> Result<Option<Node>, StorageError> {
        self.reader.node(node)
    }

    /// Returns a view for another part of this program; the view follows as the core grows.
    pub fn follow(&self) -> CoreView {
        CoreView::new(Arc::clone(&self.journal), self.key, self.head.subscribe())
    }

    /// Opens a core for appending from its files.
    pub(super) fn resume(
        files: Files,
        oplog: Oplog,
        durability: Durability,
        flush_bytes: u64,
    ) -> Result<Self, StorageError> {
        if oplog.header.secret_key.is_none() {
            return Err(StorageError::ReadOnly { path: files.path });
        }
        let mut core = Self::view(files, oplog, durability, flush_bytes)?;
        core.settle()?;
        core.begin_appending()?;
        Ok(core)
    }

    /// Opens a core for appending from its files, and returns the bytes beyond the last whole append.
    pub(super) fn resume_with_tail(
        files: Files,
        oplog: Oplog,
        durability: Durability,
        flush_bytes: u64,
    ) -> Result<(Self, Option<Tail>), StorageError> {
        if oplog.header.secret_key.is_none() {
            return Err(StorageError::ReadOnly { path: files.path });
        }
        let remainder = oplog.remainder.clone();
        let mut core = Self::view(files, oplog, durability, flush_bytes)?;
        core.begin_appending()?;
        let tail = Tail::find(&core.journal, &core.reader.roots, core.key, &remainder)?;
        if tail.is_none() {
            core.settle()?;
        }
        Ok((core, tail))
    }

    /// Opens a core for appending from its files, as far as they are whole.
    pub(super) fn resume_derived(
        files: Files,
        mut oplog: Oplog,
        durability: Durability,
        flush_bytes: u64,
    ) -> Result<Self, StorageError> {
        let whole = tail::whole_entries(&files, &oplog)?;
        oplog.keep(whole);
        Self::resume(files, oplog, durability, flush_bytes)
    }

    fn begin_appending(&mut self) -> Result<(), StorageError> {
        let core = self;
        let hypercore = open_hypercore(&core.journal)
            .map_err(|error| StorageError::hypercore(core.journal.path(), error))?;
        if (Length(hypercore.info().length), hypercore.info().byte_length)
            != (core.length(), core.byte_length())
        {
            return Err(StorageError::damaged(core.journal.path(), "its oplog and its tree disagree"));
        }
        core.hypercore = Some(hypercore);
        Ok(())
    }

    /// Opens a core for reading from its files, and checks that its head is signed and its blocks exist.
    pub(super) fn view(
        files: Files,
        oplog: Oplog,
        durability: Durability,
        flush_bytes: u64,
    ) -> Result<Self, StorageError> {
        let key = oplog.header.key;
        let secret_key = oplog.header.secret_key.clone();
        let (length, signature) = (oplog.length(), oplog.signature());
        let journal = Arc::new(Journal::new(files, oplog, durability, flush_bytes));
        let damaged = |why: &str| StorageError::damaged(journal.path(), why);
        let roots = Reader::read_roots(&journal, length)?;
        let claim =
            |signature| UnverifiedHead { key, length, fork: 0, tree_hash: roots.tree_hash(), signature };
        let signed_head = signature.map(|signature| claim(signature).verify()).transpose();
        let signed_head = signed_head.map_err(|error| damaged(&error.to_string()))?;
        let data_bytes = journal.data().length().map_err(StorageError::io(journal.path()))?;
        if data_bytes < roots.byte_length() {
            return Err(damaged("its data is shorter than its tree says"));
        }
        let head = watch::Sender::new(Head { roots: roots.clone(), signed_head });
        let reader = Reader::new(Arc::clone(&journal), roots);
        Ok(Self {
            journal,
            reader,
            hypercore: None,
            key,
            secret_key,
            signed_head,
            head,
            is_poisoned: false,
            is_settled: false,
        })
    }

    /// Returns the error that this core's files are damaged.
    pub(super) fn damaged(&self, why: &str) -> StorageError {
        StorageError::damaged(self.journal.path(), why)
    }

    /// Returns the roots and the head after an append, from the oplog entry that was written.
    fn head_after(&self, secret_key: &SecretKey) -> Result<(Roots, SignedHead), StorageError> {
        let damaged =
            || StorageError::damaged(self.journal.path(), "an append did not lead to the tree expected");
        let entry = self.journal.take_entry().ok_or_else(damaged)?;
        let roots = roots_after(&self.reader.roots, &entry).ok_or_else(damaged)?;
        // Signing is cheaper than verifying, and gives the same signature when the library signed the same tree.
        let signed_head = SignedHead::sign(secret_key, roots.length(), roots.tree_hash());
        if signed_head.signature() != entry.signature {
            return Err(damaged());
        }
        Ok((roots, signed_head))
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("path", &self.journal.path())
            .field("key", &self.key)
            .field("length", &self.length())
            .finish_non_exhaustive()
    }
}

fn open_hypercore(journal: &Arc<Journal>) -> Result<Hypercore, hypercore::HypercoreError> {
    let storage = journal.storage()?;
    now_or_never(HypercoreBuilder::new(storage).open(true).build())
}

fn check_sizes(path: &Path, blocks: &[impl AsRef<[u8]>]) -> Result<(), StorageError> {
    let too_large = |amount, unit, most| StorageError::TooLarge { path: path.to_owned(), amount, unit, most };
    if blocks.len() > BATCH_BLOCKS_MAX {
        return Err(too_large(blocks.len(), "blocks", BATCH_BLOCKS_MAX));
    }
    match blocks.iter().map(|block| block.as_ref().len()).max() {
        Some(bytes) if bytes > BLOCK_BYTES_MAX => {
            Err(too_large(bytes, "bytes in one block", BLOCK_BYTES_MAX))
        }
        _ => Ok(()),
    }
}

/// Combines the roots after an append: each one is a root of the shorter core already, or new in the entry.
fn roots_after(before: &Roots, entry: &Entry) -> Option<Roots> {
    if entry.length_before != before.length() {
        return None;
    }
    let known = |node: u64| {
        let known = before.nodes().iter().chain(&entry.nodes).find(|known| known.index == node);
        known.copied()
    };
    Roots::from_nodes(entry.length, index::roots(entry.length).map(known).collect::<Option<_>>()?)
}
