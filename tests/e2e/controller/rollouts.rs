//! How changes reach the nodes where an ExportRollout says so: what the API server stores
//! of it, and what another controller makes of that.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use weir_lab::{harness::Case, product, program, wait_for, wait_until};

use crate::cluster::{Cluster, DEADLINE, NAMESPACE};

pub const CASES: &[Case<Cluster>] = &[
    Case::new(
        "a change goes to the canary, is watched, and goes to all",
        a_canary_then_all,
    ),
    Case::new(
        "nodes that fail return all to the last completed revision, and undo makes that so",
        an_aborted_change_returns_and_is_undone,
    ),
    Case::new(
        "a controller that dies between two steps is followed by one that goes on",
        another_leader_goes_on,
    ),
    Case::new(
        "a closed window holds changes up and no removal",
        a_closed_window_holds_no_removal_up,
    ),
    Case::new(
        "a person agrees after the first step, and a second change begins anew",
        approval_and_a_second_change,
    ),
    Case::new(
        "an ExportRollout that could never work is refused",
        what_cannot_work_is_refused,
    ),
    Case::new(
        "a controller that may keep no revisions lets no change through and says so",
        no_right_to_keep_revisions,
    ),
    Case::new(
        "a controller whose rights are older than it begins nothing, removes, and says so",
        rights_of_an_older_version,
    ),
];

const ROLLOUT: &[&str] = &["exportrollout", "cluster"];
const A: &str = "192.0.2.1:2055";
const B: &str = "192.0.2.2:2055";
const C: &str = "192.0.2.3:2055";
const NODES: [&str; 4] = ["a", "b", "c", "d"];

/// Four nodes that export to A, and an ExportRollout that has seen it.
fn begin(cluster: &mut Cluster, spec: Value) -> Result<()> {
    let gone = ["delete", "exportrollouts", "--all"];
    cluster.kube.kubectl(&gone)?;
    let revisions = ["delete", "controllerrevisions", "-n", NAMESPACE, "--all"];
    cluster.kube.kubectl(&revisions)?;
    cluster.begin(&NODES, &["--daemon-pods", "none"])?;
    cluster.export_to(A)?;
    for node in NODES {
        cluster.wait_target(node, Some(A))?;
    }
    well(cluster, &NODES)?;
    apply(cluster, spec)?;
    cluster.wait_condition(ROLLOUT, "Progressing", "False", &["Completed"])?;
    Ok(())
}

fn apply(cluster: &Cluster, spec: Value) -> Result<()> {
    let rollout = json!({"apiVersion": "weir.dev/v1alpha1", "kind": "ExportRollout",
        "metadata": {"name": "cluster"}, "spec": spec});
    cluster.kube.apply(&rollout.to_string()).map(drop)
}

fn well(cluster: &Cluster, nodes: &[&str]) -> Result<()> {
    let names: Vec<String> = nodes.iter().map(|node| (*node).to_owned()).collect();
    cluster.report_well(&names)
}

