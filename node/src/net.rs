//! Replication over the network: cores that are served and copied, and the peers to do it with.
//!
//! Start from [`Network`]. Its rules live in `libvms_protocol`, in machines without I/O; here are the tasks that move
//! bytes between them and the sockets:
//!
//! ```text
//! socket -> connection (one task each: secret stream, frames, channels) -> core (one task each: Replicator, storage)
//! ```
//!
//! A connection is its own blast radius: whatever a peer sends ends at most its own connection. Cores and connections
//! share nothing but channels of bounded work.

mod connection;
mod copy;
mod core;
mod network;
mod secret;
#[cfg(test)]
mod tests;

pub use self::core::{CoreEvent, Held};
pub use copy::{CopyError, begin, complete};
pub use network::{Network, NetworkError, NetworkOptions};
pub use secret::{SecretError, SecretStream};
