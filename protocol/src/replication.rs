//! Replication of one core with its peers.

mod ranges;

pub use ranges::Ranges;
