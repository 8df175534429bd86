//! Ends and ports as far as policies tell them apart: one of each class stands for all.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use foldhash::quality::RandomState;

use crate::edges::WorkloadKey;
use crate::engine::{Endpoint, Engine, Snapshot};
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

/// Which pod, node or address: the same in two clusters. Pods come first, then nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum EndName<'a> {
    /// Namespace, name and address.
    Pod(&'a str, &'a str, IpAddr),
    Node(&'a str, IpAddr),
    Outside(IpAddr),
}

impl EndName<'_> {
    /// Only ends of one family talk to each other.
    pub fn is_ipv6(&self) -> bool {
        match self {
            EndName::Pod(.., address) | EndName::Node(_, address) | EndName::Outside(address) => {
                address.is_ipv6()
            }
        }
    }
}

/// An end that there is.
#[derive(Debug, Clone)]
pub(crate) struct End<'a> {
    pub name: EndName<'a>,
    pub endpoint: Endpoint,
    /// Of a pod or node.
    pub labels: Option<&'a Labels>,
}

impl End<'_> {
    /// With a name for people.
    pub fn class(&self, owners: &HashMap<(&str, &str), &WorkloadKey>, snapshot: &Snapshot) -> EndClass {
        let name = match self.name {
            EndName::Pod(namespace, name, _) => match owners.get(&(namespace, name)) {
                Some(workload) => workload.to_string(),
                None => format!("{namespace}/{name}"),
            },
            EndName::Node(..) => "nodes".to_owned(),
            EndName::Outside(_) => {
                let around = snapshot.network_around(&self.endpoint);
                around.map_or_else(|| "anywhere else".to_owned(), |network| network.to_string())
            }
        };
        EndClass {
            endpoint: self.endpoint,
            id: format!("{:?}", self.name),
            name,
            labels: self.labels.cloned().unwrap_or_default(),
            is_ipv6: self.name.is_ipv6(),
        }
    }
}

/// The names of all pods with addresses of their own, all nodes, and these addresses outside.
fn names<'a>(engine: &'a Engine, addresses: &BTreeSet<IpAddr>) -> impl Iterator<Item = EndName<'a>> {
    let is_own = |pod: &&Pod| !pod.host_network && !is_added(pod);
    let pods = engine.all_pods().filter(is_own).flat_map(|pod| {
        let addresses = pod.addresses.iter();
        addresses.map(|address| EndName::Pod(&pod.namespace, &pod.name, *address))
    });
    let nodes = engine.all_nodes().flat_map(|node| {
        let addresses = node.addresses.iter();
        addresses.map(|address| EndName::Node(&node.name, *address))
    });
    pods.chain(nodes)
        .chain(addresses.iter().copied().map(EndName::Outside))
}

fn named<'a>(engine: &'a Engine, snapshot: &Snapshot, name: EndName<'a>) -> Option<End<'a>> {
    let (endpoint, labels) = match name {
        EndName::Pod(namespace, pod, address) => {
            let (endpoint, labels) = engine.pod_and_labels(namespace, pod, address)?;
            (endpoint, Some(labels))
        }
        EndName::Node(node, address) => {
            let endpoint = engine.node(node, address).seen_from_elsewhere();
            (endpoint, Some(engine.node_labels(node)?))
        }
        EndName::Outside(address) => (snapshot.outside(address), None),
    };
    Some(End {
        name,
        endpoint,
        labels,
    })
}

/// All pods with addresses of their own, all nodes, and these addresses outside.
pub(crate) fn ends<'a>(engine: &'a Engine, addresses: &BTreeSet<IpAddr>) -> BTreeMap<EndName<'a>, End<'a>> {
    let snapshot = engine.snapshot();
    names(engine, addresses)
        .filter_map(|name| Some((name, named(engine, &snapshot, name)?)))
        .collect()
}

/// One end in two clusters.
pub(crate) type EndPair<'a> = (End<'a>, End<'a>);

/// Of each class that neither of two clusters tells apart further the first end by name, in both.
pub(crate) fn ends_of_both<'a>(
    before: &'a Engine,
    after: &'a Engine,
    addresses: &BTreeSet<IpAddr>,
) -> Vec<EndPair<'a>> {
    let snapshots = [before.snapshot(), after.snapshot()];
    let mut first: HashMap<_, EndPair<'a>, RandomState> = HashMap::default();
    for name in names(after, addresses) {
        let ends = named(before, &snapshots[0], name).zip(named(after, &snapshots[1], name));
        let Some(ends) = ends else {
            continue;
        };
        let (old, new) = (&ends.0, &ends.1);
        let key = (
            old.endpoint.class_key(),
            new.endpoint.class_key(),
            name.is_ipv6(),
            is_relabeled(old, new),
        );
        match first.entry(key) {
            Entry::Vacant(place) => {
                place.insert(ends);
            }
            Entry::Occupied(mut known) if name < known.get().1.name => {
                known.insert(ends);
            }
            Entry::Occupied(_) => {}
        }
    }
    first.into_values().collect()
}

/// Clusters that share their pods share the labels, too.
fn is_relabeled(old: &End<'_>, new: &End<'_>) -> bool {
    match (old.labels, new.labels) {
        (Some(old), Some(new)) => !std::ptr::eq(old, new) && old != new,
        (old, new) => old.is_some() != new.is_some(),
    }
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
