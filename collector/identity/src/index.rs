//! The index from addresses to identities: pure, fed with facts, read as a
//! snapshot. A change costs what depends on the changed object, not the cluster.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::facts::{Fact, ObjectKey, ObjectKind, PodFact};
use super::mac::Mac;
use super::names::Names;
use super::ownership::{OwnershipHistory, Tenure};
use super::time::nanoseconds;
use super::{Directory, Snapshot};
use crate::exporters::{Exporter, Exporters};
use weir_api::interface::PRIMARY;
use weir_flow::Identity;

pub use super::services::{Endpoint, NodePort};

mod identify;

/// How long is known who had an address, unless told otherwise.
pub const NAME_HISTORY: Duration = Duration::from_secs(600);
/// Namespace and name of the DaemonSet that runs the node daemons, unless told
/// otherwise.
pub const NODE_DAEMON: (&str, &str) = ("weir-system", "weir-node");
/// How late word of a change may come: what an object is first seen to have, it may
/// have had for so long before it was last seen without.
const WATCH_LAG: Duration = Duration::from_secs(5);
/// Ends of holdings that are kept, of addresses and of endpoints each.
pub(super) const MAX_ENDED: usize = 100_000;

/// All facts, and who has had which address by them.
#[derive(Debug)]
pub struct Index {
    history: Duration,
    /// Namespace and name of the DaemonSet that runs the node daemons.
    node_daemon: (Arc<str>, Arc<str>),
    objects: [HashMap<ObjectKey, Known>; ObjectKind::ALL.len()],
    /// Pods by what their identity is made of: their node, their ReplicaSet or Job.
    dependents: HashMap<ObjectKey, Vec<ObjectKey>>,
    names: Names,
    addresses: OwnershipHistory<IpAddr>,
    endpoints: OwnershipHistory<Endpoint>,
    node_ports: OwnershipHistory<NodePort>,
    pods: OwnershipHistory<Arc<str>>,
    macs: OwnershipHistory<Mac>,
    portless: usize,
    shown: Directory,
    exporters: Arc<Exporters>,
    exporters_stale: bool,
}

#[derive(Debug)]
struct Known {
    fact: Fact,
    /// When it was last seen, ns since the epoch UTC.
    seen: u64,
    who: Arc<Identity>,
}

/// What an object has.
#[derive(Debug, Default)]
struct OwnedKeys {
    addresses: Vec<(IpAddr, Arc<Identity>)>,
    endpoints: Vec<(Endpoint, Arc<Identity>)>,
    node_ports: Vec<(NodePort, Arc<Identity>)>,
    pods: Vec<(Arc<str>, Arc<Identity>)>,
    macs: Vec<(Mac, Arc<Identity>)>,
}

impl Default for Index {
    fn default() -> Self {
        Self::new(NAME_HISTORY)
    }
}

impl Index {
    /// An empty index that knows for so long who had an address.
    pub fn new(history: Duration) -> Self {
        let (ns, name) = NODE_DAEMON;
        Self {
            history,
            node_daemon: (ns.into(), name.into()),
            objects: Default::default(),
            dependents: HashMap::new(),
            names: Names::default(),
            addresses: OwnershipHistory::default(),
            endpoints: OwnershipHistory::default(),
            node_ports: OwnershipHistory::default(),
            pods: OwnershipHistory::default(),
            macs: OwnershipHistory::default(),
            portless: 0,
            shown: Directory::default(),
            exporters: Arc::default(),
            exporters_stale: false,
        }
    }

    /// Takes the pods of this DaemonSet for the node daemons, which speak for their
    /// nodes. To be called before anything is taken in.
    #[must_use]
    pub fn with_node_daemon(mut self, ns: &str, name: &str) -> Self {
        self.node_daemon = (ns.into(), name.into());
        self
    }