/// A node says that its spec cannot be applied.
fn fails(cluster: &Cluster, node: &str) -> Result<()> {
    let generation = cluster.kube.object(&["nodeflowexport", node])?["metadata"]["generation"].clone();
    let status = json!({"apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport", "metadata": {"name": node},
        "status": {"observedGeneration": generation, "protocols": "", "reason": "TransactionFailed",
        "conditions": [{"type": "Applied", "status": "False", "reason": "TransactionFailed", "message": "no such column",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    cluster.apply_list(
        vec![status],
        &["--subresource=status", "--field-manager=weir-node"],
    )
}

/// Nodes that are told to export there.
fn having(cluster: &Cluster, target: &str) -> Result<Vec<String>> {
    let list = cluster.kube.object(&["nodeflowexports"])?;
    let objects = list["items"].as_array().context("a list")?;
    let has = |object: &&Value| object["spec"]["bridges"][0]["netFlow"]["targets"] == json!([target]);
    let names = objects.iter().filter(has);
    Ok(names
        .filter_map(|object| object["metadata"]["name"].as_str().map(str::to_owned))
        .collect())
}

fn wait_having(cluster: &Cluster, target: &str, nodes: &[&str]) -> Result<()> {
    wait_until(&format!("{nodes:?} to have {target}"), DEADLINE, || {
        let having = having(cluster, target)?;
        ensure!(having == nodes, "{having:?} have");
        Ok(true)
    })
}

fn phase(cluster: &Cluster, phase: &str) -> Result<Value> {
    wait_for(&format!("the phase {phase}"), DEADLINE, || {
        let status = cluster.kube.object(ROLLOUT)?["status"].clone();
        ensure!(status["phase"] == phase, "it is {status}");
        Ok(Some(status))
    })
}

/// `weir rollout …` as an administrator; its exit code and what it says.
fn weir(cluster: &Cluster, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let kubeconfig: PathBuf = cluster.kube.kubeconfig();
    let mut command = Command::new(product::path("weir")?);
    command
        .env("KUBECONFIG", kubeconfig)
        .arg("rollout")
        .args(arguments);
    let output = command.output()?;
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Ok((output.status.code(), text.concat()))
}

fn succeeds(cluster: &Cluster, arguments: &[&str], words: &[&str]) -> Result<String> {
    let (code, text) = weir(cluster, arguments)?;
    ensure!(code == Some(0), "{arguments:?}: {code:?} {text}");
    for word in words {
        ensure!(text.contains(word), "{arguments:?} does not say {word:?}: {text}");
    }
    Ok(text)
}

fn a_canary_then_all(cluster: &mut Cluster) -> Result<()> {
    let canary = json!({"nodeSelector": {"matchLabels": {"kubernetes.io/hostname": "c"}}});
    begin(
        cluster,
        json!({"canary": canary, "steps": ["100%"], "soak": "2s"}),
    )?;
    cluster.export_to(B)?;
    wait_having(cluster, B, &["c"])?;
    let (code, text) = weir(cluster, &["status"])?;
    ensure!(
        code == Some(1) && text.contains("1 of 4") && text.contains("on its way to c"),
        "{text}"
    );
    // A new node gets what all others have.
    cluster.add_nodes(["e".to_owned()].into_iter())?;
    cluster.wait_target("e", Some(A))?;
    well(cluster, &["e"])?;
    well(cluster, &["c"])?;
    phase(cluster, "Soaking")?;
    let all = ["a", "b", "c", "d", "e"];
    wait_having(cluster, B, &all)?;
    well(cluster, &all)?;
    let status = phase(cluster, "Completed")?;
    ensure!(
        status["releasedNodes"] == 5 && status["revision"] == status["completedRevision"],
        "{status}"
    );
    succeeds(
        cluster,
        &["status", "--wait", "30"],
        &["Completed", "all nodes have revision"],
    )?;
    let history = succeeds(
        cluster,
        &["history", "--utc"],
        &["netFlow to 192.0.2.2:2055", "netFlow to 192.0.2.1:2055"],
    )?;
    ensure!(history.lines().count() == 3, "{history}");
    crate::faults::rest(cluster)
}

fn an_aborted_change_returns_and_is_undone(cluster: &mut Cluster) -> Result<()> {
    begin(cluster, json!({"steps": [1, "50%"], "soak": "1s"}))?;
    cluster.export_to(B)?;
    wait_having(cluster, B, &["a"])?;
    fails(cluster, "a")?;
    wait_having(cluster, A, &NODES)?;
    let words = ["NodesFailing", "TransactionFailed on a (no such column", "OVSDB"];
    cluster.wait_condition(ROLLOUT, "Aborted", "True", &words)?;
    cluster.wait_condition(ROLLOUT, "Paused", "True", &["weir rollout undo"])?;
    let network = &["network.operator", "cluster"];
    cluster.wait_condition(
        network,
        "FlowExportDegraded",
        "True",
        &["RolloutAborted", "no such column"],
    )?;
    ensure!(
        cluster
            .page("/metrics")?
            .contains("weir_controller_rollout_stopped 1"),
        "no metric"
    );
    let (code, text) = weir(cluster, &["status"])?;
    ensure!(code == Some(1) && text.contains("RolledBack"), "{text}");
    succeeds(cluster, &["undo", "--dry-run"], &["would be changed"])?;
    ensure!(
        cluster.kube.object(network)?["spec"].to_string().contains(B),
        "a dry run wrote"
    );
    succeeds(cluster, &["undo"], &["network/cluster changed"])?;
    ensure!(
        cluster.kube.object(network)?["spec"].to_string().contains(A),
        "nothing was undone"
    );
    phase(cluster, "Completed")?;
    cluster.wait_condition(ROLLOUT, "Aborted", "False", &[])?;
    ensure!(having(cluster, A)?.len() == 4, "a node was changed");
    // What was ended is not what is returned to.
    let (code, text) = weir(cluster, &["undo"])?;
    ensure!(
        code != Some(0) && text.contains("no earlier revision is kept that all nodes had"),
        "{code:?} {text}"
    );
    // To return where nodes never were since goes from step to step.
    well(cluster, &NODES)?;
    succeeds(cluster, &["undo", "--to", "2"], &["network/cluster changed"])?;
    wait_having(cluster, B, &["a"])
}

fn another_leader_goes_on(cluster: &mut Cluster) -> Result<()> {
    begin(cluster, json!({"steps": [1, 2, "100%"], "soak": "20s"}))?;
    cluster.export_to(B)?;
    wait_having(cluster, B, &["a"])?;
    kill(cluster)?;
    start(cluster)?;
    wait_having(cluster, B, &["a"])?;
    well(cluster, &["a"])?;
    let before = phase(cluster, "Soaking")?;
    kill(cluster)?;
    start(cluster)?;
    let after = phase(cluster, "Soaking")?;
    ensure!(
        before["since"] == after["since"] && before["rollout"] == after["rollout"],
        "{before} {after}"
    );
    ensure!(having(cluster, B)? == ["a"], "a soak was skipped");
    // Between the end of the soak and the next step.
    kill(cluster)?;
    let now = time(cluster, "/status/since", -60)?;
    start(cluster)?;
    wait_having(cluster, B, &["a", "b"])?;
    ensure!(now["step"] == 1, "{now}");
    well(cluster, &["a", "b"])?;
    phase(cluster, "Soaking")?;
    kill(cluster)?;
    time(cluster, "/status/since", -60)?;
    start(cluster)?;
    wait_having(cluster, B, &NODES)
}

fn kill(cluster: &mut Cluster) -> Result<()> {
    let controller = cluster.controller.take().context("it runs")?;
    controller.kill()?;
    Ok(())
}

fn start(cluster: &mut Cluster) -> Result<()> {
    cluster.start(&["--daemon-pods", "none"])
}

/// Moves a time in the status, as if so many seconds more had gone by; the status then.
fn time(cluster: &Cluster, path: &str, seconds: i64) -> Result<Value> {
    let status = cluster.kube.object(ROLLOUT)?["status"].clone();
    let moved = program::read(Command::new("date").args([
        "--utc",
        "+%Y-%m-%dT%H:%M:%SZ",
        "--date",
        &format!("{} {seconds} seconds", status["since"].as_str().context("since")?),
    ]))?;
    let patch = json!([{"op": "replace", "path": path, "value": moved.trim()}]).to_string();
    let patch = [
        "patch",
        ROLLOUT[0],
        ROLLOUT[1],
        "--subresource=status",
        "--type=json",
        "-p",
        &patch,
    ];
    cluster.kube.kubectl(&patch)?;
    Ok(status)
}

fn a_closed_window_holds_no_removal_up(cluster: &mut Cluster) -> Result<()> {
    // A window of a minute that is half a day away.
    let hour = program::read(Command::new("date").args(["--utc", "--date", "+12 hours", "+%H"]))?;
    let (from, to) = (format!("{}:00", hour.trim()), format!("{}:01", hour.trim()));
    let closed = json!({"steps": [1], "soak": "0s", "windows": [{"from": from, "to": to}]});
    begin(cluster, closed)?;
    cluster.export_to(B)?;
    cluster.wait_condition(ROLLOUT, "Progressing", "True", &["WindowClosed"])?;
    ensure!(having(cluster, A)?.len() == 4, "a node was changed");
    cluster.patch(&["network.operator", "cluster"], &Value::Null)?;
    for node in NODES {
        cluster.wait_target(node, None)?;
    }
    phase(cluster, "Completed")?;
    // In the middle of a rollout, too.
    begin(cluster, json!({"steps": [1], "soak": "1h"}))?;
    cluster.export_to(B)?;
    wait_having(cluster, B, &["a"])?;
    cluster.patch(&["network.operator", "cluster"], &Value::Null)?;
    for node in NODES {
        cluster.wait_target(node, None)?;
    }
    Ok(())
}

fn approval_and_a_second_change(cluster: &mut Cluster) -> Result<()> {
    begin(
        cluster,
        json!({"steps": [1, 2], "soak": "0s", "approval": "AfterFirstStep"}),
    )?;
    cluster.export_to(B)?;
    wait_having(cluster, B, &["a"])?;
    well(cluster, &["a"])?;
    cluster.wait_condition(
        ROLLOUT,
        "Paused",
        "True",
        &["AwaitingApproval", "weir rollout approve"],
    )?;
    succeeds(cluster, &["approve"], &["goes on"])?;
    wait_having(cluster, B, &["a", "b"])?;
    cluster.export_to(C)?;
    wait_having(cluster, C, &["a"])?;
    wait_having(cluster, B, &["b"])?;
    well(cluster, &["a"])?;
    phase(cluster, "AwaitingApproval")?;
    succeeds(cluster, &["approve"], &["goes on"])?;
    // The node that has not reported yet is not the next one.
    wait_having(cluster, C, &["a", "c"])?;
    // Without the object all get it at once.
    cluster.kube.kubectl(&["delete", ROLLOUT[0], ROLLOUT[1]])?;
    wait_having(cluster, C, &NODES)?;
    let (code, text) = weir(cluster, &["status"])?;
    ensure!(
        code == Some(2) && text.contains("all nodes at once"),
        "{code:?} {text}"
    );
    Ok(())
}

fn what_cannot_work_is_refused(cluster: &mut Cluster) -> Result<()> {
    let refused = |spec: Value, words: &str| match apply(cluster, spec.clone()) {
        Ok(()) => bail!("{spec} is taken"),
        Err(error) if format!("{error:#}").contains(words) => Ok(()),
        Err(error) => bail!("{spec}: {error:#}"),
    };
    for step in [
        json!(0),
        json!(5_000_000_000_u64),
        json!("0%"),
        json!("101%"),
        json!("ten"),
        json!("5"),
    ] {
        refused(json!({"steps": [step]}), "it is a number of nodes")?;
    }
    refused(json!({"steps": []}), "at least 1 items")?;
    refused(json!({"soak": "1d"}), "a soak is a time")?;
    refused(json!({"soak": "200h"}), "a soak is a time")?;
    refused(
        json!({"windows": [{"from": "05:00", "to": "05:00"}]}),
        "never opens",
    )?;
    refused(json!({"windows": [{"from": "25:00"}]}), "from")?;
    refused(json!({"windows": [{"timeZone": "Mars/Phobos"}]}), "Mars/Phobos")?;
    refused(json!({"abort": {"failingNodes": 0}}), "failingNodes")?;
    refused(json!({"abort": {"failingNodes": "half"}}), "failingNodes")?;
    for field in ["vswitchdMillicoresDelta", "lostPerSecond"] {
        refused(json!({"abort": {field: 5_000_000_000_u64}}), field)?;
    }
    let other = json!({"apiVersion": "weir.dev/v1alpha1", "kind": "ExportRollout", "metadata": {"name": "other"},
        "spec": {}});
    let error = cluster.kube.apply(&other.to_string()).expect_err("another name");
    ensure!(
        format!("{error:#}").contains("only the ExportRollout named cluster counts"),
        "{error:#}"
    );
    apply(
        cluster,
        json!({"soak": "1h30m", "abort": {"failingNodes": "10%"}, "windows": [{"days": ["Mon", "Tue"], "from": "22:00", "to": "05:00",
            "timeZone": "Europe/Berlin"}, {"to": "24:00"}]}),
    )?;
    let steps = cluster.kube.object(ROLLOUT)?["spec"]["steps"].clone();
    ensure!(steps == json!([1, "10%", "100%"]), "{steps}");
    cluster
        .kube
        .kubectl(&["delete", ROLLOUT[0], ROLLOUT[1]])
        .map(drop)
}

fn install_again(cluster: &Cluster) -> Result<()> {
    let manifests = weir_lab::files::package()
        .join("../manifests")
        .display()
        .to_string();
    let install = ["apply", "-k", &manifests, "--server-side", "--force-conflicts"];
    cluster.kube.kubectl(&install).map(drop)
}

/// Takes those rules out of a role of the controller, and starts it again.
fn start_with_fewer_rights(
    cluster: &mut Cluster,
    role: &[&str],
    is_taken: impl Fn(&Value) -> bool,
) -> Result<()> {
    let mut reduced = cluster.kube.object(role)?;
    let rules = reduced["rules"].as_array_mut().context("rules")?;
    rules.retain(|rule| !is_taken(rule));
    // As a person would write it: what the API server added stays out.
    let metadata = &reduced["metadata"];
    let mut named = json!({"name": metadata["name"]});
    if let Some(namespace) = metadata.get("namespace") {
        named["namespace"] = namespace.clone();
    }
    reduced["metadata"] = named;
    let file = cluster.lab.directory().join("role.json");
    fs::write(&file, reduced.to_string())?;
    let file = file.display().to_string();
    cluster.kube.kubectl(&["replace", "-f", &file])?;
    cluster.stop()?;
    start(cluster)
}

fn rights_of_an_older_version(cluster: &mut Cluster) -> Result<()> {
    begin(cluster, json!({"steps": [1], "soak": "0s"}))?;
    let of_rollouts = |rule: &Value| rule["resources"].to_string().contains("exportrollouts");
    start_with_fewer_rights(cluster, &["clusterrole", "weir-controller"], of_rollouts)?;
    cluster.export_to(B)?;
    let network = &["network.operator", "cluster"];
    let words = ["RolloutPaused", "may not list it, apply the manifests"];
    cluster.wait_condition(network, "FlowExportDegraded", "True", &words)?;
    ensure!(having(cluster, A)?.len() == 4, "a node was changed");
    cluster.patch(network, &Value::Null)?;
    for node in NODES {
        cluster.wait_target(node, None)?;
    }
    // The older version has no such kind either, and nothing is asked of it.
    let kind = "customresourcedefinition/exportrollouts.weir.dev";
    cluster.kube.kubectl(&["delete", kind])?;
    cluster.export_to(B)?;
    wait_having(cluster, B, &NODES)?;
    install_again(cluster)?;
    cluster
        .kube
        .kubectl(&["wait", "--for=condition=Established", "--timeout=60s", kind])
        .map(drop)
}

fn no_right_to_keep_revisions(cluster: &mut Cluster) -> Result<()> {
    begin(cluster, json!({"steps": [1], "soak": "0s"}))?;
    let role = ["role", "weir-controller", "-n", NAMESPACE];
    start_with_fewer_rights(cluster, &role, |rule| rule["apiGroups"][0] == "apps")?;
    cluster.export_to(B)?;
    cluster.wait_condition(
        ROLLOUT,
        "Paused",
        "True",
        &["HistoryUnknown", "controllerrevisions"],
    )?;
    ensure!(having(cluster, A)?.len() == 4, "a node was changed");
    cluster.patch(&["network.operator", "cluster"], &Value::Null)?;
    for node in NODES {
        cluster.wait_target(node, None)?;
    }
    // What is installed again works again.
    install_again(cluster)?;
    cluster.export_to(B)?;
    wait_until("the first node to have it", Duration::from_secs(120), || {
        Ok(having(cluster, B)?.len() == 1)
    })?;
    cluster
        .kube
        .kubectl(&["delete", ROLLOUT[0], ROLLOUT[1]])
        .map(drop)
}
