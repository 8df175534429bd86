//! What was refused: counted all of it, logged now and then. Without a clock of its own.

use std::time::{Duration, Instant};

use run_folder::RefusalCounts;

use crate::filter::Refusal;

/// Least time between two lines of the log.
pub const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Counts, and when a line was logged.
#[derive(Debug, Default)]
pub struct Refusals {
    counts: RefusalCounts,
    logged: Option<Instant>,
    unlogged: u64,
}

impl Refusals {
    /// Counts one. How many were passed over since the last line, if this one is to be logged.
    pub fn note(&mut self, refusal: &Refusal, now: Instant) -> Option<u64> {
        self.counts.add(refusal.kind());
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
    pub fn counts(&self) -> RefusalCounts {
        self.counts
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
        let counts = refusals.counts().to_json();
        assert_eq!((&counts["method"], &counts["unasked"]), (&1001.into(), &1.into()));
    }

    #[test]
    fn each_reason_is_counted() {
        let all = [
            Refusal::method("lock"),
            Refusal::Parameters(""),
            Refusal::column("Bridge", ""),
            Refusal::Operation(""),
            Refusal::Bounds(""),
            Refusal::TooMany(""),
            Refusal::Peer,
            Refusal::Unasked,
        ];
        let mut refusals = Refusals::default();
        for refusal in &all {
            refusals.note(refusal, Instant::now());
        }
        let counts: Vec<_> = refusals.counts().iter().collect();
        assert_eq!(counts, all.map(|refusal| (refusal.kind(), 1)));
    }
}
