//! The rules for signed calls in a log whose callers sign.
//!
//! Together they make a call a statement that holds once: a host can neither invent, alter nor repeat it, nor execute one
//! intention under two numbers, nor hold it back for long, nor log it in another history than the one its caller saw.
//! Each rule has its own [`Violation`]. All but the signature depend on the entries before and are judged by
//! [`SignedCalls`], which needs those of twice the age of a call only.

use std::collections::{BTreeMap, VecDeque};

use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::tree::{Roots, TreeHash};

use super::violation::Violation;
use crate::entry::{Auth, Authorization, Call, Seen};
use crate::limits::{SEEN_LENGTHS_MAX, SIGNED_CALLS_MAX};

/// Microseconds in a millisecond: nonces have the former unit, times in entries the latter.
const MICROS: u64 = 1000;

/// Checks what a call alone shows in a log with this key and authentication: no claimed names where callers sign, and the
/// signature. It is the costly rule, and may be judged on any thread.
///
/// # Errors
/// [`Violation::BadSignature`], or [`Violation::MalformedEntry`] for fields that such a log does not have.
pub fn check_signature(log: &PublicKey, auth: Auth, call: &Call) -> Result<(), Violation> {
    let is_good = match (auth, &call.user_id) {
        (Auth::Debug, _) | (Auth::Signed, None) if call.has_signed_fields() => {
            let why = "a nonce, head or signature of a call that nobody signs".into();
            return Err(Violation::MalformedEntry { why });
        }
        (Auth::Debug, _) | (Auth::Signed, None) => true,
        (Auth::Signed, Some(_)) => call.is_signed(log),
    };
    if is_good { Ok(()) } else { Err(Violation::BadSignature) }
}

/// The state of a log that its signed calls are judged by.
///
/// Takes about 24 to 48 bytes for each signed call of the last two ages of a call, at most
/// [`SIGNED_CALLS_MAX`] of them.
#[derive(Clone, Debug)]
pub struct SignedCalls {
    call_age: u64,
    heads: RecentHeads,
    recent: RecentCalls,
}

impl SignedCalls {
    /// Creates the state of an empty log. `call_age` is `init.limits.callAge`, in milliseconds.
    pub fn new(call_age: u64) -> Self {
        Self { call_age, heads: RecentHeads::default(), recent: RecentCalls::default() }
    }

    /// Takes the bytes of the log's next block: callers name heads of the log that they have seen.
    pub fn append(&mut self, block: &[u8]) {
        self.heads.append(block);
    }

    /// Returns the length and tree hash of the log so far.
    pub fn head(&self) -> Seen {
        Seen { length: self.heads.roots.length(), hash: self.heads.roots.tree_hash() }
    }

    /// Returns the time in milliseconds that a signed call may be old.
    pub fn call_age(&self) -> u64 {
        self.call_age
    }

    /// Checks a call that is executed at `at` as block `block`: the log's next one, or a later one where a host executes
    /// calls ahead. The signature is not checked.
    ///
    /// # Errors
    /// The first rule that the call breaks.
    pub fn check(&self, block: BlockIndex, at: u64, by: &Authorization) -> Result<(), Violation> {
        self.check_numbers(at, by)?;
        check_age(at, by.nonce, self.call_age)?;
        by.seen.map_or(Ok(()), |seen| self.heads.check(block, &seen))?;
        let ahead = block.length_before().checked_sub(self.heads.roots.length()).unwrap_or(0);
        match self.recent.counted_since(self.oldest(at)).saturating_add(ahead) < SIGNED_CALLS_MAX {
            true => Ok(()),
            false => Err(Violation::TooManyCalls { at }),
        }
    }

