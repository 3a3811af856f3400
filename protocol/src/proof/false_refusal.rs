//! False refusal: a host refused a good call, by the words of its own refusal.

use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::Node;
use serde::{Deserialize, Serialize};

use super::basis::{call_age, check_entries, check_head, entry_at, read_init};
use super::path::Cover;
use super::record::{self, Head, NumberedEntry, Tag, Version, constant, within};
use super::{Judged, ProofError, cannot_tell, describe, fails};
use crate::entry::{Authorization, Call, Entry, Init, Seen};
use crate::limits;
use crate::refusal::{Reason, Refusal};
use crate::value::Value;
use libvms_hypercore::identity::Signature;

constant!(
    /// The `kind`.
    KindName: String = "false-refusal"
);

/// Entries that a proof may hold: block 0 and the one that the refusal names.
const ENTRIES_MAX: usize = 2;

/// Bytes of the word for a reason.
const REASON_BYTES_MAX: usize = 64;

/// Microseconds in a millisecond: nonces and refusals have the former unit, times in entries the latter.
const MICROS: u64 = 1000;

/// The proof that the key refused a call for a reason that its own words disprove.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FalseRefusal {
    #[serde(rename = "type")]
    tag: Tag,
    v: Version,
    kind: KindName,
    /// The call.
    pub call: SignedCall,
    /// The refusal.
    pub refusal: Refusal,
    /// A head of the log: of `unknown-head` the one that the caller has seen, else one under which the entries stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Head>,
    /// Of `stale-call` block 0, of `repeated-nonce` also the block that the refusal names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<Vec<NumberedEntry>>,
    /// The given nodes of the cover of these entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Vec<Node>>,
}

/// A signed call as its caller sends it: an entry's `call` without the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedCall {
    /// The caller's key, in 64 lower-case hexadecimal digits.
    pub user_id: String,
    /// The exported function.
    pub method_name: String,
    /// The arguments of the function.
    #[serde(deserialize_with = "crate::entry::call::arguments")]
    pub args: Vec<Value>,
    /// Microseconds since 1970.
    pub nonce: u64,
    /// A head of the log that the caller has verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// Nonces of the calls that this one replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<Vec<u64>>,
    /// The caller's signature.
    pub sig: Signature,
}

impl SignedCall {
    /// Creates the call of `method` with `args` that `by` has signed.
    pub fn new(by: &Authorization, method: impl Into<String>, args: Vec<Value>) -> Self {
        let Authorization { key, nonce, seen, instead, sig } = by.clone();
        Self { user_id: key.to_string(), method_name: method.into(), args, nonce, seen, instead, sig }
    }

    /// Returns the key, numbers and signature; `None` if the caller's id is not a key as keys are spelled.
    pub fn authorization(&self) -> Option<Authorization> {
        let Self { user_id, nonce, seen, instead, sig, .. } = self;
        let call = Call {
            user_id: Some(user_id.clone()),
            method_name: String::new(),
            args: vec![],
            at: 0,
            nonce: Some(*nonce),
            seen: *seen,
            instead: instead.clone(),
            sig: Some(*sig),
        };
        call.authorization()
    }
}

impl FalseRefusal {
    /// The name of this kind.
    pub const KIND: &'static str = "false-refusal";

    /// Makes a proof that rests on nothing but the call and its refusal.
    pub fn new(call: SignedCall, refusal: Refusal) -> Self {
        Self {
            tag: Tag,
            v: Version,
            kind: KindName,
            call,
            refusal,
            checkpoint: None,
            entries: None,
            path: None,
        }
    }

    /// Adds the head that the caller has seen.
    #[must_use]
    pub fn with_head(self, head: &SignedHead) -> Self {
        Self { checkpoint: Some(head.into()), ..self }
    }

    /// Adds entries under a head: block 0 and, for `repeated-nonce`, the one that the refusal names. The nodes come from a
    /// store that holds those of the head's log; `None` if one is not there.
    #[must_use]
    pub fn with_entries(
        self,
        head: &SignedHead,
        entries: impl IntoIterator<Item = (BlockIndex, Vec<u8>)>,
        node: impl FnMut(u64) -> Option<Node>,
    ) -> Option<Self> {
        let entries = NumberedEntry::in_order(entries);
        let blocks = entries.iter().map(|entry| entry.block);
        let path = Some(Cover::new(head.length(), blocks, None)?.nodes(node)?);
        let proof = Self { checkpoint: Some(head.into()), entries: Some(entries), path, ..self };
        proof.check_bounds().is_ok().then_some(proof)
    }

    pub(super) fn check_bounds(&self) -> Result<(), ProofError> {
        within("bytes in the reason", self.refusal.reason.len(), REASON_BYTES_MAX)?;
        within("bytes in the method's name", self.call.method_name.len(), limits::METHOD_NAME_BYTES_MAX)?;
        record::check_entries(self.entries.as_deref().unwrap_or_default(), ENTRIES_MAX)?;
        record::check_path(self.path.as_deref().unwrap_or_default())
    }

