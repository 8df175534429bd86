//! How often OVSDB is given something to do, by all clients together: buckets of tokens,
//! without a clock of their own.

use std::time::{Duration, Instant};

use crate::filter::Work;

/// Changes at once: each makes ovs-vswitchd look at everything again.
pub const CHANGES: u32 = 40;
/// Time between two changes after that.
pub const CHANGE_INTERVAL: Duration = Duration::from_millis(50);
/// Copies of the schema or of all rows, and connections, at once: those of a node daemon that
/// starts are eight.
pub const COPIES: u32 = 24;
/// Time between two of them after that.
pub const COPY_INTERVAL: Duration = Duration::from_secs(1);
/// Other messages at once.
pub const OTHERS: u32 = 100;
/// Time between two of them after that.
pub const OTHER_INTERVAL: Duration = Duration::from_millis(20);

/// One bucket.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    burst: u32,
    interval: Duration,
    /// When all that was taken will be forgotten.
    until: Option<Instant>,
}

impl Pace {
    /// A full one: so many at once, then one in each interval.
    pub const fn new(burst: u32, interval: Duration) -> Self {
        Self {
            burst,
            interval,
            until: None,
        }
    }

    /// Takes one; how long to wait before it is made.
    pub fn take(&mut self, now: Instant) -> Duration {
        let from = self.until.map_or(now, |until| until.max(now));
        self.until = Some(from + self.interval);
        (from + self.interval).saturating_duration_since(now + self.interval * self.burst)
    }
}

/// One for each kind of work.
#[derive(Debug)]
pub struct Paces {
    changes: Pace,
    copies: Pace,
    others: Pace,
}

impl Default for Paces {
    fn default() -> Self {
        Self {
            changes: Pace::new(CHANGES, CHANGE_INTERVAL),
            copies: Pace::new(COPIES, COPY_INTERVAL),
            others: Pace::new(OTHERS, OTHER_INTERVAL),
        }
    }
}

impl Paces {
    /// That of this work.
    pub const fn of(&mut self, work: Work) -> &mut Pace {
        match work {
            Work::Change => &mut self.changes,
            Work::Copy => &mut self.copies,
            Work::Little => &mut self.others,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_what_comes_after_it_waits_its_turn() {
        let start = Instant::now();
        for (work, burst, interval) in [
            (Work::Change, CHANGES, CHANGE_INTERVAL),
            (Work::Copy, COPIES, COPY_INTERVAL),
            (Work::Little, OTHERS, OTHER_INTERVAL),
        ] {
            let mut paces = Paces::default();
            let pace = paces.of(work);
            for _ in 0..burst {
                assert_eq!(pace.take(start), Duration::ZERO);
            }
            assert_eq!(pace.take(start), interval);
            assert_eq!(pace.take(start), interval * 2);
            let rested = start + interval * burst * 2;
            assert_eq!(pace.take(rested), Duration::ZERO, "a rest is not saved up");
            for _ in 1..burst {
                pace.take(rested);
            }
            assert_eq!(pace.take(rested), interval);
        }
    }
}
