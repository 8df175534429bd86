//! Things that break under a running daemon, and that it puts right.

use anyhow::{Result, ensure};
use weir_lab::{Node, harness::Case, wait_until};

use crate::stage::{DEADLINE, Stage, metric, wait_column, wait_targets};

pub const CASES: &[Case<Stage>] = &[
    Case::new(
        "a cleared bridge is healed and counted",
        a_cleared_bridge_is_healed,
    ),
    Case::new(
        "a setting changed by hand is healed in place",
        a_changed_setting_is_healed,
    ),
    Case::new(
        "a bridge that was made anew is programmed",
        a_new_bridge_is_programmed,
    ),
    Case::new(
        "an ovsdb-server restart is survived",
        an_ovsdb_restart_is_survived,
    ),
    Case::new(
        "an empty database is programmed again",
        an_empty_database_is_programmed,
    ),
    Case::new(
        "an ovs-vswitchd restart is survived",
        a_vswitchd_restart_is_survived,
    ),
    Case::new(
        "a database that is away is a condition",
        an_absent_database_is_a_condition,
    ),
    Case::new(
        "an API server restart is survived",
        an_api_server_restart_is_survived,
    ),
    Case::new(
        "a daemon that starts again keeps the rows as they are",
        a_daemon_restart_keeps_rows,
    ),
];

const ALL: &str = r#"{"spec":{"exportNetworkFlows":{"netFlow":{"collectors":["172.30.0.1:2056"]},
    "sFlow":{"collectors":["172.30.0.1:6343"]},"ipfix":{"collectors":["172.30.0.1:4739"]}}}}"#;

/// Every case has a spec of its own: what nodes say of one and the same gets rarer with each
/// change that they tell.
fn export_all(stage: &Stage) -> Result<std::sync::Arc<Node>> {
    stage.clear()?;
    stage.patch(ALL)?;
    stage.wait_exporting()?;
    stage.lab.node("node-a")
}

fn wait_all(node: &Node) -> Result<()> {
    wait_targets(node, "netflow", &["172.30.0.1:2056"])?;
    wait_targets(node, "sflow", &["172.30.0.1:6343"])?;
    wait_targets(node, "ipfix", &["172.30.0.1:4739"])
}

fn healed(stage: &Stage) -> Result<u64> {
    Ok(metric(
        &stage.daemon_metrics("node-a")?,
        "weir_node_drift_healed_total",
    ))
}

fn a_cleared_bridge_is_healed(stage: &mut Stage) -> Result<()> {
    let node = export_all(stage)?;
    let before = healed(stage)?;
    node.vsctl(&[
        "clear", "bridge", "br-int", "netflow", "--", "clear", "bridge", "br-int", "ipfix",
    ])?;
    wait_all(&node)?;
    wait_until("the healing to be counted", DEADLINE, || {
        Ok(healed(stage)? > before)
    })
}

fn a_changed_setting_is_healed(stage: &mut Stage) -> Result<()> {
    let node = export_all(stage)?;
    let row = crate::stage::rows(&node, "ipfix")?;
    node.vsctl(&["set", "ipfix", &row[0], "sampling=9", "targets=\"172.30.0.1:9\""])?;
    wait_column(&node, "ipfix", "sampling", "400")?;
    wait_all(&node)?;
    ensure!(
        crate::stage::rows(&node, "ipfix")? == row,
        "it was not healed in place"
    );
    Ok(())
}

fn a_new_bridge_is_programmed(stage: &mut Stage) -> Result<()> {
    let node = export_all(stage)?;
    node.delete_bridge("br-int")?;
    stage.wait_condition(
        &["nodeflowexport", "node-a"],
        "Applied",
        "False",
        &["BridgeMissing", "br-int"],
    )?;
    node.build_bridges()?;
    wait_all(&node)?;
    stage.wait_exporting()
}

fn an_ovsdb_restart_is_survived(stage: &mut Stage) -> Result<()> {
    let node = export_all(stage)?;
    node.kill_ovsdb()?;
    node.start_ovsdb()?;
    wait_all(&node)?;
    node.vsctl(&["clear", "bridge", "br-int", "sflow"])?;
    wait_all(&node)
}

fn an_empty_database_is_programmed(stage: &mut Stage) -> Result<()> {
    let node = export_all(stage)?;
    node.restart_ovsdb_empty()?;
    node.build_bridges()?;
    wait_all(&node)?;
    stage.wait_exporting()
}

fn a_vswitchd_restart_is_survived(stage: &mut Stage) -> Result<()> {
    let node = export_all(stage)?;
    node.kill_vswitchd()?;
    // The rows stand, and say nothing of it.
    let object = ["nodeflowexport", "node-a"];
    stage.wait_condition(&object, "SwitchAlive", "False", &["SwitchNotRunning"])?;
    stage.wait_condition(&object, "Exporting", "False", &["SwitchNotRunning"])?;
    // A change that nobody takes over is applied, but does not export.
    stage.export("netFlow", &["172.30.0.1:2055"])?;
    wait_targets(&node, "netflow", &["172.30.0.1:2055"])?;
    stage.wait_condition(&object, "Applied", "True", &[])?;
    stage.wait_condition(&object, "Exporting", "False", &["SwitchNotRunning"])?;
    node.start_vswitchd()?;
    stage.wait_condition(&object, "SwitchAlive", "True", &[])?;
    stage.wait_exporting()
}

fn an_absent_database_is_a_condition(stage: &mut Stage) -> Result<()> {
    let node = export_all(stage)?;
    node.kill_ovsdb()?;
    stage.wait_condition(
        &["nodeflowexport", "node-a"],
        "Applied",
        "False",
        &["OvsdbUnreachable"],
    )?;
    stage.export("netFlow", &["172.30.0.1:2055"])?;
    node.start_ovsdb()?;
    wait_targets(&node, "netflow", &["172.30.0.1:2055"])?;
    stage.wait_exporting()
}

fn an_api_server_restart_is_survived(stage: &mut Stage) -> Result<()> {
    let node = export_all(stage)?;
    stage.kube.kill_apiserver()?;
    // The daemon goes on with what it knows.
    node.vsctl(&["clear", "bridge", "br-int", "netflow"])?;
    wait_all(&node)?;
    stage.kube.start_apiserver()?;
    stage.export("netFlow", &["172.30.0.1:2057"])?;
    stage.wait_targets("netflow", &["172.30.0.1:2057"])?;
    stage.wait_exporting()
}

fn a_daemon_restart_keeps_rows(stage: &mut Stage) -> Result<()> {
    let node = export_all(stage)?;
    let before = crate::stage::rows(&node, "ipfix")?;
    let daemon = stage.daemons.remove("node-a");
    if let Some(daemon) = daemon {
        ensure!(
            daemon.terminate(DEADLINE)?.success(),
            "SIGTERM ends the daemon well"
        );
    }
    wait_all(&node)?;
    stage.start_daemon("node-a")?;
    stage.export("ipfix", &["172.30.0.1:4740"])?;
    stage.wait_targets("ipfix", &["172.30.0.1:4740"])?;
    ensure!(
        crate::stage::rows(&node, "ipfix")? == before,
        "the row was made anew"
    );
    stage.clear()
}