    fn check_numbers(&self, at: u64, by: &Authorization) -> Result<(), Violation> {
        let known = self.recent.by_key.get(&by.key);
        if let Some(greatest) = known.and_then(KeyCalls::greatest).filter(|past| past.nonce >= by.nonce) {
            let past = known.and_then(|known| known.find(by.nonce)).unwrap_or(greatest.block);
            let (nonce, greatest) = (by.nonce, greatest.nonce);
            return Err(Violation::RepeatedNonce { nonce, greatest, block: past });
        }
        if !by.is_instead_in_form() {
            return Err(Violation::WrongInstead);
        }
        let mut replaced = by.instead.iter().flatten();
        let twice = replaced.find_map(|number| Some((*number, known?.find(*number)?)));
        match twice {
            Some((number, block)) => Err(Violation::RepeatedCall { number, block }),
            None => check_instead_age(at, by, self.call_age),
        }
    }

    /// Records a signed call that stands in the log at `block`.
    pub fn record(&mut self, block: BlockIndex, at: u64, by: &Authorization) {
        self.recent.record(block, at, by, self.oldest(at));
    }

    /// Returns the block of an earlier call by the same key that has a number in common with this one, as its nonce or as
    /// one that it replaces: an intention is executed once. Only calls within twice the age of a call are known.
    pub fn find(&self, by: &Authorization) -> Option<BlockIndex> {
        let known = self.recent.by_key.get(&by.key)?;
        by.numbers().find_map(|number| known.find(number))
    }

    /// Returns the time of the oldest call that counts for one at `at`.
    fn oldest(&self, at: u64) -> u64 {
        at.saturating_sub(2 * self.call_age)
    }
}

/// Checks that a call's nonce is neither later than its execution at `at` nor older than `call_age`, both in milliseconds.
///
/// # Errors
/// [`Violation::StaleCall`]
pub fn check_age(at: u64, nonce: u64, call_age: u64) -> Result<(), Violation> {
    let age = at.checked_sub(nonce / MICROS);
    if age.is_some_and(|age| age <= call_age) {
        Ok(())
    } else {
        Err(Violation::StaleCall { nonce, at, call_age })
    }
}

/// Checks that no nonce that a call replaces is too old for the log to tell whether it stands there.
///
/// # Errors
/// [`Violation::StaleInstead`]
pub fn check_instead_age(at: u64, by: &Authorization, call_age: u64) -> Result<(), Violation> {
    let oldest = at.saturating_sub(2 * call_age);
    match by.instead.iter().flatten().find(|number| **number / MICROS < oldest) {
        Some(number) => Err(Violation::StaleInstead { number: *number, at, call_age }),
        None => Ok(()),
    }
}

/// The tree hashes of a log's latest lengths.
#[derive(Clone, Debug, Default)]
struct RecentHeads {
    roots: Roots,
    /// The tree hashes of the lengths before that of `roots`, the latest last.
    earlier: VecDeque<TreeHash>,
}

impl RecentHeads {
    fn append(&mut self, block: &[u8]) {
        self.earlier.push_back(self.roots.tree_hash());
        if self.earlier.len() as u64 >= SEEN_LENGTHS_MAX {
            self.earlier.pop_front();
        }
        self.roots.append(block);
    }

    fn check(&self, block: BlockIndex, seen: &Seen) -> Result<(), Violation> {
        let length = self.roots.length();
        let is_old = seen.length.saturating_add(SEEN_LENGTHS_MAX) <= block.length_before();
        let hash = match length.checked_sub(seen.length) {
            Some(0) => Some(self.roots.tree_hash()),
            Some(back) => {
                let place = (self.earlier.len() as u64).checked_sub(back);
                place.and_then(|place| self.earlier.get(usize::try_from(place).ok()?).copied())
            }
            None => None,
        };
        match hash == Some(seen.hash) && !is_old {
            true => Ok(()),
            false => Err(Violation::UnknownHead { length: seen.length, block, is_old }),
        }
    }
}

/// The signed calls of a log's latest time.
#[derive(Clone, Debug, Default)]
struct RecentCalls {
    by_key: BTreeMap<PublicKey, KeyCalls>,
    /// Calls in `by_key`; some of them may be too old to matter.
    kept: u64,
    /// How many calls there were at each time.
    times: VecDeque<(u64, u64)>,
    counted: u64,
}

