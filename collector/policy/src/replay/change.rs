//! What is to be changed about a cluster: policies added, replaced and deleted, and labels.

use crate::edges::WorkloadKey;
use crate::engine::Cluster;
use crate::inventory::Inventory;
use crate::policy::{Policy, PolicyKey};
use crate::selector::Labels;

/// A change that nobody has made yet.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Policies that are added, or replace the one with their key; of several with one key
    /// the last counts.
    pub policies: Vec<Policy>,
    /// Policies that are deleted, before others are added.
    pub deleted: Vec<PolicyKey>,
    /// Labels that are set or removed, in this order.
    pub labels: Vec<LabelChange>,
}

/// A label that is set or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelChange {
    /// Whose.
    pub target: LabelTarget,
    /// Its key.
    pub key: String,
    /// Its new value; `None` removes it.
    pub value: Option<String>,
}

/// Whose label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelTarget {
    /// A namespace's.
    Namespace(String),
    /// A pod's, by namespace and name.
    Pod(String, String),
    /// That of a workload's template, and of all pods that it has.
    Workload(WorkloadKey),
}

impl LabelChange {
    fn apply(&self, labels: &mut Labels) {
        match &self.value {
            Some(value) => labels.insert(self.key.clone(), value.clone()),
            None => labels.remove(&self.key),
        };
    }
}

impl Change {
    /// Makes the change.
    pub fn apply(&self, cluster: &mut Cluster, inventory: &mut Inventory) {
        cluster
            .policies
            .retain(|policy| !self.deleted.contains(&policy.key()));
        for policy in &self.policies {
            let key = policy.key();
            cluster.policies.retain(|other| other.key() != key);
            cluster.policies.push(policy.clone());
        }
        for change in &self.labels {
            match &change.target {
                LabelTarget::Namespace(name) => set_on_namespace(cluster, name, change),
                LabelTarget::Pod(namespace, name) => {
                    let pods = cluster.pods.iter_mut();
                    pods.filter(|pod| pod.namespace == *namespace && pod.name == *name)
                        .for_each(|pod| change.apply(&mut pod.labels));
                }
                LabelTarget::Workload(key) => set_on_workload(cluster, inventory, key, change),
            }
        }
    }
}

fn set_on_namespace(cluster: &mut Cluster, name: &str, change: &LabelChange) {
    if !cluster.namespaces.iter().any(|namespace| namespace.name == name) {
        cluster
            .namespaces
            .push(crate::Namespace::new(name, Labels::new()));
    }
    for namespace in cluster
        .namespaces
        .iter_mut()
        .filter(|namespace| namespace.name == name)
    {
        change.apply(&mut namespace.labels);
    }
}

fn set_on_workload(
    cluster: &mut Cluster,
    inventory: &mut Inventory,
    key: &WorkloadKey,
    change: &LabelChange,
) {
    for workload in inventory
        .workloads
        .iter_mut()
        .filter(|workload| workload.key == *key)
    {
        change.apply(&mut workload.template);
        let pods = cluster.pods.iter_mut();
        pods.filter(|pod| pod.namespace == key.namespace && workload.pods.contains(&pod.name))
            .for_each(|pod| change.apply(&mut pod.labels));
    }
}
