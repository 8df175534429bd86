//! Ends and ports as far as policies tell them apart: one of each class stands for all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use crate::edges::WorkloadKey;
use crate::engine::{Endpoint, Engine};
use crate::facts::{PROTOCOLS, Pod, Protocol};
use crate::inventory::Inventory;
use crate::judge::is_added;
use crate::policy::{DIRECTIONS, Policy, PortMatch};
use crate::selector::Labels;

/// One of a class of ends.
#[derive(Debug, Clone)]
pub(crate) struct EndClass {
    /// What the engine knows.
    pub endpoint: Endpoint,
    /// Unique, and the same in two clusters.
    pub id: String,
    /// For people: its workload, pod, or network.
    pub name: String,
    /// Its own labels.
    pub labels: Labels,
    /// Only ends of one family talk to each other.
    pub is_ipv6: bool,
}

impl EndClass {
    /// The id of a pod by one of its addresses.
    pub fn pod_id(pod: &Pod, address: IpAddr) -> String {
        format!("1 {}/{} {address}", pod.namespace, pod.name)
    }
}

/// Ports of one protocol that no rule tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PortRange {
    pub protocol: Protocol,
    pub first: u16,
    pub last: u16,
}

/// The workload of each pod, by namespace and name.
pub(crate) fn owners(inventory: &Inventory) -> HashMap<(&str, &str), &WorkloadKey> {
    let of_workload = |workload: &'_ crate::inventory::Workload| workload.pods.len();
    let mut owners = HashMap::with_capacity(inventory.workloads.iter().map(of_workload).sum());
    for workload in &inventory.workloads {
        for pod in &workload.pods {
            owners.insert((workload.key.namespace.as_str(), pod.as_str()), &workload.key);
        }
    }
    owners
}

/// All pods, nodes and these addresses, by an id: several of one class may be among them.
pub(crate) fn end_classes<'a>(
    engine: &'a Engine,
    inventory: &'a Inventory,
    addresses: &'a BTreeSet<IpAddr>,
) -> Vec<(String, EndClass)> {
    let owners = owners(inventory);
    let pods = engine
        .all_pods()
        .filter(|pod| !pod.host_network && !is_added(pod));
    let pods = pods.flat_map(|pod| {
        let name = match owners.get(&(pod.namespace.as_str(), pod.name.as_str())) {
            Some(workload) => workload.to_string(),
            None => format!("{}/{}", pod.namespace, pod.name),
        };
        pod.addresses.iter().filter_map(move |address| {
            let class = EndClass {
                endpoint: engine.pod(&pod.namespace, &pod.name, *address)?,
                id: EndClass::pod_id(pod, *address),
                name: name.clone(),
                labels: pod.labels.clone(),
                is_ipv6: address.is_ipv6(),
            };
            Some(class)
        })
    });
    let nodes = engine.all_nodes().flat_map(|node| {
        node.addresses.iter().map(|address| EndClass {
            endpoint: engine.node(&node.name, *address).seen_from_elsewhere(),
            id: format!("2 {} {address}", node.name),
            name: "nodes".to_owned(),
            labels: node.labels.clone(),
            is_ipv6: address.is_ipv6(),
        })
    });
    let snapshot = engine.snapshot();
    let outside = addresses.iter().map(|address| {
        let endpoint = snapshot.outside(*address);
        let around = snapshot.network_around(&endpoint);
        EndClass {
            endpoint,
            id: format!("3 {address}"),
            name: around.map_or_else(|| "anywhere else".to_owned(), |network| network.to_string()),
            labels: Labels::new(),
            is_ipv6: address.is_ipv6(),
        }
    });
    pods.chain(nodes)
        .chain(outside)
        .map(|class| (class.id.clone(), class))
        .collect()
}

/// The ranges of ports that these policies and ports tell apart, sorted. All of a
/// protocol's ports are in them, but 0.
pub(crate) fn port_ranges<'p>(
    policies: &[Policy],
    pods: impl Iterator<Item = &'p Pod>,
    more: &BTreeSet<(Protocol, u16)>,
) -> Vec<PortRange> {
    let mut starts: BTreeMap<Protocol, BTreeSet<u16>> = PROTOCOLS
        .into_iter()
        .map(|protocol| (protocol, BTreeSet::from([1])))
        .collect();
    let mut cut = |protocol: Protocol, first: u16, last: u16| {
        let starts = starts.entry(protocol).or_default();
        starts.insert(first.max(1));
        starts.extend(last.checked_add(1));
    };
    let mut names = BTreeSet::new();
    for (protocol, port) in policies.iter().flat_map(ports) {
        match port {
            PortMatch::All => {}
            PortMatch::Range(first, last) if first > last => {}
            PortMatch::Range(first, last) => {
                let protocols = protocol.map_or(PROTOCOLS.to_vec(), |protocol| vec![protocol]);
                protocols
                    .into_iter()
                    .for_each(|protocol| cut(protocol, *first, *last));
            }
            PortMatch::Named(name) => {
                names.insert(name.as_str());
            }
        }
    }
    for port in pods
        .flat_map(|pod| &pod.ports)
        .filter(|port| names.contains(port.name.as_str()))
    {
        cut(port.protocol, port.number, port.number);
    }
    more.iter()
        .for_each(|(protocol, port)| cut(*protocol, *port, *port));
    let ranges = |(protocol, starts): (&Protocol, &BTreeSet<u16>)| {
        let ends = starts.iter().skip(1).map(|next| next - 1).chain([u16::MAX]);
        let protocol = *protocol;
        let ranges = starts.iter().zip(ends);
        ranges
            .map(move |(first, last)| PortRange {
                protocol,
                first: *first,
                last,
            })
            .collect::<Vec<_>>()
    };
    starts.iter().flat_map(ranges).collect()
}

fn ports(policy: &Policy) -> Vec<(Option<Protocol>, &PortMatch)> {
    let of_direction = |direction| match policy {
        Policy::Network(policy) => {
            let ports = policy.rules(direction).iter().flat_map(|rule| &rule.ports);
            ports
                .map(|port| (Some(port.protocol), &port.port))
                .collect::<Vec<_>>()
        }
        Policy::Cluster(policy) => {
            let ports = policy.rules(direction).iter().flat_map(|rule| &rule.ports);
            ports.map(|port| (port.protocol, &port.port)).collect()
        }
        Policy::Foreign(_) => Vec::new(),
    };
    DIRECTIONS.into_iter().flat_map(of_direction).collect()
}
