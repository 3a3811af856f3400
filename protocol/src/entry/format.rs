//! The version of a log's format: which fields its entries may hold.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Entry;

/// The `v` of a log's block 0. It holds for all blocks of the log: a log never changes its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub enum Format {
    /// The first version, without the fields of later ones.
    V1,
    /// Pins the fuel for loading. Holds the lengths of the archive before a call that changed it, and an error's own code
    /// and details.
    V2,
}

impl Format {
    /// The version of new logs.
    pub const LATEST: Self = Self::V2;

    /// Returns the format that block 0 of a log names; `None` if the block is not an `init` of a known format.
    pub fn from_first_block(block_0: &[u8]) -> Option<Self> {
        match Entry::decode(block_0) {
            Ok(Entry::Init(init)) => Some(init.v),
            _ => None,
        }
    }

    /// Returns the number that is written to the log.
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
