//! Programs and definitions of different versions side by side, as during an upgrade.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use weir_lab::{files, harness::Case, simulated::SimulatedNodes, wait_until};

use crate::{
    cluster::{Cluster, DEADLINE, NETWORK},
    faults::rest,
};

pub const CASES: &[Case<Cluster>] = &[
    Case::new(
        "an older daemon says its version and which fields of a newer spec it does not know",
        an_older_daemon_names_what_it_does_not_know,
    ),
    Case::new(
        "a newer daemon and controller work with an older definition as far as it goes",
        an_older_definition_is_lived_with,
    ),
];

const TARGET: &str = "192.0.2.9:2056";
const DEFINITION: &str = "nodeflowexports.weir.dev";
const NODE: &[&str] = &["nodeflowexport", "a"];

/// The path of a member of the definition's schema, for a JSON patch.
fn member(path: &str) -> String {
    let path = path.replace('.', "/properties/").replace("[]", "/items");
    format!("/spec/versions/0/schema/openAPIV3Schema/properties/{path}")
}

fn patch_definition(cluster: &Cluster, operations: &Value) -> Result<()> {
    let patch = operations.to_string();
    let arguments = ["patch", "crd", DEFINITION, "--type", "json", "-p", &patch];
    cluster.kube.kubectl(&arguments).map(drop)
}

/// The definition as it is shipped.
fn restore_definition(cluster: &Cluster) -> Result<()> {
    let path = files::package().join("../manifests/crds/nodeflowexports.yaml");
    let path = path.display().to_string();
    let arguments = ["apply", "--server-side", "--force-conflicts", "-f", &path];
    cluster.kube.kubectl(&arguments).map(drop)
}

fn one_node(cluster: &mut Cluster) -> Result<SimulatedNodes> {
    cluster.begin(&["a"], &["--daemon-pods", "none"])?;
    cluster.export_to(TARGET)?;
    cluster.wait_target("a", Some(TARGET))?;
    SimulatedNodes::start(&cluster.lab, &cluster.kube, &["a".to_owned()])
}

/// A field of a later version, which only a later definition keeps.
fn set_pace(cluster: &Cluster, pace: &Value) -> Result<()> {
    let patch = json!({"spec": {"pace": pace}}).to_string();
    let arguments = ["patch", "nodeflowexport", "a", "--type", "merge", "-p", &patch];
    cluster.kube.kubectl(&arguments).map(drop)
}

/// The newer definition keeps the field, and what is newer wrote it: the daemon is the
/// older one.
fn an_older_daemon_names_what_it_does_not_know(cluster: &mut Cluster) -> Result<()> {
    let daemon = one_node(cluster)?;
    cluster.wait_condition(NODE, "Applied", "True", &[])?;
    let field = json!([{"op": "add", "path": member("spec.pace"), "value": {"type": "integer"}}]);
    patch_definition(cluster, &field)?;
    // A watch that began with the older definition shows what that knew until the server ends it.
    let mut pace = 0;
    wait_until("the daemon to name the field", DEADLINE, || {
        pace += 1;
        set_pace(cluster, &json!(pace))?;
        thread::sleep(Duration::from_secs(2));
        Ok(cluster.kube.object(NODE)?["status"]["unknownFields"] == json!(["spec.pace"]))
    })?;
    cluster.wait_condition(NODE, "Applied", "False", &["UnknownFields", "spec.pace"])?;
    let object = cluster.kube.object(NODE)?;
    let version = &object["status"]["daemonVersion"];
    ensure!(version == env!("CARGO_PKG_VERSION"), "{object}");
    // The controller, older than the spec as well, leaves the field alone and tells of the node.
    cluster.wait_condition(NETWORK, "FlowExportDegraded", "True", &["a", "spec.pace"])?;
    rest(cluster)?;
    ensure!(
        cluster.kube.object(NODE)?["spec"]["pace"] == pace,
        "the field is gone"
    );
    set_pace(cluster, &Value::Null)?;
    cluster.wait_condition(NODE, "Applied", "True", &[])?;
    daemon.stop(DEADLINE)?;
    restore_definition(cluster)
}

/// The definition is the older one. An API server refuses what is applied with a field that it
/// does not declare.
fn an_older_definition_is_lived_with(cluster: &mut Cluster) -> Result<()> {
    cluster.begin(&["a"], &["--daemon-pods", "none"])?;
    let fields = ["status.unknownFields", "status.daemonVersion"];
    let lacks = fields.map(|field| json!({"op": "remove", "path": member(field)}));
    patch_definition(cluster, &json!(lacks))?;
    cluster.export_to(TARGET)?;
    cluster.wait_target("a", Some(TARGET))?;
    let daemon = SimulatedNodes::start(&cluster.lab, &cluster.kube, &["a".to_owned()])?;
    // The daemon reports without them.
    cluster.wait_condition(NODE, "Applied", "True", &[])?;
    let object = cluster.kube.object(NODE)?;
    ensure!(object["status"].get("daemonVersion").is_none(), "{object}");
    cluster.wait_condition(NETWORK, "FlowExportAvailable", "True", &[])?;
    // Nobody goes on writing what is not kept.
    rest(cluster)?;
    // What a spec means without a field nobody knows: the controller writes none, and says so.
    let lacks = json!([{"op": "remove", "path": member("spec.bridges[].exporterId")}]);
    patch_definition(cluster, &lacks)?;
    cluster.export_to("192.0.2.10:2056")?;
    cluster.wait_condition(
        NETWORK,
        "FlowExportDegraded",
        "True",
        &["NotWritten", "exporterId"],
    )?;
    restore_definition(cluster)?;
    cluster.wait_target("a", Some("192.0.2.10:2056"))?;
    daemon.stop(DEADLINE)
}
