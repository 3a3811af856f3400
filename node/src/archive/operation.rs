//! A script's file operations, with the meaning that LibVMS gives them.
//!
//! Directories are implicit: the root is always there, another one while something is in it. So making one only checks
//! that it could be there, and reading one that is not there finds nothing in it.

use libvms_protocol::audit::ArchiveCore;
use libvms_protocol::drive::{self, BlobId, Folder, Path, PathError};

use super::{Archive, ArchiveError, ArchiveStore, of_drive};
use crate::vm::message::{Change, FileAnswer, FileReply, FileRequest, Info, Stat, Thrown};

/// Names, changes or deleted files of one operation. An answer is held in memory, and must fit into a script's.
const ITEMS_MAX: usize = 10_000;

/// Why an operation has no answer: an error for the script, or one that ends everything.
enum Failure {
    Script(Thrown),
    Archive(ArchiveError),
}

type Answered<T = FileAnswer> = Result<T, Failure>;

impl<S: ArchiveStore> Archive<S> {
    /// Does what a script asks for.
    ///
    /// # Errors
    /// Where the store fails. What a script does wrong is an error in the reply.
    pub fn answer(&mut self, request: FileRequest) -> Result<FileReply, ArchiveError> {
        match self.operate(request) {
            Ok(answer) => Ok(Ok(answer)),
            Err(Failure::Script(thrown)) => Ok(Err(thrown)),
            Err(Failure::Archive(error)) => Err(error),
        }
    }

    fn operate(&mut self, request: FileRequest) -> Answered {
        match request {
            FileRequest::Info => Ok(FileAnswer::Info(self.info())),
            FileRequest::Stat { path } => self.stat(&folder(&path)?).map(FileAnswer::Stat),
            FileRequest::Read { path } => self.content(&folder(&path)?).map(FileAnswer::Content),
            FileRequest::List { path, recursive } => {
                self.names(&folder(&path)?, recursive).map(FileAnswer::Names)
            }
            FileRequest::Write { path, content } => self.write(&file(&path)?, &content),
            FileRequest::MakeDirectory { path } => self.make_directory(&folder(&path)?),
            FileRequest::Remove { path } => self.remove(&folder(&path)?),
            FileRequest::RemoveDirectory { path, recursive } => {
                self.remove_directory(&folder(&path)?, recursive)
            }
            FileRequest::History { start, end, reverse, limit } => self
                .history(start.unwrap_or(0)..end.unwrap_or(u64::MAX), reverse, limit)
                .map(FileAnswer::History),
        }
    }

    fn info(&self) -> Info {
        Info {
            url: self.key.url(),
            key: self.key.to_string(),
            title: self.title.clone(),
            version: self.files.length(),
        }
    }

    fn stat(&self, name: &Folder) -> Answered<Stat> {
        if let Some(blob) = self.blob_of(name)? {
            return Ok(Stat {
                is_directory: false,
                size: blob.byte_length,
                blocks: blob.block_length,
                offset: blob.byte_offset,
            });
        }
        if self.is_directory(name)? {
            return Ok(Stat { is_directory: true, size: 0, blocks: 0, offset: 0 });
        }
        Err(not_found(name))
    }

    fn content(&self, name: &Folder) -> Answered<Vec<u8>> {
        let Some(blob) = self.blob_of(name)? else {
            return Err(if self.is_directory(name)? { not_a_file(name) } else { not_found(name) });
        };
        // A file's size was bounded when it was written.
        let content = drive::content(&self.blocks(ArchiveCore::Blobs), &blob, blob.byte_length);
        Ok(content.map_err(of_drive)?)
    }

    fn names(&self, name: &Folder, is_recursive: bool) -> Answered<Vec<String>> {
        if self.blob_of(name)?.is_some() {
            return Err(not_a_folder(name));
        }
        let names = self.read(|drive| {
            if is_recursive {
                let below = |path: &Path| path.as_str()[name.as_str().len() + 1..].to_owned();
                drive.list(name, true).take(ITEMS_MAX + 1).map(|found| Ok(below(&found?.0))).collect()
            } else {
                drive.children(name).take(ITEMS_MAX + 1).collect::<Result<Vec<_>, _>>()
            }
        })?;
        bounded(names, "names")
    }

    fn write(&mut self, path: &Path, content: &[u8]) -> Answered {
        self.check_ancestors(&path.parent())?;
        if self.is_directory(&path.folder())? {
            return Err(thrown("EntryAlreadyExistsError", format!("{path} is a folder")));
        }
        self.put(path, content)?;
        Ok(FileAnswer::Ok)
    }

