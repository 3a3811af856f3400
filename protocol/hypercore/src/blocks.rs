//! Which block of a core, and how many: [`BlockIndex`] and [`Length`].
//!
//! A core of length 5 has the blocks 0 to 4. Block 5 is the next one, and whoever takes one number for the other is off
//! by one block: so they are two types, and become each other by name. Neither is the number of a node in the tree over
//! the blocks, which is twice that of its block and more (see [`tree::index`](crate::tree::index)); those, and mere
//! counts of blocks, are `u64`.
//!
//! ```
//! use libvms_hypercore::blocks::{BlockIndex, Length};
//! let length = Length(5);
//! assert_eq!((length.last(), length.next_block()), (Some(BlockIndex(4)), BlockIndex(5)));
//! assert!(length.has(BlockIndex(4)) && !length.has(BlockIndex(5)));
//! assert_eq!(BlockIndex(4).length_with(), length);
//! ```

use std::fmt;
use std::num::ParseIntError;
use std::ops::{Add, AddAssign, Range, Sub};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The number of a block in its core; the first one has number 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockIndex(pub u64);

/// The number of blocks in a core, or up to an earlier state of it: a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Length(pub u64);

impl BlockIndex {
    /// The first block of a core.
    pub const FIRST: Self = Self(0);

    /// Returns the start of the group of `blocks` blocks that this block is in, if block 0 starts the first one.
    pub fn group(self, blocks: u64) -> Self {
        Self(self.0 - self.0 % blocks)
    }

    /// Returns the range of this block alone.
    pub fn alone(self) -> Range<Self> {
        self..Self(self.0.saturating_add(1))
    }

    /// Returns the length of a core before this block is appended: the number of blocks before it.
    pub fn length_before(self) -> Length {
        Length(self.0)
    }

    /// Returns the length of a core whose last block is this one.
    pub fn length_with(self) -> Length {
        Length(self.0.saturating_add(1))
    }

    /// Returns the block that is `count` blocks further, or `None` beyond 64 bits.
    pub fn checked_add(self, count: u64) -> Option<Self> {
        self.0.checked_add(count).map(Self)
    }

    /// Returns the number of blocks from an earlier one on; `None` if that is the later one.
    pub fn checked_sub(self, before: Self) -> Option<u64> {
        self.0.checked_sub(before.0)
    }

    /// Returns the block that is `count` blocks further, or the last one with a number.
    pub fn saturating_add(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// Returns the block that is `count` blocks before, or the first one.
    pub fn saturating_sub(self, count: u64) -> Self {
        Self(self.0.saturating_sub(count))
    }
}

impl Length {
    /// The length of an empty core.
    pub const ZERO: Self = Self(0);

    /// Returns whether a core of this length has the block.
    pub fn has(self, block: BlockIndex) -> bool {
        block.0 < self.0
    }

    /// Returns the last block; `None` if the core is empty.
    pub fn last(self) -> Option<BlockIndex> {
        self.0.checked_sub(1).map(BlockIndex)
    }

    /// Returns the number of the block that is appended next.
    pub fn next_block(self) -> BlockIndex {
        BlockIndex(self.0)
    }

    /// Returns all blocks.
    pub fn blocks(self) -> Range<BlockIndex> {
        BlockIndex::FIRST..self.next_block()
    }

    /// Returns the blocks by which a core of length `before` has grown to this length.
    pub fn blocks_since(self, before: Self) -> Range<BlockIndex> {
        before.next_block()..self.next_block()
    }

    /// Returns whether there are no blocks.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the length after `count` more blocks, or `None` beyond 64 bits.
    pub fn checked_add(self, count: u64) -> Option<Self> {
        self.0.checked_add(count).map(Self)
    }

    /// Returns the length after `count` more blocks, or the greatest one.
    pub fn saturating_add(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// Returns the number of blocks since an earlier length; `None` if that is the greater one.
    pub fn checked_sub(self, before: Self) -> Option<u64> {
        self.0.checked_sub(before.0)
    }

    /// Returns the length before the last `count` blocks, or 0.
    pub fn saturating_sub(self, count: u64) -> Self {
        Self(self.0.saturating_sub(count))
    }
}

/// Returns the blocks of a range one by one.
pub fn each(blocks: Range<BlockIndex>) -> impl DoubleEndedIterator<Item = BlockIndex> + Clone {
    (blocks.start.0..blocks.end.0).map(BlockIndex)
}

/// What both types have of a number: their text, sums with counts, and differences. Sums overflow as those of `u64` do.
macro_rules! number {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                text.parse().map(Self)
            }
        }

        impl Add<u64> for $name {
            type Output = Self;

            fn add(self, count: u64) -> Self {
                Self(self.0 + count)
            }
        }

        impl AddAssign<u64> for $name {
            fn add_assign(&mut self, count: u64) {
                self.0 += count;
            }
        }

        impl Sub for $name {
            type Output = u64;

            /// Returns the number of blocks between the two.
            fn sub(self, before: Self) -> u64 {
                self.0 - before.0
            }
        }
    };
}

number!(BlockIndex);
number!(Length);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_lengths_become_each_other_by_name() {
        assert_eq!((Length::ZERO.last(), Length::ZERO.next_block()), (None, BlockIndex::FIRST));
        assert_eq!(Length(3).last().map(BlockIndex::length_with), Some(Length(3)));
        assert_eq!(BlockIndex(3).length_before().next_block(), BlockIndex(3));
        assert_eq!(Length(5).blocks_since(Length(3)), BlockIndex(3)..BlockIndex(5));
        assert!(each(Length(2).blocks()).eq([BlockIndex(0), BlockIndex(1)]));
        assert_eq!(each(BlockIndex(7).alone()).collect::<Vec<_>>(), [BlockIndex(7)]);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let (block, length) = (BlockIndex(u64::MAX), Length(u64::MAX));
        assert_eq!((block.length_with(), block.saturating_add(1), block.alone().end), (length, block, block));
        assert_eq!((block.checked_add(1), length.checked_add(1)), (None, None));
        assert_eq!(
            (BlockIndex(1).saturating_sub(2), Length(1).saturating_sub(2)),
            (BlockIndex(0), Length(0))
        );
    }

    #[test]
    fn a_number_is_written_as_a_plain_number() {
        assert_eq!(serde_json::to_string(&(BlockIndex(7), Length(8))).ok().as_deref(), Some("[7,8]"));
        assert_eq!(format!("{:>3}|{}", BlockIndex(7), Length(8)), "  7|8");
    }
}
