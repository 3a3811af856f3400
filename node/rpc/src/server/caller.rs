//! The member `caller` of a request: a key and its signature of the call.

use data_encoding::HEXLOWER;
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::{PublicKey, Signature};
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::entry::{Authorization, Seen};
use libvms_protocol::limits::{INSTEAD_MAX, NONCE_MAX};
use libvms_protocol::value::Value;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Bytes of the JSON text of a caller: twice what the longest one takes without spaces.
const CALLER_BYTES_MAX: usize = 1024;

/// Why a `caller` is not one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallerError {
    #[error("{bytes} bytes of JSON text are more than any caller has")]
    TooLong { bytes: usize },
    #[error("{0}")]
    Form(String),
    #[error("{what} is not {bytes} bytes in lower-case hexadecimal digits")]
    Bytes { what: &'static str, bytes: usize },
    #[error("{what} is not an integer from 0 to 2^53 - 1")]
    Number { what: &'static str },
    #[error("instead has more than {INSTEAD_MAX} numbers")]
    TooMany,
}

/// The members, unread. Numbers may have any notation that JSON has for an integer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    key: String,
    nonce: Value,
    seen: Option<Box<RawValue>>,
    instead: Option<Vec<Value>>,
    sig: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeenMembers {
    length: Value,
    hash: String,
}

/// Reads a caller. Its signature is not checked, nor whether its numbers are in order: a host says what is wrong with them.
pub(super) fn read(raw: &RawValue) -> Result<Authorization, CallerError> {
    let bytes = raw.get().len();
    if bytes > CALLER_BYTES_MAX {
        return Err(CallerError::TooLong { bytes });
    }
    let members: Members = object(raw)?;
    let instead = members.instead.map(|numbers| match numbers.len() > INSTEAD_MAX {
        true => Err(CallerError::TooMany),
        false => numbers.iter().map(|number| integer("instead", number)).collect(),
    });
    Ok(Authorization {
        key: PublicKey(fixed("key", &members.key)?),
        nonce: integer("nonce", &members.nonce)?,
        seen: members.seen.map(|seen| object::<SeenMembers>(&seen)?.read()).transpose()?,
        instead: instead.transpose()?,
        sig: Signature(fixed("sig", &members.sig)?),
    })
}

impl SeenMembers {
    fn read(&self) -> Result<Seen, CallerError> {
        let hash = TreeHash(fixed("seen.hash", &self.hash)?);
        Ok(Seen { length: Length(integer("seen.length", &self.length)?), hash })
    }
}

/// Reads an object. The library would also take an array, with the members in order.
fn object<T: DeserializeOwned>(raw: &RawValue) -> Result<T, CallerError> {
    if !raw.get().starts_with('{') {
        return Err(CallerError::Form("it is not an object".into()));
    }
    serde_json::from_str(raw.get()).map_err(|error| CallerError::Form(error.to_string()))
}

fn integer(what: &'static str, number: &Value) -> Result<u64, CallerError> {
    match number {
        Value::Integer(number) => u64::try_from(*number).ok().filter(|number| *number <= NONCE_MAX),
        _ => None,
    }
    .ok_or(CallerError::Number { what })
}

fn fixed<const N: usize>(what: &'static str, text: &str) -> Result<[u8; N], CallerError> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(CallerError::Bytes { what, bytes: N })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_text(text: &str) -> Result<Authorization, String> {
        let raw = RawValue::from_string(text.into()).expect("JSON");
        read(&raw).map_err(|error| error.to_string())
    }

    fn with(nonce: &str, more: &str) -> String {
        let (key, sig) = ("0a".repeat(32), "0b".repeat(64));
        format!(r#"{{"key":"{key}","nonce":{nonce},"sig":"{sig}"{more}}}"#)
    }

    #[test]
    fn a_caller_is_read_in_every_notation_of_its_numbers() {
        let hash = "0c".repeat(32);
        let seen = format!(r#","seen":{{"length":1.7e1,"hash":"{hash}"}},"instead":[1,2.0]"#);
        let expected = Authorization {
            key: PublicKey([10; 32]),
            nonce: 7,
            seen: Some(Seen { length: Length(17), hash: TreeHash([12; 32]) }),
            instead: Some(vec![1, 2]),
            sig: Signature([11; 64]),
        };
        assert_eq!(read_text(&with("7", &seen)), Ok(expected.clone()));
        let plain = Authorization { seen: None, instead: None, ..expected };
        assert_eq!(read_text(&with("0.7e1", "")), Ok(plain));
        assert_eq!(read_text(&with("9007199254740991", "")).map(|by| by.nonce), Ok(NONCE_MAX));
    }

    #[test]
    fn whatever_is_no_caller_is_named() {
        let upper = with("7", "").replace("0a0a", "0A0a");
        let cases = [
            ("[]", "not an object"),
            ("null", "not an object"),
            (&with("7", r#","seen":[1,""]"#), "not an object"),
            (&with("9007199254740992", ""), "nonce is not an integer"),
            (&with("-1", ""), "nonce is not an integer"),
            (&with("0.5", ""), "nonce is not an integer"),
            (&with("\"7\"", ""), "nonce is not an integer"),
            (&with("7", r#","user":"bob""#), "unknown field `user`"),
            (&with("7", r#","seen":{"length":1}"#), "missing field `hash`"),
            (&with("7", r#","seen":{"length":1,"hash":""}"#), "seen.hash is not 32 bytes"),
            (&with("7", r#","instead":[1,2,3,4,5,6,7,8,9]"#), "more than 8"),
            (&with("7", r#","instead":[null]"#), "instead is not an integer"),
            (&upper, "key is not 32 bytes"),
            (&with("7", "").replace("0b0b", "0b"), "sig is not 64 bytes"),
            (&with("7", &" ".repeat(CALLER_BYTES_MAX)), "more than any caller has"),
        ];
        for (text, why) in cases {
            let error = read_text(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    /// What strangers send: the text of a good caller, of which some bytes are others.
    fn damaged() -> impl Strategy<Value = String> {
        let bytes = prop_oneof![prop::sample::select(br#"{}[]",:.-+eE019anulltrue\ "#.to_vec()), any::<u8>()];
        let damage = prop::collection::vec((any::<prop::sample::Index>(), bytes, 0..3_u8), 0..4);
        damage.prop_map(|damage| {
            let hash = "0c".repeat(32);
            let more = format!(r#","seen":{{"length":17,"hash":"{hash}"}},"instead":[1,2.0,3e0]"#);
            let mut text = with("7", &more).into_bytes();
            for (place, byte, kind) in damage {
                let place = place.index(text.len());
                match kind {
                    0 => text[place] = byte,
                    1 => text.insert(place, byte),
                    _ => text.truncate(place.max(1)),
                }
            }
            String::from_utf8_lossy(&text).into_owned()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_damaged_caller_is_refused_or_within_its_bounds(text in damaged()) {
            if let Ok(raw) = RawValue::from_string(text)
                && let Ok(by) = read(&raw)
            {
                let seen = by.seen.map(|seen| seen.length.0);
                let numbers = by.numbers().chain(seen).collect::<Vec<_>>();
                prop_assert!(numbers.iter().all(|number| *number <= NONCE_MAX), "{numbers:?}");
                prop_assert!(by.instead.is_none_or(|instead| instead.len() <= INSTEAD_MAX));
            }
        }
    }
}
