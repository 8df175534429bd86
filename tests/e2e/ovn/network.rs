//! That this is OVN: what the other cases take for granted.

use anyhow::{Result, ensure};
use weir_lab::harness::Case;

use crate::{
    cells::Kind,
    cluster::{Cluster, DENIED},
};

pub const CASES: &[Case<Cluster>] = &[
    Case::new(
        "each node is a chassis of OVN, and ovn-controller programs br-int",
        nodes_are_chassis,
    ),
    Case::new(
        "each way of packets passes connection tracking",
        packets_are_tracked,
    ),
];

fn nodes_are_chassis(cluster: &mut Cluster) -> Result<()> {
    let lab = &cluster.stage.lab;
    let ovn = lab.ovn()?;
    let ports = ovn.nbctl(&["--bare", "--columns=name,up", "find", "logical_switch_port"])?;
    ensure!(ports.contains("shop_client-1"), "{ports}");
    for node in lab.nodes() {
        let flows = node.ofctl(&["dump-flows", "br-int"])?;
        ensure!(
            flows.contains("ct(") && flows.contains("table=65"),
            "{}: {} rules on br-int",
            node.name(),
            flows.lines().count()
        );
    }
    let denied = ovn.nbctl(&["acl-list", "node-b"])?;
    ensure!(
        denied.contains(&DENIED.to_string()) && denied.contains("drop"),
        "{denied}"
    );
    Ok(())
}

fn packets_are_tracked(cluster: &mut Cluster) -> Result<()> {
    for cell in cluster.cells.iter().filter(|cell| cell.kind != Kind::Ping) {
        cell.warm_up()?;
        let port = format!("dport={}", cell.listen.port());
        let mut tracked = false;
        for node in cluster.stage.lab.nodes() {
            tracked |= node.appctl(&["dpctl/dump-conntrack"])?.contains(&port);
        }
        ensure!(
            tracked,
            "{}: no connection to port {}",
            cell.name,
            cell.listen.port()
        );
    }
    Ok(())
}
