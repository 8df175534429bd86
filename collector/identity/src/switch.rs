//! Names from switches, without Kubernetes: what the database of each node says
//! ([`SwitchFacts`]), merged into one snapshot, with what OVN's northbound database does. Pure: who reads the databases is the
//! collector's business.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use weir_api::interface::PRIMARY;
use weir_flow::{Identity, Kind};

use crate::exporters::{Exporter, Exporters};
use crate::index::MAX_ENDED;
use crate::mac::Mac;
use crate::northbound::{NorthboundFacts, Owned};
use crate::ownership::{OwnershipHistory, Tenure};
use crate::shards::Shards;
use crate::time::{Held, Span, Timeline, nanoseconds};
use crate::{Directory, ObjectKey, ObjectKind, Ports, Snapshot, pod_key};

/// What one node's OVSDB says.
#[derive(Debug, Default)]
pub struct SwitchFacts {
    /// Name of the node.
    pub node: Arc<str>,
    /// Addresses that its records come from.
    pub sources: Vec<IpAddr>,
    /// Its exporters, a bridge each.
    pub exporters: Vec<Exporter>,
    /// Who stands behind its interfaces.
    pub ports: Ports,
    /// Who has which address.
    pub addresses: Vec<(IpAddr, Arc<Identity>)>,
    /// Its name in OVN's databases (`external_ids:system-id`).
    pub chassis: Arc<str>,
    /// The logical ports that it binds, and the name of the interface of each.
    pub bound: Vec<(Box<str>, Box<str>)>,
}

/// Who has had which address, by one reading of the databases after the other.
#[derive(Debug, Default)]
pub struct AddressHistory {
    history: Duration,
    owners: OwnershipHistory<IpAddr>,
    /// What the last reading said.
    held: HashSet<(IpAddr, ObjectKey)>,
    shown: Shards<IpAddr, Timeline>,
    /// When that was, ns since the epoch UTC; 0: never.
    read: u64,
    /// Nodes that were read before.
    nodes: HashSet<Arc<str>>,
}

impl AddressHistory {
    /// An empty one that knows for so long who had an address.
    pub fn new(history: Duration) -> Self {
        Self {
            history,
            ..Self::default()
        }
    }

    /// What is new in a reading has been so since the last one, or, of a node that
    /// was not read before, always; what is gone is gone now (ns since the epoch UTC).
    fn enter(&mut self, switches: &mut [SwitchFacts], northbound: Option<Vec<Owned>>, now: u64) {
        let mut held = HashSet::new();
        let mut read: Vec<(Arc<str>, Vec<Owned>)> = Vec::new();
        for switch in switches.iter_mut().filter(|switch| !switch.node.is_empty()) {
            read.push((Arc::clone(&switch.node), std::mem::take(&mut switch.addresses)));
        }
        // No node has an empty name.
        read.extend(northbound.map(|owned| (Arc::default(), owned)));
        for (node, owned) in read {
            let new = self.nodes.insert(node);
            let from = if new { 0 } else { self.read };
            for (address, who) in owned {
                held.insert(self.claim(address, &who, from));
            }
        }
        for (address, by) in self.held.difference(&held) {
            self.owners.release(address, by, now);
        }
        self.owners
            .expire(now.saturating_sub(nanoseconds(self.history)), MAX_ENDED);
        self.owners.publish(&mut self.shown);
        self.held = held;
        self.read = now;
    }

    fn claim(&mut self, address: IpAddr, who: &Arc<Identity>, from: u64) -> (IpAddr, ObjectKey) {
        let kind = match who.kind {
            Kind::Node => ObjectKind::Node,
            Kind::Service => ObjectKind::Service,
            Kind::Pod | Kind::Unknown => ObjectKind::Pod,
        };
        let by = ObjectKey::new(kind, &who.ns, &who.name);
        let term = Tenure {
            created: from,
            from,
            until: None,
            leaving: false,
        };
        self.owners.claim(&address, &by, term, who);
        (address, by)
    }
}

/// One snapshot of all switches, and of the northbound database if there is one, as they
/// are now (ns since the epoch UTC), with who had an address before.
pub fn merge(
    mut switches: Vec<SwitchFacts>,
    northbound: Option<&NorthboundFacts>,
    history: &mut AddressHistory,
    now: u64,
) -> Snapshot {
    let mut directory = Directory::default();
    let mut exporters = Vec::new();
    let mut sources = Vec::new();
    let mut macs: HashMap<Mac, Vec<Held>> = HashMap::new();
    let owned = northbound.map(|facts| facts.join(&mut switches));
    history.enter(&mut switches, owned, now);
    if let Some(facts) = northbound {
        directory.services = facts.services().clone();
    }
    for switch in switches {
        sources.extend(
            switch
                .sources
                .iter()
                .map(|address| (*address, Arc::clone(&switch.node))),
        );
        exporters.extend(switch.exporters);
        let behind = switch.ports.interfaces.values();
        for pod in behind.filter(|who| who.kind == Kind::Pod) {
            let held = Held {
                span: Span::ALWAYS,
                who: Arc::clone(pod),
            };
            // A pod is known by name as it is in its own network.
            let name = pod_key(&pod.ns, &pod.name);
            if &*pod.network == PRIMARY || directory.pods.get(&*name).is_none() {
                directory.pods.insert(name, [held].into());
            }
        }
        for (mac, who) in &switch.ports.macs {
            macs.entry(*mac).or_default().push(Held {
                span: Span::ALWAYS,
                who: Arc::clone(who),
            });
        }
        // Records of no known node would be looked up among them.
        if !switch.node.is_empty() {
            directory.nodes.insert(switch.node, switch.ports);
        }
    }
    for (mac, held) in macs {
        directory.macs.insert(mac, held.into());
    }
    directory.addresses = history.shown.clone();
    let exporters = Exporters::new(exporters, sources.into_iter());
    Snapshot {
        directory: Arc::new(directory),
        exporters: Arc::new(exporters),
    }
}
