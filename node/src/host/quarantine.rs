//! A circuit breaker per method: bounds the cost of workers' deaths to a share of the host's time.
//!
//! A death costs all callers the time until the heap is rebuilt from the log. A caller that knows a call that
//! kills its worker must not be able to cause that cost with each of its calls. So every death adds [`QUIET_PER_COST`]
//! times its cost to one *debt* of quiet time, which decreases with the clock:
//!
//! - A call that had to be killed quarantines its method until the debt that it has made has passed. Calls of a
//!   quarantined method are refused without being executed or logged; other methods go on.
//! - While there is debt, calls run one at a time: then the call at fault for a death is known at once, and no call gets
//!   a second try.
//!
//! Therefore a death without a culprit happens only without debt, and a death with a culprit only in a method that is
//! not quarantined. Since one method's quarantine starts where the debt of the others ends, the debt is never more than
//! that of one death for each method and of one without a culprit. As debt passes no faster than time does, all deaths
//! in any time `T` together cost at most `T / QUIET_PER_COST`, plus the cost of one death for each method and two more.
//! A test plays an adversary against this bound.
//!
//! The log holds nothing of this: a quarantine ends with the process, and the next start replays the log anyway.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Quiet time for each unit of a death's cost: rebuilding heaps takes at most a tenth of the host's time.
const QUIET_PER_COST: u32 = 10;

/// The debt of one service.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    quiet_from: Option<Instant>,
    /// The quarantined methods; bounded, because they are among the script's exports.
    methods: BTreeMap<String, Instant>,
}

impl Quarantine {
    /// Adds the cost of a worker's death: the time until calls went on.
    pub(super) fn add_cost(&mut self, now: Instant, cost: Duration) {
        let begin = self.quiet_from.unwrap_or(now).max(now);
        // A cost that overflows the clock is ignored: no process lives to see its end.
        self.quiet_from = begin.checked_add(cost.saturating_mul(QUIET_PER_COST)).or(Some(begin));
    }

    /// Quarantines `method`: a call of it had to be killed, and the cost of that has been added.
    pub(super) fn isolate(&mut self, method: &str) {
        if let Some(until) = self.quiet_from {
            self.methods.insert(method.into(), until);
        }
    }

    /// Returns whether no debt is left.
    pub(super) fn is_clear(&self, now: Instant) -> bool {
        self.quiet_from.is_none_or(|quiet_from| quiet_from <= now)
    }

    /// Returns how much longer calls of a method are refused; `None` when they are not.
    pub(super) fn remaining(&self, now: Instant, method: &str) -> Option<Duration> {
        let remaining = self.methods.get(method)?.saturating_duration_since(now);
        (!remaining.is_zero()).then_some(remaining)
    }
}

#[cfg(test)]
mod tests {
    use libvms_hypercore::random::Dice;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_quarantine_lasts_ten_times_the_cost_of_the_call() {
        let (mut quarantine, start) = (Quarantine::default(), Instant::now());
        assert!(quarantine.is_clear(start));
        quarantine.add_cost(start, SECOND);
        quarantine.isolate("bad");
        assert_eq!(quarantine.remaining(start, "bad"), Some(10 * SECOND));
        assert_eq!(quarantine.remaining(start, "good"), None);
        assert!(!quarantine.is_clear(start + 9 * SECOND));
        assert_eq!(quarantine.remaining(start + 10 * SECOND, "bad"), None);
        assert!(quarantine.is_clear(start + 10 * SECOND));
    }

    #[test]
    fn a_second_quarantine_starts_where_the_first_one_ends() {
        let (mut quarantine, start) = (Quarantine::default(), Instant::now());
        for (method, expected) in [("one", 10), ("two", 20), ("three", 30)] {
            quarantine.add_cost(start, SECOND);
            quarantine.isolate(method);
            assert_eq!(quarantine.remaining(start, method), Some(expected * SECOND));
        }
        assert_eq!(quarantine.remaining(start, "one"), Some(10 * SECOND));
    }

    #[test]
    fn a_cost_without_end_does_no_harm() {
        let mut quarantine = Quarantine::default();
        quarantine.add_cost(Instant::now(), Duration::MAX);
        quarantine.add_cost(Instant::now(), SECOND);
    }

    /// The adversary kills a worker whenever that is possible: with each method that is not quarantined, and once without a
    /// culprit whenever there is no debt.
    #[test]
    fn an_adversary_that_kills_workers_gets_a_tenth_of_the_time() {
        for methods in [1_u32, 2, 7, 50] {
            let (mut quarantine, start) = (Quarantine::default(), Instant::now());
            let (end, mut now, mut lost) = (start + 100_000 * SECOND, start, Duration::ZERO);
            let (mut dice, mut largest) = (Dice::new(methods.into()), Duration::ZERO);
            let names: Vec<String> = (0..methods).map(|number| number.to_string()).collect();
            while now < end {
                let cost = Duration::from_millis(100 + dice.below(10_000));
                let victim = names.iter().find(|name| quarantine.remaining(now, name).is_none());
                let is_found_out = !quarantine.is_clear(now);
                if victim.is_none() && is_found_out {
                    now += Duration::from_millis(100);
                    continue;
                }
                now += cost;
                lost += cost;
                largest = largest.max(cost);
                quarantine.add_cost(now, cost);
                if let Some(method) = victim.filter(|_| is_found_out) {
                    quarantine.isolate(method);
                }
            }
            let bound = (now - start) / QUIET_PER_COST + largest * (methods + 2);
            assert!(lost <= bound, "{methods} methods: {lost:?} of {:?}, bound {bound:?}", now - start);
            assert!(
                lost >= (now - start) / (2 * QUIET_PER_COST),
                "the attack of this test is no attack: {lost:?}"
            );
        }
    }
}
