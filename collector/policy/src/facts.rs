//! What verdicts need to know of a cluster's objects besides its policies.

use std::net::IpAddr;

use crate::selector::Labels;

/// The label that every namespace has, with its name (the API server sets it).
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A transport protocol that policies can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// IP protocol 6.
    Tcp,
    /// IP protocol 17.
    Udp,
    /// IP protocol 132.
    Sctp,
}

/// The protocols that policies can name.
pub const PROTOCOLS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

impl Protocol {
    /// The number in the IP header (IANA).
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }

    /// The protocol with that number, if policies can name it.
    pub fn of(number: u8) -> Option<Protocol> {
        PROTOCOLS.into_iter().find(|protocol| protocol.number() == number)
    }

    /// As the API spells it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        }
    }
}

/// A port that a container declares by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamedPort {
    /// `ports[].name`.
    pub name: String,
    /// `ports[].protocol`.
    pub protocol: Protocol,
    /// `ports[].containerPort`.
    pub number: u16,
}

/// A pod, as far as policies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`.
    pub labels: Labels,
    /// `status.podIPs`.
    pub addresses: Vec<IpAddr>,
    /// The named ports of all containers, init containers too.
    pub ports: Vec<NamedPort>,
    /// `spec.hostNetwork`: its address is its node's.
    pub host_network: bool,
    /// `spec.nodeName`; empty while it has none.
    pub node: String,
    /// Phase `Succeeded` or `Failed`: it has no address any more.
    pub finished: bool,
}

/// A namespace, as far as policies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`, the one with the name always among them.
    pub labels: Labels,
}

impl Namespace {
    /// A namespace with these labels and the one that the API server adds.
    pub fn new(name: &str, mut labels: Labels) -> Namespace {
        labels.insert(NAMESPACE_NAME_LABEL.into(), name.into());
        Namespace {
            name: name.into(),
            labels,
        }
    }
}

/// A node, as far as policies see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`.
    pub labels: Labels,
    /// The addresses among `status.addresses`.
    pub addresses: Vec<IpAddr>,
    /// Addresses of the CNI's own port on the node, from which the node reaches its pods
    /// (OVN-Kubernetes: `ovn-k8s-mp0`).
    pub management: Vec<IpAddr>,
}

impl Node {
    /// All addresses that it sends from: its own, and those of its ports among the pods.
    pub fn all_addresses(&self) -> Vec<IpAddr> {
        let mut all = self.addresses.clone();
        all.extend(
            self.management
                .iter()
                .filter(|address| !self.addresses.contains(address)),
        );
        all
    }
}
