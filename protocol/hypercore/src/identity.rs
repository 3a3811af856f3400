//! Ed25519 keys of cores, hosts and callers, and their signatures (RFC 8032).
//!
//! A core (a log, a db, a blobs core) is named by the raw Ed25519 public key that signs it. Keys are displayed as a
//! `hyper://` URL of 64 hexadecimal digits; `dat://` and z-base-32, the forms of the predecessors, are read too.

use std::fmt;
use std::str::FromStr;

use data_encoding::{Encoding, HEXLOWER, HEXLOWER_PERMISSIVE, Specification};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use thiserror::Error;

use crate::hash::keyed_blake2b;

/// An Ed25519 public key: the name of a core or of a caller.
///
/// Any 32 bytes are accepted; whether they are a point of the curve shows when a signature is verified.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// The private half of a key. It is never printed.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

/// The text is not a key.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{text}` is not a key: expected 64 hexadecimal digits or 52 z-base-32 characters, with or without hyper://"
)]
pub struct KeyError {
    text: String,
}

impl PublicKey {
    /// Returns the topic under which peers look for a core: it names the core without revealing its key.
    ///
    /// It is the BLAKE2b-256 of `hypercore`, keyed with the public key (npm hypercore-crypto, `discoveryKey`).
    pub fn discovery_key(&self) -> [u8; 32] {
        keyed_blake2b(&self.0, &[b"hypercore"])
    }

    /// Returns whether `signature` is this key's signature of `message`. Bytes that are not a key verify nothing.
    ///
    /// The strictest of the predicates in use, so that every machine agrees: the key and R are canonical encodings of points
    /// that are not of small order, S is below the order of the group, and R is what S and the key give, without the
    /// cofactor.
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        let key = VerifyingKey::from_bytes(&self.0).ok().filter(|_| self.is_canonical());
        key.is_some_and(|key| key.verify_strict(message, &signature).is_ok())
    }

    /// Returns whether the y coordinate is below 2^255 - 19 (RFC 8032, section 5.1.3): the library reduces it, and so takes
    /// two spellings of some keys.
    fn is_canonical(&self) -> bool {
        let [lowest, between @ .., highest] = &self.0;
        let is_all_ones = highest & 0x7f == 0x7f && between.iter().all(|byte| *byte == 0xff);
        !is_all_ones || *lowest < 0xed
    }

    /// Returns the key as it is passed on: `hyper://` and 64 hexadecimal digits.
    pub fn url(&self) -> String {
        format!("hyper://{self}")
    }
}

impl SecretKey {
    /// Creates the key pair of a seed. The seed is as secret as the key: with it anybody can sign.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Returns the seed from which [`SecretKey::from_seed`] makes this key again: handle it as the key itself.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Returns the public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `message`. Ed25519 is deterministic: the same message gets the same signature.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}..)", HEXLOWER.encode(&self.0[..4]))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {:?})", self.public_key())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({}..)", HEXLOWER.encode(&self.0[..4]))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Reads hexadecimal or z-base-32, bare or as a `hyper://` or `dat://` URL; a path after the key is ignored.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bare = ["hyper://", "dat://"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
        let bare = bare.split('/').next().unwrap_or_default();
        let bytes = match bare.len() {
            64 => HEXLOWER_PERMISSIVE.decode(bare.as_bytes()).ok(),
            52 => z_base_32().decode(bare.as_bytes()).ok(),
            _ => None,
        };
        match bytes.and_then(|bytes| bytes.try_into().ok()) {
            Some(key) => Ok(Self(key)),
            None => Err(KeyError { text: text.chars().take(100).collect() }),
        }
    }
}

/// Returns the alphabet of <https://philzimmermann.com/docs/human-oriented-base-32-encoding.txt>; 256 bits leave four
/// padding bits, which must be zero.
fn z_base_32() -> Encoding {
    let mut specification = Specification::new();
    specification.symbols.push_str("ybndrfg8ejkmcpqxot1uwisza345h769");
    specification.encoding().expect("the alphabet has 32 distinct symbols")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "8a936455602e02758c8c7c30ccb60a02345166c3a57a4512e11d59f652d67b99";

    #[test]
    fn a_key_is_read_in_every_form_people_have() {
        let key: PublicKey = HEX.parse().expect("plain hex");
        let z = z_base_32().encode(&key.0);
        for text in [
            format!("hyper://{HEX}"),
            format!("hyper://{HEX}/some/path"),
            format!("dat://{}", HEX.to_uppercase()),
            z.clone(),
            format!("hyper://{z}"),
        ] {
            assert_eq!(text.parse(), Ok(key), "{text}");
        }
        assert_eq!(key.url().parse(), Ok(key));
    }

    #[test]
    fn text_that_is_not_a_key_is_refused() {
        for text in ["", "hyper://", &HEX[..63], &format!("{HEX}0"), &"z".repeat(64), &"l".repeat(52)] {
            assert!(text.parse::<PublicKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_key_does_not_print() {
        let key = SecretKey::from_seed(&[7; 32]);
        let shown = format!("{key:?}");
        assert!(!shown.contains(&HEXLOWER.encode(&[7; 4])), "{shown}");
    }

    #[test]
    fn a_key_has_one_encoding() {
        let with = |lowest, highest| {
            let mut key = [0xff; 32];
            (key[0], key[31]) = (lowest, highest);
            PublicKey(key).is_canonical()
        };
        for highest in [0x7f, 0xff] {
            assert!(with(0xec, highest) && !with(0xed, highest) && !with(0xff, highest));
        }
        assert!(with(0xff, 0x7e) && with(0xff, 0xfe));
        assert!(PublicKey([0; 32]).is_canonical());
    }

    #[test]
    fn a_signature_holds_for_its_key_and_message_only() {
        let key = SecretKey::from_seed(&[1; 32]);
        let signature = key.sign(b"message");
        assert!(key.public_key().verifies(b"message", &signature));
        assert!(!key.public_key().verifies(b"massage", &signature));
        assert!(!SecretKey::from_seed(&[2; 32]).public_key().verifies(b"message", &signature));
        assert!(!PublicKey([0xff; 32]).verifies(b"message", &signature));
    }
}
