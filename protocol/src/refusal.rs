//! Refusals of calls. They are not logged: the caller who asked for a receipt gets one signed with the log's key, and
//! can show it to others (see [`crate::proof`]).
//!
//! A refusal is judged by its own words, so a host must mean them: it signs none before the call's signature holds,
//! and judges a call's age by the time that it tells as [`Refusal::now`].

use std::fmt;
use std::str::FromStr;

use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::identity::{PublicKey, SecretKey, Signature};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What stands before everything that a refusal's signature covers.
const PREFIX: &[u8] = b"libvms/refusal/1";

/// A signed statement of a host that it does not execute a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The log for which the call was meant.
    pub log: PublicKey,
    /// The reason in one word (see [`Refusal::known_reason`]).
    pub reason: String,
    /// The log's time by which the call was judged, in microseconds since 1970.
    pub now: u64,
    /// The block of the call that stands in its way, where the reason is [`Reason::RepeatedNonce`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<BlockIndex>,
    /// The signature of the log's key (see [`Refusal::sign`]).
    pub sig: Signature,
}

/// Why a host does not execute a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The call's signature does not hold. Never signed by a host: the caller is not known.
    BadSignature,
    /// A call of this caller with this number or a greater one stands in the log.
    RepeatedNonce,
    /// The call is older than the log allows.
    StaleCall,
    /// A number in `instead` is older than the log can still compare.
    StaleInstead,
    /// The call's time has not come yet.
    Early,
    /// The caller has seen a head that is not this log's.
    UnknownHead,
    /// The caller has seen a head that the host remembers no more.
    OldHead,
    /// Too many calls wait.
    Busy,
    /// Too many calls came from this caller or address.
    Rate,
    /// The script has no such method.
    NoMethod,
    /// The request is none that the host takes.
    Invalid,
    /// The method is refused for a while, after a call had to be killed.
    Suspended,
    /// The service is closing.
    Closing,
}

/// The word is no reason that this version knows.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{word}` is no reason for a refusal")]
pub struct UnknownReason {
    /// The beginning of the word, escaped.
    pub word: String,
}

impl Refusal {
    /// Signs the refusal of a call, which `call` names (see [`Authorization::call_hash`](crate::entry::Authorization::call_hash)).
    ///
    /// The signature is over `"libvms/refusal/1" || dag-cbor({log, call, reason, now, block?})`.
    pub fn sign(
        key: &SecretKey,
        call: &[u8; 32],
        reason: Reason,
        now: u64,
        block: Option<BlockIndex>,
    ) -> Self {
        let unsigned =
            Self { log: key.public_key(), reason: reason.name().into(), now, block, sig: Signature([0; 64]) };
        let sig = key.sign(&unsigned.signable(call));
        Self { sig, ..unsigned }
    }

    /// Returns whether the log's key signed this refusal of the call that `call` names.
    pub fn is_signed(&self, call: &[u8; 32]) -> bool {
        self.log.verifies(&self.signable(call), &self.sig)
    }

    /// Returns the reason. `None` if it is one of a later version.
    pub fn known_reason(&self) -> Option<Reason> {
        self.reason.parse().ok()
    }

    fn signable(&self, call: &[u8; 32]) -> Vec<u8> {
        #[derive(Serialize)]
        struct Signed<'a> {
            log: &'a PublicKey,
            call: CallHash<'a>,
            reason: &'a str,
            now: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            block: Option<BlockIndex>,
        }
        let Self { log, reason, now, block, .. } = self;
        let signed = Signed { log, call: CallHash(call), reason, now: *now, block: *block };
        let signed =
            serde_ipld_dagcbor::to_vec(&signed).expect("a refusal holds nothing that DAG-CBOR lacks");
        [PREFIX, &signed].concat()
    }
}

/// A hash as a byte string.
struct CallHash<'a>(&'a [u8; 32]);

impl Serialize for CallHash<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 13] = [
        Self::BadSignature,
        Self::RepeatedNonce,
        Self::StaleCall,
        Self::StaleInstead,
        Self::Early,
        Self::UnknownHead,
        Self::OldHead,
        Self::Busy,
        Self::Rate,
        Self::NoMethod,
        Self::Invalid,
        Self::Suspended,
        Self::Closing,
    ];

    /// Returns the word that stands in the refusal.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadSignature => "bad-signature",
            Self::RepeatedNonce => "repeated-nonce",
            Self::StaleCall => "stale-call",
            Self::StaleInstead => "stale-instead",
            Self::Early => "early",
            Self::UnknownHead => "unknown-head",
            Self::OldHead => "old-head",
            Self::Busy => "busy",
            Self::Rate => "rate",
            Self::NoMethod => "no-method",
            Self::Invalid => "invalid",
            Self::Suspended => "suspended",
            Self::Closing => "closing",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(word: &str) -> Result<Self, UnknownReason> {
        let known = Self::ALL.into_iter().find(|reason| reason.name() == word);
        known.ok_or_else(|| UnknownReason {
            word: word.chars().take(100).collect::<String>().escape_debug().to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_holds_for_its_call_and_fields_only() {
        let key = SecretKey::from_seed(&[1; 32]);
        let refusal = Refusal::sign(&key, &[7; 32], Reason::RepeatedNonce, 5_000_000, Some(BlockIndex(3)));
        assert!(refusal.is_signed(&[7; 32]));
        assert!(!refusal.is_signed(&[8; 32]));
        let changed = [
            Refusal { log: SecretKey::from_seed(&[2; 32]).public_key(), ..refusal.clone() },
            Refusal { reason: "busy".into(), ..refusal.clone() },
            Refusal { now: 5_000_001, ..refusal.clone() },
            Refusal { block: Some(BlockIndex(4)), ..refusal.clone() },
            Refusal { block: None, ..refusal.clone() },
        ];
        assert!(changed.iter().all(|changed| !changed.is_signed(&[7; 32])));
    }

    #[test]
    fn every_reason_is_read_as_it_is_written() {
        for reason in Reason::ALL {
            assert_eq!(reason.to_string().parse(), Ok(reason));
        }
        let unknown = "\u{1b}later".parse::<Reason>().expect_err("unknown");
        assert_eq!(unknown.to_string(), "`\\u{1b}later` is no reason for a refusal");
    }
}
