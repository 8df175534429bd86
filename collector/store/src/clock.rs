//! What time it is, and whether that is to be believed.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time in microseconds since the epoch UTC.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// One that says what the function says.
    pub fn new(now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> i64 {
        (self.0)()
    }
}

/// The system's.
impl Default for Clock {
    fn default() -> Self {
        Self::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            micros(since)
        })
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// A step of the clock, against what has gone by since the last look, that is no
/// correction any more.
const JUMP: Duration = Duration::from_mins(10);
/// How far the clock may be after the last record of an earlier run before it
/// may as well be wrong.
const GAP: Duration = Duration::from_hours(1);
/// After this long without a jump a clock is believed by everybody.
pub(crate) const CALM: Duration = Duration::from_hours(24);

/// Whether the clock runs as time goes by. Nothing may expire because it was set
/// wrong for a while.
#[derive(Debug)]
pub(crate) struct ClockSteadiness {
    last: (i64, Instant),
    /// Since when it runs evenly; `None`: since always.
    steady_since: Option<Instant>,
}

impl ClockSteadiness {
    /// `newest`: the time of the last record of an earlier run.
    pub fn new(now: i64, at: Instant, newest: Option<i64>) -> Self {
        let ahead = newest.is_some_and(|newest| now.saturating_sub(newest) > micros(GAP));
        Self {
            last: (now, at),
            steady_since: ahead.then_some(at),
        }
    }

    /// Takes a look.
    pub fn look(&mut self, now: i64, at: Instant) {
        let (then, before) = self.last;
        let expected = then.saturating_add(micros(at.saturating_duration_since(before)));
        if now.abs_diff(expected) > JUMP.as_micros() as u64 {
            self.steady_since = Some(at);
        }
        self.last = (now, at);
        if self.steady_for() >= CALM {
            self.steady_since = None;
        }
    }

    /// How long it has run evenly, at the last look.
    pub fn steady_for(&self) -> Duration {
        let at = self.last.1;
        self.steady_since
            .map_or(Duration::MAX, |since| at.saturating_duration_since(since))
    }
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_clock_that_runs_as_time_goes_by_is_believed() {
        let start = Instant::now();
        let mut trust = ClockSteadiness::new(0, start, Some(-micros(HOUR)));
        for hour in 1..50 {
            trust.look(micros(HOUR * hour) + 1_000_000, start + HOUR * hour);
            assert_eq!(trust.steady_for(), Duration::MAX);
        }
    }

    #[test]
    fn a_clock_that_jumped_has_to_be_steady_for_a_day() {
        for jump in [micros(HOUR * 9_000), -micros(HOUR * 9_000)] {
            let start = Instant::now();
            let mut trust = ClockSteadiness::new(0, start, None);
            for hour in 1..25 {
                trust.look(jump + micros(HOUR * hour), start + HOUR * hour);
                assert_eq!(trust.steady_for(), HOUR * (hour - 1), "hour {hour}");
            }
            trust.look(jump + micros(HOUR * 25), start + HOUR * 25);
            assert_eq!(trust.steady_for(), Duration::MAX);
        }
    }

    #[test]
    fn a_clock_far_after_the_last_record_may_be_wrong_or_the_store_was_closed_long() {
        let start = Instant::now();
        let trust = ClockSteadiness::new(micros(HOUR * 100), start, Some(0));
        assert_eq!(trust.steady_for(), Duration::ZERO);
    }
}
