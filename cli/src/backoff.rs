//! How much later something is tried again that failed.

use std::time::Duration;

/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(15);

/// A second, then twice as long each time, up to a bound.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Backoff(u32);

impl Backoff {
    /// How long to wait this time.
    pub fn next(&mut self) -> Duration {
        let wait = Duration::from_secs(1 << self.0.min(10));
        self.0 = self.0.saturating_add(1);
        wait.min(LONGEST)
    }

    /// It went well.
    pub const fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..40).map(|_| backoff.next().as_secs()).collect();
        assert_eq!(waits[..6], [1, 2, 4, 8, 15, 15]);
        assert_eq!(waits[39], 15);
        backoff.reset();
        assert_eq!(backoff.next().as_secs(), 1);
    }
}
