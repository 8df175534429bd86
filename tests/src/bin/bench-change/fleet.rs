//! Many nodes without a datapath: Node objects, an ovsdb-server with `br-int`
//! and a weir-node each, one controller for all.

use std::{
    fs,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::json;
use weir_lab::{Kubernetes, Lab, Netns, Process, Switch, files, product, wait_until};

use crate::watcher::Watcher;

const NAMESPACE: &str = "weir-system";
/// The namespace of the node daemons, and their account there.
const NODE_NAMESPACE: &str = "weir-node";
const NODE_ACCOUNT: &str = "weir-node";
const DEADLINE: Duration = Duration::from_secs(300);

/// One node's processes and the connection that watches its database.
struct Member {
    watcher: Watcher,
    daemon: Process,
    _switch: Switch,
}

/// All nodes and what configures them.
pub struct Fleet {
    kubernetes: Arc<Kubernetes>,
    members: Vec<Member>,
    _controller: Process,
}

/// What one daemon costs.
pub struct Cost {
    /// Resident memory in KiB, a daemon each.
    pub resident_kib: Vec<u64>,
    /// Share of one core at rest, a daemon each.
    pub idle_share: Vec<f64>,
}

/// Delays of one change: from `kubectl patch` being started, and from its
/// return, to the row, a node each. A row may be there before kubectl returns.
pub struct Delays {
    pub from_start: Vec<Duration>,
    pub from_return: Vec<Duration>,
}

impl Fleet {
    /// Raises everything and waits until every daemon has reported.
    pub fn raise(lab: &Lab, nodes: u16) -> Result<Self> {
        let kubernetes = lab.kubernetes()?;
        install(&kubernetes)?;
        let names: Vec<String> = (1..=nodes).map(|number| format!("node-{number:04}")).collect();
        create_nodes(lab, &kubernetes, &names)?;
        let mut command = Command::new(product::path("weir-controller")?);
        command.env(
            "KUBECONFIG",
            kubernetes.service_account_kubeconfig(NAMESPACE, "weir-controller")?,
        );
        let controller = lab.spawn(
            "weir-controller",
            command.args(["--namespace", NAMESPACE, "--daemon-pods", "none"]),
        )?;
        let members = names
            .iter()
            .map(|name| member(lab, name, &kubernetes))
            .collect::<Result<Vec<_>>>()?;
        let fleet = Self {
            kubernetes,
            members,
            _controller: controller,
        };
        fleet.wait_reported(names.len())?;
        Ok(fleet)
    }

    fn wait_reported(&self, nodes: usize) -> Result<()> {
        let path = "jsonpath={range .items[*]}{.status.observedGeneration}{\"\\n\"}{end}";
        wait_until("every daemon to report", DEADLINE, || {
            let text = self.kubernetes.kubectl(&["get", "nodeflowexports", "-o", path])?;
            let reported = text.lines().filter(|line| !line.is_empty()).count();
            anyhow::ensure!(reported == nodes, "{reported} of {nodes} have");
            Ok(true)
        })
    }

    /// Patches in a new target and takes the time until each node has its row.
    pub fn change(&self, round: u16) -> Result<Delays> {
        let target = format!("192.0.2.1:{}", 20_000 + round);
        let patch =
            format!(r#"{{"spec":{{"exportNetworkFlows":{{"netFlow":{{"collectors":["{target}"]}}}}}}}}"#);
        let start = Instant::now();
        self.kubernetes.kubectl(&[
            "patch",
            "network.operator",
            "cluster",
            "--type",
            "merge",
            "-p",
            &patch,
        ])?;
        let returned = Instant::now();
        let arrivals = self
            .members
            .iter()
            .map(|member| member.watcher.wait(&target, DEADLINE));
        let arrivals = arrivals.collect::<Result<Vec<_>>>()?;
        // Status reports follow; the next round begins when they are through.
        self.wait_settled()?;
        Ok(Delays {
            from_start: arrivals.iter().map(|at| at.duration_since(start)).collect(),
            from_return: arrivals
                .iter()
                .map(|at| at.saturating_duration_since(returned))
                .collect(),
        })
    }

    fn wait_settled(&self) -> Result<()> {
        let path =
            "jsonpath={range .items[*]}{.metadata.generation}={.status.observedGeneration}{\"\\n\"}{end}";
        wait_until("every daemon to report the change", DEADLINE, || {
            let text = self.kubernetes.kubectl(&["get", "nodeflowexports", "-o", path])?;
            Ok(text
                .lines()
                .all(|line| line.split_once('=').is_some_and(|(wanted, seen)| wanted == seen)))
        })
    }

    /// Memory now, and CPU time over a while in which nothing happens.
    pub fn cost(&self, rest: Duration) -> Result<Cost> {
        let ids: Vec<u32> = self.members.iter().map(|member| member.daemon.id()).collect();
        let before = ids.iter().map(|id| cpu_ticks(*id)).collect::<Result<Vec<_>>>()?;
        std::thread::sleep(rest);
        let after = ids.iter().map(|id| cpu_ticks(*id)).collect::<Result<Vec<_>>>()?;
        // USER_HZ is 100 on every Linux that Weir runs on.
        let share = |(a, b): (&u64, &u64)| (b - a) as f64 / 100.0 / rest.as_secs_f64();
        Ok(Cost {
            resident_kib: ids.iter().map(|id| resident_kib(*id)).collect::<Result<_>>()?,
            idle_share: before.iter().zip(&after).map(share).collect(),
        })
    }
}

fn install(kubernetes: &Kubernetes) -> Result<()> {
    let manifests = files::package().join("../manifests");
    kubernetes.kubectl(&["apply", "-k", &manifests.to_string_lossy()])?;
    kubernetes.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=60s",
    ])?;
    kubernetes.apply(
        "{apiVersion: operator.openshift.io/v1, kind: Network, metadata: {name: cluster}, spec: {}}",
    )?;
    Ok(())
}

