//! What one call may use. The limits stand in the log, because a replay must run out of them at the same place.

use serde::{Deserialize, Serialize};

use super::{EntryError, Format, malformed};

/// How much more fuel loading gets than a call, unless a deployment says otherwise: a script is loaded once for many
/// calls, at its owner's wish and not at a caller's.
const LOAD_PER_CALL: u64 = 10;

/// Bounds of one call of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Steps, in units of 10,000. A call or a jump is a step; what the engine does in one piece costs as many as take about as
    /// long: a built-in by the sizes of its operands, a program by what compiling it may take, an error by the list of calls
    /// that comes with it, and memory that is taken in large pieces by its size.
    ///
    /// Not everything can be counted. Operators that take long and allocate little (`===` of two long texts, a property at the
    /// end of a long chain of prototypes, `*` of two integers of some thousand bits) cost one step each, statements between two
    /// jumps none, and a use of a regular expression begins to count its steps after 10,000. What lasts because of these is
    /// ended by the host's clock, and has no effect.
    pub fuel: u64,
    /// Bytes of the script's heap.
    pub memory: u64,
    /// Bytes of the engine's stack, as the engine counts them: so many for each function, whatever its frame takes.
    pub stack: u64,
    /// Bytes that one call may hand to the host: its result's JSON text, and all that it writes to files.
    pub output: u64,
    /// Steps for loading the script, in units of 10,000, where that is not as many as a call may take. Logs of format
    /// 1 never say it, all others always do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<u64>,
}

impl Limits {
    /// Steps for loading the script, in units of 10,000.
    pub fn load_fuel(&self) -> u64 {
        self.load.unwrap_or(self.fuel)
    }

    /// The same limits, with ten times a call's fuel for loading where nothing is said about it: for a new log.
    #[must_use]
    pub fn with_load(self) -> Self {
        Self { load: self.load.or(Some(self.fuel.saturating_mul(LOAD_PER_CALL))), ..self }
    }

    pub(super) fn check_format(&self, format: Format) -> Result<(), EntryError> {
        match (format, self.load) {
            (Format::V1, None) | (Format::V2, Some(_)) => Ok(()),
            (Format::V1, Some(_)) => Err(malformed("limits.load in a log of v 1")),
            (Format::V2, None) => Err(malformed("no limits.load in a log of v 2")),
        }
    }
}

impl Default for Limits {
    /// A tenth of a second in plain loops and a second at most, and a heap in which a guest list of a city fits.
    fn default() -> Self {
        Self { fuel: 400, memory: 128 << 20, stack: 1 << 20, output: 16 << 20, load: None }
    }
}
