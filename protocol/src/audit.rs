//! Audit of a host: the rules for the order of a log, and the comparison of a replayed outcome with the logged one.
//!
//! [`Order`] takes the entries of one log in order and reports those that no honest host writes there;
//! [`compare`] judges one call. Both return a [`Violation`], which names the fault and its values. A comparison
//! leaves nothing out: a deviation would hide there.

use std::fmt;
use std::ops::{Index, IndexMut};

use thiserror::Error;

use crate::entry::{CallEntry, Entry, FilesChange, Outcome, Thrown};
use crate::value::Value;

/// Something that no honest host does, at one block of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Block of the log. Block 0 is the deployment; the first call is block 1.
    pub block: u64,
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
    /// The logged result is not the replayed one: another value, or the replay did not return.
    #[error("{}", self.mismatch())]
    WrongResult(Mismatch),
    /// The logged error is not the replayed one: another error, or the replay did not throw.
    #[error("{}", self.mismatch())]
    WrongError(Mismatch),
    /// The logged fault is not the replayed one: the replay was not stopped, or for another reason.
    #[error("{}", self.mismatch())]
    FalseFault(Mismatch),
    /// The logged archive heads are not the replayed ones.
    #[error("{}", self.mismatch())]
    WrongFiles(Mismatch),
    /// A block of the published archive is not the one that the log implies.
    #[error("block {block} of the published {core} core differs from what the logged calls wrote")]
    ArchiveDiffers {
        /// The core.
        core: ArchiveCore,
        /// The first block that differs.
        block: u64,
    },
    /// A head of the archive signs other blocks than the logged calls left there at that length.
    #[error("the {core} core was signed at length {length} with other blocks than the logged calls wrote")]
    ArchiveHeadDiffers {
        /// The core.
        core: ArchiveCore,
        /// Length of the core that the head signs.
        length: u64,
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
        published: u64,
        /// Length after the last call that left it shorter.
        before: u64,
        /// Length after the next call.
        after: u64,
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

/// The rules for which entry may follow which in a log.
///
/// ```
/// use libvms_protocol::audit::Order;
/// use libvms_protocol::entry::{Entry, Epoch};
/// # use libvms_hypercore::tree::TreeHash;
/// # use libvms_protocol::entry::FilesHead;
/// # let files = FilesHead { version: 1, hash: TreeHash([0; 32]), blobs: 0, blobs_hash: TreeHash([0; 32]) };
/// let mut order = Order::default();
/// // Block 0 must be an init.
/// assert!(order.next(&Entry::Epoch(Epoch { files })).is_err());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Order {
    next_block: u64,
    latest_at: u64,
    has_init: bool,
}

impl Order {
    /// Sets whether the script exports `init`, which is known once it has been loaded.
    pub fn script_has_init(&mut self, has_init: bool) {
        self.has_init = has_init;
    }

    /// Returns the latest time in the entries so far, in milliseconds since 1970.
    pub fn latest_at(&self) -> u64 {
        self.latest_at
    }

    /// Checks the next entry of the log.
    ///
    /// # Errors
    /// Why the entry is not allowed at this place. It counts all the same, so that an audit can go on.
    pub fn next(&mut self, entry: &Entry) -> Result<(), Violation> {
        let block = self.next_block;
        self.next_block += 1;
        match entry {
            Entry::Init(_) if block > 0 => return wrong_order("an init is allowed at block 0 only"),
            Entry::Init(init) => return self.time(init.at),
            _ if block == 0 => return wrong_order("block 0 is not an init"),
            Entry::Call(entry) => {
                self.time(entry.call.at)?;
                self.init_call(block, entry)?;
            }
            Entry::Epoch(_) | Entry::Upgrade(_) => {}
        }
        Ok(())
    }

    fn time(&mut self, at: u64) -> Result<(), Violation> {
        let before = self.latest_at;
        self.latest_at = before.max(at);
        if at < before { Err(Violation::TimeWentBack { at, before }) } else { Ok(()) }
    }

    /// Checks a call of `init`: the host makes it once, first, without a user or arguments; callers never do.
    fn init_call(&self, block: u64, CallEntry { call, .. }: &CallEntry) -> Result<(), Violation> {
        let is_init = call.method_name == "init";
        match (block == 1 && self.has_init, is_init) {
            (true, false) => wrong_order("the script's init was not called first"),
            (true, true) if call.user_id.is_some() || !call.args.is_empty() => {
                wrong_order("init was called with a caller or with arguments")
            }
            (false, true) => wrong_order("init was called again"),
            _ => Ok(()),
        }
    }
}

fn wrong_order(what: &'static str) -> Result<(), Violation> {
    Err(Violation::WrongOrder { what })
}