    pub(super) fn judge(&self) -> Judged {
        let by = self.judge_signatures()?;
        let now = self.refusal.now;
        match self.refusal.known_reason() {
            Some(Reason::Early) if by.nonce <= now => Ok(()),
            Some(Reason::Early) => Err(fails("time", "the call's had not come")),
            Some(Reason::StaleCall) => {
                let call_age = call_age(&self.judge_entries(None)?)?;
                let age = (now / MICROS).saturating_sub(by.nonce / MICROS);
                match age <= call_age {
                    true => Ok(()),
                    false => Err(fails("time", format_args!("the call was {age} ms old"))),
                }
            }
            Some(Reason::UnknownHead) => self.judge_seen(by.seen.as_ref()),
            Some(Reason::RepeatedNonce) => self.judge_numbers(&by),
            Some(Reason::BadSignature) => {
                // Its signature covers no key: another one's signature may be good where the refused one's was not.
                Err(cannot_tell("a refusal for a bad signature does not say of which key"))
            }
            Some(reason) => Err(cannot_tell(format_args!("no file can show whether `{reason}` was true"))),
            None => {
                let reason = describe::quoted(&self.refusal.reason);
                Err(cannot_tell(format_args!("this program does not know the reason {reason}")))
            }
        }
    }

    fn judge_signatures(&self) -> Judged<Authorization> {
        let SignedCall { method_name, args, .. } = &self.call;
        let by = self.call.authorization().ok_or_else(|| fails("call", "its caller's id is not a key"))?;
        let log = &self.refusal.log;
        if !by.verifies(log, method_name, args) {
            return Err(fails("call", "it is not signed by the caller that it names"));
        }
        if !self.refusal.is_signed(&by.call_hash(log, method_name, args)) {
            return Err(fails("refusal", "it is not a refusal of this call that the log's key signed"));
        }
        Ok(by)
    }

    /// Returns the head of the file, if it is the log's.
    fn head(&self) -> Judged<&Head> {
        let head =
            self.checkpoint.as_ref().ok_or_else(|| cannot_tell("a signed head of the log is missing"))?;
        check_head(head)?;
        if head.log == self.refusal.log { Ok(head) } else { Err(fails("head", "it is another log's")) }
    }

    /// Checks block 0, and `other` if it is needed, and returns block 0.
    fn judge_entries(&self, other: Option<BlockIndex>) -> Judged<Init> {
        let head = self.head()?;
        let (Some(entries), Some(path)) = (&self.entries, &self.path) else {
            return Err(cannot_tell("the entries or their path are missing"));
        };
        if other.is_some_and(|block| !head.length.has(block)) {
            return Err(cannot_tell("the head's log ends before the block that the refusal names"));
        }
        for block in other.into_iter().chain([BlockIndex::FIRST]) {
            entry_at(entries, block)?;
        }
        if entries.iter().any(|entry| entry.block != BlockIndex::FIRST && Some(entry.block) != other) {
            return Err(fails("entries", "there are others than the reason needs"));
        }
        check_entries(head, entries, None, path)?;
        read_init(entry_at(entries, BlockIndex::FIRST)?)
    }

    fn judge_seen(&self, seen: Option<&Seen>) -> Judged {
        let Some(seen) = seen else { return Ok(()) };
        let head = self.head()?;
        if (head.length, head.hash) == (seen.length, seen.hash) {
            Ok(())
        } else {
            Err(fails("head", "it is not the one that the caller has seen"))
        }
    }

    fn judge_numbers(&self, by: &Authorization) -> Judged {
        let block = self.refusal.block.ok_or_else(|| cannot_tell("the refusal names no block"))?;
        let init = self.judge_entries(Some(block))?;
        call_age(&init)?;
        let entries = self.entries.as_deref().unwrap_or_default();
        let entry = Entry::decode_in(entry_at(entries, block)?, init.v)
            .map_err(|error| cannot_tell(describe::escaped(&error.to_string())))?;
        let Entry::Call(entry) = entry else { return Ok(()) };
        let Some(earlier) = entry.call.authorization().filter(|earlier| earlier.key == by.key) else {
            return Ok(());
        };
        let has_common = by.numbers().any(|number| earlier.numbers().any(|other| other == number));
        if earlier.nonce >= by.nonce || has_common {
            return Err(fails("numbers", format_args!("the call at block {block} stands in its way")));
        }
        Ok(())
    }

    pub(super) fn claim(&self) -> String {
        let SignedCall { user_id, method_name, nonce, .. } = &self.call;
        let Refusal { log, reason, now, .. } = &self.refusal;
        let (caller, method) = (describe::quoted(user_id), describe::quoted(method_name));
        format!(
            "Key {log} refused a good call of {method} by {caller}, signed at {nonce}, as {} at {now} (both in \
             microseconds since 1970).",
            describe::quoted(reason)
        )
    }

    pub(super) fn contents(&self) -> String {
        let head = if self.checkpoint.is_some() { "a signed head" } else { "no head" };
        let entries = describe::count(self.entries.as_deref().unwrap_or_default().len(), "entry", "entries");
        let nodes = describe::count(self.path.as_deref().unwrap_or_default().len(), "node", "nodes");
        format!("The signed call, the signed refusal, {head}, {entries}, {nodes} of the tree.")
    }
}
