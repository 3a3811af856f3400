//! The two kinds of blocks: the header at block 0, and one block for each operation.
//!
//! ```text
//! header   1: "hyperbee"   2: metadata { 1: content feed }
//! node     1: index { 1: level { 1: keys, 2: children }, ... }   2: key   3: value (absent: null)
//! ```

use super::protobuf::{Malformed, packed, put_field, put_varint, take_field};
use crate::blocks::BlockIndex;

/// The header of a map, block 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether there is a metadata message; a plain Hyperbee has none.
    pub has_metadata: bool,
    /// In a Hyperdrive: the key of the blobs core.
    pub content_feed: Option<Vec<u8>>,
}

/// The block of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeBlock {
    /// The tree nodes stored in this block; the first is the root.
    pub levels: Vec<Level>,
    /// The key that was put or deleted.
    pub key: Vec<u8>,
    /// The value that was put.
    pub value: Option<Vec<u8>>,
}

/// A node of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// For each key, the block of the operation that put it.
    pub keys: Vec<BlockIndex>,
    /// Block and level of each child; none for a leaf.
    pub children: Vec<(BlockIndex, u64)>,
}

/// The name of the format in the header.
const PROTOCOL: &[u8] = b"hyperbee";

impl Header {
    /// Returns the header of a Hyperdrive's db core.
    pub fn for_drive(blobs: &[u8; 32]) -> Self {
        Self { has_metadata: true, content_feed: Some(blobs.to_vec()) }
    }

    /// Returns the header of a plain Hyperbee.
    pub fn plain() -> Self {
        Self { has_metadata: false, content_feed: None }
    }

    /// Returns the bytes of block 0.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![];
        put_field(&mut bytes, 1, PROTOCOL);
        if self.has_metadata {
            let mut metadata = vec![];
            if let Some(feed) = &self.content_feed {
                put_field(&mut metadata, 1, feed);
            }
            put_field(&mut bytes, 2, &metadata);
        }
        bytes
    }

    /// Reads block 0. Unknown fields are skipped.
    ///
    /// # Errors
    /// The reason why the bytes are not a header.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, &'static str> {
        let mut header = Self::plain();
        let mut protocol = None;
        while let Some((number, content)) = take_field(&mut bytes).map_err(why)? {
            match number {
                1 => protocol = Some(content),
                2 => header.read_metadata(content)?,
                _ => {}
            }
        }
        if protocol == Some(PROTOCOL) {
            Ok(header)
        } else {
            Err("the header names another protocol than hyperbee")
        }
    }

    fn read_metadata(&mut self, mut metadata: &[u8]) -> Result<(), &'static str> {
        self.has_metadata = true;
        while let Some((number, content)) = take_field(&mut metadata).map_err(why)? {
            if number == 1 {
                self.content_feed = Some(content.to_vec());
            }
        }
        Ok(())
    }
}

impl NodeBlock {
    /// Returns the bytes of the block.
    pub fn encode(&self) -> Vec<u8> {
        let mut index = vec![];
        for level in &self.levels {
            put_field(&mut index, 1, &level.encode());
        }
        let mut bytes = Vec::with_capacity(index.len() + self.key.len() + 32);
        put_field(&mut bytes, 1, &index);
        put_field(&mut bytes, 2, &self.key);
        if let Some(value) = &self.value {
            put_field(&mut bytes, 3, value);
        }
        bytes
    }

    /// Reads a block. Unknown fields are skipped.
    ///
    /// # Errors
    /// The reason why the bytes are not a block of an operation.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, &'static str> {
        let mut block = Self::default();
        let mut has_key = false;
        while let Some((number, content)) = take_field(&mut bytes).map_err(why)? {
            match number {
                1 => block.levels = levels(content)?,
                2 => {
                    block.key = content.to_vec();
                    has_key = true;
                }
                3 => block.value = Some(content.to_vec()),
                _ => {}
            }
        }
        if has_key { Ok(block) } else { Err("a node without a key") }
    }
}

impl Level {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![];
        let mut numbers = vec![];
        if !self.keys.is_empty() {
            self.keys.iter().for_each(|key| put_varint(&mut numbers, key.0));
            put_field(&mut bytes, 1, &numbers);
        }
        if !self.children.is_empty() {
            numbers.clear();
            for (block, level) in &self.children {
                put_varint(&mut numbers, block.0);
                put_varint(&mut numbers, *level);
            }
            put_field(&mut bytes, 2, &numbers);
        }
        bytes
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, &'static str> {
        let mut level = Self::default();
        while let Some((number, content)) = take_field(&mut bytes).map_err(why)? {
            match number {
                1 => level.keys = packed(content).map_err(why)?.into_iter().map(BlockIndex).collect(),
                2 => level.children = pairs(&packed(content).map_err(why)?)?,
                _ => {}
            }
        }
        if level.children.is_empty() || level.children.len() == level.keys.len() + 1 {
            Ok(level)
        } else {
            Err("a node whose number of children does not match its keys")
        }
    }
}

fn levels(mut index: &[u8]) -> Result<Vec<Level>, &'static str> {
    let mut levels = vec![];
    while let Some((number, content)) = take_field(&mut index).map_err(why)? {
        if number == 1 {
            levels.push(Level::decode(content)?);
        }
    }
    Ok(levels)
}

fn pairs(numbers: &[u64]) -> Result<Vec<(BlockIndex, u64)>, &'static str> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|[block, level]| (BlockIndex(*block), *level)).collect())
    } else {
        Err("an odd number of values in a list of children")
    }
}

fn why(Malformed(why): Malformed) -> &'static str {
    why
}
