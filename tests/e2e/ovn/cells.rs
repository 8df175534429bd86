//! The ways of packets through OVN, and what is sent on each: a call and its answer, by
//! ports that no other way has, so that the records of each can be told apart.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_lab::{
    Netns,
    address::OUTSIDE,
    link::Counters,
    localnet,
    ovn::MANAGEMENT_DEVICE,
    pod::POD_DEVICE,
    traffic::{converse, echo_udp, ping},
};

use crate::{
    cluster::{NEAR, NEAR_BALANCER, SELF, SELF_V6, VM_1, VM_2, VM_3, VM_4, WEB, WEB_BALANCER, WEB_V6},
    stage::Stage,
    sum::Sum,
};

/// Bytes of a TCP conversation each way, and conversations.
const BYTES: u64 = 60_000;
const CONVERSATIONS: u32 = 2;
const DATAGRAMS: u32 = 50;
const PAYLOAD: usize = 1000;
const PINGS: u64 = 20;
/// Octets of an echo request and its IPv4 header.
const PING: u64 = 20 + 8 + 48;
const IPV4_AND_UDP: u64 = 20 + 8;
const ICMP: u8 = 1;

/// An end of traffic.
#[derive(Clone)]
pub struct End {
    pub netns: Netns,
    pub device: &'static str,
    pub address: IpAddr,
}

/// How packets are sent.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Tcp,
    Udp,
    Ping,
}

/// Which formats of `br-int` alone have a record of a way, beside IPFIX; all have when
/// `br-ex` exports, too.
#[derive(Clone, Copy, PartialEq)]
pub enum Seen {
    ByAll,
    /// NetFlow has no record of IPv6.
    NotByNetFlow,
    /// The call enters `br-int` by a patch port and by nothing else.
    CallByIpfixAlone,
    /// The answer does.
    AnswerByIpfixAlone,
}

/// A way of packets.
#[derive(Clone)]
pub struct Cell {
    pub name: &'static str,
    pub kind: Kind,
    pub client: End,
    pub server: End,
    /// What the client calls.
    pub call: SocketAddr,
    /// Where the server is.
    pub listen: SocketAddr,
    pub seen: Seen,
}

/// What arrived of a call, and of its answer.
#[derive(Clone, Copy, Debug)]
pub struct Truth {
    pub call: Sum,
    pub answer: Sum,
}

