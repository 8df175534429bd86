//! All ways of packets: between pods, through Services, from nodes, to the outside.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Result;
use weir_lab::{Lab, Node, address::OUTSIDE, localnet, ovn::MANAGEMENT_DEVICE, pod::POD_DEVICE};

use crate::{
    cells::{Cell, End, Kind, Seen},
    cluster::{NEAR, NEAR_BALANCER, SELF, SELF_V6, VM_1, VM_2, VM_3, VM_4, WEB, WEB_BALANCER, WEB_V6},
};

/// All ways.
pub fn all(lab: &Lab) -> Result<Vec<Cell>> {
    let ends = Ends::of(lab)?;
    let mut cells = between_pods(&ends);
    cells.extend(on_localnet(lab)?);
    cells.extend(to_services(&ends));
    cells.extend(from_outside(&ends));
    cells.extend(to_outside(&ends));
    cells.extend(of_nodes(&ends));
    Ok(cells)
}

/// Ends that several ways have in common.
struct Ends {
    client: End,
    near: End,
    web: End,
    client_v6: End,
    near_v6: End,
    web_v6: End,
    /// Leaves by an egress IP.
    roam: End,
    outside: End,
    /// The nodes on their own ports among the pods.
    node_a: End,
    node_b: End,
    /// Their addresses on the fabric.
    fabric: [IpAddr; 2],
}

impl Ends {
    fn of(lab: &Lab) -> Result<Self> {
        let [node_a, node_b] = [lab.node("node-a")?, lab.node("node-b")?];
        let fabric = |node: &Node| IpAddr::from(node.addresses().fabric());
        Ok(Self {
            client: pod(lab, "client-1")?,
            near: pod(lab, "near-1")?,
            web: pod(lab, "web-1")?,
            client_v6: pod_v6(lab, "client-1")?,
            near_v6: pod_v6(lab, "near-1")?,
            web_v6: pod_v6(lab, "web-1")?,
            roam: pod(lab, "roam-1")?,
            outside: End {
                netns: lab.outside().clone(),
                device: "eth0",
                address: OUTSIDE.into(),
            },
            node_a: node(&node_a),
            node_b: node(&node_b),
            fabric: [fabric(&node_a), fabric(&node_b)],
        })
    }
}

fn pod(lab: &Lab, name: &str) -> Result<End> {
    let pod = lab.pod("shop", name)?;
    Ok(End {
        netns: pod.netns().clone(),
        device: POD_DEVICE,
        address: pod.ip(),
    })
}

fn pod_v6(lab: &Lab, name: &str) -> Result<End> {
    let address = lab.pod("shop", name)?.addresses().v6.into();
    Ok(End {
        address,
        ..pod(lab, name)?
    })
}

fn second(lab: &Lab, name: &str, address: Ipv4Addr) -> Result<End> {
    Ok(End {
        device: localnet::DEVICE,
        address: address.into(),
        ..pod(lab, name)?
    })
}

fn node(node: &Node) -> End {
    End {
        netns: node.netns().clone(),
        device: MANAGEMENT_DEVICE,
        address: node.addresses().management().into(),
    }
}

fn between_pods(ends: &Ends) -> Vec<Cell> {
    let Ends {
        client, near, web, ..
    } = ends;
    vec![
        straight("on one node", client, near, 7001),
        straight("across nodes", client, web, 7002),
        straight("IPv6 on one node", &ends.client_v6, &ends.near_v6, 7015).v6(),
        straight("IPv6 across nodes", &ends.client_v6, &ends.web_v6, 7016).v6(),
        straight("UDP across nodes", client, web, 7017).kind(Kind::Udp),
        straight("ICMP on one node", client, near, 0).kind(Kind::Ping),
        straight("ICMP across nodes", client, web, 0).kind(Kind::Ping),
    ]
}

