//! Numbers that look random and come again with the same seed (SplitMix64,
//! Steele, Lea and Flood 2014). Not for secrets.

/// A source of such numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The source of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub const fn below(&mut self, bound: u32) -> u32 {
        (((self.bits() >> 32) * bound as u64) >> 32) as u32
    }

    /// A rank below `count` of which the first are the most frequent: the
    /// probability of rank r falls as 1/r (Zipf's law with exponent 1).
    pub fn zipf(&mut self, count: u32) -> u32 {
        let unit = (self.bits() >> 11) as f64 / (1u64 << 53) as f64;
        let rank = f64::from(count.max(1)).powf(unit) - 1.0;
        rank as u32
    }

    /// Fills octets.
    pub fn fill(&mut self, octets: &mut [u8]) {
        for chunk in octets.chunks_mut(8) {
            let bits = self.bits().to_be_bytes();
            chunk.copy_from_slice(&bits[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_again_with_their_seed_and_stay_in_bounds() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..1000)
                .map(|_| (random.below(10), random.zipf(50)))
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).iter().all(|&(low, rank)| low < 10 && rank < 50));
    }

    #[test]
    fn a_few_ranks_take_most_draws() {
        let mut random = Random::new(7);
        let draws = 10_000;
        let first_tenth = (0..draws).filter(|_| random.zipf(1000) < 100).count();
        assert!((draws / 2..draws).contains(&first_tenth), "{first_tenth}");
    }
}
