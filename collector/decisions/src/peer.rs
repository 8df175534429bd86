//! Who is meant by a word: a pod, the pods of a workload, a node, an address.

use std::net::IpAddr;
use std::str::FromStr;

use weir_policy::edges::WorkloadKey;
use weir_policy::parse::Objects;
use weir_policy::{Endpoint, Engine};

use crate::{DecisionError, Namespaces};

/// Kinds of workloads as kubectl takes them.
const KINDS: [(&str, &[&str]); 8] = [
    ("Deployment", &["deployment", "deployments", "deploy"]),
    ("StatefulSet", &["statefulset", "statefulsets", "sts"]),
    ("DaemonSet", &["daemonset", "daemonsets", "ds"]),
    ("ReplicaSet", &["replicaset", "replicasets", "rs"]),
    ("Job", &["job", "jobs"]),
    ("CronJob", &["cronjob", "cronjobs", "cj"]),
    ("Rollout", &["rollout", "rollouts", "ro"]),
    ("Pod", &["pod", "pods", "po"]),
];

/// Who is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Whoever has that address.
    Address(IpAddr),
    /// A node.
    Node(String),
    /// One pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// All pods of a workload.
    Workload(WorkloadKey),
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(expected(text));
        }
        match parts[..] {
            ["node" | "nodes" | "no", name] => Ok(Self::Node(name.to_owned())),
            [namespace, name] => Ok(Self::pod(namespace, name)),
            [namespace, kind, name] => Self::of_kind(namespace, kind, name),
            _ => Err(expected(text)),
        }
    }
}

fn expected(text: &str) -> String {
    format!("{text:?} is none of namespace/pod, namespace/kind/name, node/name, address")
}

impl Peer {
    fn pod(namespace: &str, name: &str) -> Self {
        Self::Pod {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    fn of_kind(namespace: &str, kind: &str, name: &str) -> Result<Self, String> {
        let word = kind.to_ascii_lowercase();
        let known = KINDS.iter().find(|(_, words)| words.contains(&word.as_str()));
        let Some((kind, _)) = known else {
            let words: Vec<&str> = KINDS
                .iter()
                .filter_map(|(_, words)| words.last().copied())
                .collect();
            return Err(format!(
                "{kind:?} is no kind of workload; known are {}",
                words.join(", ")
            ));
        };
        Ok(match *kind {
            "Pod" => Self::pod(namespace, name),
            kind => Self::Workload(WorkloadKey {
                namespace: namespace.to_owned(),
                kind: kind.to_owned(),
                name: name.to_owned(),
            }),
        })
    }

    /// The namespace that the word names.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Address(_) | Self::Node(_) => None,
            Self::Pod { namespace, .. } => Some(namespace),
            Self::Workload(key) => Some(&key.namespace),
        }
    }

    /// Everybody who is meant, each by one address: its name, the address, what the engine
    /// makes of it. Who has an address in a namespace that may not be told has no name.
    ///
    /// # Errors
    /// There is nobody of that name, or nobody who has an address.
    pub fn resolve(
        &self,
        objects: &Objects,
        engine: &Engine,
        told: &Namespaces,
    ) -> Result<Vec<Resolved>, DecisionError> {
        let found = match self {
            Self::Address(address) => return Ok(Self::holders(*address, objects, engine, told)),
            Self::Node(name) => {
                let Some(node) = objects.cluster.nodes.iter().find(|node| node.name == *name) else {
                    return Err(DecisionError::NoNode(name.clone()));
                };
                let addresses = node.addresses.iter().chain(&node.management);
                let resolved = |address: &IpAddr| Resolved {
                    name: format!("node/{name}"),
                    namespace: None,
                    address: *address,
                    endpoint: engine.node(name, *address),
                };
                addresses.map(resolved).collect()
            }
            Self::Pod { namespace, name } => {
                let pods = pods(objects, namespace, |pod| pod == name);
                if pods.is_empty() {
                    return Err(DecisionError::NoPod(namespace.clone(), name.clone()));
                }
                of_pods(&pods, engine)
            }
            Self::Workload(key) => {
                let is_its = |pod: &str| objects.workload(&key.namespace, pod) == Some(key);
                let pods = pods(objects, &key.namespace, is_its);
                if pods.is_empty() {
                    return Err(DecisionError::NoPodOf(key.clone()));
                }
                of_pods(&pods, engine)
            }
        };
        if found.is_empty() {
            return Err(DecisionError::NoAddress(self.to_string()));
        }
        Ok(found)
    }

