//! The files archive of a service: a Hyperdrive that only calls can change.
//!
//! Start from [`Archive`], which answers a script's file operations, or from [`FilesArchive`], which reads a published
//! archive. The writes of a call are staged: they become part of the archive when the call has returned
//! ([`Archive::commit`]), and leave no trace when it has failed ([`Archive::discard`]).

mod operation;
mod published;

use std::borrow::Cow;

use libvms_cores::storage::StorageError;
use libvms_hypercore::bee::{BeeError, Blocks, Cache, Header};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::drive::{Drive, DriveError, DriveLength, Options, Path, Writer, Written};
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::tree::Roots;
use libvms_protocol::audit::ArchiveCore;
use libvms_protocol::entry::{FilesChange, FilesHead, FilesLengths};
use thiserror::Error;

pub use published::{ArchiveEntry, FilesArchive, PublishedError};

/// The storage of an archive's blocks.
pub trait ArchiveStore {
    /// Returns a block that was appended.
    ///
    /// # Errors
    /// When the block is missing or cannot be read.
    fn block(&self, core: ArchiveCore, index: BlockIndex) -> Result<Vec<u8>, ArchiveError>;

    /// Appends the next blocks of a core.
    ///
    /// # Errors
    /// When the blocks cannot be written, or contradict blocks that the store already holds.
    fn append(&mut self, core: ArchiveCore, blocks: Vec<Vec<u8>>) -> Result<(), ArchiveError>;
}

/// Why the archive cannot be read or written. Never the script's fault.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The store holds a block that differs from the one that the calls wrote.
    #[error("block {block} of the {core} core is not what the logged calls wrote")]
    Contradiction {
        /// Which core.
        core: ArchiveCore,
        /// Which block.
        block: BlockIndex,
    },
    /// The store does not hold a block that the archive needs.
    #[error("block {block} of the {core} core is missing")]
    Missing {
        /// Which core.
        core: ArchiveCore,
        /// Which block.
        block: BlockIndex,
    },
    /// The blocks do not form an archive.
    #[error("the archive is malformed: {why}")]
    Malformed {
        /// A description of the error.
        why: String,
    },
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// An archive with the staged writes of the running call.
#[derive(Debug)]
pub struct Archive<S> {
    store: S,
    title: String,
    key: PublicKey,
    header: Header,
    cache: Cache,
    files: StagedCore,
    blobs: StagedCore,
}

/// A core as of the last commit, and the blocks staged for the next one.
#[derive(Debug, Default)]
struct StagedCore {
    roots: Roots,
    staged: Vec<Vec<u8>>,
    staged_bytes: u64,
}

impl<S: ArchiveStore> Archive<S> {
    /// Creates an archive in an empty store. `key` and `blobs` are the keys of its two cores.
    ///
    /// # Errors
    /// When the store fails.
    pub fn create(store: S, title: &str, key: PublicKey, blobs: PublicKey) -> Result<Self, ArchiveError> {
        let header = Header::for_drive(&blobs.0);
        let mut archive = Self {
            store,
            title: title.into(),
            key,
            cache: Cache::default(),
            files: StagedCore::default(),
            blobs: StagedCore::default(),
            header,
        };
        archive.files.stage(vec![archive.header.encode()]);
        archive.commit()?;
        Ok(archive)
    }

    /// Makes the staged writes part of the archive. Returns `None` when there are none.
    ///
    /// # Errors
    /// When the store fails; the archive cannot be used any more.
    pub fn commit(&mut self) -> Result<Option<FilesChange>, ArchiveError> {
        if self.files.staged.is_empty() && self.blobs.staged.is_empty() {
            return Ok(None);
        }
        let from = FilesLengths { version: self.files.roots.length(), blobs: self.blobs.roots.length() };
        let (blobs, files) = (self.blobs.take(), self.files.take());
        self.store.append(ArchiveCore::Blobs, blobs)?;
        self.store.append(ArchiveCore::Files, files)?;
        Ok(Some(FilesChange { head: self.head(), from: Some(from) }))
    }

    /// Discards the staged writes.
    pub fn discard(&mut self) {
        self.files.drop_staged();
        self.blobs.drop_staged();
        // Other blocks will have the indices of the discarded ones.
        self.cache.forget_from(self.files.roots.length());
    }

