//! Who is in the cluster: groups and classes of pods and nodes, and the [`Endpoint`]s
//! that stand for them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::sets::{GroupKey, OUTSIDE};
use super::snapshot::{Endpoint, EndpointKind, NONE};
use super::{Engine, PodKey};
use crate::facts::{NamedPort, Node, Pod};
use crate::policy::DIRECTIONS;
use crate::profile::NamedPorts;
use crate::selector::Labels;

/// A pod and its numbers.
#[derive(Debug, Clone)]
pub(super) struct PodEntry {
    pub(super) pod: Pod,
    id: u32,
    pub(super) group: u32,
    node: u32,
    /// By address.
    classes: BTreeMap<IpAddr, u32>,
}

impl PodEntry {
    /// Whether it has addresses of its own.
    fn is_on_pod_network(&self) -> bool {
        !self.pod.finished && !self.pod.host_network
    }
}

/// A node and its numbers.
#[derive(Debug, Clone)]
pub(super) struct NodeEntry {
    pub(super) node: Node,
    /// By address: its group and class.
    pub(super) classes: BTreeMap<IpAddr, (u32, u32)>,
}

impl Engine {
    /// A pod by one of its addresses; `None` if it has not got it or holds none any more.
    /// A pod on the host network is its node.
    pub fn pod(&self, namespace: &str, name: &str, address: IpAddr) -> Option<Endpoint> {
        let entry = self.entry(namespace, name)?;
        match entry.pod.host_network && !entry.pod.finished {
            true => Some(self.node(&entry.pod.node, address)),
            false => self.pod_endpoint(entry, address),
        }
    }

    /// The same beside the pod's labels; `None` for a pod on the host network.
    pub(crate) fn pod_and_labels(
        &self,
        namespace: &str,
        name: &str,
        address: IpAddr,
    ) -> Option<(Endpoint, &Labels)> {
        let entry = self.entry(namespace, name)?;
        Some((self.pod_endpoint(entry, address)?, &entry.pod.labels))
    }

    fn entry(&self, namespace: &str, name: &str) -> Option<&PodEntry> {
        self.pods.get(namespace)?.get(name)
    }

    fn pod_endpoint(&self, entry: &PodEntry, address: IpAddr) -> Option<Endpoint> {
        let class = *entry.classes.get(&address)?;
        Some(Endpoint {
            kind: EndpointKind::Pod,
            class,
            group: entry.group,
            pod: entry.id,
            node: entry.node,
            ..self.snapshot.outside(address)
        })
    }

    /// A node, by one of its addresses or another that it uses.
    pub fn node(&self, name: &str, address: IpAddr) -> Endpoint {
        let outside = self.snapshot.outside(address);
        let entry = self.nodes.get(name);
        let (group, class) = entry
            .and_then(|entry| entry.classes.get(&address))
            .copied()
            .unwrap_or((OUTSIDE, outside.class));
        let by_port = self.snapshot.profile.own_node_by_management_port();
        let is_exempt = |node: &Node| node.management.is_empty() || node.management.contains(&address);
        Endpoint {
            kind: EndpointKind::Node,
            group,
            class,
            // one whom no fact tells of is another than every other
            node: self.node_ids.get(name).copied().unwrap_or(NONE - 1),
            reaches_own_pods: !by_port || entry.is_none_or(|entry| is_exempt(&entry.node)),
            ..outside
        }
    }

    /// Everybody who has an address now; nobody: it is outside.
    pub fn holders(&self, address: IpAddr) -> Vec<Endpoint> {
        let pods = self.addresses.get(&address).into_iter().flatten();
        let mut found: Vec<Endpoint> = pods
            .filter_map(|(namespace, name)| self.entry(namespace, name))
            .filter_map(|entry| self.pod_endpoint(entry, address))
            .collect();
        let nodes = self
            .nodes
            .values()
            .filter(|entry| entry.classes.contains_key(&address));
        found.extend(nodes.map(|entry| self.node(&entry.node.name, address)));
        found
    }

    pub(super) fn node_id(&mut self, name: &str) -> u32 {
        let next = self.node_ids.len() as u32;
        *self.node_ids.entry(name.to_owned()).or_insert(next)
    }

