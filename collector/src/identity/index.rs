//! The index from addresses to identities: pure, fed with facts, read as a
//! snapshot. A change costs what depends on the changed object, not the cluster.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::facts::{Fact, NodeFact, ObjectKey, ObjectKind, PodFact};
use super::{Directory, Snapshot, pod_key};
use crate::exporters::{Exporter, Exporters};
use weir_flow::{Identity, Kind};

/// All facts, and who has which address by them.
#[derive(Debug, Default)]
pub struct Index {
    objects: HashMap<ObjectKey, Fact>,
    /// Pods by what their identity is made of: their node, their ReplicaSet or Job.
    dependents: HashMap<ObjectKey, HashSet<ObjectKey>>,
    claims: HashMap<IpAddr, Vec<Claim>>,
    addresses: HashMap<IpAddr, Arc<Identity>>,
    pods: HashMap<Arc<str>, Arc<Identity>>,
    exporters: Arc<Exporters>,
    exporters_stale: bool,
}

#[derive(Debug)]
struct Claim {
    by: ObjectKey,
    created: i64,
    identity: Arc<Identity>,
}

impl Index {
    /// Takes in what is known of one object now. Returns whether that is news.
    pub fn apply(&mut self, key: ObjectKey, fact: Fact) -> bool {
        if self.objects.get(&key) == Some(&fact) {
            return false;
        }
        self.withdraw(&key);
        self.depend(&key, &fact);
        self.objects.insert(key.clone(), fact);
        self.claim(&key);
        self.refresh_dependents(&key);
        true
    }

    /// Forgets one object. Returns whether it was known.
    pub fn delete(&mut self, key: &ObjectKey) -> bool {
        self.withdraw(key);
        let known = self.objects.remove(key).is_some();
        // Pods go with their ReplicaSet or Job, a moment later; until then their workload stays true.
        if key.kind == ObjectKind::Node {
            self.refresh_dependents(key);
        }
        known
    }

    /// Forgets the objects of a kind that are not in `present`: a complete list
    /// was read. Returns whether there were any.
    pub fn retain(&mut self, kind: ObjectKind, present: &HashSet<ObjectKey>) -> bool {
        let gone: Vec<_> = self
            .objects
            .keys()
            .filter(|key| key.kind == kind && !present.contains(*key))
            .cloned()
            .collect();
        for key in &gone {
            self.delete(key);
        }
        !gone.is_empty()
    }

    /// What readers shall see from now on.
    pub fn snapshot(&mut self) -> Snapshot {
        if std::mem::take(&mut self.exporters_stale) {
            self.exporters = Arc::new(self.build_exporters());
        }
        let directory = Directory {
            addresses: self.addresses.clone(),
            nodes: HashMap::new(),
            pods: self.pods.clone(),
        };
        Snapshot {
            directory: Arc::new(directory),
            exporters: Arc::clone(&self.exporters),
        }
    }

