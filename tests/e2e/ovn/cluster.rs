//! What is in the cluster: pods, Services, and both collectors.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    process::Command,
};

use anyhow::{Context, Result};
use weir_lab::{
    Options, Pod, PodSpec, Process,
    address::EGRESS,
    localnet::SecondInterface,
    ovn::service::{ServicePort, ServiceSpec},
    product, wait_until,
};

use crate::{
    cells::{self, Cell},
    stage::{DEADLINE, Stage},
};

/// Ports of the collector that takes names from the nodes' databases: NetFlow, IPFIX, sFlow.
const PORTS: [u16; 3] = [12055, 14739, 16343];
/// Its pages.
const HTTP: &str = "127.0.0.1:8081";
/// ClusterIPs.
pub const WEB: Ipv4Addr = Ipv4Addr::new(10, 96, 10, 1);
pub const NEAR: Ipv4Addr = Ipv4Addr::new(10, 96, 10, 2);
pub const SELF: Ipv4Addr = Ipv4Addr::new(10, 96, 10, 3);
pub const WEB_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 0x1001);
pub const SELF_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 0x1003);
/// Addresses of Services beyond the cluster.
pub const WEB_BALANCER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 20);
pub const NEAR_BALANCER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 21);
/// Second interfaces.
pub const VM_1: Ipv4Addr = Ipv4Addr::new(192, 168, 100, 11);
pub const VM_2: Ipv4Addr = Ipv4Addr::new(192, 168, 100, 12);
/// The same, whose addresses nobody tells.
pub const VM_3: Ipv4Addr = Ipv4Addr::new(192, 168, 100, 13);
pub const VM_4: Ipv4Addr = Ipv4Addr::new(192, 168, 100, 14);
/// A port of web-1 that a rule denies.
pub const DENIED: u16 = 7999;

/// The cluster, with the collector of the other suite beside one of its own.
pub struct Cluster {
    pub stage: Stage,
    pub by_switches: Process,
    pub cells: Vec<Cell>,
}

/// A collector: how it takes names, and where it listens.
pub struct Reader<'a> {
    pub names: &'static str,
    pub process: &'a Process,
    pub http: &'static str,
}

impl Cluster {
    /// Raises the stage and fills it.
    pub fn raise(options: Options) -> Result<Self> {
        let mut stage = Stage::raise(options)?;
        fill(&mut stage)?;
        let by_switches = start_by_switches(&stage)?;
        let cells = cells::all(&stage)?;
        let cluster = Self {
            stage,
            by_switches,
            cells,
        };
        // Addresses are resolved and flows in place before anything is counted.
        for cell in &cluster.cells {
            cell.warm_up()
                .with_context(|| format!("warm up: {}", cell.name))?;
        }
        Ok(cluster)
    }

    /// Both collectors.
    pub fn readers(&self) -> Result<[Reader<'_>; 2]> {
        let of_stage = self.stage.collector.as_ref().context("the collector runs")?;
        Ok([
            Reader {
                names: "names from Kubernetes",
                process: of_stage,
                http: "127.0.0.1:8080",
            },
            Reader {
                names: "names from OVSDB",
                process: &self.by_switches,
                http: HTTP,
            },
        ])
    }

    /// A pod of the namespace `shop`.
    pub fn pod(&self, name: &str) -> Result<Pod> {
        self.stage.lab.pod("shop", name)
    }
}

/// Where the second collector takes what goes to this one of the first.
pub fn second_target(first: &str) -> String {
    match first.rsplit_once(':') {
        Some((host, "2056")) => format!("{host}:{}", PORTS[0]),
        Some((host, "4739")) => format!("{host}:{}", PORTS[1]),
        Some((host, _)) => format!("{host}:{}", PORTS[2]),
        None => first.to_owned(),
    }
}

fn fill(stage: &mut Stage) -> Result<()> {
    let pod = |node, name, app| PodSpec::new(node, "shop", name).workload(app);
    stage.lab.add_pods(vec![
        pod("node-a", "client-1", "client"),
        pod("node-a", "near-1", "near"),
        pod("node-a", "roam-1", "roam"),
        pod("node-a", "vm-1", "vm"),
        pod("node-a", "vm-3", "vm"),
        pod("node-b", "web-1", "web"),
        pod("node-b", "vm-2", "vm"),
        pod("node-b", "vm-4", "vm"),
    ])?;
    let lab = &stage.lab;
    for (name, address, told) in [
        ("vm-1", VM_1, true),
        ("vm-2", VM_2, true),
        ("vm-3", VM_3, false),
        ("vm-4", VM_4, false),
    ] {
        let pod = lab.pod("shop", name)?;
        lab.attach_localnet(&SecondInterface { pod, address, told })?;
    }
    lab.add_services(&services(&lab.pod("shop", "near-1")?, &lab.pod("shop", "web-1")?))?;
    let ovn = lab.ovn()?;
    ovn.set_egress(
        &lab.pod("shop", "roam-1")?,
        lab.node("node-b")?.addresses(),
        EGRESS,
    )?;
    ovn.deny(&lab.pod("shop", "web-1")?, DENIED)
}

fn services(near: &Pod, web: &Pod) -> [ServiceSpec; 3] {
    let service = |name: &str, cluster_ip, backend: &Pod, ports: &[ServicePort]| ServiceSpec {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        cluster_ip,
        cluster_ip_v6: None,
        balancer: None,
        ports: ports.to_vec(),
        backends: vec![backend.clone()],
    };
    let tcp = |port, node_port| ServicePort {
        protocol: "tcp",
        port,
        target: port + 100,
        node_port,
    };
    let inside = [7003, 7008, 7021, 7023].map(|port| tcp(port, None));
    let at_nodes =
        [(7006, 30006), (7022, 30022), (7027, 30027)].map(|(port, number)| tcp(port, Some(number)));
    let udp = ServicePort {
        protocol: "udp",
        ..tcp(7018, None)
    };
    [
        ServiceSpec {
            cluster_ip_v6: Some(WEB_V6),
            balancer: Some(WEB_BALANCER),
            ..service("web", WEB, web, &[&inside[..], &at_nodes, &[udp]].concat())
        },
        ServiceSpec {
            balancer: Some(NEAR_BALANCER),
            ..service(
                "near",
                NEAR,
                near,
                &[tcp(7004, None), tcp(7007, Some(30007)), tcp(7009, None)],
            )
        },
        ServiceSpec {
            cluster_ip_v6: Some(SELF_V6),
            ..service("self", SELF, web, &[tcp(7005, None), tcp(7024, None)])
        },
    ]
}

/// A collector that knows what the nodes' Open vSwitch says, and nothing of Kubernetes.
fn start_by_switches(stage: &Stage) -> Result<Process> {
    let mut command = Command::new(product::path("weir-collector")?);
    for node in stage.lab.nodes() {
        command.args(["--ovsdb", &node.ovsdb_remote()]);
    }
    for port in PORTS {
        command.args(["--listen", &format!("172.30.0.1:{port}")]);
    }
    command.args(["--http", HTTP]);
    let process = stage.lab.spawn("weir-collector-ovsdb", &mut command)?;
    wait_until("the second collector to be ready", DEADLINE, || {
        Ok(stage.http(HTTP, "/readyz").is_ok())
    })?;
    Ok(process)
}
