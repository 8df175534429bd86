//! What `nodes` answers: what was received from each node of the cluster. No address and
//! nothing of any flow: as much as who may list the `NodeFlowExport`s may know.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::Protocol;

use super::exporters::moment;
use crate::registry::{ExporterRegistry, NodeReception, Reception};

/// What was received from each node since this collector started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodesAnswer {
    /// The time here.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// Since when datagrams are received and counted here.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Nodes of which anything was received, by name.
    pub nodes: Vec<NodeAnswer>,
}

/// What was received from a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeAnswer {
    /// Its name.
    pub node: String,
    /// By format; those in which nothing came are not there.
    pub formats: Vec<ReceptionAnswer>,
    /// When a datagram with its mark came last from an address that is not the node's, nor
    /// a declared relay's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub unproven: Option<Timestamp>,
}

/// What was received from a node in one format, with the node's mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceptionAnswer {
    /// `netflow5`, `ipfix` or `sflow5`.
    pub format: String,
    /// When the newest datagram came that could be read, whether it had records or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub last: Option<Timestamp>,
    /// Datagrams that could be read.
    pub datagrams: u64,
    /// Flow records in them.
    pub records: u64,
    /// What sequence numbers count of them: flows (NetFlow 5), records (IPFIX) or datagrams.
    pub sequenced: u64,
    /// Missing by sequence number, in the same unit.
    pub lost: u64,
}

impl NodesAnswer {
    /// All that is known now.
    pub fn of(registry: &ExporterRegistry, since: Timestamp, now: Timestamp) -> Self {
        let nodes = registry.nodes().into_iter();
        Self {
            time: now,
            since,
            nodes: nodes.map(NodeAnswer::from).collect(),
        }
    }
}

impl From<(Arc<str>, NodeReception)> for NodeAnswer {
    fn from((node, reception): (Arc<str>, NodeReception)) -> Self {
        let formats = Protocol::ALL.into_iter().zip(reception.formats);
        let came = formats.filter(|(_, of)| *of != Reception::default());
        Self {
            node: node.as_ref().to_owned(),
            formats: came.map(ReceptionAnswer::from).collect(),
            unproven: moment(reception.unproven_ms),
        }
    }
}

impl From<(Protocol, Reception)> for ReceptionAnswer {
    fn from((format, reception): (Protocol, Reception)) -> Self {
        Self {
            format: format.as_str().to_owned(),
            last: moment(reception.last_ms),
            datagrams: reception.datagrams,
            records: reception.records,
            sequenced: reception.sequenced,
            lost: reception.lost,
        }
    }
}
