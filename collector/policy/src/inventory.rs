//! What replay and generation need to know of a cluster besides what verdicts need:
//! workloads, Services with their endpoints, and the networks that users gave names.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::edges::WorkloadKey;
use crate::facts::{NamedPort, Protocol};
use crate::selector::Labels;

/// A workload: what makes pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Which one.
    pub key: WorkloadKey,
    /// `spec.selector.matchLabels`; empty for Jobs, CronJobs and whatever has none.
    pub selector: Labels,
    /// `spec.template.metadata.labels`.
    pub template: Labels,
    /// The named ports of the template's containers.
    pub ports: Vec<NamedPort>,
    /// The names of the pods that it has now, finished ones too.
    pub pods: BTreeSet<String>,
}

/// Whom a Service's port leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Backend {
    /// `endpoints[].targetRef` where it is a pod: namespace and name.
    pub pod: Option<(String, String)>,
    /// `endpoints[].addresses[]`.
    pub address: IpAddr,
    /// `ports[].port` of the EndpointSlice: the pod's port.
    pub port: u16,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// `spec.ports[].protocol`.
    pub protocol: Protocol,
    /// `spec.ports[].port`.
    pub port: u16,
    /// The ready endpoints, of all EndpointSlices.
    pub backends: Vec<Backend>,
}

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
}

/// A network that the user gave a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetLabel {
    /// Its name.
    pub name: String,
    /// All that is called so.
    pub networks: Vec<IpNet>,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// Workloads.
    pub workloads: Vec<Workload>,
    /// Services.
    pub services: Vec<Service>,
    /// Networks with names.
    pub subnets: Vec<SubnetLabel>,
    /// Networks of the cluster itself: pods, Services, nodes.
    pub cluster_networks: Vec<IpNet>,
}

impl Inventory {
    pub(crate) fn service(&self, namespace: &str, name: &str) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.namespace == namespace && service.name == name)
    }

    /// Whom a Service's port leads to; nobody where it has no such port.
    pub(crate) fn backends(&self, namespace: &str, name: &str, protocol: u8, port: u16) -> &[Backend] {
        let ports = self
            .service(namespace, name)
            .map_or(&[][..], |service| &service.ports);
        ports
            .iter()
            .find(|known| known.protocol.number() == protocol && known.port == port)
            .map_or(&[], |known| &known.backends)
    }
}

/// Labels that controllers put on pods: they change with every version or pod, so that
/// nothing that lasts may rest on them.
const GENERATED: [&str; 9] = [
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "controller-uid",
    "job-name",
    "rollouts-pod-template-hash",
    "job-completion-index",
];
/// The same, by what stands before the slash.
const GENERATED_PREFIXES: [&str; 2] = ["batch.kubernetes.io/", "topology.kubernetes.io/"];

/// Whether a label is made by a controller, or has a UID as its value.
pub fn is_generated(key: &str, value: &str) -> bool {
    GENERATED.contains(&key)
        || GENERATED_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
        || is_uid(value)
}

/// Labels without those that are generated.
pub fn stable_labels(labels: &Labels) -> Labels {
    labels
        .iter()
        .filter(|(key, value)| !is_generated(key, value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Eight, four, four, four and twelve hexadecimal digits (RFC 9562).
fn is_uid(value: &str) -> bool {
    let lengths = value.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && value.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
