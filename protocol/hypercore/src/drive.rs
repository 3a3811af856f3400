//! Hyperdrive: files by path, in a Hyperbee of entries and a core of contents.
//!
//! A drive has two cores. Its **files** core is a [Hyperbee](crate::bee) that maps each path to a [`FileEntry`]; every
//! length of it is a version of the drive. Its **blobs** core holds the contents, in blocks of 64 KiB. A drive's key
//! is that of the files core, whose block 0 names the blobs core. The blocks are byte for byte those of npm hyperdrive 13
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

pub use blob::content;
pub use children::Children;
pub use entry::{BlobId, EntryError, FileEntry, Metadata};
pub use path::{Folder, Path, PathError};
pub use reader::{Change, Difference, Drive, Found, List};
pub use writer::{Batch, DriveLength, Options, Writer, Written};

/// Why a drive cannot be read, or cannot hold what is to be written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DriveError<E = Infallible> {
    /// The Hyperbee cannot be read.
    #[error(transparent)]
    Files(#[from] BeeError<E>),
    /// A block of the blobs core cannot be had.
    #[error(transparent)]
    Blobs(E),
    /// A key among those of the files is not that of a normalised path.
    #[error("block {block} holds a key that is no path")]
    MalformedKey {
        /// The block of the files core.
        block: u64,
    },
    /// A value is no entry.
    #[error("block {block} of the files: {why}")]
    MalformedEntry {
        /// The block of the files core.
        block: u64,
        /// What is wrong with it.
        why: EntryError,
    },
    /// The blocks of a content are not what its entry says.
    #[error("the content at block {block} of the blobs: {why}")]
    MalformedBlob {
        /// The block of the blobs core.
        block: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More than the caller wants, or than a drive can hold.
    #[error("{what} of {bytes} bytes is more than {bytes_max}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        bytes: u64,
        /// How large it may be.
        bytes_max: u64,
    },
    /// A link leads to no path.
    #[error("the link at {link}: {why}")]
    WrongLink {
        /// The link.
        link: Path,
        /// What is wrong with its target.
        why: PathError,
    },
    /// Links lead from one to the next too often.
    #[error("the link at {link} leads through more links than {}", reader::LINKS_MAX)]
    RecursiveLink {
        /// The link from which the walk began.
        link: Path,
    },
}
