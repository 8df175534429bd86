//! What an object has, and who it is: a fact and those of its node and owners.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use weir_api::interface::{EXTERNAL, PRIMARY, UNPROVEN};
use weir_flow::{Identity, Kind};

use super::{Index, OwnedKeys, node_key, owner_key};
use crate::facts::{Fact, NodeFact, ObjectKey, ObjectKind, PodFact, ServiceFact};
use crate::mac::Mac;
use crate::pod_key;

impl Fact {
    /// When the object was made; 0 where that says nothing.
    pub(super) fn created(&self) -> u64 {
        match self {
            Self::Pod(pod) => pod.created,
            Self::Node(node) => node.created,
            Self::Service(service) => service.created,
            Self::Endpoints(slice) => slice.created,
            Self::Controlled(_) | Self::Exports(_) => 0,
        }
    }

    /// Since when the object may have had an address.
    pub(super) fn began(&self) -> u64 {
        match self {
            Self::Pod(pod) => pod.started,
            other => other.created(),
        }
    }

    /// When it gave up its addresses, if it did; at the latest now.
    pub(super) fn ended(&self, now: u64) -> Option<u64> {
        match self {
            Self::Pod(pod) => pod.ended.map(|at| if at == 0 { now } else { at.min(now) }),
            _ => None,
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self, Self::Pod(pod) if pod.leaving)
    }

    pub(super) fn is_portless(&self) -> bool {
        matches!(self, Self::Endpoints(slice) if slice.ports.iter().any(|(_, port)| *port == 0))
    }
}

impl Index {
    /// Who an object is. An EndpointSlice is its Service; `old`, when it was the same.
    pub(super) fn who(&mut self, key: &ObjectKey, fact: &Fact, old: Option<&Arc<Identity>>) -> Arc<Identity> {
        let who = match fact {
            Fact::Pod(pod) => self.identify_pod(key, pod),
            Fact::Node(node) => identify_node(key, node),
            Fact::Service(_) => self.identify_service(&key.ns, &key.name),
            Fact::Endpoints(slice) => self.identify_service(&key.ns, &slice.service),
            Fact::Controlled(_) | Fact::Exports(_) => return Identity::nobody(),
        };
        match old {
            Some(old) if **old == who => Arc::clone(old),
            _ => Arc::new(who),
        }
    }

    /// What an object has as `who`.
    pub(super) fn owned_keys(&self, key: &ObjectKey, fact: &Fact, who: &Arc<Identity>) -> OwnedKeys {
        match fact {
            Fact::Pod(pod) => OwnedKeys {
                addresses: in_networks(&pod.addresses, who),
                macs: by_annotations(&pod.macs, who),
                pods: vec![(pod_key(&key.ns, &key.name), Arc::clone(who))],
                ..OwnedKeys::default()
            },
            Fact::Node(node) => OwnedKeys {
                addresses: node_addresses(node, who),
                ..OwnedKeys::default()
            },
            Fact::Service(service) => service_keys(service, who),
            Fact::Endpoints(slice) => OwnedKeys {
                endpoints: slice.endpoints().map(|e| (e, Arc::clone(who))).collect(),
                ..OwnedKeys::default()
            },
            Fact::Controlled(_) | Fact::Exports(_) => OwnedKeys::default(),
        }
    }

    fn identify_pod(&mut self, key: &ObjectKey, pod: &PodFact) -> Identity {
        let (workload_kind, workload_name) = self.workload(key, pod);
        let node = match self.fact(&node_key(pod)) {
            Some(Fact::Node(node)) => Some(node),
            _ => None,
        };
        let network = pod.addresses.first().map(|(_, network)| Arc::clone(network));
        Identity {
            kind: Kind::Pod,
            name: Arc::clone(&key.name),
            ns: Arc::clone(&key.ns),
            workload_name,
            workload_kind,
            node_name: Arc::clone(&pod.node),
            node_addr: node.and_then(|n| n.addresses.first().copied()),
            zone: node.map(|n| Arc::clone(&n.zone)).unwrap_or_default(),
            region: node.map(|n| Arc::clone(&n.region)).unwrap_or_default(),
            network: network.unwrap_or_default(),
            ..Identity::default()
        }
    }

    /// The top owner: a pod without one is its own workload.
    fn workload(&mut self, key: &ObjectKey, pod: &PodFact) -> (Arc<str>, Arc<str>) {
        let Some(owner) = &pod.owner else {
            return (self.word("Pod"), Arc::clone(&key.name));
        };
        let above = owner_key(key, pod).and_then(|key| self.fact(&key));
        let top = if let Some(Fact::Controlled(Some(top))) = above {
            top
        } else {
            owner
        };
        (Arc::clone(&top.kind), Arc::clone(&top.name))
    }

