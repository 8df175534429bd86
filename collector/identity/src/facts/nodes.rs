//! Nodes, cut down: which addresses are a node's, and as what.
//!
//! | address | from | names the node | speaks for it |
//! |---|---|---|---|
//! | internal, external | `status.addresses` | yes | yes |
//! | its kernel's others | `k8s.ovn.org/host-cidrs` (before: `host-addresses`), `node-primary-ifaddr` | yes | yes |
//! | its port in the pods' network | the second address of `k8s.ovn.org/node-subnets` (`ovn-k8s-mp0`); Kube-OVN's `ovn.kubernetes.io/ip_address` (`ovn0`); the first of `spec.podCIDRs` (`antrea-gw0`) | yes | yes; the last only if Antrea says that it runs there |
//! | its router's | `k8s.ovn.org/node-gateway-router-lrp-ifaddrs` (the join network), `l3-gateway-config` | yes | no: whoever calls a node port comes from there |
//!
//! What speaks for a node is what no pod can have, since the plugin that says so keeps it
//! for the node. Other plugins may give the first address of a node's `podCIDRs` to a pod;
//! that pod goes before the node then. What cannot be read says nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;

use super::objects::Node;
use super::{Fact, NodeFact, nanoseconds, parse};

/// The first is today's name, the second that of before Kubernetes 1.17.
const ZONE_LABELS: [&str; 2] = [
    "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/zone",
];
const REGION_LABELS: [&str; 2] = [
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/region",
];

/// What OVN-Kubernetes' annotations begin with.
const OVN: &str = "k8s.ovn.org/";
/// The key of the network that every pod has, in OVN-Kubernetes' annotations.
const DEFAULT: &str = "default";
/// Kube-OVN: the address of `ovn0`, both families separated by a comma.
const KUBE_OVN_ADDRESS: &str = "ovn.kubernetes.io/ip_address";
/// What Antrea's agent writes on the node that it runs on.
const ANTREA: &str = "node.antrea.io/mac-address";
/// Addresses taken from one annotation.
const MOST: usize = 64;

/// An address of each family, with prefix lengths.
#[derive(Deserialize)]
struct Families {
    #[serde(default)]
    ipv4: String,
    #[serde(default)]
    ipv6: String,
}

#[derive(Deserialize)]
struct Gateway {
    #[serde(default, rename = "ip-addresses")]
    several: Vec<String>,
    #[serde(default, rename = "ip-address")]
    one: String,
}

/// Cuts a Node down.
pub fn node(node: &Node) -> Fact {
    let mut addresses: Vec<_> = node.status.addresses.iter().collect();
    addresses.retain(|a| matches!(a.type_.as_str(), "InternalIP" | "ExternalIP"));
    addresses.sort_by_key(|a| a.type_ != "InternalIP");
    let label = |names: [&str; 2]| -> Arc<str> {
        let labels = node.metadata.labels.as_ref();
        let found = labels.and_then(|labels| names.iter().find_map(|name| labels.get(*name)));
        found.map_or("", String::as_str).into()
    };
    let addresses = parse(addresses.into_iter().map(|a| a.address.as_str()));
    let annotated = Annotations(node);
    let (host_addresses, router_addresses) = (annotated.host(), annotated.router());
    let (pod_network_addresses, owns_pod_network_addresses) = annotated.pod_network();
    // The router of OVN-Kubernetes shares the node's own addresses, which are the node's.
    let is_own = |address: &IpAddr| addresses.contains(address) || host_addresses.contains(address);
    Fact::Node(NodeFact {
        router_addresses: router_addresses.into_iter().filter(|a| !is_own(a)).collect(),
        addresses,
        host_addresses,
        pod_network_addresses,
        owns_pod_network_addresses,
        zone: label(ZONE_LABELS),
        region: label(REGION_LABELS),
        created: nanoseconds(node.metadata.creation_timestamp.as_ref()),
    })
}

