//! Reliable streams over datagrams, as the npm package udx-native 1.21 speaks them, as machines without I/O.
//!
//! Start from [`Endpoint`]: datagrams with their origin and the time come in, datagrams with their destination and events go
//! out. There is no handshake: both sides know each other's ids and addresses from elsewhere (the DHT's handshake), and
//! the first packet opens the stream. Nothing is authenticated or encrypted here; the layer above does both. An attacker
//! on the way can therefore stop a stream, but nothing that anyone sends may stop more than that: `packet.rs`
//! reads, `receiving.rs` bounds what is held, `sending.rs` believes only what can be true.
//!
//! `stream.rs` is one stream, `transmitter.rs` decides what goes out when, from `sending.rs` (what is there to send),
//! `loss.rs` (what was lost), `congestion.rs` and `rate.rs` (what the path carries), `pacer.rs`, `rtt.rs` and
//! `mtu.rs`. `time_wait.rs` answers for streams that are gone.
//!
//! Where the reference leaves it to the sender we differ from it so: a packet is believed only if it comes from the remote's
//! address; the window that we advertise is the room that there is; what comes within one poll is acknowledged together, and
//! by a data packet if there is one; closed streams answer for 15 seconds; larger datagrams are tried in steps of up to
//! 224 bytes.

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

/// A way to a remote: one of our sockets, and an address as that socket sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// Which of our sockets: any numbers that the caller gives them.
    pub socket: u32,
    /// The address of the remote.
    pub remote: SocketAddr,
}

impl Path {
    /// A way to `remote` for a caller with one socket.
    pub fn of(remote: SocketAddr) -> Self {
        Self { socket: 0, remote }
    }
}

/// What happens to packets for a stream that is not connected yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firewall {
    /// They are dropped.
    Closed,
    /// The first tells who the remote may be ([`Event::IncomingPath`]). It and others on its path are taken, within the
    /// bounds of any stream, and acknowledged when the stream is connected to that path.
    Open,
}

/// How the streams of an [`Endpoint`] work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes that are held for a reader, in order or ahead of a gap. The remote is told what is left of it. At most one
    /// datagram more is held.
    pub receive_bytes_max: usize,
    /// Bytes that can be written ahead of what is under way.
    pub unsent_bytes_max: usize,
    /// After so long without anything to send, the remote is asked whether it is there. `None`: never.
    pub keepalive: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        // The window of the reference: enough for 80 MB/s over 50 ms.
        Self { receive_bytes_max: 4 * 1024 * 1024, unsent_bytes_max: 1024 * 1024, keepalive: None }
    }
}

/// How a stream is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Mean round trip, once it was measured.
    pub round_trip_us: Option<u64>,
    /// Bytes of payload in a full packet.
    pub payload_bytes_max: usize,
    /// Bytes a second that the path was seen to deliver at best of late; 0 before it was measured.
    pub delivery_rate: u64,
    /// Bytes that may be under way, with headers.
    pub congestion_window_bytes: u64,
    /// Bytes that are under way, with headers.
    pub in_flight_bytes: u64,
    /// Bytes that were written and are in no packet yet.
    pub unsent_bytes: usize,
    /// Packets that were sent again.
    pub resent_packets: u64,
}

/// A call that cannot be done. None of them comes of what a peer sends.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum UdxError {
    /// There is no stream with this id, or it was destroyed.
    #[error("no stream has the id {0}")]
    Unknown(u32),
    /// The id belongs to a stream, or did until a moment ago.
    #[error("the id {0} is taken")]
    IdTaken(u32),
    /// The stream has a remote already.
    #[error("stream {0} is connected already")]
    Connected(u32),
    /// The stream has no remote yet.
    #[error("stream {0} is not connected")]
    NotConnected(u32),
    /// The stream was ended or is closed.
    #[error("stream {0} takes no more")]
    Ended(u32),
    /// The message does not fit into a packet.
    #[error("a message of {bytes} bytes, of which {bytes_max} fit into a packet")]
    MessageTooLong {
        /// Bytes of the message.
        bytes: usize,
        /// Bytes that fit.
        bytes_max: usize,
    },
}
