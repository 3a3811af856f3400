//! `fixtures/callers/rules.json`: logs in which the last call keeps each rule of signed calls, just, or breaks it.

use data_encoding::HEXLOWER;
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::SecretKey;
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::audit::callers::{SignedCalls, check_signature};
use libvms_protocol::entry::{
    Auth, Authorization, Call, CallEntry, Caller, Entry, Fault, Intention, Outcome, Seen,
};
use libvms_protocol::limits::SEEN_LENGTHS_MAX;
use serde_json::{Value as Json, json};

use super::golden::Vectors;
use crate::proofs::world::{CALL_AGE, Log, START, args, call_entry, nonce_at, sign};

/// A log, of which all calls but the last are good.
#[derive(Clone)]
struct Case {
    name: &'static str,
    why: &'static str,
    log: Log,
    /// Blocks from 1 on that are all the same.
    fill: u64,
}

/// What becomes of the log's last block.
fn judge(log: &Log) -> &'static str {
    let mut signed = SignedCalls::new(CALL_AGE);
    let mut verdict = "ok";
    for (number, block) in (0..).zip(&log.blocks) {
        assert_eq!(verdict, "ok", "block {number} is not the last");
        if let Ok(Entry::Call(entry)) = Entry::decode(block) {
            let by = entry.call.authorization();
            let checked = check_signature(&log.public_key(), Auth::Signed, &entry.call).and_then(|()| {
                by.as_ref().map_or(Ok(()), |by| signed.check(BlockIndex(number), entry.call.at, by))
            });
            verdict = checked.as_ref().err().map_or("ok", |violation| violation.class());
            if let Some(by) = by {
                signed.record(BlockIndex(number), entry.call.at, &by);
            }
        }
        signed.append(block);
    }
    verdict
}

/// Makes a log of calls at times after the start.
struct Maker(Log);

impl Maker {
    fn new() -> Self {
        Self(Log::signed())
    }

    /// Appends a call of caller 1.
    fn call(self, at: u64, nonce: u64, instead: Option<&[u64]>) -> Self {
        self.call_of(1, at, nonce, instead)
    }

    fn call_of(mut self, caller: u8, at: u64, nonce: u64, instead: Option<&[u64]>) -> Self {
        let by = sign(&self.0, caller, nonce, None, instead);
        self.0.push_call(START + at, by);
        self
    }

    fn seen(mut self, seen: Seen) -> Self {
        let by = sign(&self.0, 1, nonce_at(5), Some(seen), None);
        self.0.push_call(START + 5, by);
        self
    }

    /// Appends a call that was killed.
    fn killed(mut self, at: u64, nonce: u64) -> Self {
        let by = Caller::Key(Box::new(sign(&self.0, 1, nonce, None, None)));
        let call = Call::new(by, "f", args(), START + at);
        self.0.push_entry(&Entry::Call(CallEntry::new(call, Outcome::Fault(Fault::Killed))));
        self
    }

    /// Appends a call of caller 1 that was changed after it was signed.
    fn changed(mut self, change: impl FnOnce(&mut Call)) -> Self {
        let by = sign(&self.0, 1, nonce_at(5), Some(self.0.seen_at(1)), Some(&[nonce_at(4)]));
        let mut call = Call::new(Caller::Key(Box::new(by)), "f", args(), START + 5);
        change(&mut call);
        self.0.push_entry(&call_entry(call));
        self
    }

    fn case(self, name: &'static str, why: &'static str) -> Case {
        Case { name, why, log: self.0, fill: 0 }
    }
}

