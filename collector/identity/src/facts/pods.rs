//! Pods, cut down: which addresses are their own, in which networks, and when.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use weir_api::interface::{PRIMARY, UNPROVEN};

use super::objects::{Pod, PodStatus};
use super::{Fact, Owner, PodFact, nanoseconds, parse};
use crate::mac::{self, Mac};
use crate::reach::is_private;

/// What Multus writes: a JSON list with an entry an interface.
const NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/network-status";
/// What OVN-Kubernetes writes: a JSON object with an entry a network; the one of
/// the cluster is `default`.
const POD_NETWORKS: &str = "k8s.ovn.org/pod-networks";
const SECOND: u64 = 1_000_000_000;

/// Ethernet addresses of one pod.
const MAX_MACS: usize = 64;

#[derive(Deserialize)]
struct Attachment {
    #[serde(default)]
    name: String,
    #[serde(default)]
    ips: Vec<String>,
    #[serde(default)]
    mac: String,
    #[serde(default)]
    default: bool,
}

#[derive(Deserialize)]
struct OvnNetwork {
    #[serde(default)]
    ip_addresses: Vec<String>,
    #[serde(default)]
    mac_address: String,
}

/// A pod on the host network has no address of its own: its node has it.
pub fn pod(pod: &Pod) -> Fact {
    let (spec, status) = (&pod.spec, &pod.status);
    let created = nanoseconds(pod.metadata.creation_timestamp.as_ref());
    let started = nanoseconds(status.start_time.as_ref());
    let (addresses, macs) = if spec.host_network {
        Default::default()
    } else {
        located(pod)
    };
    Fact::Pod(PodFact {
        addresses,
        macs,
        node: spec.node_name.as_str().into(),
        owner: Owner::of(&pod.metadata),
        created,
        started: started.max(created),
        ended: ended(status),
        leaving: pod.metadata.deletion_timestamp.is_some(),
    })
}

/// When the last container ended, to the end of the second that Kubernetes names.
fn ended(status: &PodStatus) -> Option<u64> {
    if !matches!(status.phase.as_str(), "Succeeded" | "Failed") {
        return None;
    }
    let containers = status.container_statuses.iter();
    let ends = containers.filter_map(|c| c.state.terminated.as_ref()?.finished_at.as_ref());
    let last = ends.map(|time| nanoseconds(Some(time))).max();
    Some(last.map_or(0, |last| last + SECOND))
}

/// Something, and the network that it is in.
type InNetwork<T> = (T, Arc<str>);

/// Addresses and Ethernet addresses.
fn located(pod: &Pod) -> (Vec<InNetwork<IpAddr>>, Vec<InNetwork<Mac>>) {
    let status = &pod.status;
    let first = [status.pod_ip.as_str()].into_iter();
    let listed = status.pod_ips.iter();
    let primary: Arc<str> = PRIMARY.into();
    let own = parse(first.chain(listed.map(|ip| ip.ip.as_str())));
    let mut addresses: Vec<_> = own.into_iter().map(|a| (a, Arc::clone(&primary))).collect();
    let mut macs: Vec<InNetwork<Mac>> = Vec::new();
    for (network, ips, mac) in attached(pod) {
        let plain = ips.iter().map(|ip| ip.split('/').next().unwrap_or(ip));
        for address in plain.filter_map(|ip| ip.parse::<IpAddr>().ok()) {
            // Its own network's are those of the status.
            // Whoever makes a pod may write its annotations: they give it no public address.
            let fits = network != primary && is_private(address);
            if fits && addresses.iter().all(|(known, _)| *known != address) {
                addresses.push((address, Arc::clone(&network)));
            }
        }
        let mac = mac::parse(&mac).filter(|mac| macs.iter().all(|(known, _)| known != mac));
        macs.extend(mac.filter(|_| macs.len() < MAX_MACS).map(|mac| (mac, network)));
    }
    (addresses, macs)
}

/// Network, addresses and Ethernet address of each interface, by either annotation; what
/// cannot be read says nothing.
fn attached(pod: &Pod) -> Vec<(Arc<str>, Vec<String>, String)> {
    let annotation = |name: &str| pod.metadata.annotations.as_ref()?.get(name);
    let multus =
        annotation(NETWORK_STATUS).and_then(|text| serde_json::from_str::<Vec<Attachment>>(text).ok());
    let ovn = annotation(POD_NETWORKS)
        .and_then(|text| serde_json::from_str::<std::collections::BTreeMap<String, OvnNetwork>>(text).ok());
    let name = |network: &str, own: bool| Arc::from(if own { PRIMARY } else { network });
    let of_multus = multus
        .into_iter()
        .flatten()
        .map(|a| (name(&a.name, a.default), a.ips, a.mac));
    let of_ovn = ovn.into_iter().flatten().map(|(network, entry)| {
        (
            name(&network, network == "default"),
            entry.ip_addresses,
            entry.mac_address,
        )
    });
    // What is in no network that has a name is in none that anybody could tell.
    of_multus
        .chain(of_ovn)
        .map(|(network, ips, mac)| match &*network {
            "" => (UNPROVEN.into(), ips, mac),
            _ => (network, ips, mac),
        })
        .collect()
}
