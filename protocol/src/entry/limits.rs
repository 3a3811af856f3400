//! What one call may use. The limits stand in the log, because a replay must run out of them at the same place.

use serde::{Deserialize, Serialize};

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
    /// Bytes of the engine's stack.
    pub stack: u64,
    /// Bytes that one call may hand to the host: its result's JSON text, and all that it writes to files.
    pub output: u64,
}

impl Default for Limits {
    /// A tenth of a second in plain loops and a second at most, and a heap in which a guest list of a city fits.
    fn default() -> Self {
        Self { fuel: 400, memory: 128 << 20, stack: 1 << 20, output: 16 << 20 }
    }
}