    /// Takes in what is known of one object now (ns since the epoch UTC). Returns
    /// whether that is news.
    pub fn apply(&mut self, mut key: ObjectKey, mut fact: Fact, now: u64) -> bool {
        if let Some(known) = self.objects[key.kind as usize].get_mut(&key)
            && known.fact == fact
        {
            known.seen = now;
            return false;
        }
        fact.share(&mut self.names);
        self.names.share(&mut key.ns);
        let mut old = self.objects[key.kind as usize].remove(&key);
        if let Some(elder) = old.take_if(|old| old.fact.created() != fact.created()) {
            self.release(&key, &elder, now.min(fact.created().max(elder.fact.created())));
        }
        self.exporters_stale |= self.tells_exporters(&key, &fact);
        self.exporters_stale |= old
            .as_ref()
            .is_some_and(|old| self.tells_exporters(&key, &old.fact));
        self.depend(&key, &fact);
        self.hold(&key, fact, old, now);
        self.refresh_dependents(&key);
        true
    }

    /// Forgets one object, which ended at the latest now (ns since the epoch UTC).
    /// Returns whether it was known.
    pub fn delete(&mut self, key: &ObjectKey, now: u64) -> bool {
        let Some(known) = self.objects[key.kind as usize].remove(key) else {
            return false;
        };
        self.exporters_stale |= self.tells_exporters(key, &known.fact);
        self.release(key, &known, now);
        // Pods go with their ReplicaSet or Job, a moment later; until then their workload stays true.
        if key.kind == ObjectKind::Node {
            self.refresh_dependents(key);
        }
        true
    }

    /// Forgets the objects of a kind that are not in `present`: a complete list
    /// was read. Returns whether there were any.
    pub fn retain(&mut self, kind: ObjectKind, present: &HashSet<ObjectKey>, now: u64) -> bool {
        let all = self.objects[kind as usize].keys();
        let gone: Vec<_> = all.filter(|key| !present.contains(*key)).cloned().collect();
        for key in &gone {
            self.delete(key, now);
        }
        !gone.is_empty()
    }

    /// Forgets who had what longer ago than the history. Returns whether there is news.
    pub fn expire(&mut self, now: u64) -> bool {
        let before = now.saturating_sub(nanoseconds(self.history));
        self.addresses.expire(before, MAX_ENDED);
        self.endpoints.expire(before, MAX_ENDED);
        self.node_ports.expire(before, MAX_ENDED);
        self.pods.expire(before, MAX_ENDED);
        self.macs.expire(before, MAX_ENDED);
        self.addresses.is_changed() || self.endpoints.is_changed()
    }

    /// What readers shall see from now on.
    pub fn snapshot(&mut self) -> Snapshot {
        if std::mem::take(&mut self.exporters_stale) {
            self.exporters = Arc::new(self.build_exporters());
        }
        self.addresses.publish(&mut self.shown.addresses);
        self.endpoints.publish(&mut self.shown.services);
        self.node_ports.publish(&mut self.shown.services);
        self.pods.publish(&mut self.shown.pods);
        self.macs.publish(&mut self.shown.macs);
        self.shown.services.portless = self.portless > 0;
        Snapshot {
            directory: Arc::new(self.shown.clone()),
            exporters: Arc::clone(&self.exporters),
        }
    }