    /// A number that no pod has.
    pub(super) fn free_pod(&mut self) -> u32 {
        self.pod_ids += 1;
        self.pod_ids - 1
    }

    pub(super) fn put_pod(&mut self, pod: Pod) {
        let key: PodKey = (pod.namespace.clone(), pod.name.clone());
        let id = self.drop_pod(&key).unwrap_or_else(|| self.free_pod());
        let group_key = self.pod_group(&pod);
        let group = self.intern_group(group_key);
        let node = self.node_id(&pod.node);
        let mut entry = PodEntry {
            pod,
            id,
            group,
            node,
            classes: BTreeMap::new(),
        };
        if entry.is_on_pod_network() {
            for address in entry.pod.addresses.clone() {
                entry.classes.insert(address, self.class(group, address));
                Arc::make_mut(&mut self.addresses)
                    .entry(address)
                    .or_default()
                    .push(key.clone());
            }
            self.count_ports(&entry.pod, 1);
        }
        let hosted = (entry.pod.host_network && !entry.pod.finished).then(|| entry.pod.node.clone());
        Arc::make_mut(&mut self.pods)
            .entry(key.0)
            .or_default()
            .insert(key.1, entry);
        hosted.into_iter().for_each(|node| self.refresh_node(&node));
    }

    /// Takes a pod out; gives back its number.
    pub(super) fn drop_pod(&mut self, key: &PodKey) -> Option<u32> {
        self.entry(&key.0, &key.1)?;
        let entry = Arc::make_mut(&mut self.pods).get_mut(&key.0)?.remove(&key.1)?;
        let addresses = Arc::make_mut(&mut self.addresses);
        for address in entry.classes.keys() {
            if let Some(holders) = addresses.get_mut(address) {
                holders.retain(|holder| holder != key);
                if holders.is_empty() {
                    addresses.remove(address);
                }
            }
        }
        if entry.is_on_pod_network() {
            self.count_ports(&entry.pod, -1);
        } else {
            self.refresh_node(&entry.pod.node);
        }
        Some(entry.id)
    }

    /// The numbers of named ports by namespace, where the profile wants them.
    fn count_ports(&mut self, pod: &Pod, change: isize) {
        if self.snapshot.profile.named_ports() != NamedPorts::OfThePolicysNamespace || pod.ports.is_empty() {
            return;
        }
        let all = Arc::make_mut(&mut self.change().namespace_ports);
        for port in &pod.ports {
            let key = (pod.namespace.clone(), port.name.clone(), port.protocol);
            let numbers = all.entry(key.clone()).or_default();
            let count = numbers.entry(port.number).or_default();
            *count = count.saturating_add_signed(change);
            numbers.retain(|_, count| *count > 0);
            if numbers.is_empty() {
                all.remove(&key);
            }
        }
    }

    pub(super) fn pod_group(&mut self, pod: &Pod) -> GroupKey {
        let labels = cut(&pod.labels, &self.in_use.pod_keys);
        let in_use = |port: &&NamedPort| self.in_use.port_names.contains(&port.name);
        let mut ports: Vec<NamedPort> = pod.ports.iter().filter(in_use).cloned().collect();
        ports.sort_unstable();
        ports.dedup();
        let namespace = self.namespace_id(&pod.namespace);
        GroupKey::Pod {
            namespace,
            labels,
            ports,
            host_network: pod.host_network,
        }
    }

    pub(super) fn intern_group(&mut self, key: GroupKey) -> u32 {
        let (group, is_new) = self.sets.intern_group(key);
        if is_new {
            self.describe_group(group);
        }
        group
    }

