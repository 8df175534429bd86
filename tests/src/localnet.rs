//! Second interfaces of pods, on a VLAN of the fabric that OVN calls a localnet: as a
//! NetworkAttachmentDefinition of OVN-Kubernetes makes them, for a virtual machine say.

use std::net::Ipv4Addr;

use anyhow::Result;

use crate::{
    Node, Pod,
    address::{Mac, POD_MTU},
    link::{End, create_veth},
};

/// The interface inside the pod.
pub const DEVICE: &str = "net1";
/// The network attachment, `NAMESPACE/NAME`.
pub const ATTACHMENT: &str = "shop/vlan";

/// A pod's second interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondInterface {
    /// The pod.
    pub pod: Pod,
    /// Its address, of 192.168.100.0/24.
    pub address: Ipv4Addr,
    /// Whether OVN-Kubernetes gave the address, and tells it. Otherwise the pod took it
    /// by itself, and only the MAC address is known.
    pub told: bool,
}

impl SecondInterface {
    /// Its MAC address.
    pub fn mac(&self) -> Mac {
        Mac::of(self.address)
    }

    /// Its OVS port.
    pub(crate) fn port_name(&self) -> String {
        format!("{}_1", &self.pod.port_name()[..12])
    }

    /// `iface-id` of its OVS interface: the attachment's name before the pod's.
    pub(crate) fn iface_id(&self) -> String {
        format!("{}_{}", ATTACHMENT.replace('/', "."), self.pod.iface_id())
    }

    /// The addresses of its port in OVN.
    pub(crate) fn port_addresses(&self) -> String {
        if self.told {
            format!("{} {}", self.mac(), self.address)
        } else {
            self.mac().to_string()
        }
    }

    /// The interface's `external_ids`, as arguments of `ovs-vsctl set Interface`.
    pub(crate) fn external_ids(&self) -> Vec<String> {
        let mut ids = vec![
            ("attached_mac", self.mac().to_string()),
            ("iface-id", self.iface_id()),
            ("iface-id-ver", self.pod.uid.clone()),
            ("k8s.ovn.org/nad", ATTACHMENT.to_owned()),
            ("k8s.ovn.org/network", ATTACHMENT.replace('/', ".")),
            ("sandbox", self.pod.sandbox.clone()),
        ];
        if self.told {
            ids.push(("ip_addresses", format!("{}/24", self.address)));
        }
        let text = |(key, value)| format!("external_ids:{key}=\"{value}\"");
        ids.into_iter().map(text).collect()
    }

    /// Makes it, on the pod's node.
    pub(crate) fn plug(&self, node: &Node) -> Result<()> {
        let outer = End {
            netns: node.netns(),
            device: &self.port_name(),
        };
        let netns = self.pod.netns();
        create_veth(
            outer,
            End {
                netns,
                device: DEVICE,
            },
        )?;
        for line in [
            format!("link set {DEVICE} address {} mtu {POD_MTU}", self.mac()),
            format!("address add {}/24 dev {DEVICE}", self.address),
        ] {
            netns.ip(&line)?;
        }
        Ok(())
    }
}
