//! Conditions: the shape that Kubernetes and OpenShift share, and the one rule
//! about time: `lastTransitionTime` moves only when `status` does.

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// `True`, `False` or `Unknown`, as in `Condition.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionStatus {
    /// The condition holds.
    True,
    /// It does not.
    False,
    /// Nobody can say.
    Unknown,
}

impl ConditionStatus {
    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// What is to be said of one condition type, before it is merged with what was
/// said earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `Condition.type`.
    pub kind: &'static str,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One word in CamelCase, never empty (the API server refuses that).
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

/// Turns findings into conditions. A condition of `before` with the same type
/// and status lends its transition time; everything else is new at `now`.
pub fn conclude(
    findings: &[Finding],
    before: &[Condition],
    generation: Option<i64>,
    now: &Time,
) -> Vec<Condition> {
    findings
        .iter()
        .map(|finding| conclude_one(finding, before, generation, now))
        .collect()
}

fn conclude_one(finding: &Finding, before: &[Condition], generation: Option<i64>, now: &Time) -> Condition {
    let status = finding.status.as_str();
    let since = before
        .iter()
        .find(|c| c.type_ == finding.kind && c.status == status)
        .map_or_else(|| now.clone(), |c| c.last_transition_time.clone());
    Condition {
        type_: finding.kind.to_owned(),
        status: status.to_owned(),
        reason: finding.reason.to_owned(),
        message: finding.message.clone(),
        last_transition_time: since,
        observed_generation: generation,
    }
}

/// The condition of that type, if it was set.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == kind)
}

/// Whether a condition of that type is set and `True`.
pub fn holds(conditions: &[Condition], kind: &str) -> bool {
    find(conditions, kind).is_some_and(|c| c.status == ConditionStatus::True.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::Timestamp;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    fn finding(status: ConditionStatus) -> Finding {
        Finding {
            kind: "Applied",
            status,
            reason: "Applied",
            message: "all of it".into(),
        }
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let first = conclude(&[finding(ConditionStatus::True)], &[], Some(1), &at(1));
        let same = conclude(&[finding(ConditionStatus::True)], &first, Some(2), &at(2));
        let other = conclude(&[finding(ConditionStatus::False)], &same, Some(3), &at(3));
        assert_eq!(same[0].last_transition_time, at(1));
        assert_eq!(same[0].observed_generation, Some(2));
        assert_eq!(other[0].last_transition_time, at(3));
    }
}
