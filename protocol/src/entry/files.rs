//! The archive's heads in entries.

use serde::{Deserialize, Serialize};

use libvms_hypercore::blocks::Length;
use libvms_hypercore::tree::TreeHash;

/// The heads of the archive's two cores. Both hashes together pin everything that the archive holds and ever held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilesHead {
    /// Length of the db core.
    pub version: Length,
    /// Tree hash of the db core.
    pub hash: TreeHash,
    /// Length of the blobs core.
    pub blobs: Length,
    /// Tree hash of the blobs core.
    pub blobs_hash: TreeHash,
}

/// The archive after a call, and its lengths before the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "LoggedFiles", into = "LoggedFiles")]
pub struct FilesChange {
    /// The archive after the call.
    pub head: FilesHead,
    /// Lengths of the archive's cores before the call. Logs of format 1 never hold them, all others always do.
    pub from: Option<FilesLengths>,
}

/// Lengths of the two cores of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesLengths {
    /// Length of the db core.
    pub version: Length,
    /// Length of the blobs core.
    pub blobs: Length,
}

/// A [`FilesChange`] as it is encoded in an entry, with all members on one level.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LoggedFiles {
    version: Length,
    hash: TreeHash,
    blobs: Length,
    blobs_hash: TreeHash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<FilesLengths>,
}

impl From<LoggedFiles> for FilesChange {
    fn from(LoggedFiles { version, hash, blobs, blobs_hash, from }: LoggedFiles) -> Self {
        Self { head: FilesHead { version, hash, blobs, blobs_hash }, from }
    }
}

impl From<FilesChange> for LoggedFiles {
    fn from(FilesChange { head, from }: FilesChange) -> Self {
        let FilesHead { version, hash, blobs, blobs_hash } = head;
        Self { version, hash, blobs, blobs_hash, from }
    }
}
