//! A rate limit for each host, by token buckets: [`RateLimiter`].

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Number of hosts that are counted one by one. The others share one bucket.
const HOSTS_MAX: usize = 4_096;

/// The rate of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Events at once.
    pub(crate) burst: u32,
    /// Events per second in the long run; at least 1.
    pub(crate) per_second: u32,
}

/// A bucket of tokens for each host.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    rate: Rate,
    hosts: BTreeMap<Ipv4Addr, Bucket>,
    others: Bucket,
    swept_at: u64,
}

/// The remaining tokens, in thousandths, so that the share of one millisecond is not lost.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: u64,
    at: u64,
}

impl RateLimiter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, hosts: BTreeMap::new(), others: Bucket::full(rate, 0), swept_at: 0 }
    }

    /// Returns whether the event may happen once more for this host now. If so, it is counted.
    pub(crate) fn allows(&mut self, now: u64, host: Ipv4Addr) -> bool {
        let rate = self.rate;
        let refilled_after = u64::from(rate.burst) * 1_000 / u64::from(rate.per_second.max(1)) + 1;
        if self.hosts.len() >= HOSTS_MAX && now >= self.swept_at + 1_000 {
            // Once a second at most, so that a flood from forged addresses does not make each datagram cost a walk.
            self.swept_at = now;
            self.hosts.retain(|_, bucket| bucket.at + refilled_after > now);
        }
        if self.hosts.len() >= HOSTS_MAX && !self.hosts.contains_key(&host) {
            return self.others.take(rate, now);
        }
        self.hosts.entry(host).or_insert_with(|| Bucket::full(rate, now)).take(rate, now)
    }
}

impl Bucket {
    fn full(rate: Rate, now: u64) -> Self {
        Self { level: u64::from(rate.burst) * 1_000, at: now }
    }

    fn take(&mut self, rate: Rate, now: u64) -> bool {
        let passed = now.saturating_sub(self.at);
        let refill = passed.saturating_mul(rate.per_second.into());
        self.level = self.level.saturating_add(refill).min(Self::full(rate, now).level);
        self.at = self.at.max(now);
        let has_one = self.level >= 1_000;
        if has_one {
            self.level -= 1_000;
        }
        has_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, per_second: 2 };

    #[test]
    fn a_host_has_its_burst_and_then_its_rate() {
        let mut limiter = RateLimiter::new(RATE);
        let (one, two) = (Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(2, 2, 2, 2));
        let count =
            |limiter: &mut RateLimiter, now, host| (0..10).filter(|_| limiter.allows(now, host)).count();
        assert_eq!(count(&mut limiter, 0, one), 3);
        assert_eq!(count(&mut limiter, 0, two), 3);
        assert_eq!(count(&mut limiter, 499, one), 0);
        assert_eq!(count(&mut limiter, 500, one), 1);
        assert_eq!(count(&mut limiter, u64::MAX, one), 3);
    }

    #[test]
    fn a_flood_from_forged_addresses_is_counted_as_one_host() {
        let mut limiter = RateLimiter::new(RATE);
        let allowed = (0..20_000_u32).filter(|host| limiter.allows(0, Ipv4Addr::from(*host))).count();
        assert_eq!((allowed, limiter.hosts.len()), (HOSTS_MAX + 3, HOSTS_MAX));
        assert!(limiter.allows(10_000, Ipv4Addr::from(30_000)));
        assert_eq!(limiter.hosts.len(), 1);
    }
}
