//! What was refused: counted all of it, logged now and then. Without a clock of its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::filter::Refusal;

/// Least time between two lines of the log.
pub const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Counts, and when a line was logged.
#[derive(Debug, Default)]
pub struct Refusals {
    counts: BTreeMap<&'static str, u64>,
    logged: Option<Instant>,
    unlogged: u64,
}

impl Refusals {
    /// Counts one. How many were passed over since the last line, if this one is to be logged.
    pub fn note(&mut self, refusal: &Refusal, now: Instant) -> Option<u64> {
        let count = self.counts.entry(refusal.kind()).or_default();
        *count = count.saturating_add(1);
        let due = self
            .logged
            .is_none_or(|logged| now.saturating_duration_since(logged) >= LOG_INTERVAL);
        if !due {
            self.unlogged = self.unlogged.saturating_add(1);
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }

    /// How many there were, by [`Refusal::kind`].
    pub fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_a_line_a_second_is_logged() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        let refusal = Refusal::method("lock");
        assert_eq!(refusals.note(&refusal, start), Some(0));
        for _ in 0..1000 {
            assert_eq!(refusals.note(&refusal, start), None);
        }
        assert_eq!(refusals.note(&Refusal::Unasked, start + LOG_INTERVAL), Some(1000));
        let counts = refusals.counts();
        assert_eq!((counts["method"], counts["unasked"]), (1001, 1));
    }
}