/// All ways.
pub fn all(stage: &Stage) -> Result<Vec<Cell>> {
    let lab = &stage.lab;
    let pod = |name: &str| -> Result<End> {
        let pod = lab.pod("shop", name)?;
        Ok(End {
            netns: pod.netns().clone(),
            device: POD_DEVICE,
            address: pod.ip(),
        })
    };
    let v6 = |name: &str| -> Result<End> {
        let address = lab.pod("shop", name)?.addresses().v6.into();
        Ok(End {
            address,
            ..pod(name)?
        })
    };
    let on_localnet = |name: &str, address: std::net::Ipv4Addr| -> Result<End> {
        Ok(End {
            device: localnet::DEVICE,
            address: address.into(),
            ..pod(name)?
        })
    };
    let [node_a, node_b] = [lab.node("node-a")?, lab.node("node-b")?];
    let fabric = |node: &weir_lab::Node| IpAddr::from(node.addresses().fabric());
    let host = End {
        netns: node_a.netns().clone(),
        device: MANAGEMENT_DEVICE,
        address: node_a.addresses().management().into(),
    };
    let outside = End {
        netns: lab.outside().clone(),
        device: "eth0",
        address: OUTSIDE.into(),
    };
    let (client, near, roam, web) = (pod("client-1")?, pod("near-1")?, pod("roam-1")?, pod("web-1")?);
    let straight = |name, client: &End, server: &End, port| Cell {
        name,
        kind: Kind::Tcp,
        client: client.clone(),
        server: server.clone(),
        call: SocketAddr::new(server.address, port),
        listen: SocketAddr::new(server.address, port),
        seen: Seen::ByAll,
    };
    // The backends' port is 100 above the Service's; a node port is 23,000 above that.
    let by = |name, client: &End, address: IpAddr, port: u16, server: &End| {
        let target = if port < 30_000 { port + 100 } else { port - 22_900 };
        Cell {
            call: SocketAddr::new(address, port),
            listen: SocketAddr::new(server.address, target),
            ..straight(name, client, server, target)
        }
    };
    let (client_v6, near_v6, web_v6) = (v6("client-1")?, v6("near-1")?, v6("web-1")?);
    let other_host = End {
        netns: node_b.netns().clone(),
        address: node_b.addresses().management().into(),
        ..host.clone()
    };
    let node = End {
        address: fabric(&node_a),
        ..host.clone()
    };
    let [vm_1, vm_2] = [on_localnet("vm-1", VM_1)?, on_localnet("vm-2", VM_2)?];
    let [vm_3, vm_4] = [on_localnet("vm-3", VM_3)?, on_localnet("vm-4", VM_4)?];
    let ip = |address: std::net::Ipv4Addr| IpAddr::from(address);
    let ip6 = |address: std::net::Ipv6Addr| IpAddr::from(address);
    Ok(vec![
        straight("on one node", &client, &near, 7001),
        straight("across nodes", &client, &web, 7002),
        by("ClusterIP across nodes", &client, ip(WEB), 7003, &web),
        by("ClusterIP on one node", &client, ip(NEAR), 7004, &near),
        by("a pod to itself by its Service", &web, ip(SELF), 7005, &web),
        by(
            "node port, backend on another node",
            &outside,
            fabric(&node_a),
            30006,
            &web,
        ),
        by(
            "node port, backend on that node",
            &outside,
            fabric(&node_a),
            30007,
            &near,
        )
        .call_unseen(),
        by(
            "node port of node-b, backend on that node",
            &outside,
            fabric(&node_b),
            30027,
            &web,
        )
        .call_unseen(),
        by(
            "load balancer, backend on another node",
            &outside,
            ip(WEB_BALANCER),
            7008,
            &web,
        ),
        by(
            "load balancer, backend on that node",
            &outside,
            ip(NEAR_BALANCER),
            7009,
            &near,
        )
        .call_unseen(),
        straight("to the outside", &client, &outside, 7010).answer_unseen(),
        straight("to the outside by an egress IP", &roam, &outside, 7011),
        straight("to the outside from node-b", &web, &outside, 7026).answer_unseen(),
        straight("node to pod", &host, &near, 7012),
        straight("node to pod across nodes", &host, &web, 7013),
        straight("pod to node", &client, &node, 7014),
        straight("IPv6 on one node", &client_v6, &near_v6, 7015).v6(),
        straight("IPv6 across nodes", &client_v6, &web_v6, 7016).v6(),
        straight("UDP across nodes", &client, &web, 7017).kind(Kind::Udp),
        by("UDP by ClusterIP", &client, ip(WEB), 7018, &web).kind(Kind::Udp),
        straight("ICMP on one node", &client, &near, 0).kind(Kind::Ping),
        straight("ICMP across nodes", &client, &web, 0).kind(Kind::Ping),
        straight("ICMP to the outside", &client, &outside, 0)
            .kind(Kind::Ping)
            .answer_unseen(),
        straight("VLAN by localnet", &vm_1, &vm_2, 7019),
        straight("VLAN by localnet, addresses untold", &vm_3, &vm_4, 7025),
        straight("another node to pod", &other_host, &near, 7020),
        by("load balancer from a pod", &client, ip(WEB_BALANCER), 7021, &web),
        by("node port from a pod", &client, fabric(&node_a), 30022, &web),
        by(
            "ClusterIP by IPv6 across nodes",
            &client_v6,
            ip6(WEB_V6),
            7023,
            &web_v6,
        )
        .v6(),
        by(
            "a pod to itself by its Service and IPv6",
            &web_v6,
            ip6(SELF_V6),
            7024,
            &web_v6,
        )
        .v6(),
    ])
}

