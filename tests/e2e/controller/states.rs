//! What the conditions say of nodes, daemons and profiles.

use anyhow::{Result, ensure};
use serde_json::json;
use weir_lab::{harness::Case, wait_until};

use crate::cluster::{Cluster, DEADLINE, NETWORK};

pub const CASES: &[Case<Cluster>] = &[
    Case::new(
        "nodes that run no daemon are left out and one whose daemon is dead is not well",
        dead_and_absent_daemons,
    ),
    Case::new(
        "a node that does not report in time fails and progress ends",
        a_deadline_ends_progress,
    ),
    Case::new(
        "a condition that somebody forged or removed is put right",
        forged_conditions_are_put_right,
    ),
    Case::new(
        "a profile says whom it serves and turns export off for them",
        profiles_tell_whom_they_serve,
    ),
];

const TARGET: &str = "192.0.2.9:2056";

fn names(nodes: &[&str]) -> Vec<String> {
    nodes.iter().map(|node| (*node).to_owned()).collect()
}

fn dead_and_absent_daemons(cluster: &mut Cluster) -> Result<()> {
    cluster.begin(&["a", "b"], &[])?;
    let windows = json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "win", "labels": {"kubernetes.io/os": "windows"}}});
    cluster.apply_list(vec![windows], &[])?;
    cluster.add_daemon("a", true)?;
    cluster.add_daemon("b", true)?;
    cluster.export_to(TARGET)?;
    for node in ["a", "b", "win"] {
        cluster.wait_target(node, Some(TARGET))?;
    }
    cluster.report_well(&names(&["a", "b"]))?;
    let left_out = "all 2 nodes export; 1 of 3 nodes are left out: win runs windows";
    cluster.wait_condition(NETWORK, "FlowExportAvailable", "True", &[left_out])?;
    cluster.wait_condition(NETWORK, "FlowExportProgressing", "False", &["UpToDate"])?;
    cluster.add_daemon("b", false)?;
    let words = [
        "1 of 2 nodes fail: DaemonNotRunning on b (pod weir-node-b",
        "kubectl describe pod",
    ];
    cluster.wait_condition(NETWORK, "FlowExportDegraded", "True", &words)?;
    cluster.wait_condition(
        NETWORK,
        "FlowExportAvailable",
        "True",
        &["PartlyExporting", "1 of 2"],
    )?;
    wait_until("kubectl describe to tell of it", DEADLINE, || {
        let text = cluster.kube.kubectl(&["describe", NETWORK[0], NETWORK[1]])?;
        ensure!(
            text.contains("Warning") && text.contains("DaemonNotRunning on b"),
            "{text}"
        );
        Ok(true)
    })?;
    cluster.add_daemon("b", true)?;
    cluster.wait_condition(NETWORK, "FlowExportDegraded", "False", &["AsExpected"])?;
    Ok(())
}

fn a_deadline_ends_progress(cluster: &mut Cluster) -> Result<()> {
    cluster.begin(&["a", "b"], &["--progress-deadline", "2s"])?;
    cluster.add_daemon("a", true)?;
    cluster.add_daemon("b", true)?;
    cluster.export_to(TARGET)?;
    cluster.wait_target("a", Some(TARGET))?;
    cluster.report_well(&names(&["a"]))?;
    let words = ["ProgressDeadlineExceeded on b", "log of weir-node"];
    cluster.wait_condition(NETWORK, "FlowExportDegraded", "True", &words)?;
    cluster.wait_condition(
        NETWORK,
        "FlowExportProgressing",
        "False",
        &["ProgressDeadlineExceeded"],
    )?;
    cluster.wait_condition(NETWORK, "FlowExportAvailable", "True", &["PartlyExporting"])?;
    Ok(())
}

fn forged_conditions_are_put_right(cluster: &mut Cluster) -> Result<()> {
    cluster.begin(&["a"], &["--daemon-pods", "none"])?;
    cluster.wait_condition(NETWORK, "FlowExportAvailable", "False", &["NoCollectors"])?;
    let forge = |conditions: serde_json::Value| {
        let patch = json!({"status": {"conditions": conditions}}).to_string();
        let patch = [
            "patch",
            NETWORK[0],
            NETWORK[1],
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ];
        cluster.kube.kubectl(&patch).map(drop)
    };
    forge(
        json!([{"type": "FlowExportAvailable", "status": "True", "reason": "Exporting", "message": "forged",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]),
    )?;
    cluster.wait_condition(NETWORK, "FlowExportAvailable", "False", &["NoCollectors"])?;
    forge(json!([]))?;
    cluster.wait_condition(NETWORK, "FlowExportAvailable", "False", &["NoCollectors"])?;
    cluster.wait_condition(NETWORK, "FlowExportDegraded", "False", &["AsExpected"])?;
    Ok(())
}

fn profiles_tell_whom_they_serve(cluster: &mut Cluster) -> Result<()> {
    cluster.begin(&["a", "b"], &["--daemon-pods", "none"])?;
    cluster.export_to(TARGET)?;
    cluster.wait_target("b", Some(TARGET))?;
    let profile = |selector: &str, export: &str| {
        cluster.kube.apply(&format!(
            "{{apiVersion: weir.dev/v1alpha1, kind: ExportProfile, metadata: {{name: edge}}, spec: {{\
             export: {export}, nodeSelector: {selector}}}}}"
        ))
    };
    profile("{matchLabels: {kubernetes.io/hostname: b}}", "Disabled")?;
    cluster.wait_target("b", None)?;
    cluster.wait_target("a", Some(TARGET))?;
    let edge = &["exportprofile", "edge"];
    cluster.wait_condition(edge, "Accepted", "True", &["its settings serve b"])?;
    let nodes = cluster.kube.object(edge)?["status"]["nodes"].clone();
    ensure!(nodes == 1, "{nodes}");
    profile(
        "{matchExpressions: [{key: k, operator: Near, values: [v]}]}",
        "Enabled",
    )?;
    cluster.wait_condition(edge, "Accepted", "False", &["SelectorMalformed"])?;
    cluster.wait_target("b", Some(TARGET))
}
