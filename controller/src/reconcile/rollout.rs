//! The rollout's part of the loop.

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::{REPORT_DELAY, Reconciler};
use crate::decide::Decision;
use crate::node_state::NodeJudge;
use crate::rollout::{Outcome, apply_gate};
use crate::write_queue::{Subject, Write};

impl Reconciler {
    /// What nodes report moves a rollout on, together with what else is reported.
    pub(super) fn follow_reports(&mut self) {
        let progresses = self.decision.rollout.as_ref().is_some_and(|r| r.progressing);
        if progresses && self.report.is_some() {
            let soon = Instant::now() + REPORT_DELAY;
            self.checks[0] = Some(self.checks[0].map_or(soon, |at| at.min(soon)));
        }
    }

    /// Says who is told what, and has written down where the rollout is.
    pub(super) fn gate(&mut self, decision: &mut Decision, now: Timestamp) -> Option<Outcome> {
        let write_error = |node: &str| self.queue.export_error(node).map(str::to_owned);
        let judge = NodeJudge::new(&self.cluster, &write_error, self.deadline, now);
        let hash = decision.revision.as_ref().map(|plan| plan.revision.as_str());
        let keep_error = hash
            .and_then(|hash| self.queue.keep_error(hash))
            .map(str::to_owned);
        let memory = &mut self.rollout;
        let moment = (now, std::time::Instant::now());
        let outcome = apply_gate(decision, &self.cluster, &judge, memory, keep_error, moment);
        self.metrics
            .rollout_stopped(decision.rollout.as_ref().is_some_and(|r| r.stopped.is_some()));
        let status = outcome.as_ref().and_then(|outcome| outcome.status.clone());
        match status {
            Some(status) => {
                let rollout = self.cluster.rollout();
                let seen = rollout.map(|rollout| rollout.metadata.clone());
                let write = (seen.unwrap_or_default(), status);
                self.queue.add(Write::Rollout(Box::new(write)));
            }
            None => self.queue.drop_waiting(&Subject::Rollout),
        }
        let keep = outcome.as_ref().and_then(|outcome| outcome.keep.clone());
        let keep = keep.map(|(hash, number, data)| Write::Keep {
            hash,
            number,
            data: Box::new(data),
        });
        let complete = outcome.as_ref().and_then(|outcome| outcome.complete.clone());
        let complete = complete.map(|(name, since)| Write::Complete(name, since));
        let forget = outcome.iter().flat_map(|outcome| &outcome.forget);
        let forget = forget.cloned().map(Write::Forget);
        for write in keep.into_iter().chain(complete).chain(forget) {
            if !self.queue.is_under_way(&write.subject()) {
                self.queue.add(write);
            }
        }
        outcome
    }
}
