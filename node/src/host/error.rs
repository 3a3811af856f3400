//! Why a service cannot be hosted, by who can do something about it: [`DeployError`], [`OpenError`], [`RunError`].
//!
//! ```text
//! DeployError   the author of the script, who can change it
//! OpenError     the operator, who owns the data directory and its disk
//! RunError      the machine that runs the host, or the developers of this program
//! ```
//!
//! Each contains those below it, because deploying opens a directory, and opening runs a script. The variants carry what a
//! program needs to give advice; the advice itself is the program's.

use std::io;
use std::path::PathBuf;

use libvms_cores::storage::StorageError;
use libvms_protocol::entry::EntryError;
use thiserror::Error;

use crate::execution::ExecutionError;
use crate::replay::ReplayError;

/// Why a script cannot be deployed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The script cannot be loaded.
    #[error("the script does not load: {why}")]
    Script {
        /// How loading failed, and where.
        why: String,
        /// The script's frames of the stack, one a line.
        stack: Option<String>,
        /// What the script expects of another module system, when the line that failed shows that.
        mistake: Option<ModuleMistake>,
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
    /// The data directory cannot be used.
    #[error(transparent)]
    Open(OpenError),
    /// The script cannot be run here, without fault of the script.
    #[error(transparent)]
    Run(RunError),
}

/// A use of another module system that keeps a script from loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModuleMistake {
    /// The script uses `export`, as ES modules do.
    Export,
    /// The script uses `import`.
    Import,
    /// The script uses `require`.
    Require,
    /// The script is an ES module, and uses `exports` or `module`.
    Mixed,
    /// The script uses `await` outside of an async function, as ES modules do.
    Await,
}

/// Why the service of a data directory cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
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
    /// The service cannot be run here.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Why this machine or this program cannot run a service.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// Running the script failed, without fault of the script.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// The system provides no random numbers for keys.
    #[error("no random numbers for new keys: {0}")]
    Random(getrandom::Error),
    /// The system cannot start a thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

impl DeployError {
    /// Returns the script's own frames of the stack, one a line.
    pub fn stack(&self) -> Option<&str> {
        match self {
            Self::Script { stack, .. } | Self::Init { stack, .. } => stack.as_deref(),
            _ => None,
        }
    }

    /// Returns whether only a defect of this program explains the error.
    pub fn is_bug(&self) -> bool {
        match self {
            Self::Open(error) => error.is_bug(),
            Self::Run(error) => error.is_bug(),
            _ => false,
        }
    }
}

impl From<OpenError> for DeployError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Run(error) => Self::Run(error),
            error => Self::Open(error),
        }
    }
}

impl From<RunError> for DeployError {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl From<StorageError> for DeployError {
    fn from(error: StorageError) -> Self {
        Self::Open(error.into())
    }
}

impl From<ExecutionError> for DeployError {
    fn from(error: ExecutionError) -> Self {
        Self::Run(error.into())
    }
}

impl OpenError {
    /// Returns whether only a defect of this program explains the error.
    pub fn is_bug(&self) -> bool {
        match self {
            Self::Run(error) => error.is_bug(),
            Self::SelfCheck { stop: ReplayError::Execution(error), .. } => error.is_bug(),
            _ => false,
        }
    }
}

impl From<ExecutionError> for OpenError {
    fn from(error: ExecutionError) -> Self {
        Self::Run(error.into())
    }
}

impl RunError {
    /// Returns whether only a defect of this program explains the error.
    pub fn is_bug(&self) -> bool {
        matches!(self, Self::Execution(error) if error.is_bug())
    }
}
