//! The address plan of the lab; no I/O.
//!
//! | network | range | who |
//! |---|---|---|
//! | underlay | 172.30.0.0/24, fd00:172:30::/64 | API server and collectors (.1), hosts (.250 and down), nodes (.11, .12, …) |
//! | fabric | 172.31.0.0/24 | the nodes' `br-ex`: tunnels and the way out |
//! | pods | 10.128.NODE.0/24 of one flat 10.128.0.0/16, fd00:10:128::/64 | pods |
//! | outside | 203.0.113.0/24 | the world beyond the cluster: a documentation network, which is not globally reachable |
//! | internet | 192.31.196.10 | the same host, with an address that is: of AS112 (RFC 7535), so nobody's own |
//! | join | 100.64.0.0/16, fd98::/64 | with OVN: the cluster router (.1) and the nodes' gateway routers |
//! | localnet | 192.168.100.0/24, VLAN 100 | with OVN: second interfaces of pods, on the fabric |
//! | load balancers | 198.51.100.0/24 | with OVN: a Service's address beyond the cluster, which the router sends to node-a |
//!
//! With OVN each node's pods have a network of their own, 10.128.NODE.0/24 and
//! fd00:10:128::NODE:0/112.
//!
//! A node has its InternalIP on the underlay, on a kernel interface, and not
//! on `br-ex` as OVN-Kubernetes does: so it keeps its API server when a case
//! kills ovs-vswitchd or wipes the database.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The lab's own address on the underlay: API server, collectors.
pub const UNDERLAY: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 1);
/// The same in IPv6.
pub const UNDERLAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x172, 0x30, 0, 0, 0, 0, 1);
/// The router between the nodes' `br-ex` and the outside.
pub const FABRIC: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 1);
/// The router's address in `outside`'s network.
pub const OUTSIDE_ROUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// The one host outside the cluster.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// Its other address. The only one of the lab that has a meaning elsewhere: it is
/// globally reachable by the registries of RFC 6890, and so the internet's. It
/// exists in the lab's namespaces alone.
pub const INTERNET: Ipv4Addr = Ipv4Addr::new(192, 31, 196, 10);
/// All pods' networks.
pub const PODS_NETWORK: &str = "10.128.0.0/16";
/// OVN's cluster router in the join network.
pub const JOIN_ROUTER: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 1);
/// The same in IPv6.
pub const JOIN_ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0xfd98, 0, 0, 0, 0, 0, 0, 1);
/// Addresses of Services beyond the cluster; node-a has them all.
pub const BALANCERS_NETWORK: &str = "198.51.100.0/24";
/// An egress IP: an address on the fabric that is no node's.
pub const EGRESS: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 250);
/// VLAN of the pods' second interfaces.
pub const LOCALNET_VLAN: u16 = 100;
/// MTU of pod interfaces: room for Geneve, as OVN-Kubernetes leaves it.
pub const POD_MTU: u32 = 1400;
/// MAC address of the fabric's router.
pub const ROUTER_MAC: Mac = Mac([0x02, 0x00, 172, 31, 0, 1]);
/// The most nodes that the plan has room for.
pub const MAX_NODES: u8 = 200;
/// Number of the node itself in its pods' network.
const MANAGEMENT: u8 = 2;

/// A MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// OVN-Kubernetes' MAC address of an IPv4 address: `0a:58` and the address.
    pub fn of(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x0a, 0x58, a, b, c, d])
    }
}

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A node's addresses, all from its number (1 for `node-a`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeAddresses {
    number: u8,
}

impl NodeAddresses {
    /// The addresses of node `number`, 1 to [`MAX_NODES`].
    pub fn new(number: u8) -> Option<Self> {
        (1..=MAX_NODES).contains(&number).then_some(Self { number })
    }

    /// The node's number.
    pub fn number(self) -> u8 {
        self.number
    }

    /// InternalIP: on the underlay.
    pub fn internal(self) -> Ipv4Addr {
        Ipv4Addr::new(172, 30, 0, 10 + self.number)
    }

