//! One version of a map.

use std::sync::Arc;

use super::block::NodeBlock;
use super::cache::Cache;
use super::tree::check_depth;
use super::{BeeError, Blocks};
use crate::blocks::{BlockIndex, Length, each};

/// A version of a map: the first `version` blocks of its core.
#[derive(Debug)]
pub struct Reader<'a, B: ?Sized> {
    blocks: &'a B,
    cache: &'a Cache,
    version: Length,
}

impl<B: ?Sized> Clone for Reader<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: ?Sized> Copy for Reader<'_, B> {}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The block that holds them.
    pub block: BlockIndex,
    /// The key.
    pub key: Vec<u8>,
    /// The value; `None` is null, which a Hyperdrive never stores.
    pub value: Option<Vec<u8>>,
}

/// One operation in the history of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The block of the operation; the version that it made is one more.
    pub block: BlockIndex,
    /// The key that was put or deleted.
    pub key: Vec<u8>,
    /// The value that was put.
    pub value: Option<Vec<u8>>,
    /// Whether the key was deleted.
    pub is_delete: bool,
}

/// A key whose value was written in one of two versions and not in the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key's item in the newer version.
    pub newer: Option<Item>,
    /// The key's item in the older version.
    pub older: Option<Item>,
}

impl<'a, B: Blocks + ?Sized> Reader<'a, B> {
    /// Creates a reader of the map at `version` blocks. Versions 0 and 1 are empty.
    pub fn new(blocks: &'a B, cache: &'a Cache, version: Length) -> Self {
        Self { blocks, cache, version }
    }

    /// Returns the version of this reader.
    pub fn version(&self) -> Length {
        self.version
    }

    /// Returns the item with this key.
    ///
    /// # Errors
    /// If a block cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Item>, BeeError<B::Error>> {
        let mut range = self.range(key, None)?;
        match range.next().transpose()? {
            Some(item) if item.key == key => Ok(Some(item)),
            _ => Ok(None),
        }
    }

    /// Returns the items from `from` on and before `to`, in the order of their keys.
    ///
    /// # Errors
    /// If a block on the way to the first item cannot be read.
    pub fn range(&self, from: &[u8], to: Option<&[u8]>) -> Result<Range<'a, B>, BeeError<B::Error>> {
        let mut range = Range {
            reader: *self,
            stack: vec![],
            previous: None,
            to: to.map(<[u8]>::to_vec),
            is_over: false,
        };
        if self.version > Length(1) {
            range.seek(from)?;
        }
        Ok(range)
    }

    /// Returns all operations up to this version, oldest first, from the block `from` on.
    pub fn history(
        &self,
        from: BlockIndex,
    ) -> impl Iterator<Item = Result<Change, BeeError<B::Error>>> + use<'a, B> {
        let reader = *self;
        each(from.max(BlockIndex(1))..self.version.next_block()).map(move |block| reader.change(block))
    }

    /// Returns the differences from the older version `older`, in the order of keys, from `from` on and before `to`.
    ///
    /// # Errors
    /// If a block cannot be read.
    pub fn diff(
        &self,
        older: Length,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Vec<Difference>, BeeError<B::Error>> {
        let older = Reader { version: older, ..*self };
        let mut ours = self.range(from, to)?.peekable();
        let mut theirs = older.range(from, to)?.peekable();
        let mut differences = vec![];
        loop {
            let ordering = match (ours.peek(), theirs.peek()) {
                (None, None) => return Ok(differences),
                (Some(Ok(our)), Some(Ok(their))) => our.key.cmp(&their.key),
                (Some(_), None) | (Some(Err(_)), _) => std::cmp::Ordering::Less,
                (None, Some(_)) | (_, Some(Err(_))) => std::cmp::Ordering::Greater,
            };
            let newer = if ordering.is_le() { ours.next().transpose()? } else { None };
            let older = if ordering.is_ge() { theirs.next().transpose()? } else { None };
            if newer.as_ref().map(|item| item.block) != older.as_ref().map(|item| item.block) {
                differences.push(Difference { newer, older });
            }
        }
    }

    fn change(&self, block: BlockIndex) -> Result<Change, BeeError<B::Error>> {
        let node = self.cache.node(self.blocks, block)?;
        let is_put = node.value.is_some() || node.levels.iter().any(|level| level.keys.contains(&block));
        Ok(Change { block, key: node.key.clone(), value: node.value.clone(), is_delete: !is_put })
    }

    fn item(&self, block: BlockIndex) -> Result<Item, BeeError<B::Error>> {
        let node = self.cache.node(self.blocks, block)?;
        Ok(Item { block, key: node.key.clone(), value: node.value.clone() })
    }
}

/// Items in the order of their keys; see [`Reader::range`].
#[derive(Debug)]
pub struct Range<'a, B: ?Sized> {
    reader: Reader<'a, B>,
    stack: Vec<Frame>,
    previous: Option<Vec<u8>>,
    to: Option<Vec<u8>>,
    is_over: bool,
}