/// The calls of one key, ascending by their nonce.
#[derive(Clone, Debug, Default)]
struct KeyCalls {
    calls: VecDeque<PastCall>,
    /// The nonces that calls replaced, each with the block of that call.
    replaced: BTreeMap<u64, BlockIndex>,
}

#[derive(Clone, Copy, Debug)]
struct PastCall {
    nonce: u64,
    at: u64,
    block: BlockIndex,
}

/// Calls that may be kept although they are too old to matter, before all keys are looked through.
const KEPT_MIN: u64 = 1024;

impl RecentCalls {
    fn record(&mut self, block: BlockIndex, at: u64, by: &Authorization, oldest: u64) {
        self.expire(oldest);
        match self.times.back_mut() {
            Some((time, count)) if *time >= at => *count += 1,
            _ => self.times.push_back((at, 1)),
        }
        self.counted += 1;
        self.kept += 1;
        let calls = self.by_key.entry(by.key).or_default();
        let place = calls.calls.partition_point(|past| past.nonce < by.nonce);
        calls.calls.insert(place, PastCall { nonce: by.nonce, at, block });
        calls.replaced.extend(by.instead.iter().flatten().map(|number| (*number, block)));
        self.kept -= calls.forget(oldest);
        if self.kept > KEPT_MIN + 2 * self.counted {
            self.sweep(oldest);
        }
    }

    fn expire(&mut self, oldest: u64) {
        while let Some((_, count)) = self.times.front().filter(|(time, _)| *time <= oldest && oldest > 0) {
            self.counted -= count;
            self.times.pop_front();
        }
    }

    /// Returns the number of calls after `oldest`. Calls are counted at the time of their entry, but the entry in question
    /// may be later than the last recorded one.
    fn counted_since(&self, oldest: u64) -> u64 {
        let expired = self.times.iter().take_while(|(time, _)| *time <= oldest && oldest > 0);
        self.counted - expired.map(|(_, count)| count).sum::<u64>()
    }

    fn sweep(&mut self, oldest: u64) {
        for calls in self.by_key.values_mut() {
            self.kept -= calls.forget(oldest);
        }
        self.by_key.retain(|_, calls| !calls.calls.is_empty());
    }
}

impl KeyCalls {
    fn greatest(&self) -> Option<&PastCall> {
        self.calls.back()
    }

    /// Returns the block of the call that has this number, as its nonce or among those that it replaces.
    fn find(&self, number: u64) -> Option<BlockIndex> {
        let place = self.calls.binary_search_by_key(&number, |past| past.nonce);
        let as_nonce = place.ok().and_then(|place| Some(self.calls.get(place)?.block));
        as_nonce.or_else(|| self.replaced.get(&number).copied())
    }

    /// Forgets calls before `oldest`, and numbers that no call may replace any more. Returns the number of calls.
    fn forget(&mut self, oldest: u64) -> u64 {
        let before = self.calls.len();
        while self.calls.front().is_some_and(|past| past.at < oldest) {
            self.calls.pop_front();
        }
        if self.replaced.first_key_value().is_some_and(|(number, _)| *number / MICROS < oldest) {
            self.replaced = self.replaced.split_off(&oldest.saturating_mul(MICROS));
        }
        (before - self.calls.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Intention;
    use libvms_hypercore::identity::SecretKey;

    const LOG: PublicKey = PublicKey([9; 32]);
    const AGE: u64 = 1_000;

    fn signed(key: u8, nonce: u64, seen: Option<Seen>, instead: Option<&[u64]>) -> Authorization {
        let intention = Intention { method: "f", args: &[], nonce, seen: seen.as_ref(), instead };
        intention.sign(&SecretKey::from_seed(&[key; 32]), &LOG)
    }

    fn by(nonce: u64) -> Authorization {
        signed(1, nonce, None, None)
    }

    fn class(result: Result<(), Violation>) -> &'static str {
        result.map_or_else(|violation| violation.class(), |()| "ok")
    }

    /// Checks and records calls as a log's, each at its time; returns their classes.
    fn judge(calls: &[(u64, Authorization)]) -> Vec<&'static str> {
        let mut state = SignedCalls::new(AGE);
        let judge = |(block, (at, by)): (usize, &(u64, Authorization))| {
            let judged = class(state.check(BlockIndex(block as u64), *at, by));
            state.record(BlockIndex(block as u64), *at, by);
            judged
        };
        calls.iter().enumerate().map(judge).collect()
    }