    /// Returns lengths and tree hashes as of the last commit.
    pub fn head(&self) -> FilesHead {
        FilesHead {
            version: self.files.roots.length(),
            hash: self.files.roots.tree_hash(),
            blobs: self.blobs.roots.length(),
            blobs_hash: self.blobs.roots.tree_hash(),
        }
    }

    /// Returns the store of the blocks.
    pub fn store(&self) -> &S {
        &self.store
    }

    fn put(&mut self, path: &Path, content: &[u8]) -> Result<(), ArchiveError> {
        let writer = Writer::new(&self.cache, &self.header);
        let written =
            writer.put(&self.blocks(ArchiveCore::Files), self.length(), path, content, Options::default());
        self.stage(written)
    }

    fn delete(&mut self, path: &Path) -> Result<(), ArchiveError> {
        let writer = Writer::new(&self.cache, &self.header);
        let written = writer.delete(&self.blocks(ArchiveCore::Files), self.length(), path);
        self.stage(written)
    }

    fn stage(&mut self, written: Result<Written, DriveError<ArchiveError>>) -> Result<(), ArchiveError> {
        let Written { files, blobs } = written.map_err(ArchiveError::from)?;
        self.files.stage(files);
        self.blobs.stage(blobs);
        Ok(())
    }

    fn length(&self) -> DriveLength {
        DriveLength {
            files: self.files.length(),
            blobs: self.blobs.length(),
            blob_bytes: self.blobs.roots.byte_length() + self.blobs.staged_bytes,
        }
    }

    fn blocks(&self, core: ArchiveCore) -> StagedBlocks<'_, S> {
        let staged = match core {
            ArchiveCore::Files => &self.files,
            ArchiveCore::Blobs => &self.blobs,
        };
        StagedBlocks { store: &self.store, core, staged }
    }

    /// Reads from the archive as the running call sees it.
    fn read<T>(
        &self,
        read: impl FnOnce(Drive<'_, StagedBlocks<'_, S>>) -> Result<T, DriveError<ArchiveError>>,
    ) -> Result<T, ArchiveError> {
        let blocks = self.blocks(ArchiveCore::Files);
        read(Drive::new(&blocks, &self.cache, self.files.length())).map_err(ArchiveError::from)
    }
}

impl StagedCore {
    fn length(&self) -> Length {
        self.roots.length() + self.staged.len() as u64
    }

    fn stage(&mut self, blocks: Vec<Vec<u8>>) {
        self.staged_bytes += blocks.iter().map(|block| block.len() as u64).sum::<u64>();
        self.staged.extend(blocks);
    }

    fn take(&mut self) -> Vec<Vec<u8>> {
        for block in &self.staged {
            self.roots.append(block);
        }
        self.staged_bytes = 0;
        std::mem::take(&mut self.staged)
    }

    fn drop_staged(&mut self) {
        self.staged.clear();
        self.staged_bytes = 0;
    }
}

/// The blocks of one core, staged ones included.
#[derive(Debug)]
struct StagedBlocks<'a, S> {
    store: &'a S,
    core: ArchiveCore,
    staged: &'a StagedCore,
}

impl<S: ArchiveStore> Blocks for StagedBlocks<'_, S> {
    type Error = ArchiveError;

    fn block(&self, index: BlockIndex) -> Result<Cow<'_, [u8]>, ArchiveError> {
        match index.length_before().checked_sub(self.staged.roots.length()) {
            None => Ok(Cow::Owned(self.store.block(self.core, index)?)),
            Some(offset) => {
                let staged = usize::try_from(offset).ok().and_then(|offset| self.staged.staged.get(offset));
                let missing = ArchiveError::Missing { core: self.core, block: index };
                staged.map(|block| Cow::Borrowed(block.as_slice())).ok_or(missing)
            }
        }
    }
}

impl From<DriveError<Self>> for ArchiveError {
    fn from(error: DriveError<Self>) -> Self {
        match error {
            DriveError::Files(BeeError::Blocks(error)) | DriveError::Blobs(error) => error,
            other => Self::Malformed { why: other.to_string() },
        }
    }
}
