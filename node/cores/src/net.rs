//! Replication over the network: the cores that this process serves and copies, and the peers it exchanges them with.
//!
//! Start from [`Network`]. The rules live in `libvms_hypercore` and `libvms_hyperswarm`, in machines without I/O. This module
//! has the tasks that move bytes between these machines and the sockets:
//!
//! ```text
//! socket -> connection (one task each: secret stream, frames, channels) -> core (one task each: Replicator, storage)
//! ```
//!
//! A connection is its own blast radius: a misbehaving peer ends at most its own connection. Cores and connections
//! share nothing but bounded channels. [`Metrics`] counts events.
//!
//! # Memory
//!
//! The memory that peers can make this process use is bounded, for any number of peers:
//!
//! ```text
//! a connection    64 KiB to read into, 256 KiB of buffers, and with a slow peer, counted as *buffered*:
//!                   in    one frame (16 MiB) and its messages (8,192), 1 MiB or one message on its way to cores
//!                   out   for each core 1 MiB and one block; all of it may exist twice, plain and encrypted
//! a channel       0.5 MB: 2,048 requests, 512 regions; for a copy 0.2 MB more: 4,096 intervals that the peer has
//! a copy          64 MiB of blocks that wait for earlier ones, and the tree over 16,384 blocks ahead
//! all strangers   `buffered_bytes_max` (256 MiB) of buffered bytes, 256 KiB for each beside it, and a quarter of it
//!                 for one address; a peer that needs more is disconnected. 512 connections, 64 for one address
//! ```
//!
//! Strangers are peers that connect to us. The operator chose the peers that we connect to: these always have a place, and
//! only the bounds of one connection apply to them. The allocator may keep about as much again as was in small
//! pieces. `tests/hostile/peers` measures all of it from outside.
//!
//! # Timeouts
//!
//! A peer has 10 s to complete the handshake. It has 30 s to send a message or 64 KiB of one, and 30 s to read everything
//! pending for it or 64 KiB of it: a peer that trickles single bytes exceeds that. When half of the shared buffer memory is in
//! use, a stranger that uses much of it has a tenth of that time. A block that a peer owes for 2 s is also requested from
//! idle peers (hedged requests), and after 10 s without a sign of life a peer loses all requests it owes.
//! All of these are in [`NetworkOptions`].

mod admission;
mod byte_budget;
mod connection;
mod copy;
mod core_task;
mod dial;
mod event;
mod metrics;
mod network;
mod options;
mod outbound;
mod registry;
mod shared;
mod standing;
mod swarm;
mod sync;
mod tcp;
#[cfg(test)]
mod tests;
mod trouble;

pub use self::core_task::{CoreEvent, SharedCore};
pub use copy::CopyError;
pub use dial::Whereabouts;
pub use event::{ConnectionKind, NetworkEvent, RemotePeer};
pub use metrics::{Closed, Metrics};
pub use network::{Network, NetworkError};
pub use options::NetworkOptions;
pub use standing::{Listening, Standing};
pub use swarm::{Bootstrap, BootstrapError, SwarmMode, SwarmOptions, SwarmStatus, SwarmTopic};
