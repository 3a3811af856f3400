//! Bounds of the log's format, each with its reason. Those of cores and drives are in
//! [`libvms_hypercore::limits`].
//!
//! A bound that a replay depends on cannot be changed for an existing log: a log that was valid must stay valid.
//! Limits that a host may choose per log are part of the log (`entry::Limits`); these are the bounds above them.

use libvms_hypercore::limits::BLOCK_BYTES_MAX;

/// Bytes of the JSON text of one call's arguments.
pub const ARGUMENTS_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the JSON text of one call's result.
pub const RESULT_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the name and of the message of a logged error, each. The VM cuts longer ones.
pub const ERROR_TEXT_BYTES_MAX: usize = 16 * 1024;

/// Nesting of arrays and objects in a JSON value: deep enough for data, shallow enough that recursive code cannot
/// exhaust the stack.
pub const VALUE_DEPTH_MAX: usize = 100;

/// Bytes of a method's name. No script that a person wrote exports a longer one.
pub const METHOD_NAME_BYTES_MAX: usize = 256;

/// Bytes of a caller's name under `auth: "debug"`.
pub const USER_ID_BYTES_MAX: usize = 1024;

/// The largest nonce: an integer that every JSON reader takes exactly, and 285 years of microseconds since 1970.
pub const NONCE_MAX: u64 = (1 << 53) - 1;

/// Nonces that a signed call may replace. A client that has signed a call so often has asked the log in between.
pub const INSTEAD_MAX: usize = 8;

/// Milliseconds that a signed call may be old when it is executed, at most: an auditor keeps the numbers of twice as long.
pub const CALL_AGE_MAX: u64 = 60 * 60 * 1000;

/// Milliseconds that a signed call may be old when it is executed, unless a deployment says otherwise: longer than a call
/// waits in a queue, and clocks of people's machines differ by less.
pub const CALL_AGE_DEFAULT: u64 = 60 * 1000;

/// Signed calls in a log within twice the age of a call: 160 MB of an auditor's memory. A host must not escape its auditors
/// by flooding its own log.
pub const SIGNED_CALLS_MAX: u64 = 4_000_000;

/// Lengths, counted back from a call's block, at which a caller may have seen the log: 2 MiB of hashes.
pub const SEEN_LENGTHS_MAX: u64 = 65_536;

/// Bytes of a script.
pub const CODE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a service's title.
pub const TITLE_BYTES_MAX: usize = 1024;

/// Bytes of the engine's name, version and build, each.
pub const ENGINE_TEXT_BYTES_MAX: usize = 256;

/// The latest time that a JavaScript `Date` can hold, in milliseconds since 1970 (ECMA-262, "Time Values").
pub const TIME_MAX: u64 = 8_640_000_000_000_000;

// A call entry repeats the arguments and the result beside some small fields; it must fit into a block. JSON text
// can grow when it becomes CBOR: a digit and its comma (two bytes) may become a nine-byte float.
const _: () = assert!(5 * (ARGUMENTS_BYTES_MAX + RESULT_BYTES_MAX) / 2 < BLOCK_BYTES_MAX);
const _: () = assert!(CODE_BYTES_MAX + 4096 < BLOCK_BYTES_MAX);
