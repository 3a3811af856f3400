//! Every bound of the formats, each with its reason.
//!
//! A bound that a replay depends on cannot be changed for an existing log: a log that was valid must stay valid.
//! What a host may choose per log stands in the log itself (`entry::Limits`); these are the bounds above it.
//!
//! What one peer may cost stands where it is counted: [`frame`](crate::wire::frame) (16 MiB a frame),
//! [`mux::Limits`](crate::wire::mux::Limits) (channels, messages in a frame, early messages),
//! [`message`](crate::wire::message) (bytes of a block, nodes of a proof, words of a bitfield) and `replication`, for each
//! channel: 2,048 requests that wait, 1 MiB and one block of answers that are not written, 4,096 intervals of what the peer
//! has, 512 regions that it asks about, 24 refusals, 16 claims of other forks; and for each core 16,384 blocks ahead of the
//! first gap and 256 things that speak against its writer. The sum of it all is stated in the node's `net`.

/// Bytes of one log entry, and of any block of a core that we write. Design: a block is at most 8 MiB; JavaScript
/// hypercores refuse blocks above 15 MiB.
pub const BLOCK_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of the JSON text of one call's arguments.
pub const ARGUMENTS_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the JSON text of one call's result.
pub const RESULT_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the name and of the message of a logged error, each. Longer ones are cut by the VM.
pub const ERROR_TEXT_BYTES_MAX: usize = 16 * 1024;

/// Levels of arrays and objects inside one another in a JSON value: deep enough for data, shallow enough that
/// recursive code cannot run out of stack.
pub const VALUE_DEPTH_MAX: usize = 100;

/// Bytes of a method's name. Longer names cannot be exported by any script that a person wrote.
pub const METHOD_NAME_BYTES_MAX: usize = 256;

/// Bytes of a caller's name under `auth: "debug"`.
pub const USER_ID_BYTES_MAX: usize = 1024;

/// Bytes of a script.
pub const CODE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a service's title.
pub const TITLE_BYTES_MAX: usize = 1024;

/// Bytes of the engine's name, version and build, each.
pub const ENGINE_TEXT_BYTES_MAX: usize = 256;

/// The largest integer that JSON data carries exactly: 2^53. Integers beyond it are floating-point numbers.
pub const INTEGER_MAX: i64 = 1 << 53;

/// The latest time that a JavaScript `Date` can hold, in milliseconds since 1970 (ECMA-262, "Time Values").
pub const TIME_MAX: u64 = 8_640_000_000_000_000;

/// Bytes of an archive path after normalisation. An entry repeats its path in a block of its own.
pub const PATH_BYTES_MAX: usize = 4096;

/// Bytes of one part of a file's content (Hyperblobs' block size).
pub const BLOB_BLOCK_BYTES: usize = 65_536;

/// Levels of a Hyperbee. With at least 5 children per inner node, 2^53 entries need 23.
pub const BEE_DEPTH_MAX: usize = 32;

// A call entry repeats the arguments and the result beside some small fields; it must fit into a block. JSON text
// can grow when it becomes CBOR: a digit and its comma (two bytes) may become a nine-byte float.
const _: () = assert!(5 * (ARGUMENTS_BYTES_MAX + RESULT_BYTES_MAX) / 2 < BLOCK_BYTES_MAX);
const _: () = assert!(CODE_BYTES_MAX + 4096 < BLOCK_BYTES_MAX);
const _: () = assert!(BLOB_BLOCK_BYTES <= BLOCK_BYTES_MAX);
