//! Networks that freeze, API servers that refuse, and many nodes.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use weir_lab::{
    address::UNDERLAY,
    harness::Case,
    program,
    relay::Relay,
    simulated::{DatabaseMode, RequestCounts, SimulatedNodes},
    wait_until,
};

use crate::cluster::{Cluster, DEADLINE, NETWORK};

pub const CASES: &[Case<Cluster>] = &[
    Case::new(
        "a change arrives although the watches' connections have died without a word",
        a_frozen_watch_is_found_out,
    ),
    Case::new(
        "a thousand nodes that the API server refuses cost it twenty writes a second at most",
        refusals_are_not_hammered,
    ),
    Case::new(
        "many daemons that lose the same thing at the same time write it once, and then little",
        daemons_that_fail_together_write_little,
    ),
];

const TARGET: &str = "192.0.2.9:2056";
const NODES: usize = 1000;
/// Daemons that fail together, unless `WEIR_TEST_DAEMONS` says how many: a thousand take two
/// cores ten minutes.
const DAEMONS: usize = 250;
/// What a thousand daemons and the API server on two cores take to start, or to say all of them
/// the same, at the most.
const FLEET: Duration = Duration::from_secs(300);
/// How long a failure is watched.
const WINDOW: Duration = Duration::from_secs(30);
/// Most writes in a second that a failure may cost.
const MOST: u64 = 20;

fn a_frozen_watch_is_found_out(cluster: &mut Cluster) -> Result<()> {
    cluster.begin(&["a"], &[])?;
    cluster.wait_target("a", None)?;
    cluster.stop()?;
    let server: SocketAddr = format!("{UNDERLAY}:6443").parse()?;
    let relay = Relay::start(server)?;
    let kubeconfig = cluster.kubeconfig_through(relay.address())?;
    cluster.start_through(&kubeconfig, &["--daemon-pods", "none"])?;
    cluster.export_to(TARGET)?;
    cluster.wait_target("a", Some(TARGET))?;
    relay.freeze();
    cluster.export_to("192.0.2.10:2056")?;
    // Before, it took as long as a watch may last: five minutes.
    cluster.wait_target("a", Some("192.0.2.10:2056"))
}

/// Denies the controller what it writes for nodes, and nobody else.
const POLICY: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: refuse}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [weir.dev], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [nodeflowexports]}
  matchConditions:
  - {name: controller, expression: 'request.userInfo.username.endsWith(":weir-controller")'}
  validations:
  - {expression: "false", message: "nobody may, today"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: refuse}
spec: {policyName: refuse, validationActions: [Deny]}
"#;

fn refusals_are_not_hammered(cluster: &mut Cluster) -> Result<()> {
    let nodes: Vec<String> = (0..NODES).map(|n| format!("node-{n:04}")).collect();
    cluster.begin(&[], &["--daemon-pods", "none"])?;
    cluster.add_nodes(nodes.iter().cloned())?;
    wait_until("every node to have its object", DEADLINE, || {
        Ok(cluster.kube.object(&["nodeflowexports"])?["items"]
            .as_array()
            .map(Vec::len)
            == Some(NODES))
    })?;
    cluster.export_to(TARGET)?;
    cluster.wait_target(&nodes[NODES - 1], Some(TARGET))?;
    cluster.report_well(&nodes)?;
    cluster.wait_condition(NETWORK, "FlowExportAvailable", "True", &["all 1000 nodes export"])?;
    rest(cluster)?;

    cluster.kube.apply(POLICY)?;
    wait_until("the policy to be in force", DEADLINE, || {
        let error = create_as_controller(cluster).expect_err("there is one of that name at the latest");
        Ok(format!("{error:#}").contains("nobody may"))
    })?;
    cluster.export_to("192.0.2.10:2056")?;
    cluster.wait_condition(
        NETWORK,
        "FlowExportDegraded",
        "True",
        &["NotWritten", "nobody may, today"],
    )?;
    let (began, before) = (Instant::now(), cluster.writes()?);
    thread::sleep(Duration::from_secs(10));
    let (seconds, writes) = (began.elapsed().as_secs().max(1), cluster.writes()? - before);
    ensure!(writes <= MOST * seconds, "{writes} writes in {seconds} s");
    ensure!(writes > 0, "it gave up");

    cluster
        .kube
        .kubectl(&["delete", "validatingadmissionpolicybinding", "refuse"])?;
    cluster
        .kube
        .kubectl(&["delete", "validatingadmissionpolicy", "refuse"])?;
    wait_until("every node to be told", DEADLINE, || {
        let exports = cluster.kube.object(&["nodeflowexports"])?;
        let target =
            |export: &&Value| export["spec"]["bridges"][0]["netFlow"]["targets"][0] == "192.0.2.10:2056";
        let told = exports["items"]
            .as_array()
            .context("a list")?
            .iter()
            .filter(target)
            .count();
        ensure!(told == NODES, "{told} are");
        Ok(true)
    })?;
    cluster.report_well(&nodes)?;
    cluster.wait_condition(NETWORK, "FlowExportDegraded", "False", &["AsExpected"])?;
    rest(cluster)?;
    // Every node's status changes all the time: the source's is written now and then.
    let before = reports(cluster)?;
    let began = Instant::now();
    for round in 0..5 {
        flap(cluster, &nodes, round)?;
    }
    let (seconds, reports) = (began.elapsed().as_secs().max(1), reports(cluster)? - before);
    ensure!(
        reports <= 5 + seconds.div_ceil(5),
        "{reports} reports in {seconds} s"
    );
    Ok(())
}

