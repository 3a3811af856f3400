//! Bounds of cores, B-trees and drives, each with its reason.
//!
//! A bound that a replay depends on cannot be changed for an existing log: a log that was valid must stay valid. The
//! bounds of a log of calls are in `libvms_protocol::limits`.
//!
//! The bounds on the cost of one peer are defined where they are counted: [`frame`](crate::secret_stream::frame) (16 MiB a
//! frame), [`mux::Limits`](crate::wire::mux::Limits) (channels, messages in a frame, early messages),
//! [`message`](crate::wire::message) (bytes of a block, nodes of a proof, words of a bitfield) and `replication`. The
//! last has, for each channel, 2,048 waiting requests, 1 MiB and one block of unwritten answers, 4,096 intervals of the
//! peer's blocks, 512 regions that it asks about, 24 refusals, 16 claims of other forks; and for each core 16,384
//! blocks ahead of the first gap and 256 pieces of evidence against its writer. The node's `net` states the total.

/// Bytes of one log entry, and of any block of a core that we write. Design: a block is at most 8 MiB; JavaScript
/// hypercores refuse blocks above 15 MiB.
pub const BLOCK_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The largest integer that JSON data carries exactly: 2^53. Larger ones are floating-point numbers.
pub const INTEGER_MAX: i64 = 1 << 53;

/// Bytes of an archive path after normalisation. An entry repeats its path in a block of its own.
pub const PATH_BYTES_MAX: usize = 4096;

/// Bytes of one block of a file's content (Hyperblobs' block size).
pub const BLOB_BLOCK_BYTES: usize = 65_536;

/// Levels of a Hyperbee. With at least 5 children per inner node, 2^53 entries need 23.
pub const BEE_DEPTH_MAX: usize = 32;

const _: () = assert!(BLOB_BLOCK_BYTES <= BLOCK_BYTES_MAX);
