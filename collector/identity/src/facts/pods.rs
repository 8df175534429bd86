//! Pods, cut down: which addresses are their own, in which networks, and when.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use serde::Deserialize;
use weir_api::interface::PRIMARY;

use super::{Fact, Owner, PodFact, nanoseconds, parse};

/// What Multus writes: a JSON list with an entry an interface.
const NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/network-status";
/// What OVN-Kubernetes writes: a JSON object with an entry a network; the one of
/// the cluster is `default`.
const POD_NETWORKS: &str = "k8s.ovn.org/pod-networks";
const SECOND: u64 = 1_000_000_000;

#[derive(Deserialize)]
struct Attachment {
    #[serde(default)]
    name: String,
    #[serde(default)]
    ips: Vec<String>,
    #[serde(default)]
    default: bool,
}

#[derive(Deserialize)]
struct OvnNetwork {
    #[serde(default)]
    ip_addresses: Vec<String>,
}

/// A pod on the host network has no address of its own: its node has it.
pub fn pod(pod: &Pod) -> Fact {
    let spec = pod.spec.as_ref();
    let status = pod.status.as_ref();
    let on_host = spec.and_then(|s| s.host_network).unwrap_or(false);
    let created = nanoseconds(pod.metadata.creation_timestamp.as_ref());
    let started = status.map_or(0, |s| nanoseconds(s.start_time.as_ref()));
    Fact::Pod(PodFact {
        addresses: if on_host { Vec::new() } else { addresses(pod) },
        node: spec.and_then(|s| s.node_name.as_deref()).unwrap_or("").into(),
        owner: Owner::of(&pod.metadata),
        created,
        started: started.max(created),
        ended: status.and_then(ended),
        leaving: pod.metadata.deletion_timestamp.is_some(),
    })
}

/// When the last container ended, to the end of the second that Kubernetes names.
fn ended(status: &PodStatus) -> Option<u64> {
    if !matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let containers = status.container_statuses.iter().flatten();
    let ends = containers.filter_map(|c| c.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref());
    let last = ends.map(|time| nanoseconds(Some(time))).max();
    Some(last.map_or(0, |last| last + SECOND))
}

fn addresses(pod: &Pod) -> Vec<(IpAddr, Arc<str>)> {
    let status = pod.status.as_ref();
    let first = status.and_then(|s| s.pod_ip.as_deref());
    let listed = status.and_then(|s| s.pod_ips.as_ref()).into_iter().flatten();
    let primary: Arc<str> = PRIMARY.into();
    let own = parse(first.into_iter().chain(listed.map(|ip| ip.ip.as_str())));
    let mut addresses: Vec<_> = own.into_iter().map(|a| (a, Arc::clone(&primary))).collect();
    for (address, network) in attached(pod) {
        if addresses.iter().all(|(known, _)| *known != address) {
            addresses.push((address, network));
        }
    }
    addresses
}

/// Addresses in other networks, by either annotation; what cannot be read says nothing.
fn attached(pod: &Pod) -> Vec<(IpAddr, Arc<str>)> {
    let annotation = |name: &str| pod.metadata.annotations.as_ref()?.get(name);
    let mut found = Vec::new();
    let mut add = |network: &str, ips: &[String]| {
        let network: Arc<str> = network.into();
        let plain = ips.iter().map(|ip| ip.split('/').next().unwrap_or(ip));
        found.extend(plain.filter_map(|ip| Some((ip.parse().ok()?, Arc::clone(&network)))));
    };
    let multus =
        annotation(NETWORK_STATUS).and_then(|text| serde_json::from_str::<Vec<Attachment>>(text).ok());
    for attachment in multus.iter().flatten().filter(|a| !a.default) {
        add(&attachment.name, &attachment.ips);
    }
    let ovn = annotation(POD_NETWORKS)
        .and_then(|text| serde_json::from_str::<std::collections::BTreeMap<String, OvnNetwork>>(text).ok());
    for (network, entry) in ovn.iter().flatten().filter(|(name, _)| *name != "default") {
        add(network, &entry.ip_addresses);
    }
    found
}
