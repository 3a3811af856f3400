//! Directories: making them so that they survive a crash, and holding one for this process alone.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::StorageError;

/// A directory that this process alone writes to, for as long as the value lives.
///
/// The lock is one of the operating system on the file `lock` in it: a crash releases it, and the file may stay.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    lock: File,
}

impl DataDirectory {
    /// Makes the directory, with its parents, where it is missing, and takes it.
    ///
    /// # Errors
    /// [`StorageError::InUse`] when another owner holds it; [`StorageError::Io`] when it can not be made or written.
    pub fn lock(directory: &Path) -> Result<Self, StorageError> {
        create_directory(directory).map_err(StorageError::io(directory))?;
        let path = directory.join("lock");
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StorageError::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: directory.to_owned(), lock: file }),
            Err(TryLockError::WouldBlock) => Err(StorageError::InUse { path: directory.to_owned() }),
            Err(TryLockError::Error(error)) => Err(StorageError::Io { path, source: error }),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DataDirectory {
    /// Lets go of the lock by name: closing the file is not enough while a process that was just forked, and has not
    /// begun its own program yet, holds a copy of it.
    fn drop(&mut self) {
        // Should this fail, the lock ends with the last copy.
        let _ = self.lock.unlock();
    }
}

/// Makes a directory with its parents, durably: what is stored in it must not vanish with its name.
pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = match directory.parent() {
        None => return fs::create_dir(directory),
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    };
    create_directory(parent)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !directory.is_dir() => {
            return Err(error);
        }
        _ => {}
    }
    sync_directory(parent)
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // A directory above ours may be one that we can enter but not read, or on a file system without this.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_until_the_first_lets_go() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let path = root.path().join("some/where");
        let first = DataDirectory::lock(&path).expect("free");
        assert_eq!(first.path(), path);
        let error = DataDirectory::lock(&path).expect_err("taken");
        assert!(matches!(error, StorageError::InUse { .. }));
        assert!(error.to_string().contains("in use by another process"), "{error}");
        assert!(error.to_string().contains("some/where"), "{error}");
        drop(first);
        assert!(path.join("lock").exists());
        DataDirectory::lock(&path).expect("free again");
    }

    #[test]
    fn a_copy_of_the_lock_in_a_process_just_forked_does_not_keep_it() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let first = DataDirectory::lock(root.path()).expect("free");
        let _copy = first.lock.try_clone().expect("a copy");
        drop(first);
        DataDirectory::lock(root.path()).expect("free again");
    }

    #[test]
    fn a_directory_below_a_file_can_not_be_made() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let file = root.path().join("file");
        fs::write(&file, "").expect("written");
        let error = DataDirectory::lock(&file.join("below")).expect_err("no directory");
        assert!(matches!(error, StorageError::Io { .. }), "{error}");
        assert!(DataDirectory::lock(&file).is_err());
    }
}
