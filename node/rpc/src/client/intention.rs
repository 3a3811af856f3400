//! One intention of a caller, and all the calls that were signed for it: [`Intention`]. The log executes at most one of them.

use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::signed_head::SignedHead;
use libvms_protocol::entry::{self, Authorization, Call, Seen};
use libvms_protocol::limits::INSTEAD_MAX;
use libvms_protocol::value::Value;

/// What somebody wants to be executed once.
#[derive(Debug)]
pub(super) struct Intention {
    pub(super) method: String,
    pub(super) args: Vec<Value>,
    /// All calls that were signed for it, the latest last.
    signed: Vec<Authorization>,
    /// Their numbers that no other call has taken, ascending.
    open: Vec<u64>,
}

/// Whose the call of an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// It is one of the calls of the intention: its outcome is the answer.
    Ours,
    /// It is another call of the same key, which has taken some of our numbers: none of ours that have them can be
    /// executed any more.
    OtherOfKey,
    /// It has nothing to do with the intention.
    Foreign,
}

impl Intention {
    pub(super) fn new(method: String, args: Vec<Value>) -> Self {
        Self { method, args, signed: vec![], open: vec![] }
    }

    /// Returns whether another call may be signed for it: a call replaces so many others at most.
    pub(super) fn may_sign(&self) -> bool {
        self.open.len() <= INSTEAD_MAX
    }

    /// Signs a call that replaces all before it.
    pub(super) fn sign(
        &mut self,
        key: &SecretKey,
        log: &PublicKey,
        nonce: u64,
        seen: &SignedHead,
    ) -> Authorization {
        let seen = Seen { length: seen.length(), hash: seen.tree_hash() };
        let instead = Some(self.open.as_slice()).filter(|open| !open.is_empty());
        let Self { method, args, .. } = self;
        let call = entry::Intention { method, args, nonce, seen: Some(&seen), instead };
        let by = call.sign(key, log);
        self.signed.push(by.clone());
        self.open.push(nonce);
        by
    }

    /// Tells whose the call of an entry of `log` is. Numbers that another call of the key holds need not be replaced any more.
    pub(super) fn compare(&mut self, log: &PublicKey, call: &Call) -> Whose {
        let Some(by) = call.authorization() else { return Whose::Foreign };
        let is_same = call.method_name == self.method && call.args == self.args;
        if is_same && self.signed.contains(&by) {
            return Whose::Ours;
        }
        let before = self.open.len();
        // A call that nobody has signed takes no numbers, even where it stands in a log.
        if self.signed.iter().any(|ours| ours.key == by.key) && call.is_signed(log) {
            self.open.retain(|number| !by.numbers().any(|held| held == *number));
        }
        if self.open.len() < before { Whose::OtherOfKey } else { Whose::Foreign }
    }
}

#[cfg(test)]
mod tests {
    use libvms_hypercore::tree::TreeHash;
    use libvms_protocol::entry::Caller;

    use super::*;
    use libvms_hypercore::blocks::Length;

    const LOG: PublicKey = PublicKey([2; 32]);

    fn intention(nonces: &[u64]) -> (Intention, Vec<Authorization>) {
        let key = SecretKey::from_seed(&[1; 32]);
        let head = SignedHead::sign(&key, Length(3), TreeHash([7; 32]));
        let mut intention = Intention::new("add".into(), vec![Value::Integer(1)]);
        let signed = nonces.iter().map(|nonce| intention.sign(&key, &LOG, *nonce, &head)).collect();
        (intention, signed)
    }

    fn call(by: &Authorization, args: Vec<Value>) -> Call {
        Call::new(Caller::Key(Box::new(by.clone())), "add", args, 5)
    }

    #[test]
    fn each_call_replaces_all_before_it() {
        let (mut intention, signed) = intention(&[10, 20, 30]);
        let instead: Vec<_> = signed.iter().map(|by| by.instead.clone()).collect();
        assert_eq!(instead, [None, Some(vec![10]), Some(vec![10, 20])]);
        for by in &signed {
            assert!(by.verifies(&LOG, "add", &[Value::Integer(1)]));
            assert_eq!(intention.compare(&LOG, &call(by, vec![Value::Integer(1)])), Whose::Ours);
        }
        let (many, _) = self::intention(&[1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(many.may_sign());
        assert!(!self::intention(&[1, 2, 3, 4, 5, 6, 7, 8, 9]).0.may_sign());
    }

    #[test]
    fn numbers_that_another_call_of_the_key_holds_are_not_replaced() {
        let (mut intention, signed) = intention(&[10, 20]);
        let (_, others) = self::intention(&[20]);
        assert_eq!(intention.compare(&LOG, &call(&others[0], vec![])), Whose::Foreign, "nobody signed this");
        let other = call(&others[0], vec![Value::Integer(1)]);
        assert_eq!(intention.compare(&LOG, &other), Whose::OtherOfKey);
        assert_eq!(intention.open, [10]);
        assert_eq!(intention.compare(&LOG, &other), Whose::Foreign, "nothing new");
        let foreign = Authorization { key: PublicKey([5; 32]), ..signed[0].clone() };
        assert_eq!(intention.compare(&LOG, &call(&foreign, vec![Value::Integer(1)])), Whose::Foreign);
        assert_eq!(intention.open, [10]);
        let nobody = Call::new(Caller::Anonymous, "add", vec![Value::Integer(1)], 5);
        assert_eq!(intention.compare(&LOG, &nobody), Whose::Foreign);
    }
}