/// The code of the daemons themselves, in every failure that all of them can have at once.
fn daemons_that_fail_together_write_little(cluster: &mut Cluster) -> Result<()> {
    let count = match std::env::var("WEIR_TEST_DAEMONS") {
        Ok(text) => text.parse().context("WEIR_TEST_DAEMONS")?,
        Err(_) => DAEMONS,
    };
    let nodes: Vec<String> = (0..count).map(|n| format!("node-{n:04}")).collect();
    cluster.begin(&[], &["--daemon-pods", "none"])?;
    cluster.add_nodes(nodes.iter().cloned())?;
    cluster.export_to(TARGET)?;
    let daemons = SimulatedNodes::start(&cluster.lab, &cluster.kube, &nodes)?;
    let all = format!("all {count} nodes export");
    cluster.wait_long(FLEET, NETWORK, "FlowExportAvailable", "True", &[&all])?;
    daemons_rest(cluster)?;
    reports_have_a_lane(cluster)?;

    // Nobody has a database: each says so once, and waits.
    daemons.set(DatabaseMode::Down)?;
    cluster.wait_long(FLEET, NETWORK, "FlowExportAvailable", "False", &[])?;
    daemons_rest(cluster)?;
    daemons.set(DatabaseMode::Up)?;
    cluster.wait_long(FLEET, NETWORK, "FlowExportAvailable", "True", &[&all])?;
    daemons_rest(cluster)?;

    refused_daemons(cluster, &daemons, &nodes)?;
    daemons.set(DatabaseMode::Up)?;
    cluster.wait_long(FLEET, NETWORK, "FlowExportAvailable", "True", &[&all])?;
    daemons_rest(cluster)?;
    // Switches that take nothing over: each node says that it waits, and then that it waits in
    // vain.
    daemons.set(DatabaseMode::Hang)?;
    let writes = FailureWindow::begin(cluster)?;
    cluster.export_to("192.0.2.10:2056")?;
    cluster.wait_long(
        FLEET,
        NETWORK,
        "FlowExportDegraded",
        "True",
        &["SwitchNotResponding"],
    )?;
    writes.end(cluster, 2 * count)?;
    daemons.set(DatabaseMode::Up)?;
    cluster.export_to(TARGET)?;
    cluster.wait_long(FLEET, NETWORK, "FlowExportAvailable", "True", &[&all])?;
    // Databases that come and go: gaps of 1, 3, 9, 27 and then 60 to 120 s, give or take a
    // third, leave five reports at most.
    let writes = FailureWindow::begin(cluster)?;
    daemons.set(DatabaseMode::Flap)?;
    writes.end(cluster, 5 * count)?;
    daemons.stop(DEADLINE)
}

/// What nodes report waits in a queue of its own at the API server, and nothing else does.
fn reports_have_a_lane(cluster: &Cluster) -> Result<()> {
    let text = cluster.kube.kubectl(&["get", "--raw", "/metrics"])?;
    let queued = "apiserver_flowcontrol_request_wait_duration_seconds_count{execute=\"true\",flow_schema=\"weir-node-reports\"";
    let line = text.lines().find(|line| line.starts_with(queued));
    let count = line
        .and_then(|line| line.rsplit_once(' '))
        .context("no report was queued")?
        .1;
    let (count, reports) = (count.parse::<u64>()?, daemons_asked(cluster)?.writes);
    ensure!(count > 0 && count <= reports, "{count} of {reports} reports");
    Ok(())
}

