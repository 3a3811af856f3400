//! The items of a folder, key by key.

use super::DriveError;
use super::path::{Folder, Path};
use crate::bee::reader::Range;
use crate::bee::{self, Blocks, Item};
use crate::blocks::BlockIndex;

pub(super) fn has_below<B: Blocks + ?Sized>(
    files: bee::Reader<'_, B>,
    folder: &Folder,
) -> Result<bool, DriveError<B::Error>> {
    match Lazy::new(files, folder).next().transpose()? {
        Some(item) => path(item.block, &item.key).map(|_| true),
        None => Ok(false),
    }
}

/// The items of a folder, read on demand.
#[derive(Debug)]
pub(super) struct Lazy<'a, B: ?Sized> {
    files: bee::Reader<'a, B>,
    from: Vec<u8>,
    to: Vec<u8>,
    range: Option<Range<'a, B>>,
    is_over: bool,
}

impl<'a, B: Blocks + ?Sized> Lazy<'a, B> {
    pub(super) fn new(files: bee::Reader<'a, B>, folder: &Folder) -> Self {
        let (from, to) = folder.range();
        Self { files, from, to, range: None, is_over: false }
    }

    /// Continues at `from`, which must not be before the current position.
    pub(super) fn skip_to(&mut self, from: Vec<u8>) {
        self.from = from;
        self.range = None;
    }

    fn advance(&mut self) -> Result<Option<Item>, DriveError<B::Error>> {
        let range = match &mut self.range {
            Some(range) => range,
            none => none.insert(self.files.range(&self.from, Some(&self.to))?),
        };
        Ok(range.next().transpose()?)
    }
}

impl<B: ?Sized> Lazy<'_, B> {
    /// Ends the iterator.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }
}

impl<B: Blocks + ?Sized> Iterator for Lazy<'_, B> {
    type Item = Result<Item, DriveError<B::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let item = self.advance().transpose();
        self.is_over = !matches!(item, Some(Ok(_)));
        item
    }
}

/// Returns the path that a key of the Hyperbee names.
pub(super) fn path<E>(block: BlockIndex, key: &[u8]) -> Result<Path, DriveError<E>> {
    Path::from_key(key).ok_or(DriveError::MalformedKey { block })
}
