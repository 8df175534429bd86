//! How a change goes from node to node, in words.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_api::condition::find;
use weir_api::rollout::{ABORTED, Approval, OnAbort, PAUSED, PROGRESSING};
use weir_api::{ExportRolloutSpec, ExportRolloutStatus, RolloutPhase};

/// Where a change is on its way from node to node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutState {
    /// `Completed`, `Releasing`, `Soaking`, `AwaitingApproval`, `Paused`, `RolledBack`.
    pub phase: String,
    /// How many steps of it have begun.
    pub step: u32,
    /// Nodes that have it.
    pub released_nodes: u32,
    /// Nodes that it is for.
    pub total_nodes: u32,
    /// The revision that is on its way, or that all have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub revision: Option<String>,
    /// The last that all nodes had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub completed_revision: Option<String>,
    /// A person is waited for.
    pub awaits_approval: bool,
    /// What holds, a sentence each.
    pub told: Vec<String>,
}

impl From<&ExportRolloutStatus> for RolloutState {
    fn from(status: &ExportRolloutStatus) -> Self {
        Self {
            phase: format!("{:?}", status.phase),
            step: status.step,
            released_nodes: status.released_nodes,
            total_nodes: status.total_nodes,
            revision: status.revision.clone(),
            completed_revision: status.completed_revision.clone(),
            awaits_approval: status.awaiting.is_some(),
            told: told(status),
        }
    }
}

/// What holds, in words.
pub fn told(status: &ExportRolloutStatus) -> Vec<String> {
    let conditions = [PROGRESSING, PAUSED, ABORTED].into_iter().filter_map(|kind| {
        let condition = find(&status.conditions, kind)?;
        (condition.status == "True" || status.phase == RolloutPhase::Completed && kind == PROGRESSING)
            .then(|| format!("{}: {}", condition.reason, condition.message))
    });
    conditions.collect()
}

/// How a change would go through so many nodes, a sentence a step.
pub fn steps(rollout: Option<&ExportRolloutSpec>, total: usize) -> Vec<String> {
    let Some(rollout) = rollout else {
        return vec![format!("there is no ExportRollout: {} at once", all_of(total))];
    };
    let mut steps = Vec::new();
    if rollout.canary.is_some() {
        steps.push("the nodes of the canary first, where any is".to_owned());
    }
    let soak = &rollout.soak.0;
    let mut released = 0;
    while let Some(size) = rollout.step_above(released, total) {
        let nodes = if size == 1 {
            "1 node".to_owned()
        } else {
            format!("{size} nodes, those before among them")
        };
        steps.push(format!("{nodes}, watched for {soak}"));
        released = size;
    }
    if rollout.approval == Approval::AfterFirstStep {
        steps.push("after the first step somebody has to agree: weir rollout approve".to_owned());
    }
    steps.push(format!("{}, watched for {soak}", all_of(total)));
    if !rollout.windows.is_empty() {
        steps.push(format!(
            "nodes are given it within {} of the ExportRollout alone",
            if rollout.windows.len() == 1 {
                "the window"
            } else {
                "the windows"
            }
        ));
    }
    steps.push(match rollout.on_abort {
        OnAbort::Rollback => "where it fails, all nodes get what they had".to_owned(),
        OnAbort::Pause => "where it fails, no other node gets it".to_owned(),
    });
    steps
}

fn all_of(total: usize) -> String {
    match total {
        1 => "the one node".to_owned(),
        total => format!("all {total} nodes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn status(value: Value) -> ExportRolloutStatus {
        serde_json::from_value(value).unwrap()
    }

    fn condition(kind: &str, status: &str) -> Value {
        json!({"type": kind, "status": status, "reason": format!("{kind}Reason"), "message": "why",
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    #[test]
    fn what_holds_is_told_and_nothing_else() {
        let soaking = status(
            json!({"phase": "Soaking", "step": 1, "revision": "r", "releasedNodes": 1, "totalNodes": 9,
            "conditions": [condition("Progressing", "True"), condition("Paused", "False"), condition("Aborted", "True")]}),
        );
        assert_eq!(told(&soaking), ["ProgressingReason: why", "AbortedReason: why"]);
        let completed =
            status(json!({"phase": "Completed", "conditions": [condition("Progressing", "False")]}));
        assert_eq!(told(&completed), ["ProgressingReason: why"]);
    }

    #[test]
    fn the_steps_of_a_change_are_those_that_the_gate_takes() {
        let standard = ExportRolloutSpec::default();
        let lines = steps(Some(&standard), 50);
        assert_eq!(
            lines,
            [
                "1 node, watched for 10m",
                "5 nodes, those before among them, watched for 10m",
                "all 50 nodes, watched for 10m",
                "where it fails, all nodes get what they had",
            ]
        );
        assert_eq!(steps(None, 3), ["there is no ExportRollout: all 3 nodes at once"]);
        assert_eq!(steps(Some(&standard), 1).len(), 2);
    }
}
