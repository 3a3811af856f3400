//! Reading a published archive: on the host's own disk, or from a copy.

use std::path::Path as FilePath;

use libvms_cores::storage::{ReadCore, StorageError};
use libvms_hypercore::bee::{BeeError, Cache};
use libvms_hypercore::blocks::Length;
use libvms_hypercore::drive::{self, BlobId, Drive, DriveError, Folder, Found, Path};
use libvms_hypercore::identity::PublicKey;
use thiserror::Error;

use crate::stored;

/// A files archive, opened only for reading; a host may be using it.
#[derive(Debug)]
pub struct FilesArchive {
    files: Box<dyn ReadCore>,
    blobs: Box<dyn ReadCore>,
    cache: Cache,
}

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// The file's path.
    pub path: Path,
    /// Bytes of the file's content; `None` for a symbolic link.
    pub size: Option<u64>,
    /// The version that wrote the file.
    pub version: Length,
    blob: Option<BlobId>,
}

/// Why an archive cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PublishedError {
    /// A core cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The blocks do not form an archive.
    #[error("the archive is malformed: {0}")]
    Malformed(Box<DriveError<StorageError>>),
    /// There is no such version.
    #[error("there is no version {version}; the latest is {latest}")]
    NoVersion {
        /// The requested version.
        version: Length,
        /// The latest version.
        latest: Length,
    },
}

impl FilesArchive {
    /// Opens the archive in the data directory `directory`, a host's or a copy, at its current length.
    ///
    /// # Errors
    /// When there is no archive, or it cannot be read.
    pub fn open(directory: &FilePath) -> Result<Self, PublishedError> {
        let [files, blobs] = stored::open_archive(directory)?;
        Ok(Self::from_cores(files, blobs))
    }

    /// Returns the archive in two cores, for example copies, as far as their blocks are available.
    pub fn from_cores(files: impl ReadCore + 'static, blobs: impl ReadCore + 'static) -> Self {
        Self { files: Box::new(files), blobs: Box::new(blobs), cache: Cache::default() }
    }

    /// Returns the archive's key.
    pub fn key(&self) -> PublicKey {
        self.files.key()
    }

    /// Returns the latest version: the length of the files core.
    pub fn version(&self) -> Length {
        self.files.length()
    }

    /// Returns the files in a folder as of `version`, all below it with `is_recursive`, in the order of their keys.
    ///
    /// # Errors
    /// When there is no such version. Each item can fail by itself.
    pub fn list(
        &self,
        folder: &Folder,
        is_recursive: bool,
        version: Length,
    ) -> Result<impl Iterator<Item = Result<ArchiveEntry, PublishedError>> + use<'_>, PublishedError> {
        let found = self.at(version)?.list(folder, is_recursive);
        Ok(found.map(|found| {
            found.map(|(path, found)| entry_from_found(path, found)).map_err(PublishedError::from)
        }))
    }

    /// Returns the names in a folder, files and folders, as of `version`.
    ///
    /// # Errors
    /// As [`FilesArchive::list`].
    pub fn children(
        &self,
        folder: &Folder,
        version: Length,
    ) -> Result<impl Iterator<Item = Result<String, PublishedError>> + use<'_>, PublishedError> {
        Ok(self.at(version)?.children(folder).map(|name| name.map_err(PublishedError::from)))
    }

    /// Returns the file at a path as of `version`; `None` when there is none.
    ///
    /// # Errors
    /// When there is no such version, or the archive cannot be read.
    pub fn entry(&self, path: &Path, version: Length) -> Result<Option<ArchiveEntry>, PublishedError> {
        let found = self.at(version)?.entry(path).map_err(PublishedError::from)?;
        Ok(found.map(|found| entry_from_found(path.clone(), found)))
    }

    /// Returns the content of a file of at most `bytes_max` bytes; `None` for a symbolic link.
    ///
    /// # Errors
    /// When the content is larger, or cannot be read.
    pub fn content(&self, entry: &ArchiveEntry, bytes_max: u64) -> Result<Option<Vec<u8>>, PublishedError> {
        entry
            .blob
            .map(|blob| drive::content(&*self.blobs, &blob, bytes_max).map_err(PublishedError::from))
            .transpose()
    }

    fn at(&self, version: Length) -> Result<Drive<'_, dyn ReadCore>, PublishedError> {
        let latest = self.version();
        if version > latest {
            return Err(PublishedError::NoVersion { version, latest });
        }
        Ok(Drive::new(&*self.files, &self.cache, version))
    }
}

fn entry_from_found(path: Path, found: Found) -> ArchiveEntry {
    let blob = found.entry.blob;
    ArchiveEntry { path, size: blob.map(|blob| blob.byte_length), version: found.block.length_with(), blob }
}

impl From<DriveError<StorageError>> for PublishedError {
    fn from(error: DriveError<StorageError>) -> Self {
        match error {
            // A fault of the disk, or of the copy's source, and not of the archive.
            DriveError::Files(BeeError::Blocks(error)) | DriveError::Blobs(error) => error.into(),
            other => Self::Malformed(Box::new(other)),
        }
    }
}