    /// How many objects are known.
    pub fn len(&self) -> usize {
        self.objects.iter().map(HashMap::len).sum()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many holdings of addresses are known, those that ended included.
    pub fn holdings(&self) -> usize {
        self.addresses.len()
    }

    fn build_exporters(&self) -> Exporters {
        let of_kind = |kind: ObjectKind| self.objects[kind as usize].iter();
        let exporters = of_kind(ObjectKind::NodeFlowExport).flat_map(|(_, known)| match &known.fact {
            Fact::Exports(exporters) => exporters.as_slice(),
            _ => &[],
        });
        let exporters: Vec<Exporter> = exporters.cloned().collect();
        let nodes = of_kind(ObjectKind::Node).filter_map(|(key, known)| match &known.fact {
            Fact::Node(node) => Some((&key.name, node)),
            _ => None,
        });
        let mut sources: BTreeMap<IpAddr, Vec<&Arc<str>>> = BTreeMap::new();
        for (name, node) in nodes.clone() {
            node.addresses
                .iter()
                .for_each(|a| sources.entry(*a).or_default().push(name));
        }
        // What one node is told to have besides is not its, if it is another's by its status.
        let listed: HashSet<IpAddr> = sources.keys().copied().collect();
        for (name, node) in nodes {
            for address in node.other_sources().filter(|address| !listed.contains(address)) {
                sources.entry(address).or_default().push(name);
            }
        }
        let sources = sources.into_iter().flat_map(|(address, names)| {
            let names = names.into_iter().cloned();
            names.map(move |name| (address, name))
        });
        let daemons = of_kind(ObjectKind::Pod).filter_map(|(key, known)| self.daemon(key, &known.fact));
        let daemons = daemons.flat_map(|pod| {
            let addresses = pod.addresses.iter();
            let own = addresses.filter(|(_, network)| &**network == PRIMARY);
            own.map(|(address, _)| (*address, Arc::clone(&pod.node)))
        });
        Exporters::new(exporters, sources.chain(daemons))
    }

    /// Whether it says who exports, or from where.
    fn tells_exporters(&self, key: &ObjectKey, fact: &Fact) -> bool {
        matches!(fact, Fact::Exports(_) | Fact::Node(_)) || self.daemon(key, fact).is_some()
    }

    /// A node daemon's pod that runs.
    fn daemon<'a>(&self, key: &ObjectKey, fact: &'a Fact) -> Option<&'a PodFact> {
        let Fact::Pod(pod) = fact else { return None };
        let owner = pod.owner.as_ref()?;
        let (ns, name) = &self.node_daemon;
        let is_daemon = *owner.kind == *"DaemonSet" && owner.name == *name && key.ns == *ns;
        (is_daemon && pod.ended.is_none() && !pod.node.is_empty()).then_some(pod)
    }

    fn depend(&mut self, key: &ObjectKey, fact: &Fact) {
        if let Fact::Pod(pod) = fact {
            for on in parts_of(key, pod) {
                let pods = self.dependents.entry(on).or_default();
                if !pods.contains(key) {
                    pods.push(key.clone());
                }
            }
        }
    }

    fn depend_no_more(&mut self, key: &ObjectKey, fact: &Fact, still: &[ObjectKey]) {
        let Fact::Pod(pod) = fact else { return };
        for on in parts_of(key, pod).filter(|on| !still.contains(on)) {
            if let Some(pods) = self.dependents.get_mut(&on) {
                pods.retain(|pod| pod != key);
                if pods.is_empty() {
                    self.dependents.remove(&on);
                }
            }
        }
    }

    /// Takes up what an object has, and lets go what it had and has no longer.
    /// What it is not known to have had yet it got after it was last seen.
    fn hold(&mut self, key: &ObjectKey, fact: Fact, old: Option<Known>, now: u64) {
        let who = self.who(key, &fact, old.as_ref().map(|old| &old.who));
        let new = self.owned_keys(key, &fact, &who);
        let began = fact.began();
        let unseen = old
            .as_ref()
            .map_or(0, |old| old.seen.saturating_sub(nanoseconds(WATCH_LAG)));
        let term = Tenure {
            created: fact.created(),
            from: began.max(unseen),
            until: fact.ended(now),
            leaving: fact.is_leaving(),
        };
        if let Some(old) = old {
            let still: Vec<ObjectKey> = match &fact {
                Fact::Pod(pod) => parts_of(key, pod).collect(),
                _ => Vec::new(),
            };
            self.depend_no_more(key, &old.fact, &still);
            self.portless -= usize::from(old.fact.is_portless());
            let had = self.owned_keys(key, &old.fact, &old.who);
            release_others(&mut self.addresses, key, &had.addresses, &new.addresses, now);
            release_others(&mut self.endpoints, key, &had.endpoints, &new.endpoints, now);
            release_others(&mut self.node_ports, key, &had.node_ports, &new.node_ports, now);
            release_others(&mut self.macs, key, &had.macs, &new.macs, now);
        }
        self.portless += usize::from(fact.is_portless());
        self.claim(key, &new, term);
        let known = Known { fact, seen: now, who };
        self.objects[key.kind as usize].insert(key.clone(), known);
    }

    fn claim(&mut self, key: &ObjectKey, owned_keys: &OwnedKeys, term: Tenure) {
        for (address, who) in &owned_keys.addresses {
            self.addresses.claim(address, key, term, who);
        }
        for (endpoint, who) in &owned_keys.endpoints {
            self.endpoints.claim(endpoint, key, term, who);
        }
        for (port, who) in &owned_keys.node_ports {
            self.node_ports.claim(port, key, term, who);
        }
        for (name, who) in &owned_keys.pods {
            self.pods.claim(name, key, term, who);
        }
        for (mac, who) in &owned_keys.macs {
            self.macs.claim(mac, key, term, who);
        }
    }

    /// Lets go all that an object has, and what it depends on.
    fn release(&mut self, key: &ObjectKey, known: &Known, now: u64) {
        self.depend_no_more(key, &known.fact, &[]);
        self.portless -= usize::from(known.fact.is_portless());
        let had = self.owned_keys(key, &known.fact, &known.who);
        release_others(&mut self.addresses, key, &had.addresses, &[], now);
        release_others(&mut self.endpoints, key, &had.endpoints, &[], now);
        release_others(&mut self.node_ports, key, &had.node_ports, &[], now);
        release_others(&mut self.pods, key, &had.pods, &[], now);
        release_others(&mut self.macs, key, &had.macs, &[], now);
    }

    fn refresh_dependents(&mut self, key: &ObjectKey) {
        let pods = self.dependents.get(key).cloned().unwrap_or_default();
        for pod in pods {
            let Some(known) = self.objects[pod.kind as usize].get(&pod) else {
                continue;
            };
            let (fact, seen, old) = (known.fact.clone(), known.seen, Arc::clone(&known.who));
            let who = self.who(&pod, &fact, Some(&old));
            let term = Tenure {
                created: fact.created(),
                from: fact.began(),
                until: fact.ended(seen),
                leaving: fact.is_leaving(),
            };
            let owned_keys = self.owned_keys(&pod, &fact, &who);
            self.claim(&pod, &owned_keys, term);
            if let Some(known) = self.objects[pod.kind as usize].get_mut(&pod) {
                known.who = who;
            }
        }
    }
}

