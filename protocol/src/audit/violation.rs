//! What an entry or an archive can break: [`Violation`].

use std::fmt;
use std::ops::{Index, IndexMut};

use libvms_hypercore::blocks::{BlockIndex, Length};
use thiserror::Error;

/// Something that no honest host does, at one block of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Block of the log. Block 0 is the deployment; the first call is block 1.
    pub block: BlockIndex,
    /// The violation, with its values.
    pub violation: Violation,
}

/// A fault of an entry, or of an archive that a host published beside its log.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Violation {
    /// The block is not an entry in the format.
    #[error("{why}")]
    MalformedEntry {
        /// The decoder's message.
        why: String,
    },
    /// The entry is not allowed at its place in the log.
    #[error("{what}")]
    WrongOrder {
        /// The entry, and why it is not allowed there.
        what: &'static str,
    },
    /// The script cannot be loaded, so no honest host could have deployed it.
    #[error("the script does not load: {why}")]
    Unloadable {
        /// The error with which loading ended.
        why: String,
    },
    /// The time is before that of an earlier entry.
    #[error("time {at} is before {before}, the time of an earlier entry")]
    TimeWentBack {
        /// Time of this entry, in milliseconds since 1970.
        at: u64,
        /// The latest time of the earlier entries, in milliseconds since 1970.
        before: u64,
    },
    /// The call is not signed by the key that it names, for this log, method, arguments and numbers.
    #[error("the call is not signed by the caller that it names")]
    BadSignature,
    /// The nonce is not greater than that of every earlier call of its caller.
    #[error("nonce {nonce} is not greater than {greatest}, an earlier one of this caller; see block {block}")]
    RepeatedNonce {
        /// Nonce of this entry, in microseconds since 1970.
        nonce: u64,
        /// The greatest nonce of the caller's earlier calls.
        greatest: u64,
        /// The earlier call with the same nonce, or else with the greatest.
        block: BlockIndex,
    },
    /// The call replaces another that stands in the log already, or was replaced there already: one intention was executed
    /// twice.
    #[error("the call replaces nonce {number}, which block {block} has executed")]
    RepeatedCall {
        /// The nonce that is replaced.
        number: u64,
        /// The earlier call with this number.
        block: BlockIndex,
    },
    /// The nonces that the call replaces are not 1 to 8, ascending, each smaller than its own. The same class as
    /// [`Violation::RepeatedCall`].
    #[error("the nonces that the call replaces are not 1 to 8, ascending, and smaller than its own")]
    WrongInstead,
    /// The call replaces one so old that the log cannot tell whether it was executed.
    #[error("the call of time {at} replaces nonce {number}, which is older than two times {call_age} ms")]
    StaleInstead {
        /// The nonce that is replaced, in microseconds since 1970.
        number: u64,
        /// Time of this entry, in milliseconds since 1970.
        at: u64,
        /// The age that a call may have, in milliseconds.
        call_age: u64,
    },
    /// The call was signed too long before its execution, or for a time after it.
    #[error("the call of nonce {nonce} was executed at {at}, not within {call_age} ms after it was signed")]
    StaleCall {
        /// The nonce, in microseconds since 1970.
        nonce: u64,
        /// Time of this entry, in milliseconds since 1970.
        at: u64,
        /// The age that a call may have, in milliseconds.
        call_age: u64,
    },
    /// The caller has seen a head that is not this log's.
    #[error(
        "the caller has seen a head of length {length}, which is not among the latest of this log at block {block}"
    )]
    UnknownHead {
        /// Length of the head that the caller has seen.
        length: Length,
        /// Blocks before this entry.
        block: BlockIndex,
        /// Whether the length is before those that count, so that the hash was not compared.
        is_old: bool,
    },
    /// More signed calls within twice the age of a call than an auditor keeps.
    #[error("more than {max} signed calls before {at} within twice the age of a call", max = crate::limits::SIGNED_CALLS_MAX)]
    TooManyCalls {
        /// Time of this entry, in milliseconds since 1970.
        at: u64,
    },
    /// The logged result is not the replayed one: another value, or the replay did not return.
    #[error("{0}")]
    WrongResult(Mismatch),
    /// The logged error is not the replayed one: another error, or the replay did not throw.
    #[error("{0}")]
    WrongError(Mismatch),
    /// The logged fault is not the replayed one: the replay was not stopped, or for another reason.
    #[error("{0}")]
    FalseFault(Mismatch),
    /// The logged archive heads are not the replayed ones.
    #[error("{0}")]
    WrongFiles(Mismatch),
    /// The replay asked another question than the logged one.
    #[error("{0}")]
    OracleOther(Mismatch),
    /// The replay asked a question, or needed an answer, that the log does not have.
    #[error("{0}")]
    OracleMissing(Mismatch),
    /// The log has a question that the replay did not ask, or an answer that it did not need.
    #[error("{0}")]
    OracleUnused(Mismatch),
    /// The logged effects are not the replayed ones.
    #[error("{0}")]
    EffectOther(Mismatch),
    /// A block of the published archive is not the one that the log implies.
    #[error("block {block} of the published {core} core differs from what the logged calls wrote")]
    ArchiveDiffers {
        /// The core.
        core: ArchiveCore,
        /// The first block that differs.
        block: BlockIndex,
    },
    /// A head of the archive signs other blocks than the logged calls left there at that length.
    #[error("the {core} core was signed at length {length} with other blocks than the logged calls wrote")]
    ArchiveHeadDiffers {
        /// The core.
        core: ArchiveCore,
        /// Length of the core that the head signs.
        length: Length,
    },
    /// A head of the archive was signed at a length between those that two consecutive calls left. An honest host logs a
    /// call first and then appends everything it wrote at once: so these blocks were appended before their entry, or
    /// without one.
    #[error(
        "the {core} core was signed with {published} blocks, but the logged calls left it at {before} and then {after}"
    )]
    ArchiveInsideCall {
        /// The core.
        core: ArchiveCore,
        /// Length of the core that the head signs.
        published: Length,
        /// Length after the last call that left it shorter.
        before: Length,
        /// Length after the next call.
        after: Length,
    },
}

