//! The datagrams of the DHT: [`Request`] and [`Response`].
//!
//! ```text
//! request    03 | flags | tid u16 | to address | [1: id 32] [2: token 32] | command uint | [8: target 32] [16: value]
//! response   13 | flags | tid u16 | to address | [1: id 32] [2: token 32] [4: closer addresses] [8: error uint] [16: value]
//! ```
//!
//! The flags say which of the bracketed fields are present; flag 4 of a request makes its command an internal one.
//! Unknown flags and bytes after the last field are ignored. Source: npm dht-rpc 6 (`lib/io.js`).

use std::fmt;

use data_encoding::HEXLOWER;
use thiserror::Error;

use crate::dht_rpc::CLOSEST_MAX;
use crate::dht_rpc::address::{ADDRESS_BYTES, Address, NodeId, Target};
use libvms_hypercore::encoding::{DecodeError, Reader, Writer, flags, has};

/// First byte of a request: version 3 of the protocol.
const REQUEST: u8 = 0x03;
/// First byte of a response.
const RESPONSE: u8 = 0x13;

/// Bytes of the largest datagram that is read. JavaScript nodes cut longer ones at the same place.
pub const DATAGRAM_BYTES_MAX: usize = 2048;

/// A datagram of the DHT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// An answer to a request.
    Response(Response),
}

/// A request of one node to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Number of the request, which the answer repeats.
    pub tid: u16,
    /// The destination: the receiver as the sender sees it.
    pub to: Address,
    /// Id of the sender. Only reachable nodes send it; a claim until it is compared with the source of the datagram.
    pub id: Option<NodeId>,
    /// A token that the receiver issued before: it shows that the sender receives at its address.
    pub token: Option<Token>,
    /// The command.
    pub command: Command,
    /// The target of the command.
    pub target: Option<Target>,
    /// The further input of the command.
    pub value: Option<Vec<u8>>,
}

/// The answer of a node to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Number of the request.
    pub tid: u16,
    /// The destination: the asker as the answering node sees it. A node learns its own address only from this field.
    pub to: Address,
    /// Id of the answering node. Only reachable nodes send it; a claim until it is compared with the source of the
    /// datagram.
    pub id: Option<NodeId>,
    /// A token for storing something at this node later. Valid for 7.5 s at least.
    pub token: Option<Token>,
    /// Nodes closer to the target, the closest first.
    pub closer: Vec<Address>,
    /// The reason why the request failed.
    pub error: Option<ErrorCode>,
    /// The result of the command.
    pub value: Option<Vec<u8>>,
}

/// A command: numbers of two separate spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    /// A command of the table itself.
    Internal(u64),
    /// A command of the layer above.
    External(u64),
}

impl Command {
    /// Answer me.
    pub const PING: Self = Self::Internal(0);
    /// Answer me at another port of my host. The value is that port, u16 little-endian.
    pub const PING_NAT: Self = Self::Internal(1);
    /// Name the nodes closest to the target.
    pub const FIND_NODE: Self = Self::Internal(2);
    /// A node that you named does not answer. The value is its address.
    pub const DOWN_HINT: Self = Self::Internal(3);
    /// Answer me after a while. The value is how many milliseconds, u32 little-endian.
    pub const DELAYED_PING: Self = Self::Internal(4);
}

/// The reason why a request failed. Numbers from 16 on belong to the layer above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErrorCode(pub u64);

impl ErrorCode {
    /// The node does not serve this command.
    pub const UNKNOWN_COMMAND: Self = Self(1);
    /// The token is not, or no longer, one that the node issued to this host. The answer has a fresh one.
    pub const INVALID_TOKEN: Self = Self(2);
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::UNKNOWN_COMMAND => f.write_str("unknown command"),
            Self::INVALID_TOKEN => f.write_str("invalid token"),
            Self(number) => write!(f, "error {number}"),
        }
    }
}

/// A token that a node issues, to verify later that the sender receives at its host. Opaque to other nodes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(pub [u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", HEXLOWER.encode(&self.0[..4]))
    }
}

/// The datagram is not a message of the DHT. No answer is sent.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MessageError {
    /// The first byte is neither a request's nor a response's.
    #[error("the first byte of the datagram is not that of a DHT message")]
    Foreign,
    /// The datagram has more than [`DATAGRAM_BYTES_MAX`] bytes.
    #[error("the datagram has {0} bytes, more than the DHT's {DATAGRAM_BYTES_MAX}")]
    TooLong(usize),
    /// A field is cut off or out of bounds.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

