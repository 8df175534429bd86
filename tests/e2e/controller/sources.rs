//! Where the configuration comes from, and what its absence means.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use weir_lab::{harness::Case, wait_until};

use crate::cluster::{Cluster, DEADLINE, NETWORK};

pub const CASES: &[Case<Cluster>] = &[
    Case::new(
        "a source that is deleted takes nothing away, a field that is removed does",
        a_deleted_source_holds,
    ),
    Case::new(
        "a source that is deleted takes all away where that was asked for",
        a_deleted_source_removes,
    ),
    Case::new(
        "a FlowExport counts where it was chosen, and two sources are told",
        a_flow_export_counts,
    ),
    Case::new(
        "only the FlowExport named cluster is taken",
        only_one_flow_export_is_taken,
    ),
    Case::new(
        "a Service that is replaced keeps its row",
        a_replaced_service_keeps_its_target,
    ),
];

const TARGET: &str = "192.0.2.9:2056";
const FLOW_EXPORT: &[&str] = &["flowexport", "cluster"];

fn a_deleted_source_holds(cluster: &mut Cluster) -> Result<()> {
    cluster.begin(&["a"], &["--daemon-pods", "none"])?;
    cluster.export_to(TARGET)?;
    cluster.wait_target("a", Some(TARGET))?;
    let generation = |cluster: &Cluster| -> Result<Value> {
        Ok(cluster.kube.object(&["nodeflowexport", "a"])?["metadata"]["generation"].clone())
    };
    let before = generation(cluster)?;
    let held = |cluster: &Cluster| {
        wait_until("the controller to hold", DEADLINE, || {
            Ok(cluster
                .page("/metrics")?
                .contains("weir_controller_source_missing 1"))
        })
    };
    cluster.kube.kubectl(&["delete", "network.operator", "cluster"])?;
    held(cluster)?;
    wait_until("an event to tell of it", DEADLINE, || {
        let events = cluster.kube.kubectl(&["get", "events", "--all-namespaces"])?;
        ensure!(events.contains("SourceMissing"), "{events}");
        Ok(true)
    })?;
    // Another controller knows only what the API server has.
    cluster.stop()?;
    cluster.start(&["--daemon-pods", "none"])?;
    held(cluster)?;
    cluster.add_nodes(["later".to_owned()].into_iter())?;
    cluster.wait_target("later", None)?;
    cluster.wait_target("a", Some(TARGET))?;
    let after = generation(cluster)?;
    ensure!(before == after, "{before} became {after}");
    cluster.make_network()?;
    cluster.wait_target("a", None)
}

fn a_deleted_source_removes(cluster: &mut Cluster) -> Result<()> {
    cluster.begin(
        &["a"],
        &["--daemon-pods", "none", "--on-source-deleted", "remove"],
    )?;
    cluster.export_to(TARGET)?;
    cluster.wait_target("a", Some(TARGET))?;
    cluster.kube.kubectl(&["delete", "network.operator", "cluster"])?;
    cluster.wait_target("a", None)
}

fn a_flow_export_counts(cluster: &mut Cluster) -> Result<()> {
    cluster.begin(&["a"], &["--daemon-pods", "none"])?;
    cluster.wait_condition(NETWORK, "FlowExportDegraded", "False", &[])?;
    cluster.stop()?;
    cluster.start(&["--daemon-pods", "none", "--source", "flow-export"])?;
    // What was said in the other's name is taken back.
    wait_until("the Network to say nothing any longer", DEADLINE, || {
        let network = cluster.kube.object(NETWORK)?;
        Ok(network["status"]["conditions"]
            .as_array()
            .is_none_or(Vec::is_empty))
    })?;
    cluster.export_to("192.0.2.8:2055")?;
    let words = ["SourceNotRead", "run it with --source=network"];
    cluster.wait_condition(NETWORK, "FlowExportDegraded", "True", &words)?;
    let flow_export =
        "{apiVersion: weir.dev/v1alpha1, kind: FlowExport, metadata: {name: cluster}, spec: {}}";
    cluster.kube.apply(flow_export)?;
    // The documented patch, for the other resource.
    cluster.patch(FLOW_EXPORT, &json!({"netFlow": {"collectors": [TARGET]}}))?;
    cluster.wait_target("a", Some(TARGET))?;
    cluster.wait_condition(FLOW_EXPORT, "FlowExportProgressing", "True", &["NodesUpdating"])?;
    let words = ["TwoSources", "the Network cluster asks", "--source=network"];
    cluster.wait_condition(FLOW_EXPORT, "FlowExportDegraded", "True", &words)?;
    cluster.wait_target("a", Some(TARGET))?;
    cluster.patch(NETWORK, &Value::Null)?;
    cluster.wait_condition(FLOW_EXPORT, "FlowExportDegraded", "False", &[])?;
    cluster.patch(FLOW_EXPORT, &Value::Null)?;
    cluster.wait_target("a", None)
}

fn only_one_flow_export_is_taken(cluster: &mut Cluster) -> Result<()> {
    let other = "{apiVersion: weir.dev/v1alpha1, kind: FlowExport, metadata: {name: other}, spec: {}}";
    let error = cluster.kube.apply(other).expect_err("another name");
    ensure!(
        format!("{error:#}").contains("only the FlowExport named cluster counts"),
        "{error:#}"
    );
    Ok(())
}

fn a_replaced_service_keeps_its_target(cluster: &mut Cluster) -> Result<()> {
    cluster.begin(&["a"], &["--daemon-pods", "none"])?;
    let service = |address: &str| {
        cluster.kube.apply(&format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: flows, namespace: default}}, \
             spec: {{clusterIP: {address}, ports: [{{port: 2055, protocol: UDP}}]}}}}"
        ))
    };
    service("10.96.7.1")?;
    cluster.export_to("flows.default.svc:2055")?;
    cluster.wait_target("a", Some("10.96.7.1:2055"))?;
    let generation = |cluster: &Cluster| -> Result<Value> {
        Ok(cluster.kube.object(&["nodeflowexport", "a"])?["metadata"]["generation"].clone())
    };
    let before = generation(cluster)?;
    cluster.kube.kubectl(&["delete", "service", "flows"])?;
    cluster.wait_condition(
        NETWORK,
        "FlowExportDegraded",
        "True",
        &["Service default/flows is gone"],
    )?;
    service("10.96.7.2")?;
    cluster.wait_target("a", Some("10.96.7.2:2055"))?;
    cluster.wait_condition(NETWORK, "FlowExportDegraded", "False", &[])?;
    // One change, from one address to the other: the row was never taken away.
    let after = generation(cluster)?;
    ensure!(
        before.as_i64().map(|n| n + 1) == after.as_i64(),
        "{before} became {after}"
    );
    cluster.kube.kubectl(&["delete", "service", "flows"])?;
    Ok(())
}
