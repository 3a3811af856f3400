//! Honest hosts: no file convicts one, no matter who makes it.

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_protocol::audit::Violation as Broken;
use libvms_protocol::audit::callers::SignedCalls;
use libvms_protocol::entry::{Authorization, Seen};
use libvms_protocol::proof::path::Cover;
use libvms_protocol::proof::violation::Class;
use libvms_protocol::proof::{Equivocation, FalseRefusal, Proof, SignedCall, Verdict, Violation};
use libvms_protocol::refusal::{Reason, Refusal};
use proptest::prelude::*;

use super::world::{CALL_AGE, Log, START, args, sign};

/// What a caller does next, as numbers that decide.
#[derive(Clone, Debug)]
struct Step {
    /// The caller: one of few, so that they meet their own past.
    caller: u8,
    /// Milliseconds since the step before.
    pause: u64,
    /// Milliseconds between the log's time and the call's, in both directions.
    offset: i64,
    /// Which of the nonces so far the call has, if not one of its own time.
    again: Option<usize>,
    /// Which of the nonces so far the call replaces.
    instead: Vec<usize>,
    /// The length that the caller has seen, counted from the end, and whether of this log.
    seen: Option<(u64, bool)>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pause = prop_oneof![Just(0), 0..50_u64, 0..2 * CALL_AGE];
    let offset = prop_oneof![-20..20_i64, -(2 * CALL_AGE as i64)..(CALL_AGE as i64)];
    let again = prop::option::weighted(0.2, any::<usize>());
    let instead = prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(any::<usize>(), 1..3)];
    let seen = prop::option::of((0..6_u64, prop::bool::weighted(0.8)));
    let step = (0..3_u8, pause, offset, again, instead, seen).prop_map(
        |(caller, pause, offset, again, instead, seen)| Step { caller, pause, offset, again, instead, seen },
    );
    prop::collection::vec(step, 1..30)
}

/// A host that keeps the rules, and what it answered.
struct Host {
    log: Log,
    state: SignedCalls,
    at: u64,
    nonces: Vec<u64>,
    refused: Vec<(Authorization, Refusal)>,
}

impl Host {
    fn new() -> Self {
        let log = Log::signed();
        let mut state = SignedCalls::new(CALL_AGE);
        state.append(&log.blocks[0]);
        Self { log, state, at: START, nonces: vec![], refused: vec![] }
    }

    fn take(&mut self, step: &Step) {
        self.at += step.pause;
        let pick = |index: &usize| self.nonces.get(index % self.nonces.len().max(1)).copied();
        let own = 1000 * self.at.saturating_add_signed(step.offset) + self.nonces.len() as u64 % 1000;
        let nonce = step.again.as_ref().and_then(pick).unwrap_or(own);
        let mut instead: Vec<u64> = step.instead.iter().filter_map(pick).collect();
        instead.sort_unstable();
        instead.dedup();
        let instead = (!instead.is_empty()).then_some(instead);
        let seen = step.seen.map(|(back, is_ours)| {
            let seen = self.log.seen_at(self.log.length().saturating_sub(back));
            if is_ours { seen } else { Seen { length: seen.length + 1, ..seen } }
        });
        let by = sign(&self.log, step.caller, nonce, seen, instead.as_deref());
        self.nonces.push(nonce);
        match self.state.check(self.state.head().length.next_block(), self.at, &by) {
            Ok(()) => {
                let block = self.log.push_call(self.at, by.clone());
                self.state.append(&self.log.blocks[block as usize]);
                self.state.record(BlockIndex(block), self.at, &by);
            }
            Err(broken) => self.refuse(by, &broken),
        }
    }

    fn refuse(&mut self, by: Authorization, broken: &Broken) {
        let (reason, block) = match *broken {
            Broken::RepeatedNonce { block, .. } | Broken::RepeatedCall { block, .. } => {
                (Reason::RepeatedNonce, Some(block))
            }
            Broken::StaleCall { nonce, at, .. } if nonce / 1000 > at => (Reason::Early, None),
            Broken::StaleCall { .. } => (Reason::StaleCall, None),
            Broken::StaleInstead { .. } => (Reason::StaleInstead, None),
            Broken::UnknownHead { is_old: false, .. } => (Reason::UnknownHead, None),
            Broken::UnknownHead { .. } => (Reason::OldHead, None),
            _ => (Reason::Invalid, None),
        };
        let hash = by.call_hash(&self.log.public_key(), "f", &args());
        let refusal = Refusal::sign(&self.log.key, &hash, reason, 1000 * self.at, block);
        self.refused.push((by, refusal));
    }

    /// Returns every file that somebody could make of what the host did.
    fn proofs(&self) -> Vec<Proof> {
        let node = |index| self.log.node(index);
        let head = self.log.head();
        let mut proofs = vec![];
        for block in 0..self.log.length() {
            for earlier in 0..=block {
                let blocks = [0, earlier, block].map(|block| self.log.block(block));
                let made = Class::ALL.into_iter().filter_map(|class| {
                    Violation::make(&head, class, BlockIndex(block), blocks.clone(), node)
                        .map(Proof::Violation)
                });
                proofs.extend(made);
            }
        }
        for (by, refusal) in &self.refused {
            let plain = FalseRefusal::new(SignedCall::new(by, "f", args()), refusal.clone());
            let heads =
                (1..=self.log.length()).map(|length| plain.clone().with_head(&self.log.head_at(length)));
            let entries = (0..self.log.length()).filter_map(|block| {
                plain.clone().with_entries(&head, [0, block].map(|block| self.log.block(block)), node)
            });
            let all = heads.chain(entries).chain([plain.clone()]);
            proofs.extend(all.map(|proof| Proof::FalseRefusal(Box::new(proof))));
        }
        proofs
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_file_convicts_an_honest_host(steps in steps()) {
        let mut host = Host::new();
        steps.iter().for_each(|step| host.take(step));
        for proof in host.proofs() {
            prop_assert_ne!(proof.check(), Verdict::Holds, "{}", proof.claim());
        }
        let log = &host.log;
        for length in 1..=log.length() {
            for other in 1..=length {
                let cover = Cover::new(Length(length), [], Some(Length(other))).expect("inside");
                let nodes = cover.nodes(|index| log.node(index)).expect("all nodes are kept");
                prop_assert_eq!(Equivocation::between(&log.head_at(length), &log.head_at(other), nodes), None);
            }
        }
    }
}