impl NodeFact {
    /// The addresses that the status does not list and datagrams of the node may come from.
    pub fn other_sources(&self) -> impl Iterator<Item = IpAddr> {
        let in_pod_network = self.pod_network_addresses.iter();
        let own = in_pod_network.filter(|_| self.owns_pod_network_addresses);
        self.host_addresses.iter().chain(own).copied()
    }
}

struct Annotations<'a>(&'a Node);

impl Annotations<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        let all = self.0.metadata.annotations.as_ref()?;
        all.get(name).map(String::as_str)
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.text(&[OVN, name].concat())?).ok()
    }

    /// The entry of the cluster's network, or the whole where there are no entries.
    fn of_default<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Option<T> {
        let mut value: Value = self.json(name)?;
        let entry = value.as_object_mut()?.remove(DEFAULT);
        serde_json::from_value(entry.unwrap_or(value)).ok()
    }

    fn host(&self) -> Vec<IpAddr> {
        let listed = ["host-cidrs", "host-addresses"];
        let listed = listed
            .into_iter()
            .filter_map(|name| self.json::<Vec<String>>(name));
        let primary = self.json::<Families>("node-primary-ifaddr").map(Families::texts);
        read(listed.flatten().chain(primary.into_iter().flatten()))
    }

    fn router(&self) -> Vec<IpAddr> {
        let names = [
            "node-gateway-router-lrp-ifaddrs",
            "node-gateway-router-lrp-ifaddr",
        ];
        let ports = names
            .into_iter()
            .filter_map(|name| self.of_default::<Families>(name));
        let gateway = self.of_default::<Gateway>("l3-gateway-config");
        let gateway = gateway
            .into_iter()
            .flat_map(|g| g.several.into_iter().chain([g.one]));
        read(ports.flat_map(Families::texts).chain(gateway))
    }

    /// The addresses, and whether the plugin keeps them for the node.
    fn pod_network(&self) -> (Vec<IpAddr>, bool) {
        let subnets = match self.of_default::<Value>("node-subnets") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(|v| Some(v.as_str()?.into())).collect(),
            _ => Vec::new(),
        };
        let management: Vec<IpAddr> = subnets.iter().take(MOST).filter_map(|net| nth(net, 2)).collect();
        let kube_ovn = self
            .text(KUBE_OVN_ADDRESS)
            .unwrap_or("")
            .split(',')
            .map(str::to_owned);
        let kept = [management, read(kube_ovn)].concat();
        if !kept.is_empty() {
            return (kept, true);
        }
        let spec = &self.0.spec;
        let cidrs = &spec.pod_cidrs;
        let one = Some(&spec.pod_cidr).filter(|_| cidrs.is_empty());
        let cidrs = cidrs.iter().chain(one).take(MOST);
        (
            cidrs.filter_map(|net| nth(net, 1)).collect(),
            self.text(ANTREA).is_some(),
        )
    }
}

impl Families {
    fn texts(self) -> [String; 2] {
        [self.ipv4, self.ipv6]
    }
}

/// Addresses with or without prefix lengths, each once.
fn read(texts: impl Iterator<Item = String>) -> Vec<IpAddr> {
    let texts: Vec<String> = texts.take(MOST).collect();
    let plain = texts.iter().map(|text| text.split('/').next().unwrap_or(text));
    let mut addresses = parse(plain);
    addresses.retain(is_one_hosts);
    addresses
}

fn is_one_hosts(address: &IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(link_local || address.is_loopback() || address.is_unspecified() || address.is_multicast())
}

/// The `n`th address of a network that has room for it and one more.
fn nth(network: &str, n: u8) -> Option<IpAddr> {
    let network: IpNet = network.parse().ok()?;
    if network.max_prefix_len() - network.prefix_len() < 2 {
        return None;
    }
    let address = match network.network() {
        IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits().checked_add(n.into())?).into(),
        IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits().checked_add(n.into())?).into(),
    };
    is_one_hosts(&address).then_some(address)
}

#[cfg(test)]
mod tests;