impl Cell {
    fn call_unseen(self) -> Self {
        self.seen(Seen::CallByIpfixAlone)
    }

    fn answer_unseen(self) -> Self {
        self.seen(Seen::AnswerByIpfixAlone)
    }

    fn v6(self) -> Self {
        self.seen(Seen::NotByNetFlow)
    }

    fn seen(self, seen: Seen) -> Self {
        Self { seen, ..self }
    }

    fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// One packet each way, at least.
    pub fn warm_up(&self) -> Result<()> {
        match self.kind {
            Kind::Tcp => self.converse(1),
            Kind::Udp => self.echo(1),
            Kind::Ping => ping(&self.client.netns, self.call.ip()).map(drop),
        }
    }

    /// Sends what is to be counted; what arrived.
    pub fn run(&self) -> Result<Truth> {
        match self.kind {
            Kind::Tcp => self.run_tcp(),
            Kind::Udp => {
                self.echo(DATAGRAMS)?;
                Ok(Truth::both(DATAGRAMS.into(), PAYLOAD as u64 + IPV4_AND_UDP))
            }
            Kind::Ping => {
                for _ in 0..PINGS {
                    ensure!(ping(&self.client.netns, self.call.ip())? == 1, "a ping was lost");
                }
                Ok(Truth::both(PINGS, PING))
            }
        }
    }

    /// The interfaces tell what arrived, what was sent twice included.
    fn run_tcp(&self) -> Result<Truth> {
        let before = [self.server.received()?, self.client.received()?];
        for _ in 0..CONVERSATIONS {
            self.converse(BYTES)?;
        }
        let [call, answer] = [
            self.server.received()?.since(before[0]),
            self.client.received()?.since(before[1]),
        ];
        if self.is_hairpin() {
            // One interface gets both; as much went one way as the other.
            return Ok(Truth {
                call,
                answer: Sum::default(),
            });
        }
        Ok(Truth { call, answer })
    }

    fn converse(&self, bytes: u64) -> Result<()> {
        converse(
            &self.client.netns,
            &self.server.netns,
            self.call,
            self.listen,
            bytes,
        )
    }

    fn echo(&self, count: u32) -> Result<()> {
        let (from, to) = (&self.client.netns, &self.server.netns);
        echo_udp(from, to, self.call, self.listen, count, PAYLOAD)
    }

    /// Whether client and server are one.
    pub fn is_hairpin(&self) -> bool {
        self.client.netns == self.server.netns
    }

    /// Whether a record is of the call.
    pub fn is_call(&self, record: &Value) -> bool {
        match self.kind {
            Kind::Ping => self.is_echo(record, 8, "dst_addr"),
            _ => self.is_at(&record["dst_port"]) || (self.is_hairpin() && self.is_at(&record["port"])),
        }
    }

    /// Whether a record is of the answer.
    pub fn is_answer(&self, record: &Value) -> bool {
        match self.kind {
            Kind::Ping => self.is_echo(record, 0, "addr"),
            _ => !self.is_hairpin() && self.is_at(&record["port"]),
        }
    }

    fn is_at(&self, port: &Value) -> bool {
        *port == self.call.port() || *port == self.listen.port()
    }

    fn is_echo(&self, record: &Value, kind: u8, far: &str) -> bool {
        record["proto"] == ICMP
            && record["icmp_type"] == kind
            && record[far] == self.server.address.to_string()
    }
}

impl Truth {
    fn both(packets: u64, each: u64) -> Self {
        let sum = Sum {
            packets,
            bytes: packets * each,
        };
        Self {
            call: sum,
            answer: sum,
        }
    }
}

impl End {
    fn received(&self) -> Result<Sum> {
        let counters = Counters::read(&self.netns, self.device)?;
        Ok(Sum {
            packets: counters.received_packets,
            bytes: counters.received_bytes - 14 * counters.received_packets,
        })
    }
}
