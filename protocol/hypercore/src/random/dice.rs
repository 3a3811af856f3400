//! Numbers for tests and benchmarks: quick, and the same again from the same seed. Nobody must take them for secrets.

/// The generator splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Creates the dice of a run that has one purpose for them.
    pub fn new(seed: u64) -> Self {
        Self::for_purpose(seed, 0)
    }

    /// Creates dice for one of many purposes under one seed.
    pub fn for_purpose(seed: u64, purpose: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose);
        dice.draw();
        dice
    }

    /// Returns the next number, of 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`; 0 where `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end.max(1)
    }

    /// Returns the index of one of `length` items; 0 where there are none.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a usize")
    }

    /// Returns one of `items`.
    ///
    /// # Panics
    ///
    /// Panics when there are none.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }

    /// Returns true in one case of `cases`.
    pub fn one_in(&mut self, cases: u64) -> bool {
        self.below(cases) == 0
    }

    /// Returns the next byte.
    pub fn byte(&mut self) -> u8 {
        self.draw() as u8
    }

    /// Returns as many bytes as a key or a seed has.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// Returns `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_show_the_numbers_of_the_reference_implementation() {
        let mut dice = Dice(1_234_567);
        let drawn = [dice.draw(), dice.draw(), dice.draw()];
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn each_seed_and_purpose_has_numbers_of_its_own() {
        let first = |seed, purpose| Dice::for_purpose(seed, purpose).draw();
        assert_eq!(first(1, 0), Dice::new(1).draw());
        let all = [first(1, 0), first(1, 1), first(2, 0), first(2, 1)];
        assert_eq!(std::collections::BTreeSet::from(all).len(), all.len());
    }

    #[test]
    fn what_is_drawn_stays_below_its_end() {
        let mut dice = Dice::new(7);
        assert!((0..1_000).all(|_| dice.below(3) < 3 && dice.index(4) < 4));
        assert_eq!((dice.below(0), dice.index(0), dice.one_in(1)), (0, 0, true));
        assert_eq!(dice.pick(&["only"]), "only");
        assert_eq!((dice.array::<4>().len(), dice.bytes(9).len()), (4, 9));
    }
}
