//! Who called whom: the evidence that replay, generation and the reports take. It is
//! given by the caller, who has it from recorded flows; nothing here reads any.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::quality::RandomState;
use ipnet::IpNet;

/// The owner of pods: the outermost controller (the Deployment, not its ReplicaSet; the
/// CronJob, not its Job).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkloadKey {
    /// `metadata.namespace`.
    pub namespace: String,
    /// Its kind as the API spells it: `Deployment`.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
}

impl std::fmt::Display for WorkloadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.kind.to_lowercase(), self.name)
    }
}

/// A pod as a record of flows names it; it may be gone by now.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodEnd {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`; empty where only the workload was kept: any of its pods.
    pub name: String,
    /// The address that was seen, if it was kept.
    pub address: Option<IpAddr>,
    /// The node that it was on; empty where nobody knows.
    pub node: String,
    /// Whose pod it was, if that is known.
    pub workload: Option<WorkloadKey>,
}

/// One end of an edge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EdgeEnd {
    /// A pod with an address of its own.
    Pod(PodEnd),
    /// A node, or a pod on its network.
    Node {
        /// `metadata.name`.
        name: String,
        /// The address that was seen, if it was kept.
        address: Option<IpAddr>,
    },
    /// Outside of the cluster.
    Outside {
        /// One address, or the network that was kept in its stead.
        network: IpNet,
        /// The name of the network that the user gave, or empty.
        subnet_label: String,
    },
    /// A Service: it is not known which pod got the call. The edge's port is the Service's.
    Service {
        /// `metadata.namespace`.
        namespace: String,
        /// `metadata.name`.
        name: String,
    },
    /// Nobody knows who had the address.
    Unknown,
}

impl EdgeEnd {
    /// One address outside of the cluster.
    pub fn address(address: IpAddr) -> EdgeEnd {
        EdgeEnd::Outside {
            network: IpNet::from(address),
            subnet_label: String::new(),
        }
    }
}

impl std::fmt::Display for EdgeEnd {
    /// As tables name it: `shop/deployment/checkout`, `shop/pod`, `node n1`,
    /// `payments (198.51.100.0/24)`, `203.0.113.7`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            EdgeEnd::Pod(pod) => match &pod.workload {
                Some(workload) => write!(f, "{workload}"),
                None => write!(f, "{}/{}", pod.namespace, pod.name),
            },
            EdgeEnd::Node { name, .. } => write!(f, "node {name}"),
            EdgeEnd::Outside {
                network,
                subnet_label,
            } => {
                let network = short(network);
                match subnet_label.is_empty() {
                    true => f.write_str(&network),
                    false => write!(f, "{subnet_label} ({network})"),
                }
            }
            EdgeEnd::Service { namespace, name } => write!(f, "service {namespace}/{name}"),
            EdgeEnd::Unknown => f.write_str("unknown"),
        }
    }
}

/// A network, or an address where it has only one.
pub(crate) fn short(network: &IpNet) -> String {
    match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    }
}

/// How well it is known who the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Strength {
    /// Nothing tells.
    Unknown,
    /// One hint, or evidence that contradicts itself.
    Weak,
    /// Two hints that agree, or the server's container declares the port.
    Likely,
    /// A SYN was seen, or the server is a Service's.
    Proven,
}

impl Strength {
    /// The value of a column.
    pub fn name(self) -> &'static str {
        match self {
            Strength::Unknown => "unknown",
            Strength::Weak => "weak",
            Strength::Likely => "likely",
            Strength::Proven => "proven",
        }
    }
}

/// The number of an [`EdgeEnd`] in its [`EdgeSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndId(pub(crate) u32);

/// All connections between two ends to one port within the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Edge {
    /// Who opened them.
    pub client: EndId,
    /// Who was called.
    pub server: EndId,
    /// The protocol of the IP header.
    pub protocol: u8,
    /// The port of the server's pod; of the Service where the server is one. For ICMP
    /// type * 256 + code.
    pub port: u16,
    /// Records, both directions; scaled by the sampling if the caller does so.
    pub flows: u64,
    /// Bytes, both directions.
    pub bytes: u64,
    /// When the first one was seen, in nanoseconds since 1970.
    pub first: u64,
    /// When the last one was seen, in nanoseconds since 1970.
    pub last: u64,
    /// How well the direction is known.
    pub strength: Strength,
    /// The server was seen to answer.
    pub answered: bool,
}

/// Edges, and the ends that they share. Edges whose four numbers are equal add up.
#[derive(Debug, Clone, Default)]
pub struct EdgeSet {
    ends: Vec<EdgeEnd>,
    ids: HashMap<EdgeEnd, EndId, RandomState>,
    edges: Vec<Edge>,
    places: HashMap<(EndId, EndId, u8, u16), usize, RandomState>,
}

impl EdgeSet {
    /// The number of an end; the same for the same end.
    pub fn end(&mut self, end: EdgeEnd) -> EndId {
        if let Some(id) = self.ids.get(&end) {
            return *id;
        }
        let id = EndId(self.ends.len() as u32);
        self.ends.push(end.clone());
        self.ids.insert(end, id);
        id
    }

    /// Adds an edge, or adds it to the one of the same ends and port: sums, the longer
    /// time, and the better of strength and answer.
    pub fn push(&mut self, edge: Edge) {
        let key = (edge.client, edge.server, edge.protocol, edge.port);
        let next = self.edges.len();
        let place = *self.places.entry(key).or_insert(next);
        match self.edges.get_mut(place) {
            Some(known) => known.add(&edge),
            None => self.edges.push(edge),
        }
    }

    /// All edges, in the order in which they came.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// All ends, by number.
    pub fn ends(&self) -> &[EdgeEnd] {
        &self.ends
    }

    /// The end of that number.
    pub fn at(&self, end: EndId) -> &EdgeEnd {
        self.ends.get(end.0 as usize).unwrap_or(&EdgeEnd::Unknown)
    }
}

impl Edge {
    fn add(&mut self, other: &Edge) {
        self.flows = self.flows.saturating_add(other.flows);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.strength = self.strength.max(other.strength);
        self.answered |= other.answered;
    }
}

/// How many edges, and what went over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Edges.
    pub edges: u64,
    /// Records.
    pub flows: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Tally {
    /// One edge more.
    pub fn add(&mut self, edge: &Edge) {
        self.edges += 1;
        self.flows = self.flows.saturating_add(edge.flows);
        self.bytes = self.bytes.saturating_add(edge.bytes);
    }

    /// All that another one has, too.
    pub fn join(&mut self, other: &Tally) {
        self.edges += other.edges;
        self.flows = self.flows.saturating_add(other.flows);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// The share of the flows of a whole, 0 to 1; 0 of nothing.
    pub fn share_of_flows(&self, whole: &Tally) -> f64 {
        share(self.flows, whole.flows)
    }

    /// The share of the bytes of a whole, 0 to 1; 0 of nothing.
    pub fn share_of_bytes(&self, whole: &Tally) -> f64 {
        share(self.bytes, whole.bytes)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 / whole as f64,
    }
}
