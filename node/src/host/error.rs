//! Why a service is not hosted.

use std::io;
use std::path::PathBuf;

use libvms_cores::storage::StorageError;
use libvms_protocol::entry::EntryError;
use thiserror::Error;

use crate::execution::ExecutionError;
use crate::replay::ReplayError;

/// Why a service is not hosted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostError {
    /// The directory or a core in it cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The files of a core are not whole.
    #[error("{source}")]
    Damaged {
        /// The data directory.
        path: PathBuf,
        /// What is wrong with which core.
        source: StorageError,
    },
    /// What lies beyond the log's last whole append cannot be taken back in.
    #[error("the log in {} holds more than its oplog tells whole, and that cannot be taken back in: {why}", path.display())]
    Tail {
        /// The data directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// Bytes of the data and of the oplog that are whole.
        whole: [u64; 2],
    },
    /// The directory cannot be looked at or cleaned up.
    #[error("cannot use {}: {source}", path.display())]
    Directory {
        /// Which file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is a service already.
    #[error("{} already holds a service", path.display())]
    AlreadyDeployed {
        /// The data directory.
        path: PathBuf,
    },
    /// Something is in the way that we have not put there.
    #[error("{} is in the way: a service needs a directory of its own", path.display())]
    InTheWay {
        /// Which file or directory.
        path: PathBuf,
    },
    /// There is no service.
    #[error("{} holds no service", path.display())]
    NotDeployed {
        /// The data directory.
        path: PathBuf,
    },
    /// The script cannot be loaded.
    #[error("the script does not load: {why}")]
    Script {
        /// How loading ended, and where.
        why: String,
        /// The script's frames of the stack, one a line.
        stack: Option<String>,
        /// What can be done about it, where the line that failed shows it.
        hint: Option<&'static str>,
    },
    /// The script exports nothing that can be called.
    #[error("the script has no methods: {found}")]
    NoMethods {
        /// What it exports instead.
        found: String,
    },
    /// The script's `init` failed.
    #[error("the script's init failed: {why}")]
    Init {
        /// How it ended, and where.
        why: String,
        /// The script's frames of the stack, one a line.
        stack: Option<String>,
    },
    /// The script, the title or a limit cannot stand in a log.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Running the script failed, for no fault of its own.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// The log cannot be replayed to what it says: going on would make it worse.
    #[error("the log in {} does not hold what its script gives: {stop}", path.display())]
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
        /// How many.
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
    /// The system gives no random numbers for keys.
    #[error("no random numbers for new keys: {0}")]
    Random(getrandom::Error),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

impl HostError {
    /// The script's own frames where it threw, one a line.
    pub fn stack(&self) -> Option<&str> {
        match self {
            Self::Script { stack, .. } | Self::Init { stack, .. } => stack.as_deref(),
            _ => None,
        }
    }

    /// What an operator can do about it, where that is known.
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

    /// Whether only a fault of this program explains it.
    pub fn is_bug(&self) -> bool {
        match self {
            Self::Execution(error) | Self::SelfCheck { stop: ReplayError::Execution(error), .. } => {
                error.is_bug()
            }
            _ => false,
        }
    }
}