fn create_nodes(lab: &Lab, kubernetes: &Kubernetes, names: &[String]) -> Result<()> {
    let node = |(i, name): (usize, &String)| {
        let address = format!("172.30.{}.{}", 100 + i / 250, 1 + i % 250);
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
               "status": {"addresses": [{"type": "InternalIP", "address": address}]}})
    };
    let items: Vec<_> = names.iter().enumerate().map(node).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let file = lab.directory().join("nodes.json");
    fs::write(&file, list)?;
    let file = file.to_str().context("the lab's folder is text")?;
    kubernetes.kubectl(&["apply", "--server-side", "-f", file])?;
    kubernetes.kubectl(&["apply", "--server-side", "--subresource=status", "-f", file])?;
    Ok(())
}

fn member(lab: &Lab, name: &str, kubernetes: &Kubernetes) -> Result<Member> {
    let directory = lab.directory().join("fleet").join(name);
    let switch = Switch::new(&Netns::underlay(), &directory)?;
    switch.create_database()?;
    switch.start_ovsdb(name)?;
    switch.vsctl(&["--no-wait", "add-br", "br-int"])?;
    let mut command = Command::new(product::path("weir-node")?);
    command.env(
        "KUBECONFIG",
        kubernetes.pod_kubeconfig(NODE_NAMESPACE, NODE_ACCOUNT, name)?,
    );
    command.args([
        "--node-name",
        name,
        "--ovsdb",
        &format!("unix:{}", switch.socket().display()),
    ]);
    let daemon = Process::spawn(name, &directory, &mut command)?;
    Ok(Member {
        watcher: Watcher::start(&switch.socket())?,
        daemon,
        _switch: switch,
    })
}

fn resident_kib(id: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("a process has memory")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

/// User and system time, fields 14 and 15 of proc(5)'s stat, after the name in
/// parentheses.
fn cpu_ticks(id: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let after = stat.rsplit_once(')').context("a name in parentheses")?.1;
    let field = |n: usize| {
        after
            .split_whitespace()
            .nth(n - 3)
            .context("a field")
            .and_then(|f| Ok(f.parse::<u64>()?))
    };
    Ok(field(14)? + field(15)?)
}
