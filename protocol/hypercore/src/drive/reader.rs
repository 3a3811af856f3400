//! One version of a drive.

use super::DriveError;
use super::children::{Children, Groups, Skip};
use super::entry::{EntryError, FileEntry};
use super::lookup::{Lazy, has_below, path};
use super::path::{Folder, Path};
use crate::bee::{self, Blocks, Cache, Item};
use crate::blocks::{BlockIndex, Length};

/// Links that [`Drive::follow`] goes through before it gives up (npm hyperdrive, `entry` with `follow`).
pub(super) const LINKS_MAX: usize = 15;

/// A version of a drive: the first `version` blocks of its files core.
///
/// Contents have no versions: an entry of any version names blocks that never change; read them with
/// [`content`](super::content).
#[derive(Debug)]
pub struct Drive<'a, B: ?Sized> {
    files: bee::Reader<'a, B>,
}

impl<B: ?Sized> Clone for Drive<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: ?Sized> Copy for Drive<'_, B> {}

/// An entry, and its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The block of the files core; the version that the entry made is one more.
    pub block: BlockIndex,
    /// The entry.
    pub entry: FileEntry,
}

/// One operation in the history of a drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The block of the files core; the version that the operation made is one more.
    pub block: BlockIndex,
    /// The file that was written or deleted.
    pub path: Path,
    /// Whether the file was deleted.
    pub is_delete: bool,
}

/// A file that was written or deleted between two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The file.
    pub path: Path,
    /// Its entry in the newer version.
    pub newer: Option<Found>,
    /// Its entry in the older version.
    pub older: Option<Found>,
}

impl<'a, B: Blocks + ?Sized> Drive<'a, B> {
    /// Creates a reader of the drive at `version` blocks of its files core. Versions 0 and 1 are empty. `cache` belongs
    /// to the core.
    pub fn new(files: &'a B, cache: &'a Cache, version: Length) -> Self {
        Self { files: bee::Reader::new(files, cache, version.max(Length(1))) }
    }

    /// Returns the version of this reader.
    pub fn version(&self) -> Length {
        self.files.version()
    }

    /// Returns the entry at a path. Links are not followed.
    ///
    /// # Errors
    /// If a block cannot be read.
    pub fn entry(&self, path: &Path) -> Result<Option<Found>, DriveError<B::Error>> {
        self.files.get(&path.key())?.map(found).transpose()
    }

    /// Follows the links that begin at `path`. Returns the entry at their end and its path; `None` for a dangling link.
    ///
    /// # Errors
    /// If a block cannot be read, a target is not a path, or there are more than 15 links in a row.
    pub fn follow(&self, path: &Path) -> Result<Option<(Path, Found)>, DriveError<B::Error>> {
        let mut at = path.clone();
        for _ in 0..=LINKS_MAX {
            let Some(found) = self.entry(&at)? else { return Ok(None) };
            match found.entry.linkname.as_deref() {
                None | Some("") => return Ok(Some((at, found))),
                Some(target) => {
                    let target = at.resolve(target);
                    at = target.map_err(|why| DriveError::WrongLink { link: at, why })?;
                }
            }
        }
        Err(DriveError::RecursiveLink { link: path.clone() })
    }