fn release_others<K: Hash + Ord + Clone>(
    book: &mut OwnershipHistory<K>,
    by: &ObjectKey,
    had: &[(K, Arc<Identity>)],
    has: &[(K, Arc<Identity>)],
    now: u64,
) {
    let has: HashSet<&K> = has.iter().map(|(key, _)| key).collect();
    for (key, _) in had.iter().filter(|(key, _)| !has.contains(key)) {
        book.release(key, by, now);
    }
}

fn parts_of(key: &ObjectKey, pod: &PodFact) -> impl Iterator<Item = ObjectKey> {
    std::iter::once(node_key(pod)).chain(owner_key(key, pod))
}

/// The ReplicaSet or Job that controls a pod and may be controlled itself.
fn owner_key(pod_key: &ObjectKey, pod: &PodFact) -> Option<ObjectKey> {
    let owner = pod.owner.as_ref()?;
    Some(ObjectKey {
        kind: owner.watched?,
        ns: Arc::clone(&pod_key.ns),
        name: Arc::clone(&owner.name),
    })
}

fn node_key(pod: &PodFact) -> ObjectKey {
    ObjectKey {
        kind: ObjectKind::Node,
        ns: Arc::default(),
        name: Arc::clone(&pod.node),
    }
}

#[cfg(test)]
mod tests;
