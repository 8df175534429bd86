//! `ExportRollout` (`weir.dev/v1alpha1`): how a change of flow export reaches the nodes.
//!
//! Without the one named `cluster` every change goes to all nodes at once. Spec is the
//! user's; status is the controller's, and all that it knows of a change that is on its way:
//! another leader goes on from there.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use kube::core::Selector;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::condition::{Condition, Time};
use crate::export::NodeFlowExportSpec;
use crate::network::conditions_schema;

/// A revision is on its way to the nodes.
pub const PROGRESSING: &str = "Progressing";
/// It waits until a person does something, which the message names.
pub const PAUSED: &str = "Paused";
/// The nodes that had it did not take it well.
pub const ABORTED: &str = "Aborted";

/// Label of a `NodeFlowExport`: the revision that its spec was written by. A field of the
/// spec would be one that older daemons do not know.
pub const REVISION_LABEL: &str = "weir.dev/revision";
/// Annotation of a `NodeFlowExport`: by which rollout, and how the node was before, a
/// [`Told`] in JSON. It is written together with the spec.
pub const TOLD_ANNOTATION: &str = "weir.dev/told";

/// Annotation of a `ControllerRevision`: when all nodes had it first, RFC 3339. Without it
/// they never had.
pub const COMPLETED_ANNOTATION: &str = "weir.dev/completed";

/// How changes reach the nodes.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "ExportRollout",
    plural = "exportrollouts",
    singular = "exportrollout",
    status = "ExportRolloutStatus",
    doc = "How a change of flow export reaches the nodes: a few first, then more, and back if they do not take it well. The one named cluster counts; without it a change goes to all nodes at once.",
    validation = Rule::new("self.metadata.name == 'cluster'").message("only the ExportRollout named cluster counts"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Step", type_ = "integer", json_path = ".status.step"),
    printcolumn(name = "Released", type_ = "integer", json_path = ".status.releasedNodes"),
    printcolumn(name = "Nodes", type_ = "integer", json_path = ".status.totalNodes"),
    printcolumn(name = "Revision", type_ = "string", json_path = ".status.revision"),
    printcolumn(name = "Completed", type_ = "string", json_path = ".status.completedRevision", priority = 1),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Progressing\")].reason"
    ),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.since")
)]
#[serde(rename_all = "camelCase")]
pub struct ExportRolloutSpec {
    /// Nodes that have a change first, and alone in the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// How many nodes have the change in each step, in all: a number, or a part of the nodes
    /// that it is for, rounded down and never below one. They are taken in ascending order,
    /// and all nodes are the last step.
    #[serde(default = "standard_steps")]
    #[schemars(length(min = 1, max = 10))]
    pub steps: Vec<NodeCount>,
    /// How long the nodes of a step are watched before the next one, such as `10m`.
    #[serde(default)]
    pub soak: Soak,
    /// What ends a rollout.
    #[serde(default)]
    pub abort: AbortLimits,
    /// What is done then.
    #[serde(default)]
    pub on_abort: OnAbort,
    /// When nodes may be given a change; empty: at any time. Removals and a rollback do not
    /// wait for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub windows: Vec<Window>,
    /// Whether a person has to agree after the first step.
    #[serde(default)]
    pub approval: Approval,
    /// `status.awaiting`, copied by who agrees (`weir rollout approve`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub approved: Option<String>,
}

impl Default for ExportRolloutSpec {
    fn default() -> Self {
        Self {
            canary: None,
            steps: standard_steps(),
            soak: Soak::default(),
            abort: AbortLimits::default(),
            on_abort: OnAbort::default(),
            windows: Vec::new(),
            approval: Approval::default(),
            approved: None,
        }
    }
}

impl ExportRolloutSpec {
    /// How many nodes have a change in the smallest step that is larger than this, of so many;
    /// none: all.
    pub fn step_above(&self, released: usize, total: usize) -> Option<usize> {
        let sizes = self.steps.iter().map(|step| step.size(total));
        sizes.filter(|size| *size > released && *size < total).min()
    }
}

fn standard_steps() -> Vec<NodeCount> {
    vec![
        NodeCount::Nodes(1),
        NodeCount::Part("10%".to_owned()),
        NodeCount::Part("100%".to_owned()),
    ]
}

/// The nodes that have a change first.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// By labels of nodes.
    pub node_selector: LabelSelector,
}

impl Canary {
    /// The selector, ready to be asked.
    ///
    /// # Errors
    /// It is malformed; the text says how.
    pub fn selector(&self) -> Result<Selector, String> {
        Selector::try_from(self.node_selector.clone()).map_err(|error| error.to_string())
    }
}

