//! What is in the cluster: pods, Services, and both collectors.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
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
    cells::Cell,
    setting::{ALL, Format, Log},
    stage::{DEADLINE, Stage},
    ways,
};

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
/// Where the nodes' datagrams come from.
const UNDERLAY: &str = "172.30.0.0/24";
/// A port of web-1 that a rule denies.
pub const DENIED: u16 = 7999;

/// The cluster, with the collector of the other suite and some beside it.
pub struct Cluster {
    pub stage: Stage,
    others: Vec<Other>,
    pub cells: Vec<Cell>,
}

/// A collector that gets what the stage's gets, and takes names elsewhere.
struct Other {
    names: &'static str,
    process: Process,
    /// What it adds to the ports of the stage's collector.
    shift: u16,
}

/// A collector, and how it takes names.
pub struct Reader<'a> {
    pub names: &'static str,
    pub process: &'a Process,
    pub http: String,
}

impl Cluster {
    /// Raises the stage and fills it.
    pub fn raise(options: Options) -> Result<Self> {
        let mut stage = Stage::raise(options)?;
        fill(&mut stage)?;
        let switches = stage
            .lab
            .nodes()
            .map(|node| ["--ovsdb".to_owned(), node.ovsdb_remote()]);
        // OVSDB tells which address a node's tunnels have, not where its datagrams come from.
        let relay = ["--relay".to_owned(), UNDERLAY.to_owned()];
        let switches: Vec<String> = switches.flatten().chain(relay).collect();
        let northbound = ["--ovn-nb".to_owned(), stage.lab.ovn()?.northbound_remote()];
        let all: Vec<String> = switches.iter().cloned().chain(northbound).collect();
        let others = vec![
            Other::start(&stage, 1, "names from OVSDB", &switches)?,
            Other::start(&stage, 2, "names from OVSDB and OVN's northbound database", &all)?,
        ];
        let cells = ways::all(&stage.lab)?;
        let cluster = Self { stage, others, cells };
        // Addresses are resolved and flows in place before anything is counted.
        for cell in &cluster.cells {
            cell.warm_up()
                .with_context(|| format!("warm up: {}", cell.name))?;
        }
        Ok(cluster)
    }

    /// All collectors.
    pub fn readers(&self) -> Result<Vec<Reader<'_>>> {
        let mut readers = vec![Reader {
            names: "names from Kubernetes",
            process: self.stage.collector.as_ref().context("the collector runs")?,
            http: http(0),
        }];
        readers.extend(self.others.iter().map(|other| Reader {
            names: other.names,
            process: &other.process,
            http: http(other.shift),
        }));
        Ok(readers)
    }

    /// Where each of these formats goes.
    pub fn targets(&self, formats: &[Format]) -> Vec<Vec<String>> {
        let all = |first: &str| {
            let others = self.others.iter().filter_map(|other| shifted(first, other.shift));
            std::iter::once(first.to_owned()).chain(others).collect()
        };
        formats.iter().map(|(_, first, _)| all(first)).collect()
    }

    /// A pod of the namespace `shop`.
    pub fn pod(&self, name: &str) -> Result<Pod> {
        self.stage.lab.pod("shop", name)
    }
}

/// What each collector prints from now on.
pub fn logs(readers: &[Reader<'_>]) -> Result<Vec<Log>> {
    readers
        .iter()
        .map(|reader| Log::from_now(reader.process))
        .collect()
}

impl Other {
    /// Starts a collector that knows nothing of Kubernetes.
    fn start(stage: &Stage, number: u16, names: &'static str, arguments: &[String]) -> Result<Self> {
        let shift = 10_000 * number;
        let mut command = Command::new(product::path("weir-collector")?);
        command.args(arguments).args(["--http", &http(shift)]);
        for (_, first, _) in ALL {
            let address = shifted(first, shift).context("a target has a port")?;
            command.args(["--listen", &address]);
        }
        let process = stage
            .lab
            .spawn(&format!("weir-collector-{number}"), &mut command)?;
        wait_until("another collector to be ready", DEADLINE, || {
            Ok(stage.http(&http(shift), "/readyz").is_ok())
        })?;
        Ok(Self {
            names,
            process,
            shift,
        })
    }
}

/// The pages of the collector whose ports are so much above the first's.
fn http(shift: u16) -> String {
    format!("127.0.0.1:{}", 8080 + shift)
}

fn shifted(target: &str, shift: u16) -> Option<String> {
    let target: SocketAddr = target.parse().ok()?;
    Some(SocketAddr::new(target.ip(), target.port() + shift).to_string())
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
    lab.set_egress(&lab.pod("shop", "roam-1")?, &*lab.node("node-b")?, EGRESS)?;
    lab.ovn()?.deny(&lab.pod("shop", "web-1")?, DENIED)
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