/// A node on the way from the root, and the next position in it: child 0, key 0, child 1, key 1, ...
#[derive(Debug)]
struct Frame {
    block: BlockIndex,
    node: Arc<NodeBlock>,
    level: usize,
    next: usize,
}

impl<B: Blocks + ?Sized> Range<'_, B> {
    /// Descends to the first key that is not before `from`.
    fn seek(&mut self, from: &[u8]) -> Result<(), BeeError<B::Error>> {
        let mut at = (self.reader.version.last().unwrap_or_default(), 0);
        loop {
            let mut frame = self.frame(at)?;
            let (position, is_match) = self.search(&frame, from)?;
            // If the key itself is here, its left subtree is before it.
            frame.next = 2 * position + usize::from(is_match);
            let child = if is_match { None } else { self.child(&mut frame)? };
            self.stack.push(frame);
            match child {
                Some(child) => at = child,
                None => return Ok(()),
            }
        }
    }

    fn search(&self, frame: &Frame, key: &[u8]) -> Result<(usize, bool), BeeError<B::Error>> {
        let keys = &frame.node.levels[frame.level].keys;
        let (mut low, mut high) = (0, keys.len());
        while low < high {
            let middle = low.midpoint(high);
            match key.cmp(&self.key_node(frame, keys[middle])?.key) {
                std::cmp::Ordering::Equal => return Ok((middle, true)),
                std::cmp::Ordering::Less => high = middle,
                std::cmp::Ordering::Greater => low = middle + 1,
            }
        }
        Ok((low, false))
    }

    fn key_node(&self, frame: &Frame, key: BlockIndex) -> Result<Arc<NodeBlock>, BeeError<B::Error>> {
        if key == BlockIndex::FIRST || key > frame.block {
            return Err(BeeError::WrongReference { block: frame.block, child: key, offset: 0 });
        }
        self.reader.cache.node(self.reader.blocks, key)
    }

    fn frame(&self, (block, level): (BlockIndex, u64)) -> Result<Frame, BeeError<B::Error>> {
        check_depth(self.stack.len(), self.reader.version)?;
        let node = self.reader.cache.node(self.reader.blocks, block)?;
        match usize::try_from(level) {
            Ok(level) if level < node.levels.len() => Ok(Frame { block, node, level, next: 0 }),
            _ => Err(BeeError::WrongReference { block, child: block, offset: level }),
        }
    }

    /// Returns the next child of a frame, if it is a child's turn. The turn is then the next key's.
    fn child(&self, frame: &mut Frame) -> Result<Option<(BlockIndex, u64)>, BeeError<B::Error>> {
        if !frame.next.is_multiple_of(2) {
            return Ok(None);
        }
        let position = frame.next / 2;
        frame.next += 1;
        match frame.node.levels[frame.level].children.get(position) {
            Some(&(child, offset)) if child == BlockIndex::FIRST || child > frame.block => {
                Err(BeeError::WrongReference { block: frame.block, child, offset })
            }
            child => Ok(child.copied()),
        }
    }

    fn advance(&mut self) -> Result<Option<Item>, BeeError<B::Error>> {
        while let Some(mut frame) = self.stack.pop() {
            if frame.next.is_multiple_of(2) {
                let child = self.child(&mut frame)?;
                self.stack.push(frame);
                if let Some(child) = child {
                    let frame = self.frame(child)?;
                    self.stack.push(frame);
                }
                continue;
            }
            let key = frame.node.levels[frame.level].keys.get(frame.next / 2).copied();
            frame.next += 1;
            if let Some(key) = key {
                self.key_node(&frame, key)?;
                let block = frame.block;
                self.stack.push(frame);
                return self.in_order(block, self.reader.item(key)?).map(Some);
            }
        }
        Ok(None)
    }

    /// Checks that keys come in ascending order. They do in any tree that a writer made; in others a walk might not end
    /// soon.
    fn in_order(&mut self, block: BlockIndex, item: Item) -> Result<Item, BeeError<B::Error>> {
        if self.previous.as_ref().is_some_and(|previous| *previous >= item.key) {
            return Err(BeeError::Malformed { block, why: "keys that are not in order" });
        }
        self.previous = Some(item.key.clone());
        Ok(item)
    }
}

impl<B: Blocks + ?Sized> Iterator for Range<'_, B> {
    type Item = Result<Item, BeeError<B::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let item = self.advance().transpose();
        let is_before = |item: &Item| self.to.as_ref().is_none_or(|to| item.key < *to);
        match item {
            Some(Ok(item)) if is_before(&item) => Some(Ok(item)),
            Some(Err(error)) => {
                self.is_over = true;
                Some(Err(error))
            }
            _ => {
                self.is_over = true;
                None
            }
        }
    }
}