/// The API server refuses what they say: a second attempt, then minutes.
fn refused_daemons(cluster: &Cluster, daemons: &SimulatedNodes, nodes: &[String]) -> Result<()> {
    let node = nodes.first().context("a node")?;
    let policy = POLICY.replace("[nodeflowexports]", "[nodeflowexports/status]");
    let of_all = policy.replace(
        r#"request.userInfo.username.endsWith(":weir-controller")"#,
        "true",
    );
    cluster.kube.apply(&of_all)?;
    wait_until("the policy to be in force", DEADLINE, || {
        Ok(report(cluster, node).is_err_and(|refused| format!("{refused:#}").contains("nobody may")))
    })?;
    let writes = FailureWindow::begin(cluster)?;
    daemons.set(DatabaseMode::Down)?;
    let writes = writes.end(cluster, 2 * nodes.len())?;
    ensure!(writes > 0, "they gave up");
    for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
        cluster.kube.kubectl(&["delete", kind, "refuse"])?;
    }
    Ok(())
}

/// A failure that is watched for a [`WINDOW`].
struct FailureWindow {
    began: Instant,
    before: RequestCounts,
}

impl FailureWindow {
    fn begin(cluster: &Cluster) -> Result<Self> {
        Ok(Self {
            before: daemons_asked(cluster)?,
            began: Instant::now(),
        })
    }

    /// What the daemons have tried to write: so much altogether, and what they may write in a second.
    fn end(self, cluster: &Cluster, once: usize) -> Result<u64> {
        thread::sleep(WINDOW);
        let writes = daemons_asked(cluster)?.since(self.before).writes;
        let seconds = self.began.elapsed().as_secs();
        let most = once as u64 + MOST * seconds;
        ensure!(
            writes <= most,
            "{writes} writes in {seconds} s, {most} are the most"
        );
        Ok(writes)
    }
}

/// What the daemons have asked so far.
fn daemons_asked(cluster: &Cluster) -> Result<RequestCounts> {
    RequestCounts::of(&cluster.kube, "weir-node:weir-node")
}

/// They write nothing once all is said.
fn daemons_rest(cluster: &Cluster) -> Result<()> {
    wait_until("the daemons' writes to end", FLEET, || {
        let before = daemons_asked(cluster)?;
        thread::sleep(Duration::from_secs(6));
        let writes = daemons_asked(cluster)?.since(before).writes;
        ensure!(writes == 0, "{writes} writes at rest");
        Ok(true)
    })
}

/// A status that no daemon writes.
fn report(cluster: &Cluster, node: &str) -> Result<String> {
    let patch = r#"{"status":{"protocols":"x"}}"#;
    let arguments = [
        "patch",
        "nodeflowexport",
        node,
        "--subresource=status",
        "--type=merge",
        "-p",
        patch,
    ];
    cluster.kube.kubectl(&arguments)
}

/// An object that stands for no node, which the controller leaves alone.
fn create_as_controller(cluster: &Cluster) -> Result<String> {
    let probe = json!({"apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport", "metadata": {"name": "probe"},
        "spec": {}});
    let mut command = cluster.kube.command();
    command.args([
        "create",
        "-f",
        "-",
        "--as",
        "system:serviceaccount:weir-system:weir-controller",
    ]);
    program::read_with_input(&mut command, &probe.to_string())?;
    anyhow::bail!("it was created")
}

/// Nothing is written once all is said.
pub fn rest(cluster: &Cluster) -> Result<()> {
    wait_until("writes to end", DEADLINE, || {
        let before = cluster.writes()?;
        thread::sleep(Duration::from_secs(6));
        let after = cluster.writes()?;
        ensure!(before == after, "{} writes at rest", after - before);
        Ok(true)
    })
}

fn reports(cluster: &Cluster) -> Result<u64> {
    let text = cluster.page("/metrics")?;
    let line = text
        .lines()
        .find(|line| line.starts_with("weir_controller_reports_total{result=\"ok\"}"));
    Ok(line
        .context("reports")?
        .rsplit_once(' ')
        .context("a value")?
        .1
        .parse()?)
}

/// A hundred nodes report another error.
fn flap(cluster: &Cluster, nodes: &[String], round: usize) -> Result<()> {
    let list = cluster.kube.object(&["nodeflowexports"])?;
    let generation = list["items"][0]["metadata"]["generation"].clone();
    let status = |node: &String| {
        json!({"apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport", "metadata": {"name": node},
            "status": {"observedGeneration": generation, "protocols": "", "reason": "OvsdbUnreachable",
            "conditions": [{"type": "Applied", "status": "False", "reason": "OvsdbUnreachable",
                "message": format!("attempt {round}"), "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})
    };
    let statuses = nodes[..100].iter().map(status).collect();
    cluster.apply_list(statuses, &["--subresource=status", "--field-manager=weir-node"])
}
