//! How long to wait before something is tried again.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST: Duration = Duration::from_secs(30);

/// Waits that double, each shortened by chance by up to a half, so that many who lost the same
/// thing do not come back at once.
#[derive(Debug, Clone)]
pub struct Backoff {
    failures: u32,
    state: u64,
}

impl Backoff {
    /// Nothing has failed. `seed` tells one apart from others.
    pub const fn new(seed: u64) -> Self {
        Self {
            failures: 0,
            state: seed,
        }
    }

    /// It worked.
    pub const fn succeed(&mut self) {
        self.failures = 0;
    }

    /// It failed again: how long to wait.
    pub fn fail(&mut self) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        doubled - doubled.mul_f64(self.chance() / 2.0)
    }

    /// A number from 0 to below 1 (SplitMix64).
    fn chance(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ (mixed >> 31)) >> 11) as f64) / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new(7);
        let waits: Vec<Duration> = (0..40).map(|_| backoff.fail()).collect();
        for (n, wait) in waits.iter().enumerate() {
            let most = FIRST.saturating_mul(1 << n.min(16)).min(LONGEST);
            assert!(*wait <= most && *wait >= most / 2, "{n}: {wait:?}");
        }
        backoff.succeed();
        assert!(backoff.fail() <= FIRST);
    }
}