    #[test]
    fn a_nonce_is_greater_than_all_before() {
        let judged = judge(&[
            (10_000, by(9_900_000)),
            (10_000, by(9_900_000)),
            (10_100, by(9_800_000)),
            (10_100, signed(2, 9_800_000, None, None)),
            (10_100, by(9_900_001)),
        ]);
        assert_eq!(judged, ["ok", "repeated-nonce", "repeated-nonce", "ok", "ok"]);
    }

    #[test]
    fn a_call_is_neither_early_nor_old() {
        let cases = [
            (10_000, 10_000_999, "ok"),
            (10_000, 10_001_000, "stale-call"),
            (10_000, 9_000_000, "ok"),
            (10_000, 8_999_999, "stale-call"),
            (0, 999, "ok"),
        ];
        for (at, nonce, expected) in cases {
            assert_eq!(
                class(SignedCalls::new(AGE).check(BlockIndex(0), at, &by(nonce))),
                expected,
                "{nonce} at {at}"
            );
        }
    }

    #[test]
    fn no_intention_is_executed_twice() {
        let replacing = |nonce, instead: &[u64]| signed(1, nonce, None, Some(instead));
        let judged = judge(&[
            (10_000, replacing(9_500_000, &[9_300_000, 9_400_000])),
            (10_000, replacing(9_600_000, &[9_500_000])),
            (10_000, replacing(9_700_000, &[9_300_000])),
            (10_000, replacing(9_800_000, &[9_800_000])),
            (10_000, replacing(9_900_000, &[])),
            (10_000, replacing(9_910_000, &[9_350_000])),
            (10_000, signed(2, 9_910_000, None, Some(&[9_300_000]))),
            (11_300, replacing(11_000_000, &[9_300_000])),
        ]);
        let expected = [
            "ok",
            "repeated-call",
            "repeated-call",
            "repeated-call",
            "repeated-call",
            "ok",
            "ok",
            "repeated-call",
        ];
        assert_eq!(judged, expected);
        assert_eq!(judge(&[(11_300, replacing(11_000_000, &[9_299_999]))]), ["stale-instead"]);
    }

    #[test]
    fn a_call_is_found_by_each_of_its_numbers() {
        let mut state = SignedCalls::new(AGE);
        state.record(BlockIndex(4), 10_000, &signed(1, 9_500_000, None, Some(&[9_300_000])));
        for number in [9_300_000, 9_500_000] {
            assert_eq!(state.find(&by(number)), Some(BlockIndex(4)));
            assert_eq!(state.find(&signed(1, 9_600_000, None, Some(&[number]))), Some(BlockIndex(4)));
            assert_eq!(state.find(&signed(2, number, None, None)), None);
        }
        assert_eq!(state.find(&by(9_400_000)), None);
    }

