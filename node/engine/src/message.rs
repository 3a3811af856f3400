//! The messages between a worker, which runs the script, and its driver: the host or a verifier.
//!
//! The driver sends [`Request`]s and may send several ahead; the worker processes them in order and answers each with
//! zero or more [`Report::File`] and [`Report::World`] (the worker waits for a [`FileReply`] or [`WorldReply`] after each) and
//! [`Report::Console`], then
//! with exactly one [`Report::Loaded`] or [`Report::Done`]. The messages contain all that the script can observe:
//! the same requests and replies give the same reports on every machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A driver's request to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Evaluates the script. The first request to a worker, and the only one of its kind.
    Load(Load),
    /// Calls an exported function.
    Call(Call),
}

/// A script to evaluate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// The source text.
    pub code: String,
    /// Whether it is an ES module; otherwise it is a script that exports by `module.exports`.
    pub module: bool,
    /// The value of `Date.now()` during loading: milliseconds since 1970.
    pub at: u64,
    /// The seed of `Math.random` during loading.
    #[serde(with = "serde_bytes")]
    pub seed: [u8; 32],
}

/// A call of an exported function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The name of an own property of the script's exports. The driver decides which names callers may use.
    pub method: String,
    /// The arguments: the text of a JSON array.
    pub args: String,
    /// The value of `System.caller.id`; `null` for an anonymous caller.
    pub user_id: Option<String>,
    /// The value of `Date.now()` when the call starts: milliseconds since 1970.
    pub at: u64,
    /// The seed of `Math.random` for this call.
    #[serde(with = "serde_bytes")]
    pub seed: [u8; 32],
}

/// A worker's report to its driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The script was evaluated, or evaluation failed.
    Loaded(Result<Loaded, LoadFailure>),
    /// The script requests a file operation. The worker waits for the reply.
    File(FileRequest),
    /// The script wants something of the world outside. The worker waits for the reply.
    World(WorldRequest),
    /// The script wrote to its console. This has no effect on anything that is logged.
    Console(Console),
    /// The call is over.
    Done(Done),
}

/// The exports of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// The names of the exported functions in the order of their definition, including `init` if there is one.
    pub methods: Vec<String>,
    /// The names of their parameters, for functions whose parameters are all plain names.
    pub parameters: BTreeMap<String, Vec<String>>,
    /// The first of its other exports, each with its type: for a message to the deployer.
    pub others: Vec<(String, String)>,
}

/// Why a script could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadFailure {
    /// How it ended; never [`Outcome::Returned`].
    pub outcome: Outcome,
    /// The position in the script as the engine reports it (`script.js:3:14`), if it does.
    pub position: Option<Box<str>>,
    /// The script's own stack frames, one per line, if a value with a stack was thrown.
    pub stack: Option<Box<str>>,
}

/// The end of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// How it ended.
    pub outcome: Outcome,
    /// The fuel that the call has used, in the unit of the limit.
    pub fuel: u64,
    /// Bytes that it has written to files and returned, including those beyond the limit.
    pub output: u64,
    /// Bytes of its result's JSON text; 0 if it has none.
    pub result: u64,
    /// The script's own stack frames, one per line, if a value with a stack was thrown. For the operator: not in
    /// the log.
    pub stack: Option<String>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It returned (or its promise was fulfilled): the JSON text of the value, `None` for `undefined`. Lone
    /// surrogates are replaced by U+FFFD, so that the text is well-formed.
    Returned(Option<String>),
    /// It threw (or its promise was rejected).
    Threw(Thrown),
    /// It was stopped, and could not prevent it.
    Fault(Fault),
}

/// The value that a script threw. `throw 'text'` has the name `Error` and the text as message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thrown {
    /// The error's `name`.
    pub name: String,
    /// The error's `message`.
    pub message: String,
    /// The error's own `code`, if it is one that a script may choose.
    pub code: Option<i64>,
    /// The JSON text of the error's own `data`, if it has any. Well-formed, as a result is.
    pub details: Option<String>,
}

impl Thrown {
    /// Returns an error without code and details.
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), message: message.into(), code: None, details: None }
    }
}

/// Why a call was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// It took more steps than its limit.
    Fuel,
    /// It wrote more to files, or returned more, than its limits.
    Output,
}

/// A line that a script wrote to its console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Console {
    /// `log`, `info`, `warn`, `error` or `debug`.
    pub level: String,
    /// The text. The worker limits how much a call may write.
    pub text: String,
}

