//! Domain separation: constants that keep a signature or key for one purpose from being used for another.
//!
//! Each is the constant of `hyperswarm/dht` with the number of a command (npm hyperdht, `constants`). The
//! first is the prologue of the handshake ([`noise_ik`](libvms_hypercore::secret_stream::noise_ik)).

use libvms_hypercore::hash::namespace;

const NAME: &str = "hyperswarm/dht";

/// Returns the constant from which the secret of holepunch payloads is derived.
pub fn peer_holepunch() -> [u8; 32] {
    namespace(NAME, 1)
}

/// Returns the prefix of the bytes that an announcement signs.
pub fn announce() -> [u8; 32] {
    namespace(NAME, 4)
}

/// Returns the prefix of the bytes that the withdrawal of an announcement signs.
pub fn unannounce() -> [u8; 32] {
    namespace(NAME, 5)
}

/// Returns the prefix of the bytes that a mutable value signs.
pub fn mutable_put() -> [u8; 32] {
    namespace(NAME, 6)
}
