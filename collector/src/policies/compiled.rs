//! The one writer of versions: takes objects as they change, keeps the engine, and makes the
//! versions that records are judged by. No I/O; the time is given.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use foldhash::quality::RandomState;
use ipnet::IpNet;
use serde_json::Value;
use weir_policy::observed::Changed;
use weir_policy::parse::Objects;
use weir_policy::{Cluster, Cni, Endpoint, Engine, Pod, Policy, PolicyKey, Profile};

use super::holders::{HolderTable, LAG, Name};
use super::known::Key;
use super::services::Services;
use super::versions::{Version, Versions};

/// An object that changed, and what it is now.
pub type ChangedObject = (Key, Option<Arc<str>>);

/// The engine and what it was fed with.
#[derive(Debug)]
pub struct Compiled {
    engine: Engine,
    /// The CNI that was given.
    cni: Option<Cni>,
    services: Services,
    /// The policies that an object made.
    policies: HashMap<Key, Vec<PolicyKey>>,
    /// The addresses of each pod that has some of its own.
    pods: BTreeMap<Name, Vec<IpAddr>>,
    /// The addresses of each node.
    nodes: BTreeMap<Arc<str>, Vec<IpAddr>>,
    /// By Node or ServiceCIDR: the networks that it tells.
    networks: BTreeMap<Key, Vec<IpNet>>,
    networks_changed: bool,
    /// All of them, in order, none within another.
    all_networks: Arc<[IpNet]>,
    holders: HolderTable,
    stamp: u64,
    /// The CNI that each node tells.
    told: BTreeMap<Key, Cni>,
    /// Pods on the host network, which say what their nodes are to selectors.
    hosted: BTreeSet<Name>,
}

/// What a batch of changes touched.
#[derive(Debug, Default)]
struct Touched {
    /// Policies, namespaces or nodes: everything.
    tables: bool,
    /// Pods, and the addresses that each had.
    pods: BTreeMap<Name, Vec<IpAddr>>,
}

impl Compiled {
    /// All objects at once; versions have later stamps than this one.
    pub fn new(cni: Option<Cni>, all: Vec<ChangedObject>, stamp: u64) -> Self {
        let mut objects = Objects::default();
        let values: Vec<(Key, Option<Value>)> = all.into_iter().map(read).collect();
        for value in values.iter().filter_map(|(_, value)| value.as_ref()) {
            objects.add(value);
        }
        let nodes = values.iter().filter_map(|(_, value)| cni_of(value.as_ref()?));
        let profile = Profile::of(cni.or_else(|| decided(nodes)).unwrap_or_default());
        let mut compiled = Self {
            engine: Engine::compile(profile, std::mem::take(&mut objects.cluster)),
            cni,
            services: Services::default(),
            policies: HashMap::new(),
            pods: BTreeMap::new(),
            nodes: BTreeMap::new(),
            networks: BTreeMap::new(),
            networks_changed: false,
            all_networks: Arc::from([]),
            holders: HolderTable::default(),
            stamp,
            told: BTreeMap::new(),
            hosted: BTreeSet::new(),
        };
        // The engine has it all; what is beside it takes the same objects one by one.
        let mut touched = Touched::default();
        for (key, value) in values {
            compiled.note(&key, value.as_ref(), &mut touched);
        }
        compiled.services.settle();
        compiled
    }

    /// The profile that is assumed.
    pub fn profile(&self) -> Profile {
        *self.engine.snapshot().profile()
    }

