//! Namespaces and nodes: what a pod's group and a node's groups depend on besides itself.

use std::collections::{BTreeMap, HashMap};

use super::Engine;
use super::endpoints::{NodeEntry, PodEntry, cut};
use super::sets::{GroupKey, stands_for_host_network};
use crate::facts::{Namespace, Node, Pod};
use crate::selector::Labels;

impl Engine {
    pub(super) fn put_namespace(&mut self, namespace: Namespace) {
        let is_new = self.declared.insert(namespace.name.clone());
        if is_new || !self.is_known(&namespace) {
            self.change_namespace(namespace);
        }
    }

    fn is_known(&self, namespace: &Namespace) -> bool {
        let known = self.namespaces.get(&namespace.name);
        known.is_some_and(|id| *self.sets.namespaces[*id as usize] == *namespace)
    }

    /// A namespace in a new state has a new number: its pods get other groups.
    pub(super) fn change_namespace(&mut self, namespace: Namespace) {
        let name = namespace.name.clone();
        let stands = stands_for_host_network(&namespace);
        let id = self.sets.add_namespace(namespace);
        let old = self.namespaces.insert(name.clone(), id);
        let stood = old.is_some_and(|old| stands_for_host_network(&self.sets.namespaces[old as usize]));
        if old.is_some() {
            let pods = self.pods.get(&name).into_iter().flat_map(HashMap::values);
            let pods: Vec<Pod> = pods.map(|entry| entry.pod.clone()).collect();
            pods.into_iter().for_each(|pod| self.put_pod(pod));
        }
        if stood || stands {
            self.refresh_nodes();
        }
    }

    pub(super) fn namespace_id(&mut self, name: &str) -> u32 {
        match self.namespaces.get(name) {
            Some(id) => *id,
            None => {
                let id = self.sets.add_namespace(Namespace::new(name, Labels::new()));
                self.namespaces.insert(name.to_owned(), id);
                id
            }
        }
    }

    pub(super) fn put_node(&mut self, node: Node) {
        self.node_id(&node.name);
        let name = node.name.clone();
        self.nodes.insert(
            name.clone(),
            NodeEntry {
                node,
                classes: BTreeMap::new(),
            },
        );
        self.refresh_node(&name);
    }

    pub(super) fn refresh_nodes(&mut self) {
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        names.iter().for_each(|name| self.refresh_node(name));
    }

    /// Groups and classes of a node's addresses, as of now.
    pub(super) fn refresh_node(&mut self, name: &str) {
        let Some(node) = self.nodes.get(name).map(|entry| entry.node.clone()) else {
            return;
        };
        let labels = cut(&node.labels, &self.in_use.node_keys);
        let mut classes = BTreeMap::new();
        for (management, addresses) in [(false, &node.addresses), (true, &node.management)] {
            let hosts = match (self.snapshot.profile.host_network_peers(), management) {
                (false, _) => Vec::new(),
                (true, true) => self.host_namespaces(),
                (true, false) => self.host_pods(name),
            };
            let group = self.intern_group(GroupKey::Node {
                labels: labels.clone(),
                management,
                hosts,
            });
            for address in addresses {
                classes.insert(*address, (group, self.class(group, *address)));
            }
        }
        if let Some(entry) = self.nodes.get_mut(name) {
            entry.classes = classes;
        }
    }

    pub(super) fn host_namespaces(&self) -> Vec<u32> {
        let stands = |id: &u32| stands_for_host_network(&self.sets.namespaces[*id as usize]);
        let declared = self
            .declared
            .iter()
            .filter_map(|name| self.namespaces.get(name))
            .copied();
        let mut found: Vec<u32> = declared.filter(stands).collect();
        found.sort_unstable();
        found
    }

    fn host_pods(&self, node: &str) -> Vec<u32> {
        let here =
            |entry: &&PodEntry| entry.pod.host_network && !entry.pod.finished && entry.pod.node == node;
        let mut found: Vec<u32> = self
            .pods
            .values()
            .flat_map(HashMap::values)
            .filter(here)
            .map(|entry| entry.group)
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}
