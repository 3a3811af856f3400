//! Constants that keep what is signed or keyed for one purpose from being used for another.
//!
//! Each is the constant of `hyperswarm/dht` with the number of a command (npm hyperdht, `constants`).

use libvms_hypercore::hash::namespace;

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

/// In front of what a mutable value signs.
pub fn mutable_put() -> [u8; 32] {
    namespace(NAME, 6)
}
