//! Unpredictable numbers from one secret seed: [`Random`]. Behind the feature `test-support` there are quick numbers
//! for tests, too: `Dice`.
//!
//! Output number n is the BLAKE2b-256 hash of the n-th counter, keyed with the seed. A machine with the same seed acts
//! the same again, as a simulation needs; the driver of a real node draws the seed from the system.

#[cfg(feature = "test-support")]
mod dice;

use crate::hash::keyed_blake2b;

#[cfg(feature = "test-support")]
pub use dice::Dice;

/// A generator in counter mode. It never prints its seed.
pub struct Random {
    seed: [u8; 32],
    counter: u64,
}

impl Random {
    /// Creates a generator whose numbers are as secret as `seed`.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0 }
    }

    /// Returns the next 32 bytes.
    pub fn bytes(&mut self) -> [u8; 32] {
        self.counter += 1;
        keyed_blake2b(&self.seed, &[&self.counter.to_le_bytes()])
    }

    /// Returns the next number, of 16 bits.
    pub fn number(&mut self) -> u16 {
        let [low, high, ..] = self.bytes();
        u16::from_le_bytes([low, high])
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Random").field("counter", &self.counter).finish_non_exhaustive()
    }
}
