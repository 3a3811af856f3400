//! Reading a call log, a host's own or a copy: [`CallLog`].

use std::ops::Range;
use std::path::Path;

use libvms_cores::storage::{ReadCore, StorageError};
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
        block: u64,
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
        Ok(Self::of(stored::open_log(directory)?))
    }

    /// Returns the log in a core, for example a copy, as far as its blocks are available.
    pub fn of(core: impl ReadCore + 'static) -> Self {
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
    pub fn length(&self) -> u64 {
        self.core.length()
    }

    /// Returns the entries in `range` with their block numbers; the part of the range beyond the end is left out.
    pub fn entries(
        &self,
        range: Range<u64>,
    ) -> impl Iterator<Item = Result<(u64, Entry), CallLogError>> + '_ {
        let range = range.start.min(self.length())..range.end.min(self.length());
        // A copy may lack block 0, or the host's block 0 may be invalid: the other entries are still useful.
        let format = self.core.block(0).ok().and_then(|block| Format::of_log(&block));
        (range.start..).zip(self.core.blocks(range)).map(move |(block, bytes)| {
            let bytes = bytes?;
            let entry = match format {
                Some(format) if block > 0 => Entry::decode_in(&bytes, format),
                _ => Entry::decode(&bytes),
            };
            let entry = entry.map_err(|source| CallLogError::Entry { block, source })?;
            Ok((block, entry))
        })
    }
}
