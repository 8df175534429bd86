//! The objects of a cluster, of whatever kind, gathered into what verdicts need: pods,
//! namespaces, nodes, policies, and who owns which pod. What replay and generation need
//! besides is in [`inventory`].

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::{Problem, foreign, items, stored};
use crate::edges::WorkloadKey;
use crate::engine::Cluster;
use crate::facts::{NamedPort, Namespace, Node, PROTOCOLS, Pod, Protocol};
use crate::generate::{MANAGED_BY, SPEC_ANNOTATION};
use crate::policy::PolicyKey;
use crate::profile::Cni;
use crate::selector::Labels;

mod inventory;

/// The label by which a Deployment tells its ReplicaSets apart.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Subnets of the pods on a node; the second address of each is the node's management
/// port (ovn-kubernetes, `GetNodeManagementIfAddr`).
const OVN_SUBNETS: &str = "k8s.ovn.org/node-subnets";
/// The address of the node's port among the pods (Kube-OVN, `ovn0`), one of each family.
const KUBE_OVN_ADDRESS: &str = "ovn.kubernetes.io/ip_address";
/// Antrea is on the node, whose port among the pods has the first address of its podCIDRs
/// (`antrea-gw0`).
const ANTREA_MAC: &str = "node.antrea.io/mac-address";
/// What begins the annotations that a CNI puts on its nodes.
const CNI_ANNOTATIONS: [(&str, Cni); 3] = [
    ("k8s.ovn.org/", Cni::OvnKubernetes),
    ("ovn.kubernetes.io/", Cni::KubeOvn),
    ("node.antrea.io/", Cni::Antrea),
];

/// All that was read.
#[derive(Debug, Default)]
pub struct Objects {
    /// What verdicts are made of.
    pub cluster: Cluster,
    /// What could not be understood. Such a policy is there and fails closed.
    pub problems: Vec<Problem>,
    /// How many objects of other kinds there were.
    pub skipped: BTreeMap<String, usize>,
    /// The CNI that left its annotations on a node.
    pub cni: Option<Cni>,
    /// The policies that are Weir's own, with what [`SPEC_ANNOTATION`] says of each.
    pub managed: BTreeMap<PolicyKey, String>,
    /// When each policy was made, as the API server writes it (RFC 3339), where it says so.
    pub created: BTreeMap<PolicyKey, String>,
    /// By namespace and name of a pod: who controls it.
    controllers: BTreeMap<(String, String), WorkloadKey>,
    /// Who controls whom: a ReplicaSet's Deployment, a Job's CronJob.
    owners: BTreeMap<WorkloadKey, WorkloadKey>,
    seen: inventory::Seen,
}

impl Objects {
    /// Takes an object as an API server has it, or the items of a list of them.
    pub fn add(&mut self, value: &Value) {
        items(value).iter().for_each(|item| self.add_one(item));
    }

    /// Takes all objects of a text, documents of YAML or JSON.
    ///
    /// # Errors
    /// It is neither; the message names line and column.
    pub fn add_text(&mut self, text: &str) -> Result<(), super::ParseError> {
        super::documents(text)?.iter().for_each(|value| self.add(value));
        Ok(())
    }

    /// Whether it is the address of a Service, which policies never see.
    pub fn is_service(&self, address: IpAddr) -> bool {
        self.seen.is_service(address)
    }