    #[test]
    fn a_caller_has_seen_this_log_and_not_long_ago() {
        let mut state = SignedCalls::new(AGE);
        let mut heads = vec![state.head()];
        for block in 0..SEEN_LENGTHS_MAX + 10 {
            state.append(&block.to_le_bytes());
            heads.push(state.head());
        }
        let length = state.head().length;
        let judge_at = |block, seen| state.check(block, 10_000, &signed(1, 9_500_000, Some(seen), None));
        let block = length.next_block();
        let judge = |seen| judge_at(block, seen);
        for known in [length, length.saturating_sub(1), length.saturating_sub(SEEN_LENGTHS_MAX - 1)] {
            assert_eq!(judge(heads[known.0 as usize]), Ok(()), "{known} of {length}");
            let other = Seen { hash: TreeHash([1; 32]), ..heads[known.0 as usize] };
            let unknown = Violation::UnknownHead { length: known, block, is_old: false };
            assert_eq!(judge(other), Err(unknown));
        }
        for (seen, is_old) in [
            (heads[length.saturating_sub(SEEN_LENGTHS_MAX).0 as usize], true),
            (heads[0], true),
            (Seen { length: length + 1, ..state.head() }, false),
        ] {
            let unknown = Violation::UnknownHead { length: seen.length, block, is_old };
            assert_eq!(judge(seen), Err(unknown));
        }
        let edge = heads[length.saturating_sub(SEEN_LENGTHS_MAX - 1).0 as usize];
        assert!(judge_at(block + 1, edge).is_err(), "a later block is further from what its caller saw");
        let empty = SignedCalls::new(AGE);
        assert_eq!(empty.check(BlockIndex(0), 10_000, &signed(1, 9_500_000, Some(heads[0]), None)), Ok(()));
    }

    /// Counting by hand in a log of many calls and keys gives the same, whatever was forgotten in between.
    #[test]
    fn calls_are_counted_over_twice_the_age_and_forgotten_after() {
        let mut state = SignedCalls::new(AGE);
        let template = by(0);
        let mut ats = vec![];
        for call in 0..20_000_u64 {
            let at = 1_000_000 + call / 7 * 3;
            ats.push(at);
            let key = PublicKey([(call % 251) as u8; 32]);
            let by = Authorization { key, nonce: at * MICROS + call % 7, ..template.clone() };
            state.record(BlockIndex(call), at, &by);
            let by_hand = ats.iter().rev().take_while(|past| **past > at - 2 * AGE).count() as u64;
            assert_eq!(state.recent.counted_since(at - 2 * AGE), by_hand);
            assert!(state.recent.kept <= KEPT_MIN + 2 * state.recent.counted, "call {call}");
        }
        let kept: usize = state.recent.by_key.values().map(|calls| calls.calls.len()).sum();
        assert_eq!(kept as u64, state.recent.kept);
        assert_eq!(state.recent.counted_since(u64::MAX), 0);
    }

    #[test]
    fn a_log_has_signed_fields_only_where_a_key_signs() {
        let call = |user_id: Option<&str>, sig| {
            let nonce = Some(7);
            Call {
                user_id: user_id.map(Into::into),
                nonce,
                sig,
                ..Call::new(Default::default(), "f", vec![], 5)
            }
        };
        let good = Call::new(crate::entry::Caller::Key(Box::new(by(7))), "f", vec![], 5);
        let cases = [
            (Auth::Signed, good.clone(), "ok"),
            (Auth::Debug, good.clone(), "malformed-entry"),
            (Auth::Signed, call(None, None), "malformed-entry"),
            (Auth::Signed, call(Some("bob"), None), "bad-signature"),
            (Auth::Signed, Call { args: vec![crate::value::Value::Null], ..good }, "bad-signature"),
            (
                Auth::Signed,
                Call::new(crate::entry::Caller::Claimed("bob".into()), "f", vec![], 5),
                "bad-signature",
            ),
            (Auth::Signed, Call::new(crate::entry::Caller::Anonymous, "f", vec![], 5), "ok"),
            (Auth::Debug, Call::new(crate::entry::Caller::Claimed("bob".into()), "f", vec![], 5), "ok"),
        ];
        for (auth, call, expected) in cases {
            assert_eq!(class(check_signature(&LOG, auth, &call)), expected, "{auth:?} {call:?}");
        }
    }
}
