//! A version before the last, while a change of policies has not settled: records of now are held
//! against it, too. Pods, namespaces and nodes that come meanwhile are looked up by its policies:
//! what was not there before is not unknown to it, and did not change.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::Arc;

use foldhash::quality::RandomState;
use weir_identity::Shards;
use weir_policy::observed::SETTLE;
use weir_policy::{Endpoint, Namespace, Node, Past, Pod, Snapshot};

use super::compiled::Compiled;
use super::holders::{Facts, HolderTable, Name};
use super::touched::{Touched, Was};
use super::versions::Holders;

/// Word of a pod may come so long after its first record, in nanoseconds.
const LATE: u64 = 10 * 1_000_000_000;

/// Nodes by name, by whatever address that no fact tells of.
type Nodes = Arc<HashMap<Arc<str>, Endpoint, RandomState>>;

/// What is kept of the version.
#[derive(Debug)]
pub struct Earlier {
    past: Past,
    holders: HolderTable,
    nodes: Nodes,
    /// Until when it counts.
    until: u64,
}

impl Earlier {
    /// As all was before a change.
    pub fn new(past: Past, holders: HolderTable, nodes: Nodes) -> Self {
        Self {
            past,
            holders,
            nodes,
            until: 0,
        }
    }

    /// A change has ended it, or is one with that which has: now (ns since 1970).
    pub fn keep_until_settled(&mut self, now: u64) {
        self.until = now.saturating_add(SETTLE + LATE);
    }

    /// Whether records of now may still be held against it.
    pub fn is_needed(&self, now: u64) -> bool {
        now < self.until
    }

    /// Takes in what is touched.
    pub fn take(&mut self, touched: &Touched, now_there: &Compiled, now: u64) {
        let namespaces = touched.namespaces.iter();
        let new: Vec<&Namespace> = namespaces.filter(|one| self.past.add_namespace(one)).collect();
        for node in &touched.nodes {
            self.add_node(node, now);
        }
        for (name, was) in &touched.pods {
            self.hold(name, was, now_there, now);
        }
        // What pods were until now is kept by then.
        for namespace in new {
            self.correct(&namespace.name, now_there);
        }
    }

    fn add_node(&mut self, node: &Node, now: u64) {
        if !self.past.add_node(node) {
            return;
        }
        let name: Arc<str> = node.name.as_str().into();
        let elsewhere = self.past.node(&name, Ipv4Addr::UNSPECIFIED.into());
        Arc::make_mut(&mut self.nodes).insert(Arc::clone(&name), elsewhere);
        let holder = (Arc::from(""), name);
        for address in node.all_addresses() {
            let endpoint = self.past.node(&node.name, address);
            self.holders
                .set(address, &holder, endpoint, Facts::default(), now);
        }
    }

    fn hold(&mut self, name: &Name, was: &Was, now_there: &Compiled, now: u64) {
        let has = now_there.pod(name);
        let addresses = has.map_or(&[][..], |(addresses, _)| addresses);
        for address in was
            .addresses
            .iter()
            .filter(|address| !addresses.contains(address))
        {
            self.holders.end(*address, name, was.pod.as_ref(), now);
        }
        let Some((_, pod)) = has else { return };
        if was.pod.as_deref() == Some(pod) && was.addresses == addresses {
            return;
        }
        let facts = Facts {
            was: was.pod.as_ref(),
            is: Some(pod),
        };
        for address in addresses {
            let like = self.holders.endpoint(*address, name);
            let endpoint = self.past.as_if(pod, *address, like);
            self.holders.set(*address, name, endpoint, facts, now);
        }
    }

    /// The namespace of these pods is known now, as it was all the time.
    fn correct(&mut self, namespace: &str, now_there: &Compiled) {
        for (address, name) in self.holders.in_namespace(namespace) {
            let is = now_there.pod(&name).map(|(_, pod)| pod);
            let past = &mut self.past;
            let as_if = |pod: &Pod, like: &Endpoint| past.as_if(pod, address, Some(like));
            self.holders.correct(address, &name, is, as_if);
        }
    }

    /// What readers evaluate with.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.past.snapshot()
    }

    /// Who had which address when.
    pub fn holders(&self) -> Shards<IpAddr, Holders> {
        self.holders.holders()
    }

    /// The nodes.
    pub fn nodes(&self) -> Nodes {
        Arc::clone(&self.nodes)
    }
}
