//! BLAKE2b (RFC 7693), as npm hypercore-crypto uses it: plain, keyed, and for the constants of a name.

use blake2::Blake2bMac;
use blake2::digest::consts::U32;
use blake2::digest::{Digest, KeyInit, Mac};

pub(crate) type Blake2b256 = blake2::Blake2b<U32>;

/// Returns the BLAKE2b-256 of the concatenated parts, without a key.
pub fn blake2b(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Blake2b256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Returns the BLAKE2b-256 of the concatenated parts, keyed with 1 to 64 bytes.
pub fn keyed_blake2b(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    blake2b_mac(key, parts).finalize().into_bytes().into()
}

/// Returns the same unfinished, for a comparison with a claim in constant time.
pub(crate) fn blake2b_mac(key: &[u8], parts: &[&[u8]]) -> Blake2bMac<U32> {
    let mut mac =
        <Blake2bMac<U32> as KeyInit>::new_from_slice(key).expect("1 to 64 bytes are a valid BLAKE2b key");
    for part in parts {
        Mac::update(&mut mac, part);
    }
    mac
}

/// Returns the `index`-th constant of a name: `H(H(name) || index)` (npm hypercore-crypto, `namespace`).
pub fn namespace(name: &str, index: u8) -> [u8; 32] {
    blake2b(&[&blake2b(&[name.as_bytes()]), &[index]])
}
