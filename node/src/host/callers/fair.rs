//! Lanes that take turns: [`Lanes`].

use std::collections::{BTreeMap, VecDeque};

/// A queue that may have queues inside.
pub(super) trait Lane: Default {
    /// What is put in: an item, with a key for each queue that it goes through.
    type Put;
    type Item;

    fn push(&mut self, put: Self::Put);
    fn pop(&mut self) -> Option<Self::Item>;
    fn is_empty(&self) -> bool;
}

impl<T> Lane for VecDeque<T> {
    type Put = T;
    type Item = T;

    fn push(&mut self, item: T) {
        self.push_back(item);
    }

    fn pop(&mut self) -> Option<T> {
        self.pop_front()
    }

    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}

/// Queues by key. Each key that has something waiting gets its turn, however much others have put into theirs. Its queues
/// may be lanes again: turns go by the outer key first, then by the inner one.
#[derive(Debug)]
pub(super) struct Lanes<K, L> {
    lanes: BTreeMap<K, L>,
    turns: VecDeque<K>,
}

/// Lanes in lanes.
pub(super) type NestedLanes<O, I, T> = Lanes<O, Lanes<I, VecDeque<T>>>;

impl<K, L> Default for Lanes<K, L> {
    fn default() -> Self {
        Self { lanes: BTreeMap::new(), turns: VecDeque::new() }
    }
}

impl<K: Copy + Ord, L: Lane> Lane for Lanes<K, L> {
    type Put = (K, L::Put);
    type Item = L::Item;

    /// Puts an item at the end of the lane of a key.
    fn push(&mut self, (key, put): Self::Put) {
        let lane = self.lanes.entry(key).or_default();
        if lane.is_empty() {
            self.turns.push_back(key);
        }
        lane.push(put);
    }

    /// Takes the first item of the lane whose turn it is.
    fn pop(&mut self) -> Option<L::Item> {
        let key = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&key)?;
        let item = lane.pop();
        if lane.is_empty() {
            self.lanes.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        item
    }

    fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_with_one_item_waits_for_one_of_each_other() {
        let mut lanes = NestedLanes::<&str, u8, (&str, i32)>::default();
        for item in 0..5 {
            lanes.push(("flood", (1, ("flood", item))));
        }
        lanes.push(("flood", (2, ("other key", 0))));
        lanes.push(("calm", (1, ("calm", 0))));
        lanes.push(("calm", (1, ("calm", 1))));
        let taken: Vec<_> = std::iter::from_fn(|| lanes.pop()).collect();
        let expected = [
            ("flood", 0),
            ("calm", 0),
            ("other key", 0),
            ("calm", 1),
            ("flood", 1),
            ("flood", 2),
            ("flood", 3),
            ("flood", 4),
        ];
        assert_eq!(taken, expected);
        assert_eq!(lanes.pop(), None);
        lanes.push(("again", (1, ("again", 0))));
        assert_eq!(lanes.pop(), Some(("again", 0)));
    }
}
