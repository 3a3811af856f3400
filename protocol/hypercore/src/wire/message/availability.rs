//! Messages about which blocks a peer has.
//!
//! No code here loops over a peer's claims: a range may span 2^53 blocks.

use crate::blocks::BlockIndex;
use crate::encoding::{DecodeError, Reader, Writer, flags, has};

/// Words of one bitfield: JavaScript sends at most this many, for 2^21 blocks.
pub const BITFIELD_WORDS_MAX: usize = 65_536;

const WORD_BYTES: usize = 4;

/// The region of a want or an unwant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First block.
    pub start: BlockIndex,
    /// Number of blocks.
    pub length: u64,
    /// Whether any one block of the region will do.
    pub any: bool,
}

impl Region {
    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (start, length) = (BlockIndex(reader.uint()?), reader.uint()?);
        let flags = if reader.is_empty() { 0 } else { reader.uint()? };
        Ok(Self { start, length, any: has(flags, 0) })
    }

    pub(super) fn put(&self, writer: &mut Writer) {
        writer.uint(self.start.0).uint(self.length);
        if self.any {
            writer.uint(flags(&[self.any]));
        }
    }
}

/// The blocks of a region that the sender has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitfield {
    /// Block of the first bit: a multiple of 32.
    pub start: BlockIndex,
    /// Bit `i` of word `w` (the lowest is bit 0) stands for block `start + 32 w + i`.
    pub words: Vec<u32>,
}

impl Bitfield {
    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = BlockIndex(reader.uint()?);
        let count = reader.count("words of a bitfield", WORD_BYTES, BITFIELD_WORDS_MAX)?;
        let words = (0..count).map(|_| reader.array().map(u32::from_le_bytes)).collect::<Result<_, _>>()?;
        Ok(Self { start, words })
    }

    pub(super) fn put(&self, writer: &mut Writer) {
        writer.uint(self.start.0).uint(self.words.len() as u64);
        for word in &self.words {
            writer.raw(&word.to_le_bytes());
        }
    }
}

/// Consecutive blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Whether the sender no longer has them.
    pub drop: bool,
    /// First block.
    pub start: BlockIndex,
    /// Number of blocks.
    pub length: u64,
}

impl Range {
    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.uint()?;
        let start = BlockIndex(reader.uint()?);
        let length = if has(flags, 1) { 1 } else { reader.uint()? };
        Ok(Self { drop: has(flags, 0), start, length })
    }

    pub(super) fn put(&self, writer: &mut Writer) {
        let is_single = self.length == 1;
        writer.uint(flags(&[self.drop, is_single])).uint(self.start.0);
        if !is_single {
            writer.uint(self.length);
        }
    }
}
