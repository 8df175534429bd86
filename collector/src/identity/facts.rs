//! What the index needs of each Kubernetes object, and nothing else: objects are
//! cut down to this before they are kept.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use weir_api::identity::netflow_engine;
use weir_api::{IpfixExport, NetFlowExport, NodeFlowExport, SFlowExport};

use super::DEFAULT_SAMPLING;
use crate::exporters::{Exporter, Formats, Ipfix, NetFlow};

const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// Kinds of objects that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// `v1` Pod.
    Pod,
    /// `v1` Node.
    Node,
    /// `v1` Service.
    Service,
    /// `apps/v1` ReplicaSet.
    ReplicaSet,
    /// `batch/v1` Job.
    Job,
    /// `weir.dev/v1alpha1` NodeFlowExport.
    NodeFlowExport,
}

impl ObjectKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Pod,
        Self::Node,
        Self::Service,
        Self::ReplicaSet,
        Self::Job,
        Self::NodeFlowExport,
    ];

    /// The kind's name in Kubernetes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::Node => "Node",
            Self::Service => "Service",
            Self::ReplicaSet => "ReplicaSet",
            Self::Job => "Job",
            Self::NodeFlowExport => "NodeFlowExport",
        }
    }
}

/// Names one object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its namespace; empty when it has none.
    pub ns: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// The key of an object.
    pub fn of(kind: ObjectKind, meta: &ObjectMeta) -> Self {
        Self::new(
            kind,
            meta.namespace.as_deref().unwrap_or(""),
            meta.name.as_deref().unwrap_or(""),
        )
    }

    /// The key for these names.
    pub fn new(kind: ObjectKind, ns: &str, name: &str) -> Self {
        Self {
            kind,
            ns: ns.into(),
            name: name.into(),
        }
    }
}

/// The controller of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its kind.
    pub kind: Arc<str>,
    /// Its name; it stands in the same namespace, or in none.
    pub name: Arc<str>,
}

impl Owner {
    /// The owner reference that controls the object.
    pub fn of(meta: &ObjectMeta) -> Option<Self> {
        let controls = |o: &&OwnerReference| o.controller == Some(true);
        let owner = meta.owner_references.iter().flatten().find(controls)?;
        Some(Self {
            kind: owner.kind.as_str().into(),
            name: owner.name.as_str().into(),
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
    /// Of a ReplicaSet or Job: who controls it.
    Controlled(Option<Owner>),
    /// Of a NodeFlowExport: an exporter a bridge.
    Exports(Vec<Exporter>),
}

/// What is kept of a Pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodFact {
    /// Addresses that are the pod's own now.
    pub addresses: Vec<IpAddr>,
    /// Node that it runs on.
    pub node: Arc<str>,
    /// Its controller.
    pub owner: Option<Owner>,
    /// Seconds since the epoch.
    pub created: i64,
}

/// What is kept of a Node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeFact {
    /// Internal addresses first.
    pub addresses: Vec<IpAddr>,
    /// Label `topology.kubernetes.io/zone`.
    pub zone: Arc<str>,
}

/// What is kept of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceFact {
    /// ClusterIPs and the addresses of its load balancer.
    pub addresses: Vec<IpAddr>,
}

/// A pod has no address of its own when it uses the node's, and none any more
/// when it has ended: its addresses are free for others then.
pub fn pod(pod: &Pod) -> Fact {
    let spec = pod.spec.as_ref();
    let status = pod.status.as_ref();
    let on_host = spec.and_then(|s| s.host_network).unwrap_or(false);
    let ended = matches!(
        status.and_then(|s| s.phase.as_deref()),
        Some("Succeeded" | "Failed")
    );
    let listed = status
        .and_then(|s| s.pod_ips.as_ref())
        .into_iter()
        .flatten()
        .map(|ip| ip.ip.as_str());
    let first = status.and_then(|s| s.pod_ip.as_deref());
    Fact::Pod(PodFact {
        addresses: if on_host || ended {
            Vec::new()
        } else {
            parse(first.into_iter().chain(listed))
        },
        node: spec.and_then(|s| s.node_name.as_deref()).unwrap_or("").into(),
        owner: Owner::of(&pod.metadata),
        created: pod
            .metadata
            .creation_timestamp
            .as_ref()
            .map_or(0, |t| t.0.as_second()),
    })
}

