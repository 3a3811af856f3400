//! Quotas: how much each address, each key, and all who do not sign together may add to a log in a minute.
//!
//! What goes into a log stays for ever, so an operator can bound how fast strangers fill it. Each party has an allowance
//! that fills up evenly over a minute. Its state is one time, at which it is full again, so that a party whose time has
//! passed needs no memory at all (the "virtual scheduling" form of the leaky bucket, ITU-T I.371).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use libvms_hypercore::identity::PublicKey;
use libvms_protocol::refusal::Reason;

use super::refusal::Refused;

/// The time in which an allowance fills up.
const WINDOW: Duration = Duration::from_secs(60);
/// Parties whose allowances are not full, at most: about 16 MiB. Further ones wait until some are.
const PARTIES_MAX: usize = 100_000;
/// Bytes of an entry beside its arguments and its result, about: key, signature, numbers, names of fields.
const ENTRY_BYTES: u64 = 350;

/// How much callers may add to the log. Where a number is missing there is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Calls in a minute of each address, and of each key.
    pub calls_per_minute: Option<u32>,
    /// Bytes of the log's entries in a minute of each address, and of each key. A call may exceed what is left by the bytes of
    /// its result; the next one waits until that is made up for.
    pub bytes_per_minute: Option<u64>,
    /// Calls of those who do not sign.
    pub anonymous: AnonymousCalls,
}

/// The calls of those who do not sign, in a service whose callers sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnonymousCalls {
    /// As many as there are.
    #[default]
    Unbounded,
    /// So many in a minute, of all callers together.
    PerMinute(u32),
    /// None.
    Off,
}

/// Whose allowance a call uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Party {
    Address(IpAddr),
    Key(PublicKey),
    Anonymous,
}

/// The allowances of all callers.
#[derive(Debug)]
pub(in crate::host) struct QuotaBook {
    quotas: Quotas,
    begun: Instant,
    parties: Mutex<BTreeMap<Party, Allowances>>,
}

/// The times at which allowances are full again, since the book was begun.
#[derive(Clone, Copy, Debug, Default)]
struct Allowances {
    calls: Duration,
    bytes: Duration,
}

/// Bytes that a call's parties have paid for before it is executed.
#[derive(Clone, Copy, Debug)]
pub(in crate::host) struct Paid {
    address: Option<IpAddr>,
    key: Option<PublicKey>,
    bytes: u64,
}

impl QuotaBook {
    pub(in crate::host) fn new(quotas: Quotas) -> Self {
        Self { quotas, begun: Instant::now(), parties: Mutex::default() }
    }

    /// Returns whether bytes are bounded: then callers say how long their arguments are.
    pub(in crate::host) fn counts_bytes(&self) -> bool {
        self.quotas.bytes_per_minute.is_some()
    }

    /// Admits a call from an address. `arguments` is the number of bytes of its arguments.
    pub(in crate::host) fn admit_address(
        &self,
        now: Instant,
        address: IpAddr,
        arguments: u64,
    ) -> Result<(), Refused> {
        self.admit(now, Party::Address(address), self.quotas.calls_per_minute, arguments, "this address")
    }

    /// Admits a call that nobody has signed, in a service whose callers sign.
    pub(in crate::host) fn admit_anonymous(&self, now: Instant) -> Result<(), Refused> {
        let who = "callers who do not sign";
        match self.quotas.anonymous {
            AnonymousCalls::Unbounded => Ok(()),
            AnonymousCalls::PerMinute(calls) => self.admit(now, Party::Anonymous, Some(calls), 0, who),
            AnonymousCalls::Off => Err(Refused {
                why: "this service takes calls only of callers who sign them".into(),
                ..Refused::new(Reason::Rate)
            }),
        }
    }

    /// Admits a call of a key. Its signature must have been checked: nobody else may use up the key's allowance.
    pub(in crate::host) fn admit_key(
        &self,
        now: Instant,
        key: PublicKey,
        arguments: u64,
    ) -> Result<(), Refused> {
        self.admit(now, Party::Key(key), self.quotas.calls_per_minute, arguments, "this key")
    }

    /// Returns what a call with so many bytes of arguments has paid for when it was admitted.
    pub(in crate::host) fn paid(
        &self,
        address: Option<IpAddr>,
        key: Option<PublicKey>,
        arguments: u64,
    ) -> Option<Paid> {
        self.counts_bytes().then_some(Paid { address, key, bytes: arguments + ENTRY_BYTES })
    }

    /// Lets a call's parties pay for those bytes of its entry that they have not paid for yet.
    pub(in crate::host) fn settle(&self, now: Instant, paid: Paid, entry: u64) {
        let Some(quota) = self.quotas.bytes_per_minute else { return };
        let (left, now) = (entry.saturating_sub(paid.bytes), now.saturating_duration_since(self.begun));
        let parties = paid.address.map(Party::Address).into_iter().chain(paid.key.map(Party::Key));
        let mut book = self.parties.lock().unwrap_or_else(PoisonError::into_inner);
        for party in parties {
            let allowances = book.entry(party).or_default();
            allowances.bytes = allowances.bytes.max(now) + share(left, quota);
        }
    }

