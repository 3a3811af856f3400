//! Replication over the network: cores that are served and copied, and the peers to do it with.
//!
//! Start from [`Network`]. Its rules live in `libvms_hypercore` and `libvms_hyperswarm`, in machines without I/O; here are the
//! tasks that move bytes between them and the sockets:
//!
//! ```text
//! socket -> connection (one task each: secret stream, frames, channels) -> core (one task each: Replicator, storage)
//! ```
//!
//! A connection is its own blast radius: whatever a peer sends ends at most its own connection. Cores and connections
//! share nothing but channels of bounded work. What happens is counted in [`Metrics`].
//!
//! # Memory
//!
//! What peers can make us keep is bounded, whoever they are and however many:
//!
//! ```text
//! a connection    64 KiB to read into, 256 KiB of buffers, and where a peer is slow, counted as *buffered*:
//!                   in    one frame (16 MiB) and its messages (8,192), 1 MiB or one message on its way to cores
//!                   out   for each core 1 MiB and one block; all of it may be there twice, plain and encrypted
//! a channel       0.5 MB: 2,048 requests, 512 regions; for a copy 0.2 MB more: 4,096 intervals of what the peer has
//! a copy          64 MiB of blocks that wait for earlier ones, and the tree over 16,384 blocks ahead
//! all strangers   `buffered_bytes_max` (256 MiB) of what is buffered, 256 KiB for each beside it, and a quarter of it
//!                 for one address; who needs more is disconnected. 512 connections, 64 for one address
//! ```
//!
//! Strangers are those who connect to us. A peer that we connect to was chosen by whoever runs us: it has a place in any
//! case, and is held to the bounds of one connection only. The allocator may keep about as much again as was in small
//! pieces. `tests/hostile_net` measures it all from outside.
//!
//! # Patience
//!
//! A peer has 10 s to shake hands and 30 s to send a message or 64 KiB of one, or to take all that waits for it or
//! 64 KiB of it; whoever trickles single bytes is gone by then. When half of all memory is taken, a stranger that takes
//! much of it has a tenth of that time. What a peer owes for 2 s is asked of others that have
//! nothing else to do, and after 10 s without a sign it loses all it owes. All of that is in [`NetworkOptions`].

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
mod secret_stream;
mod shared;
mod standing;
mod swarm;
mod sync;
mod tcp;
#[cfg(test)]
mod tests;
mod trouble;

pub use self::core_task::{CoreEvent, SharedCore};
pub use copy::{CopyError, begin, complete};
pub use dial::Whereabouts;
pub use event::{ConnectionKind, NetworkEvent, RemotePeer};
pub use metrics::{Closed, Metrics};
pub use network::{Network, NetworkError};
pub use options::NetworkOptions;
pub use secret_stream::{SecretError, SecretStream};
pub use standing::{Listening, Standing};
pub use swarm::{Bootstrap, BootstrapError, SwarmMode, SwarmOptions, SwarmStatus, SwarmTopic};
