//! The caller of a call: nobody, a name that anybody may claim, or a key that signs.
//!
//! A signed call is a statement that its caller makes to one log: this method, these arguments, once. The log's rules
//! for such calls are in [`crate::audit::callers`]; this module has their form and their signature.

use libvms_hypercore::blocks::Length;
use libvms_hypercore::hash::blake2b;
use libvms_hypercore::identity::{PublicKey, SecretKey, Signature};
use libvms_hypercore::tree::TreeHash;
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::value::Value;

/// The caller of a call.
///
/// A service with `auth: "debug"` has [`Caller::Anonymous`] and [`Caller::Claimed`] ones, a service with
/// `auth: "signed"` [`Caller::Anonymous`] and [`Caller::Key`] ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Caller {
    /// Nobody in particular: the script sees `null`.
    #[default]
    Anonymous,
    /// A name that nobody has checked.
    Claimed(String),
    /// A key, and its signature of this call.
    Key(Box<Authorization>),
}

/// What a key adds to a call to make it its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The caller.
    pub key: PublicKey,
    /// Microseconds since 1970; greater than in every earlier call of this key in the log.
    pub nonce: u64,
    /// A head of the log that the caller has verified: a host that has shown it another history cannot log the call.
    pub seen: Option<Seen>,
    /// Nonces of calls that this one replaces, ascending and not empty: the caller does not know whether the host took them.
    pub instead: Option<Vec<u64>>,
    /// The signature of all that and of the call.
    pub sig: Signature,
}

/// Length and tree hash of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The number of blocks.
    pub length: Length,
    /// The tree hash of these blocks.
    pub hash: TreeHash,
}

/// The parts of a call that its caller signs, beside the log's key.
#[derive(Clone, Copy, Debug)]
pub struct Intention<'a> {
    /// The exported function.
    pub method: &'a str,
    /// The arguments of the function.
    pub args: &'a [Value],
    /// See [`Authorization::nonce`].
    pub nonce: u64,
    /// See [`Authorization::seen`].
    pub seen: Option<&'a Seen>,
    /// See [`Authorization::instead`].
    pub instead: Option<&'a [u64]>,
}

impl Intention<'_> {
    /// Returns the bytes that the caller signs: `"libvms/call/1" || dag-cbor({log, methodName, args, nonce, seen?,
    /// instead?})`.
    ///
    /// ```
    /// use libvms_hypercore::identity::PublicKey;
    /// use libvms_protocol::entry::caller::Intention;
    ///
    /// let call = Intention { method: "add", args: &[], nonce: 7, seen: None, instead: None };
    /// assert!(call.signable(&PublicKey([1; 32])).starts_with(b"libvms/call/1\xa4\x63log\x58\x20"));
    /// ```
    pub fn signable(&self, log: &PublicKey) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Signed<'a> {
            log: &'a PublicKey,
            method_name: &'a str,
            args: &'a [Value],
            nonce: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            seen: Option<&'a Seen>,
            #[serde(skip_serializing_if = "Option::is_none")]
            instead: Option<&'a [u64]>,
        }
        let Self { method: method_name, args, nonce, seen, instead } = *self;
        let mut bytes = b"libvms/call/1".to_vec();
        bytes.extend(super::encode(&Signed { log, method_name, args, nonce, seen, instead }));
        bytes
    }

    /// Signs the call for `log`.
    pub fn sign(&self, key: &SecretKey, log: &PublicKey) -> Authorization {
        Authorization {
            key: key.public_key(),
            nonce: self.nonce,
            seen: self.seen.copied(),
            instead: self.instead.map(<[u64]>::to_vec),
            sig: key.sign(&self.signable(log)),
        }
    }
}