    fn make_directory(&self, name: &Folder) -> Answered {
        if self.blob_of(name)?.is_some() {
            return Err(thrown("EntryAlreadyExistsError", format!("{name} is a file")));
        }
        if let Some(path) = name.path() {
            self.check_ancestors(&path.parent())?;
        }
        Ok(FileAnswer::Ok)
    }

    fn remove(&mut self, name: &Folder) -> Answered {
        match name.path() {
            Some(path) if self.blob_of(name)?.is_some() => {
                self.delete(&path)?;
                Ok(FileAnswer::Ok)
            }
            _ if self.is_directory(name)? => Err(not_a_file(name)),
            _ => Err(not_found(name)),
        }
    }

    fn remove_directory(&mut self, name: &Folder, is_recursive: bool) -> Answered {
        if name.is_root() {
            return Err(thrown("InvalidPathError", "the root cannot be removed".into()));
        }
        if self.blob_of(name)?.is_some() {
            return Err(not_a_folder(name));
        }
        let below = self.read(|drive| {
            let paths = drive.list(name, true).map(|found| Ok(found?.0));
            paths.take(ITEMS_MAX + 1).collect::<Result<Vec<_>, _>>()
        })?;
        if !below.is_empty() && !is_recursive {
            return Err(thrown("DestDirectoryNotEmpty", format!("{name} is not empty")));
        }
        for path in bounded(below, "files")? {
            self.delete(&path)?;
        }
        Ok(FileAnswer::Ok)
    }

    /// The changes that made the versions in `versions`.
    fn history(
        &self,
        versions: std::ops::Range<u64>,
        is_reverse: bool,
        limit: Option<u64>,
    ) -> Answered<Vec<Change>> {
        // Block 0 is the header; each other block is one change, and makes the version after its number.
        let mut first = versions.start.saturating_sub(1).max(1);
        let mut end = versions.end.saturating_sub(1).min(self.files.length());
        let count = end.saturating_sub(first);
        let taken = limit.unwrap_or(u64::MAX).min(count);
        if taken > ITEMS_MAX as u64 {
            return Err(too_many("changes"));
        }
        if is_reverse {
            first = end - taken
        } else {
            end = first.saturating_add(taken)
        }
        let blocks = usize::try_from(taken).unwrap_or(usize::MAX);
        let mut changes = self.read(|drive| {
            let changes = drive.history(first).take(blocks).map(|change| change.map(of_change));
            changes.collect::<Result<Vec<_>, _>>()
        })?;
        debug_assert!(changes.len() == blocks && end >= first, "each block of our own is a change of a file");
        if is_reverse {
            changes.reverse();
        }
        Ok(changes)
    }

    /// Where a file's content is; `None` where there is no file.
    fn blob_of(&self, name: &Folder) -> Answered<Option<BlobId>> {
        let Some(path) = name.path() else { return Ok(None) };
        let found = self.read(|drive| drive.entry(&path))?;
        Ok(found.and_then(|found| found.entry.blob))
    }

    fn is_directory(&self, name: &Folder) -> Answered<bool> {
        Ok(name.is_root() || self.read(|drive| drive.has_below(name))?)
    }

    /// No part of the way to something may be a file.
    fn check_ancestors(&self, folder: &Folder) -> Answered<()> {
        let mut ancestor = folder.clone();
        while let Some(path) = ancestor.path() {
            if self.blob_of(&ancestor)?.is_some() {
                return Err(not_a_folder(&ancestor));
            }
            ancestor = path.parent();
        }
        Ok(())
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

fn folder(name: &str) -> Answered<Folder> {
    Folder::new(name).map_err(invalid)
}

fn file(name: &str) -> Answered<Path> {
    Path::new(name).map_err(invalid)
}

fn invalid(error: PathError) -> Failure {
    thrown("InvalidPathError", error.to_string())
}

fn of_change(change: drive::Change) -> Change {
    Change { version: change.block + 1, path: change.path.as_str().into(), deleted: change.is_delete }
}

fn bounded<T>(items: Vec<T>, what: &str) -> Answered<Vec<T>> {
    if items.len() > ITEMS_MAX { Err(too_many(what)) } else { Ok(items) }
}

fn too_many(what: &str) -> Failure {
    thrown("QuotaExceededError", format!("more than {ITEMS_MAX} {what} in one operation; ask for a part"))
}

fn not_found(name: &Folder) -> Failure {
    thrown("NotFoundError", format!("{name} is not there"))
}

fn not_a_file(name: &Folder) -> Failure {
    thrown("NotAFileError", format!("{name} is a folder"))
}

fn not_a_folder(name: &Folder) -> Failure {
    thrown("NotAFolderError", format!("{name} is a file"))
}

fn thrown(name: &str, message: String) -> Failure {
    Failure::Script(Thrown::new(name, message))
}