    /// The policies that there are.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.engine.all_policies()
    }

    /// Nodes tell another CNI than is assumed: all is to be compiled anew.
    pub fn is_of_other_cni(&self) -> bool {
        let told = || decided(self.told.values().copied());
        self.cni.or_else(told).unwrap_or_default() != self.profile().cni
    }

    /// The stamp of what was published last.
    pub fn stamp(&self) -> u64 {
        self.stamp
    }

    /// Takes changes in, now; what was in force changes with them.
    pub fn apply(&mut self, changed: Vec<ChangedObject>, now: u64, versions: &mut Versions) {
        let epoch = self.engine.snapshot().epoch();
        let mut touched = Touched::default();
        for (key, value) in changed.into_iter().map(read) {
            self.feed(&key, value.as_ref(), &mut touched);
            self.note(&key, value.as_ref(), &mut touched);
        }
        let of_services = self.services.settle();
        if touched.tables || epoch != self.engine.snapshot().epoch() {
            versions.push(self.version(moment(now.saturating_sub(LAG))));
            return;
        }
        let expired = self.holders.expire(now);
        self.hold(&touched.pods, now);
        if (of_services || expired || !touched.pods.is_empty())
            && let Some(last) = versions.last()
        {
            let version = self.published(last.since);
            versions.replace_last(version);
        }
    }

    /// Tells the engine what an object is now.
    fn feed(&mut self, key: &Key, value: Option<&Value>, touched: &mut Touched) {
        let kind = key.kind.kind();
        match kind.name {
            "Pod" => self.feed_pod(key, value, touched),
            "Namespace" => {
                touched.tables = true;
                match value.and_then(|value| one(value).namespaces.pop()) {
                    Some(namespace) => self.engine.set_namespace(namespace),
                    None => self.engine.remove_namespace(&key.name),
                }
            }
            "Node" => {
                touched.tables = true;
                match value.and_then(|value| one(value).nodes.pop()) {
                    Some(node) => self.engine.set_node(node),
                    None => self.engine.remove_node(&key.name),
                }
            }
            _ if kind.decides() => {
                touched.tables = true;
                for policy in self.policies.get(key).into_iter().flatten() {
                    self.engine.remove_policy(policy);
                }
                for policy in value.map(|value| one(value).policies).into_iter().flatten() {
                    self.engine.set_policy(policy);
                }
            }
            _ => {}
        }
    }

    fn feed_pod(&mut self, key: &Key, value: Option<&Value>, touched: &mut Touched) {
        let pod = value.and_then(|value| one(value).pods.pop());
        // Those that are on the host network, or were.
        touched.tables |= pod.as_ref().is_some_and(|pod| pod.host_network);
        touched.tables |= self.hosted.contains(&name_of(key));
        match pod {
            Some(pod) => self.engine.set_pod(pod),
            None => self.engine.remove_pod(&key.namespace, &key.name),
        }
    }

    /// Keeps what is beside the engine.
    fn note(&mut self, key: &Key, value: Option<&Value>, touched: &mut Touched) {
        let kind = key.kind.kind();
        match kind.name {
            "Service" => self.services.set_service(key, value.cloned()),
            "EndpointSlice" => self.services.set_slice(key, value.cloned()),
            "Pod" => self.note_pod(key, value, touched),
            "Node" => {
                match value.and_then(|value| one(value).nodes.pop()) {
                    Some(node) => self.nodes.insert((*key.name).into(), node.all_addresses()),
                    None => self.nodes.remove(&*key.name),
                };
                self.note_networks(key, value);
            }
            "ServiceCIDR" => self.note_networks(key, value),
            _ if kind.decides() => {
                let made = value.map(|value| one(value).policies.iter().map(Policy::key).collect());
                match made {
                    Some(made) => self.policies.insert(key.clone(), made),
                    None => self.policies.remove(key),
                };
            }
            _ => {}
        }
    }

    fn note_pod(&mut self, key: &Key, value: Option<&Value>, touched: &mut Touched) {
        let pod = value.and_then(|value| one(value).pods.pop());
        let has_own = |pod: &Pod| !pod.host_network && !pod.finished;
        let name = name_of(key);
        match pod.as_ref().is_some_and(|pod| pod.host_network) {
            true => self.hosted.insert(name.clone()),
            false => self.hosted.remove(&name),
        };
        let had = match pod.filter(has_own) {
            Some(pod) => self.pods.insert(name.clone(), pod.addresses),
            None => self.pods.remove(&name),
        };
        touched.pods.entry(name).or_insert(had.unwrap_or_default());
    }

    fn note_networks(&mut self, key: &Key, value: Option<&Value>) {
        match value.and_then(cni_of) {
            Some(cni) => self.told.insert(key.clone(), cni),
            None => self.told.remove(key),
        };
        let networks = value.map(|value| {
            let mut objects = Objects::default();
            objects.add(value);
            objects.inventory(Vec::new()).cluster_networks
        });
        let before = match networks.clone() {
            Some(networks) => self.networks.insert(key.clone(), networks),
            None => self.networks.remove(key),
        };
        self.networks_changed |= before != networks;
    }

    /// Where addresses of the cluster are, worked out when that has changed.
    fn settle_networks(&mut self) {
        if std::mem::take(&mut self.networks_changed) {
            let all: Vec<IpNet> = self.networks.values().flatten().copied().collect();
            let mut apart = IpNet::aggregate(&all);
            apart.sort_unstable_by_key(IpNet::network);
            self.all_networks = apart.into();
        }
    }

    /// A version in which everybody is looked up anew.
    pub fn version(&mut self, since: Changed) -> Version {
        let mut all: BTreeMap<IpAddr, Vec<(Name, Endpoint)>> = BTreeMap::new();
        for (name, addresses) in &self.pods {
            for address in addresses {
                if let Some(endpoint) = self.engine.pod(&name.0, &name.1, *address) {
                    all.entry(*address).or_default().push((name.clone(), endpoint));
                }
            }
        }
        for (name, addresses) in &self.nodes {
            for address in addresses {
                let endpoint = self.engine.node(name, *address);
                let name = (Arc::from(""), Arc::clone(name));
                all.entry(*address).or_default().push((name, endpoint));
            }
        }
        self.holders.rebuild(all);
        self.published(since)
    }

    fn published(&mut self, since: Changed) -> Version {
        self.stamp += 1;
        self.settle_networks();
        let elsewhere = |name: &Arc<str>| self.engine.node(name, Ipv4Addr::UNSPECIFIED.into());
        let nodes: HashMap<Arc<str>, Endpoint, RandomState> = self
            .nodes
            .keys()
            .map(|name| (Arc::clone(name), elsewhere(name)))
            .collect();
        Version {
            stamp: self.stamp,
            since,
            snapshot: self.engine.snapshot(),
            holders: self.holders.holders(),
            nodes: Arc::new(nodes),
            frontends: self.services.frontends().clone(),
            networks: Arc::clone(&self.all_networks),
        }
    }

    /// Looks these pods up anew, which had these addresses before.
    fn hold(&mut self, pods: &BTreeMap<Name, Vec<IpAddr>>, now: u64) {
        for (name, had) in pods {
            let has = self.pods.get(name).map_or(&[][..], Vec::as_slice);
            for address in had.iter().filter(|address| !has.contains(address)) {
                self.holders.end(*address, name, now);
            }
            for address in has {
                if let Some(endpoint) = self.engine.pod(&name.0, &name.1, *address) {
                    self.holders.set(*address, name, endpoint, now);
                }
            }
        }
    }
}

