//! Callers with keys, in the simulation: each names the newest head that it has seen, and sends a call again whose answer
//! was lost.

use std::time::{SystemTime, UNIX_EPOCH};

use libvms::host::CallRequest;
use libvms::storage::CoreView;
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_protocol::entry::{Authorization, Caller, Intention, Seen};
use libvms_protocol::value::Value;

pub(super) struct Signers {
    log: PublicKey,
    seen: Option<Seen>,
    latest_nonce: u64,
    /// The latest call, whether it was answered or not.
    latest: Option<CallRequest>,
    /// The call whose answer was lost.
    pub(super) unanswered: Option<CallRequest>,
}

/// The key of a signer.
pub(super) fn key(signer: usize) -> SecretKey {
    SecretKey::from_seed(&[u8::try_from(signer + 1).expect("few signers"); 32])
}

impl Signers {
    pub(super) const COUNT: usize = 3;

    pub(super) fn new(log: PublicKey) -> Self {
        Self { log, seen: None, latest_nonce: 0, latest: None, unanswered: None }
    }

    /// The newest head that the signers have seen.
    pub(super) fn seen(&self) -> Option<Seen> {
        self.seen
    }

    pub(super) fn sign(&mut self, signer: usize, method: &str, args: &[Value]) -> Caller {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let now = u64::try_from(since.as_micros()).expect("a time of today");
        self.latest_nonce = now.max(self.latest_nonce + 1);
        let (nonce, seen) = (self.latest_nonce, self.seen.as_ref());
        let call = Intention { method, args, nonce, seen, instead: None };
        Caller::Key(Box::new(call.sign(&key(signer), &self.log)))
    }

    /// Takes the answer to a call, and sees the log of that moment.
    pub(super) fn take_answer(&mut self, request: CallRequest, log: &CoreView) {
        let head = log.signed_head().expect("a log with entries");
        self.seen = Some(Seen { length: head.length(), hash: head.tree_hash() });
        self.latest = Some(request);
    }

    /// Loses the answer to the latest call: nothing is known of it, nor of what the log is since.
    pub(super) fn lose_answer(&mut self, seen: Option<Seen>) {
        (self.seen, self.unanswered) = (seen, self.latest.take());
    }
}

/// Signs a call of the first signer again, with changes, for a log.
pub(super) fn sign_again(
    log: &PublicKey,
    (method, args): (&str, &[Value]),
    nonce: u64,
    seen: Option<&Seen>,
    instead: Option<&[u64]>,
) -> Authorization {
    Intention { method, args, nonce, seen, instead }.sign(&key(0), log)
}
