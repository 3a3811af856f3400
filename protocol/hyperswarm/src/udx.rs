//! UDX: reliable streams over datagrams, compatible with npm udx-native 1.21, as machines without I/O.
//!
//! Start from [`Endpoint`]: datagrams with their origin and the time come in, datagrams with their destination and
//! events go out. There is no handshake: both sides know each other's ids and addresses from elsewhere (the DHT's
//! handshake), and the first packet opens the stream. Nothing is authenticated or encrypted here; the layer above does
//! both. An on-path attacker can therefore stop a stream, but no packet of anyone can do more than that: `packet.rs`
//! parses, `receive_buffer.rs` bounds memory, `send_buffer.rs` believes only plausible acknowledgements.
//!
//! `stream.rs` is one stream, `transmitter.rs` decides which packet is sent when, from `send_buffer.rs` (data to send),
//! `loss.rs` (loss detection), `congestion.rs` and `rate.rs` (capacity of the path), `pacer.rs`, `rtt.rs` and `mtu.rs`.
//! `time_wait.rs` answers for closed streams.
//!
//! Where the reference leaves the choice to the sender, we differ from it as follows: a packet is believed only if it
//! comes from the remote's address; the advertised window is the free room; packets within one poll are acknowledged
//! together, and by a data packet if there is one; closed streams answer for 15 seconds; larger datagrams are tried in
//! steps of up to 224 bytes.

mod congestion;
mod endpoint;
mod event;
mod loss;
mod mtu;
mod pacer;
pub mod packet;
mod rate;
mod receive_buffer;
mod rtt;
mod send_buffer;
mod sequence;
mod stream;
mod time_wait;
mod transmitter;

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

pub use endpoint::{Endpoint, Received};
pub use event::{CloseReason, Event};
pub use packet::{Packet, PacketError};

/// A path to a remote: one of our sockets, and an address as that socket sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// The number of our socket, as the caller assigned it.
    pub socket: u32,
    /// The address of the remote.
    pub remote: SocketAddr,
}

impl Path {
    /// Creates a path to `remote` for a caller with one socket.
    pub fn of(remote: SocketAddr) -> Self {
        Self { socket: 0, remote }
    }
}

/// The treatment of packets for a stream that is not connected yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firewall {
    /// Packets are dropped.
    Closed,
    /// The first packet shows the possible path of the remote ([`Event::IncomingPath`]). It and others on that path are
    /// taken, within the bounds of any stream, and acknowledged when the stream is connected to that path.
    Open,
}

/// The configuration of an [`Endpoint`]'s streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Most bytes that are held for a reader, in order or ahead of a gap. The remainder is advertised to the remote. At
    /// most one datagram more is held.
    pub receive_bytes_max: usize,
    /// Most bytes that can be written ahead of those in flight.
    pub unsent_bytes_max: usize,
    /// Idle time after which the remote is asked for a sign of life. `None`: never.
    pub keepalive: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        // The window of the reference: enough for 80 MB/s over 50 ms.
        Self { receive_bytes_max: 4 * 1024 * 1024, unsent_bytes_max: 1024 * 1024, keepalive: None }
    }
}

/// Measurements of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Mean round trip, once it was measured.
    pub round_trip_us: Option<u64>,
    /// Bytes of payload in a full packet.
    pub payload_bytes_max: usize,
    /// Highest recent delivery rate of the path, in bytes a second; 0 before it was measured.
    pub delivery_rate: u64,
    /// The congestion window: bytes that may be in flight, with headers.
    pub congestion_window_bytes: u64,
    /// Bytes in flight, with headers.
    pub in_flight_bytes: u64,
    /// Bytes that were written and are not in a packet yet.
    pub unsent_bytes: usize,
    /// Packets that were retransmitted.
    pub resent_packets: u64,
}

/// A call that cannot be performed. No packet of a peer causes one.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum UdxError {
    /// There is no stream with this id, or it was destroyed.
    #[error("no stream has the id {0}")]
    Unknown(u32),
    /// The id belongs to a stream, or did until a moment ago.
    #[error("the stream id {0} is taken: draw another")]
    IdTaken(u32),
    /// The stream already has a remote.
    #[error("stream {0} is already connected")]
    Connected(u32),
    /// The stream has no remote yet.
    #[error("stream {0} is not connected")]
    NotConnected(u32),
    /// The stream was ended or is closed.
    #[error("stream {0} was ended or is closed, and takes no more bytes")]
    Ended(u32),
    /// The message does not fit into a packet.
    #[error("a message has {bytes} bytes, but only {bytes_max} fit into a packet")]
    MessageTooLong {
        /// Bytes of the message.
        bytes: usize,
        /// Bytes that fit.
        bytes_max: usize,
    },
}
