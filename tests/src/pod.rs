//! Pods: what is asked for, and the handle of one that is there.

use std::{collections::BTreeMap, fs, net::IpAddr};

use anyhow::{Context, Result};

use crate::{
    Netns, Node,
    address::{Mac, POD_MTU, PodAddresses},
    flows::Place,
    link::{Counters, End, create_veth},
};

/// The pod's interface inside the pod.
pub const POD_DEVICE: &str = "eth0";

/// A pod to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSpec {
    /// Name of the node.
    pub node: String,
    /// The pod's namespace in Kubernetes.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The Deployment that owns the pod through a ReplicaSet.
    pub workload: Option<String>,
    /// The Service that selects the pod's workload.
    pub service: Option<String>,
    /// The TCP ports that the pod's container and its Service show.
    pub ports: Vec<u16>,
    /// Further labels.
    pub labels: BTreeMap<String, String>,
}

impl PodSpec {
    /// A pod without owner, Service or ports.
    pub fn new(node: &str, namespace: &str, name: &str) -> Self {
        Self {
            node: node.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            workload: None,
            service: None,
            ports: Vec::new(),
            labels: BTreeMap::new(),
        }
    }

    /// Makes the pod one of the Deployment `name`.
    pub fn workload(mut self, name: &str) -> Self {
        self.workload = Some(name.to_owned());
        self
    }

    /// Puts the pod behind the Service `name`; it selects the pods of the
    /// workload, or this pod alone where there is none.
    pub fn service(mut self, name: &str) -> Self {
        self.service = Some(name.to_owned());
        self
    }

    /// Adds a TCP port.
    pub fn port(mut self, port: u16) -> Self {
        self.ports.push(port);
        self
    }

    /// Adds a label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The value of the label `app`, by which Services and workloads select.
    pub fn app(&self) -> &str {
        self.workload.as_deref().unwrap_or(&self.name)
    }
}

/// A pod that is there: a network namespace with an interface on `br-int`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// What it was asked to be.
    pub spec: PodSpec,
    /// Its node and number.
    pub place: Place,
    /// Its `metadata.uid`; a random one without Kubernetes.
    pub uid: String,
    /// The id of its sandbox, 64 hexadecimal digits.
    pub sandbox: String,
    netns: Netns,
    subnets: Subnets,
}

/// How the pods' network is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subnets {
    /// Not at all: all pods are on one link.
    Flat,
    /// A network for each node, with OVN's router in it.
    PerNode,
}

impl Subnets {
    /// Prefix lengths of IPv4 and IPv6.
    fn lengths(self) -> [u8; 2] {
        match self {
            Self::Flat => [16, 64],
            Self::PerNode => [24, 112],
        }
    }
}

impl Pod {
    pub(crate) fn new(spec: PodSpec, place: Place, uid: Option<String>, subnets: Subnets) -> Result<Self> {
        let netns = Netns::create(&format!("pod-{}-{}", spec.namespace, spec.name))?;
        let uid = uid.map_or_else(random_uuid, Ok)?;
        let sandbox = format!("{}{}", random_uuid()?, random_uuid()?).replace('-', "");
        Ok(Self {
            spec,
            place,
            uid,
            sandbox,
            netns,
            subnets,
        })
    }

    /// The pod's network namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Both addresses.
    pub fn addresses(&self) -> PodAddresses {
        self.place.addresses()
    }

    /// The first address, `status.podIP`.
    pub fn ip(&self) -> IpAddr {
        self.addresses().v4.into()
    }

    /// The MAC address of its interface.
    pub fn mac(&self) -> Mac {
        self.addresses().mac()
    }

    /// Its OVS port, named as OVN-Kubernetes names it: the first 15 characters
    /// of the sandbox id.
    pub fn port_name(&self) -> &str {
        self.sandbox.get(..15).unwrap_or(&self.sandbox)
    }

    /// `iface-id` of its OVS interface: `namespace_pod`.
    pub fn iface_id(&self) -> String {
        format!("{}_{}", self.spec.namespace, self.spec.name)
    }

    /// Runs a program in the pod's namespace and returns its stdout.
    pub fn exec(&self, line: &[&str]) -> Result<String> {
        self.netns.exec(line)
    }

    /// What the pod's interface has received and sent.
    pub fn counters(&self) -> Result<Counters> {
        Counters::read(&self.netns, POD_DEVICE)
    }

    /// The interface's `external_ids` as OVN-Kubernetes sets them, as
    /// arguments of `ovs-vsctl set Interface`.
    pub(crate) fn external_ids(&self) -> Vec<String> {
        let PodAddresses { v4, v6 } = self.addresses();
        let [length, length_v6] = self.subnets.lengths();
        [
            ("attached_mac", self.mac().to_string()),
            ("iface-id", self.iface_id()),
            ("iface-id-ver", self.uid.clone()),
            ("ip_addresses", format!("{v4}/{length},{v6}/{length_v6}")),
            ("sandbox", self.sandbox.clone()),
        ]
        .map(|(key, value)| format!("external_ids:{key}=\"{value}\""))
        .to_vec()
    }

    /// Makes the pod's interface, its addresses and its way out.
    pub(crate) fn plug(&self, node: &Node) -> Result<()> {
        let outer = End {
            netns: node.netns(),
            device: self.port_name(),
        };
        create_veth(
            outer,
            End {
                netns: &self.netns,
                device: POD_DEVICE,
            },
        )?;
        let PodAddresses { v4, v6 } = self.addresses();
        let [length, length_v6] = self.subnets.lengths();
        let addresses = node.addresses();
        let (gateway, gateway_mac) = (addresses.gateway(), addresses.gateway_mac());
        for line in [
            format!("link set {POD_DEVICE} address {} mtu {POD_MTU}", self.mac()),
            format!("address add {v4}/{length} dev {POD_DEVICE}"),
            format!("address add {v6}/{length_v6} dev {POD_DEVICE} nodad"),
            format!("route add default via {gateway}"),
            format!("neigh replace {gateway} lladdr {gateway_mac} dev {POD_DEVICE} nud permanent"),
        ] {
            self.netns.ip(&line)?;
        }
        if self.subnets == Subnets::PerNode {
            let gateway = addresses.gateway_v6();
            self.netns.ip(&format!("route add default via {gateway}"))?;
            self.netns.ip(&format!(
                "neigh replace {gateway} lladdr {gateway_mac} dev {POD_DEVICE} nud permanent"
            ))?;
        }
        Ok(())
    }
}

/// A random UUID, from the kernel.
fn random_uuid() -> Result<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/uuid").context("ask the kernel for a UUID")?;
    Ok(text.trim().to_owned())
}
