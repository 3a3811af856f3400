//! Hyperdrive: files by path, in a Hyperbee of entries and a core of contents.
//!
//! A drive has two cores. Its **files** core is a [Hyperbee](crate::bee) that maps each path to a [`FileEntry`]; every
//! length of it is a version of the drive. Its **blobs** core holds the contents, in blocks of 64 KiB. A drive's key is
//! that of the files core, whose block 0 names the blobs core. The blocks are byte for byte those of npm hyperdrive 13
//! for the same operations; `fixtures/hyperdrive` has the proof.
//!
//! Start from [`Drive`] to read a version, from [`Writer`] for the next blocks. Blocks may come from a stranger:
//! whatever they hold, reading ends in a value or a [`DriveError`].

pub mod blob;
pub mod children;
pub mod entry;
mod json;
mod lookup;
pub mod path;
pub mod reader;
pub mod writer;

use std::convert::Infallible;

use thiserror::Error;

use crate::bee::BeeError;
use crate::blocks::BlockIndex;

pub use blob::content;
pub use children::Children;
pub use entry::{BlobId, EntryError, FileEntry, Metadata};
pub use path::{Folder, Path, PathError};
pub use reader::{Change, Difference, Drive, Found, List};
pub use writer::{Batch, DriveLength, Options, Writer, Written};

/// The reason why a drive cannot be read, or cannot hold a file.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DriveError<E = Infallible> {
    /// The Hyperbee cannot be read.
    #[error(transparent)]
    Files(#[from] BeeError<E>),
    /// A block of the blobs core cannot be read.
    #[error(transparent)]
    Blobs(E),
    /// A key in the range of the files is not that of a normalised path.
    #[error("block {block} of the files holds a key that is not a path")]
    MalformedKey {
        /// The block of the files core.
        block: BlockIndex,
    },
    /// A value is not an entry.
    #[error("block {block} of the files: {why}")]
    MalformedEntry {
        /// The block of the files core.
        block: BlockIndex,
        /// The fault.
        why: EntryError,
    },
    /// The blocks of a content do not match its entry.
    #[error("the content at block {block} of the blobs: {why}")]
    MalformedBlob {
        /// The block of the blobs core.
        block: BlockIndex,
        /// The fault.
        why: &'static str,
    },
    /// The content or path is larger than the caller accepts, or than a drive can hold.
    #[error("{what} has {bytes} bytes, the limit is {bytes_max}")]
    TooLarge {
        /// The thing that is too large.
        what: &'static str,
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        bytes_max: u64,
    },
    /// The target of a symbolic link is not a path.
    #[error("the link at {link}: {why}")]
    WrongLink {
        /// The link.
        link: Path,
        /// The fault of its target.
        why: PathError,
    },
    /// Symbolic links lead from one to the next too often.
    #[error("the link at {link} leads through more links than {}", reader::LINKS_MAX)]
    RecursiveLink {
        /// The link from which the walk began.
        link: Path,
    },
}
