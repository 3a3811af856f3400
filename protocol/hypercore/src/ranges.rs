//! Sets of numbers as intervals: the blocks that a peer has or that we lack, the packets that arrived. Start from [`Ranges`].
//!
//! A set holds a bounded number of intervals, whatever a peer claims. A full set forgets its highest blocks: we then
//! believe that the peer has less than it says, which costs a request and never a wrong result.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of numbers of one kind, such as [`BlockIndex`](crate::blocks::BlockIndex), kept as disjoint intervals with a gap between any two.
///
/// ```
/// use libvms_hypercore::ranges::Ranges;
/// let mut ranges = Ranges::new(16);
/// ranges.insert(3..5);
/// ranges.insert(5..9);
/// ranges.remove(4..6);
/// assert_eq!(ranges.iter().collect::<Vec<_>>(), [3..4, 6..9]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges<T> {
    /// First block of each interval, and the block after its last.
    runs: BTreeMap<T, T>,
    runs_max: usize,
}

impl<T: Copy + Ord> Ranges<T> {
    /// Creates an empty set that will hold at most `runs_max` intervals (at least one).
    pub fn new(runs_max: usize) -> Self {
        Self { runs: BTreeMap::new(), runs_max: runs_max.max(1) }
    }

    /// Adds blocks. If that makes one interval too many, the highest interval is forgotten.
    pub fn insert(&mut self, blocks: Range<T>) {
        if blocks.is_empty() {
            return;
        }
        let (mut start, mut end) = (blocks.start, blocks.end);
        if let Some((&before, &before_end)) = self.runs.range(..=start).next_back() {
            if before_end >= end {
                return;
            }
            if before_end >= start {
                start = before;
            }
        }
        // Each interval swallowed here was paid for when it was added.
        while let Some((&next, &next_end)) = self.runs.range(start..=end).next() {
            self.runs.remove(&next);
            end = end.max(next_end);
        }
        self.runs.insert(start, end);
        self.forget_excess();
    }

    /// Removes blocks. If that splits an interval and makes one too many, the highest interval is forgotten.
    pub fn remove(&mut self, blocks: Range<T>) {
        if blocks.is_empty() {
            return;
        }
        if let Some((&before, &before_end)) = self.runs.range(..blocks.start).next_back() {
            if before_end > blocks.start {
                self.runs.insert(before, blocks.start);
            }
            if before_end > blocks.end {
                self.runs.insert(blocks.end, before_end);
            }
        }
        while let Some((&next, &next_end)) = self.runs.range(blocks.start..blocks.end).next() {
            self.runs.remove(&next);
            if next_end > blocks.end {
                self.runs.insert(blocks.end, next_end);
            }
        }
        self.forget_excess();
    }

    /// Removes all blocks.
    pub fn clear(&mut self) {
        self.runs.clear();
    }

    /// Returns whether the block is in the set.
    pub fn contains(&self, block: T) -> bool {
        self.run_at(block).is_some()
    }

    /// Returns the first block of the set that is not below `from`.
    pub fn next(&self, from: T) -> Option<T> {
        if self.contains(from) {
            return Some(from);
        }
        self.runs.range(from..).next().map(|(&start, _)| start)
    }

    /// Returns the first block not below `from` that is not in the set. Only the
    /// largest number can be missing everywhere.
    pub fn next_missing(&self, from: T) -> T {
        self.run_at(from).map_or(from, |run| run.end)
    }

    /// Returns the first block not below `from` that is in both sets. Costs a search for each interval skipped.
    pub fn next_common(&self, other: &Self, from: T) -> Option<T> {
        let mut block = from;
        loop {
            let ours = self.next(block)?;
            block = other.next(ours)?;
            if ours == block {
                return Some(block);
            }
        }
    }

    /// Returns whether the set shares a block with `blocks`.
    pub fn overlaps(&self, blocks: &Range<T>) -> bool {
        !blocks.is_empty() && self.next(blocks.start).is_some_and(|block| block < blocks.end)
    }

