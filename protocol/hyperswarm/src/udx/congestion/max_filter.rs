//! The maximum of the last rounds (BBR's windowed max filter).

use std::collections::VecDeque;

/// A running maximum. It holds at most one value per round of its window.
#[derive(Clone, Debug, Default)]
pub(super) struct WindowedMax {
    /// Rounds ascending, values descending: a value is dropped when a later one is higher.
    values: VecDeque<(u64, u64)>,
}

impl WindowedMax {
    /// Adds a value and drops those that are `rounds` older.
    pub(super) fn insert(&mut self, round: u64, value: u64, rounds: u64) {
        while self.values.back().is_some_and(|&(_, last)| last <= value) {
            self.values.pop_back();
        }
        // In the same round a lower value can never become the highest.
        if self.values.back().is_none_or(|&(last, _)| last < round) {
            self.values.push_back((round, value));
        }
        while self.values.front().is_some_and(|&(first, _)| first + rounds < round) {
            self.values.pop_front();
        }
    }

    /// Returns the highest value; 0 if there is none.
    pub(super) fn max(&self) -> u64 {
        self.values.front().map_or(0, |&(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_value_is_forgotten_when_its_rounds_have_passed() {
        let mut peak = WindowedMax::default();
        assert_eq!(peak.max(), 0);
        peak.insert(1, 50, 10);
        for (round, value) in [(1, 70), (1, 60), (5, 40), (9, 30), (11, 20)] {
            peak.insert(round, value, 10);
            assert_eq!(peak.max(), 70);
        }
        peak.insert(12, 10, 10);
        assert_eq!(peak.max(), 40);
        peak.insert(13, 90, 10);
        assert_eq!(peak.max(), 90);
        assert_eq!(peak.values.len(), 1);
    }
}
