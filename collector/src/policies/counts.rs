//! What one thread has judged since it told last.

use std::sync::Arc;

use weir_flow::Judged;
use weir_policy::{Answer, Reason, Verdict};

use crate::metrics::PolicyMetrics;

const ANSWERS: [Answer; 3] = [Answer::Allow, Answer::Deny, Answer::Unknown];
const REASONS: [Reason; 16] = [
    Reason::Rule,
    Reason::Isolation,
    Reason::Node,
    Reason::SelfPod,
    Reason::Default,
    Reason::Host,
    Reason::External,
    Reason::Direction,
    Reason::Identity,
    Reason::Backend,
    Reason::Changed,
    Reason::Gap,
    Reason::Protocol,
    Reason::Domain,
    Reason::Order,
    Reason::Foreign,
];

/// Counts that nobody has seen yet.
#[derive(Debug)]
pub struct PolicyCounts {
    metrics: Arc<PolicyMetrics>,
    /// By answer and reason.
    judged: [[u64; REASONS.len()]; ANSWERS.len()],
    /// Records that were denied so, one kind after the other.
    denied: Vec<(Judged, u64)>,
}

impl PolicyCounts {
    /// None yet.
    pub fn new(metrics: Arc<PolicyMetrics>) -> Self {
        Self {
            metrics,
            judged: Default::default(),
            denied: Vec::new(),
        }
    }

    /// One record was judged so.
    #[inline]
    pub fn count(&mut self, verdict: &Verdict, judged: &Judged) {
        let counts = self.judged.get_mut(verdict.answer as usize);
        if let Some(count) = counts.and_then(|counts| counts.get_mut(verdict.reason as usize)) {
            *count += 1;
        }
        if verdict.answer == Answer::Deny {
            match self.denied.last_mut() {
                Some((last, count)) if last == judged => *count += 1,
                _ => self.denied.push((judged.clone(), 1)),
            }
        }
    }

    /// Tells the counts.
    pub fn publish(&mut self) {
        for (answer, counts) in ANSWERS.iter().zip(&mut self.judged) {
            for (reason, count) in REASONS.iter().zip(counts) {
                let count = std::mem::take(count);
                if count > 0 {
                    self.metrics.count(answer.name(), reason.name(), count);
                }
            }
        }
        for (judged, count) in self.denied.drain(..) {
            let Some(verdict) = judged.verdict() else { continue };
            let (side, direction) = match verdict.egress.action {
                "drop" | "reject" => (&verdict.egress, "egress"),
                _ => (&verdict.ingress, "ingress"),
            };
            self.metrics.deny(&side.policy, direction, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_and_reason_has_its_own_place() {
        assert!(
            ANSWERS
                .iter()
                .enumerate()
                .all(|(at, answer)| *answer as usize == at)
        );
        assert!(
            REASONS
                .iter()
                .enumerate()
                .all(|(at, reason)| *reason as usize == at)
        );
    }
}
