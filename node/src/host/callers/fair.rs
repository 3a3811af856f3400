//! Lanes that take turns: [`Lanes`].

use std::collections::{BTreeMap, VecDeque};

/// Queues by key. Each key that has something waiting gets its turn, however much others have put into theirs.
#[derive(Debug)]
pub(super) struct Lanes<K, T> {
    lanes: BTreeMap<K, VecDeque<T>>,
    turns: VecDeque<K>,
}

impl<K, T> Default for Lanes<K, T> {
    fn default() -> Self {
        Self { lanes: BTreeMap::new(), turns: VecDeque::new() }
    }
}

impl<K: Copy + Ord, T> Lanes<K, T> {
    /// Puts `item` at the end of the lane of `key`.
    pub(super) fn push(&mut self, key: K, item: T) {
        let lane = self.lanes.entry(key).or_default();
        if lane.is_empty() {
            self.turns.push_back(key);
        }
        lane.push_back(item);
    }

    /// Takes the first item of the lane whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let key = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&key)?;
        let item = lane.pop_front();
        if lane.is_empty() {
            self.lanes.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        item
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

/// Lanes in lanes: turns go by the outer key first, then by the inner one within it.
#[derive(Debug)]
pub(super) struct NestedLanes<O, I, T> {
    lanes: BTreeMap<O, Lanes<I, T>>,
    turns: VecDeque<O>,
}

impl<O, I, T> Default for NestedLanes<O, I, T> {
    fn default() -> Self {
        Self { lanes: BTreeMap::new(), turns: VecDeque::new() }
    }
}

impl<O: Copy + Ord, I: Copy + Ord, T> NestedLanes<O, I, T> {
    /// Puts `item` at the end of the lane of `inner` within `outer`.
    pub(super) fn push(&mut self, outer: O, inner: I, item: T) {
        let lanes = self.lanes.entry(outer).or_default();
        if lanes.is_empty() {
            self.turns.push_back(outer);
        }
        lanes.push(inner, item);
    }

    /// Takes the first item of the lane whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let outer = self.turns.pop_front()?;
        let lanes = self.lanes.get_mut(&outer)?;
        let item = lanes.pop();
        if lanes.is_empty() {
            self.lanes.remove(&outer);
        } else {
            self.turns.push_back(outer);
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_with_one_item_waits_for_one_of_each_other() {
        let mut lanes = NestedLanes::default();
        for item in 0..5 {
            lanes.push("flood", 1, ("flood", item));
        }
        lanes.push("flood", 2, ("other key", 0));
        lanes.push("calm", 1, ("calm", 0));
        lanes.push("calm", 1, ("calm", 1));
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
        lanes.push("again", 1, ("again", 0));
        assert_eq!(lanes.pop(), Some(("again", 0)));
    }
}