/// Judges one call. Do not pass a logged `killed`: no replay can tell whether it is true.
///
/// # Errors
/// The first part of the logged outcome that differs from the replay.
pub fn compare(logged: &Outcome, replayed: &Outcome) -> Result<(), Violation> {
    let mismatch = |field| Mismatch { field, logged: describe(logged), replayed: describe(replayed) };
    match (logged, replayed) {
        _ if logged == replayed => Ok(()),
        (Outcome::Fault(_), _) => Err(Violation::FalseFault(mismatch("result.fault"))),
        (Outcome::Threw(ours), Outcome::Threw(theirs)) => {
            Err(Violation::WrongError(compare_thrown(ours, theirs)))
        }
        (Outcome::Threw(_), _) => Err(Violation::WrongError(mismatch("result.err"))),
        (
            Outcome::Returned { value, files },
            Outcome::Returned { value: replayed_value, files: replayed_files },
        ) if value == replayed_value => {
            Err(Violation::WrongFiles(compare_files(files.as_ref(), replayed_files.as_ref())))
        }
        (Outcome::Returned { .. }, _) => Err(Violation::WrongResult(mismatch("result.res"))),
    }
}

fn compare_thrown(logged: &Thrown, replayed: &Thrown) -> Mismatch {
    type Part = fn(&Thrown) -> String;
    let parts: [(&'static str, Part); 4] = [
        ("result.err.name", |thrown| thrown.name.clone()),
        ("result.err.message", |thrown| thrown.message.clone()),
        ("result.err.code", |thrown| thrown.code.map_or("none".into(), |code| code.to_string())),
        ("result.err.details", |thrown| thrown.details.as_ref().map_or("none".into(), Value::to_json)),
    ];
    first_difference(&parts, logged, replayed)
}

/// Returns the first part in which the files of two results differ; files are absent if the call changed nothing.
pub fn compare_files(logged: Option<&FilesChange>, replayed: Option<&FilesChange>) -> Mismatch {
    type Part = fn(&Option<FilesChange>) -> String;
    fn text(part: Option<impl ToString>) -> String {
        part.map_or("none".into(), |part| part.to_string())
    }
    let parts: [(&'static str, Part); 6] = [
        ("result.files.version", |files| text(files.map(|files| files.head.version))),
        ("result.files.hash", |files| text(files.map(|files| files.head.hash))),
        ("result.files.blobs", |files| text(files.map(|files| files.head.blobs))),
        ("result.files.blobsHash", |files| text(files.map(|files| files.head.blobs_hash))),
        ("result.files.from.version", |files| {
            text(files.and_then(|files| files.from).map(|from| from.version))
        }),
        ("result.files.from.blobs", |files| text(files.and_then(|files| files.from).map(|from| from.blobs))),
    ];
    first_difference(&parts, &logged.copied(), &replayed.copied())
}

/// The parts of a compared value: their names in an entry, and their texts.
type Parts<T> = [(&'static str, fn(&T) -> String)];

/// Returns the first of `parts` in which `logged` and `replayed` differ.
fn first_difference<T>(parts: &Parts<T>, logged: &T, replayed: &T) -> Mismatch {
    let different = parts.iter().find(|(_, part)| part(logged) != part(replayed));
    let (field, part) = different.unwrap_or(&parts[0]);
    Mismatch { field, logged: excerpt(&part(logged)), replayed: excerpt(&part(replayed)) }
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Returned { value: None, .. } => "undefined".into(),
        Outcome::Returned { value: Some(value), .. } => excerpt(&value.to_json()),
        Outcome::Threw(Thrown { name, message, .. }) => excerpt(&format!("{name}: {message}")),
        Outcome::Fault(fault) => format!("fault {}", fault.name()),
    }
}

/// Returns the beginning of a text: reports are for reading, and a megabyte is not read.
fn excerpt(text: &str) -> String {
    const CHARACTERS: usize = 200;
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text.into(),
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
            Self::WrongResult(_) => "wrong-result",
            Self::WrongError(_) => "wrong-error",
            Self::FalseFault(_) => "false-fault",
            Self::WrongFiles(_) => "wrong-files",
            Self::ArchiveDiffers { .. } | Self::ArchiveHeadDiffers { .. } => "archive-differs",
            Self::ArchiveInsideCall { .. } => "archive-longer",
        }
    }

    /// Returns the part of the entry or of the archive that is wrong.
    pub fn field(&self) -> &'static str {
        match self {
            Self::MalformedEntry { .. } | Self::WrongOrder { .. } => "entry",
            Self::Unloadable { .. } => "code",
            Self::TimeWentBack { .. } => "at",
            Self::WrongResult(mismatch)
            | Self::WrongError(mismatch)
            | Self::FalseFault(mismatch)
            | Self::WrongFiles(mismatch) => mismatch.field,
            Self::ArchiveDiffers { core, .. }
            | Self::ArchiveHeadDiffers { core, .. }
            | Self::ArchiveInsideCall { core, .. } => core.name(),
        }
    }

    fn mismatch(&self) -> String {
        match self {
            Self::WrongResult(mismatch)
            | Self::WrongError(mismatch)
            | Self::FalseFault(mismatch)
            | Self::WrongFiles(mismatch) => mismatch.to_string(),
            _ => String::new(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Call, Fault, FilesHead, FilesLengths};
    use libvms_hypercore::tree::TreeHash;

    fn returned(number: i64, version: Option<u64>) -> Outcome {
        changed(number, version.map(|version| (version, None)))
    }

    /// Returns an outcome with the files' version after the call, and their lengths before it.
    fn changed(number: i64, files: Option<(u64, Option<(u64, u64)>)>) -> Outcome {
        let files = files.map(|(version, from)| FilesChange {
            head: FilesHead { version, hash: TreeHash([1; 32]), blobs: 0, blobs_hash: TreeHash([2; 32]) },
            from: from.map(|(version, blobs)| FilesLengths { version, blobs }),
        });
        Outcome::Returned { value: Some(Value::Integer(number)), files }
    }

    fn threw(name: &str, message: &str) -> Outcome {
        Outcome::Threw(Thrown::new(name, message))
    }

    fn threw_with(code: Option<i64>, details: Option<Value>) -> Outcome {
        Outcome::Threw(Thrown { code, details, ..Thrown::new("E", "m") })
    }

    fn changed_from(version: u64, blobs: u64) -> Outcome {
        changed(1, Some((9, Some((version, blobs)))))
    }

    #[test]
    fn each_difference_has_its_class_and_field() {
        let cases = [
            (returned(1, None), returned(2, None), "wrong-result", "result.res"),
            (returned(1, None), threw("E", "m"), "wrong-result", "result.res"),
            (returned(1, None), Outcome::Fault(Fault::Fuel), "wrong-result", "result.res"),
            (returned(1, Some(2)), returned(1, Some(3)), "wrong-files", "result.files.version"),
            (returned(1, None), returned(1, Some(3)), "wrong-files", "result.files.version"),
            (threw("E", "m"), threw("F", "m"), "wrong-error", "result.err.name"),
            (threw("E", "m"), threw("E", "n"), "wrong-error", "result.err.message"),
            (threw("E", "m"), returned(1, None), "wrong-error", "result.err"),
            (threw_with(Some(1), None), threw_with(Some(2), None), "wrong-error", "result.err.code"),
            (threw_with(Some(1), None), threw("E", "m"), "wrong-error", "result.err.code"),
            (threw("E", "m"), threw_with(Some(1), None), "wrong-error", "result.err.code"),
            (threw_with(None, Some(Value::Null)), threw("E", "m"), "wrong-error", "result.err.details"),
            (
                threw_with(Some(1), Some(Value::Bool(true))),
                threw_with(Some(1), Some(Value::Bool(false))),
                "wrong-error",
                "result.err.details",
            ),
            (changed_from(1, 0), changed_from(2, 0), "wrong-files", "result.files.from.version"),
            (changed_from(1, 0), changed_from(1, 1), "wrong-files", "result.files.from.blobs"),
            (changed_from(1, 0), returned(1, Some(9)), "wrong-files", "result.files.from.version"),
            (Outcome::Fault(Fault::Fuel), returned(1, None), "false-fault", "result.fault"),
            (Outcome::Fault(Fault::Fuel), Outcome::Fault(Fault::Output), "false-fault", "result.fault"),
        ];
        for (logged, replayed, class, field) in cases {
            let violation = compare(&logged, &replayed).expect_err("they differ");
            assert_eq!((violation.class(), violation.field()), (class, field), "{logged:?} {replayed:?}");
            assert!(violation.to_string().starts_with(field), "{violation}");
            assert_eq!(compare(&logged, &logged), Ok(()));
        }
    }

    #[test]
    fn a_report_quotes_the_beginning_of_a_long_value_only() {
        let long = Outcome::Returned { value: Some(Value::Text("é".repeat(100_000))), files: None };
        let violation = compare(&long, &returned(1, None)).expect_err("they differ");
        assert!(violation.to_string().len() < 1000);
    }

    fn call(method: &str, at: u64) -> Entry {
        let call =
            Call { user_id: None, method_name: method.into(), args: vec![], at, nonce: None, sig: None };
        Entry::Call(CallEntry::new(call, returned(1, None)))
    }

    fn order_after_deployment(has_init: bool) -> Order {
        Order { next_block: 1, latest_at: 10, has_init }
    }

    #[test]
    fn time_never_goes_back() {
        let mut order = order_after_deployment(false);
        assert_eq!(order.next(&call("f", 10)), Ok(()));
        assert_eq!(order.next(&call("f", 9)), Err(Violation::TimeWentBack { at: 9, before: 10 }));
        assert_eq!(order.next(&call("f", 10)), Ok(()));
    }

    #[test]
    fn init_is_called_once_and_first() {
        let mut order = order_after_deployment(true);
        assert_eq!(order.next(&call("init", 10)), Ok(()));
        assert!(matches!(order.next(&call("init", 10)), Err(Violation::WrongOrder { .. })));
        assert!(matches!(
            order_after_deployment(true).next(&call("f", 10)),
            Err(Violation::WrongOrder { .. })
        ));
        assert!(matches!(
            order_after_deployment(false).next(&call("init", 10)),
            Err(Violation::WrongOrder { .. })
        ));
        assert!(matches!(Order::default().next(&call("f", 10)), Err(Violation::WrongOrder { .. })));
    }
}
