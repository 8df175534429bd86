//! The one writer: takes facts and policies, keeps the tables of the [`Snapshot`].
//!
//! A change touches the rows and lists that it concerns. Tables that a reader still holds
//! are copied first. A selector that asks for a label key that none asked for before
//! splits groups: then all is compiled anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::quality::RandomState;

use crate::facts::{Namespace, Node, Pod};
use crate::policy::{Policy, PolicyKey};
use crate::profile::Profile;

mod endpoints;
mod evaluate;
mod explain;
mod inspect;
mod lookalikes;
mod lowering;
mod memo;
mod namespaces_and_nodes;
mod networks;
mod past;
mod policies;
mod ports;
mod question;
mod sets;
mod shadows;
mod snapshot;
mod tables;

pub use evaluate::Connection;
pub use explain::{Explanation, MatchingRule, SideExplanation};
pub use inspect::{Miss, NearestRule};
pub use lookalikes::Lookalikes;
pub use memo::Memo;
pub use past::Past;
pub use snapshot::{Endpoint, EndpointKind, RuleRef, Snapshot};

use networks::Networks;
use ports::PortClasses;
use sets::{SetKey, Sets};
use tables::Tables;

/// A pod's namespace and name.
pub(crate) type PodKey = (String, String);

/// By namespace and name.
type Pods = HashMap<String, HashMap<String, endpoints::PodEntry, RandomState>, RandomState>;

/// What a cluster holds, for a compile from nothing.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// Namespaces; one that pods are in and that is not here has only its name as label.
    pub namespaces: Vec<Namespace>,
    /// Pods.
    pub pods: Vec<Pod>,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Policies of all kinds; of several with one key the last counts.
    pub policies: Vec<Policy>,
}

/// Keys and names that some selector or rule asks for; everything else is cut off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct InUse {
    pod_keys: BTreeSet<String>,
    node_keys: BTreeSet<String>,
    port_names: BTreeSet<String>,
}

/// Rules that match addresses or everybody.
#[derive(Debug, Clone, Default)]
struct WideRules {
    everyone: BTreeSet<u32>,
    /// By the number of the network.
    blocks: BTreeMap<u32, BTreeSet<u32>>,
}

/// Takes facts and policies, gives snapshots.
#[derive(Debug, Clone)]
pub struct Engine {
    snapshot: Arc<Snapshot>,
    in_use: InUse,
    sets: Sets,
    /// By group and network class.
    classes: HashMap<(u32, u32), u32, RandomState>,
    /// By class: its group and network class.
    class_parts: Vec<(u32, u32)>,
    policies: BTreeMap<PolicyKey, (u32, Arc<Policy>)>,
    free_policies: Vec<u32>,
    /// By direction.
    free_rules: [Vec<u32>; 2],
    /// By direction: the rules that match more than sets.
    wide_rules: [WideRules; 2],
    namespaces: HashMap<String, u32, RandomState>,
    /// Namespaces that were given; others are only known from their pods.
    declared: BTreeSet<String>,
    /// By namespace and name. What is large is shared with an engine that was cloned, until one
    /// of the two changes it.
    pods: Arc<Pods>,
    nodes: HashMap<String, endpoints::NodeEntry, RandomState>,
    node_ids: HashMap<String, u32, RandomState>,
    pod_ids: u32,
    /// By address: the pods that have it.
    addresses: Arc<BTreeMap<IpAddr, Vec<PodKey>>>,
}

impl Engine {
    /// No cluster, no policies.
    pub fn new(profile: Profile) -> Engine {
        Engine::with(profile, InUse::default(), 1, 1)
    }

    fn with(profile: Profile, in_use: InUse, generation: u64, epoch: u32) -> Engine {
        let mut tables = [Tables::new(), Tables::new()];
        let ports = PortClasses::default();
        for tables in &mut tables {
            (0..ports.len()).for_each(|_| tables.add_port_class(None));
        }
        let snapshot = Snapshot {
            profile,
            generation,
            epoch,
            tables,
            ports: Arc::new(ports),
            networks: Arc::new(Networks::default()),
            outside: Arc::default(),
            named: Arc::default(),
            namespace_ports: Arc::default(),
            policies: Arc::default(),
        };
        let mut engine = Engine {
            snapshot: Arc::new(snapshot),
            in_use,
            sets: Sets::default(),
            classes: HashMap::default(),
            class_parts: Vec::new(),
            policies: BTreeMap::new(),
            free_policies: Vec::new(),
            free_rules: [Vec::new(), Vec::new()],
            wide_rules: [WideRules::default(), WideRules::default()],
            namespaces: HashMap::default(),
            declared: BTreeSet::new(),
            pods: Arc::default(),
            nodes: HashMap::default(),
            node_ids: HashMap::default(),
            pod_ids: 0,
            addresses: Arc::default(),
        };
        engine.describe_group(sets::OUTSIDE);
        engine.classes_outside();
        engine
    }

    /// Everything at once.
    pub fn compile(profile: Profile, cluster: Cluster) -> Engine {
        Engine::compiled(profile, cluster, 1, 1)
    }

