//! How often OVSDB is written to: each change makes ovs-vswitchd look at everything again.
//! A bucket of tokens, without a clock of its own.

use std::time::{Duration, Instant};

/// Changes at once.
pub const BURST: u32 = 40;
/// Time between two changes after that.
pub const INTERVAL: Duration = Duration::from_millis(50);

/// The changes of all clients together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// When all that was taken will be forgotten.
    until: Option<Instant>,
}

impl Pace {
    /// Takes one; how long to wait before it is made.
    pub fn take(&mut self, now: Instant) -> Duration {
        let from = self.until.map_or(now, |until| until.max(now));
        self.until = Some(from + INTERVAL);
        (from + INTERVAL).saturating_duration_since(now + INTERVAL * BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_what_comes_after_it_waits_its_turn() {
        let start = Instant::now();
        let mut pace = Pace::default();
        for _ in 0..BURST {
            assert_eq!(pace.take(start), Duration::ZERO);
        }
        assert_eq!(pace.take(start), INTERVAL);
        assert_eq!(pace.take(start), INTERVAL * 2);
        let rested = start + INTERVAL * BURST * 2;
        assert_eq!(pace.take(rested), Duration::ZERO, "a rest is not saved up");
        for _ in 1..BURST {
            pace.take(rested);
        }
        assert_eq!(pace.take(rested), INTERVAL);
    }
}