    /// Returns the parts of the set that lie inside `blocks`, from low to high.
    pub fn within(&self, blocks: Range<T>) -> Vec<Range<T>> {
        let mut parts = Vec::new();
        let mut from = blocks.start;
        while let Some(start) = self.next(from).filter(|&start| start < blocks.end) {
            from = self.next_missing(start).min(blocks.end);
            parts.push(start..from);
        }
        parts
    }

    /// Returns the intervals, from low to high.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range<T>> + '_ {
        self.runs.iter().map(|(&start, &end)| start..end)
    }

    /// Returns the number of intervals.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Returns whether another interval would push one out.
    pub fn is_full(&self) -> bool {
        self.runs.len() >= self.runs_max
    }

    /// Returns the block after the highest one; `None` if there is none.
    pub fn end(&self) -> Option<T> {
        self.runs.last_key_value().map(|(_, &end)| end)
    }

    fn run_at(&self, block: T) -> Option<Range<T>> {
        let (&start, &end) = self.runs.range(..=block).next_back()?;
        (block < end).then_some(start..end)
    }

    fn forget_excess(&mut self) {
        while self.runs.len() > self.runs_max {
            self.runs.pop_last();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Applies inserts and removals to a set and to a plain model of it.
    fn build(steps: &[(bool, u64, u64)], runs_max: usize) -> (Ranges<u64>, BTreeSet<u64>) {
        let (mut ranges, mut model) = (Ranges::new(runs_max), BTreeSet::new());
        for &(insert, start, length) in steps {
            let blocks = start..start + length;
            if insert {
                ranges.insert(blocks.clone());
                model.extend(blocks);
            } else {
                ranges.remove(blocks.clone());
                model.retain(|block| !blocks.contains(block));
            }
            assert!(ranges.runs() <= runs_max);
        }
        (ranges, model)
    }

    fn steps() -> impl Strategy<Value = Vec<(bool, u64, u64)>> {
        prop::collection::vec((any::<bool>(), 0..120_u64, 0..20_u64), 0..60)
    }

    proptest! {
        #[test]
        fn a_set_with_room_is_the_plain_set(steps in steps(), other in steps()) {
            let (ranges, model) = build(&steps, 1000);
            let (others, other_model) = build(&other, 1000);
            for block in 0..150 {
                prop_assert_eq!(ranges.contains(block), model.contains(&block));
                prop_assert_eq!(ranges.next(block), model.range(block..).next().copied());
                let missing = (block..).find(|block| !model.contains(block));
                prop_assert_eq!(Some(ranges.next_missing(block)), missing);
                let common = model.range(block..).find(|block| other_model.contains(block));
                prop_assert_eq!(ranges.next_common(&others, block), common.copied());
                let overlaps = model.range(block..block + 7).next().is_some();
                prop_assert_eq!(ranges.overlaps(&(block..block + 7)), overlaps);
            }
            let apart = ranges.iter().zip(ranges.iter().skip(1)).all(|(low, high)| low.end < high.start);
            prop_assert!(apart);
            prop_assert_eq!(ranges.end(), model.last().map(|last| last + 1));
        }

        #[test]
        fn a_full_set_holds_only_inserted_blocks(steps in steps(), runs_max in 1..5_usize) {
            let (ranges, model) = build(&steps, runs_max);
            for block in 0..150 {
                prop_assert!(!ranges.contains(block) || model.contains(&block));
            }
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let mut ranges = Ranges::new(2);
        ranges.insert(0..u64::MAX);
        ranges.insert(u64::MAX - 1..u64::MAX);
        assert_eq!((ranges.next(0), ranges.next_missing(0), ranges.runs()), (Some(0), u64::MAX, 1));
        ranges.remove(u64::MAX - 1..u64::MAX);
        assert_eq!((ranges.next(u64::MAX), ranges.next_missing(5)), (None, u64::MAX - 1));
        let (start, end) = (9, 4);
        ranges.insert(start..end);
        ranges.remove(start..end);
        assert_eq!(ranges.runs(), 1);
    }
}
