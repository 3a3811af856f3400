//! Opening the cores in a directory: a host's own, a watcher's copies of them, or a replicator's.
//!
//! ```text
//! a host's       DIR/log, DIR/files, DIR/blobs       cores
//! a watcher's    DIR/log, DIR/files, DIR/blobs       copies
//! a replicator's DIR, and ../KEY for each core that its first block names
//! ```
//!
//! Start from [`open_log`] and [`open_archive`]. Both only read; the owner of the directory may be using it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use libvms_cores::storage::layout::{BLOBS, FILES, LOG};
use libvms_cores::storage::{BlockIterator, Core, ReadCore, Replica, SharedReplica, StorageError};
use libvms_hypercore::bee::Header;
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::manifest::blobs_key;
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::Node;
use libvms_protocol::entry::Entry;

/// A core on disk, opened for reading.
#[derive(Debug)]
pub enum StoredCore {
    /// The writer's core.
    Own(Box<Core>),
    /// A copy, which may not be complete.
    Copy(SharedReplica),
}

/// Returns the keys of the cores that the first block of a core names: a log's names its archive and the archive's
/// contents, an archive's names its contents.
pub fn linked(block: &[u8]) -> Vec<PublicKey> {
    if let Ok(Entry::Init(init)) = Entry::decode(block) {
        return vec![init.files, init.blobs];
    }
    let blobs = Header::decode(block).ok().and_then(|header| blobs_key(&header, None).ok());
    blobs.into_iter().collect()
}

/// Opens the log in a directory.
///
/// # Errors
/// [`StorageError::NoCore`] when there is no log; also when it cannot be read.
pub fn open_log(directory: &Path) -> Result<StoredCore, StorageError> {
    let log = directory.join(LOG);
    if log.exists() || !Replica::is_at(directory) {
        return StoredCore::open(&log);
    }
    let copy = StoredCore::open(directory)?;
    match links(&copy)?[..] {
        // An empty copy has no first block that would identify it.
        [_, _] | [] => Ok(copy),
        _ => Err(StorageError::NoCore { path: log }),
    }
}

/// Opens the two cores of the archive in a directory: names and contents.
///
/// # Errors
/// [`StorageError::NoCore`] when there is no archive; also when it cannot be read.
pub fn open_archive(directory: &Path) -> Result<[StoredCore; 2], StorageError> {
    // Open names before contents: a host publishes contents first, so each name seen has its content.
    let [files, blobs] = archive_places(directory)?;
    let files = StoredCore::open(&files)?;
    Ok([files, StoredCore::open(&blobs)?])
}

/// Returns the directories of the two cores of the archive in a directory.
pub(crate) fn archive_places(directory: &Path) -> Result<[PathBuf; 2], StorageError> {
    let own = [FILES, BLOBS].map(|name| directory.join(name));
    if own.iter().any(|place| place.exists()) || !Replica::is_at(directory) {
        return Ok(own);
    }
    let beside = |key: PublicKey| directory.join("..").join(key.to_string());
    let copy = StoredCore::open(directory)?;
    Ok(match links(&copy)?[..] {
        [files, blobs] => [beside(files), beside(blobs)],
        [blobs] => [directory.to_owned(), beside(blobs)],
        _ => own,
    })
}

fn links(core: &StoredCore) -> Result<Vec<PublicKey>, StorageError> {
    if core.length().is_empty() { Ok(vec![]) } else { Ok(linked(&core.block(BlockIndex::FIRST)?)) }
}

impl StoredCore {
    /// Opens the core in a directory of its own, a writer's or a copy.
    ///
    /// # Errors
    /// [`StorageError::NoCore`] when there is no core; also when it cannot be read.
    pub fn open(directory: &Path) -> Result<Self, StorageError> {
        match Replica::is_at(directory) {
            true => Ok(Self::Copy(SharedReplica::new(Replica::read(directory)?))),
            false => Ok(Self::Own(Box::new(Core::open_read_only(directory)?))),
        }
    }

    fn core(&self) -> &dyn ReadCore {
        match self {
            Self::Own(core) => &**core,
            Self::Copy(copy) => copy,
        }
    }
}

impl ReadCore for StoredCore {
    fn key(&self) -> PublicKey {
        self.core().key()
    }

    fn length(&self) -> Length {
        self.core().length()
    }

    fn signed_head(&self) -> Option<SignedHead> {
        self.core().signed_head()
    }

    fn block(&self, block: BlockIndex) -> Result<Vec<u8>, StorageError> {
        self.core().block(block)
    }

    fn blocks(&self, range: Range<BlockIndex>) -> BlockIterator<'_> {
        self.core().blocks(range)
    }

    fn node(&self, node: u64) -> Result<Option<Node>, StorageError> {
        self.core().node(node)
    }
}
