//! Groups, and sets of them. A group is all that no selector in use tells apart: pods
//! with the same labels (as far as any selector asks for them), named ports and
//! namespace; or nodes. A set is what one peer or subject selects.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::RandomState;

use crate::facts::{NamedPort, Namespace};
use crate::profile::{HOST_NETWORK_LABEL, HOST_NETWORK_NAMESPACES};
use crate::selector::{Labels, Selector};

/// The group of all that is outside of the cluster.
pub(crate) const OUTSIDE: u32 = 0;

/// What makes a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum GroupKey {
    Outside,
    Pod {
        /// A number of [`Sets::namespaces`].
        namespace: u32,
        /// Cut to the keys in use.
        labels: Labels,
        /// Cut to the names in use, sorted.
        ports: Vec<NamedPort>,
        /// Only to be found behind its node.
        host_network: bool,
    },
    Node {
        /// Cut to the keys in use.
        labels: Labels,
        /// The node as seen by its management port, or by its addresses.
        management: bool,
        /// Where the profile wants them: the groups of the pods on its network (by its
        /// addresses), or the namespaces that stand for the host network (by its port).
        hosts: Vec<u32>,
    },
}

/// Which namespaces' pods.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum NamespaceCondition {
    /// The one of that name.
    Named(String),
    /// Those with these labels.
    Matching(Selector),
}

impl NamespaceCondition {
    fn holds(&self, namespace: &Namespace) -> bool {
        match self {
            NamespaceCondition::Named(name) => *name == namespace.name,
            NamespaceCondition::Matching(selector) => selector.matches(&namespace.labels),
        }
    }
}

/// What one peer or subject selects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum SetKey {
    Pods {
        namespaces: NamespaceCondition,
        /// Absent is not the same as empty where a profile makes a difference.
        pods: Option<Selector>,
    },
    Nodes(Selector),
}

impl SetKey {
    fn pods_match(&self, labels: &Labels) -> bool {
        match self {
            SetKey::Pods { pods, .. } => pods.as_ref().is_none_or(|selector| selector.matches(labels)),
            SetKey::Nodes(_) => false,
        }
    }
}

/// The sets that a group is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Membership {
    /// By what it is. Sorted.
    pub(crate) sets: Vec<u32>,
    /// By what runs on the node's network, which counts for NetworkPolicies only. Sorted.
    pub(crate) hosts: Vec<u32>,
}

/// One set and who uses it.
#[derive(Debug, Clone)]
pub(crate) struct Set {
    key: SetKey,
    pub(crate) groups: Vec<u32>,
    /// Groups that are in it by what runs on their network.
    pub(crate) hosts: Vec<u32>,
    /// By direction: the rules that have it as a peer.
    pub(crate) peers: [Vec<u32>; 2],
    /// The policies that have it as their subject.
    pub(crate) subjects: Vec<u32>,
}

/// All groups and sets.
#[derive(Debug, Clone)]
pub(crate) struct Sets {
    pub(crate) namespaces: Vec<Arc<Namespace>>,
    groups: Vec<GroupKey>,
    group_ids: HashMap<GroupKey, u32, RandomState>,
    members: Vec<Membership>,
    sets: Vec<Set>,
    set_ids: HashMap<SetKey, u32, RandomState>,
    /// Candidates for a group: by the name of its namespace, by a label that its pods
    /// must have, by a label that its namespace must have, and all others.
    by_namespace: HashMap<String, Vec<u32>, RandomState>,
    by_label: HashMap<(String, String), Vec<u32>, RandomState>,
    by_namespace_label: HashMap<(String, String), Vec<u32>, RandomState>,
    others: Vec<u32>,
    of_nodes: Vec<u32>,
}

impl Default for Sets {
    fn default() -> Sets {
        Sets {
            namespaces: Vec::new(),
            groups: vec![GroupKey::Outside],
            group_ids: HashMap::from_iter([(GroupKey::Outside, OUTSIDE)]),
            members: vec![Membership::default()],
            sets: Vec::new(),
            set_ids: HashMap::default(),
            by_namespace: HashMap::default(),
            by_label: HashMap::default(),
            by_namespace_label: HashMap::default(),
            others: Vec::new(),
            of_nodes: Vec::new(),
        }
    }
}

impl Sets {
    /// A namespace in the state that it has now.
    pub(crate) fn add_namespace(&mut self, namespace: Namespace) -> u32 {
        self.namespaces.push(Arc::new(namespace));
        self.namespaces.len() as u32 - 1
    }

    /// How many groups there are.
    pub(crate) fn group_count(&self) -> u32 {
        self.groups.len() as u32
    }

    pub(crate) fn group(&self, group: u32) -> &GroupKey {
        &self.groups[group as usize]
    }

    pub(crate) fn members(&self, group: u32) -> &Membership {
        &self.members[group as usize]
    }

    pub(crate) fn set(&self, set: u32) -> &Set {
        &self.sets[set as usize]
    }

    pub(crate) fn set_mut(&mut self, set: u32) -> &mut Set {
        &mut self.sets[set as usize]
    }