fn signatures() -> Vec<Case> {
    let changed =
        |name, change: fn(&mut Call)| Maker::new().changed(change).case(name, "not what was signed");
    let of_another_log = |mut maker: Maker| {
        let (log, args) = (SecretKey::from_seed(&[9; 32]).public_key(), args());
        let intention = Intention { method: "f", args: &args, nonce: nonce_at(5), seen: None, instead: None };
        let by: Authorization = intention.sign(&SecretKey::from_seed(&[1; 32]), &log);
        maker.0.push_call(START + 5, by);
        maker
    };
    vec![
        Maker::new().changed(|_| ()).case("good", "with all members"),
        changed("another-method", |call| call.method_name = "g".into()),
        changed("another-argument", |call| drop(call.args.pop())),
        changed("another-nonce", |call| call.nonce = Some(nonce_at(5) + 1)),
        changed("seen-left-out", |call| call.seen = None),
        changed("instead-left-out", |call| call.instead = None),
        changed("another-user", |call| {
            call.user_id = Some(SecretKey::from_seed(&[2; 32]).public_key().to_string());
        }),
        changed("user-in-capitals", |call| call.user_id = call.user_id.take().map(|id| id.to_uppercase())),
        changed("user-by-name", |call| call.user_id = Some("bob".into())),
        changed("no-signature", |call| call.sig = None),
        changed("no-nonce", |call| call.nonce = None),
        of_another_log(Maker::new()).case("of-another-log", "the log's key is signed"),
        Maker::new()
            .changed(|call| {
                let plain = Call::new(Caller::Claimed("bob".into()), "f", args(), START + 5);
                *call = plain;
            })
            .case("a-name", "nobody claims a name where callers sign"),
        Maker::new()
            .changed(|call| *call = Call::new(Caller::Anonymous, "f", args(), START + 5))
            .case("nobody", "who has no key signs nothing"),
        changed("fields-of-nobody", |call| call.user_id = None),
    ]
}

fn nonces() -> Vec<Case> {
    let first = || Maker::new().call(10, nonce_at(9), None);
    vec![
        first().call(10, nonce_at(9), None).case("call-twice", "one call, two entries"),
        first().call(11, nonce_at(9) - 1, None).case("smaller-nonce", ""),
        first().call(11, nonce_at(9) + 1, None).case("greater-nonce", ""),
        first().call_of(2, 11, nonce_at(9), None).case("nonce-of-another-key", "each key has its own"),
        first()
            .call(11, nonce_at(9) + 1, None)
            .call(12, nonce_at(9), None)
            .case("not-the-latest-nonce", "greater than every earlier one"),
        Maker::new()
            .killed(10, nonce_at(9))
            .call(11, nonce_at(9), None)
            .case("nonce-of-a-killed-call", "killed calls count as all others"),
        Maker::new()
            .call(CALL_AGE, nonce_at(CALL_AGE), None)
            .call(2 * CALL_AGE, nonce_at(CALL_AGE), None)
            .case("call-twice-much-later", "whatever time has passed"),
    ]
}

fn replaced() -> Vec<Case> {
    let alone = |name, instead: &[u64]| Maker::new().call(10, nonce_at(9), Some(instead)).case(name, "");
    let at = nonce_at(9);
    let eight: Vec<u64> = (1..=8).map(nonce_at).collect();
    let nine: Vec<u64> = (0..=8).map(nonce_at).collect();
    let earlier = || Maker::new().call(10, at, Some(&[nonce_at(3), nonce_at(5)]));
    vec![
        alone("instead", &[nonce_at(3)]),
        alone("instead-of-eight", &eight),
        alone("instead-of-nine", &nine),
        alone("instead-of-nothing", &[]),
        alone("instead-descending", &[nonce_at(5), nonce_at(3)]),
        alone("instead-twice-the-same", &[nonce_at(3), nonce_at(3)]),
        alone("instead-of-itself", &[at]),
        alone("instead-of-a-later-one", &[at + 1]),
        alone("instead-of-the-one-before", &[at - 1]),
        earlier().call(11, at + 1, Some(&[at])).case("instead-of-a-logged-call", ""),
        earlier()
            .call(11, at + 1, Some(&[nonce_at(5)]))
            .case("instead-of-a-replaced-call", "it stands in an earlier `instead`"),
        earlier().call(11, at + 1, Some(&[nonce_at(4)])).case("instead-of-an-unknown-call", ""),
        earlier()
            .call(11, at + 1, Some(&[nonce_at(4), at]))
            .case("instead-of-an-unknown-and-a-logged-call", ""),
        earlier()
            .call_of(2, 11, at + 1, Some(&[at]))
            .case("instead-of-another-keys-call", "each key has its own"),
        Maker::new()
            .killed(10, at)
            .call(11, at + 1, Some(&[at]))
            .case("instead-of-a-killed-call", "killed calls count as all others"),
        earlier()
            .call(2 * CALL_AGE + 3, nonce_at(2 * CALL_AGE), Some(&[nonce_at(3)]))
            .case("instead-of-an-old-replaced-call", "twice the age is looked back"),
    ]
}

