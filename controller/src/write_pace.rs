//! When a write may begin: the backoff of each object, the slow lane while the
//! API server refuses everything, and the floor under status writes. Pure: time
//! is passed in.
//!
//! What works goes at full speed. An object whose write failed waits from 200 ms
//! up to five minutes, twice as long each time. After [`IN_A_ROW`] failures in a
//! row of any objects, no more than four writes a second begin: those that were
//! never tried and, ever further apart, those that failed before. The first
//! success ends that and brings the waiting ones forward, once a minute at most.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weir_process::jitter::jittered;

use crate::backoff::JITTER;
use crate::write_queue::{Subject, Write};

/// Writes under way at a time after a failure.
const FEW: usize = 4;
/// Failures in a row, of any objects, after which writes go slowly.
const IN_A_ROW: u32 = 5;
/// Least time between two writes then.
const SLOW: Duration = Duration::from_millis(250);
/// Most time between two writes of objects that failed before, then.
const SLOWEST: Duration = Duration::from_secs(10);
/// Least time between two writes of objects that failed before, otherwise; half as
/// long after each that succeeds.
const RETRY_GAP: Duration = Duration::from_millis(100);
/// Wait after the first failure of an object.
const SHORTEST: Duration = Duration::from_millis(200);
/// Longest wait of an object.
const LONGEST: Duration = Duration::from_secs(300);
/// Failed writes are brought forward after a success, but not more often.
const FORGIVENESS: Duration = Duration::from_secs(60);
/// A write that is repeated within so long of its success meets somebody who
/// writes the opposite.
const CONTESTED: Duration = Duration::from_secs(60);
/// Repetitions and failures that are taken for chance.
const CHANCES: u32 = 2;

/// An object whose last write failed.
#[derive(Debug, Clone, PartialEq)]
struct WriteFailure {
    error: String,
    attempts: u32,
    due: Instant,
}

/// The last write of an object, which succeeded.
#[derive(Debug)]
struct WrittenLast {
    write: Write,
    repeats: u32,
    at: Instant,
}

impl WrittenLast {
    /// From when on the same may be written again.
    fn due(&self) -> Instant {
        match self.repeats.saturating_sub(CHANCES) {
            0 => self.at,
            n => self.at + doubled(n),
        }
    }
}

/// What was seen of earlier writes.
#[derive(Debug)]
pub struct WritePace {
    failures: BTreeMap<Subject, WriteFailure>,
    written: BTreeMap<Subject, WrittenLast>,
    in_a_row: u32,
    /// Objects that failed before and were written since, without a failure between.
    recovered: u32,
    /// When the last write began, and the last of an object that failed before.
    began: Option<Instant>,
    retried: Option<Instant>,
    forgiven: Option<Instant>,
    source_floor: Floor,
    profile_floor: Floor,
    rollout_floor: Floor,
}

impl Default for WritePace {
    fn default() -> Self {
        Self {
            failures: BTreeMap::new(),
            written: BTreeMap::new(),
            in_a_row: 0,
            recovered: 0,
            began: None,
            retried: None,
            forgiven: None,
            source_floor: Floor::new(5, Duration::from_secs(5)),
            profile_floor: Floor::new(20, Duration::from_secs(1)),
            rollout_floor: Floor::new(10, Duration::from_secs(1)),
        }
    }
}

impl WritePace {
    /// Whether the object's last write failed.
    pub fn has_failed(&self, subject: &Subject) -> bool {
        self.failures.contains_key(subject)
    }

    /// Why the object's last writes failed, once that is no chance: because it was tried
    /// several times, or because everything fails.
    pub fn error(&self, subject: &Subject) -> Option<&str> {
        let lasts = |failure: &&WriteFailure| failure.attempts > CHANCES || self.is_slow();
        let failure = self.failures.get(subject).filter(lasts)?;
        Some(failure.error.as_str())
    }

    /// Why the object's last write failed, if it did.
    pub fn last_error(&self, subject: &Subject) -> Option<&str> {
        self.failures.get(subject).map(|failure| failure.error.as_str())
    }

    /// Objects whose last write failed.
    pub fn failing(&self) -> usize {
        self.failures.len()
    }

    /// How many writes may be under way at a time, of the most that there may ever be:
    /// after a failure, a few show whether it was the only one.
    pub fn limit(&self, most: usize) -> usize {
        if self.in_a_row == 0 { most } else { most.min(FEW) }
    }

