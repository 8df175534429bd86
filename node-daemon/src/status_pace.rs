//! When the status may be written: at once on a change, and never so often that the
//! daemons of a large cluster weigh on the API server, whatever fails and for however
//! long. A state machine without a clock: the caller says what time it is, and what its
//! attempts came to.
//!
//! - A *transition* (another condition, other settings in force, a figure of the cost that
//!   was not known and is, or the reverse) is written at once, and
//!   the next ones after a gap that grows from a second, threefold, to one to two minutes.
//!   It is short again after three quiet minutes.
//! - A *new spec* is answered at once, and makes the gap short: somebody is at work, and
//!   waits.
//! - Another factor of the governor is written at once, too: the collector scales by the
//!   sampling in force.
//! - A *detail* (a message, a count, a cost) is written at most once a minute.
//! - A write that is refused or gets no answer is tried again once after about ten seconds,
//!   since a server that starts refuses for a moment; then after a minute, two, four and
//!   about five minutes at last. One that a busy server puts off is no refusal: it is tried
//!   again after about ten seconds, and a minute at the most, but not before the server says.
//!   A server that cannot be reached at all has no load of us: then from a second up to a
//!   minute, and at once when the watch shows that it is back.

use std::time::{Duration, Instant};

use weir_api::condition::find;
use weir_api::export::THROTTLED;
use weir_api::{Condition, NodeFlowExportStatus};
use weir_process::jitter::jittered;

/// The gap after the first of several writes.
const FIRST_GAP: Duration = Duration::from_secs(1);
const GAP_GROWTH: u32 = 3;
/// The longest gap, give or take a third: with a thousand daemons that lost the same thing
/// at the same time, 17 writes a second at most.
const LONGEST_GAP: Duration = Duration::from_secs(90);
const GAP_JITTER: u64 = 333;
/// So long without a write, which is longer than any gap, ends a row of them.
const QUIET: Duration = Duration::from_secs(180);

const FIRST_REFUSED_PAUSE: Duration = Duration::from_secs(10);
const SECOND_REFUSED_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_REFUSED_PAUSE: Duration = Duration::from_secs(300);
/// A thousand daemons that are put off again and again ask 17 times a second.
const FIRST_PUT_OFF_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PUT_OFF_PAUSE: Duration = Duration::from_secs(60);
/// What a server says is believed up to here.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);
const PAUSE_JITTER: u64 = 500;
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
    /// The governor changed the sampling, by which the collector scales what it gets.
    Throttle,
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
    /// The server has too much to do, and is to be asked again, not before so long if it
    /// said how long (429, 503, 504).
    PutOff(Option<Duration>),
    /// No connection.
    Unreachable,
}

impl WriteOutcome {
    /// For the metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Refused => "refused",
            Self::PutOff(_) => "put_off",
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
    } else if throttling(written) != throttling(latest) {
        Difference::Throttle
    } else if says_the_same(written, latest) {
        Difference::Detail
    } else {
        Difference::Transition
    }
}

/// What is said while something is throttled, which holds the factor.
fn throttling(status: &NodeFlowExportStatus) -> Option<&str> {
    let throttled = find(&status.conditions, THROTTLED).filter(|c| c.status == "True");
    throttled.map(|condition| condition.message.as_str())
}

fn says_the_same(a: &NodeFlowExportStatus, b: &NodeFlowExportStatus) -> bool {
    let same = |(a, b): (&Condition, &Condition)| {
        (&a.type_, &a.status, &a.reason) == (&b.type_, &b.status, &b.reason)
    };
    a.bridges == b.bridges
        && known_figures(a) == known_figures(b)
        && a.ovs_version == b.ovs_version
        && a.conditions.len() == b.conditions.len()
        && a.conditions.iter().zip(&b.conditions).all(same)
}

/// Which figures of the cost there are, whatever they are.
fn known_figures(status: &NodeFlowExportStatus) -> Option<[bool; 4]> {
    let cost = status.cost?;
    Some([
        cost.vswitchd_millicores.is_some(),
        cost.datagrams_per_second.is_some(),
        cost.send_errors_per_second.is_some(),
        cost.lost_per_second.is_some(),
    ])
}

/// What was written when, and what may be written next.
#[derive(Debug)]
pub struct StatusPace {
    /// Writes in a row.
    row: u32,
    last: Option<Instant>,
    gap_ends: Instant,
    detail_at: Instant,
    refused: u32,
    put_off: u32,
    unreachable: u32,
    blocked_until: Option<Instant>,
}

impl StatusPace {
    /// Nothing was written yet.
    pub fn new(now: Instant) -> Self {
        Self {
            row: 0,
            last: None,
            gap_ends: now,
            detail_at: now,
            refused: 0,
            put_off: 0,
            unreachable: 0,
            blocked_until: None,
        }
    }

    /// When a status that differs so much is due; `None`: never. Not before `now`.
    pub fn due(&self, difference: Difference, now: Instant) -> Option<Instant> {
        let at = match difference {
            Difference::None => return None,
            Difference::Detail => self.detail_at.max(self.gap_ends),
            Difference::Transition => self.gap_ends,
            // The governor has a pace of its own: looks every 5 s, eight steps up, ten minutes
            // for each one down.
            Difference::Throttle | Difference::NewSpec => now,
        };
        Some(at.max(self.blocked_until.unwrap_or(now)).max(now))
    }

    /// A write for such a difference was tried at `now`.
    pub fn tried(&mut self, difference: Difference, outcome: WriteOutcome, now: Instant) {
        match outcome {
            WriteOutcome::Written => self.was_written(difference, now),
            WriteOutcome::Refused => {
                self.refused = self.refused.saturating_add(1);
                self.blocked_until = Some(now + refused_pause(self.refused));
            }
            WriteOutcome::PutOff(at_least) => {
                self.put_off = self.put_off.saturating_add(1);
                let pause = pause(self.put_off, FIRST_PUT_OFF_PAUSE, LONGEST_PUT_OFF_PAUSE);
                let at_least = at_least.unwrap_or_default().min(LONGEST_RETRY_AFTER);
                self.blocked_until = Some(now + pause.max(at_least));
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

    fn was_written(&mut self, difference: Difference, now: Instant) {
        let quiet = self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= QUIET);
        if quiet || difference == Difference::NewSpec {
            self.row = 0;
        }
        let factor = GAP_GROWTH.saturating_pow(self.row);
        self.gap_ends = now + jittered(FIRST_GAP.saturating_mul(factor).min(LONGEST_GAP), GAP_JITTER);
        self.detail_at = now + jittered(LONGEST_GAP, GAP_JITTER);
        self.row = self.row.saturating_add(1);
        self.last = Some(now);
        (self.refused, self.put_off, self.unreachable) = (0, 0, 0);
        self.blocked_until = None;
    }

    /// The watch got something from the server: it can be reached. That it takes writes
    /// again is not said by that.
    pub fn server_answered(&mut self) {
        if self.refused == 0 && self.put_off == 0 {
            (self.unreachable, self.blocked_until) = (0, None);
        }
    }
}

/// After so many refusals in a row.
fn refused_pause(refusals: u32) -> Duration {
    match refusals {
        0 | 1 => jittered(FIRST_REFUSED_PAUSE, PAUSE_JITTER),
        more => pause(more - 1, SECOND_REFUSED_PAUSE, LONGEST_REFUSED_PAUSE),
    }
}

/// After so many failures in a row: doubling, give or take a half.
fn pause(failures: u32, first: Duration, longest: Duration) -> Duration {
    let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    jittered(first.saturating_mul(factor).min(longest), PAUSE_JITTER)
}

#[cfg(test)]
mod tests;