fn times() -> Vec<Case> {
    let late = 3 * CALL_AGE;
    let alone = |name, why, at, nonce| Maker::new().call(at, nonce, None).case(name, why);
    let instead =
        |name, why, number| Maker::new().call(late, nonce_at(late), Some(&[number])).case(name, why);
    let oldest = nonce_at(late - 2 * CALL_AGE);
    vec![
        alone("signed-in-the-same-millisecond", "microseconds are not compared", 10, nonce_at(10) + 999),
        alone("signed-a-millisecond-later", "not before its time", 10, nonce_at(11)),
        alone("as-old-as-it-may-be", "", CALL_AGE + 10, nonce_at(10)),
        alone("older-than-it-may-be", "", CALL_AGE + 10, nonce_at(10) - 1),
        alone("of-1970", "", 10, 0),
        alone("of-the-largest-nonce", "", 10, (1 << 53) - 1),
        instead("instead-as-old-as-it-may-be", "", oldest),
        instead("instead-older-than-it-may-be", "", oldest - 1),
        instead("instead-of-1970", "", 0),
    ]
}

fn heads() -> Vec<Case> {
    let log = || {
        let mut maker = Maker::new();
        maker.0.fill(4);
        maker
    };
    let seen = |length: u64| log().0.seen_at(length);
    let case = |name, why, seen| log().seen(seen).case(name, why);
    let empty = Seen { length: Length(0), hash: Log::empty().seen_at(0).hash };
    let mut cases = vec![
        case("seen", "", seen(3)),
        case("seen-all-before", "the block's own length", seen(5)),
        case("seen-nothing", "the empty log's tree hash", empty),
        case("seen-nothing-else", "", Seen { hash: seen(1).hash, ..empty }),
        case("seen-another-log", "", Seen { length: Length(3), hash: TreeHash([7; 32]) }),
        case("seen-another-length", "", Seen { length: Length(4), ..seen(3) }),
        case("seen-its-own-block", "", Seen { length: Length(6), hash: TreeHash([7; 32]) }),
        case("seen-far-ahead", "", Seen { length: Length((1 << 53) - 1), hash: TreeHash([7; 32]) }),
    ];
    let mut long = Maker::new();
    long.0.fill(1);
    let (_, filler) = long.0.block(1);
    for _ in 1..SEEN_LENGTHS_MAX + 4 {
        long.0.push(filler.clone());
    }
    let block = long.0.length();
    for (name, why, length) in [
        (
            "seen-the-oldest",
            "the latest 65,536 lengths, the block's own among them",
            block + 1 - SEEN_LENGTHS_MAX,
        ),
        ("seen-too-long-ago", "the length before it", block - SEEN_LENGTHS_MAX),
    ] {
        let mut case = Maker(long.0.clone()).seen(long.0.seen_at(length)).case(name, why);
        case.fill = SEEN_LENGTHS_MAX + 4;
        cases.push(case);
    }
    cases
}

fn json(case: &Case) -> Json {
    let Case { name, why, log, fill } = case;
    let entries: Vec<String> =
        log.blocks.iter().skip(1 + *fill as usize).map(|block| HEXLOWER.encode(block)).collect();
    json!({ "name": name, "why": why, "fill": fill, "entries": entries, "expect": judge(log) })
}

#[test]
fn logs_are_judged_as_the_fixture_has_them() {
    let cases = [signatures(), nonces(), replaced(), times(), heads()].concat();
    let mut log = Log::signed();
    let init = HEXLOWER.encode(&log.block(0).1);
    log.fill(1);
    let about = "Logs whose callers sign. Block 0 is `init`; then come `fill` times the block `filler`, and `entries`. All but the last \
        are good, `expect` says of the last which rule it breaks.";
    Vectors::new("rules.json", about)
        .with("log", log.public_key().to_string())
        .with("init", init)
        .with("filler", HEXLOWER.encode(&log.block(1).1))
        .with_list("cases", cases.iter().map(json))
        .compare();
}
