//! The OpenFlow rules of the lab's bridges, as text for `ovs-ofctl`; no I/O.
//!
//! They stand in for OVN: explicit forwarding by destination, without flooding
//! or learning, so that a full mesh of tunnels cannot loop. ARP requests and
//! IPv6 neighbour solicitations go to the one pod they ask for, which answers
//! itself. Table 0 classifies, table 1 commits connections, table 2 forwards.

use crate::address::{NodeAddresses, PodAddresses, ROUTER_MAC};

/// Port of the node's uplink on `br-ex`.
pub const UPLINK_PORT: u16 = 1;
/// Port of the patch between the bridges, on both of them.
pub const PATCH_PORT: u16 = 2;
/// Tunnel key of the lab's one network.
const NETWORK_KEY: u32 = 1;
/// Connection-tracking zone of the lab's one network.
const ZONE: u32 = 1;

/// Where a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The pod's node.
    pub node: NodeAddresses,
    /// The pod's number on its node.
    pub number: u8,
}

impl Place {
    /// The pod's addresses.
    pub fn addresses(self) -> PodAddresses {
        self.node.pod(self.number)
    }

    /// The pod's port on its own node's `br-int`.
    pub fn port(self) -> u16 {
        1000 + u16::from(self.number)
    }
}

/// The port of the tunnel to `peer` on another node's `br-int`.
pub fn tunnel_port(peer: NodeAddresses) -> u16 {
    100 + u16::from(peer.number())
}

/// The rules of a node's `br-int`, with the pods of the whole cluster.
pub fn integration(node: NodeAddresses, pods: &[Place], conntrack: bool) -> Vec<String> {
    let mut flows = classify(conntrack);
    flows.push(way_out(node));
    for pod in pods {
        let addresses = pod.addresses();
        let (mac, v4, v6) = (addresses.mac(), addresses.v4, addresses.v6);
        let deliver = deliver(node, *pod);
        flows.push(format!("table=2,priority=100,dl_dst={mac},actions={deliver}"));
        flows.push(format!(
            "table=2,priority=100,arp,arp_op=1,arp_tpa={v4},actions={deliver}"
        ));
        flows.push(format!(
            "table=2,priority=110,icmp6,icmp_type=135,nd_target={v6},actions={deliver}"
        ));
        if pod.node == node {
            flows.push(format!(
                "table=2,priority=120,in_port={PATCH_PORT},ip,nw_dst={v4},\
                 actions=mod_dl_src:{},mod_dl_dst:{mac},{deliver}",
                node.gateway_mac()
            ));
        }
    }
    flows
}

/// The rules of a node's `br-ex`: a learning switch beside the pods' way.
pub fn external(node: NodeAddresses) -> Vec<String> {
    let pods = node.pod_network();
    vec![
        format!("priority=100,in_port={UPLINK_PORT},ip,nw_dst={pods},actions=output:{PATCH_PORT}"),
        format!("priority=100,in_port={PATCH_PORT},actions=output:{UPLINK_PORT}"),
        "priority=0,actions=NORMAL".to_owned(),
    ]
}

fn classify(conntrack: bool) -> Vec<String> {
    let mut flows = vec!["table=0,priority=0,actions=resubmit(,2)".to_owned()];
    if conntrack {
        let track = format!("actions=ct(table=1,zone={ZONE})");
        flows.push(format!("table=0,priority=10,ip,{track}"));
        flows.push(format!("table=0,priority=10,ipv6,{track}"));
        for neighbour in [135, 136] {
            flows.push(format!(
                "table=0,priority=20,icmp6,icmp_type={neighbour},actions=resubmit(,2)"
            ));
        }
        flows.push(format!(
            "table=1,priority=10,ip,ct_state=+trk+new,actions=ct(commit,zone={ZONE}),resubmit(,2)"
        ));
        flows.push(format!(
            "table=1,priority=10,ipv6,ct_state=+trk+new,actions=ct(commit,zone={ZONE}),resubmit(,2)"
        ));
        flows.push("table=1,priority=0,actions=resubmit(,2)".to_owned());
    }
    flows
}

/// What goes to the gateway leaves through `br-ex` to the fabric's router.
fn way_out(node: NodeAddresses) -> String {
    format!(
        "table=2,priority=50,ip,dl_dst={},actions=mod_dl_src:{},mod_dl_dst:{ROUTER_MAC},dec_ttl,output:{PATCH_PORT}",
        node.gateway_mac(),
        node.fabric_mac()
    )
}

fn deliver(node: NodeAddresses, pod: Place) -> String {
    if pod.node == node {
        format!("output:{}", pod.port())
    } else {
        format!("set_field:{NETWORK_KEY}->tun_id,output:{}", tunnel_port(pod.node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_nodes() -> [NodeAddresses; 2] {
        [1, 2].map(|number| NodeAddresses::new(number).unwrap())
    }

    #[test]
    fn a_pod_is_reached_through_its_port_at_home_and_through_the_tunnel_elsewhere() {
        let [home, away] = two_nodes();
        let pods = [Place {
            node: home,
            number: 7,
        }];
        let to_pod = |flows: Vec<String>| {
            flows
                .into_iter()
                .find(|flow| flow.contains("dl_dst=0a:58:0a:80:01:07,actions"))
                .unwrap()
        };
        assert!(to_pod(integration(home, &pods, false)).ends_with("actions=output:1007"));
        assert!(to_pod(integration(away, &pods, false)).ends_with("set_field:1->tun_id,output:101"));
    }

    #[test]
    fn only_the_home_node_takes_a_pods_packets_from_outside() {
        let [home, away] = two_nodes();
        let pods = [Place {
            node: home,
            number: 7,
        }];
        let from_outside = |node| {
            integration(node, &pods, false)
                .iter()
                .filter(|flow| flow.contains("in_port=2"))
                .count()
        };
        assert_eq!((from_outside(home), from_outside(away)), (1, 0));
    }

    #[test]
    fn conntrack_is_asked_only_when_wanted() {
        let [node, _] = two_nodes();
        let tracked = |wanted| {
            integration(node, &[], wanted)
                .iter()
                .any(|flow| flow.contains("ct("))
        };
        assert!(tracked(true));
        assert!(!tracked(false));
    }
}
