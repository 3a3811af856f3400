//! What an auditor holds against a host: the rules of a log's order, and a replayed outcome against the logged one.
//!
//! [`Order`] takes the entries of one log as they come and says which ones no honest host writes there;
//! [`compare`] judges one call. Both give a [`Violation`], which names what is wrong and with which values. Nothing
//! is left out of a comparison: what it leaves out is where a deviation hides.

use std::fmt;

use thiserror::Error;

use crate::entry::{CallEntry, Entry, FilesChange, Outcome, Thrown};
use crate::value::Value;

/// Something that no honest host does, at one block of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The block of the log. Block 0 is the deployment; the first call is block 1.
    pub block: u64,
    /// What is wrong there.
    pub violation: Violation,
}

/// What is wrong with an entry, or with what a host published beside its log.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Violation {
    /// Not an entry in the format.
    #[error("{why}")]
    MalformedEntry {
        /// What is wrong with it.
        why: String,
    },
    /// An entry that cannot stand where it stands.
    #[error("{what}")]
    WrongOrder {
        /// Which entry, and why not there.
        what: &'static str,
    },
    /// The script cannot be loaded, so that no honest host could have deployed it.
    #[error("the script does not load: {why}")]
    Unloadable {
        /// How loading ended.
        why: String,
    },
    /// The time is before that of an earlier entry.
    #[error("time {at} is before {before}, the time of an earlier entry")]
    TimeWentBack {
        /// Milliseconds since 1970 in this entry.
        at: u64,
        /// The latest time in the entries above.
        before: u64,
    },
    /// The call returned something else, or did not return.
    #[error("{}", self.mismatch())]
    WrongResult(Mismatch),
    /// The call threw something else, or did not throw.
    #[error("{}", self.mismatch())]
    WrongError(Mismatch),
    /// The call was not stopped, or for another reason.
    #[error("{}", self.mismatch())]
    FalseFault(Mismatch),
    /// The call left other files.
    #[error("{}", self.mismatch())]
    WrongFiles(Mismatch),
    /// What the host published as its archive is not what the log says.
    #[error("block {block} of the published {core} is not what the logged calls wrote")]
    ArchiveDiffers {
        /// Which core.
        core: ArchiveCore,
        /// The first block that differs.
        block: u64,
    },
    /// A head of the archive was signed over other blocks than the logged calls left it with at that length.
    #[error(
        "the {core} core was signed with {length} blocks that are not those that the logged calls left it with"
    )]
    ArchiveHeadDiffers {
        /// Which core.
        core: ArchiveCore,
        /// Blocks that the head counts.
        length: u64,
    },
    /// A head of the archive was signed with more blocks than one call left it with, and fewer than the next. An honest
    /// host logs a call first, and appends then all that it wrote at once: so these blocks came before their entry, or
    /// without one.
    #[error(
        "the {core} core was signed with {published} blocks, but the logged calls left it with {before} and then {after}"
    )]
    ArchiveInsideCall {
        /// Which core.
        core: ArchiveCore,
        /// Blocks that the head counts.
        published: u64,
        /// Blocks after the last call that left it with fewer.
        before: u64,
        /// Blocks after the next call.
        after: u64,
    },
}

/// A part of an entry that is not what the replay gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The part, as a path in the entry: `result.res`.
    pub field: &'static str,
    /// What the host logged.
    pub logged: String,
    /// What the replay gives.
    pub replayed: String,
}

/// One of the two cores of a files archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveCore {
    /// Names and versions.
    Files,
    /// Contents.
    Blobs,
}

/// The rules for which entry may follow which.
///
/// ```
/// use libvms_protocol::audit::Order;
/// use libvms_protocol::entry::{Entry, Epoch};
/// # use libvms_hypercore::tree::TreeHash;
/// # use libvms_protocol::entry::FilesHead;
/// # let files = FilesHead { version: 1, hash: TreeHash([0; 32]), blobs: 0, blobs_hash: TreeHash([0; 32]) };
/// let mut order = Order::default();
/// // Block 0 must say what is hosted.
/// assert!(order.next(&Entry::Epoch(Epoch { files })).is_err());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Order {
    next_block: u64,
    latest_at: u64,
    has_init: bool,
}

impl Order {
    /// Whether the script exports `init`, known once it has been loaded.
    pub fn script_has_init(&mut self, has_init: bool) {
        self.has_init = has_init;
    }

    /// The latest time in the entries so far, in milliseconds since 1970.
    pub fn latest_at(&self) -> u64 {
        self.latest_at
    }

    /// Takes the next entry of the log.
    ///
    /// # Errors
    /// With what is wrong with its place. The entry counts all the same, so that an audit can go on.
    pub fn next(&mut self, entry: &Entry) -> Result<(), Violation> {
        let block = self.next_block;
        self.next_block += 1;
        match entry {
            Entry::Init(_) if block > 0 => return wrong_order("init stands at block 0 only"),
            Entry::Init(init) => return self.time(init.at),
            _ if block == 0 => return wrong_order("block 0 is not init"),
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

    /// The host calls `init` once, first, for nobody and without arguments; callers never do.
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

/// Judges one call. A logged `killed` is not for this function: no replay can tell whether it is true.
///
/// # Errors
/// With the first part of the logged outcome that is not what the replay gives.
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

/// Names the first part in which two results' files differ; they are absent where the call changed nothing.
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

/// The parts of something that is compared: their names in an entry, and their texts.
type Parts<T> = [(&'static str, fn(&T) -> String)];

/// The first of `parts` in which the two differ.
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

/// The beginning of a text: reports are for reading, and a megabyte is not read.
fn excerpt(text: &str) -> String {
    const CHARACTERS: usize = 200;
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text.into(),
    }
}

impl Violation {
    /// The kind of violation in one word, as reports for programs carry it.
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

    /// The part of the entry or of the archive that is wrong.
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
    /// `files` or `blobs`, as in the entries.
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

    /// The files' version after the call, and their lengths before it.
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
