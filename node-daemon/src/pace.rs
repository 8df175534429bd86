//! How fast the daemon may write when writing does not help: a transaction that
//! is refused, a row that others change again and again. No clock: the caller
//! says what time it is.

use std::time::{Duration, Instant};

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// When to try again after `attempts` failures (at least one).
pub fn retry_delay(attempts: u32) -> Duration {
    let factor = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST_RETRY.saturating_mul(factor).min(LONGEST_RETRY)
}

/// Repairs at once, but in a fight with another writer only one a second: a
/// bucket of [`HealBudget::BURST`] that fills by one each second.
#[derive(Debug, Clone)]
pub struct HealBudget {
    left: u32,
    filled: Option<Instant>,
}

impl Default for HealBudget {
    /// A full bucket.
    fn default() -> Self {
        Self {
            left: Self::BURST,
            filled: None,
        }
    }
}

impl HealBudget {
    /// Repairs in a row that are not delayed.
    pub const BURST: u32 = 10;
    const INTERVAL: Duration = Duration::from_secs(1);

    /// When the next repair may be made; `None`: now.
    pub fn ready_at(&mut self, now: Instant) -> Option<Instant> {
        let filled = *self.filled.get_or_insert(now);
        let steps = now.saturating_duration_since(filled).as_secs();
        let gain = u32::try_from(steps).unwrap_or(u32::MAX);
        if self.left.saturating_add(gain) >= Self::BURST {
            self.left = Self::BURST;
            self.filled = Some(now);
        } else {
            self.left += gain;
            self.filled = Some(filled + Self::INTERVAL * gain);
        }
        (self.left == 0).then(|| filled + Self::INTERVAL * (gain + 1))
    }

    /// A repair was made.
    pub fn spend(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_slow_down_to_a_bound() {
        assert_eq!(retry_delay(1), Duration::from_millis(100));
        assert_eq!(retry_delay(3), Duration::from_millis(400));
        assert_eq!(retry_delay(40), LONGEST_RETRY);
        assert_eq!(retry_delay(u32::MAX), LONGEST_RETRY);
    }

    #[test]
    fn a_fight_is_fought_once_a_second() {
        let start = Instant::now();
        let mut budget = HealBudget::default();
        for _ in 0..HealBudget::BURST {
            assert_eq!(budget.ready_at(start), None);
            budget.spend();
        }
        let next = budget.ready_at(start).expect("the bucket is empty");
        assert_eq!(next, start + Duration::from_secs(1));
        assert_eq!(budget.ready_at(next), None);
        budget.spend();
        assert_eq!(budget.ready_at(next), Some(next + Duration::from_secs(1)));
    }

    #[test]
    fn after_a_rest_the_bucket_is_full_again() {
        let start = Instant::now();
        let mut budget = HealBudget::default();
        for _ in 0..HealBudget::BURST {
            budget.ready_at(start);
            budget.spend();
        }
        let later = start + Duration::from_secs(3600);
        for _ in 0..HealBudget::BURST {
            assert_eq!(budget.ready_at(later), None);
            budget.spend();
        }
        assert!(budget.ready_at(later).is_some());
    }
}
