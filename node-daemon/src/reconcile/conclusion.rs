//! What a turn ends with: the status.

use std::time::Instant;

use weir_api::NodeFlowExportStatus;
use weir_api::condition::{Condition, Finding, Time};
use weir_api::export::THROTTLED;

use super::Reconciler;
use crate::cost::Look;
use crate::desired::Desired;
use crate::findings;
use crate::status::{Seen, status};

impl Reconciler {
    pub(super) fn conclude(
        &self,
        mut findings: Vec<Finding>,
        desired: &Desired,
        seen: Seen<'_>,
        (now, time): (Instant, &Time),
    ) -> NodeFlowExportStatus {
        findings.extend(self.switch.process().map(findings::of_switch));
        let look = self.measurement.map(|m| m.look);
        let judged = desired.spec.budget.is_some();
        findings.extend(judged.then(|| findings::of_budget(&desired.spec, &self.governor, look)));
        findings.extend(self.refusals.finding(now));
        let before = self.published_conditions.as_ref().unwrap_or(&desired.reported);
        let cost = match &self.measurement {
            Some(measurement) => measurement.cost,
            None => desired.reported_cost,
        };
        let mut status = NodeFlowExportStatus {
            cost,
            ..status(findings, desired, seen, self.drift_healed, before, time)
        };
        if !self.governor.verdict().is_reached() && look != Some(Look::Remote) {
            keep_verdict(&mut status.conditions, before);
        }
        status
    }
}

/// What the daemon before said of the budget holds for the same spec until there is a verdict
/// of our own; but what it throttled is as asked again.
fn keep_verdict(conditions: &mut [Condition], before: &[Condition]) {
    let kept = before.iter().find(|c| c.type_ == THROTTLED && c.status != "True");
    let pending = conditions.iter_mut().find(|c| c.type_ == THROTTLED);
    if let (Some(pending), Some(kept)) = (pending, kept)
        && pending.observed_generation == kept.observed_generation
    {
        pending.clone_from(kept);
    }
}
