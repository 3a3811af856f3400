//! The version of a log's format: which fields its entries may hold.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Entry;

/// The `v` of a log's block 0. It holds for all blocks of the log: a log never changes its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub enum Format {
    /// Holds none of the fields of later versions.
    V1,
    /// Pins the fuel for loading, and holds the lengths of the archive before a call that changed it, and an error's
    /// own code and details.
    V2,
}

impl Format {
    /// The version that new logs have.
    pub const LATEST: Self = Self::V2;

    /// The format of a log, as its block 0 says it; `None` where that is no `init` of a format that is known here.
    pub fn of_log(block_0: &[u8]) -> Option<Self> {
        match Entry::decode(block_0) {
            Ok(Entry::Init(init)) => Some(init.v),
            _ => None,
        }
    }

    /// The number that stands in the log.
    pub const fn version(self) -> u64 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

impl From<Format> for u64 {
    fn from(format: Format) -> Self {
        format.version()
    }
}

impl TryFrom<u64> for Format {
    type Error = String;

    fn try_from(version: u64) -> Result<Self, String> {
        [Self::V1, Self::V2]
            .into_iter()
            .find(|format| format.version() == version)
            .ok_or_else(|| format!("there is no format version {version}"))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.version())
    }
}
