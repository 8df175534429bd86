//! Nodes that come and go, controllers that die.

use anyhow::{Context, Result, ensure};
use weir_lab::{harness::Case, wait_until};

use crate::stage::{DEADLINE, NAMESPACE, Stage, wait_targets};

pub const CASES: &[Case<Stage>] = &[
    Case::new(
        "a node that is added later is configured",
        a_later_node_is_configured,
    ),
    Case::new(
        "a node that goes takes its object along",
        a_gone_node_takes_its_object,
    ),
    Case::new(
        "the second controller takes over when the leader is killed",
        a_killed_leader_is_replaced,
    ),
    Case::new("a leader that ends hands over", a_leader_hands_over),
];

fn a_later_node_is_configured(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    stage.export("netFlow", &["172.30.0.1:2056"])?;
    let node = stage.lab.add_node()?;
    stage.start_daemon(node.name())?;
    wait_targets(&node, "netflow", &["172.30.0.1:2056"])?;
    let network = &["network.operator", "cluster"];
    stage.wait_condition(network, "FlowExportAvailable", "True", &["all 3 nodes export"])?;
    Ok(())
}

fn a_gone_node_takes_its_object(stage: &mut Stage) -> Result<()> {
    stage.daemons.remove("node-c");
    stage.lab.remove_node("node-c")?;
    wait_until("node-c's object to go", DEADLINE, || {
        let left = stage.kube.kubectl(&["get", "nodeflowexports", "-o", "name"])?;
        Ok(!left.contains("node-c"))
    })?;
    let network = &["network.operator", "cluster"];
    stage.wait_condition(network, "FlowExportAvailable", "True", &["all 2 nodes export"])?;
    Ok(())
}

fn holder(stage: &Stage) -> Result<String> {
    stage.kube.kubectl(&[
        "get",
        "lease",
        "-n",
        NAMESPACE,
        "weir-controller",
        "-o",
        "jsonpath={.spec.holderIdentity}",
    ])
}

/// Both replicas run; the name of the one that does not lead.
fn two_replicas(stage: &mut Stage) -> Result<(String, String)> {
    for identity in ["controller-1", "controller-2"] {
        if !stage.controllers.contains_key(identity) {
            stage.start_controller(identity)?;
        }
    }
    wait_until("a leader", DEADLINE, || {
        Ok(holder(stage)?.starts_with("controller-"))
    })?;
    let leader = holder(stage)?;
    let other = ["controller-1", "controller-2"]
        .into_iter()
        .find(|name| *name != leader);
    Ok((leader, other.context("two replicas")?.to_owned()))
}

fn a_killed_leader_is_replaced(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    let (leader, other) = two_replicas(stage)?;
    stage
        .controllers
        .remove(&leader)
        .context("the leader runs")?
        .kill()?;
    stage.export("netFlow", &["172.30.0.1:2058"])?;
    stage.wait_targets("netflow", &["172.30.0.1:2058"])?;
    ensure!(holder(stage)? == other, "{} leads", holder(stage)?);
    Ok(())
}

fn a_leader_hands_over(stage: &mut Stage) -> Result<()> {
    let (leader, other) = two_replicas(stage)?;
    let ended = stage
        .controllers
        .remove(&leader)
        .context("the leader runs")?
        .terminate(DEADLINE)?;
    ensure!(ended.success(), "SIGTERM ends the controller well: {ended}");
    stage.export("netFlow", &["172.30.0.1:2059"])?;
    stage.wait_targets("netflow", &["172.30.0.1:2059"])?;
    ensure!(holder(stage)? == other, "{} leads", holder(stage)?);
    stage.clear()
}