    /// The addresses of all Services.
    pub fn service_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.seen.service_addresses()
    }

    /// The workload of a pod, as far up as is known: the Deployment of its ReplicaSet.
    pub fn workload(&self, namespace: &str, pod: &str) -> Option<&WorkloadKey> {
        let controller = self.controllers.get(&(namespace.to_owned(), pod.to_owned()))?;
        Some(self.owners.get(controller).unwrap_or(controller))
    }

    fn add_one(&mut self, object: &Value) {
        let kind = text(object, "/kind");
        let is_more = self.seen.add(object);
        match (text(object, "/apiVersion"), kind) {
            ("v1", "Pod") => self.add_pod(object),
            ("v1", "Namespace") => {
                let namespace = Namespace::new(text(object, "/metadata/name"), labels(object));
                self.cluster.namespaces.push(namespace);
            }
            ("v1", "Node") => self.add_node(object),
            ("apps/v1", "ReplicaSet") | ("batch/v1", "Job") => self.add_owner(object, kind),
            _ if is_more => {}
            _ => self.add_policy(object, kind),
        }
    }

    fn add_policy(&mut self, object: &Value, kind: &str) {
        let (policy, problems) = stored(object);
        let name = named(object);
        let told = problems.into_iter().map(|problem| Problem {
            place: format!("{kind} {name}: {}", problem.place),
            ..problem
        });
        self.problems.extend(told);
        let created = text(object, "/metadata/creationTimestamp");
        if let Some(policy) = policy.as_ref().filter(|_| !created.is_empty()) {
            self.created.insert(policy.key(), created.to_owned());
        }
        if let Some(policy) = &policy
            && object
                .pointer("/metadata/labels")
                .and_then(|labels| labels.get(MANAGED_BY.0))
                == Some(&MANAGED_BY.1.into())
        {
            let annotation = object
                .pointer("/metadata/annotations")
                .and_then(|all| all.get(SPEC_ANNOTATION));
            let hash = annotation.and_then(Value::as_str).unwrap_or_default();
            self.managed.insert(policy.key(), hash.to_owned());
        }
        let foreign = foreign::policies(object);
        if policy.is_none() && foreign.is_empty() {
            *self.skipped.entry(kind.to_owned()).or_default() += 1;
        }
        self.cluster.policies.extend(policy);
        self.cluster.policies.extend(foreign);
    }

    fn add_pod(&mut self, object: &Value) {
        let pod = pod(object);
        if let Some(controller) = controller(object) {
            let key = (pod.namespace.clone(), pod.name.clone());
            // A ReplicaSet of a Deployment has its name and the hash of the template.
            let hash = pod.labels.get(TEMPLATE_HASH);
            let deployment = hash.and_then(|hash| controller.name.strip_suffix(&format!("-{hash}")));
            if let (Some(name), "ReplicaSet") = (deployment, controller.kind.as_str()) {
                let above = WorkloadKey {
                    namespace: pod.namespace.clone(),
                    kind: "Deployment".to_owned(),
                    name: name.to_owned(),
                };
                self.owners.entry(controller.clone()).or_insert(above);
            }
            self.controllers.insert(key, controller);
        }
        self.cluster.pods.push(pod);
    }

    /// What an object says of itself counts more than what its name looks like.
    fn add_owner(&mut self, object: &Value, kind: &str) {
        let own = workload_key(object, kind);
        self.owners.insert(own.clone(), controller(object).unwrap_or(own));
    }

    fn add_node(&mut self, object: &Value) {
        let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
        let keys = annotations.into_iter().flat_map(|all| all.keys());
        let cni = keys.filter_map(|key| {
            let is_its = |(prefix, _): &&(&str, Cni)| key.starts_with(prefix);
            CNI_ANNOTATIONS.iter().find(is_its).map(|(_, cni)| *cni)
        });
        self.cni = self
            .cni
            .or_else(|| cni.max_by_key(|cni| *cni == Cni::OvnKubernetes));
        let annotation = |key: &str| annotations.and_then(|all| all.get(key)).and_then(Value::as_str);
        let mut management: Vec<IpAddr> = annotation(OVN_SUBNETS).map(management).unwrap_or_default();
        let kube_ovn = annotation(KUBE_OVN_ADDRESS).unwrap_or_default().split(',');
        management.extend(kube_ovn.filter_map(|address| address.trim().parse::<IpAddr>().ok()));
        if annotation(ANTREA_MAC).is_some() {
            let subnets = list(object, "/spec/podCIDRs").filter_map(|subnet| subnet.as_str()?.parse().ok());
            management.extend(subnets.filter_map(|subnet: ipnet::IpNet| nth_host(subnet, 1)));
        }
        let addresses = list(object, "/status/addresses");
        self.cluster.nodes.push(Node {
            name: text(object, "/metadata/name").to_owned(),
            labels: labels(object),
            addresses: addresses.filter_map(|entry| address(entry, "/address")).collect(),
            management,
        });
    }
}

/// A pod as policies see it.
fn pod(object: &Value) -> Pod {
    let mut addresses: Vec<IpAddr> = list(object, "/status/podIPs")
        .filter_map(|entry| address(entry, "/ip"))
        .collect();
    if addresses.is_empty() {
        addresses.extend(address(object, "/status/podIP"));
    }
    Pod {
        namespace: text(object, "/metadata/namespace").to_owned(),
        name: text(object, "/metadata/name").to_owned(),
        labels: labels(object),
        addresses,
        ports: named_ports(object),
        host_network: object.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true),
        node: text(object, "/spec/nodeName").to_owned(),
        finished: matches!(text(object, "/status/phase"), "Succeeded" | "Failed"),
    }
}

