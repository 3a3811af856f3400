//! Capabilities: proofs, bound to one encrypted stream, that a peer knows the key of a core.
//!
//! A capability is a keyed BLAKE2b-256 over the stream's handshake hash, so that a proof of one stream is worth nothing
//! on another, and includes the role of the sender, so that a peer cannot send back the proof that it received.
//!
//! ```text
//! capability = H(key = handshake hash, namespace("hypercore")[1 | 2] || core key)
//! open       flags (1: seeks), capability              follows the name in the Open of a core's channel
//! ```

use blake2::Blake2bMac;
use blake2::digest::Mac;
use blake2::digest::consts::U32;

use crate::encoding::{DecodeError, Reader, Writer, flags, has};
use crate::hash::{blake2b_mac, namespace};
use crate::identity::PublicKey;
use crate::secret_stream::{HandshakeHash, Role};

/// Returns the capability by which `sender` proves on this stream that it knows the core's key.
pub fn capability(sender: Role, hash: &HandshakeHash, core: &PublicKey) -> [u8; 32] {
    capability_mac(sender, hash, core).finalize().into_bytes().into()
}

/// Returns whether `claimed` is the capability of a `sender` that knows the core's key, on this stream.
pub fn is_capability(sender: Role, hash: &HandshakeHash, core: &PublicKey, claimed: &[u8; 32]) -> bool {
    capability_mac(sender, hash, core).verify_slice(claimed).is_ok()
}

fn capability_mac(sender: Role, hash: &HandshakeHash, core: &PublicKey) -> Blake2bMac<U32> {
    // The first constant of hypercore is for signatures.
    blake2b_mac(&hash.0, &[&namespace("hypercore", 1 + sender.index()), &core.0])
}

/// The handshake in the Open of a core's channel, after the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreOpen {
    /// Whether the sender understands seeks. JavaScript always says so.
    pub seeks: bool,
    /// The proof that the sender knows the core's key.
    pub capability: [u8; 32],
}

impl CoreOpen {
    /// Reads the handshake. Bytes after it are ignored.
    ///
    /// # Errors
    /// If there are too few bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.uint()?;
        Ok(Self { seeks: has(flags, 0), capability: reader.array()? })
    }

    /// Returns its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.uint(flags(&[self.seeks])).raw(&self.capability);
        writer.finish()
    }
}
