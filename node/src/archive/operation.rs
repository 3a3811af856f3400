//! A script's file operations, with LibVMS's semantics.
//!
//! Directories are implicit: the root always exists, another directory exists while it is not empty. So making a
//! directory only checks that it could exist, and reading one that does not exist finds no names.

use libvms_engine::message::{Change, FileAnswer, FileReply, FileRequest, Info, Stat, Thrown};
use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::drive::{self, BlobId, Folder, Path, PathError};
use libvms_protocol::audit::ArchiveCore;

use super::{Archive, ArchiveError, ArchiveStore};

/// Names, changes or deleted files of one operation. An answer is held in memory, and must fit into the script's memory.
const ITEMS_MAX: usize = 10_000;

/// Names that one operation may skip before the ones it returns.
const PASSED_MAX: u64 = 100_000;

/// The requested part of the names in a folder.
struct Part {
    offset: u64,
    limit: Option<u64>,
    is_reverse: bool,
}

impl Part {
    /// Returns the positions of the requested names, counted from the first name. When the last ones are requested, `count`
    /// is the number of names.
    fn range(&self, count: u64) -> std::ops::Range<u64> {
        let limit = self.limit.unwrap_or(u64::MAX);
        if self.is_reverse {
            let end = count.saturating_sub(self.offset);
            end.saturating_sub(limit)..end
        } else {
            self.offset..self.offset.saturating_add(limit)
        }
    }
}

/// Skips `pass` items and collects up to `take` items after them. Returns these items and the number skipped.
fn some_of<T, E>(
    mut items: impl Iterator<Item = Result<T, E>>,
    pass: usize,
    take: usize,
) -> Result<(Vec<T>, u64), E> {
    let mut passed = 0;
    for item in items.by_ref().take(pass) {
        item?;
        passed += 1;
    }
    Ok((items.take(take).collect::<Result<_, _>>()?, passed))
}

/// Why an operation has no answer: an error for the script, or one that ends everything.
enum Failure {
    Script(Thrown),
    Archive(ArchiveError),
}

type Answered<T = FileAnswer> = Result<T, Failure>;

impl<S: ArchiveStore> Archive<S> {
    /// Performs a file operation of the script.
    ///
    /// # Errors
    /// When the store fails. A mistake of the script is an error in the reply.
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
            FileRequest::List { path, recursive, offset, limit, reverse } => {
                self.names(&folder(&path)?, recursive, &Part { offset, limit, is_reverse: reverse })
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
            version: self.files.length().0,
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
        Ok(content.map_err(ArchiveError::from)?)
    }

    fn names(&self, name: &Folder, is_recursive: bool, part: &Part) -> Answered {
        if self.blob_of(name)?.is_some() {
            return Err(not_a_folder(name));
        }
        // An archive can only be read forwards: count all names to find the last ones.
        let counted = if part.is_reverse { self.count_names(name, is_recursive)? } else { 0 };
        let range = part.range(counted);
        if range.start > PASSED_MAX {
            return Err(too_far());
        }
        let passed = usize::try_from(range.start).unwrap_or(usize::MAX);
        let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(ITEMS_MAX + 1);
        let names = self.read(|drive| {
            if is_recursive {
                let below = |path: &Path| path.as_str()[name.as_str().len() + 1..].to_owned();
                let found = drive.list(name, true).map(|found| Ok(below(&found?.0)));
                some_of(found, passed, wanted)
            } else {
                some_of(drive.children(name), passed, wanted)
            }
        })?;
        let (mut names, passed) = (bounded(names.0, "names")?, names.1);
        if part.is_reverse {
            names.reverse();
        }
        Ok(FileAnswer::Names { names, passed: passed.saturating_add(counted) })
    }

    fn count_names(&self, name: &Folder, is_recursive: bool) -> Answered<u64> {
        let most = usize::try_from(PASSED_MAX).unwrap_or(usize::MAX);
        let counted = self.read(|drive| {
            let counted = if is_recursive {
                some_of(drive.list(name, true), most.saturating_add(1), 0)?.1
            } else {
                some_of(drive.children(name), most.saturating_add(1), 0)?.1
            };
            Ok(counted)
        })?;
        if counted > PASSED_MAX { Err(too_far()) } else { Ok(counted) }
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

    /// Returns the changes that made the versions in `versions`.
    fn history(
        &self,
        versions: std::ops::Range<u64>,
        is_reverse: bool,
        limit: Option<u64>,
    ) -> Answered<Vec<Change>> {
        // Block 0 is the header; each other block is one change. Block n makes version n + 1.
        let mut first = versions.start.saturating_sub(1).max(1);
        let mut end = versions.end.saturating_sub(1).min(self.files.length().0);
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
            let changes =
                drive.history(BlockIndex(first)).take(blocks).map(|change| change.map(change_from_drive));
            changes.collect::<Result<Vec<_>, _>>()
        })?;
        debug_assert!(changes.len() == blocks && end >= first, "each block of our own is a change of a file");
        if is_reverse {
            changes.reverse();
        }
        Ok(changes)
    }

    /// Returns where a file's content is; `None` when there is no file.
    fn blob_of(&self, name: &Folder) -> Answered<Option<BlobId>> {
        let Some(path) = name.path() else { return Ok(None) };
        let found = self.read(|drive| drive.entry(&path))?;
        Ok(found.and_then(|found| found.entry.blob))
    }

    fn is_directory(&self, name: &Folder) -> Answered<bool> {
        Ok(name.is_root() || self.read(|drive| drive.has_below(name))?)
    }

    /// Checks that no ancestor of a folder is a file.
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

fn change_from_drive(change: drive::Change) -> Change {
    Change {
        version: change.block.length_with().0,
        path: change.path.as_str().into(),
        deleted: change.is_delete,
    }
}

fn bounded<T>(items: Vec<T>, what: &str) -> Answered<Vec<T>> {
    if items.len() > ITEMS_MAX { Err(too_many(what)) } else { Ok(items) }
}

fn too_many(what: &str) -> Failure {
    thrown("QuotaExceededError", format!("more than {ITEMS_MAX} {what} in one operation; ask for a part"))
}

fn too_far() -> Failure {
    thrown("QuotaExceededError", format!("more than {PASSED_MAX} names to pass by in one operation"))
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
