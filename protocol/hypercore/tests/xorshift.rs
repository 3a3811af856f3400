//! The generator xorshift32, which some golden files share with their makers (`fixtures/README.md`).

/// Its state, which is never 0.
pub(crate) struct Xorshift32(pub(crate) u32);

impl Xorshift32 {
    pub(crate) fn draw(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
}
