//! Rows and conditions of somebody else.

use anyhow::{Result, ensure};
use weir_lab::harness::Case;

use crate::stage::{Stage, rows, targets, wait_targets};

pub const CASES: &[Case<Stage>] = &[
    Case::new(
        "a foreign row is refused and the rest is applied",
        a_foreign_row_is_refused,
    ),
    Case::new(
        "a foreign row is adopted in place when the profile says so",
        a_foreign_row_is_adopted,
    ),
    Case::new(
        "conditions of others on the Network stay",
        foreign_conditions_stay,
    ),
];

const HANDMADE: [&str; 9] = [
    "--",
    "--id=@n",
    "create",
    "netflow",
    "targets=\"172.30.0.1:7777\"",
    "--",
    "set",
    "bridge",
    "br-int",
];

fn make_foreign_row(stage: &Stage) -> Result<String> {
    let node = stage.lab.node("node-a")?;
    node.vsctl(&[&HANDMADE[..], &["netflow=@n"]].concat())?;
    Ok(rows(&node, "netflow")?.remove(0))
}

fn a_foreign_row_is_refused(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    let foreign = make_foreign_row(stage)?;
    stage.export("netFlow", &["172.30.0.1:2056"])?;
    stage.export("sFlow", &["172.30.0.1:6343"])?;
    let (a, b) = (stage.lab.node("node-a")?, stage.lab.node("node-b")?);
    wait_targets(&b, "netflow", &["172.30.0.1:2056"])?;
    wait_targets(&a, "sflow", &["172.30.0.1:6343"])?;
    let object = &["nodeflowexport", "node-a"];
    stage.wait_condition(object, "Conflict", "True", &["ForeignRow", "br-int"])?;
    stage.wait_condition(object, "Applied", "False", &[])?;
    let network = &["network.operator", "cluster"];
    stage.wait_condition(network, "FlowExportDegraded", "True", &["node-a"])?;
    ensure!(
        rows(&a, "netflow")? == [foreign.clone()],
        "the foreign row was replaced"
    );
    ensure!(
        targets(&a, "netflow")?.contains("172.30.0.1:7777"),
        "the foreign row was changed"
    );
    // Removing the collectors leaves it alone as well.
    stage.patch(r#"{"spec":{"exportNetworkFlows":null}}"#)?;
    stage.wait_condition(object, "Conflict", "False", &[])?;
    wait_targets(&a, "sflow", &[])?;
    ensure!(
        rows(&a, "netflow")? == [foreign],
        "the foreign row went with ours"
    );
    a.vsctl(&["clear", "bridge", "br-int", "netflow"])?;
    stage.wait_clean()
}

fn a_foreign_row_is_adopted(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    let foreign = make_foreign_row(stage)?;
    stage.kube.apply(
        "{apiVersion: weir.dev/v1alpha1, kind: ExportProfile, metadata: {name: adopt}, spec: {conflictPolicy: Adopt}}",
    )?;
    stage.export("netFlow", &["172.30.0.1:2056"])?;
    let node = stage.lab.node("node-a")?;
    wait_targets(&node, "netflow", &["172.30.0.1:2056"])?;
    ensure!(
        rows(&node, "netflow")? == [foreign],
        "it was not changed in place"
    );
    stage.wait_condition(&["nodeflowexport", "node-a"], "Applied", "True", &[])?;
    stage.kube.kubectl(&["delete", "exportprofile", "adopt"])?;
    stage.clear()
}

fn foreign_conditions_stay(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    let condition = r#"{"apiVersion":"operator.openshift.io/v1","kind":"Network","metadata":{"name":"cluster"},
        "status":{"conditions":[{"type":"Available","status":"True","reason":"Others","message":"not ours",
        "lastTransitionTime":"2026-01-01T00:00:00Z"}]}}"#;
    let file = stage.lab.directory().join("condition.json");
    std::fs::write(&file, condition)?;
    let file = file.display().to_string();
    stage.kube.kubectl(&[
        "apply",
        "--server-side",
        "--field-manager=network-operator",
        "--subresource=status",
        "-f",
        &file,
    ])?;
    stage.export("netFlow", &["172.30.0.1:2056"])?;
    let network = &["network.operator", "cluster"];
    stage.wait_condition(network, "FlowExportAvailable", "True", &["all 2 nodes export"])?;
    stage.clear()?;
    stage.wait_condition(network, "FlowExportAvailable", "False", &["NoCollectors"])?;
    stage.wait_condition(network, "Available", "True", &["Others", "not ours"])?;
    Ok(())
}
