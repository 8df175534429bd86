//! Flows like those of a cluster: endpoints of very different weight, each with a
//! few peers, seen by the node of the source or of the destination.

use std::sync::Arc;

use weir_api::fields::{Column, FieldKind};
use weir_flow::{
    ATTRIBUTES, FlowRecord, IdentifiedBy, Identity, Judged, Kind, PacketPath, PolicySide, PolicyVerdict,
    Server, ServerConfidence, Side, Tunnel,
};
use weir_flow::{Verdict, column_of};
use wire::{Attribute, AttributeValue, Attributes, Direction, Protocol};

/// Microseconds since the epoch where generated flows start.
pub const START: i64 = 1_790_000_000_000_000;

/// Makes flows, the same for the same seed.
pub struct Flows {
    random: u64,
    endpoints: Vec<Endpoint>,
    nodes: Vec<Arc<str>>,
    /// The time of the next flow, in microseconds.
    pub now: i64,
    /// Microseconds from flow to flow.
    pub pace: i64,
}

struct Endpoint {
    identity: Arc<Identity>,
    address: [u8; 4],
    mac: [u8; 6],
    node: usize,
}

impl Flows {
    /// Between so many endpoints.
    pub fn new(seed: u64, endpoints: usize) -> Self {
        let nodes: Vec<Arc<str>> = (0..endpoints.div_ceil(50))
            .map(|n| format!("ip-10-0-{}-{}.ec2.internal", n / 250, n % 250).into())
            .collect();
        let endpoints = (0..endpoints).map(|n| endpoint(n, &nodes)).collect();
        Self {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            endpoints,
            nodes,
            now: START,
            pace: 5,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % bound
    }

    /// Zipf with exponent 1: the rank is e to an even number.
    fn rank(&mut self, count: usize) -> usize {
        let even = self.below(1 << 32) as f64 / (1u64 << 32) as f64;
        let rank = ((count as f64).ln() * even).exp();
        (rank as usize).min(count) - 1
    }

    /// The next flow.
    pub fn flow(&mut self) -> FlowRecord {
        let src = self.rank(self.endpoints.len());
        // Everybody talks to some twenty, most to the first of them.
        let peer = self.rank(20);
        let dst = (src.wrapping_mul(2_654_435_761) ^ peer.wrapping_mul(40_503)) % self.endpoints.len();
        let port = [443, 80, 53, 5432, 6379, 8080, 9090, 50051][dst % 8];
        let proto = if port == 53 { 17 } else { 6 };
        let client = 32_768 + self.below(28_232) as u16;
        let packets = 1 + self.below(8) * self.below(40);
        let answer = self.below(2) == 1;
        let ingress = self.below(2) == 1;
        self.now += self.pace;
        // OVS counts in milliseconds.
        let end = self.now / 1_000 - self.below(1_000) as i64;
        let start = end - self.below(60_000) as i64;
        let (near, far) = (self.side(src, client), self.side(dst, port));
        let (src_side, dst_side) = if answer { (far, near) } else { (near, far) };
        let seen = if ingress == answer { dst } else { src };
        let node = self.endpoints[seen].node;
        FlowRecord {
            time_ns: self.now as u64 * 1_000,
            start_ns: start as u64 * 1_000_000,
            end_ns: end as u64 * 1_000_000,
            bytes: Some(packets * (52 + self.below(1_400))),
            packets: Some(packets),
            l2_bytes: None,
            sampling: Some(1),
            proto: Some(proto),
            src: src_side,
            dst: dst_side,
            dscp: Some(0),
            ttl: Some(if ingress { 64 } else { 63 }),
            icmp_type: None,
            icmp_code: None,
            tcp_flags: None,
            vlan_id: None,
            tunnel: Tunnel::default(),
            direction: Some(if ingress {
                Direction::Ingress
            } else {
                Direction::Egress
            }),
            format: Protocol::Ipfix,
            exporter: [10, 0, (node / 250) as u8, (node % 250) as u8].into(),
            exporter_node: Arc::clone(&self.nodes[node]),
            obs_domain_id: Some(node as u32 + 1),
            obs_point_id: Some(1),
            path: PacketPath::NONE,
            primary: ingress,
            verdict: if ingress {
                Verdict::Unknown
            } else {
                Verdict::Delivered
            },
            dropped_packets: None,
            dropped_bytes: None,
            end_reason: Some(if self.below(4) == 0 { 1 } else { 2 }),
            server: if answer { Server::Src } else { Server::Dst },
            server_confidence: ServerConfidence::Port,
            attributes: Attributes::NONE,
            policy: Judged::NOT,
        }
    }

    /// Some of what few exporters say: each thing with one chance in `of`.
    pub fn attributes(&mut self, of: u64) -> Attributes {
        let mut some = Attributes::NONE;
        for attribute in ATTRIBUTES {
            if self.below(of) == 0 {
                // Not all are words, addresses or numbers that come again.
                let number = self.below(5) * self.below(1 << 40);
                some.set(*attribute, said(*attribute, number));
            }
        }
        some
    }

    /// So many flows.
    pub fn batch(&mut self, count: usize) -> Vec<FlowRecord> {
        (0..count).map(|_| self.flow()).collect()
    }

    fn side(&self, endpoint: usize, port: u16) -> Side {
        let endpoint = &self.endpoints[endpoint];
        Side {
            addr: Some(endpoint.address.into()),
            port: Some(port),
            mac: Some(endpoint.mac),
            if_index: Some(u32::from(endpoint.mac[5]) + 1),
            if_name: "".into(),
            identity: Arc::clone(&endpoint.identity).into(),
            found: IdentifiedBy::Address,
        }
    }
}

/// What policies may say: of every third nothing.
#[allow(dead_code, reason = "other crates' tests share this file and need less of it")]
pub fn policy(n: u64) -> Judged {
    let side = |direction: &str, n: u64| PolicySide {
        policy: format!("shop/p{}", n % 7).into(),
        rule: format!("{direction}[{}]", n % 2).into(),
        action: ["allow", "drop", ""][n as usize % 3],
    };
    match n % 3 {
        0 => Judged::NOT,
        1 => Judged::from(PolicyVerdict {
            answer: "allow",
            reason: "default",
            ..PolicyVerdict::default()
        }),
        _ => Judged::from(PolicyVerdict {
            answer: "deny",
            reason: "rule",
            ingress: side("ingress", n),
            egress: side("egress", n / 3),
        }),
    }
}

/// What an exporter may say of it: a value for each number, and most fit the column.
fn said(attribute: Attribute, number: u64) -> AttributeValue {
    let kind = column_of(attribute).map(Column::kind);
    match kind {
        Some(FieldKind::Unsigned(_)) => AttributeValue::Unsigned(number % (1 << (number % 42))),
        Some(FieldKind::Enum) => AttributeValue::Unsigned(number % 256),
        Some(FieldKind::Address) if number.is_multiple_of(3) => {
            AttributeValue::Address(std::net::Ipv6Addr::from(u128::from(number) << 64).into())
        }
        Some(FieldKind::Address) => AttributeValue::Address((number as u32).to_be_bytes().into()),
        _ => AttributeValue::Text(
            format!("{number:x}")
                .repeat(1 + number as usize % 20)
                .as_str()
                .into(),
        ),
    }
}

fn endpoint(number: usize, nodes: &[Arc<str>]) -> Endpoint {
    let node = number.wrapping_mul(7_919) % nodes.len();
    let workload = format!("workload-{}", number / 4);
    let zone = ["a", "b", "c"][node % 3];
    let identity = Identity {
        kind: Kind::Pod,
        name: format!("{workload}-{:x}-{number}", number * 48_271 % 65_536).into(),
        ns: format!("team-{}", number / 100).into(),
        workload_name: workload.into(),
        workload_kind: "Deployment".into(),
        node_name: Arc::clone(&nodes[node]),
        node_addr: Some([10, 0, (node / 250) as u8, (node % 250) as u8].into()),
        zone: format!("eu-central-1{zone}").into(),
        region: "eu-central-1".into(),
        network: "primary".into(),
        ..Identity::default()
    };
    let [_, b, c, d] = (number as u32).to_be_bytes();
    Endpoint {
        identity: Arc::new(identity),
        address: [10, 128 | b, c, d],
        mac: [0x0a, 0x58, 10, 128 | b, c, d],
        node,
    }
}
