//! Many nodes without a datapath: Node objects, an ovsdb-server with `br-int`
//! and a weir-node each, beside them simulated ones, one controller for all.

use std::{
    fs,
    process::Command,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result};
use serde_json::json;
use weir_lab::{
    Kubernetes, Lab, Netns, Process, Switch, files, product,
    simulated::{RequestCounts, SimulatedNodes, spec_writes},
    wait_until,
};

use crate::watcher::Watcher;

const NAMESPACE: &str = "weir-system";
/// The namespace of the node daemons, and their account there.
const NODE_NAMESPACE: &str = "weir-node";
const NODE_ACCOUNT: &str = "weir-node";
const DEADLINE: Duration = Duration::from_secs(300);
/// Details of status are written once in one to two minutes.
const REST_DEADLINE: Duration = Duration::from_secs(150);
/// So long without a write is rest.
const QUIET: Duration = Duration::from_secs(5);

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
    simulated: Option<SimulatedNodes>,
    controller: Process,
}

/// What the controller and the daemons ask of the API server.
#[derive(Debug, Clone, Copy)]
pub struct Requests {
    pub controller: RequestCounts,
    pub daemons: RequestCounts,
}

/// Who they are.
const CONTROLLER: &str = "weir-system:weir-controller";
const DAEMONS: &str = "weir-node:weir-node";

/// What one daemon costs.
pub struct Cost {
    /// Resident memory in KiB, a daemon each.
    pub resident_kib: Vec<u64>,
    /// Share of one core at rest, a daemon each.
    pub idle_share: Vec<f64>,
    /// Resident memory of the controller in KiB: now, and the most so far.
    pub controller_kib: [u64; 2],
    /// Requests at rest, and over how long.
    pub at_rest: (Requests, Duration),
}

/// Delays of one change: from `kubectl patch` being started, and from its
/// return, to the row, a node each. A row may be there before kubectl returns.
pub struct Delays {
    pub from_start: Vec<Duration>,
    pub from_return: Vec<Duration>,
    /// From the start to the answer of the API server to each node's spec.
    pub written: Vec<Duration>,
    /// What the change asked of the API server, reports of status included.
    pub requests: Requests,
}

impl Fleet {
    /// Raises everything and waits until every daemon has reported.
    /// Nodes beyond `real` are simulated.
    pub fn raise(lab: &Lab, nodes: u16, real: u16) -> Result<Self> {
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
        let (with_switch, without) = names.split_at(names.len().min(real.into()));
        let members = with_switch
            .iter()
            .map(|name| member(lab, name, &kubernetes))
            .collect::<Result<Vec<_>>>()?;
        let simulated = match without {
            [] => None,
            names => Some(SimulatedNodes::start(lab, &kubernetes, names)?),
        };
        let fleet = Self {
            kubernetes,
            members,
            simulated,
            controller,
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
    pub fn change(&mut self, round: u16) -> Result<Delays> {
        let target = format!("192.0.2.1:{}", 20_000 + round);
        let patch =
            format!(r#"{{"spec":{{"exportNetworkFlows":{{"netFlow":{{"collectors":["{target}"]}}}}}}}}"#);
        let before = self.requests()?;
        let (start, started) = (Instant::now(), SystemTime::now());
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
        let mut delays = arrivals
            .map(|at| at.map(|at| at.duration_since(start)))
            .collect::<Result<Vec<_>>>()?;
        if let Some(simulated) = &mut self.simulated {
            delays.extend(simulated.wait_rows(&target, started, DEADLINE)?);
        }
        // Status reports follow; the next round begins when they are through.
        self.wait_settled()?;
        let patched = returned.duration_since(start);
        Ok(Delays {
            from_return: delays.iter().map(|delay| delay.saturating_sub(patched)).collect(),
            from_start: delays,
            written: spec_writes(&self.kubernetes, CONTROLLER, started)?,
            requests: self.requests()?.since(before),
        })
    }

    /// Waits until nobody writes any more.
    pub fn wait_rest(&self) -> Result<()> {
        wait_until("writes to end", REST_DEADLINE, || {
            let before = self.requests()?;
            std::thread::sleep(QUIET);
            let since = self.requests()?.since(before);
            anyhow::ensure!(since.writes() == 0, "{} in {QUIET:?}", since.writes());
            Ok(true)
        })
    }

    fn requests(&self) -> Result<Requests> {
        Ok(Requests {
            controller: RequestCounts::of(&self.kubernetes, CONTROLLER)?,
            daemons: RequestCounts::of(&self.kubernetes, DAEMONS)?,
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
        let asked = self.requests()?;
        let before = ids.iter().map(|id| cpu_ticks(*id)).collect::<Result<Vec<_>>>()?;
        std::thread::sleep(rest);
        let after = ids.iter().map(|id| cpu_ticks(*id)).collect::<Result<Vec<_>>>()?;
        // USER_HZ is 100 on every Linux that Weir runs on.
        let share = |(a, b): (&u64, &u64)| (b - a) as f64 / 100.0 / rest.as_secs_f64();
        Ok(Cost {
            resident_kib: ids
                .iter()
                .map(|id| memory_kib(*id, "VmRSS:"))
                .collect::<Result<_>>()?,
            controller_kib: [
                memory_kib(self.controller.id(), "VmRSS:")?,
                memory_kib(self.controller.id(), "VmHWM:")?,
            ],
            at_rest: (self.requests()?.since(asked), rest),
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

impl Requests {
    /// Those since then.
    pub fn since(self, before: Self) -> Self {
        Self {
            controller: self.controller.since(before.controller),
            daemons: self.daemons.since(before.daemons),
        }
    }

    fn writes(&self) -> u64 {
        self.controller.writes + self.daemons.writes
    }
}

/// A line of proc(5)'s status.
fn memory_kib(id: u32, line: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let value = status
        .lines()
        .find_map(|shown| shown.strip_prefix(line))
        .context("a process has memory")?;
    Ok(value.trim().trim_end_matches(" kB").trim().parse()?)
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
