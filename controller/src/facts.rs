//! What counts of each kind of object, and how it is read from it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, PodStatus};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use serde::Deserialize;
use serde_json::Value;
use weir_api::plan::NodeFacts;
use weir_api::{Condition, ExportNetworkFlows, ExportProfile, FlowExport, Network, NodeFlowExport};

use crate::guarded::Invalid;
use crate::moment::earlier;
use crate::object::FIELD_MANAGER;
use crate::rollup;

/// What counts of the `Network` or `FlowExport`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceFacts {
    /// `metadata.uid`, for events about it.
    pub uid: Option<String>,
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// `spec.exportNetworkFlows`.
    pub flows: Option<ExportNetworkFlows>,
    /// Conditions of ours in its status.
    pub conditions: Vec<Condition>,
}

impl SourceFacts {
    fn new(object: &impl Resource, flows: Option<ExportNetworkFlows>, conditions: Vec<Condition>) -> Self {
        Self {
            uid: object.meta().uid.clone(),
            generation: object.meta().generation,
            flows,
            conditions: ours(conditions),
        }
    }

    /// What stands there of a source that cannot be read.
    pub fn of_invalid(invalid: &Invalid) -> Self {
        let conditions = invalid.status.get("conditions").and_then(Value::as_array);
        let conditions = conditions.into_iter().flatten();
        let conditions = conditions
            .filter_map(|c| Condition::deserialize(c).ok())
            .collect();
        Self {
            uid: invalid.metadata.uid.clone(),
            generation: invalid.metadata.generation,
            flows: None,
            conditions: ours(conditions),
        }
    }

    /// Whether it asks for any export.
    pub fn asks(&self) -> bool {
        self.flows
            .as_ref()
            .is_some_and(|flows| *flows != ExportNetworkFlows::default())
    }
}

fn ours(mut conditions: Vec<Condition>) -> Vec<Condition> {
    conditions.retain(|condition| rollup::KINDS.contains(&condition.type_.as_str()));
    conditions
}

/// What counts of a `Node`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeRecord {
    /// `metadata.uid`, for the ownerReference.
    pub uid: String,
    /// Labels, which profiles select by.
    pub labels: BTreeMap<String, String>,
    /// Name and address, which the planner takes.
    pub facts: NodeFacts,
    /// All its addresses, of either family.
    pub addresses: BTreeSet<IpAddr>,
    /// The kubelet says that it is well, or does not say.
    pub ready: bool,
}

/// The address of a Service, or in words why it has none.
pub type ServiceAddress = Result<IpAddr, &'static str>;

/// A pod of the node daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonPod {
    /// Name of the pod.
    pub name: String,
    /// The node that it is for.
    pub node: String,
    /// Why the daemon in it is not ready, and since when; `None`: it is.
    pub down: Option<(String, Timestamp)>,
}

/// Reads a `Network`.
pub fn read_network(network: Network) -> SourceFacts {
    let conditions = network.status.clone().unwrap_or_default().conditions;
    SourceFacts::new(&network, network.spec.export_network_flows.clone(), conditions)
}

/// Reads a `FlowExport`.
pub fn read_flow_export(flow_export: FlowExport) -> SourceFacts {
    let conditions = flow_export.status.clone().unwrap_or_default().conditions;
    let flows = flow_export.spec.export_network_flows.clone();
    SourceFacts::new(&flow_export, flows, conditions)
}

/// Reads a `Node`.
pub fn read_node(node: Node) -> NodeRecord {
    let facts = NodeFacts::of(&node);
    let status = node.status.unwrap_or_default();
    let addresses = status.addresses.unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    NodeRecord {
        uid: node.metadata.uid.unwrap_or_default(),
        labels: node.metadata.labels.unwrap_or_default(),
        facts,
        addresses: addresses.iter().filter_map(|a| a.address.parse().ok()).collect(),
        ready: ready.is_none_or(|condition| condition.status == "True"),
    }
}

/// Reads a pod of the node daemon.
pub fn read_pod(pod: Pod) -> DaemonPod {
    let name = pod.name_any();
    let spec = pod.spec.as_ref();
    let bound = spec.and_then(|spec| spec.node_name.clone());
    let node = bound.or_else(|| pod_node(&pod)).unwrap_or_default();
    let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let down = match &pod.metadata.deletion_timestamp {
        Some(end) => {
            // The API server writes down when it is to be gone.
            let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
            let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
            Some(("it is being deleted".to_owned(), Some(earlier(end.0, grace))))
        }
        None => pod_down(&pod.status.unwrap_or_default()),
    };
    let down = down.map(|(why, at)| (why, at.or(created).unwrap_or(Timestamp::UNIX_EPOCH)));
    DaemonPod { name, node, down }
}

/// The node that a DaemonSet's pod is for before it is bound.
fn pod_node(pod: &Pod) -> Option<String> {
    let affinity = pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
    let terms = &affinity
        .required_during_scheduling_ignored_during_execution
        .as_ref()?
        .node_selector_terms;
    let fields = terms.iter().flat_map(|term| term.match_fields.iter().flatten());
    let mut names = fields.filter(|field| field.key == "metadata.name");
    names.next()?.values.as_ref()?.first().cloned()
}

/// Why a pod that is to stay is not ready, and since when.
fn pod_down(status: &PodStatus) -> Option<(String, Option<Timestamp>)> {
    let conditions = status.conditions.iter().flatten();
    let ready = conditions.clone().find(|condition| condition.type_ == "Ready");
    let since = ready
        .and_then(|condition| condition.last_transition_time.as_ref())
        .map(|time| time.0);
    if ready.is_some_and(|condition| condition.status == "True") {
        return None;
    }
    let waiting = status.container_statuses.iter().flatten().find_map(|container| {
        let state = container.state.as_ref()?;
        let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
        waiting.or_else(|| state.terminated.as_ref().and_then(|ended| ended.reason.clone()))
    });
    let unscheduled = conditions
        .filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
        .find_map(|condition| condition.message.clone());
    let why = waiting
        .or(unscheduled)
        .unwrap_or_else(|| "it is not ready".to_owned());
    Some((why, since))
}

/// A profile without what nobody reads.
pub fn strip_profile(mut profile: ExportProfile) -> ExportProfile {
    profile.metadata = kube::core::ObjectMeta {
        name: profile.metadata.name.take(),
        generation: profile.metadata.generation,
        ..Default::default()
    };
    profile
}

/// A `NodeFlowExport` without what nobody reads. Of the managed fields the entry of
/// our spec stays, which says when it was written.
pub fn strip_export(mut export: NodeFlowExport) -> NodeFlowExport {
    let mut entries = export.metadata.managed_fields.take().unwrap_or_default();
    entries.retain(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER) && entry.subresource.is_none());
    entries.iter_mut().for_each(|entry| entry.fields_v1 = None);
    export.metadata.managed_fields = Some(entries);
    // Differs with each status, and nobody reads it.
    export.metadata.resource_version = None;
    if let Some(status) = &mut export.status {
        status.bridges = Vec::new();
    }
    export
}

#[cfg(test)]
mod tests;
