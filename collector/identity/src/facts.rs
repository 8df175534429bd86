//! What the index needs of each Kubernetes object, and nothing else: objects are
//! cut down to this before they are kept.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};

use super::index::{Endpoint, NodePort};
use super::mac::Mac;
use super::names::Names;
use crate::exporters::Exporter;

mod exports;
mod kinds;
mod nodes;
pub mod objects;
mod pods;
mod services;

pub use exports::exports;
pub use kinds::{ObjectKey, ObjectKind};
pub use nodes::node;
pub use pods::pod;
pub use services::{endpoints, service};

/// The controller of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its kind.
    pub kind: Arc<str>,
    /// Its name; it stands in the same namespace, or in none.
    pub name: Arc<str>,
    /// Its kind, if it is watched for who controls it.
    pub watched: Option<ObjectKind>,
}

impl Owner {
    /// The owner reference that controls the object.
    pub fn of(meta: &ObjectMeta) -> Option<Self> {
        let controls = |o: &&OwnerReference| o.controller == Some(true);
        let owner = meta.owner_references.iter().flatten().find(controls)?;
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        Some(Self {
            kind: owner.kind.as_str().into(),
            name: owner.name.as_str().into(),
            watched: ObjectKind::controller(group, &owner.kind),
        })
    }
}

/// What is kept of one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// Of a Pod.
    Pod(PodFact),
    /// Of a Node.
    Node(NodeFact),
    /// Of a Service.
    Service(ServiceFact),
    /// Of an EndpointSlice.
    Endpoints(EndpointsFact),
    /// Of a ReplicaSet, Job or ReplicationController: who controls it.
    Controlled(Option<Owner>),
    /// Of a NodeFlowExport: an exporter a bridge.
    Exports(Vec<Exporter>),
}

/// What is kept of a Pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodFact {
    /// Addresses that are the pod's own, and the network of each.
    pub addresses: Vec<(IpAddr, Arc<str>)>,
    /// Ethernet addresses that it is said to have, and the network of each.
    pub macs: Vec<(Mac, Arc<str>)>,
    /// Node that it runs on.
    pub node: Arc<str>,
    /// Its controller.
    pub owner: Option<Owner>,
    /// When it was made, ns since the epoch UTC.
    pub created: u64,
    /// When the node took it on, or else when it was made.
    pub started: u64,
    /// Its containers have ended, at this time; 0: it is not known when.
    pub ended: Option<u64>,
    /// It is being deleted.
    pub leaving: bool,
}

/// What is kept of a Node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeFact {
    /// Those of its status; internal ones first.
    pub addresses: Vec<IpAddr>,
    /// Others that its own kernel has.
    pub host_addresses: Vec<IpAddr>,
    /// Those of its own port in the pods' network.
    pub pod_network_addresses: Vec<IpAddr>,
    /// Whether the network plugin gives those to its kernel, and so to no pod.
    pub owns_pod_network_addresses: bool,
    /// Those that the network plugin's router puts to what it passes on for others.
    pub router_addresses: Vec<IpAddr>,
    /// Label `topology.kubernetes.io/zone`.
    pub zone: Arc<str>,
    /// Label `topology.kubernetes.io/region`.
    pub region: Arc<str>,
    /// When it was made, ns since the epoch UTC.
    pub created: u64,
}

/// What is kept of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceFact {
    /// Those that it was given: ClusterIPs and those of its load balancer.
    pub addresses: Vec<IpAddr>,
    /// Those that whoever made it wrote down (`externalIPs`), and that it was not given.
    pub external_addresses: Vec<IpAddr>,
    /// IANA protocol and port of each of its ports.
    pub ports: Vec<(u8, u16)>,
    /// Its ports on every node.
    pub node_ports: Vec<NodePort>,
    /// When it was made, ns since the epoch UTC.
    pub created: u64,
}

/// What is kept of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointsFact {
    /// The Service, in the same namespace.
    pub service: Arc<str>,
    /// Addresses that take what is sent to the Service.
    pub addresses: Vec<IpAddr>,
    /// IANA protocol and port of each port; port 0: all, protocol 0: all.
    pub ports: Vec<(u8, u16)>,
    /// When it was made, ns since the epoch UTC.
    pub created: u64,
}

impl EndpointsFact {
    /// Each address with each port.
    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        each(&self.addresses, &self.ports)
    }
}

impl ServiceFact {
    /// Each address that it was given with each port.
    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        each(&self.addresses, &self.ports)
    }

    /// Each external address with each port.
    pub fn external_endpoints(&self) -> impl Iterator<Item = Endpoint> {
        each(&self.external_addresses, &self.ports)
    }
}

fn each(addresses: &[IpAddr], ports: &[(u8, u16)]) -> impl Iterator<Item = Endpoint> {
    let with = |address: &IpAddr| {
        let address = *address;
        ports.iter().map(move |(proto, port)| Endpoint {
            address,
            proto: *proto,
            port: *port,
        })
    };
    addresses.iter().flat_map(with)
}

impl Fact {
    /// Takes the shared copies of names that other objects have too.
    pub fn share(&mut self, names: &mut Names) {
        match self {
            Self::Pod(pod) => {
                names.share(&mut pod.node);
                pod.addresses
                    .iter_mut()
                    .for_each(|(_, network)| names.share(network));
                pod.macs.iter_mut().for_each(|(_, network)| names.share(network));
                pod.owner.iter_mut().for_each(|owner| owner.share(names));
            }
            Self::Node(node) => {
                names.share(&mut node.zone);
                names.share(&mut node.region);
            }
            Self::Endpoints(slice) => names.share(&mut slice.service),
            Self::Controlled(owner) => owner.iter_mut().for_each(|owner| owner.share(names)),
            Self::Service(_) | Self::Exports(_) => {}
        }
    }
}

impl Owner {
    fn share(&mut self, names: &mut Names) {
        names.share(&mut self.kind);
        names.share(&mut self.name);
    }
}

/// Each address once; what is none is left out.
fn parse<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<IpAddr> {
    let mut parsed = Vec::new();
    for address in texts.filter_map(|text| text.parse().ok()) {
        if !parsed.contains(&address) {
            parsed.push(address);
        }
    }
    parsed
}

/// 0 when there is none.
fn nanoseconds(time: Option<&Time>) -> u64 {
    time.map_or(0, |t| u64::try_from(t.0.as_nanosecond()).unwrap_or(0))
}