/// A part of an entry that differs from the replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The part, as a path in the entry: `result.res`.
    pub field: &'static str,
    /// What the host logged.
    pub logged: String,
    /// What the replay computed.
    pub replayed: String,
}

/// One of the two cores of a files archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveCore {
    /// The files core: names and versions.
    Files,
    /// The blobs core: contents.
    Blobs,
}

impl ArchiveCore {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Files, Self::Blobs];
}

/// A value for each core of a files archive.
///
/// ```
/// use libvms_protocol::audit::{ArchiveCore, PerCore};
///
/// let mut lengths = PerCore { files: 3, blobs: 1 };
/// lengths[ArchiveCore::Blobs] += 1;
/// assert_eq!(lengths, PerCore { files: 3, blobs: 2 });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerCore<T> {
    /// The files core's.
    pub files: T,
    /// The blobs core's.
    pub blobs: T,
}

impl<T> Index<ArchiveCore> for PerCore<T> {
    type Output = T;

    fn index(&self, core: ArchiveCore) -> &T {
        match core {
            ArchiveCore::Files => &self.files,
            ArchiveCore::Blobs => &self.blobs,
        }
    }
}

impl<T> IndexMut<ArchiveCore> for PerCore<T> {
    fn index_mut(&mut self, core: ArchiveCore) -> &mut T {
        match core {
            ArchiveCore::Files => &mut self.files,
            ArchiveCore::Blobs => &mut self.blobs,
        }
    }
}

impl Violation {
    /// Returns the kind of violation in one word, for reports that programs read.
    pub fn class(&self) -> &'static str {
        match self {
            Self::MalformedEntry { .. } => "malformed-entry",
            Self::WrongOrder { .. } => "wrong-order",
            Self::Unloadable { .. } => "unloadable-script",
            Self::TimeWentBack { .. } => "time-went-back",
            Self::BadSignature => "bad-signature",
            Self::RepeatedNonce { .. } => "repeated-nonce",
            Self::RepeatedCall { .. } | Self::WrongInstead => "repeated-call",
            Self::StaleInstead { .. } => "stale-instead",
            Self::StaleCall { .. } => "stale-call",
            Self::UnknownHead { .. } => "unknown-head",
            Self::TooManyCalls { .. } => "too-many-calls",
            Self::WrongResult(_) => "wrong-result",
            Self::WrongError(_) => "wrong-error",
            Self::FalseFault(_) => "false-fault",
            Self::WrongFiles(_) => "wrong-files",
            Self::OracleOther(_) => "oracle-other",
            Self::OracleMissing(_) => "oracle-missing",
            Self::OracleUnused(_) => "oracle-unused",
            Self::EffectOther(_) => "effect-other",
            Self::ArchiveDiffers { .. } | Self::ArchiveHeadDiffers { .. } => "archive-differs",
            Self::ArchiveInsideCall { .. } => "archive-longer",
        }
    }

    /// Returns the part of the entry or of the archive that is wrong.
    pub fn field(&self) -> &'static str {
        match self {
            Self::MalformedEntry { .. } | Self::WrongOrder { .. } => "entry",
            Self::Unloadable { .. } => "code",
            Self::TimeWentBack { .. } | Self::TooManyCalls { .. } => "at",
            Self::BadSignature => "call.sig",
            Self::RepeatedNonce { .. } | Self::StaleCall { .. } => "call.nonce",
            Self::RepeatedCall { .. } | Self::WrongInstead | Self::StaleInstead { .. } => "call.instead",
            Self::UnknownHead { .. } => "call.seen",
            Self::WrongResult(_)
            | Self::WrongError(_)
            | Self::FalseFault(_)
            | Self::WrongFiles(_)
            | Self::OracleOther(_)
            | Self::OracleMissing(_)
            | Self::OracleUnused(_)
            | Self::EffectOther(_) => self.mismatch().map_or("entry", |mismatch| mismatch.field),
            Self::ArchiveDiffers { core, .. }
            | Self::ArchiveHeadDiffers { core, .. }
            | Self::ArchiveInsideCall { core, .. } => core.name(),
        }
    }

    fn mismatch(&self) -> Option<&Mismatch> {
        match self {
            Self::WrongResult(mismatch)
            | Self::WrongError(mismatch)
            | Self::FalseFault(mismatch)
            | Self::WrongFiles(mismatch)
            | Self::OracleOther(mismatch)
            | Self::OracleMissing(mismatch)
            | Self::OracleUnused(mismatch)
            | Self::EffectOther(mismatch) => Some(mismatch),
            _ => None,
        }
    }
}

impl ArchiveCore {
    /// Returns `files` or `blobs`, as in the entries.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Blobs => "blobs",
        }
    }
}

impl fmt::Display for ArchiveCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: logged {}, replay gives {}", self.field, self.logged, self.replayed)
    }
}
