//! Constants that keep what is signed or keyed for one purpose from being used for another.
//!
//! Each is the constant of `hyperswarm/dht` with the number of a command (npm hyperdht, `constants`).

use blake2::Blake2bMac;
use blake2::digest::consts::U32;
use blake2::digest::{KeyInit, Mac};

use crate::tree::hash::{blake2b, namespace};

const NAME: &str = "hyperswarm/dht";

/// The prologue of a handshake.
pub fn peer_handshake() -> [u8; 32] {
    namespace(NAME, 0)
}

/// What the secret of holepunch payloads is derived with.
pub fn peer_holepunch() -> [u8; 32] {
    namespace(NAME, 1)
}

/// In front of what an announcement signs.
pub fn announce() -> [u8; 32] {
    namespace(NAME, 4)
}

/// In front of what the withdrawal of an announcement signs.
pub fn unannounce() -> [u8; 32] {
    namespace(NAME, 5)
}

/// BLAKE2b-256: targets of keys, and what signatures cover.
pub fn hash(parts: &[&[u8]]) -> [u8; 32] {
    blake2b(parts)
}

/// BLAKE2b-256 keyed with 1 to 64 bytes.
pub(crate) fn keyed_hash(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    keyed(key, parts).finalize().into_bytes().into()
}

fn keyed(key: &[u8], parts: &[&[u8]]) -> Blake2bMac<U32> {
    let mut mac =
        <Blake2bMac<U32> as KeyInit>::new_from_slice(key).expect("1 to 64 bytes are a valid BLAKE2b key");
    for part in parts {
        mac.update(part);
    }
    mac
}
