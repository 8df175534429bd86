//! The handles by which a case breaks a node and mends it.

use std::time::Duration;

use anyhow::{Result, ensure};
use weir_lab::{Lab, traffic, wait_until};

const DEADLINE: Duration = Duration::from_secs(30);

pub fn ovsdb_restarts(lab: &mut Lab) -> Result<()> {
    let node = lab.node("node-a")?;
    node.vsctl(&["set", "Bridge", "br-int", "external_ids:kept=yes"])?;
    node.kill_ovsdb()?;
    ensure!(node.vsctl(&["--no-wait", "list-br"]).is_err());
    node.start_ovsdb()?;
    let kept = node.vsctl(&["get", "Bridge", "br-int", "external_ids:kept"])?;
    ensure!(kept.trim() == "yes", "{kept}");
    exchange(lab)
}

pub fn vswitchd_restarts(lab: &mut Lab) -> Result<()> {
    let node = lab.node("node-a")?;
    let before = node.switch().vswitchd_id();
    node.kill_vswitchd()?;
    ensure!(node.appctl(&["version"]).is_err());
    node.start_vswitchd()?;
    ensure!(node.switch().vswitchd_id() != before);
    exchange(lab)
}

pub fn bridges_are_rebuilt(lab: &mut Lab) -> Result<()> {
    let node = lab.node("node-a")?;
    node.restart_ovsdb_empty()?;
    ensure!(node.vsctl(&["list-br"])?.is_empty());
    wait_until("ovs-vswitchd to delete the bridges", DEADLINE, || {
        Ok(node.ofctl(&["show", "br-int"]).is_err())
    })?;
    node.build_bridges()?;
    exchange(lab)?;
    node.delete_bridge("br-int")?;
    ensure!(node.vsctl(&["list-br"])?.trim() == "br-ex");
    node.build_bridges()?;
    exchange(lab)
}

/// Packets to the same and to the other node, both ways.
fn exchange(lab: &Lab) -> Result<()> {
    let client = lab.pod("shop", "client")?;
    for name in ["near", "far"] {
        let server = lab.pod("shop", name)?;
        traffic::ping(client.netns(), server.ip())?;
        traffic::transfer(&server, &client, 8080, 10_000)?;
    }
    Ok(())
}
