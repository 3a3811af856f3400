//! Directories: creating them durably, and locking one for this process alone.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::StorageError;

/// A directory that this process alone writes to, as long as the value lives.
///
/// It holds an advisory lock of the operating system on the file `lock` in the directory: a crash releases the lock, and the
/// file may stay.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    lock: File,
    /// The objects that locking has created: directories from the outermost to the directory itself, and the lock file.
    made: Made,
}

/// Directories and the lock file that did not exist before.
#[derive(Debug, Default)]
struct Made {
    directories: Vec<PathBuf>,
    lock: bool,
}

impl DataDirectory {
    /// Creates the directory, with its parents, if it is missing, and locks it.
    ///
    /// # Errors
    /// [`StorageError::InUse`] when another process holds it; [`StorageError::Io`] when it cannot be created or written.
    pub fn lock(directory: &Path) -> Result<Self, StorageError> {
        let mut made = Made::default();
        let taken = take(directory, &mut made);
        match taken {
            Ok(lock) => Ok(Self { path: directory.to_owned(), lock, made }),
            Err(error) => {
                made.lock = false; // Another owner has it now.
                made.remove(directory);
                Err(error)
            }
        }
    }

    /// Releases a directory that is not needed after all, and removes what locking has created: the file `lock`, and the
    /// directories as far as they are empty.
    pub fn abandon(mut self) {
        std::mem::take(&mut self.made).remove(&self.path);
    }

    /// Returns whether a process holds a directory now. Only reads.
    pub fn is_in_use(directory: &Path) -> bool {
        let lock = File::open(directory.join("lock"));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Creates the directory and locks it.
fn take(directory: &Path, made: &mut Made) -> Result<File, StorageError> {
    let path = directory.join("lock");
    loop {
        make_directory(directory, &mut made.directories).map_err(StorageError::io(directory))?;
        let file = match File::options().write(true).create_new(true).open(&path) {
            Ok(file) => {
                made.lock = true;
                file
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match File::options().write(true).open(&path) {
                    // Its owner has abandoned it at this moment.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    opened => opened.map_err(StorageError::io(&path))?,
                }
            }
            Err(error) => return Err(StorageError::Io { path, source: error }),
        };
        match file.try_lock() {
            // A lock on an unlinked file keeps nobody away.
            Ok(()) if !is_at(&file, &path) => made.lock = false,
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => return Err(StorageError::InUse { path: directory.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(StorageError::Io { path, source: error }),
        }
    }
}

/// Returns whether an open file is still the one at a path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => identity(open) == identity(named),
        _ => false,
    }
}

/// Returns `true`: an open file cannot be removed elsewhere.
#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

impl Made {
    fn remove(self, directory: &Path) {
        // A directory that cannot be removed, because another process has put something there meanwhile, may stay.
        if self.lock {
            let _stays = fs::remove_file(directory.join("lock"));
        }
        for made in self.directories.iter().rev() {
            let _stays = fs::remove_dir(made);
        }
    }
}

impl Drop for DataDirectory {
    /// Releases the lock explicitly: closing the file is not enough while a process that was just forked, and has not
    /// begun its own program yet, holds a copy of the descriptor.
    fn drop(&mut self) {
        // If this fails, the lock ends with the last copy.
        let _ = self.lock.unlock();
    }
}

/// Creates a directory with its parents, durably: its content must not vanish with its name.
pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
    make_directory(directory, &mut vec![])
}

/// Does the same as [`create_directory`]; adds the created directories to `made`, from the outermost on.
fn make_directory(directory: &Path, made: &mut Vec<PathBuf>) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = match directory.parent() {
        None => return fs::create_dir(directory),
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    };
    make_directory(parent, made)?;
    match fs::create_dir(directory) {
        Ok(()) => made.push(directory.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {}
        Err(error) => return Err(error),
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
        assert!(DataDirectory::is_in_use(&path));
        drop(first);
        assert!(path.join("lock").exists() && !DataDirectory::is_in_use(&path));
        DataDirectory::lock(&path).expect("free again");
    }

    #[test]
    fn a_copy_of_the_lock_in_a_forked_process_does_not_keep_it() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let first = DataDirectory::lock(root.path()).expect("free");
        let _copy = first.lock.try_clone().expect("a copy");
        drop(first);
        DataDirectory::lock(root.path()).expect("free again");
    }

    #[test]
    fn an_abandoned_directory_leaves_nothing_of_its_own() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let path = root.path().join("some/where");
        DataDirectory::lock(&path).expect("free").abandon();
        assert!(!root.path().join("some").exists());
        // Files that were there stay, and so do those that others have put there.
        fs::create_dir_all(&path).expect("made");
        fs::write(path.join("lock"), "of somebody").expect("written");
        DataDirectory::lock(&path).expect("free").abandon();
        assert_eq!(fs::read(path.join("lock")).expect("there"), b"of somebody");
        let below = DataDirectory::lock(&path.join("a/b")).expect("free");
        fs::write(path.join("a/other"), "").expect("written");
        below.abandon();
        assert!(path.join("a/other").exists() && !path.join("a/b").exists());
        // A directory that cannot be locked is left as it is.
        let first = DataDirectory::lock(&path.join("c")).expect("free");
        assert!(DataDirectory::lock(&path.join("c")).is_err());
        assert!(path.join("c/lock").exists());
        first.abandon();
        assert!(!path.join("c").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_on_an_unlinked_file_keeps_nobody_away() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let path = root.path().join("contended");
                std::thread::spawn(move || {
                    for _ in 0..500 {
                        let Ok(taken) = DataDirectory::lock(&path) else { continue };
                        let only = File::options().write(true).create_new(true).open(path.join("only"));
                        only.expect("nobody else has it");
                        fs::remove_file(path.join("only")).expect("there");
                        taken.abandon();
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("one owner at a time");
        }
    }

    #[test]
    fn a_directory_below_a_file_cannot_be_made() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let file = root.path().join("file");
        fs::write(&file, "").expect("written");
        let error = DataDirectory::lock(&file.join("below")).expect_err("no directory");
        assert!(matches!(error, StorageError::Io { .. }), "{error}");
        assert!(DataDirectory::lock(&file).is_err());
    }
}
