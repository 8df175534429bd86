//! What the collector's page `nodes` says, as far as it matters here.

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use weir_api::Protocol;
use weir_api::condition::Time;

/// The page.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The time there.
    pub time: Timestamp,
    /// Since when it listens.
    pub since: Timestamp,
    /// What came from nodes.
    pub nodes: Vec<NodeAnswer>,
}

/// What came from one node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeAnswer {
    /// Its name.
    pub node: String,
    /// By format.
    pub formats: Vec<ReceivedFormat>,
    /// When its mark came last from another address.
    pub unproven: Option<Timestamp>,
}

/// What came from one node in one format.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReceivedFormat {
    /// The format.
    pub protocol: Protocol,
    /// When the newest datagram came.
    pub last: Option<Timestamp>,
    /// What sequence numbers count of what came.
    pub sequenced: u64,
    /// What is missing of it.
    pub lost: u64,
}

#[derive(Deserialize)]
struct Page {
    time: Time,
    since: Time,
    nodes: Vec<PageNode>,
}

#[derive(Deserialize)]
struct PageNode {
    node: String,
    #[serde(default)]
    formats: Vec<PageFormat>,
    unproven: Option<Time>,
}

#[derive(Deserialize)]
struct PageFormat {
    format: String,
    last: Option<Time>,
    #[serde(default)]
    sequenced: u64,
    #[serde(default)]
    lost: u64,
}

impl Answer {
    /// Reads a page.
    ///
    /// # Errors
    /// It is none.
    pub fn read(page: &[u8]) -> Result<Self, serde_json::Error> {
        let page: Page = serde_json::from_slice(page)?;
        Ok(Self {
            time: page.time.0,
            since: page.since.0,
            nodes: page.nodes.into_iter().map(NodeAnswer::from).collect(),
        })
    }
}

impl From<PageNode> for NodeAnswer {
    fn from(said: PageNode) -> Self {
        Self {
            node: said.node,
            formats: said.formats.into_iter().filter_map(read_format).collect(),
            unproven: said.unproven.map(|time| time.0),
        }
    }
}

/// A format that is of no use here is none.
fn read_format(said: PageFormat) -> Option<ReceivedFormat> {
    let protocol = match said.format.as_str() {
        "netflow5" => Protocol::NetFlow,
        "ipfix" => Protocol::Ipfix,
        "sflow5" => Protocol::SFlow,
        _ => return None,
    };
    Some(ReceivedFormat {
        protocol,
        last: said.last.map(|time| time.0),
        sequenced: said.sequenced,
        lost: said.lost,
    })
}