    fn compiled(profile: Profile, cluster: Cluster, generation: u64, epoch: u32) -> Engine {
        let mut in_use = InUse::default();
        let policies: BTreeMap<PolicyKey, Policy> = cluster
            .policies
            .into_iter()
            .map(|policy| (policy.key(), policy))
            .collect();
        let lowered: Vec<_> = policies
            .values()
            .map(|policy| lowering::lower(policy, &profile))
            .collect();
        for policy in &lowered {
            in_use.add(policy);
        }
        let mut engine = Engine::with(profile, in_use, generation, epoch);
        engine.add_networks(lowered.iter().flat_map(|policy| policy.networks()));
        for namespace in cluster.namespaces {
            engine.put_namespace(namespace);
        }
        for (policy, lowered) in policies.into_values().zip(lowered) {
            engine.insert_policy(policy, lowered);
        }
        cluster.pods.into_iter().for_each(|pod| engine.put_pod(pod));
        cluster.nodes.into_iter().for_each(|node| engine.put_node(node));
        engine
    }

    /// All that was given, for a compile from nothing.
    fn cluster(&self) -> Cluster {
        let namespace = |id: &u32| self.sets.namespaces[*id as usize].as_ref().clone();
        Cluster {
            namespaces: self
                .declared
                .iter()
                .filter_map(|name| self.namespaces.get(name))
                .map(namespace)
                .collect(),
            pods: self
                .pods
                .values()
                .flat_map(HashMap::values)
                .map(|entry| entry.pod.clone())
                .collect(),
            nodes: self.nodes.values().map(|entry| entry.node.clone()).collect(),
            policies: self
                .policies
                .values()
                .map(|(_, policy)| policy.as_ref().clone())
                .collect(),
        }
    }

    /// Compiles anew, which also frees what nobody uses any more.
    pub fn rebuild(&mut self) {
        let (generation, epoch) = (self.snapshot.generation, self.snapshot.epoch + 1);
        *self = Engine::compiled(self.snapshot.profile, self.cluster(), generation, epoch);
    }

    /// What readers evaluate with: swap their pointer to it.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    fn change(&mut self) -> &mut Snapshot {
        Arc::make_mut(&mut self.snapshot)
    }

    fn count_change(&mut self) {
        self.change().generation += 1;
    }

    /// Adds a policy or replaces the one with its key.
    pub fn set_policy(&mut self, policy: Policy) {
        let lowered = lowering::lower(&policy, &self.snapshot.profile);
        self.drop_policy(&policy.key());
        if self.in_use.add(&lowered) {
            let id = self.free_policy();
            self.policies.insert(policy.key(), (id, Arc::new(policy)));
            self.rebuild();
        } else {
            self.add_networks(lowered.networks());
            self.insert_policy(policy, lowered);
        }
        self.count_change();
    }

    /// Removes a policy.
    pub fn remove_policy(&mut self, key: &PolicyKey) {
        self.drop_policy(key);
        self.count_change();
    }

    /// Adds a namespace or gives it other labels; its pods follow.
    pub fn set_namespace(&mut self, namespace: Namespace) {
        self.put_namespace(namespace);
        self.count_change();
    }

    /// Removes a namespace: pods that are still in it have only its name.
    pub fn remove_namespace(&mut self, name: &str) {
        self.declared.remove(name);
        self.change_namespace(Namespace::new(name, BTreeMap::new()));
        self.count_change();
    }

    /// Adds a pod or replaces the one with its name.
    pub fn set_pod(&mut self, pod: Pod) {
        self.put_pod(pod);
        self.tidy();
        self.count_change();
    }

    /// Removes a pod.
    pub fn remove_pod(&mut self, namespace: &str, name: &str) {
        self.drop_pod(&(namespace.into(), name.into()));
        self.count_change();
    }

    /// Adds a node or replaces the one with its name.
    pub fn set_node(&mut self, node: Node) {
        self.put_node(node);
        self.tidy();
        self.count_change();
    }

    /// Removes a node.
    pub fn remove_node(&mut self, name: &str) {
        self.nodes.remove(name);
        self.count_change();
    }

    /// Compiles anew when most groups have nobody left.
    fn tidy(&mut self) {
        const SMALL: usize = 4096;
        let groups = self.sets.group_count() as usize;
        if groups > SMALL
            && groups > 2 * (self.pods.values().map(HashMap::len).sum::<usize>() + 3 * self.nodes.len())
        {
            self.rebuild();
        }
    }
}

impl WideRules {
    fn put(&mut self, rule: u32, detail: &tables::RuleDetail) {
        if detail.everyone {
            self.everyone.insert(rule);
        }
        for (network, _) in &detail.blocks {
            self.blocks.entry(*network).or_default().insert(rule);
        }
    }

    fn remove(&mut self, rule: u32, detail: &tables::RuleDetail) {
        self.everyone.remove(&rule);
        for (network, _) in &detail.blocks {
            if let Some(rules) = self.blocks.get_mut(network) {
                rules.remove(&rule);
            }
        }
    }
}

impl InUse {
    /// Adds what a policy asks for; whether that was new.
    fn add(&mut self, policy: &lowering::Lowered) -> bool {
        let before = (self.pod_keys.len(), self.node_keys.len(), self.port_names.len());
        for set in policy.sets() {
            match set {
                SetKey::Pods { pods, .. } => {
                    self.pod_keys.extend(
                        pods.iter()
                            .flat_map(|selector| selector.keys())
                            .map(str::to_owned),
                    );
                }
                SetKey::Nodes(selector) => self.node_keys.extend(selector.keys().map(str::to_owned)),
            }
        }
        self.port_names.extend(policy.port_names().map(str::to_owned));
        before != (self.pod_keys.len(), self.node_keys.len(), self.port_names.len())
    }
}
