//! What the gate has refused of late, for the status. weir-node itself sends nothing that its
//! gate refuses: somebody else uses the socket, or uses weir-node. Without a clock of its own.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use run_folder::RefusalCounts;
use weir_api::condition::Finding;
use weir_api::export::{GATE_REFUSED, reason};

/// How long a refusal is told.
pub const TOLD_FOR: Duration = Duration::from_secs(600);

/// What was seen of the gate's counters.
#[derive(Debug, Clone, Default)]
pub struct GateRefusals {
    counts: Option<RefusalCounts>,
    /// Reasons of the last row of refusals, and when the last one was seen.
    last: Option<(BTreeSet<&'static str>, Instant)>,
}

impl GateRefusals {
    /// The gate says how much it has refused since it began. What it had refused when it was
    /// asked first may have been long ago.
    pub fn saw(&mut self, counts: RefusalCounts, now: Instant) {
        let before = self.counts.replace(counts).unwrap_or(counts);
        let grown: BTreeSet<_> = counts.grown_since(&before).collect();
        if grown.is_empty() {
            return;
        }
        let earlier = self.last.take().filter(|(_, at)| is_told(*at, now));
        let reasons = earlier.map(|(reasons, _)| reasons).unwrap_or_default();
        self.last = Some((&reasons | &grown, now));
    }

    /// What is to be said; nothing where no gate tells.
    pub fn finding(&self, now: Instant) -> Option<Finding> {
        self.counts?;
        let told = self.last.as_ref().filter(|(_, at)| is_told(*at, now));
        let (reason, message) = match told {
            Some((reasons, _)) => {
                let reasons: Vec<_> = reasons.iter().copied().collect();
                let message = format!(
                    "weir-ovsdb-gate refused requests ({}), and weir-node sends none that it refuses: its log has \
                     them, `kubectl logs -n weir-node -c weir-ovsdb-gate` of this pod; find out who else uses its \
                     socket, or weir-node",
                    reasons.join(", ")
                );
                (reason::REQUESTS_REFUSED, message)
            }
            None => (
                reason::NOTHING_REFUSED,
                "the gate has refused nothing of late".to_owned(),
            ),
        };
        Some(Finding {
            kind: GATE_REFUSED,
            status: told.is_some().into(),
            reason,
            message,
        })
    }
}

fn is_told(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < TOLD_FOR
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_api::condition::ConditionStatus;

    #[test]
    fn what_the_gate_refuses_is_told_for_a_while_and_what_it_refused_before_is_not() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut refusals = GateRefusals::default();
        assert_eq!(refusals.finding(start), None, "there is no gate");
        let mut counts = RefusalCounts::default();
        counts.add("peer");
        refusals.saw(counts, start);
        let status = |refusals: &GateRefusals, now| refusals.finding(now).unwrap().status;
        assert_eq!(status(&refusals, start), ConditionStatus::False, "of before");
        counts.add("method");
        refusals.saw(counts, at(5));
        counts.add("column");
        refusals.saw(counts, at(10));
        let told = refusals.finding(at(15)).unwrap();
        assert_eq!(
            (told.status, told.reason),
            (ConditionStatus::True, reason::REQUESTS_REFUSED)
        );
        assert!(told.message.contains("(column, method)"), "{}", told.message);
        refusals.saw(counts, at(600));
        assert_eq!(status(&refusals, at(609)), ConditionStatus::True);
        assert_eq!(status(&refusals, at(610)), ConditionStatus::False);
        counts.add("bounds");
        refusals.saw(counts, at(700));
        assert!(refusals.finding(at(700)).unwrap().message.contains("(bounds)"));
    }
}
