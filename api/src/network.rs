//! `Network` (`operator.openshift.io/v1`): the resource that Weir shares with
//! OpenShift's Cluster Network Operator.
//!
//! Only `spec.exportNetworkFlows` is declared; everything else in `spec` and
//! `status` is preserved and never written. Shape and limits: openshift/api
//! `operator/v1/types_network.go`, widened by the forms of [`crate::Collector`].

use std::borrow::Cow;

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::Protocol;
use crate::condition::Condition;

/// The one `Network` that counts, as in OpenShift.
pub const CLUSTER: &str = "cluster";

/// Most collectors that a list may have.
pub const MAX_COLLECTORS: usize = 10;

/// Cluster-wide network configuration.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[kube(
    group = "operator.openshift.io",
    version = "v1",
    kind = "Network",
    plural = "networks",
    singular = "network",
    status = "NetworkStatus",
    doc = "Cluster-wide network configuration; Weir reads spec.exportNetworkFlows of the one named cluster."
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct NetworkSpec {
    /// Export of the pod network's flow metadata by NetFlow, sFlow and IPFIX.
    /// Unset means no export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export_network_flows: Option<ExportNetworkFlows>,
}

/// Status of the network configuration. Weir owns the conditions
/// `FlowExportAvailable`, `FlowExportProgressing`, `FlowExportDegraded` and
/// `FlowExportReceived`.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct NetworkStatus {
    /// One entry a type; several owners write their own types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}

/// Which protocols export flows, and where to.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportNetworkFlows {
    /// NetFlow v5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_flow: Option<Collectors>,
    /// sFlow v5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s_flow: Option<Collectors>,
    /// IPFIX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipfix: Option<Collectors>,
}

impl ExportNetworkFlows {
    /// The entries of one protocol as the user wrote them; empty when unset.
    pub fn entries(&self, protocol: Protocol) -> &[CollectorEntry] {
        let collectors = match protocol {
            Protocol::NetFlow => &self.net_flow,
            Protocol::SFlow => &self.s_flow,
            Protocol::Ipfix => &self.ipfix,
        };
        collectors
            .as_ref()
            .and_then(|c| c.collectors.as_deref())
            .unwrap_or_default()
    }
}

/// The collectors of one protocol. `{}` is valid and exports nothing.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Collectors {
    /// One to ten collectors; each receives the same records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10), extend("x-kubernetes-list-type" = "atomic"))]
    pub collectors: Option<Vec<CollectorEntry>>,
}

/// One collector as the user wrote it; [`crate::Collector`] is its parsed form.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(transparent)]
pub struct CollectorEntry(pub String);

impl From<&str> for CollectorEntry {
    fn from(entry: &str) -> Self {
        Self(entry.to_owned())
    }
}

/// What the parser accepts, as far as a regular expression can say it.
const ENTRY_PATTERN: &str = concat!(
    r"^(((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])",
    r"|\[[0-9a-fA-F:.]+\]",
    r"|[a-z]([-a-z0-9]{0,61}[a-z0-9])?\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.svc",
    r"|)",
    r":([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$"
);

impl JsonSchema for CollectorEntry {
    fn schema_name() -> Cow<'static, str> {
        "CollectorEntry".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// CEL rather than `pattern`: its message tells the user what to write.
    /// The rules refuse at admission what [`crate::Collector`] refuses.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "IPV4:PORT, [IPV6]:PORT, :PORT (the node's own address) or NAME.NAMESPACE.svc:PORT.",
            "maxLength": 140,
            "x-kubernetes-validations": [
                {
                    "rule": format!("self.matches(r'{ENTRY_PATTERN}')"),
                    "message": "a collector is IPV4:PORT, [IPV6]:PORT, :PORT or NAME.NAMESPACE.svc:PORT, \
                                PORT from 1 to 65535, numbers without leading zeros",
                },
                {
                    "rule": "!self.startsWith('0.0.0.0:') && !self.startsWith('255.255.255.255:')",
                    "message": "the unspecified and the broadcast address cannot be a collector",
                },
                {
                    "rule": "!self.startsWith('[') || (isIP(self.substring(1, self.lastIndexOf(']'))) && \
                             ip(self.substring(1, self.lastIndexOf(']'))).family() == 6 && \
                             !ip(self.substring(1, self.lastIndexOf(']'))).isUnspecified() && \
                             !ip(self.substring(1, self.lastIndexOf(']'))).isLinkLocalUnicast())",
                    "message": "in brackets stands an IPv6 address that is neither unspecified nor link-local",
                },
            ],
        })
    }
}

/// A list of conditions that several owners share: a map keyed by `type`, so
/// that server-side apply of one type leaves the others alone.
pub(crate) fn conditions_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "status", "type"],
            "properties": {
                "type": { "type": "string" },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
                "reason": { "type": "string", "maxLength": 1024 },
                "message": { "type": "string" },
                "observedGeneration": { "type": "integer", "format": "int64" },
                "lastTransitionTime": { "type": "string", "format": "date-time" },
            },
        },
    })
}