    /// The number of a group, and whether it is new.
    pub(crate) fn intern_group(&mut self, key: GroupKey) -> (u32, bool) {
        if let Some(group) = self.group_ids.get(&key) {
            return (*group, false);
        }
        let group = self.groups.len() as u32;
        let membership = self.membership(&key);
        for set in &membership.sets {
            self.sets[*set as usize].groups.push(group);
        }
        for set in &membership.hosts {
            self.sets[*set as usize].hosts.push(group);
        }
        self.members.push(membership);
        self.groups.push(key.clone());
        self.group_ids.insert(key, group);
        (group, true)
    }

    /// The number of a set; a new one gets its groups.
    pub(crate) fn intern_set(&mut self, key: &SetKey) -> u32 {
        if let Some(set) = self.set_ids.get(key) {
            return *set;
        }
        let id = self.sets.len() as u32;
        let mut set = Set {
            key: key.clone(),
            groups: Vec::new(),
            hosts: Vec::new(),
            peers: [Vec::new(), Vec::new()],
            subjects: Vec::new(),
        };
        for group in 0..self.groups.len() {
            if self.is_member(key, &self.groups[group]) {
                set.groups.push(group as u32);
                self.members[group].sets.push(id);
            }
            if self.is_host_member(key, &self.groups[group]) {
                set.hosts.push(group as u32);
                self.members[group].hosts.push(id);
            }
        }
        self.index(id, key);
        self.sets.push(set);
        self.set_ids.insert(key.clone(), id);
        id
    }

    fn index(&mut self, id: u32, key: &SetKey) {
        let labels = |selector: &Selector| {
            let (key, values) = selector.indexed()?;
            Some(
                values
                    .iter()
                    .map(|value| (key.to_owned(), value.clone()))
                    .collect::<Vec<_>>(),
            )
        };
        let (namespaces, pods) = match key {
            SetKey::Nodes(_) => return self.of_nodes.push(id),
            SetKey::Pods { namespaces, pods } => (namespaces, pods),
        };
        let namespace = match namespaces {
            NamespaceCondition::Named(name) => {
                return self.by_namespace.entry(name.clone()).or_default().push(id);
            }
            NamespaceCondition::Matching(selector) => selector,
        };
        if let Some(labels) = pods.as_ref().and_then(labels) {
            labels
                .into_iter()
                .for_each(|label| self.by_label.entry(label).or_default().push(id));
        } else if let Some(labels) = labels(namespace) {
            labels
                .into_iter()
                .for_each(|label| self.by_namespace_label.entry(label).or_default().push(id));
        } else {
            self.others.push(id);
        }
    }

    fn membership(&self, key: &GroupKey) -> Membership {
        let mut membership = Membership::default();
        match key {
            GroupKey::Outside => {}
            GroupKey::Pod {
                namespace, labels, ..
            } => {
                let namespace = &self.namespaces[*namespace as usize];
                membership.sets = self.candidates(namespace, labels);
                membership
                    .sets
                    .retain(|set| self.is_member(&self.sets[*set as usize].key, key));
            }
            GroupKey::Node { .. } => {
                membership.sets = self.of_nodes.clone();
                membership
                    .sets
                    .retain(|set| self.is_member(&self.sets[*set as usize].key, key));
                let all = 0..self.sets.len() as u32;
                membership.hosts = all
                    .filter(|set| self.is_host_member(&self.sets[*set as usize].key, key))
                    .collect();
            }
        }
        membership.sets.sort_unstable();
        membership.sets.dedup();
        membership
    }

    fn candidates(&self, namespace: &Namespace, labels: &Labels) -> Vec<u32> {
        let mut candidates = self.others.clone();
        candidates.extend(self.by_namespace.get(&namespace.name).into_iter().flatten());
        for (index, labels) in [
            (&self.by_label, labels),
            (&self.by_namespace_label, &namespace.labels),
        ] {
            for (key, value) in labels {
                candidates.extend(index.get(&(key.clone(), value.clone())).into_iter().flatten());
            }
        }
        candidates
    }

    fn is_member(&self, set: &SetKey, group: &GroupKey) -> bool {
        match (set, group) {
            (
                SetKey::Pods { namespaces, .. },
                GroupKey::Pod {
                    namespace, labels, ..
                },
            ) => namespaces.holds(&self.namespaces[*namespace as usize]) && set.pods_match(labels),
            (
                SetKey::Nodes(selector),
                GroupKey::Node {
                    labels,
                    management: false,
                    ..
                },
            ) => selector.matches(labels),
            _ => false,
        }
    }

    /// By its port a node is in a set of whole namespaces, by its addresses in one that
    /// selects pods.
    fn is_host_member(&self, set: &SetKey, group: &GroupKey) -> bool {
        let (
            SetKey::Pods { namespaces, pods },
            GroupKey::Node {
                management, hosts, ..
            },
        ) = (set, group)
        else {
            return false;
        };
        match (management, pods) {
            (true, None) => hosts
                .iter()
                .any(|namespace| namespaces.holds(&self.namespaces[*namespace as usize])),
            (false, Some(_)) => hosts
                .iter()
                .any(|pod| self.is_member(set, &self.groups[*pod as usize])),
            _ => false,
        }
    }
}

/// Whether a namespace stands for the host network.
pub(crate) fn stands_for_host_network(namespace: &Namespace) -> bool {
    HOST_NETWORK_NAMESPACES.contains(&namespace.name.as_str())
        || namespace.labels.contains_key(HOST_NETWORK_LABEL)
}
