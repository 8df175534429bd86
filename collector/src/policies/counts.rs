//! What one thread has judged since it told last.

use std::sync::Arc;

use weir_policy::{Answer, Reason, Verdict};

use crate::metrics::PolicyMetrics;

/// Counts that nobody has seen yet.
#[derive(Debug)]
pub struct PolicyCounts {
    metrics: Arc<PolicyMetrics>,
    /// By answer and reason.
    judged: [[u64; Reason::ALL.len()]; Answer::ALL.len()],
    /// Records that were denied, by egress and by ingress policies.
    denied: [u64; 2],
}

impl PolicyCounts {
    /// None yet.
    pub fn new(metrics: Arc<PolicyMetrics>) -> Self {
        Self {
            metrics,
            judged: Default::default(),
            denied: [0; 2],
        }
    }

    /// One record was judged so.
    #[inline]
    pub fn count(&mut self, verdict: &Verdict) {
        let counts = self.judged.get_mut(verdict.answer as usize);
        if let Some(count) = counts.and_then(|counts| counts.get_mut(verdict.reason as usize)) {
            *count += 1;
        }
        if verdict.answer == Answer::Deny {
            // The packet gets no further than the client's side.
            let [egress, ingress] = &mut self.denied;
            match verdict.egress.answer {
                Answer::Deny => *egress += 1,
                _ => *ingress += 1,
            }
        }
    }

    /// Tells the counts.
    pub fn publish(&mut self) {
        for (answer, counts) in Answer::ALL.iter().zip(&mut self.judged) {
            for (reason, count) in Reason::ALL.iter().zip(counts) {
                let count = std::mem::take(count);
                if count > 0 {
                    self.metrics.count(answer.name(), reason.name(), count);
                }
            }
        }
        for (direction, denied) in ["egress", "ingress"].into_iter().zip(&mut self.denied) {
            let denied = std::mem::take(denied);
            if denied > 0 {
                self.metrics.deny(direction, denied);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_and_reason_has_its_own_place() {
        assert!(
            Answer::ALL
                .iter()
                .enumerate()
                .all(|(at, answer)| *answer as usize == at)
        );
        assert!(
            Reason::ALL
                .iter()
                .enumerate()
                .all(|(at, reason)| *reason as usize == at)
        );
    }
}
