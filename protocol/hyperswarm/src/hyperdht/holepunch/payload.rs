//! The messages of two peers about their firewalls, through relays: [`HolepunchPayload`], sealed by [`PunchSecrets`].
//!
//! ```text
//! sealed    nonce 24 | XSalsa20-Poly1305 box
//! payload   flags (1: connected, 2: punching) | error uint | firewall uint | round uint
//!                 | [4: addresses] [8: remote address] [16: token 32] [32: remote token 32]
//! ```
//!
//! The key of the box follows from the handshake's hash, which relays can compute: an opened payload is only a claim.
//! An address is *verified* only once its token came back, which shows that a peer that can read the box receives at
//! that host. Source: npm hyperdht (`lib/secure-payload.js`, `lib/messages.js`).

use crypto_secretbox::aead::{Aead, KeyInit};
use crypto_secretbox::{Key, Nonce, XSalsa20Poly1305};
use thiserror::Error;

use crate::dht_rpc::address::Address;
use crate::hyperdht::command::{Firewall, PeerError};
use crate::hyperdht::namespaces;
use crate::hyperdht::record::{decode_addresses, encode_addresses};
use libvms_hypercore::encoding::{DecodeError, Reader, Writer, flags, has};
use libvms_hypercore::hash::keyed_blake2b;
use libvms_hypercore::secret_stream::HandshakeHash;

/// Bytes of the nonce in front of a box.
pub const NONCE_BYTES: usize = 24;

/// The highest round. JavaScript peers write a broken payload for any higher one.
pub const ROUND_MAX: u64 = 252;

/// The state of a peer in an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HolepunchPayload {
    /// The reason why it gives up.
    pub error: Option<PeerError>,
    /// Its firewall, as far as it knows.
    pub firewall: Firewall,
    /// Number of earlier messages from the client.
    pub round: u64,
    /// Whether it has a connection.
    pub is_connected: bool,
    /// Whether it is sending probes.
    pub is_punching: bool,
    /// Its addresses, as far as it knows.
    pub addresses: Vec<Address>,
    /// The other side's address as it sees it.
    pub remote_address: Option<Address>,
    /// A token for the other side to show, in order to prove that it receives there.
    pub token: Option<[u8; 32]>,
    /// The token that the other side issued.
    pub remote_token: Option<[u8; 32]>,
}

/// A sealed payload is broken, or of another attempt. No answer is sent.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HolepunchError {
    /// The payload was sealed with another key, changed, or cut off.
    #[error("the holepunch payload is not authentic")]
    NotAuthentic,
    /// The bytes end inside a field.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

/// Returns the key of the payloads that belong to a handshake. Relays can compute it, too.
pub fn holepunch_secret(handshake: &HandshakeHash) -> [u8; 32] {
    keyed_blake2b(&handshake.0, &[&namespaces::peer_holepunch()])
}

/// The keys of one attempt to punch a hole.
#[derive(Clone)]
pub struct PunchSecrets {
    shared: [u8; 32],
    local: [u8; 32],
}

impl PunchSecrets {
    /// Creates the keys of a handshake: `shared` is its [`holepunch_secret`],
    /// `local` must be 32 fresh random bytes that stay secret.
    pub fn new(shared: [u8; 32], local: [u8; 32]) -> Self {
        Self { shared, local }
    }

    /// Seals a payload. `nonce` must be fresh random bytes.
    pub fn seal(&self, nonce: &[u8; NONCE_BYTES], payload: &HolepunchPayload) -> Vec<u8> {
        let sealed = self.cipher().encrypt(Nonce::from_slice(nonce), payload.encode().as_slice());
        let mut bytes = nonce.to_vec();
        bytes.extend(sealed.expect("a payload is far below the cipher's limit"));
        bytes
    }

    /// Opens a sealed payload.
    ///
    /// # Errors
    /// If the payload is not of this handshake, or broken.
    pub fn open(&self, bytes: &[u8]) -> Result<HolepunchPayload, HolepunchError> {
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(HolepunchError::NotAuthentic)?;
        let plain = self.cipher().decrypt(Nonce::from_slice(nonce), sealed);
        Ok(HolepunchPayload::decode(&plain.map_err(|_| HolepunchError::NotAuthentic)?)?)
    }

    /// Returns the token that proves that a peer receives at the host of `address`: it is sent only to that host.
    pub fn token(&self, address: &Address) -> [u8; 32] {
        keyed_blake2b(&self.local, &[address.ip().to_string().as_bytes()])
    }

    fn cipher(&self) -> XSalsa20Poly1305 {
        XSalsa20Poly1305::new(Key::from_slice(&self.shared))
    }
}

impl std::fmt::Debug for PunchSecrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PunchSecrets").finish_non_exhaustive()
    }
}

impl HolepunchPayload {
    /// Reads an opened payload.
    ///
    /// # Errors
    /// If the bytes end inside a field.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.uint()?;
        let mut payload = Self {
            is_connected: has(flags, 0),
            is_punching: has(flags, 1),
            error: PeerError::from_wire(reader.uint()?),
            firewall: Firewall::from_wire(reader.uint()?),
            round: reader.uint()?,
            ..Self::default()
        };
        if has(flags, 2) {
            payload.addresses = decode_addresses(&mut reader)?;
        }
        if has(flags, 3) {
            payload.remote_address = Some(Address::decode(&mut reader)?);
        }
        if has(flags, 4) {
            payload.token = Some(reader.array()?);
        }
        if has(flags, 5) {
            payload.remote_token = Some(reader.array()?);
        }
        Ok(payload)
    }

    /// Returns the bytes to seal.
    pub fn encode(&self) -> Vec<u8> {
        let optional = [
            self.is_connected,
            self.is_punching,
            !self.addresses.is_empty(),
            self.remote_address.is_some(),
            self.token.is_some(),
            self.remote_token.is_some(),
        ];
        let mut writer = Writer::default();
        writer.uint(flags(&optional)).uint(PeerError::to_wire(self.error));
        writer.uint(self.firewall.to_wire()).uint(self.round);
        if !self.addresses.is_empty() {
            encode_addresses(&self.addresses, &mut writer);
        }
        self.remote_address.inspect(|address| address.encode(&mut writer));
        self.token.inspect(|token| _ = writer.raw(token));
        self.remote_token.inspect(|token| _ = writer.raw(token));
        writer.finish()
    }
}