/// An operation on the files archive. Paths are as the script gave them; the driver normalises them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileRequest {
    /// Describes the archive itself. Answer: [`FileAnswer::Info`].
    Info,
    /// Describes one path. Answer: [`FileAnswer::Stat`].
    Stat { path: String },
    /// Reads a file. Answer: [`FileAnswer::Content`].
    Read { path: String },
    /// Lists the names in a directory, or all paths below it: at most `limit` of them, after the first `offset`; with
    /// `reverse` from the last name to the first. Answer: [`FileAnswer::Names`].
    List { path: String, recursive: bool, offset: u64, limit: Option<u64>, reverse: bool },
    /// Writes a file, whole. Answer: [`FileAnswer::Ok`].
    Write {
        path: String,
        #[serde(with = "serde_bytes")]
        content: Vec<u8>,
    },
    /// Checks that a directory can exist at the path. Answer: [`FileAnswer::Ok`].
    MakeDirectory { path: String },
    /// Deletes a file. Answer: [`FileAnswer::Ok`].
    Remove { path: String },
    /// Deletes a directory, with all below it if `recursive`. Answer: [`FileAnswer::Ok`].
    RemoveDirectory { path: String, recursive: bool },
    /// Lists the changes of the archive, oldest first. Answer: [`FileAnswer::History`].
    History { start: Option<u64>, end: Option<u64>, reverse: bool, limit: Option<u64> },
}

impl FileRequest {
    /// Returns the bytes of the request's path; 0 if it has none.
    pub fn path_length(&self) -> u64 {
        match self {
            Self::Stat { path }
            | Self::Read { path }
            | Self::List { path, .. }
            | Self::Write { path, .. }
            | Self::MakeDirectory { path }
            | Self::Remove { path }
            | Self::RemoveDirectory { path, .. } => path.len() as u64,
            Self::Info | Self::History { .. } => 0,
        }
    }

    /// Returns whether the request changes the archive.
    pub fn is_write(&self) -> bool {
        match self {
            Self::Write { .. }
            | Self::MakeDirectory { .. }
            | Self::Remove { .. }
            | Self::RemoveDirectory { .. } => true,
            Self::Info | Self::Stat { .. } | Self::Read { .. } | Self::List { .. } | Self::History { .. } => {
                false
            }
        }
    }
}

/// What a script wants of the world outside. Texts are as the script gave them; the driver knows their bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorldRequest {
    /// Asks an oracle. Reply: nothing, at once, if the question was taken; its answer is fetched later.
    Ask {
        /// The oracle.
        name: String,
        /// The arguments: the text of a JSON array.
        args: String,
    },
    /// The answer to the oldest question whose answer was not fetched yet: the script can do nothing else. Reply: the text of a
    /// JSON value.
    Answer,
    /// Tells the world something once the call is durable, if it returns. Reply: nothing, if it will be told.
    Emit {
        /// The effect.
        name: String,
        /// The arguments: the text of a JSON array.
        args: String,
    },
    /// The id of the running call. Reply: its text, or nothing while the script loads.
    CallId,
}

/// The reply to a [`WorldRequest`].
pub type WorldReply = Result<Option<String>, WorldError>;

/// Why the world outside refuses something, as the script sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldError {
    /// The error's `name`.
    pub name: String,
    /// The error's `message`.
    pub message: String,
    /// The error's `code`, if it has one.
    pub code: Option<String>,
}

/// The reply to a [`FileRequest`].
pub type FileReply = Result<FileAnswer, Thrown>;

/// The answer to a successful file operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileAnswer {
    /// Done; no content.
    Ok,
    /// See [`FileRequest::Info`].
    Info(Info),
    /// See [`FileRequest::Stat`].
    Stat(Stat),
    /// The content of a file.
    Content(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Names, in the order of their UTF-8 bytes or the reverse.
    Names {
        /// The requested names.
        names: Vec<String>,
        /// The number of other names that had to be read: a script pays for them, too.
        passed: u64,
    },
    /// Changes in order.
    History(Vec<Change>),
}

/// A description of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// The archive's URL: `hyper://` and its key.
    pub url: String,
    /// The archive's key in hexadecimal.
    pub key: String,
    /// The service's title.
    pub title: String,
    /// The archive's version, including this call's writes so far.
    pub version: u64,
}

/// A description of a file or directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Bytes of the content; 0 for a directory.
    pub size: u64,
    /// Blocks of the content; 0 for a directory.
    pub blocks: u64,
    /// Offset of the content in the blobs core, in bytes.
    pub offset: u64,
}

/// One change of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The version that this change created.
    pub version: u64,
    /// The normalised path.
    pub path: String,
    /// Whether the change deleted the file; otherwise it wrote the file.
    pub deleted: bool,
}