/// What ends a rollout. Only nodes that have the change are looked at.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AbortLimits {
    /// So many nodes fail that did not before: their conditions say so, they do not apply it
    /// within the controller's --progress-deadline, or their switch is dead. A number, or a
    /// part of the nodes that have the change, rounded down and never below one.
    #[serde(default = "one_node", deserialize_with = "one_node_or_so_many")]
    pub failing_nodes: NodeCount,
    /// On a node ovs-vswitchd takes so much more processor time than before, in thousandths
    /// of a processor (`status.cost.vswitchdMillicores`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MOST))]
    pub vswitchd_millicores_delta: Option<u32>,
    /// A node loses more than so many packets a second more than before
    /// (`status.cost.lostPerSecond`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MOST))]
    pub lost_per_second: Option<u32>,
}

impl Default for AbortLimits {
    fn default() -> Self {
        Self {
            failing_nodes: one_node(),
            vswitchd_millicores_delta: None,
            lost_per_second: None,
        }
    }
}

const fn one_node() -> NodeCount {
    NodeCount::Nodes(1)
}

/// The schema of a number or a text admits null as well.
fn one_node_or_so_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NodeCount, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(one_node))
}

/// What is done when a rollout is ended.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnAbort {
    /// All nodes get the last completed revision, at once.
    #[default]
    Rollback,
    /// The nodes that have it keep it, and no other gets it.
    Pause,
}

/// Whether a person has to agree.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Approval {
    /// No.
    #[default]
    None,
    /// After the first step and its soak.
    AfterFirstStep,
}

/// Where a change is.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum RolloutPhase {
    /// All nodes have it.
    #[default]
    Completed,
    /// The nodes of a step are given it.
    Releasing,
    /// They have it, and are watched.
    Soaking,
    /// A person has to agree.
    AwaitingApproval,
    /// It was ended, and the nodes that have it keep it.
    Paused,
    /// It was ended, and all nodes have the last completed one again.
    RolledBack,
}

/// Where the change is, and what another leader needs to go on with it.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportRolloutStatus {
    /// Generation of the spec that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the change is.
    #[serde(default)]
    pub phase: RolloutPhase,
    /// Since when it is there; in a soak, since when all nodes of the step have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The revision that is on its way, or that all have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// What the nodes that were told it by this rollout are marked with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<String>,
    /// The last revision that all nodes had: new nodes get it, and a rollback returns to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_revision: Option<String>,
    /// How many steps of it have begun.
    #[serde(default)]
    pub step: u32,
    /// Most nodes that may have it in this step; not set: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Nodes that have it, of those that it is for.
    #[serde(default)]
    pub released_nodes: u32,
    /// Nodes that it is for.
    #[serde(default)]
    pub total_nodes: u32,
    /// How often a person was waited for.
    #[serde(default)]
    pub stops: u32,
    /// What `spec.approved` has to be to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaiting: Option<String>,
    /// The last revision that was ended, until another one is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<Abort>,
    /// `Progressing`, `Paused`, `Aborted`.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}

/// A revision that was ended, and why.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Abort {
    /// The revision.
    pub revision: String,
    /// In a word.
    pub reason: String,
    /// In words.
    pub message: String,
    /// Nodes that still have it get the last completed one.
    #[serde(default)]
    pub rolled_back: bool,
}

/// By which rollout a node was told its spec, and how it was before.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// `status.rollout` of the `ExportRollout` then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<String>,
    /// `status.cost.vswitchdMillicores`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vswitchd_millicores: Option<u32>,
    /// `status.cost.lostPerSecond`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_per_second: Option<u32>,
    /// It failed already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failing: bool,
    /// The spec that it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<NodeFlowExportSpec>>,
    /// The spec that it was told while it waited, where that is less than its revision's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Box<NodeFlowExportSpec>>,
}

mod step;
mod window;

pub use step::{MOST, NodeCount, Soak};
pub use window::{Day, Window};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_empty_spec_has_the_standard_steps() {
        let spec: ExportRolloutSpec = serde_json::from_value(json!({})).unwrap();
        assert_eq!(spec, ExportRolloutSpec::default());
        let steps = serde_json::to_value(&spec).unwrap()["steps"].clone();
        assert_eq!(steps, json!([1, "10%", "100%"]));
    }

    #[test]
    fn how_many_nodes_may_fail_is_a_number_or_a_part() {
        let most = |value: serde_json::Value| {
            let limits: AbortLimits = serde_json::from_value(json!({ "failingNodes": value })).unwrap();
            limits.failing_nodes.size(40)
        };
        assert_eq!([most(json!(3)), most(json!("5%")), most(json!("1%"))], [3, 2, 1]);
        assert_eq!(most(serde_json::Value::Null), 1);
    }
}
