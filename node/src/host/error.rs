//! [`HostError`]: why a service cannot be hosted.

use std::io;
use std::path::PathBuf;

use libvms_cores::storage::StorageError;
use libvms_protocol::entry::EntryError;
use thiserror::Error;

use crate::execution::ExecutionError;
use crate::replay::ReplayError;

/// Why a service cannot be hosted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostError {
    /// The directory or a core in it cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The files of a core are damaged.
    #[error("{source}")]
    Damaged {
        /// The data directory.
        path: PathBuf,
        /// The damaged core and its damage.
        source: StorageError,
    },
    /// The bytes beyond the log's last whole append cannot be recovered.
    #[error("the log in {} holds bytes beyond its last whole append that cannot be recovered: {why}", path.display())]
    Tail {
        /// The data directory.
        path: PathBuf,
        /// The reason.
        why: String,
        /// Bytes of the data and of the oplog that are whole.
        whole: [u64; 2],
    },
    /// The directory cannot be read or cleaned up.
    #[error("cannot use {}: {source}", path.display())]
    Directory {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The directory already holds a service.
    #[error("{} already holds a service", path.display())]
    AlreadyDeployed {
        /// The data directory.
        path: PathBuf,
    },
    /// The directory holds a file that is not ours.
    #[error("{} is in the way: a service needs a directory of its own", path.display())]
    InTheWay {
        /// The file or directory.
        path: PathBuf,
    },
    /// The directory holds no service.
    #[error("{} holds no service", path.display())]
    NotDeployed {
        /// The data directory.
        path: PathBuf,
    },
    /// The script cannot be loaded.
    #[error("the script does not load: {why}")]
    Script {
        /// How loading failed, and where.
        why: String,
        /// The script's frames of the stack, one a line.
        stack: Option<String>,
        /// What to do about it, when the line that failed shows that.
        hint: Option<&'static str>,
    },
    /// The script exports no function that callers can call.
    #[error("the script has no methods: {found}")]
    NoMethods {
        /// The exports that it has instead.
        found: String,
    },
    /// The script's `init` failed.
    #[error("the script's init failed: {why}")]
    Init {
        /// How `init` failed, and where.
        why: String,
        /// The script's frames of the stack, one a line.
        stack: Option<String>,
    },
    /// The script, the title or a limit cannot stand in a log.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Running the script failed, without fault of the script.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// Replaying the log does not give its outcomes: going on would make it worse.
    #[error("the log in {} cannot be replayed to its own outcomes: {stop}", path.display())]
    SelfCheck {
        /// The data directory.
        path: PathBuf,
        /// Where the replay stopped, and why.
        stop: ReplayError,
    },
    /// The archive holds blocks that no logged call has written.
    #[error("the {core} core in {} has {surplus} blocks more than the logged calls wrote", path.display())]
    ArchiveAhead {
        /// The data directory.
        path: PathBuf,
        /// `files` or `blobs`.
        core: &'static str,
        /// The number of blocks too many.
        surplus: u64,
    },
    /// A core is not the one that block 0 of the log names.
    #[error("the {core} core in {} is not the one that the log names", path.display())]
    ForeignCore {
        /// The data directory.
        path: PathBuf,
        /// `files` or `blobs`.
        core: &'static str,
    },
    /// The system provides no random numbers for keys.
    #[error("no random numbers for new keys: {0}")]
    Random(getrandom::Error),
    /// The system cannot start a thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

impl HostError {
    /// Returns the script's own frames of the stack, one a line.
    pub fn stack(&self) -> Option<&str> {
        match self {
            Self::Script { stack, .. } | Self::Init { stack, .. } => stack.as_deref(),
            _ => None,
        }
    }

    /// Returns what an operator can do about the error, if that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::SelfCheck { path, .. } => {
                Some(format!("`vms verify {}` says where and how", path.display()))
            }
            Self::ArchiveAhead { path, .. } => Some(format!(
                "`vms verify {}` says more; a log that was restored from a backup must not be continued",
                path.display()
            )),
            Self::Damaged { path, .. } => Some(format!(
                "calls that were answered may be lost from it, so it must not be signed on: put a good copy of {} in its \
                 place, a backup from after the last answer",
                path.display()
            )),
            Self::Tail { path, whole: [data, oplog], .. } => Some(format!(
                "calls that were answered may be among it, so the log must not be signed on without it: put a good copy of \
                 {0} in its place, a backup from after the last answer. If you know that nobody was answered, since the \
                 machine lost its power while it wrote: `truncate -s {oplog} {0}/log/oplog` and `truncate -s {data} \
                 {0}/log/data` give it up",
                path.display()
            )),
            Self::Script { hint, .. } => hint.map(str::to_owned),
            Self::NoMethods { .. } => {
                Some("each method is an exported function: exports.add = (a, b) => a + b".into())
            }
            _ => None,
        }
    }

    /// Returns whether only a defect of this program explains the error.
    pub fn is_bug(&self) -> bool {
        match self {
            Self::Execution(error) | Self::SelfCheck { stop: ReplayError::Execution(error), .. } => {
                error.is_bug()
            }
            _ => false,
        }
    }
}