impl Authorization {
    /// Returns the signed part of a call of `method` with `args`.
    pub fn intention<'a>(&'a self, method: &'a str, args: &'a [Value]) -> Intention<'a> {
        let (seen, instead) = (self.seen.as_ref(), self.instead.as_deref());
        Intention { method, args, nonce: self.nonce, seen, instead }
    }

    /// Returns whether the signature is the key's of this call to `log`.
    pub fn verifies(&self, log: &PublicKey, method: &str, args: &[Value]) -> bool {
        self.key.verifies(&self.intention(method, args).signable(log), &self.sig)
    }

    /// Returns the hash that names this call in a refusal: `H(signed bytes || sig)`.
    pub fn call_hash(&self, log: &PublicKey, method: &str, args: &[Value]) -> [u8; 32] {
        blake2b(&[&self.intention(method, args).signable(log), &self.sig.0])
    }

    /// Returns whether `instead`, if there, is in its form: 1 to 8 nonces, ascending, each smaller than the call's own.
    pub fn is_instead_in_form(&self) -> bool {
        self.instead.as_deref().is_none_or(|instead| {
            (1..=limits::INSTEAD_MAX).contains(&instead.len())
                && instead.is_sorted_by(|one, next| one < next)
                && instead.last().is_some_and(|last| *last < self.nonce)
        })
    }

    /// Returns the call's own nonce and those that it replaces.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        self.instead.iter().flatten().copied().chain([self.nonce])
    }
}

impl Caller {
    /// Returns the id that the script sees as `System.caller.id`: a name, or the 64 lower-case hexadecimal digits of a key.
    pub fn id(&self) -> Option<String> {
        match self {
            Self::Anonymous => None,
            Self::Claimed(name) => Some(name.clone()),
            Self::Key(authorization) => Some(authorization.key.to_string()),
        }
    }

    /// Returns the key and signature of a caller that has them.
    pub fn authorization(&self) -> Option<&Authorization> {
        match self {
            Self::Key(authorization) => Some(authorization),
            Self::Anonymous | Self::Claimed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Call;

    fn key() -> SecretKey {
        SecretKey::from_seed(&[1; 32])
    }

    const LOG: PublicKey = PublicKey([2; 32]);

    fn signed(nonce: u64, instead: Option<&[u64]>) -> Authorization {
        let args = [Value::Integer(1)];
        Intention { method: "add", args: &args, nonce, seen: None, instead }.sign(&key(), &LOG)
    }

    fn call(by: Authorization) -> Call {
        Call::new(Caller::Key(Box::new(by)), "add", vec![Value::Integer(1)], 5)
    }

    #[test]
    fn a_signature_holds_for_each_of_its_parts_only() {
        let by = Authorization { seen: None, ..signed(7, Some(&[3, 5])) };
        let good = call(by.clone());
        assert!(good.is_signed(&LOG));
        assert_eq!(good.authorization(), Some(by.clone()));
        let seen = Some(Seen { length: Length(1), hash: TreeHash([0; 32]) });
        let bad = [
            Call { nonce: Some(8), ..good.clone() },
            Call { instead: Some(vec![3]), ..good.clone() },
            Call { instead: None, ..good.clone() },
            Call { seen, ..good.clone() },
            Call { method_name: "sub".into(), ..good.clone() },
            Call { args: vec![], ..good.clone() },
            Call { user_id: Some(by.key.to_string().to_uppercase()), ..good.clone() },
            Call { user_id: Some(by.key.url()), ..good.clone() },
            Call { user_id: None, ..good.clone() },
            Call { sig: None, ..good.clone() },
        ];
        for call in bad {
            assert!(!call.is_signed(&LOG), "{call:?}");
        }
        assert!(!good.is_signed(&PublicKey([3; 32])));
        // The host chooses the time.
        assert!(Call { at: 6, ..good }.is_signed(&LOG));
    }

    #[test]
    fn what_is_replaced_has_one_form() {
        let ok: [Option<&[u64]>; 4] = [None, Some(&[0]), Some(&[1, 8]), Some(&[1, 2, 3, 4, 5, 6, 7, 8])];
        for instead in ok {
            assert!(signed(9, instead).is_instead_in_form(), "{instead:?}");
        }
        let bad: [&[u64]; 6] = [&[], &[9], &[2, 1], &[1, 1], &[1, 10], &[0, 1, 2, 3, 4, 5, 6, 7, 8]];
        for instead in bad {
            assert!(!signed(9, Some(instead)).is_instead_in_form(), "{instead:?}");
        }
    }
}
