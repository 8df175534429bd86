//! How long to wait before the next connection. Doubling, bounded, without
//! jitter: a local server has one client of this kind, and healing fast matters.

use std::time::Duration;

#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Backoff {
        Backoff {
            min,
            max,
            failures: 0,
        }
    }

    /// A session in sync has ended. One that ended at once does not count as a
    /// success: a server that breaks each session would be asked at full speed.
    pub(super) fn survived(&mut self, time: Duration) {
        if time >= self.max {
            self.failures = 0;
        }
    }

    /// Counts a failure; the wait that follows it.
    pub(super) fn next_delay(&mut self) -> Duration {
        let doublings = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        (self.min * (1 << doublings)).min(self.max)
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}
