//! The names in a folder, found without reading the entries below its subfolders.
//!
//! Keys are not in the order of names: `/dir-` is before `/dir/a`, though `dir` is before `dir-`. A walk over the keys
//! yields groups; [`Children`] reorders them by name.

use std::collections::VecDeque;

use super::DriveError;
use super::lookup::{Lazy, has_below, path};
use super::path::Folder;
use crate::bee::{self, Blocks, Item};

/// Each file in a folder, and each subfolder, in the order of their keys. The same name can come twice: as a file and,
/// later, as a folder.
#[derive(Debug)]
pub(super) struct Groups<'a, B: ?Sized> {
    items: Lazy<'a, B>,
    folder: Folder,
    skip: Skip,
}

/// A file, or everything in one subfolder.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    /// The file; `None` for a folder.
    pub(super) file: Option<Item>,
}

/// Where a walk continues after a folder `x`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Skip {
    /// At the next key.
    Subtree,
    /// At the next key except `x0`, as in JavaScript.
    SubtreeAndNext,
}

impl<'a, B: Blocks + ?Sized> Groups<'a, B> {
    pub(super) fn new(files: bee::Reader<'a, B>, folder: &Folder, skip: Skip) -> Self {
        Self { items: Lazy::new(files, folder), folder: folder.clone(), skip }
    }

    fn group(&mut self, item: Item) -> Result<Group, DriveError<B::Error>> {
        let path = path(item.block, &item.key)?;
        let below = path.as_str().strip_prefix(self.folder.as_str()).and_then(|rest| rest.strip_prefix('/'));
        let below = below.ok_or(DriveError::MalformedKey { block: item.block })?;
        let Some((name, _)) = below.split_once('/') else {
            return Ok(Group { name: below.to_owned(), file: Some(item) });
        };
        let (_, mut next) = self.folder.child(name).range();
        if let Skip::SubtreeAndNext = self.skip {
            next.push(0);
        }
        self.items.skip_to(next);
        Ok(Group { name: name.to_owned(), file: None })
    }
}

impl<B: ?Sized> Groups<'_, B> {
    /// Ends the iterator.
    fn end(&mut self) {
        self.items.end();
    }
}

impl<B: Blocks + ?Sized> Iterator for Groups<'_, B> {
    type Item = Result<Group, DriveError<B::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        let group = self.items.next()?.and_then(|item| self.group(item));
        if group.is_err() {
            self.items.end();
        }
        Some(group)
    }
}

/// Names in a folder; see [`Drive::children`](super::Drive::children).
#[derive(Debug)]
pub struct Children<'a, B: ?Sized> {
    files: bee::Reader<'a, B>,
    folder: Folder,
    groups: Groups<'a, B>,
    /// Names to yield before the next group.
    ready: VecDeque<String>,
    /// The greatest name found. Every name up to it was yielded or is in `ready`.
    last: String,
}

impl<'a, B: Blocks + ?Sized> Children<'a, B> {
    pub(super) fn new(files: bee::Reader<'a, B>, folder: &Folder) -> Self {
        let groups = Groups::new(files, folder, Skip::Subtree);
        Self { files, folder: folder.clone(), groups, ready: VecDeque::new(), last: String::new() }
    }

    /// Starts at the first name after `name`. A greater name has a greater key, too: the only folders with a greater
    /// key and a smaller name are those whose name is a prefix of `name`, and those count as yielded.
    pub(super) fn after(files: bee::Reader<'a, B>, folder: &Folder, name: &str) -> Self {
        let mut children = Self::new(files, folder);
        if let Some(path) = (!name.is_empty()).then(|| folder.child(name).path()).flatten() {
            let mut key = path.key();
            key.push(0);
            children.groups.items.skip_to(key);
            children.last = name.to_owned();
        }
        children
    }

    /// Finds the names up to that of the next group.
    fn advance(&mut self, name: String) -> Result<(), DriveError<B::Error>> {
        // The name was yielded before: as a file, or as one of the folders below.
        if name <= self.last {
            return Ok(());
        }
        // A smaller name with a later key is a folder whose name this one begins with, followed by a byte before `/`.
        for (end, byte) in name.bytes().enumerate().skip(1) {
            if byte < b'/'
                && name[..end] > *self.last
                && has_below(self.files, &self.folder.child(&name[..end]))?
            {
                self.ready.push_back(name[..end].to_owned());
            }
        }
        self.ready.push_back(name.clone());
        self.last = name;
        Ok(())
    }
}

impl<B: Blocks + ?Sized> Iterator for Children<'_, B> {
    type Item = Result<String, DriveError<B::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(name) = self.ready.pop_front() {
                return Some(Ok(name));
            }
            let advanced = self.groups.next()?.and_then(|group| self.advance(group.name));
            if let Err(error) = advanced {
                self.groups.end();
                return Some(Err(error));
            }
        }
    }
}
