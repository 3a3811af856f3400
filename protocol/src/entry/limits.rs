//! Limits of one call. They are part of the log, because a replay must reach them at the same place.

use serde::{Deserialize, Serialize};

use super::{EntryError, Format, malformed};

/// How many times more fuel loading gets than a call, unless a deployment says otherwise: a script is loaded once for
/// many calls, and its owner decides when, not a caller.
const LOAD_PER_CALL: u64 = 10;

/// Limits of one call of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Steps, in units of 10,000. A call or a jump is a step. Work that the engine does in one piece costs as many steps
    /// as take about as long: a built-in by the sizes of its operands, a program by an upper bound on its compilation, an
    /// error by the stack trace that comes with it, and large allocations by their size.
    ///
    /// Not everything can be counted. Operators that take long and allocate little cost one step each (`===` of two long
    /// texts, a property at the end of a long chain of prototypes, `*` of two integers of some thousand bits).
    /// Statements between two jumps cost none, and a use of a regular expression begins to count its steps after 10,000.
    /// If a call lasts too long because of these, the host's clock ends it, and it has no effect.
    pub fuel: u64,
    /// Bytes of the script's heap.
    pub memory: u64,
    /// Bytes of the engine's stack, as the engine counts them: a fixed number for each function, whatever its frame takes.
    pub stack: u64,
    /// Bytes that one call may pass to the host: its result's JSON text, and everything that it writes to files.
    pub output: u64,
    /// Steps for loading the script, in units of 10,000; `None` if they equal those of a call. Logs of format 1 never hold
    /// this field, all others always do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<u64>,
    /// Milliseconds that a signed call may be old when it is executed, at most [`CALL_AGE_MAX`](crate::limits::CALL_AGE_MAX).
    /// Logs whose callers sign always hold this field, all others never do. No upgrade changes it.
    #[serde(default, rename = "callAge", skip_serializing_if = "Option::is_none")]
    pub call_age: Option<u64>,
}

impl Limits {
    /// Returns the steps for loading the script, in units of 10,000.
    pub fn load_fuel(&self) -> u64 {
        self.load.unwrap_or(self.fuel)
    }

    /// Returns the same limits for a new log: with ten times a call's fuel for loading, if they do not set it.
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
    /// Returns limits of a tenth of a second in plain loops and a second at most, and a heap that holds a city's guest list.
    fn default() -> Self {
        Self { fuel: 400, memory: 128 << 20, stack: 1 << 20, output: 16 << 20, load: None, call_age: None }
    }
}