/// The named ports of the containers of a pod, or of a pod's template.
fn named_ports(pod: &Value) -> Vec<NamedPort> {
    let containers = ["/spec/containers", "/spec/initContainers"];
    let containers = containers.iter().flat_map(|place| list(pod, place));
    let ports = containers.flat_map(|container| list(container, "/ports"));
    ports.filter_map(named_port).collect()
}

fn named_port(port: &Value) -> Option<NamedPort> {
    let number = port.pointer("/containerPort").and_then(Value::as_u64)?;
    Some(NamedPort {
        name: Some(text(port, "/name"))
            .filter(|name| !name.is_empty())?
            .to_owned(),
        protocol: protocol(port)?,
        number: u16::try_from(number).ok()?,
    })
}

/// TCP where nothing is said.
fn protocol(port: &Value) -> Option<Protocol> {
    let word = match text(port, "/protocol") {
        "" => Protocol::Tcp.name(),
        word => word,
    };
    PROTOCOLS.into_iter().find(|protocol| protocol.name() == word)
}

/// Which workload an object is.
fn workload_key(object: &Value, kind: &str) -> WorkloadKey {
    WorkloadKey {
        namespace: text(object, "/metadata/namespace").to_owned(),
        kind: kind.to_owned(),
        name: text(object, "/metadata/name").to_owned(),
    }
}

/// The owner that controls it.
fn controller(object: &Value) -> Option<WorkloadKey> {
    let mut owners = list(object, "/metadata/ownerReferences");
    let owner = owners.find(|owner| owner.pointer("/controller").and_then(Value::as_bool) == Some(true))?;
    Some(WorkloadKey {
        namespace: text(object, "/metadata/namespace").to_owned(),
        kind: text(owner, "/kind").to_owned(),
        name: text(owner, "/name").to_owned(),
    })
}

/// The management port's addresses out of `{"default": "10.244.1.0/24"}`, or a list there.
fn management(subnets: &str) -> Vec<IpAddr> {
    ovn_subnets(subnets)
        .into_iter()
        .filter_map(|subnet| nth_host(subnet, 2))
        .collect()
}

/// The n-th address of a network, its own being the 0th.
fn nth_host(network: ipnet::IpNet, n: usize) -> Option<IpAddr> {
    match network {
        // Of IPv4 the network's own is no host.
        ipnet::IpNet::V4(network) => network.hosts().nth(n.checked_sub(1)?).map(IpAddr::V4),
        ipnet::IpNet::V6(network) => network.hosts().nth(n).map(IpAddr::V6),
    }
}

fn ovn_subnets(subnets: &str) -> Vec<ipnet::IpNet> {
    let subnets: Value = serde_json::from_str(subnets).unwrap_or_default();
    let default = subnets.get("default").unwrap_or(&Value::Null);
    let all = default
        .as_array()
        .map_or(std::slice::from_ref(default), Vec::as_slice);
    all.iter()
        .filter_map(|network| network.as_str()?.parse().ok())
        .collect()
}

/// `ns/name`, or the name alone.
fn named(object: &Value) -> String {
    let (namespace, name) = (
        text(object, "/metadata/namespace"),
        text(object, "/metadata/name"),
    );
    match namespace.is_empty() {
        true => name.to_owned(),
        false => format!("{namespace}/{name}"),
    }
}

/// A text at that place; empty if there is none.
pub(super) fn text<'v>(value: &'v Value, place: &str) -> &'v str {
    value.pointer(place).and_then(Value::as_str).unwrap_or_default()
}

fn address(value: &Value, place: &str) -> Option<IpAddr> {
    text(value, place).parse().ok()
}

/// The items of the list at that place; none if there is no list.
pub(super) fn list<'v>(value: &'v Value, place: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value
        .pointer(place)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn labels(object: &Value) -> Labels {
    labels_at(object, "/metadata/labels")
}

/// The labels at that place; what is no text is left out.
fn labels_at(object: &Value, place: &str) -> Labels {
    let labels = object.pointer(place).and_then(Value::as_object);
    let pairs = labels.into_iter().flatten();
    pairs
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests;
