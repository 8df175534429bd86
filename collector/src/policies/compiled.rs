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

use super::earlier::Earlier;
use super::holders::{Facts, HolderTable, LAG, Name};
use super::known::Key;
use super::services::Services;
use super::touched::{Touched, Was};
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
    /// The versions before the last that have not settled, oldest first.
    earlier: Vec<Earlier>,
    stamp: u64,
    /// The CNI that each node tells.
    told: BTreeMap<Key, Cni>,
    /// Pods on the host network, which say what their nodes are to selectors.
    hosted: BTreeSet<Name>,
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
            earlier: Vec::new(),
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
        let expired = self.holders.expire(now);
        let before = touched.tables.take().map(|past| (past, self.holders.clone()));
        self.hold(&touched.pods, now);
        let is_news = before.is_some() || of_services || !touched.pods.is_empty();
        let nodes = versions
            .last()
            .map(|last| Arc::clone(&last.nodes))
            .unwrap_or_default();
        match before {
            Some((past, holders)) => {
                let version = self.version(moment(now.saturating_sub(LAG)));
                if versions.push(version) {
                    self.earlier.push(Earlier::new(past, holders, nodes));
                }
                if let Some(ended) = self.earlier.last_mut() {
                    ended.keep_until_settled(now);
                }
            }
            // Numbers are others, and nothing else.
            None if epoch != self.engine.snapshot().epoch() => {
                versions.replace_with(0, |last| self.version(last.since));
            }
            None if is_news || expired => versions.replace_with(0, |last| self.published(last.since)),
            None => {}
        }
        self.earlier.retain(|earlier| earlier.is_needed(now));
        if is_news {
            self.tell_earlier(&touched, now, versions);
        }
    }

    /// Looks up by the policies of the versions that have not settled what is touched now.
    fn tell_earlier(&mut self, touched: &Touched, now: u64, versions: &mut Versions) {
        let mut earlier = std::mem::take(&mut self.earlier);
        for (back, ended) in (1..).zip(earlier.iter_mut().rev()) {
            ended.take(touched, self, now);
            versions.replace_with(back, |known| Version {
                since: known.since,
                snapshot: ended.snapshot(),
                holders: ended.holders(),
                nodes: ended.nodes(),
                ..self.published(known.since)
            });
        }
        self.earlier = earlier;
    }

    /// The addresses that a pod has, and what it is: those of a pod with addresses of its own.
    pub fn pod(&self, name: &Name) -> Option<(&[IpAddr], &Pod)> {
        let addresses = self.pods.get(name)?;
        Some((addresses, self.engine.pod_facts(&name.0, &name.1)?))
    }

    /// Tells the engine what an object is now.
    fn feed(&mut self, key: &Key, value: Option<&Value>, touched: &mut Touched) {
        let kind = key.kind.kind();
        match kind.name {
            "Pod" => self.feed_pod(key, value, touched),
            "Namespace" => {
                touched.touch_tables(&self.engine);
                match value.and_then(|value| one(value).namespaces.pop()) {
                    Some(namespace) => {
                        touched.namespaces.push(namespace.clone());
                        self.engine.set_namespace(namespace);
                    }
                    None => self.engine.remove_namespace(&key.name),
                }
            }
            "Node" => {
                touched.touch_tables(&self.engine);
                match value.and_then(|value| one(value).nodes.pop()) {
                    Some(node) => {
                        touched.nodes.push(node.clone());
                        self.engine.set_node(node);
                    }
                    None => self.engine.remove_node(&key.name),
                }
            }
            _ if kind.decides() => {
                touched.touch_tables(&self.engine);
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
        if pod.as_ref().is_some_and(|pod| pod.host_network) || self.hosted.contains(&name_of(key)) {
            touched.touch_tables(&self.engine);
        }
        let was = self
            .engine
            .pod_facts(&key.namespace, &key.name)
            .cloned()
            .map(Arc::new);
        touched.pods.entry(name_of(key)).or_default().pod = was;
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
        touched.pods.entry(name).or_default().addresses = had.unwrap_or_default();
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
        let engine = &mut self.engine;
        self.holders
            .rebuild(all, |was, address, now| engine.as_if(was, address, now));
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

    /// Looks these pods up anew, which were this before.
    fn hold(&mut self, pods: &BTreeMap<Name, Was>, now: u64) {
        for (name, was) in pods {
            let has = self.pods.get(name).map_or(&[][..], Vec::as_slice);
            for address in was.addresses.iter().filter(|address| !has.contains(address)) {
                self.holders.end(*address, name, was.pod.as_ref(), now);
            }
            let facts = Facts {
                was: was.pod.as_ref(),
                is: self.engine.pod_facts(&name.0, &name.1),
            };
            for address in has {
                if let Some(endpoint) = self.engine.pod(&name.0, &name.1, *address) {
                    self.holders.set(*address, name, endpoint, facts, now);
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