    fn admit(
        &self,
        now: Instant,
        party: Party,
        calls: Option<u32>,
        arguments: u64,
        who: &str,
    ) -> Result<(), Refused> {
        let bytes = self.quotas.bytes_per_minute.filter(|_| party != Party::Anonymous);
        if calls.is_none() && bytes.is_none() {
            return Ok(());
        }
        let now = now.saturating_duration_since(self.begun);
        let mut book = self.parties.lock().unwrap_or_else(PoisonError::into_inner);
        if book.len() >= PARTIES_MAX && !book.contains_key(&party) {
            book.retain(|_, allowances| allowances.calls.max(allowances.bytes) > now);
            if book.len() >= PARTIES_MAX {
                return Err(Refused { retry_after: Some(WINDOW), ..Refused::new(Reason::Busy) });
            }
        }
        let before = book.get(&party).copied().unwrap_or_default();
        let mut after = before;
        let mut wait = Duration::ZERO;
        if let Some(calls) = calls {
            after.calls = before.calls.max(now) + share(1, calls.into());
            wait = after.calls.saturating_sub(now + WINDOW);
        }
        if let Some(quota) = bytes {
            let needed = share(arguments + ENTRY_BYTES, quota);
            if needed > WINDOW {
                let size = arguments + ENTRY_BYTES;
                let why = format!("the call adds {size} bytes to the log; {who} may add {quota} in a minute");
                return Err(Refused { why, ..Refused::new(Reason::Rate) });
            }
            after.bytes = before.bytes.max(now) + needed;
            wait = wait.max(after.bytes.saturating_sub(now + WINDOW));
        }
        if wait.is_zero() {
            book.insert(party, after);
            return Ok(());
        }
        let why = format!("too much of {who} in a minute: come again in {} s", wait.as_secs() + 1);
        Err(Refused { why, retry_after: Some(wait), ..Refused::new(Reason::Rate) })
    }
}

/// Returns the time in which an allowance of `quota` a minute grows by `amount`. Rounded down, so that a whole minute's
/// allowance is never more than a minute.
fn share(amount: u64, quota: u64) -> Duration {
    let nanos = WINDOW.as_nanos() * u128::from(amount) / u128::from(quota.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 2).min(u64::MAX / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const OTHER: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    fn book(calls: Option<u32>, bytes: Option<u64>, anonymous: AnonymousCalls) -> QuotaBook {
        QuotaBook::new(Quotas { calls_per_minute: calls, bytes_per_minute: bytes, anonymous })
    }

    #[test]
    fn an_address_uses_up_its_own_allowance_only_and_gets_it_back_evenly() {
        let book = book(Some(6), None, AnonymousCalls::Unbounded);
        let mut now = book.begun;
        for _ in 0..6 {
            assert_eq!(book.admit_address(now, ADDRESS, 0), Ok(()));
        }
        let refused = book.admit_address(now, ADDRESS, 0).expect_err("used up");
        assert_eq!(refused.reason, Reason::Rate);
        let wait = refused.retry_after.expect("a time");
        assert!(wait > Duration::from_secs(9) && wait <= Duration::from_secs(10), "{wait:?}");
        assert_eq!(book.admit_address(now, OTHER, 0), Ok(()));
        assert_eq!(book.admit_key(now, PublicKey([1; 32]), 0), Ok(()));
        now += wait;
        assert_eq!(book.admit_address(now, ADDRESS, 0), Ok(()));
        assert!(book.admit_address(now, ADDRESS, 0).is_err());
        now += Duration::from_secs(3_600);
        for _ in 0..6 {
            assert_eq!(book.admit_address(now, ADDRESS, 0), Ok(()));
        }
        assert!(book.admit_address(now, ADDRESS, 0).is_err());
    }

    #[test]
    fn bytes_of_results_are_made_up_for_before_the_next_call() {
        let book = book(None, Some(10_000), AnonymousCalls::Unbounded);
        let mut now = book.begun;
        assert_eq!(book.admit_address(now, ADDRESS, 5_000), Ok(()));
        let paid = book.paid(Some(ADDRESS), None, 5_000).expect("bytes count");
        book.settle(now, paid, 5_000 + ENTRY_BYTES + 20_000);
        let refused = book.admit_address(now, ADDRESS, 0).expect_err("used up");
        let wait = refused.retry_after.expect("a time");
        assert!(wait > Duration::from_secs(90) && wait < Duration::from_secs(100), "{wait:?}");
        now += wait;
        assert_eq!(book.admit_address(now, ADDRESS, 0), Ok(()));
        // What no minute has room for is told, without a time.
        let refused = book.admit_address(now, OTHER, 10_000).expect_err("too large");
        assert_eq!((refused.reason, refused.retry_after), (Reason::Rate, None));
    }

    #[test]
    fn those_who_do_not_sign_share_one_allowance_or_have_none() {
        let now = Instant::now();
        let few = book(None, None, AnonymousCalls::PerMinute(2));
        assert_eq!([few.admit_anonymous(now), few.admit_anonymous(now)], [Ok(()), Ok(())]);
        assert!(few.admit_anonymous(now).is_err_and(|refused| refused.retry_after.is_some()));
        let off = book(None, None, AnonymousCalls::Off);
        assert!(off.admit_anonymous(now).is_err_and(|refused| refused.retry_after.is_none()));
        assert_eq!(off.admit_address(now, ADDRESS, 0), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_parties_with_a_full_allowance_make_room() {
        let book = book(Some(60), None, AnonymousCalls::Unbounded);
        let mut now = book.begun;
        let address = |number: u32| IpAddr::V4(number.into());
        for number in 0..u32::try_from(PARTIES_MAX).expect("few") {
            assert_eq!(book.admit_address(now, address(number), 0), Ok(()));
        }
        assert!(book.admit_address(now, OTHER, 0).is_err_and(|refused| refused.reason == Reason::Busy));
        assert_eq!(book.admit_address(now, address(7), 0), Ok(()), "who is known goes on");
        now += Duration::from_secs(5);
        assert_eq!(book.admit_address(now, OTHER, 0), Ok(()));
    }
}
