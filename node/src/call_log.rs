//! Reading a call log, a host's own or a copy: [`CallLog`].

use std::ops::Range;
use std::path::Path;

use libvms_cores::storage::{ReadCore, StorageError};
use libvms_hypercore::blocks::{BlockIndex, Length, each};
use libvms_hypercore::identity::PublicKey;
use libvms_protocol::entry::{Entry, EntryError, Format};
use thiserror::Error;

use crate::stored;

/// A call log, opened only for reading; a host may be using it.
#[derive(Debug)]
pub struct CallLog {
    core: Box<dyn ReadCore>,
}

/// Why an entry cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallLogError {
    /// The log cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A block is not an entry that this version can read.
    #[error("block {block}: {source}")]
    Entry {
        /// The block.
        block: BlockIndex,
        /// The error in the block.
        source: EntryError,
    },
}

impl CallLog {
    /// Opens the log in the data directory `directory`, a host's or a copy, at its current length.
    ///
    /// # Errors
    /// When there is no log, or it cannot be read.
    pub fn open(directory: &Path) -> Result<Self, CallLogError> {
        Ok(Self::from_core(stored::open_log(directory)?))
    }

    /// Returns the log in a core, for example a copy, as far as its blocks are available.
    pub fn from_core(core: impl ReadCore + 'static) -> Self {
        Self { core: Box::new(core) }
    }

    /// Returns the core of the log.
    pub fn core(&self) -> &dyn ReadCore {
        &*self.core
    }

    /// Returns the log's key.
    pub fn key(&self) -> PublicKey {
        self.core.key()
    }

    /// Returns the number of entries in the log.
    pub fn length(&self) -> Length {
        self.core.length()
    }

    /// Returns the entries in `range` with their block numbers; the part of the range beyond the end is left out.
    pub fn entries(
        &self,
        range: Range<BlockIndex>,
    ) -> impl Iterator<Item = Result<(BlockIndex, Entry), CallLogError>> + '_ {
        let end = self.length().next_block();
        let range = range.start.min(end)..range.end.min(end);
        // A copy may lack block 0, or the host's block 0 may be invalid: the other entries are still useful.
        let format =
            self.core.block(BlockIndex::FIRST).ok().and_then(|block| Format::from_first_block(&block));
        each(range.clone()).zip(self.core.blocks(range)).map(move |(block, bytes)| {
            let bytes = bytes?;
            let entry = match format {
                Some(format) if block > BlockIndex::FIRST => Entry::decode_in(&bytes, format),
                _ => Entry::decode(&bytes),
            };
            let entry = entry.map_err(|source| CallLogError::Entry { block, source })?;
            Ok((block, entry))
        })
    }
}