impl Message {
    /// Reads a datagram. Never allocates more than the size of the datagram.
    ///
    /// # Errors
    /// If it is not a message of the DHT, or a broken one.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > DATAGRAM_BYTES_MAX {
            return Err(MessageError::TooLong(bytes.len()));
        }
        let (first, rest) = bytes.split_first().ok_or(MessageError::Foreign)?;
        let mut reader = Reader::new(rest);
        match *first {
            REQUEST => Ok(Self::Request(Request::decode(&mut reader)?)),
            RESPONSE => Ok(Self::Response(Response::decode(&mut reader)?)),
            _ => Err(MessageError::Foreign),
        }
    }

    /// Returns the bytes of the datagram.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => request.encode(),
            Self::Response(response) => response.encode(),
        }
    }
}

impl Request {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let Header { flags, tid, to, id, token } = Header::decode(reader)?;
        let number = reader.uint()?;
        let command = if has(flags, 2) { Command::Internal(number) } else { Command::External(number) };
        let target = if has(flags, 3) { Some(Target(reader.array()?)) } else { None };
        Ok(Self { tid, to, id, token, command, target, value: value(reader, flags)? })
    }

    /// Returns the bytes of the datagram.
    pub fn encode(&self) -> Vec<u8> {
        let (is_internal, number) = match self.command {
            Command::Internal(number) => (true, number),
            Command::External(number) => (false, number),
        };
        let optional = [is_internal, self.target.is_some(), self.value.is_some()];
        let mut writer = header(REQUEST, self.tid, &self.to, self.id, self.token, optional);
        writer.uint(number);
        self.target.inspect(|target| _ = writer.raw(&target.0));
        self.value.as_ref().inspect(|value| _ = writer.bytes(value));
        writer.finish()
    }
}

impl Response {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let Header { flags, tid, to, id, token } = Header::decode(reader)?;
        let closer = if has(flags, 2) { addresses(reader)? } else { Vec::new() };
        let error = if has(flags, 3) { reader.uint()? } else { 0 };
        let error = (error != 0).then_some(ErrorCode(error));
        Ok(Self { tid, to, id, token, closer, error, value: value(reader, flags)? })
    }

    /// Returns the bytes of the datagram. Only the first [`CLOSEST_MAX`] closer nodes are written.
    pub fn encode(&self) -> Vec<u8> {
        let closer = &self.closer[..self.closer.len().min(CLOSEST_MAX)];
        let optional = [!closer.is_empty(), self.error.is_some(), self.value.is_some()];
        let mut writer = header(RESPONSE, self.tid, &self.to, self.id, self.token, optional);
        if !closer.is_empty() {
            writer.uint(closer.len() as u64);
            closer.iter().for_each(|address| address.encode(&mut writer));
        }
        self.error.inspect(|error| _ = writer.uint(error.0));
        self.value.as_ref().inspect(|value| _ = writer.bytes(value));
        writer.finish()
    }
}

/// The fields that both kinds begin with.
struct Header {
    flags: u64,
    tid: u16,
    to: Address,
    id: Option<NodeId>,
    token: Option<Token>,
}

impl Header {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.uint()?;
        let tid = u16::from_le_bytes(reader.array()?);
        let to = Address::decode(reader)?;
        let id = if has(flags, 0) { Some(NodeId(reader.array()?)) } else { None };
        let token = if has(flags, 1) { Some(Token(reader.array()?)) } else { None };
        Ok(Self { flags, tid, to, id, token })
    }
}

fn header(
    first: u8,
    tid: u16,
    to: &Address,
    id: Option<NodeId>,
    token: Option<Token>,
    optional: [bool; 3],
) -> Writer {
    let [third, fourth, fifth] = optional;
    let mut writer = Writer::default();
    writer.raw(&[first]).uint(flags(&[id.is_some(), token.is_some(), third, fourth, fifth]));
    writer.raw(&tid.to_le_bytes());
    to.encode(&mut writer);
    id.inspect(|id| _ = writer.raw(&id.0));
    token.inspect(|token| _ = writer.raw(&token.0));
    writer
}

/// Reads the closer nodes. An honest node names [`CLOSEST_MAX`]; of more, the first ones are kept: they are the
/// closest.
fn addresses(reader: &mut Reader<'_>) -> Result<Vec<Address>, DecodeError> {
    let count = reader.count("closer nodes", ADDRESS_BYTES, DATAGRAM_BYTES_MAX / ADDRESS_BYTES)?;
    let mut closer = Vec::with_capacity(count.min(CLOSEST_MAX));
    for position in 0..count {
        let address = Address::decode(reader)?;
        if position < CLOSEST_MAX {
            closer.push(address);
        }
    }
    Ok(closer)
}

fn value(reader: &mut Reader<'_>, flags: u64) -> Result<Option<Vec<u8>>, DecodeError> {
    if has(flags, 4) { Ok(Some(reader.bytes()?.to_vec())) } else { Ok(None) }
}
