//! The blocks that an operation on a drive appends to its two cores.
//!
//! JavaScript appends a content to the blobs core first and then the entry to the files core. The storage must keep
//! that order: an entry must not name blocks that are not there.

use super::DriveError;
use super::blob::parts;
use super::entry::{BlobId, ENTRY_BYTES_MAX, FileEntry, Metadata};
use super::path::Path;
use crate::bee::{self, Blocks, Cache, Header};
use crate::blocks::Length;
use crate::limits::INTEGER_MAX;

/// Lengths of the cores of a drive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriveLength {
    /// Blocks in the files core: the drive's version.
    pub files: Length,
    /// Blocks in the blobs core.
    pub blobs: Length,
    /// Bytes in the blobs core.
    pub blob_bytes: u64,
}

/// The blocks to append.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Blocks for the files core, in one append: only its end is a version.
    pub files: Vec<Vec<u8>>,
    /// Blocks for the blobs core. Append them first.
    pub blobs: Vec<Vec<u8>>,
}

/// The attributes of a file beside its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether the file may be executed.
    pub executable: bool,
    /// The writer's own data.
    pub metadata: Option<Metadata>,
}

/// Makes the blocks of one operation.
///
/// ```
/// use libvms_hypercore::bee::{Cache, Header};
/// use libvms_hypercore::blocks::Length;
/// use libvms_hypercore::drive::{Drive, DriveLength, Options, Path, Writer, content};
/// let (cache, header) = (Cache::default(), Header::for_drive(&[7; 32]));
/// let (mut files, mut blobs): (Vec<Vec<u8>>, Vec<Vec<u8>>) = Default::default();
/// let path = Path::new("/hello.txt")?;
/// let written =
///     Writer::new(&cache, &header).put(&files, DriveLength::default(), &path, b"hello", Options::default())?;
/// blobs.extend(written.blobs);
/// files.extend(written.files); // the header, because the core was empty, and the entry
/// let found = Drive::new(&files, &cache, Length(2)).entry(&path)?.expect("just written");
/// assert_eq!(content(&blobs, &found.entry.blob.expect("a file"), 100)?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    cache: &'a Cache,
    header: &'a Header,
}

/// Several operations in one append of the files core. Lengths inside it are **not** versions.
///
/// After an error the batch is unusable: drop it.
#[derive(Debug)]
pub struct Batch<'a, B: Blocks + ?Sized> {
    files: bee::Batch<'a, B>,
    blobs: Vec<Vec<u8>>,
    length: DriveLength,
}

impl<'a> Writer<'a> {
    /// Creates a writer for the files core to which `cache` belongs; `header` becomes block 0 of an empty core.
    pub fn new(cache: &'a Cache, header: &'a Header) -> Self {
        Self { cache, header }
    }

    /// Begins a batch of several operations on a drive of these lengths.
    ///
    /// # Errors
    /// If a block cannot be read.
    pub fn batch<'b, B: Blocks + ?Sized>(
        &self,
        files: &'b B,
        length: DriveLength,
    ) -> Result<Batch<'b, B>, DriveError<B::Error>>
    where
        'a: 'b,
    {
        let files = bee::Batch::new(files, self.cache, length.files, self.header)?;
        Ok(Batch { files, blobs: vec![], length })
    }

    /// Returns the blocks that writing a file appends. An old content of the same path stays, in older versions.
    ///
    /// # Errors
    /// If a block cannot be read, or the drive cannot hold the file.
    pub fn put<B: Blocks + ?Sized>(
        &self,
        files: &B,
        length: DriveLength,
        path: &Path,
        content: &[u8],
        options: Options,
    ) -> Result<Written, DriveError<B::Error>> {
        let mut batch = self.batch(files, length)?;
        batch.put(path, content, options)?;
        Ok(batch.finish())
    }

    /// Returns the blocks that deleting a file appends: none if the file is not there, except the header of an empty
    /// core.
    ///
    /// # Errors
    /// If a block cannot be read.
    pub fn delete<B: Blocks + ?Sized>(
        &self,
        files: &B,
        length: DriveLength,
        path: &Path,
    ) -> Result<Written, DriveError<B::Error>> {
        let mut batch = self.batch(files, length)?;
        batch.delete(path)?;
        Ok(batch.finish())
    }

    /// Returns the blocks that making a symbolic link appends. The target is stored as passed: see [`Path::resolve`].
    ///
    /// # Errors
    /// If a block cannot be read, or the target is too long.
    pub fn symlink<B: Blocks + ?Sized>(
        &self,
        files: &B,
        length: DriveLength,
        path: &Path,
        linkname: &str,
    ) -> Result<Written, DriveError<B::Error>> {
        self.put_entry(files, length, path, &FileEntry::link(linkname))
    }

    /// Returns the blocks that writing an entry appends. Whether the blobs core has its content is not checked.
    ///
    /// # Errors
    /// If a block cannot be read, or the entry is too large.
    pub fn put_entry<B: Blocks + ?Sized>(
        &self,
        files: &B,
        length: DriveLength,
        path: &Path,
        entry: &FileEntry,
    ) -> Result<Written, DriveError<B::Error>> {
        let mut batch = self.batch(files, length)?;
        batch.put_entry(path, entry)?;
        Ok(batch.finish())
    }
}

