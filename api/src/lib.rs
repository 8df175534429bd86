//! The types that every part of Weir speaks: the resources, the one parser of
//! collector entries, the pure planner from a `Network` to what a node must
//! program, the flow field table.
//!
//! No I/O, no clock, no runtime: everything here is data and pure functions.
#![deny(missing_docs)]

pub mod collector;
pub mod condition;
pub mod document;
pub mod export;
pub mod flow_export;
pub mod flows_config;
pub mod identity;
pub mod interface;
pub mod network;
pub mod plan;
pub mod profile;
pub mod revision;
pub mod rollout;
pub mod unknown;
pub mod written;

pub use collector::{Collector, CollectorError};
pub use condition::{Condition, ConditionStatus};
pub use export::{
    BridgeExport, BridgeStatus, ConflictPolicy, IpfixExport, NetFlowExport, NodeFlowExport,
    NodeFlowExportSpec, NodeFlowExportStatus, SFlowExport,
};
pub use flow_export::{FlowExport, FlowExportSpec};
pub use flows_config::FlowsConfig;
pub use network::{Collectors, ExportNetworkFlows, Network, NetworkSpec};
pub use profile::{ExportProfile, ExportProfileSpec, ExportProfileStatus, ExportSwitch};
pub use revision::RevisionData;
pub use rollout::{ExportRollout, ExportRolloutSpec, ExportRolloutStatus, RolloutPhase};
pub use weir_fields as fields;

/// Label and field-manager prefix of everything that Weir owns in Kubernetes.
pub const GROUP: &str = "weir.dev";

/// Key in OVSDB `external_ids` that marks a row as Weir's; its value is the
/// name of the node that wrote it.
pub const OWNER_KEY: &str = "weir-owner";

/// The three export protocols that OVS speaks, in the order in which they are
/// shown to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// NetFlow v5 (`Bridge.netflow`).
    NetFlow,
    /// sFlow v5 (`Bridge.sflow`).
    SFlow,
    /// IPFIX, RFC 7011 (`Bridge.ipfix`).
    Ipfix,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NetFlow, Self::SFlow, Self::Ipfix];

    /// The field name under `spec.exportNetworkFlows`.
    pub const fn field(self) -> &'static str {
        match self {
            Self::NetFlow => "netFlow",
            Self::SFlow => "sFlow",
            Self::Ipfix => "ipfix",
        }
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NetFlow => "NetFlow",
            Self::SFlow => "sFlow",
            Self::Ipfix => "IPFIX",
        })
    }
}
