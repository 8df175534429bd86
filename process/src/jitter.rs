//! Times that differ between processes, so that those that were started together, or lost
//! the same server, part.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The same give or take so many thousandths.
pub fn jittered(duration: Duration, thousandths: u64) -> Duration {
    let within = random() % (2 * thousandths + 1);
    let permille = (1_000 - thousandths.min(1_000)) + within;
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis.saturating_mul(permille) / 1_000)
}

/// A number that differs between calls and processes; nothing secret.
pub fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_bounds_and_is_not_always_the_same() {
        let minute = Duration::from_secs(60);
        let many: Vec<Duration> = (0..100).map(|_| jittered(minute, 500)).collect();
        let within = |d: &Duration| (minute / 2..=minute * 3 / 2).contains(d);
        assert!(many.iter().all(within), "{many:?}");
        assert!(many.iter().any(|d| *d != many[0]));
        assert_eq!(jittered(minute, 0), minute);
    }
}