    /// Returns the files in a folder, in the order of the UTF-8 bytes of their paths. Without `is_recursive`, only
    /// those directly in the folder; the entries of subfolders are skipped, not read.
    pub fn list(&self, folder: &Folder, is_recursive: bool) -> List<'a, B> {
        List(if is_recursive {
            Walk::All(Lazy::new(self.files, folder))
        } else {
            Walk::Direct(Groups::new(self.files, folder, Skip::Subtree))
        })
    }

    /// Returns the names in a folder, of files and of subfolders, each once, in the order of their UTF-8 bytes. The
    /// entries of subfolders are skipped, not read.
    pub fn children(&self, folder: &Folder) -> Children<'a, B> {
        Children::new(self.files, folder)
    }

    /// As [`Drive::children`], from the first name after `after`, which must have no `/` in it. Earlier names are
    /// skipped, not read.
    pub fn children_after(&self, folder: &Folder, after: &str) -> Children<'a, B> {
        Children::after(self.files, folder, after)
    }

    /// Returns the names in a folder as npm hyperdrive lists them, defects included: a file `x0` is missing if there is
    /// a folder `x`, and a name that is a file and a folder can come twice. For other uses take [`Drive::children`].
    pub fn readdir(
        &self,
        folder: &Folder,
    ) -> impl Iterator<Item = Result<String, DriveError<B::Error>>> + use<'a, B> {
        let mut previous = None;
        Groups::new(self.files, folder, Skip::SubtreeAndNext).filter_map(move |group| {
            let name = match group {
                Ok(group) => group.name,
                Err(error) => return Some(Err(error)),
            };
            let is_repeated = previous.as_ref() == Some(&name);
            previous = Some(name.clone());
            (!is_repeated).then_some(Ok(name))
        })
    }

    /// Returns whether there is anything in a folder. Reads one path down the tree.
    ///
    /// # Errors
    /// If a block cannot be read.
    pub fn has_below(&self, folder: &Folder) -> Result<bool, DriveError<B::Error>> {
        has_below(self.files, folder)
    }

    /// Returns the operations that made this version, oldest first, from the block `from` on.
    pub fn history(
        &self,
        from: BlockIndex,
    ) -> impl Iterator<Item = Result<Change, DriveError<B::Error>>> + use<'a, B> {
        let (first, end) = everything();
        let is_of_a_file = move |key: &[u8]| key >= first.as_slice() && key < end.as_slice();
        self.files.history(from).filter_map(move |change| match change {
            Ok(change) if !is_of_a_file(&change.key) => None,
            Ok(bee::Change { block, key, is_delete, .. }) => {
                Some(path(block, &key).map(|path| Change { block, path, is_delete }))
            }
            Err(error) => Some(Err(error.into())),
        })
    }

    /// Returns the files in a folder that were written or deleted since the version `older`, in the order of their
    /// paths. A file that was written again with the same content is one of them.
    ///
    /// # Errors
    /// If a block cannot be read.
    pub fn diff(&self, older: Length, folder: &Folder) -> Result<Vec<Difference>, DriveError<B::Error>> {
        let (from, to) = folder.range();
        let differences = self.files.diff(older.max(Length(1)), &from, Some(&to))?;
        differences.into_iter().map(difference).collect()
    }
}

/// Returns the range of keys that name files; a drive ignores other keys in its Hyperbee.
fn everything() -> (Vec<u8>, Vec<u8>) {
    (b"files\0".to_vec(), b"files\x01".to_vec())
}

fn difference<E>(difference: bee::Difference) -> Result<Difference, DriveError<E>> {
    let bee::Difference { newer, older } = difference;
    let item = newer.as_ref().or(older.as_ref()).expect("a difference has at least one side");
    Ok(Difference {
        path: path(item.block, &item.key)?,
        newer: newer.map(found).transpose()?,
        older: older.map(found).transpose()?,
    })
}

fn found<E>(item: Item) -> Result<Found, DriveError<E>> {
    let Item { block, value, .. } = item;
    let value = value.ok_or(EntryError::new("null"));
    let entry = value.and_then(|value| FileEntry::decode(&value));
    Ok(Found { block, entry: entry.map_err(|why| DriveError::MalformedEntry { block, why })? })
}

/// Files with their entries; see [`Drive::list`].
#[derive(Debug)]
pub struct List<'a, B: ?Sized>(Walk<'a, B>);

#[derive(Debug)]
enum Walk<'a, B: ?Sized> {
    All(Lazy<'a, B>),
    Direct(Groups<'a, B>),
}

impl<B: Blocks + ?Sized> Iterator for List<'_, B> {
    type Item = Result<(Path, Found), DriveError<B::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = match &mut self.0 {
            Walk::All(items) => items.next(),
            Walk::Direct(groups) => groups.find_map(|group| group.map(|group| group.file).transpose()),
        };
        item.map(|item| {
            let item = item?;
            Ok((path(item.block, &item.key)?, found(item)?))
        })
    }
}