impl<B: Blocks + ?Sized> Batch<'_, B> {
    /// Writes a file.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn put(&mut self, path: &Path, content: &[u8], options: Options) -> Result<(), DriveError<B::Error>> {
        let Options { executable, metadata } = options;
        let blob = self.add_blob(content)?;
        self.put_entry(path, &FileEntry { executable, metadata, ..FileEntry::file(blob) })
    }

    /// Deletes a file, if it is there.
    ///
    /// # Errors
    /// As [`Writer::delete`].
    pub fn delete(&mut self, path: &Path) -> Result<(), DriveError<B::Error>> {
        Ok(self.files.delete(&path.key())?)
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// As [`Writer::symlink`].
    pub fn symlink(&mut self, path: &Path, linkname: &str) -> Result<(), DriveError<B::Error>> {
        self.put_entry(path, &FileEntry::link(linkname))
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// As [`Writer::put_entry`].
    pub fn put_entry(&mut self, path: &Path, entry: &FileEntry) -> Result<(), DriveError<B::Error>> {
        let value = entry.encode();
        check_size("an entry", value.len() as u64, ENTRY_BYTES_MAX as u64)?;
        Ok(self.files.put(&path.key(), value)?)
    }

    /// Returns the blocks to append.
    pub fn finish(self) -> Written {
        Written { files: self.files.finish(), blobs: self.blobs }
    }

    fn add_blob(&mut self, content: &[u8]) -> Result<BlobId, DriveError<B::Error>> {
        let DriveLength { blobs, blob_bytes, .. } = self.length;
        let parts = parts(content);
        let id = BlobId {
            block_offset: blobs.next_block(),
            byte_offset: blob_bytes,
            block_length: parts.len() as u64,
            byte_length: content.len() as u64,
            is_map: false,
        };
        // Blocks number no more than bytes, unless another writer made empty ones; both must be exact in JavaScript.
        let end = blob_bytes.max(blobs.0).saturating_add(id.byte_length);
        check_size("a blobs core", end, INTEGER_MAX.unsigned_abs())?;
        self.blobs.extend(parts.map(<[u8]>::to_vec));
        self.length.blobs += id.block_length;
        self.length.blob_bytes += id.byte_length;
        Ok(id)
    }
}

fn check_size<E>(what: &'static str, bytes: u64, bytes_max: u64) -> Result<(), DriveError<E>> {
    if bytes <= bytes_max { Ok(()) } else { Err(DriveError::TooLarge { what, bytes, bytes_max }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(blob_bytes: u64, content: &[u8]) -> Result<Written, DriveError<bee::NoBlock>> {
        let (cache, header) = (Cache::default(), Header::for_drive(&[0; 32]));
        let length = DriveLength { blob_bytes, ..DriveLength::default() };
        let path = Path::new("/a").expect("a name");
        Writer::new(&cache, &header).put::<Vec<Vec<u8>>>(&vec![], length, &path, content, Options::default())
    }

    #[test]
    fn a_blobs_core_ends_at_two_to_the_53_bytes() {
        assert!(put((1 << 53) - 1, b"x").is_ok());
        for (bytes, content) in [((1 << 53) - 1, &b"xy"[..]), (u64::MAX, b"x"), ((1 << 53) + 1, b"")] {
            assert!(matches!(put(bytes, content), Err(DriveError::TooLarge { .. })));
        }
    }

    #[test]
    fn an_entry_that_is_too_large_is_refused() {
        let (cache, header) = (Cache::default(), Header::for_drive(&[0; 32]));
        let (files, path) = (vec![], Path::new("/a").expect("a name"));
        let link = |bytes: usize| {
            let target = "x".repeat(bytes);
            Writer::new(&cache, &header).symlink(&files, DriveLength::default(), &path, &target)
        };
        let around = FileEntry::link("").encode().len();
        assert!(link(ENTRY_BYTES_MAX - around).is_ok());
        assert!(matches!(link(ENTRY_BYTES_MAX - around + 1), Err(DriveError::TooLarge { .. })));
    }
}
