//! When the status may be written: at once on a change, and never so often that the
//! daemons of a large cluster weigh on the API server, whatever fails and for however
//! long. A state machine without a clock: the caller says what time it is, and what its
//! attempts came to.
//!
//! - A *transition* (another spec, another condition, other settings in force) is written
//!   as soon as there is an allowance: [`BURST`] in a row, then one each one to two minutes.
//!   A new spec fills the allowance: somebody is at work, and waits for the answer.
//! - A *detail* (a message, a count, a cost) is written at most once a minute.
//! - A write that is refused or gets no answer is tried again after half a minute to one
//!   and a half, twice as long each time, and about five minutes at last. A server that
//!   cannot be reached at all has no load of us: then from a second up to a minute, and
//!   at once when the watch shows that it is back.

use std::time::{Duration, Instant};

use weir_api::{Condition, NodeFlowExportStatus};

use crate::pace::jittered;

/// Transitions in a row that are not delayed.
pub const BURST: u32 = 4;

/// One more transition, and a write for details alone, come after one to two minutes: with
/// a thousand daemons that lost the same thing at the same time, 17 a second at most.
const INTERVAL: Duration = Duration::from_secs(90);
const INTERVAL_JITTER: u64 = 333;

const FIRST_REFUSED_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_REFUSED_PAUSE: Duration = Duration::from_secs(300);
const FIRST_UNREACHABLE_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_UNREACHABLE_PAUSE: Duration = Duration::from_secs(60);

/// How much a status differs from the one that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// It says the same.
    None,
    /// The same with other words or numbers.
    Detail,
    /// Something happened.
    Transition,
    /// It speaks of another spec, or the object is another.
    NewSpec,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It is stored.
    Written,
    /// The server said no, or nothing in time.
    Refused,
    /// No connection.
    Unreachable,
}

impl WriteOutcome {
    /// For the metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Compares what is to be said with what stands there.
pub fn difference(written: Option<&NodeFlowExportStatus>, latest: &NodeFlowExportStatus) -> Difference {
    let Some(written) = written else {
        return Difference::NewSpec;
    };
    if written == latest {
        Difference::None
    } else if written.observed_generation != latest.observed_generation {
        Difference::NewSpec
    } else if says_the_same(written, latest) {
        Difference::Detail
    } else {
        Difference::Transition
    }
}

fn says_the_same(a: &NodeFlowExportStatus, b: &NodeFlowExportStatus) -> bool {
    let same = |(a, b): (&Condition, &Condition)| {
        (&a.type_, &a.status, &a.reason) == (&b.type_, &b.status, &b.reason)
    };
    a.bridges == b.bridges
        && a.ovs_version == b.ovs_version
        && a.conditions.len() == b.conditions.len()
        && a.conditions.iter().zip(&b.conditions).all(same)
}

/// What was written when, and what may be written next.
#[derive(Debug)]
pub struct StatusPace {
    allowance: u32,
    /// When there is one more.
    gains_at: Instant,
    detail_at: Instant,
    refused: u32,
    unreachable: u32,
    blocked_until: Option<Instant>,
}

impl StatusPace {
    /// A full allowance.
    pub fn new(now: Instant) -> Self {
        Self {
            allowance: BURST,
            gains_at: now,
            detail_at: now,
            refused: 0,
            unreachable: 0,
            blocked_until: None,
        }
    }

    /// When a status that differs so much is due; `None`: never. Not before `now`.
    pub fn due(&mut self, difference: Difference, now: Instant) -> Option<Instant> {
        self.fill(now);
        let at = match difference {
            Difference::None => return None,
            Difference::Detail => self.detail_at.max(self.allowed_at(now)),
            Difference::Transition => self.allowed_at(now),
            Difference::NewSpec => now,
        };
        Some(at.max(self.blocked_until.unwrap_or(now)).max(now))
    }

    /// A write for such a difference was tried at `now`.
    pub fn tried(&mut self, difference: Difference, outcome: WriteOutcome, now: Instant) {
        self.fill(now);
        match outcome {
            WriteOutcome::Written => {
                if difference == Difference::NewSpec {
                    self.allowance = BURST;
                }
                if self.allowance == BURST {
                    self.gains_at = now + interval();
                }
                self.allowance = self.allowance.saturating_sub(1);
                self.detail_at = now + interval();
                (self.refused, self.unreachable, self.blocked_until) = (0, 0, None);
            }
            WriteOutcome::Refused => {
                self.refused = self.refused.saturating_add(1);
                let pause = pause(self.refused, FIRST_REFUSED_PAUSE, LONGEST_REFUSED_PAUSE);
                self.blocked_until = Some(now + pause);
            }
            WriteOutcome::Unreachable => {
                self.unreachable = self.unreachable.saturating_add(1);
                let pause = pause(
                    self.unreachable,
                    FIRST_UNREACHABLE_PAUSE,
                    LONGEST_UNREACHABLE_PAUSE,
                );
                self.blocked_until = Some(now + pause);
            }
        }
    }

    /// The watch got something from the server: it can be reached. That it takes writes
    /// again is not said by that.
    pub fn server_answered(&mut self) {
        if self.refused == 0 {
            (self.unreachable, self.blocked_until) = (0, None);
        }
    }

    fn fill(&mut self, now: Instant) {
        while self.allowance < BURST && self.gains_at <= now {
            self.allowance += 1;
            self.gains_at += interval();
        }
    }

    fn allowed_at(&self, now: Instant) -> Instant {
        if self.allowance > 0 { now } else { self.gains_at }
    }
}

fn interval() -> Duration {
    jittered(INTERVAL, INTERVAL_JITTER)
}

/// After so many failures in a row: doubling, give or take a half.
fn pause(failures: u32, first: Duration, longest: Duration) -> Duration {
    let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    jittered(first.saturating_mul(factor).min(longest), 500)
}

#[cfg(test)]
mod tests;