    /// InternalIP of the second family.
    pub fn internal_v6(self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0x172, 0x30, 0, 0, 0, 0, u16::from(10 + self.number))
    }

    /// Address of `br-ex`: the tunnels' end.
    pub fn fabric(self) -> Ipv4Addr {
        Ipv4Addr::new(172, 31, 0, 10 + self.number)
    }

    /// MAC address of `br-ex`.
    pub fn fabric_mac(self) -> Mac {
        Mac([0x02, 0x00, 172, 31, 0, 10 + self.number])
    }

    /// The pods' gateway on this node.
    pub fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 128, self.number, 1)
    }

    /// MAC address of the gateway.
    pub fn gateway_mac(self) -> Mac {
        Mac::of(self.gateway())
    }

    /// The pods' gateway in IPv6, which OVN has.
    pub fn gateway_v6(self) -> Ipv6Addr {
        self.pod(1).v6
    }

    /// The node's own address among its pods, on `ovn-k8s-mp0`.
    pub fn management(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 128, self.number, MANAGEMENT)
    }

    /// Its gateway router in the join network.
    pub fn join(self) -> Ipv4Addr {
        Ipv4Addr::new(100, 64, 0, 10 + self.number)
    }

    /// The same in IPv6.
    pub fn join_v6(self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd98, 0, 0, 0, 0, 0, 0, u16::from(10 + self.number))
    }

    /// The network of the node's pods, as a prefix.
    pub fn pod_network(self) -> String {
        format!("10.128.{}.0/24", self.number)
    }

    /// Addresses of the node's pod `number` (2 to 254).
    pub fn pod(self, number: u8) -> PodAddresses {
        PodAddresses {
            v4: Ipv4Addr::new(10, 128, self.number, number),
            v6: Ipv6Addr::new(
                0xfd00,
                0x10,
                0x128,
                0,
                0,
                0,
                u16::from(self.number),
                u16::from(number),
            ),
        }
    }
}

/// A pod's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodAddresses {
    /// The first address, in `status.podIP`.
    pub v4: Ipv4Addr,
    /// The second address.
    pub v6: Ipv6Addr,
}

impl PodAddresses {
    /// The MAC address of the pod's interface.
    pub fn mac(self) -> Mac {
        Mac::of(self.v4)
    }

    /// Both, first the one of `status.podIP`.
    pub fn both(self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}

/// A node's name from its number: `node-a` for 1, `node-aa` for 27.
pub fn node_name(number: u8) -> String {
    let mut rest = usize::from(number);
    let mut letters = Vec::new();
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(
            b'a' + u8::try_from(rest % 26).expect("a remainder of 26 fits a byte"),
        ));
        rest /= 26;
    }
    format!("node-{}", letters.iter().rev().collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn node_names_are_letters_and_never_repeat() {
        assert_eq!(
            [1, 2, 26, 27, 28].map(node_name),
            ["node-a", "node-b", "node-z", "node-aa", "node-ab"]
        );
        let names: HashSet<String> = (1..=MAX_NODES).map(node_name).collect();
        assert_eq!(names.len(), usize::from(MAX_NODES));
    }

    #[test]
    fn the_mac_address_of_a_pod_is_the_one_that_ovn_kubernetes_gives() {
        let pod = NodeAddresses::new(2).unwrap().pod(5);
        assert_eq!(pod.v4.to_string(), "10.128.2.5");
        assert_eq!(pod.v6.to_string(), "fd00:10:128::2:5");
        assert_eq!(pod.mac().to_string(), "0a:58:0a:80:02:05");
    }

    #[test]
    fn a_node_number_out_of_the_plan_is_refused() {
        assert_eq!(NodeAddresses::new(0), None);
        assert_eq!(NodeAddresses::new(MAX_NODES + 1), None);
        assert_eq!(
            NodeAddresses::new(MAX_NODES).unwrap().internal().to_string(),
            "172.30.0.210"
        );
    }
}