fn name_of(key: &Key) -> Name {
    ((*key.namespace).into(), (*key.name).into())
}

/// The CNI that an object tells, if it is a node that does.
fn cni_of(value: &Value) -> Option<Cni> {
    if value.get("kind").and_then(Value::as_str) != Some("Node") {
        return None;
    }
    let mut objects = Objects::default();
    objects.add(value);
    objects.cni
}

/// The CNI that most nodes tell; none where as many tell another.
fn decided(told: impl Iterator<Item = Cni>) -> Option<Cni> {
    let mut counts: HashMap<Cni, usize> = HashMap::new();
    told.for_each(|cni| *counts.entry(cni).or_default() += 1);
    let most = counts.values().copied().max()?;
    let mut first = counts.into_iter().filter(|(_, count)| *count == most);
    let (cni, _) = first.next()?;
    first.next().is_none().then_some(cni)
}

/// What one object says of a cluster.
fn one(value: &Value) -> Cluster {
    let mut objects = Objects::default();
    objects.add(value);
    objects.cluster
}

fn read((key, text): ChangedObject) -> (Key, Option<Value>) {
    // It was written by us.
    (key, text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// A change at this time, which somebody watched.
pub fn moment(at: u64) -> Changed {
    Changed {
        earliest: at,
        latest: at,
    }
}
