//! Reading the archive that a host has published: on the host's own disk, or a copy.

use std::path::Path as FilePath;

use libvms_cores::storage::{ReadCore, StorageError};
use libvms_hypercore::bee::{BeeError, Cache};
use libvms_hypercore::drive::{self, BlobId, Drive, DriveError, Folder, Found, Path};
use libvms_hypercore::identity::PublicKey;
use thiserror::Error;

use crate::stored;

/// A files archive. It is only read; a host may be using it.
#[derive(Debug)]
pub struct FilesArchive {
    files: Box<dyn ReadCore>,
    blobs: Box<dyn ReadCore>,
    cache: Cache,
}

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// Its path.
    pub path: Path,
    /// Bytes of its content; `None` for a symbolic link.
    pub size: Option<u64>,
    /// The version that wrote it.
    pub version: u64,
    blob: Option<BlobId>,
}

/// Why an archive cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PublishedError {
    /// A core cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The blocks are those of no archive.
    #[error("the archive is malformed: {0}")]
    Malformed(Box<DriveError<StorageError>>),
    /// There is no such version.
    #[error("there is no version {version}; the latest is {latest}")]
    NoVersion {
        /// Which one was asked for.
        version: u64,
        /// The latest.
        latest: u64,
    },
}

impl FilesArchive {
    /// Opens the archive in the data directory `directory`, a host's or a copy, as long as it is now.
    ///
    /// # Errors
    /// Where there is none, or it cannot be read.
    pub fn open(directory: &FilePath) -> Result<Self, PublishedError> {
        let [files, blobs] = stored::open_archive(directory)?;
        Ok(Self::of(files, blobs))
    }

    /// The archive that two cores hold, as far as they are here: copies, for example.
    pub fn of(files: impl ReadCore + 'static, blobs: impl ReadCore + 'static) -> Self {
        Self { files: Box::new(files), blobs: Box::new(blobs), cache: Cache::default() }
    }

    /// The archive's key.
    pub fn key(&self) -> PublicKey {
        self.files.key()
    }

    /// The latest version: the length of the files core.
    pub fn version(&self) -> u64 {
        self.files.length()
    }

    /// The files in a folder as of `version`, all below it with `is_recursive`, in the order of their keys.
    ///
    /// # Errors
    /// Where there is no such version. Each item can fail by itself.
    pub fn list(
        &self,
        folder: &Folder,
        is_recursive: bool,
        version: u64,
    ) -> Result<impl Iterator<Item = Result<ArchiveEntry, PublishedError>> + use<'_>, PublishedError> {
        let found = self.at(version)?.list(folder, is_recursive);
        Ok(found.map(|found| found.map(|(path, found)| of_found(path, found)).map_err(of_drive)))
    }

    /// The names in a folder, files and folders, as of `version`.
    ///
    /// # Errors
    /// As [`FilesArchive::list`].
    pub fn children(
        &self,
        folder: &Folder,
        version: u64,
    ) -> Result<impl Iterator<Item = Result<String, PublishedError>> + use<'_>, PublishedError> {
        Ok(self.at(version)?.children(folder).map(|name| name.map_err(of_drive)))
    }

    /// The file at a path as of `version`; `None` where there is none.
    ///
    /// # Errors
    /// Where there is no such version, or it cannot be read.
    pub fn entry(&self, path: &Path, version: u64) -> Result<Option<ArchiveEntry>, PublishedError> {
        let found = self.at(version)?.entry(path).map_err(of_drive)?;
        Ok(found.map(|found| of_found(path.clone(), found)))
    }

    /// The content of a file of at most `bytes_max` bytes; `None` for a symbolic link.
    ///
    /// # Errors
    /// Where it is larger, or cannot be read.
    pub fn content(&self, entry: &ArchiveEntry, bytes_max: u64) -> Result<Option<Vec<u8>>, PublishedError> {
        entry.blob.map(|blob| drive::content(&*self.blobs, &blob, bytes_max).map_err(of_drive)).transpose()
    }

    fn at(&self, version: u64) -> Result<Drive<'_, dyn ReadCore>, PublishedError> {
        let latest = self.version();
        if version > latest {
            return Err(PublishedError::NoVersion { version, latest });
        }
        Ok(Drive::new(&*self.files, &self.cache, version))
    }
}

fn of_found(path: Path, found: Found) -> ArchiveEntry {
    let blob = found.entry.blob;
    ArchiveEntry { path, size: blob.map(|blob| blob.byte_length), version: found.block + 1, blob }
}

fn of_drive(error: DriveError<StorageError>) -> PublishedError {
    match error {
        // The disk's fault, or that of whoever gave the copy, and not the archive's.
        DriveError::Files(BeeError::Blocks(error)) | DriveError::Blobs(error) => error.into(),
        other => PublishedError::Malformed(Box::new(other)),
    }
}
