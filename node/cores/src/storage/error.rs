//! [`StorageError`]: why a core's files could not be used.

use std::io;
use std::path::{Path, PathBuf};

use hypercore::HypercoreError;
use libvms_hypercore::blocks::{BlockIndex, Length};
use thiserror::Error;

/// Why a core or a data directory could not be used. Every variant names the path.
#[derive(Debug, Error)]
pub enum StorageError {
    /// There is no core here, or only the beginnings of a creation that was interrupted.
    #[error("there is no core at `{}`", path.display())]
    NoCore {
        /// The core's directory.
        path: PathBuf,
    },
    /// Another process, or another part of this one, holds the directory.
    #[error("the directory `{}` is in use by another process", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// A core cannot be created where one exists.
    #[error("there is a core at `{}` already", path.display())]
    Exists {
        /// The core's directory.
        path: PathBuf,
    },
    /// The operating system failed: the disk is full, a permission is missing.
    #[error("cannot use `{}`: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The files are not those of a core that we wrote, or not any more.
    #[error("the core at `{}` is damaged: {why}", path.display())]
    Damaged {
        /// The core's directory.
        path: PathBuf,
        /// The contradiction that was found.
        why: String,
    },
    /// The core ends before the block.
    #[error("block {block} is not in the core at `{}`, which has {length} blocks", path.display())]
    OutOfRange {
        /// The core's directory.
        path: PathBuf,
        /// The requested block.
        block: BlockIndex,
        /// The number of blocks in the core.
        length: Length,
    },
    /// An append failed, and it is unknown how much of it is on disk. Reopening the core finds out.
    #[error("an earlier write to the core at `{}` failed: reopen the core", path.display())]
    Poisoned {
        /// The core's directory.
        path: PathBuf,
    },
    /// The core was opened for reading, or its files hold no secret key.
    #[error("the core at `{}` can only be read", path.display())]
    ReadOnly {
        /// The core's directory.
        path: PathBuf,
    },
    /// A core without blocks has no signed head.
    #[error("the core at `{}` is empty: it has no signed head yet", path.display())]
    Empty {
        /// The core's directory.
        path: PathBuf,
    },
    /// One append is too large.
    #[error("an append to the core at `{}` has {amount} {unit}; the limit is {most}", path.display())]
    TooLarge {
        /// The core's directory.
        path: PathBuf,
        /// The amount given.
        amount: usize,
        /// The unit: blocks, or bytes in one block.
        unit: &'static str,
        /// The limit.
        most: usize,
    },
}

impl StorageError {
    pub(super) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), why: why.into() }
    }

    /// Converts the error of a failed system call; for `map_err`.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(super) fn hypercore(path: &Path, error: HypercoreError) -> Self {
        match error {
            HypercoreError::IO { source, .. } => Self::Io { path: path.to_owned(), source },
            other => Self::damaged(path, other.to_string()),
        }
    }
}
