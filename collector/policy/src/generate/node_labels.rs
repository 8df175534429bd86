//! Nodes by their labels, as ClusterNetworkPolicies can name them: by the narrowest role that
//! all have which were seen, else all nodes. Those that come later are in it, too.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::facts::Node;
use crate::selector::{Operator, Requirement, Selector};

/// What the labels of roles begin with.
const ROLE: &str = "node-role.kubernetes.io/";

/// Nodes by the addresses that the API means by them: `status.addresses`.
pub(super) struct NodesByAddress<'a> {
    nodes: &'a [Node],
    by_address: BTreeMap<IpAddr, usize>,
}

impl<'a> NodesByAddress<'a> {
    pub fn of(nodes: &'a [Node]) -> Self {
        let each = nodes.iter().enumerate();
        let by_address = each.flat_map(|(at, node)| node.addresses.iter().map(move |address| (*address, at)));
        Self {
            nodes,
            by_address: by_address.collect(),
        }
    }

    /// The node whose address this is, by its place among all.
    pub fn at(&self, network: &IpNet) -> Option<usize> {
        let is_one = network.prefix_len() == network.max_prefix_len();
        self.by_address.get(&network.addr()).copied().filter(|_| is_one)
    }

    /// What selects these, and how many nodes it selects.
    pub fn selector(&self, seen: &BTreeSet<usize>) -> (Selector, usize) {
        let seen: Vec<&Node> = seen.iter().filter_map(|at| self.nodes.get(*at)).collect();
        let roles = seen.first().into_iter().flat_map(|node| node.labels.keys());
        let shared = roles
            .filter(|key| key.starts_with(ROLE) && seen.iter().all(|node| node.labels.contains_key(*key)));
        let selected = |key: &String| {
            let nodes = self.nodes.iter();
            nodes.filter(|node| node.labels.contains_key(key)).count()
        };
        let narrowest = shared.map(|key| (selected(key), key)).min();
        match narrowest {
            Some((count, key)) => (exists(key), count),
            None => (Selector::everything(), self.nodes.len()),
        }
    }
}

fn exists(key: &str) -> Selector {
    Selector::Requirements(vec![Requirement {
        key: key.to_owned(),
        operator: Operator::Exists,
    }])
}