    /// Tells the snapshot about a new group: its named ports, and the rules about it.
    pub(super) fn describe_group(&mut self, group: u32) {
        let (named, is_subject): (Arc<[NamedPort]>, bool) = match self.sets.group(group) {
            GroupKey::Pod {
                ports, host_network, ..
            } => (ports.as_slice().into(), !host_network),
            _ => (Arc::from([]), false),
        };
        let sets = self.sets.members(group).sets.clone();
        let policies: Vec<u32> = match is_subject {
            true => sets
                .iter()
                .flat_map(|set| &self.sets.set(*set).subjects)
                .copied()
                .collect(),
            false => Vec::new(),
        };
        let snapshot = self.change();
        Arc::make_mut(&mut snapshot.named).push(named);
        snapshot
            .tables
            .iter_mut()
            .for_each(super::tables::Tables::add_group);
        for id in policies {
            if let Some(meta) = snapshot.policies[id as usize].clone() {
                DIRECTIONS
                    .iter()
                    .for_each(|direction| snapshot.list_policy(group, id, &meta, *direction));
            }
        }
    }

    /// The class of a group's member with this address.
    pub(super) fn class(&mut self, group: u32, address: IpAddr) -> u32 {
        let network = self.snapshot.networks.class(address);
        self.intern_class(group, network)
    }

    fn intern_class(&mut self, group: u32, network: u32) -> u32 {
        if let Some(class) = self.classes.get(&(group, network)) {
            return *class;
        }
        let class = self.class_parts.len() as u32;
        self.classes.insert((group, network), class);
        self.class_parts.push((group, network));
        let membership = self.sets.members(group).clone();
        let snapshot = Arc::make_mut(&mut self.snapshot);
        let networks = Arc::clone(&snapshot.networks);
        let around = networks.around(network);
        for (side, tables) in snapshot.tables.iter_mut().enumerate() {
            tables.add_class();
            let rules = |set: &u32| self.sets.set(*set).peers[side].iter().copied();
            membership
                .sets
                .iter()
                .flat_map(rules)
                .for_each(|rule| tables.set_peer(class, rule));
            for rule in membership.hosts.iter().flat_map(rules) {
                if tables.rule(rule).is_some_and(|rule| rule.network) {
                    tables.set_peer(class, rule);
                }
            }
            let wide = &self.wide_rules[side];
            wide.everyone
                .iter()
                .for_each(|rule| tables.set_peer(class, *rule));
            for rule in around
                .iter()
                .filter_map(|network| wide.blocks.get(network))
                .flatten()
            {
                if tables
                    .rule(*rule)
                    .is_some_and(|rule| rule.detail.blocks_hold(around))
                {
                    tables.set_peer(class, *rule);
                }
            }
        }
        class
    }

    /// A class for what is outside, for each class of networks.
    pub(super) fn classes_outside(&mut self) {
        let outside: Vec<u32> = (0..self.snapshot.networks.len())
            .map(|network| self.intern_class(OUTSIDE, network))
            .collect();
        self.change().outside = Arc::new(outside);
    }

    /// After networks were added: the classes of who has an address in one of them.
    pub(super) fn reclassify(&mut self, added: &[IpNet]) {
        for network in added {
            let range = network.network()..=network.broadcast();
            let moved: Vec<(IpAddr, Vec<PodKey>)> = self
                .addresses
                .range(range)
                .map(|(address, keys)| (*address, keys.clone()))
                .collect();
            for (address, keys) in moved {
                for key in keys {
                    let Some(group) = self.entry(&key.0, &key.1).map(|entry| entry.group) else {
                        continue;
                    };
                    let class = self.class(group, address);
                    let pods = Arc::make_mut(&mut self.pods).get_mut(&key.0);
                    let entry = pods.and_then(|pods| pods.get_mut(&key.1));
                    if let Some(entry) = entry {
                        entry.classes.insert(address, class);
                    }
                }
            }
        }
        let is_within = |address: &IpAddr| added.iter().any(|network| network.contains(address));
        let nodes = self
            .nodes
            .iter()
            .filter(|(_, entry)| entry.classes.keys().any(is_within));
        let names: Vec<String> = nodes.map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.refresh_node(name));
    }
}

/// Labels without the keys that nobody asks for.
pub(super) fn cut(labels: &Labels, keys: &std::collections::BTreeSet<String>) -> Labels {
    let is_in_use = |(key, _): &(&String, &String)| keys.contains(*key);
    labels
        .iter()
        .filter(is_in_use)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