    /// From when on that write may begin; `None`: it may at once.
    pub fn due(&self, subject: &Subject, write: &Write) -> Option<Instant> {
        let failure = self.failures.get(subject);
        let last = self.written.get(subject).filter(|last| last.write == *write);
        let floor = match subject {
            Subject::Export(_) | Subject::Event | Subject::Revision(_) => None,
            Subject::Rollout => self.rollout_floor.due(),
            Subject::Source | Subject::OtherSource => self.source_floor.due(),
            Subject::Profile(_) => self.profile_floor.due(),
        };
        let lane = match (subject, failure) {
            // What tells of the failure has a floor of its own and does not stand behind
            // a thousand nodes.
            (Subject::Export(_), None) if self.is_slow() => self.began.map(|at| at + SLOW),
            (Subject::Export(_), Some(_)) => self.retried.map(|at| at + self.retry_gap()),
            _ => None,
        };
        let own = failure.map(|failure| failure.due);
        let times = [own, last.map(WrittenLast::due), floor, lane];
        times.into_iter().flatten().max()
    }

    fn is_slow(&self) -> bool {
        self.in_a_row >= IN_A_ROW
    }

    fn retry_gap(&self) -> Duration {
        let beyond = self.in_a_row.saturating_sub(IN_A_ROW - 1);
        match beyond {
            0 => RETRY_GAP / (1 << self.recovered.min(7)),
            n => (SLOW * n).min(SLOWEST),
        }
    }

    /// The write begins.
    pub fn begin(&mut self, write: &Write, now: Instant) {
        let subject = write.subject();
        match subject {
            Subject::Export(_) => {
                self.began = Some(now);
                if self.failures.contains_key(&subject) {
                    self.retried = Some(now);
                }
            }
            Subject::Source | Subject::OtherSource => self.source_floor.take(now),
            Subject::Profile(_) => self.profile_floor.take(now),
            Subject::Rollout => self.rollout_floor.take(now),
            Subject::Event | Subject::Revision(_) => {}
        }
    }

    /// The write has succeeded.
    pub fn succeeded(&mut self, write: &Write, now: Instant) {
        let subject = write.subject();
        if self.failures.remove(&subject).is_some() {
            self.recovered = self.recovered.saturating_add(1);
        }
        let long_ago = self.forgiven.is_none_or(|at| now >= at + FORGIVENESS);
        if std::mem::take(&mut self.in_a_row) >= IN_A_ROW && long_ago {
            self.forgiven = Some(now);
            self.failures.values_mut().for_each(|failure| failure.due = now);
        }
        let before = self.written.get(&subject);
        let same = before.filter(|last| last.write == *write && now < last.at + CONTESTED + last.wait());
        let repeats = same.map_or(0, |last| last.repeats + 1);
        let last = WrittenLast {
            write: write.clone(),
            repeats,
            at: now,
        };
        self.written.insert(subject, last);
    }

    /// The write has failed.
    pub fn failed(&mut self, write: &Write, error: String, now: Instant) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.recovered = 0;
        let subject = write.subject();
        let attempts = self.failures.get(&subject).map_or(0, |failure| failure.attempts) + 1;
        let due = now + jittered(doubled(attempts), JITTER);
        let failure = WriteFailure { error, attempts, due };
        self.failures.insert(subject, failure);
    }

    /// Forgets objects that nobody wants to write any longer.
    pub fn retain(&mut self, wanted: impl Fn(&Subject) -> bool) {
        self.failures.retain(|subject, _| wanted(subject));
        self.written.retain(|subject, _| wanted(subject));
    }
}

impl WrittenLast {
    fn wait(&self) -> Duration {
        self.due().saturating_duration_since(self.at)
    }
}

/// The wait after the n-th time.
fn doubled(n: u32) -> Duration {
    let factor = 1_u32.checked_shl(n.saturating_sub(1)).unwrap_or(u32::MAX);
    SHORTEST.checked_mul(factor).unwrap_or(LONGEST).min(LONGEST)
}

/// A few writes at once, then one in a while.
#[derive(Debug)]
struct Floor {
    burst: u32,
    period: Duration,
    left: u32,
    /// Since when the next one is on its way.
    since: Option<Instant>,
}

impl Floor {
    fn new(burst: u32, period: Duration) -> Self {
        Self {
            burst,
            period,
            left: burst,
            since: None,
        }
    }

    fn due(&self) -> Option<Instant> {
        self.since.filter(|_| self.left == 0).map(|at| at + self.period)
    }

    fn take(&mut self, now: Instant) {
        let passed = self
            .since
            .map_or(Duration::MAX, |at| now.saturating_duration_since(at));
        let earned = u32::try_from(passed.as_nanos() / self.period.as_nanos()).unwrap_or(u32::MAX);
        let full = self.left.saturating_add(earned) >= self.burst;
        self.left = self.left.saturating_add(earned).min(self.burst).saturating_sub(1);
        self.since = match self.since {
            Some(since) if !full => Some(since + self.period * earned),
            _ => Some(now),
        };
    }
}

#[cfg(test)]
mod tests;
