//! The envelopes in which nodes relay messages between two peers: [`HandshakeEnvelope`] and [`HolepunchEnvelope`].
//!
//! ```text
//! handshake   flags | mode uint | noise bytes | [1: peer address] [2: relay address]
//! holepunch   flags | mode uint | id uint | payload bytes | [1: peer address]
//! ```
//!
//! Every hop but the last is a request; the last one, to the client, is a response. [`crate::hyperdht::router`] lists
//! which node reads which mode. Source: npm hyperdht (`lib/messages.js`).

use crate::dht_rpc::address::Address;
use libvms_hypercore::encoding::{DecodeError, Reader, Writer, flags, has};

/// The sender of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// From a client, to a relay or to the server itself.
    FromClient,
    /// From the server, to the relay that asked.
    FromServer,
    /// From the relay that the client asked, to the server or to another relay.
    FromRelay,
    /// From a relay that a relay asked, to the server.
    FromSecondRelay,
    /// The answer, to the client.
    Reply,
}

impl Mode {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.uint()? {
            0 => Ok(Self::FromClient),
            1 => Ok(Self::FromServer),
            2 => Ok(Self::FromRelay),
            3 => Ok(Self::FromSecondRelay),
            4 => Ok(Self::Reply),
            number => Err(DecodeError::Unknown { what: "mode", number }),
        }
    }

    fn number(self) -> u64 {
        match self {
            Self::FromClient => 0,
            Self::FromServer => 1,
            Self::FromRelay => 2,
            Self::FromSecondRelay => 3,
            Self::Reply => 4,
        }
    }
}

/// The value of PEER_HANDSHAKE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeEnvelope {
    /// The sender.
    pub mode: Mode,
    /// A message of the handshake ([`noise_ik`](libvms_hypercore::secret_stream::noise_ik)).
    pub noise: Vec<u8>,
    /// The peer at the far end: the client on the way to the server and back, the server in an answer.
    pub peer: Option<Address>,
    /// The node to relay the message or the answer to.
    pub relay: Option<Address>,
}

impl HandshakeEnvelope {
    /// Reads the value of a request or of an answer.
    ///
    /// # Errors
    /// If the bytes end inside a field, or the mode is unknown.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.uint()?;
        let (mode, noise) = (Mode::decode(&mut reader)?, reader.bytes()?.to_vec());
        let peer = if has(flags, 0) { Some(Address::decode(&mut reader)?) } else { None };
        let relay = if has(flags, 1) { Some(Address::decode(&mut reader)?) } else { None };
        Ok(Self { mode, noise, peer, relay })
    }

    /// Returns the value of a request or of an answer.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.uint(flags(&[self.peer.is_some(), self.relay.is_some()]));
        writer.uint(self.mode.number()).bytes(&self.noise);
        self.peer.inspect(|peer| peer.encode(&mut writer));
        self.relay.inspect(|relay| relay.encode(&mut writer));
        writer.finish()
    }
}

/// The value of PEER_HOLEPUNCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolepunchEnvelope {
    /// The sender.
    pub mode: Mode,
    /// The server's number of the handshake; 0 on the way back.
    pub id: u64,
    /// A sealed [`crate::hyperdht::holepunch::payload::HolepunchPayload`].
    pub payload: Vec<u8>,
    /// From a client: the address where the relay reaches the server. Else the peer at the far end.
    pub peer: Option<Address>,
}

impl HolepunchEnvelope {
    /// Reads the value of a request or of an answer.
    ///
    /// # Errors
    /// If the bytes end inside a field, or the mode is unknown.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.uint()?;
        let mode = Mode::decode(&mut reader)?;
        let (id, payload) = (reader.uint()?, reader.bytes()?.to_vec());
        let peer = if has(flags, 0) { Some(Address::decode(&mut reader)?) } else { None };
        Ok(Self { mode, id, payload, peer })
    }

    /// Returns the value of a request or of an answer.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.uint(flags(&[self.peer.is_some()])).uint(self.mode.number());
        writer.uint(self.id).bytes(&self.payload);
        self.peer.inspect(|peer| peer.encode(&mut writer));
        writer.finish()
    }
}
