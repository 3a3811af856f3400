//! `Math.random`, seeded by the position of a call in the log.

/// xoshiro256++ (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021).
#[derive(Clone, Debug)]
pub(super) struct Random {
    state: [u64; 4],
}

impl Random {
    /// Returns a generator. A seed of zeros, which no hash gives in practice, would only ever give zeros.
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let word = |index: usize| u64::from_le_bytes(std::array::from_fn(|byte| seed[8 * index + byte]));
        Self { state: std::array::from_fn(word) }
    }

    /// Returns a number of at least 0 and less than 1, a multiple of 2^-53.
    pub(super) fn next(&mut self) -> f64 {
        const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;
        (self.next_word() >> 11) as f64 * UNIT
    }

    /// Fills `bytes`, in the order of little-endian words.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_word().to_le_bytes()[..chunk.len()]);
        }
    }

    fn next_word(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let word = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        word
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_first_words_are_those_of_the_published_generator() {
        let mut seed = [0; 32];
        for (index, word) in [1_u64, 2, 3, 4].into_iter().enumerate() {
            seed[8 * index..][..8].copy_from_slice(&word.to_le_bytes());
        }
        let mut random = Random::new(&seed);
        // The output of the authors' C program for the state 1, 2, 3, 4.
        assert_eq!([0; 3].map(|_: u64| random.next_word()), [41_943_041, 58_720_359, 3_588_806_011_781_223]);
    }

    #[test]
    fn numbers_fill_the_unit_interval() {
        let mut random = Random::new(&[7; 32]);
        let numbers: Vec<f64> = (0..10_000).map(|_| random.next()).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        let mean = numbers.iter().sum::<f64>() / 10_000.0;
        assert!((0.49..0.51).contains(&mean), "{mean}");
    }
}