fn on_localnet(lab: &Lab) -> Result<[Cell; 2]> {
    let [vm_1, vm_2] = [second(lab, "vm-1", VM_1)?, second(lab, "vm-2", VM_2)?];
    let [vm_3, vm_4] = [second(lab, "vm-3", VM_3)?, second(lab, "vm-4", VM_4)?];
    Ok([
        straight("VLAN by localnet", &vm_1, &vm_2, 7019),
        straight("VLAN by localnet, addresses untold", &vm_3, &vm_4, 7025).seen(Seen::TwiceByNetFlow),
    ])
}

fn to_services(ends: &Ends) -> Vec<Cell> {
    let Ends {
        client, near, web, ..
    } = ends;
    vec![
        by("ClusterIP across nodes", client, WEB, 7003, web),
        by("ClusterIP on one node", client, NEAR, 7004, near),
        by("ClusterIP by UDP", client, WEB, 7018, web).kind(Kind::Udp),
        by("ClusterIP by IPv6", &ends.client_v6, WEB_V6, 7023, &ends.web_v6).v6(),
        by("a pod to itself by its Service", web, SELF, 7005, web),
        by(
            "a pod to itself by its Service and IPv6",
            &ends.web_v6,
            SELF_V6,
            7024,
            &ends.web_v6,
        )
        .v6(),
        by("load balancer from a pod", client, WEB_BALANCER, 7021, web),
        by("node port from a pod", client, ends.fabric[0], 30022, web),
    ]
}

fn from_outside(ends: &Ends) -> Vec<Cell> {
    let Ends {
        outside, near, web, ..
    } = ends;
    let [node_a, node_b] = ends.fabric;
    vec![
        by("node port, backend on another node", outside, node_a, 30006, web),
        by("node port, backend on that node", outside, node_a, 30007, near).call_unseen(),
        by(
            "node port of node-b, backend on that node",
            outside,
            node_b,
            30027,
            web,
        )
        .call_unseen(),
        by(
            "load balancer, backend on another node",
            outside,
            WEB_BALANCER,
            7008,
            web,
        ),
        by(
            "load balancer, backend on that node",
            outside,
            NEAR_BALANCER,
            7009,
            near,
        )
        .call_unseen(),
    ]
}

fn to_outside(ends: &Ends) -> Vec<Cell> {
    let Ends { client, outside, .. } = ends;
    vec![
        straight("to the outside", client, outside, 7010).answer_unseen(),
        straight("to the outside from node-b", &ends.web, outside, 7026).answer_unseen(),
        straight("to the outside by an egress IP", &ends.roam, outside, 7011),
        straight("ICMP to the outside", client, outside, 0)
            .kind(Kind::Ping)
            .answer_unseen(),
    ]
}

fn of_nodes(ends: &Ends) -> Vec<Cell> {
    let by_fabric = End {
        address: ends.fabric[0],
        ..ends.node_a.clone()
    };
    vec![
        straight("node to pod", &ends.node_a, &ends.near, 7012),
        straight("node to pod across nodes", &ends.node_a, &ends.web, 7013),
        straight("another node to pod", &ends.node_b, &ends.near, 7020),
        straight("pod to node", &ends.client, &by_fabric, 7014),
    ]
}

/// The client calls the server by the server's own address.
fn straight(name: &'static str, client: &End, server: &End, port: u16) -> Cell {
    let server_address = SocketAddr::new(server.address, port);
    Cell {
        name,
        kind: Kind::Tcp,
        client: client.clone(),
        server: server.clone(),
        call: server_address,
        listen: server_address,
        seen: Seen::ByAll,
    }
}

/// The client calls an address of a Service. The backends' port is 100 above that of the
/// Service, and a node port 22,900 above the backends'.
fn by(name: &'static str, client: &End, address: impl Into<IpAddr>, port: u16, server: &End) -> Cell {
    let target = if port < 30_000 { port + 100 } else { port - 22_900 };
    Cell {
        call: SocketAddr::new(address.into(), port),
        ..straight(name, client, server, target)
    }
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
}