    /// Of one address there may be several: a node and its pods on the host network are one.
    fn holders(address: IpAddr, objects: &Objects, engine: &Engine, told: &Namespaces) -> Vec<Resolved> {
        let holders = engine.holders(address);
        if holders.is_empty() {
            let snapshot = engine.snapshot();
            return vec![Resolved {
                name: address.to_string(),
                namespace: None,
                address,
                endpoint: match objects.is_service(address) {
                    true => snapshot.service(address),
                    false => snapshot.outside(address),
                },
            }];
        }
        let resolved = |endpoint: Endpoint| {
            let has_it =
                |pod: &&weir_policy::Pod| engine.pod(&pod.namespace, &pod.name, address) == Some(endpoint);
            let pod = objects.cluster.pods.iter().find(has_it);
            let pod = pod.filter(|pod| told.has(&pod.namespace));
            Resolved {
                name: pod.map_or_else(
                    || address.to_string(),
                    |pod| format!("{}/{}", pod.namespace, pod.name),
                ),
                namespace: pod.map(|pod| pod.namespace.clone()),
                address,
                endpoint,
            }
        };
        holders.into_iter().map(resolved).collect()
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Node(name) => write!(f, "node/{name}"),
            Self::Pod { namespace, name } => write!(f, "{namespace}/{name}"),
            Self::Workload(key) => write!(f, "{key}"),
        }
    }
}

/// One end by one of its addresses.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// As it is shown.
    pub name: String,
    /// That of the pod, where it may be told.
    pub namespace: Option<String>,
    /// By which address.
    pub address: IpAddr,
    /// What the engine makes of it.
    pub endpoint: Endpoint,
}

fn pods<'o>(
    objects: &'o Objects,
    namespace: &str,
    is_meant: impl Fn(&str) -> bool,
) -> Vec<&'o weir_policy::Pod> {
    let pods = objects.cluster.pods.iter();
    pods.filter(|pod| pod.namespace == namespace && is_meant(&pod.name))
        .collect()
}

fn of_pods(pods: &[&weir_policy::Pod], engine: &Engine) -> Vec<Resolved> {
    let each = pods
        .iter()
        .flat_map(|pod| pod.addresses.iter().map(move |address| (pod, *address)));
    let resolved = each.filter_map(|(pod, address)| {
        Some(Resolved {
            name: format!("{}/{}", pod.namespace, pod.name),
            namespace: Some(pod.namespace.clone()),
            address,
            endpoint: engine.pod(&pod.namespace, &pod.name, address)?,
        })
    });
    resolved.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_written_as_kubectl_and_people_write_it() {
        let shown = |text: &str| text.parse::<Peer>().map(|peer| peer.to_string());
        assert_eq!(shown("shop/web-1").as_deref(), Ok("shop/web-1"));
        assert_eq!(shown("shop/po/web-1").as_deref(), Ok("shop/web-1"));
        assert_eq!(shown("shop/Deploy/web").as_deref(), Ok("shop/deployment/web"));
        assert_eq!(shown("node/n1").as_deref(), Ok("node/n1"));
        assert_eq!(shown("fd00::1").as_deref(), Ok("fd00::1"));
        assert!(shown("web").unwrap_err().contains("namespace/pod"));
        assert!(shown("shop//web").unwrap_err().contains("namespace/pod"));
        assert!(
            shown("shop/svc/web")
                .unwrap_err()
                .contains("known are deploy, sts")
        );
    }
}
