//! The flows that exporters tell about: what does not depend on the format.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::random::Random;

/// IP protocol numbers.
pub const ICMP: u8 = 1;
/// TCP's.
pub const TCP: u8 = 6;
/// UDP's.
pub const UDP: u8 = 17;

/// A flow, and one observation of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// The pod that sends.
    pub src: Ipv4Addr,
    /// The pod or server that is sent to.
    pub dst: Ipv4Addr,
    /// TCP, UDP or ICMP.
    pub protocol: u8,
    /// Source port; 0 for ICMP.
    pub src_port: u16,
    /// Destination port; ICMP type and code for ICMP.
    pub dst_port: u16,
    /// The switch's port that it enters by.
    pub input: u16,
    /// And leaves by.
    pub output: u16,
    /// Packets since the last report.
    pub packets: u32,
    /// Octets of each, from the IP header on.
    pub packet_length: u16,
}

/// Nodes whose pods are sent to, with 250 pods each: 10,000 pods in all.
pub const NODES: u32 = 40;
/// Pods of each node.
pub const PODS: u32 = 250;

/// Services, each with an address of its own, and as many pods behind each.
pub const SERVICES: u32 = 400;

/// Ports that each of them listens on.
pub const SERVICE_PORTS: [u16; 8] = [80, 443, 53, 5432, 6379, 8080, 9090, 50051];

/// The switch's port to all that is not on the node.
const UPLINK: u16 = 1_000;

impl Flow {
    /// Flow number `rank` of an exporter: the same addresses and ports each time,
    /// the counters drawn anew.
    pub fn observe(exporter: u32, rank: u32, random: &mut Random) -> Self {
        let mut fixed = Random::new(u64::from(exporter) << 32 | u64::from(rank));
        let protocol = match fixed.below(10) {
            0 => ICMP,
            1..=2 => UDP,
            _ => TCP,
        };
        let (src_port, dst_port) = match protocol {
            ICMP => (0, 8 << 8),
            _ => (
                32_768 + fixed.below(28_000) as u16,
                SERVICE_PORTS[fixed.below(8) as usize],
            ),
        };
        let number = fixed.below(PODS);
        let (dst, output) = destination(exporter, &mut fixed);
        Self {
            src: pod(exporter, number),
            dst,
            protocol,
            src_port,
            dst_port,
            input: port(number),
            output,
            packets: 1 + random.below(100),
            packet_length: 40 + random.below(1461) as u16,
        }
    }

    /// Octets of all packets.
    pub const fn octets(&self) -> u32 {
        self.packets * self.packet_length as u32
    }

    /// The source as an IPv6 address.
    pub fn src_v6(&self) -> Ipv6Addr {
        v6(self.src)
    }

    /// The destination as an IPv6 address.
    pub fn dst_v6(&self) -> Ipv6Addr {
        v6(self.dst)
    }
}

/// The address of a pod; nodes and the pods of a node are numbered from 0.
pub fn pod(node: u32, number: u32) -> Ipv4Addr {
    Ipv4Addr::new(10, 128 | (node >> 8 & 0x7f) as u8, node as u8, number as u8 + 2)
}

/// The name of that pod.
pub fn pod_name(node: u32, number: u32) -> String {
    format!("pod-{node}-{number}-5d9c7f86b4-x2x4z")
}

/// The name of a namespace.
pub fn namespace(number: u32) -> String {
    format!("namespace-{number}")
}

/// The address of a Service.
pub fn cluster_ip(service: u32) -> Ipv4Addr {
    Ipv4Addr::new(10, 96, (service >> 8) as u8, service as u8)
}

/// The port of the node's switch that one of its pods is behind.
pub const fn port(number: u32) -> u16 {
    1 + number as u16
}

/// Three of four flows stay in the cluster, one of four of those goes to a Service.
/// With it the port that leads there.
fn destination(exporter: u32, random: &mut Random) -> (Ipv4Addr, u16) {
    if random.below(4) == 0 {
        return (Ipv4Addr::new(203, 0, 113, random.below(256) as u8), UPLINK);
    }
    if random.below(4) == 0 {
        return (cluster_ip(random.below(SERVICES)), UPLINK);
    }
    let (node, number) = (random.below(NODES), random.below(PODS));
    let output = if node == exporter { port(number) } else { UPLINK };
    (pod(node, number), output)
}

/// The IPv6 address of who has this one.
pub fn v6(address: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = address.octets().map(u16::from);
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, a << 8 | b, c << 8 | d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_keeps_its_key_and_changes_its_counters() {
        let mut random = Random::new(1);
        let key = |flow: Flow| (flow.src, flow.dst, flow.protocol, flow.src_port, flow.dst_port);
        let (first, again) = (Flow::observe(3, 5, &mut random), Flow::observe(3, 5, &mut random));
        assert_eq!(key(first), key(again));
        assert_ne!(first, again);
        assert_ne!(key(first), key(Flow::observe(3, 6, &mut random)));
        assert_ne!(key(first), key(Flow::observe(4, 5, &mut random)));
    }
}
