//! The archive as an RPC server shows it: the files as answered calls have written them.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use libvms_cores::storage::CoreView;
use libvms_hypercore::bee::{Blocks, Cache};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::drive::{BlobId, Drive, DriveError, Folder, Path};
use libvms_hypercore::limits::BLOB_BLOCK_BYTES;
use libvms_rpc::files::{File, Files, ListLimit, Listed, Listing};

use super::committer::ArchiveLengths;
use super::store::{HostStore, PublishedCore};
use crate::archive::ArchiveError;

/// Decoded blocks of the tree that one request caches: more than the depth of any tree, and the blocks that a page of
/// names shares.
const CACHED_BLOCKS: usize = 1_024;

/// The archive at one version.
#[derive(Debug)]
pub(super) struct Shown {
    files: Readable,
    blobs: Readable,
    version: Length,
}

/// A core whose last blocks may not be on disk yet. A read never waits for a write.
#[derive(Clone, Debug)]
struct Readable {
    view: CoreView,
    core: Arc<PublishedCore>,
}

/// A file of a version. Later writes do not change its blocks.
#[derive(Debug)]
struct ShownFile {
    version: Length,
    blob: BlobId,
    blobs: Readable,
}

impl Shown {
    /// Returns the archive at these lengths, which the log accounts for.
    pub(super) fn new(store: &HostStore, lengths: ArchiveLengths) -> Self {
        let readable = |core: &Arc<PublishedCore>| Readable { view: core.follow(), core: core.clone() };
        Self { files: readable(&store.files), blobs: readable(&store.blobs), version: lengths.files }
    }
}

impl Blocks for Readable {
    type Error = ArchiveError;

    fn block(&self, index: BlockIndex) -> Result<Cow<'_, [u8]>, ArchiveError> {
        let block =
            if self.view.length().has(index) { self.view.block(index)? } else { self.core.block(index)? };
        Ok(Cow::Owned(block))
    }
}

impl Files for Shown {
    fn version(&self) -> Length {
        self.version
    }

    fn file(&self, path: &str) -> io::Result<Option<Arc<dyn File>>> {
        let Ok(path) = Path::new(path) else { return Ok(None) };
        let cache = Cache::new(CACHED_BLOCKS);
        let found = Drive::new(&self.files, &cache, self.version).entry(&path).map_err(failed)?;
        // A script writes neither links nor contents that are scattered over the core.
        let blob = found.as_ref().and_then(|found| found.entry.blob).filter(|blob| !blob.is_map);
        let (Some(found), Some(blob)) = (found, blob) else { return Ok(None) };
        Ok(Some(Arc::new(ShownFile { version: found.block.length_with(), blob, blobs: self.blobs.clone() })))
    }

    fn list(&self, folder: &str, after: &str, limit: ListLimit) -> io::Result<Option<Listing>> {
        let Ok(folder) = Folder::new(folder) else { return Ok(None) };
        let cache = Cache::new(CACHED_BLOCKS);
        let drive = Drive::new(&self.files, &cache, self.version);
        if !folder.is_root() && !drive.has_below(&folder).map_err(failed)? {
            return Ok(None);
        }
        let mut listing = Listing::default();
        let mut bytes = 0;
        for name in drive.children_after(&folder, after) {
            let name = name.map_err(failed)?;
            if listing.entries.len() == limit.names_max || bytes >= limit.bytes_max {
                listing.is_longer = true;
                break;
            }
            bytes += name.len();
            listing.entries.push(listed(drive, &folder, name)?);
        }
        Ok(Some(listing))
    }
}

fn listed(drive: Drive<'_, Readable>, folder: &Folder, name: String) -> io::Result<Listed> {
    let path = Path::new(&format!("{}/{name}", folder.as_str())).map_err(io::Error::other)?;
    let found = drive.entry(&path).map_err(failed)?;
    let file = found.and_then(|found| Some((found.entry.blob?.byte_length, found.block.length_with())));
    let is_folder = file.is_none() || drive.has_below(&path.folder()).map_err(failed)?;
    Ok(Listed { name, file, is_folder })
}

impl File for ShownFile {
    fn version(&self) -> Length {
        self.version
    }

    fn size(&self) -> u64 {
        self.blob.byte_length
    }

    fn read(&self, at: u64) -> io::Result<Vec<u8>> {
        let number = at / BLOB_BLOCK_BYTES as u64;
        let begin = number * BLOB_BLOCK_BYTES as u64;
        let expected = self.blob.byte_length.saturating_sub(begin).min(BLOB_BLOCK_BYTES as u64);
        if number >= self.blob.block_length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let block = self.blobs.block(self.blob.block_offset + number).map_err(io::Error::other)?;
        // Scripts' files have blocks of equal size. In another file this would not be the requested part.
        if block.len() as u64 != expected {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the parts of the file have other lengths",
            ));
        }
        let skipped = usize::try_from(at - begin).map_err(io::Error::other)?;
        Ok(block[skipped..].to_vec())
    }
}

fn failed(error: DriveError<ArchiveError>) -> io::Error {
    io::Error::other(error)
}
