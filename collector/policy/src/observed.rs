//! A verdict beside what was seen: connections across a change of policies, answers,
//! and disagreements.

use crate::profile::{Profile, RunningConnections};
use crate::verdict::{Answer, Reason, Verdict};

/// How long after a change it may still come into force, in nanoseconds.
pub const SETTLE: u64 = 30_000_000_000;

/// When a connection was, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// When it was opened, or the start of its first record.
    pub opened: u64,
    /// Start of the record.
    pub start: u64,
    /// End of the record.
    pub end: u64,
}

/// The moment when policies or labels changed, and whether somebody watched then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// Not before, in nanoseconds since 1970.
    pub earliest: u64,
    /// Not after. Later than `earliest` where the watch was down meanwhile.
    pub latest: u64,
}

/// The verdict about a record when policies or labels changed once, from what was
/// evaluated before and after.
pub fn across(
    before: Verdict,
    after: Verdict,
    record: Lifetime,
    change: Changed,
    profile: &Profile,
) -> Verdict {
    let settled = change.latest.saturating_add(SETTLE);
    if record.end < change.earliest {
        return before;
    }
    if record.opened >= settled {
        return after;
    }
    let reason = if change.latest > change.earliest {
        Reason::Gap
    } else {
        Reason::Changed
    };
    if record.opened < change.earliest && profile.running_connections() == RunningConnections::Kept {
        return before;
    }
    if record.start >= settled && profile.running_connections() == RunningConnections::Cut {
        return after;
    }
    Verdict::agreed([before, after], reason)
}

/// In which directions packets of a connection were seen within the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answered {
    /// Client to server and back.
    Both,
    /// Client to server only.
    Forward,
    /// Server to client only.
    Reverse,
}

impl Answered {
    /// The value of the field `answered`.
    pub fn name(self) -> &'static str {
        match self {
            Answered::Both => "both",
            Answered::Forward => "forward",
            Answered::Reverse => "reverse",
        }
    }
}

/// Where a verdict and what was seen do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disagreement {
    /// Denied and answered: not enforced, older than the policy, or the wrong profile.
    NotEnforced,
    /// Allowed and dropped by the switch: another firewall.
    DroppedByAnother,
}

/// Holds a verdict against what the switch and the ends did. An answer alone is no
/// verdict: no packet back may mean a closed port.
pub fn disagreement(verdict: &Verdict, answered: Answered, dropped: bool) -> Option<Disagreement> {
    match (verdict.answer, answered) {
        (Answer::Deny, Answered::Both | Answered::Reverse) => Some(Disagreement::NotEnforced),
        (Answer::Allow, _) if dropped => Some(Disagreement::DroppedByAnother),
        _ => None,
    }
}
