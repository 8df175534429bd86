//! Pods of edges that are gone: what they were is told by their own object if it is still
//! there (finished pods), else by other pods of their workload, else by its template.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use crate::edges::{EdgeEnd, EdgeSet, PodEnd, WorkloadKey};
use crate::engine::Cluster;
use crate::facts::Pod;
use crate::inventory::{Inventory, Workload, stable_labels};

/// Under which name and address the engine knows a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodName {
    pub namespace: String,
    pub name: String,
    pub address: IpAddr,
}

/// The pods that an end may be, and whether these are others of its workload, in the stead of
/// one that is gone.
pub(super) type EndPods = (Vec<PodName>, bool);

/// Stands in the names of pods that were added; no pod of a cluster has it (RFC 1123).
const MARK: char = '~';

/// Whether the engine has it only because edges do.
pub(crate) fn is_added(pod: &Pod) -> bool {
    pod.name.contains(MARK)
}

/// What is known of the cluster, to look things up.
struct Known<'c> {
    pods: HashMap<(&'c str, &'c str), &'c Pod>,
    workloads: HashMap<&'c WorkloadKey, &'c Workload>,
}

/// Whose shape an end takes.
struct Models {
    pods: Vec<Pod>,
    /// The pod itself, as it is now.
    is_itself: bool,
    is_stand_in: bool,
}

/// For each end the pods that it may be, and whether these stand in for it. Pods that the
/// cluster has not got are added to it.
pub(super) fn add(cluster: &mut Cluster, edges: &EdgeSet, inventory: &Inventory) -> Vec<EndPods> {
    let known = Known {
        pods: cluster
            .pods
            .iter()
            .map(|pod| ((pod.namespace.as_str(), pod.name.as_str()), pod))
            .collect(),
        workloads: inventory
            .workloads
            .iter()
            .map(|workload| (&workload.key, workload))
            .collect(),
    };
    let mut added = Vec::new();
    let names = edges
        .ends()
        .iter()
        .map(|end| match end {
            EdgeEnd::Pod(pod) => known
                .running(pod)
                .unwrap_or_else(|| place(pod, known.models(pod), &mut added)),
            _ => (Vec::new(), false),
        })
        .collect();
    cluster.pods.append(&mut added);
    names
}

fn place(end: &PodEnd, models: Models, added: &mut Vec<Pod>) -> EndPods {
    let mut names = Vec::new();
    for (n, model) in models.pods.into_iter().enumerate() {
        let address = match end.address {
            Some(address) => Some(address),
            None => model.addresses.first().copied(),
        };
        let Some(address) = address else {
            continue;
        };
        let is_there = models.is_itself && model.addresses.contains(&address);
        let name = match is_there {
            true => model.name.clone(),
            false => format!("{}{MARK}{}{MARK}{n}{MARK}{address}", end.name, model.name),
        };
        names.push(PodName {
            namespace: model.namespace.clone(),
            name: name.clone(),
            address,
        });
        if !is_there {
            let node = match end.node.is_empty() {
                true => model.node.clone(),
                false => end.node.clone(),
            };
            added.push(Pod {
                name,
                addresses: vec![address],
                node,
                finished: false,
                ..model
            });
        }
    }
    (names, models.is_stand_in)
}

impl Known<'_> {
    /// The pod itself, if it runs and has the address that was seen.
    fn running(&self, end: &PodEnd) -> Option<EndPods> {
        let pod = self.pods.get(&(end.namespace.as_str(), end.name.as_str()))?;
        let address = end.address.or_else(|| pod.addresses.first().copied())?;
        if pod.finished || !pod.addresses.contains(&address) {
            return None;
        }
        let name = PodName {
            namespace: end.namespace.clone(),
            name: end.name.clone(),
            address,
        };
        Some((vec![name], false))
    }

    fn models(&self, end: &PodEnd) -> Models {
        let itself = self.pods.get(&(end.namespace.as_str(), end.name.as_str()));
        if let Some(pod) = itself {
            return Models {
                pods: vec![(*pod).clone()],
                is_itself: !pod.finished,
                is_stand_in: false,
            };
        }
        let workload = end.workload.as_ref().and_then(|key| self.workloads.get(key));
        let Some(workload) = workload else {
            return Models {
                pods: Vec::new(),
                is_itself: false,
                is_stand_in: false,
            };
        };
        let mut pods = self.others_of(workload);
        if pods.is_empty() {
            pods.push(of_template(workload));
        }
        // where the edge names no pod, the workload's pods are all that is meant
        Models {
            pods,
            is_itself: end.name.is_empty() && end.address.is_none(),
            is_stand_in: !end.name.is_empty(),
        }
    }

    /// One pod for each set of labels and ports, those that run before the finished ones.
    fn others_of(&self, workload: &Workload) -> Vec<Pod> {
        let namespace = workload.key.namespace.as_str();
        let names = workload.pods.iter();
        let pods: Vec<&Pod> = names
            .filter_map(|name| self.pods.get(&(namespace, name.as_str())))
            .copied()
            .collect();
        let running: Vec<&Pod> = pods.iter().filter(|pod| !pod.finished).copied().collect();
        let mut shapes = BTreeMap::new();
        for pod in if running.is_empty() { pods } else { running } {
            shapes
                .entry((stable_labels(&pod.labels), pod.ports.clone()))
                .or_insert_with(|| pod.clone());
        }
        shapes.into_values().collect()
    }
}

fn of_template(workload: &Workload) -> Pod {
    Pod {
        namespace: workload.key.namespace.clone(),
        name: workload.key.name.clone(),
        labels: workload.template.clone(),
        addresses: Vec::new(),
        ports: workload.ports.clone(),
        host_network: false,
        node: String::new(),
        finished: true,
    }
}