    fn identify_service(&mut self, ns: &Arc<str>, name: &Arc<str>) -> Identity {
        Identity {
            kind: Kind::Service,
            name: Arc::clone(name),
            ns: Arc::clone(ns),
            workload_name: Arc::clone(name),
            workload_kind: self.word("Service"),
            service_name: Arc::clone(name),
            service_ns: Arc::clone(ns),
            ..Identity::default()
        }
    }

    fn fact(&self, key: &ObjectKey) -> Option<&Fact> {
        Some(&self.objects[key.kind as usize].get(key)?.fact)
    }

    fn word(&mut self, word: &str) -> Arc<str> {
        let mut shared = Arc::from(word);
        self.names.share(&mut shared);
        shared
    }
}

fn identify_node(key: &ObjectKey, node: &NodeFact) -> Identity {
    Identity {
        kind: Kind::Node,
        name: Arc::clone(&key.name),
        workload_name: Arc::clone(&key.name),
        workload_kind: ObjectKind::Node.as_str().into(),
        node_name: Arc::clone(&key.name),
        node_addr: node.addresses.first().copied(),
        zone: Arc::clone(&node.zone),
        region: Arc::clone(&node.region),
        ..Identity::default()
    }
}

/// A node is in the pods' network by its own port on the integration bridge.
fn node_addresses(node: &NodeFact, who: &Arc<Identity>) -> Vec<(IpAddr, Arc<Identity>)> {
    let outside = [&node.addresses, &node.host_addresses, &node.router_addresses];
    let outside = outside
        .into_iter()
        .flatten()
        .map(|address| (*address, Arc::from("")));
    let inside = node.pod_network_addresses.iter();
    let inside = inside.map(|address| (*address, Arc::from(PRIMARY)));
    // What is said to be both is the node's in the pods' network.
    let all: BTreeMap<IpAddr, Arc<str>> = outside.chain(inside).collect();
    in_networks(&all.into_iter().collect::<Vec<_>>(), who)
}

/// What it was given a Service has in its own name; what it only says of itself bears that
/// it does, so that nobody gets to see flows by it.
fn service_keys(service: &ServiceFact, who: &Arc<Identity>) -> OwnedKeys {
    let external = Arc::new(Identity {
        network: EXTERNAL.into(),
        ..(**who).clone()
    });
    let given = service.addresses.iter().map(|address| (*address, who));
    let written = service
        .external_addresses
        .iter()
        .map(|address| (*address, &external));
    let endpoints = service.endpoints().map(|endpoint| (endpoint, who));
    let external_endpoints = service.external_endpoints().map(|endpoint| (endpoint, &external));
    OwnedKeys {
        addresses: given
            .chain(written)
            .map(|(key, who)| (key, Arc::clone(who)))
            .collect(),
        endpoints: endpoints
            .chain(external_endpoints)
            .map(|(key, who)| (key, Arc::clone(who)))
            .collect(),
        node_ports: service.node_ports.iter().map(|p| (*p, Arc::clone(who))).collect(),
        ..OwnedKeys::default()
    }
}

/// The pod by its Ethernet addresses. Its annotations alone tell them, and whoever makes a
/// pod may write these: that one is in the cluster's own network is not proven.
fn by_annotations(macs: &[(Mac, Arc<str>)], who: &Arc<Identity>) -> Vec<(Mac, Arc<Identity>)> {
    let told = macs.iter().map(|(mac, network)| match &**network {
        PRIMARY => (*mac, Arc::from(UNPROVEN)),
        _ => (*mac, Arc::clone(network)),
    });
    in_networks(&told.collect::<Vec<_>>(), who)
}

/// The pod or node in each network that it has something in; all of one network share
/// an identity.
fn in_networks<T: Copy>(all: &[(T, Arc<str>)], who: &Arc<Identity>) -> Vec<(T, Arc<Identity>)> {
    let mut known = vec![Arc::clone(who)];
    let mut found = Vec::new();
    for (thing, network) in all {
        let here = known.iter().find(|who| who.network == *network).cloned();
        let who = here.unwrap_or_else(|| {
            let elsewhere = Arc::new(Identity {
                network: Arc::clone(network),
                ..(**who).clone()
            });
            known.push(Arc::clone(&elsewhere));
            elsewhere
        });
        found.push((*thing, who));
    }
    found
}
