//! The `Network` or `FlowExport`, whichever counts: where flows go, and its conditions.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_api::condition::find;
use weir_api::network::CLUSTER;
use weir_api::written::flows_written_at;
use weir_api::{Condition, ExportNetworkFlows, FlowExport, Network, Protocol};

use crate::condition::StatedCondition;
use crate::history::{ExportChange, last_change};

/// Prefix of the condition types that Weir owns.
const OURS: &str = "FlowExport";

/// Which resource says where flows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum SourceKind {
    /// `operator.openshift.io/v1`.
    Network,
    /// `weir.dev/v1alpha1`.
    FlowExport,
}

impl SourceKind {
    /// As kubectl names it.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Network => "network.operator",
            Self::FlowExport => "flowexport",
        }
    }

    /// Group and version, as objects have them.
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Network => "operator.openshift.io/v1",
            Self::FlowExport => "weir.dev/v1alpha1",
        }
    }

    /// The name of the kind.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Network => "Network",
            Self::FlowExport => "FlowExport",
        }
    }

    /// The name of the one that counts.
    pub const fn name(self) -> &'static str {
        CLUSTER
    }
}

/// What counts of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Which resource it is.
    pub kind: SourceKind,
    /// `spec.exportNetworkFlows`.
    pub flows: Option<ExportNetworkFlows>,
    /// Conditions of ours.
    pub conditions: Vec<Condition>,
    /// The last change that it tells of itself.
    pub changed: Option<ExportChange>,
}

impl Source {
    fn new(
        kind: SourceKind,
        metadata: &ObjectMeta,
        flows: Option<ExportNetworkFlows>,
        conditions: Vec<Condition>,
    ) -> Self {
        let mut ours = conditions;
        ours.retain(|condition| condition.type_.starts_with(OURS));
        let changed = flows_written_at(metadata).map(|(time, by)| last_change(flows.as_ref(), time, &by));
        Self {
            kind,
            flows,
            conditions: ours,
            changed,
        }
    }

    /// The one that the controller reads: it keeps its conditions there. Where none has any, the
    /// one that there is, a `Network` first.
    pub fn counting(network: Option<Network>, flow_export: Option<FlowExport>) -> Option<Self> {
        let network = network.map(|network| {
            let conditions = network.status.unwrap_or_default().conditions;
            Self::new(
                SourceKind::Network,
                &network.metadata,
                network.spec.export_network_flows,
                conditions,
            )
        });
        let flow_export = flow_export.map(|flow_export| {
            let conditions = flow_export.status.unwrap_or_default().conditions;
            Self::new(
                SourceKind::FlowExport,
                &flow_export.metadata,
                flow_export.spec.export_network_flows,
                conditions,
            )
        });
        // The other one has at most a word that it is not read.
        let counts = |source: &Option<Self>| {
            let conditions = source
                .as_ref()
                .map(|source| source.conditions.as_slice())
                .unwrap_or_default();
            (
                find(conditions, "FlowExportAvailable").is_some(),
                !conditions.is_empty(),
            )
        };
        match (counts(&network), counts(&flow_export)) {
            (of_network, of_flow_export) if of_flow_export > of_network => flow_export.or(network),
            _ => network.or(flow_export),
        }
    }
}

/// A collector as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CollectorEntryAnswer {
    /// `netFlow`, `sFlow` or `ipfix`.
    pub protocol: String,
    /// Such as `192.0.2.1:2056` or `weir-collector.weir-system.svc:4739`.
    pub collector: String,
}

/// Where flows are to go, and how that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceState {
    /// Which resource counts.
    pub kind: SourceKind,
    /// Collectors, as they were written.
    pub collectors: Vec<CollectorEntryAnswer>,
    /// Conditions in words.
    pub conditions: Vec<StatedCondition>,
}

impl From<&Source> for SourceState {
    fn from(source: &Source) -> Self {
        let entries = |protocol: Protocol| {
            let entries = source
                .flows
                .as_ref()
                .map(|flows| flows.entries(protocol))
                .unwrap_or_default();
            entries.iter().map(move |entry| CollectorEntryAnswer {
                protocol: protocol.field().to_owned(),
                collector: entry.0.clone(),
            })
        };
        Self {
            kind: source.kind,
            collectors: Protocol::ALL.into_iter().flat_map(entries).collect(),
            conditions: source.conditions.iter().map(StatedCondition::of_source).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn object(conditions: &[&str]) -> Value {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|kind| {
                json!({"type": kind, "status": "True", "reason": "R", "message": "m",
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
            })
            .collect();
        json!({"metadata": {"name": "cluster"}, "spec": {}, "status": {"conditions": conditions}})
    }

    fn kind(network: Option<&[&str]>, flow_export: Option<&[&str]>) -> Option<SourceKind> {
        let network = network.map(|of| serde_json::from_value(object(of)).unwrap());
        let flow_export = flow_export.map(|of| serde_json::from_value(object(of)).unwrap());
        Source::counting(network, flow_export).map(|source| source.kind)
    }

    #[test]
    fn the_one_counts_in_which_the_controller_keeps_its_conditions() {
        use SourceKind::{FlowExport, Network};
        let full: &[&str] = &["FlowExportAvailable", "FlowExportDegraded"];
        let unread: &[&str] = &["FlowExportDegraded"];
        let others: &[&str] = &["ManagementStateDegraded"];
        assert_eq!(kind(Some(full), None), Some(Network));
        assert_eq!(kind(Some(others), Some(full)), Some(FlowExport));
        assert_eq!(kind(Some(unread), Some(full)), Some(FlowExport));
        assert_eq!(kind(Some(full), Some(unread)), Some(Network));
        assert_eq!(kind(Some(others), Some(&[])), Some(Network));
        assert_eq!(kind(None, Some(&[])), Some(FlowExport));
        assert_eq!(kind(None, None), None);
    }
}
