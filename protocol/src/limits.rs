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

/// Names of oracles, and of effects, that a service may use. A person wrote each.
pub const NAMES_MAX: usize = 64;

/// Bytes of the name of an oracle or effect.
pub const NAME_BYTES_MAX: usize = 256;

/// Questions of one call. A call waits for their answers, and all callers for the call.
pub const QUESTIONS_MAX: usize = 64;

/// Bytes of a question, in DAG-CBOR.
pub const QUESTION_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of an oracle's answer, in DAG-CBOR.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of all answers to one call, in DAG-CBOR, errors not counted: they must fit into an entry beside arguments and
/// result.
pub const ANSWERS_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Bytes of the name of an oracle's error.
pub const ORACLE_ERROR_NAME_BYTES_MAX: usize = 64;

/// Bytes of the message of an oracle's error: a call may have 64 of them beside its answers.
pub const ORACLE_ERROR_MESSAGE_BYTES_MAX: usize = 1024;

/// Effects of one call.
pub const EFFECTS_MAX: usize = 64;

/// Bytes of the effects of one call, in DAG-CBOR.
pub const EFFECTS_BYTES_MAX: usize = 256 * 1024;

// A call entry repeats the arguments and the result beside some small fields; it must fit into a block. JSON text
// can grow when it becomes CBOR: `0.5,` may become a nine-byte float.
const CALL_BYTES_MAX: usize = 9 * (ARGUMENTS_BYTES_MAX + RESULT_BYTES_MAX) / 4 + 2 * ERROR_TEXT_BYTES_MAX;
// Each answer has its hash and the names of its fields.
const ERRORS_BYTES_MAX: usize =
    QUESTIONS_MAX * (ORACLE_ERROR_NAME_BYTES_MAX + ORACLE_ERROR_MESSAGE_BYTES_MAX + 100);
const _: () = assert!(
    CALL_BYTES_MAX + ANSWERS_BYTES_MAX + ERRORS_BYTES_MAX + EFFECTS_BYTES_MAX + 4096 < BLOCK_BYTES_MAX
);
const _: () = assert!(CODE_BYTES_MAX + 2 * NAMES_MAX * (NAME_BYTES_MAX + 3) + 4096 < BLOCK_BYTES_MAX);
