//! Pods are told apart by the interface that they stand behind, where addresses do
//! not tell.

use std::{
    net::{Ipv4Addr, UdpSocket},
    process::Command,
};

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_lab::{Pod, PodSpec, Process, harness::Case, product, wait_for};

use crate::stage::{DEADLINE, Stage, metric};

pub const CASES: &[Case<Stage>] = &[Case::new(
    "pods of two nodes with the same address are told apart by their interfaces",
    same_address_on_two_nodes,
)];

/// The address that both pods have on a network of their own.
const SHARED: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 5);
/// Where both send, from the same port.
const PEER: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 10), 7001);
const PORT: u16 = 7002;

/// A collector with no source of names at all.
const NAMELESS: &str = "172.30.0.1:4749";

const EVERY_PACKET: &str = "{apiVersion: weir.dev/v1alpha1, kind: ExportProfile, metadata: {name: interfaces}, \
    spec: {ipfix: {sampling: 1, cacheActiveTimeout: 1, interfaceNames: true}}}";

fn same_address_on_two_nodes(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    let pods = stage.lab.add_pods(vec![
        PodSpec::new("node-a", "red", "web-1").workload("web"),
        PodSpec::new("node-b", "blue", "web-1").workload("web"),
    ])?;
    for pod in &pods {
        pod.netns().ip(&format!("address add {SHARED}/32 dev eth0"))?;
    }
    stage.kube.apply(EVERY_PACKET)?;
    let mut command = Command::new(product::path("weir-collector")?);
    command.args([
        "--listen",
        NAMELESS,
        "--http",
        "127.0.0.1:8089",
        "--print",
        "json",
    ]);
    let nameless = stage.lab.spawn("weir-collector-nameless", &mut command)?;
    wait_for("the collector without names", DEADLINE, || {
        Ok(stage.http("127.0.0.1:8089", "/readyz").ok())
    })?;
    stage.export("ipfix", &["172.30.0.1:4739", NAMELESS])?;
    stage.wait_exporting()?;

    for pod in &pods {
        let record = wait_for(
            &format!("{} by its interface alone", pod.iface_id()),
            DEADLINE,
            || {
                send(pod)?;
                Ok(named(printed(&nameless)?, pod))
            },
        )?;
        ensure!(record["exporter_node"] == "", "{record}");
        let record = wait_for(
            &format!("{} with all its names", pod.iface_id()),
            DEADLINE,
            || {
                send(pod)?;
                Ok(named(stage.records()?, pod))
            },
        )?;
        for (field, value) in [
            ("exporter_node", pod.spec.node.as_str()),
            ("node_name", pod.spec.node.as_str()),
            ("workload_name", "web"),
            ("workload_kind", "Deployment"),
        ] {
            ensure!(record[field] == value, "{field} in {record}");
        }
    }
    let told = stage.http("127.0.0.1:8089", "/metrics")?;
    ensure!(metric(&told, "weir_collector_interfaces_named") >= 2, "{told}");
    ensure!(metric(&told, "weir_collector_sequence_lost_total") == 0, "{told}");
    let told = stage.daemon_metrics("node-a")?;
    ensure!(metric(&told, "weir_node_interfaces_named") > 0, "{told}");
    ensure!(nameless.terminate(DEADLINE)?.success(), "SIGTERM ends it well");
    for pod in &pods {
        stage.lab.remove_pod(pod)?;
    }
    stage.kube.kubectl(&["delete", "exportprofile", "interfaces"])?;
    stage.clear()
}

fn send(pod: &Pod) -> Result<()> {
    pod.netns().within(|| {
        let socket = UdpSocket::bind((SHARED, PORT))?;
        socket.send_to(b"who am I", PEER)?;
        Ok(())
    })
}

/// The record of the shared address that names this pod.
fn named(records: Vec<Value>, pod: &Pod) -> Option<Value> {
    records.into_iter().find(|record| {
        record["addr"] == SHARED.to_string()
            && record["port"] == PORT
            && record["identified_by"] == "interface"
            && record["ns"] == pod.spec.namespace.as_str()
            && record["pod_name"] == pod.spec.name.as_str()
    })
}

fn printed(collector: &Process) -> Result<Vec<Value>> {
    let text = collector.stdout()?;
    // The last line may be written only in part.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}
