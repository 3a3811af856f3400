//! A rate limit for each host, by token buckets: [`RateLimiter`].

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use libvms_hypercore::time::Instant;

/// Number of hosts that are counted one by one. The others share one bucket.
const HOSTS_MAX: usize = 4_096;

/// The least time from one search for full buckets to the next.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// One token, in the unit of the buckets.
const TOKEN: u64 = 1_000_000;

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
    swept_at: Instant,
}

/// The remaining tokens, in millionths, so that the share of one microsecond is not lost.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: u64,
    at: Instant,
}

impl RateLimiter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            hosts: BTreeMap::new(),
            others: Bucket::full(rate, Instant::START),
            swept_at: Instant::START,
        }
    }

    /// Returns whether the event may happen once more for this host now. If so, it is counted.
    pub(crate) fn allows(&mut self, now: Instant, host: Ipv4Addr) -> bool {
        let rate = self.rate;
        let refill_time = Duration::from_secs(rate.burst.into()) / rate.per_second.max(1);
        if self.hosts.len() >= HOSTS_MAX && now >= self.swept_at + SWEEP_INTERVAL {
            // Seldom, so that a flood from forged addresses does not make each datagram cost a walk.
            self.swept_at = now;
            self.hosts.retain(|_, bucket| bucket.at + refill_time >= now);
        }
        if self.hosts.len() >= HOSTS_MAX && !self.hosts.contains_key(&host) {
            return self.others.take(rate, now);
        }
        self.hosts.entry(host).or_insert_with(|| Bucket::full(rate, now)).take(rate, now)
    }
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { level: u64::from(rate.burst) * TOKEN, at: now }
    }

    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let passed_us = now.micros_since(self.at);
        let refill = passed_us.saturating_mul(rate.per_second.into());
        self.level = self.level.saturating_add(refill).min(Self::full(rate, now).level);
        self.at = self.at.max(now);
        let has_one = self.level >= TOKEN;
        if has_one {
            self.level -= TOKEN;
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
        assert_eq!(count(&mut limiter, Instant::START, one), 3);
        assert_eq!(count(&mut limiter, Instant::START, two), 3);
        assert_eq!(count(&mut limiter, Instant::from_millis(499), one), 0);
        assert_eq!(count(&mut limiter, Instant::from_millis(500), one), 1);
        assert_eq!(count(&mut limiter, Instant::from_millis(u64::MAX), one), 3);
    }

    #[test]
    fn a_flood_from_forged_addresses_is_counted_as_one_host() {
        let mut limiter = RateLimiter::new(RATE);
        let allowed =
            (0..20_000_u32).filter(|host| limiter.allows(Instant::START, Ipv4Addr::from(*host))).count();
        assert_eq!((allowed, limiter.hosts.len()), (HOSTS_MAX + 3, HOSTS_MAX));
        assert!(limiter.allows(Instant::from_millis(10_000), Ipv4Addr::from(30_000)));
        assert_eq!(limiter.hosts.len(), 1);
    }
}
