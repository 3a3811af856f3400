//! Anti-amplification limit (RFC 9000, section 8.1): bounds on what is sent to unverified addresses, [`AnswerLimits`].
//!
//! An attacker can write a victim's address into a datagram, and the answer then hits the victim. For each host, within
//! t seconds:
//!
//! - as long as the host has shown no valid token, the bytes of all answers are at most [`AMPLIFICATION_MAX`] times the
//!   bytes of its requests, plus `excess_bytes_burst + t * excess_bytes_per_second`: room for answers that are large;
//! - the count of answers is at most `answers_burst + t * answers_per_second`, tokens or not.
//!
//! Beyond 4,096 known hosts all others share one account: the state kept here is bounded, too.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use libvms_hypercore::time::Instant;

/// How many times larger than its request an answer may be without using an account. The usual answers to the smallest
/// requests are 3.8 (20 nodes) to 4.6 (20 nodes and a token) times larger.
pub const AMPLIFICATION_MAX: usize = 5;

/// Number of hosts with accounts of their own.
const HOSTS_MAX: usize = 4_096;

/// Accounts idle for this long are dropped when there are too many. All of them are full again by then.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// The least time from one search for idle accounts to the next.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Bounds on the answers to one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerLimits {
    /// Answers at once. The hosts of a house or a company may share one address.
    pub answers_burst: u32,
    /// Answers per second in the long run.
    pub answers_per_second: u32,
    /// Bytes beyond the amplification limit at once: 60 full answers to lookups.
    pub excess_bytes_burst: u32,
    /// Bytes beyond the amplification limit per second in the long run.
    pub excess_bytes_per_second: u32,
}

impl Default for AnswerLimits {
    fn default() -> Self {
        Self {
            answers_burst: 2_000,
            answers_per_second: 500,
            excess_bytes_burst: 65_536,
            excess_bytes_per_second: 8_192,
        }
    }
}

/// The accounts of all hosts.
#[derive(Debug)]
pub(crate) struct AmplificationLimiter {
    limits: AnswerLimits,
    hosts: BTreeMap<Ipv4Addr, Account>,
    others: Account,
    swept_at: Instant,
}

impl AmplificationLimiter {
    pub(crate) fn new(limits: AnswerLimits) -> Self {
        Self {
            limits,
            hosts: BTreeMap::new(),
            others: Account::full(&limits, Instant::START),
            swept_at: Instant::START,
        }
    }

    /// Returns whether an answer of `answer` bytes to a request of `request` bytes may go to the host. If so, charges
    /// it to the host's account.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        host: Ipv4Addr,
        request: usize,
        answer: usize,
        is_verified: bool,
    ) -> bool {
        let free = if is_verified { usize::MAX } else { request.saturating_mul(AMPLIFICATION_MAX) };
        let excess = answer.saturating_sub(free) as u64;
        let limits = self.limits;
        let account = self.account(now, host);
        account.refill(&limits, now);
        let (one, excess) = (MILLION, excess * MILLION);
        if account.answers < one || account.excess_bytes < excess {
            return false;
        }
        account.answers -= one;
        account.excess_bytes -= excess;
        true
    }

    fn account(&mut self, now: Instant, host: Ipv4Addr) -> &mut Account {
        if self.hosts.len() >= HOSTS_MAX && now > self.swept_at + SWEEP_INTERVAL {
            // Seldom: a flood from forged addresses must not make every datagram cost a walk.
            self.swept_at = now;
            self.hosts.retain(|_, account| account.at + IDLE_TIME > now);
        }
        if self.hosts.len() >= HOSTS_MAX && !self.hosts.contains_key(&host) {
            return &mut self.others;
        }
        let limits = self.limits;
        self.hosts.entry(host).or_insert_with(|| Account::full(&limits, now))
    }
}

/// The unit of accounts, millionths, so that a refill after one microsecond is not lost.
const MILLION: u64 = 1_000_000;

#[derive(Debug)]
struct Account {
    answers: u64,
    excess_bytes: u64,
    at: Instant,
}

impl Account {
    fn full(limits: &AnswerLimits, now: Instant) -> Self {
        Self {
            answers: u64::from(limits.answers_burst) * MILLION,
            excess_bytes: u64::from(limits.excess_bytes_burst) * MILLION,
            at: now,
        }
    }

    fn refill(&mut self, limits: &AnswerLimits, now: Instant) {
        let full = Self::full(limits, now);
        let passed_us = now.micros_since(self.at);
        let refilled = |level: u64, per_second: u32, most: u64| {
            level.saturating_add(passed_us.saturating_mul(per_second.into())).min(most)
        };
        self.answers = refilled(self.answers, limits.answers_per_second, full.answers);
        self.excess_bytes = refilled(self.excess_bytes, limits.excess_bytes_per_second, full.excess_bytes);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_from_forged_addresses_shares_one_account() {
        let limits = AnswerLimits { answers_burst: 2, answers_per_second: 1, ..AnswerLimits::default() };
        let mut allowance = AmplificationLimiter::new(limits);
        let granted = (0..20_000_u32)
            .filter(|host| allowance.take(Instant::START, Ipv4Addr::from(*host), 40, 40, false))
            .count();
        assert_eq!(allowance.hosts.len(), HOSTS_MAX);
        assert_eq!(granted, HOSTS_MAX + 2);
        // After a while the idle accounts are gone and strangers have their own again.
        assert!(allowance.take(
            Instant::after(IDLE_TIME + Duration::from_millis(1)),
            Ipv4Addr::from(50_000),
            40,
            40,
            false
        ));
        assert_eq!(allowance.hosts.len(), 1);
    }

    #[test]
    fn large_answers_to_a_host_without_a_token_are_bounded() {
        let mut allowance = AmplificationLimiter::new(AnswerLimits::default());
        let host = Ipv4Addr::new(1, 2, 3, 4);
        let sent = (0..10_000).filter(|_| allowance.take(Instant::START, host, 43, 1_088, false)).count();
        assert_eq!(sent, 65_536 / (1_088 - 5 * 43));
        assert!(allowance.take(Instant::START, host, 43, 5 * 43, false));
        assert!(!allowance.take(Instant::START, host, 43, 1_088, false));
        assert!(allowance.take(Instant::START, host, 43, 1_088, true));
        assert!(allowance.take(Instant::from_millis(1_000), host, 43, 1_088, false));
    }
}