/// Cuts a Node down.
pub fn node(node: &Node) -> Fact {
    let status = node.status.as_ref();
    let mut addresses: Vec<_> = status
        .and_then(|s| s.addresses.as_ref())
        .into_iter()
        .flatten()
        .collect();
    addresses.retain(|a| matches!(a.type_.as_str(), "InternalIP" | "ExternalIP"));
    addresses.sort_by_key(|a| a.type_ != "InternalIP");
    let zone = node.metadata.labels.as_ref().and_then(|l| l.get(ZONE_LABEL));
    Fact::Node(NodeFact {
        addresses: parse(addresses.into_iter().map(|a| a.address.as_str())),
        zone: zone.map_or("", String::as_str).into(),
    })
}

/// Cuts a Service down. `None` and empty ClusterIPs are no addresses.
pub fn service(service: &Service) -> Fact {
    let spec = service.spec.as_ref();
    let first = spec.and_then(|s| s.cluster_ip.as_deref());
    let listed = spec
        .and_then(|s| s.cluster_ips.as_ref())
        .into_iter()
        .flatten()
        .map(String::as_str);
    let balancer = service.status.as_ref().and_then(|s| s.load_balancer.as_ref());
    let ingress = balancer.and_then(|b| b.ingress.as_ref()).into_iter().flatten();
    let outside = ingress.filter_map(|i| i.ip.as_deref());
    Fact::Service(ServiceFact {
        addresses: parse(first.into_iter().chain(listed).chain(outside)),
    })
}

/// Cuts a NodeFlowExport down. What the spec leaves to derive from the exporter
/// id is derived, so that late records of an export that was just turned off
/// still find their node; the sampling in force is the status's.
pub fn exports(export: &NodeFlowExport) -> Fact {
    let node: Arc<str> = export.metadata.name.as_deref().unwrap_or("").into();
    let in_force = |bridge: &str| {
        let status = export.status.as_ref()?;
        status.bridges.iter().find(|b| b.name == bridge)
    };
    let exporters = export.spec.bridges.iter().map(|bridge| {
        let ipfix = bridge.ipfix.as_ref();
        let engine = netflow_engine(bridge.exporter_id);
        let configured = bridge
            .net_flow
            .as_ref()
            .and_then(|n| n.engine_type.zip(n.engine_id));
        let known = bridge.exporter_id != 0;
        Exporter {
            node: Arc::clone(&node),
            bridge: bridge.name.as_str().into(),
            domain: ipfix
                .and_then(|i| i.obs_domain_id)
                .or(known.then_some(bridge.exporter_id)),
            engine: configured.or(known.then_some(engine)),
            agent: bridge
                .s_flow
                .as_ref()
                .and_then(|s| s.agent.as_deref()?.parse().ok()),
            formats: match in_force(&bridge.name) {
                Some(b) => formats(b.net_flow.as_ref(), b.s_flow.as_ref(), b.ipfix.as_ref()),
                None => formats(bridge.net_flow.as_ref(), bridge.s_flow.as_ref(), ipfix),
            },
            tunnels: in_force(&bridge.name).map_or_else(Arc::default, |b| b.tunnel_ports.as_slice().into()),
            single_pass: in_force(&bridge.name).is_some_and(|b| b.single_pass),
        }
    });
    Fact::Exports(exporters.collect())
}

/// What OVS does where a setting is not set: vswitch.xml.
fn formats(
    net_flow: Option<&NetFlowExport>,
    s_flow: Option<&SFlowExport>,
    ipfix: Option<&IpfixExport>,
) -> Formats {
    Formats {
        net_flow: net_flow.map(|n| NetFlow::new(n.add_id_to_interface == Some(true), n.active_timeout)),
        s_flow: s_flow
            .map(|s| s.sampling.unwrap_or(DEFAULT_SAMPLING))
            .filter(|n| *n != 0),
        ipfix: ipfix.map(|i| Ipfix {
            sampling: i.sampling.unwrap_or(DEFAULT_SAMPLING),
            ingress: i.enable_input_sampling.unwrap_or(true),
            egress: i.enable_output_sampling.unwrap_or(true),
        }),
    }
}

fn parse<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<IpAddr> {
    let mut seen = BTreeSet::new();
    texts
        .filter_map(|text| text.parse().ok())
        .filter(|address| seen.insert(*address))
        .collect()
}
