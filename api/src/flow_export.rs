//! `FlowExport` (`weir.dev/v1alpha1`): what to export and where to, for clusters
//! whose `Network` somebody else reads.
//!
//! OpenShift's Cluster Network Operator programs Open vSwitch by itself from
//! `Network.spec.exportNetworkFlows`. Where it runs, Weir reads the same field of
//! this resource, so that two do not work on one bridge. The path is the same
//! too: a patch for one fits the other.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::network::{ExportNetworkFlows, conditions_schema};

/// What the cluster's nodes export, in the words of `Network`.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "FlowExport",
    plural = "flowexports",
    singular = "flowexport",
    status = "FlowExportStatus",
    doc = "Flow export of the cluster, read instead of the Network where weir-controller runs with --source=flow-export; the one named cluster counts.",
    validation = Rule::new("self.metadata.name == 'cluster'").message("only the FlowExport named cluster counts"),
    printcolumn(
        name = "Available",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"FlowExportAvailable\")].status"
    ),
    printcolumn(
        name = "Progressing",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"FlowExportProgressing\")].status"
    ),
    printcolumn(
        name = "Degraded",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"FlowExportDegraded\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct FlowExportSpec {
    /// Export of the pod network's flow metadata by NetFlow, sFlow and IPFIX.
    /// Unset means no export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export_network_flows: Option<ExportNetworkFlows>,
}

/// The conditions `FlowExportAvailable`, `FlowExportProgressing`, `FlowExportDegraded` and
/// `FlowExportReceived`.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowExportStatus {
    /// One entry a type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
