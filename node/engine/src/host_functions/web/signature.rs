//! Digests, and signatures that are checked.

use blake2::Blake2bVar;
use blake2::digest::{Digest, Update, VariableOutput};
use ed25519_dalek::{Signature as EdwardsSignature, VerifyingKey as EdwardsKey};
use hmac::{Hmac, Mac};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature, VerifyingKey};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

/// Returns a digest; `None` if there is none of this name, or of this size. Only BLAKE2b has a choice of sizes, in bytes.
pub(super) fn digest(name: &str, bytes: &[u8], size: usize) -> Option<Vec<u8>> {
    Some(match name {
        "SHA-1" => Sha1::digest(bytes).to_vec(),
        "SHA-256" => Sha256::digest(bytes).to_vec(),
        "SHA-384" => Sha384::digest(bytes).to_vec(),
        "SHA-512" => Sha512::digest(bytes).to_vec(),
        "BLAKE3" => blake3::hash(bytes).as_bytes().to_vec(),
        "BLAKE2b" => {
            let mut state = Blake2bVar::new(size).ok()?;
            state.update(bytes);
            let mut digest = vec![0; size];
            state.finalize_variable(&mut digest).ok()?;
            digest
        }
        _ => return None,
    })
}

/// Returns whether the bytes are a point of P-256, but not the one at infinity.
pub(super) fn is_point(bytes: &[u8]) -> bool {
    VerifyingKey::from_sec1_bytes(bytes).is_ok()
}

/// Returns whether a signature is good; `None` for a kind that is unknown.
pub(super) fn verify(kind: &str, hash: &str, key: &[u8], mark: &[u8], data: &[u8]) -> Option<bool> {
    match kind {
        "Ed25519" => Some(is_edwards(key, mark, data).is_some()),
        "ECDSA" => Some(is_ecdsa(key, mark, &digest(hash, data, 0)?).is_some()),
        "HMAC" => match hash {
            "SHA-1" => {
                Some(<Hmac<Sha1> as Mac>::new_from_slice(key).is_ok_and(|mac| is_mac(mac, mark, data)))
            }
            "SHA-256" => {
                Some(<Hmac<Sha256> as Mac>::new_from_slice(key).is_ok_and(|mac| is_mac(mac, mark, data)))
            }
            "SHA-384" => {
                Some(<Hmac<Sha384> as Mac>::new_from_slice(key).is_ok_and(|mac| is_mac(mac, mark, data)))
            }
            "SHA-512" => {
                Some(<Hmac<Sha512> as Mac>::new_from_slice(key).is_ok_and(|mac| is_mac(mac, mark, data)))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Checks strictly: no point of small order, and no second form of a signature.
fn is_edwards(key: &[u8], mark: &[u8], data: &[u8]) -> Option<()> {
    let key = EdwardsKey::from_bytes(key.try_into().ok()?).ok()?;
    key.verify_strict(data, &EdwardsSignature::from_slice(mark).ok()?).ok()
}

/// Checks a signature of two numbers of 32 bytes. As the standard has it, its negative is as good.
fn is_ecdsa(key: &[u8], mark: &[u8], digest: &[u8]) -> Option<()> {
    let key = VerifyingKey::from_sec1_bytes(key).ok()?;
    key.verify_prehash(digest, &Signature::from_slice(mark).ok()?).ok()
}

fn is_mac(mut mac: impl Mac, mark: &[u8], data: &[u8]) -> bool {
    Mac::update(&mut mac, data);
    mac.verify_slice(mark).is_ok()
}
