//! Edges and their sums as they are told.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_policy::edges::{Edge, EdgeSet, Tally};
use weir_policy::words;

/// How many edges, and what went over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct TallyRow {
    /// Edges: pairs of ends and a port.
    pub edges: u64,
    /// Records.
    pub flows: u64,
    /// Bytes.
    pub bytes: u64,
}

impl From<&Tally> for TallyRow {
    fn from(tally: &Tally) -> Self {
        let Tally { edges, flows, bytes } = *tally;
        Self { edges, flows, bytes }
    }
}

impl TallyRow {
    /// Adds an edge.
    pub fn add(&mut self, edge: &EdgeRow) {
        self.edges += 1;
        self.flows = self.flows.saturating_add(edge.flows);
        self.bytes = self.bytes.saturating_add(edge.bytes);
    }

    /// The sum of edges.
    pub fn of<'e>(edges: impl IntoIterator<Item = &'e EdgeRow>) -> Self {
        let mut sum = Self::default();
        edges.into_iter().for_each(|edge| sum.add(edge));
        sum
    }

    /// The sum of sums.
    pub fn sum<'t>(all: impl IntoIterator<Item = &'t Self>) -> Self {
        all.into_iter().fold(Self::default(), |sum, one| Self {
            edges: sum.edges + one.edges,
            flows: sum.flows.saturating_add(one.flows),
            bytes: sum.bytes.saturating_add(one.bytes),
        })
    }

    /// The share of the flows of a whole, 0 to 1; 0 of nothing.
    pub fn share_of_flows(&self, whole: &Self) -> f64 {
        match whole.flows {
            0 => 0.0,
            all => self.flows as f64 / all as f64,
        }
    }
}

/// One edge.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct EdgeRow {
    /// Who called: `shop/deployment/web`, `shop/pod`, `node n1`, an address, `unknown`.
    pub client: String,
    /// Who was called, likewise.
    pub server: String,
    /// `8443/tcp`, or the protocol's number.
    pub port: String,
    /// Records, both directions.
    pub flows: u64,
    /// Bytes, both directions.
    pub bytes: u64,
    /// When the first was seen, in nanoseconds since 1970.
    pub first_seen_ns: u64,
    /// When the last was seen, in nanoseconds since 1970.
    pub last_seen_ns: u64,
    /// How well it is known who called: `proven`, `likely`, `weak`, `unknown`.
    pub strength: String,
    /// The server was seen to answer.
    pub answered: bool,
}

impl EdgeRow {
    /// An edge with the names of its ends.
    pub fn of(edges: &EdgeSet, edge: &Edge) -> Self {
        Self {
            client: edges.at(edge.client).to_string(),
            server: edges.at(edge.server).to_string(),
            port: words::port(edge.protocol, edge.port),
            flows: edge.flows,
            bytes: edge.bytes,
            first_seen_ns: edge.first,
            last_seen_ns: edge.last,
            strength: edge.strength.name().to_owned(),
            answered: edge.answered,
        }
    }
}

impl std::fmt::Display for EdgeRow {
    /// `shop/deployment/web -> bank/statefulset/db 5432/tcp`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {} {}", self.client, self.server, self.port)
    }
}