    /// How many objects are known.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    fn build_exporters(&self) -> Exporters {
        let exporters = self.objects.values().flat_map(|fact| match fact {
            Fact::Exports(exporters) => exporters.as_slice(),
            _ => &[],
        });
        let exporters: Vec<Exporter> = exporters.cloned().collect();
        let sources = self.objects.iter().flat_map(|(key, fact)| match fact {
            Fact::Node(node) => node
                .addresses
                .iter()
                .map(|a| (*a, Arc::clone(&key.name)))
                .collect(),
            _ => Vec::new(),
        });
        Exporters::new(exporters, sources)
    }

    fn depend(&mut self, key: &ObjectKey, fact: &Fact) {
        self.exporters_stale |= matches!(fact, Fact::Exports(_) | Fact::Node(_));
        if let Fact::Pod(pod) = fact {
            for on in parts_of(key, pod) {
                self.dependents.entry(on).or_default().insert(key.clone());
            }
        }
    }

    /// Undoes [`Self::depend`] and [`Self::claim`] for what is known of `key`.
    fn withdraw(&mut self, key: &ObjectKey) {
        let Some(fact) = self.objects.get(key) else { return };
        self.exporters_stale |= matches!(fact, Fact::Exports(_) | Fact::Node(_));
        if let Fact::Pod(pod) = fact {
            self.pods.remove(&pod_key(&key.ns, &key.name));
            for on in parts_of(key, pod) {
                if let Some(pods) = self.dependents.get_mut(&on) {
                    pods.remove(key);
                    if pods.is_empty() {
                        self.dependents.remove(&on);
                    }
                }
            }
        }
        for address in addresses_of(fact).to_vec() {
            if let Some(claims) = self.claims.get_mut(&address) {
                claims.retain(|claim| claim.by != *key);
            }
            self.settle(address);
        }
    }

    fn claim(&mut self, key: &ObjectKey) {
        let Some(fact) = self.objects.get(key) else { return };
        let created = if let Fact::Pod(pod) = fact { pod.created } else { 0 };
        let addresses = addresses_of(fact).to_vec();
        if addresses.is_empty() {
            return;
        }
        let identity = Arc::new(self.identify(key, fact));
        if identity.kind == Kind::Pod {
            let name = pod_key(&key.ns, &key.name);
            self.pods.insert(name, Arc::clone(&identity));
        }
        for address in addresses {
            let claim = Claim {
                by: key.clone(),
                created,
                identity: Arc::clone(&identity),
            };
            self.claims.entry(address).or_default().push(claim);
            self.settle(address);
        }
    }

    fn refresh_dependents(&mut self, key: &ObjectKey) {
        let pods: Vec<_> = self.dependents.get(key).into_iter().flatten().cloned().collect();
        for pod in pods {
            let Some(Fact::Pod(fact)) = self.objects.get(&pod) else {
                continue;
            };
            for address in fact.addresses.clone() {
                if let Some(claims) = self.claims.get_mut(&address) {
                    claims.retain(|claim| claim.by != pod);
                }
            }
            self.claim(&pod);
        }
    }

    /// Picks who has the address: a pod before a node before a Service, and of
    /// two pods the younger one, because the delete of the elder may come late.
    fn settle(&mut self, address: IpAddr) {
        let claims = self.claims.get(&address).map_or(&[][..], Vec::as_slice);
        let best = claims
            .iter()
            .max_by_key(|c| (std::cmp::Reverse(c.by.kind), c.created));
        match best.map(|claim| Arc::clone(&claim.identity)) {
            Some(identity) => {
                self.addresses.insert(address, identity);
            }
            None => {
                self.addresses.remove(&address);
                self.claims.remove(&address);
            }
        }
    }

    fn identify(&self, key: &ObjectKey, fact: &Fact) -> Identity {
        match fact {
            Fact::Pod(pod) => self.identify_pod(key, pod),
            Fact::Node(node) => identify_node(key, node),
            Fact::Service(_) => Identity {
                kind: Kind::Service,
                name: Arc::clone(&key.name),
                ns: Arc::clone(&key.ns),
                workload_name: Arc::clone(&key.name),
                workload_kind: "Service".into(),
                service_name: Arc::clone(&key.name),
                service_ns: Arc::clone(&key.ns),
                ..Identity::default()
            },
            Fact::Controlled(_) | Fact::Exports(_) => Identity::default(),
        }
    }

    fn identify_pod(&self, key: &ObjectKey, pod: &PodFact) -> Identity {
        let (workload_kind, workload_name) = self.workload(key, pod);
        let node = match self.objects.get(&ObjectKey::new(ObjectKind::Node, "", &pod.node)) {
            Some(Fact::Node(node)) => Some(node),
            _ => None,
        };
        Identity {
            kind: Kind::Pod,
            name: Arc::clone(&key.name),
            ns: Arc::clone(&key.ns),
            workload_name,
            workload_kind,
            node_name: Arc::clone(&pod.node),
            node_addr: node.and_then(|n| n.addresses.first().copied()),
            zone: node.map(|n| Arc::clone(&n.zone)).unwrap_or_default(),
            ..Identity::default()
        }
    }

    /// The top owner: a pod without one is its own workload.
    fn workload(&self, key: &ObjectKey, pod: &PodFact) -> (Arc<str>, Arc<str>) {
        let Some(owner) = &pod.owner else {
            return ("Pod".into(), Arc::clone(&key.name));
        };
        let above = owner_key(key, pod).and_then(|key| self.objects.get(&key));
        let top = if let Some(Fact::Controlled(Some(top))) = above {
            top
        } else {
            owner
        };
        (Arc::clone(&top.kind), Arc::clone(&top.name))
    }
}

fn identify_node(key: &ObjectKey, node: &NodeFact) -> Identity {
    Identity {
        kind: Kind::Node,
        name: Arc::clone(&key.name),
        workload_name: Arc::clone(&key.name),
        workload_kind: "Node".into(),
        node_name: Arc::clone(&key.name),
        node_addr: node.addresses.first().copied(),
        zone: Arc::clone(&node.zone),
        ..Identity::default()
    }
}

fn addresses_of(fact: &Fact) -> &[IpAddr] {
    match fact {
        Fact::Pod(pod) => &pod.addresses,
        Fact::Node(node) => &node.addresses,
        Fact::Service(service) => &service.addresses,
        Fact::Controlled(_) | Fact::Exports(_) => &[],
    }
}

/// The ReplicaSet or Job that controls a pod and may be controlled itself.
fn owner_key(pod_key: &ObjectKey, pod: &PodFact) -> Option<ObjectKey> {
    let owner = pod.owner.as_ref()?;
    let kind = [ObjectKind::ReplicaSet, ObjectKind::Job]
        .into_iter()
        .find(|k| k.as_str() == &*owner.kind)?;
    Some(ObjectKey::new(kind, &pod_key.ns, &owner.name))
}

fn parts_of(key: &ObjectKey, pod: &PodFact) -> impl Iterator<Item = ObjectKey> {
    let node = ObjectKey::new(ObjectKind::Node, "", &pod.node);
    std::iter::once(node).chain(owner_key(key, pod))
}

#[cfg(test)]
mod tests;
