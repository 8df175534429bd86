//! What a real collector tells the controller that it receives. Datagrams are the cases' own,
//! from addresses of the loopback network that nodes are said to have.

use std::{
    net::{SocketAddr, UdpSocket},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use weir_lab::{Process, address::UNDERLAY, harness::Case, product, wait_until};

use crate::cluster::{Cluster, DEADLINE, NAMESPACE, NETWORK};

pub const CASES: &[Case<Cluster>] = &[Case::new(
    "what a collector receives of which node is told, and that it cannot be asked",
    the_collector_tells_whom_it_receives,
)];

const RECEIVED: &str = "FlowExportReceived";
/// Addresses of the nodes a and b, and of somebody else.
const NODES: [(&str, &str); 2] = [("a", "127.0.0.11"), ("b", "127.0.0.12")];
const STRANGER: &str = "127.0.0.99";

fn the_collector_tells_whom_it_receives(cluster: &mut Cluster) -> Result<()> {
    let here = UNDERLAY.to_string();
    let options = [
        "--daemon-pods",
        "none",
        "--collector-address",
        &here,
        "--collector-interval",
        "500ms",
    ];
    cluster.begin(&["a", "b"], &options)?;
    let addresses = NODES.map(|(name, address)| {
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"addresses": [{"type": "InternalIP", "address": address}]}})
    });
    cluster.apply_list(addresses.to_vec(), &["--subresource=status"])?;
    let target = format!("{UNDERLAY}:2055");
    cluster.export_to(&target)?;
    for (node, _) in NODES {
        cluster.wait_target(node, Some(&target))?;
    }
    cluster.report_well(&NODES.map(|(node, _)| node.to_owned()))?;
    let unreachable = ["CollectorUnreachable", "is not known: the API server"];
    cluster.wait_condition(NETWORK, RECEIVED, "Unknown", &unreachable)?;
    let collector = start(cluster)?;
    lead_to_it(cluster)?;
    let outcome = told(cluster, collector);
    let slice = ["delete", "endpointslice", "weir-collector-lab", "-n", NAMESPACE];
    cluster.kube.kubectl(&slice)?;
    outcome
}

fn told(cluster: &mut Cluster, collector: Process) -> Result<()> {
    cluster.wait_condition(
        NETWORK,
        RECEIVED,
        "Unknown",
        &["NothingReceived", "nothing was received yet"],
    )?;
    let [(a, a_address), (b, b_address)] = NODES;
    let some = ["PartlyReceived", "was not received yet"];
    send_until(cluster, &[(a, a_address)], "Unknown", &some)?;
    let refused = [
        "PartlyReceived",
        "datagrams with the numbers of b come from addresses that are not theirs",
        "--relay",
    ];
    send_until(cluster, &[(b, STRANGER)], "Unknown", &refused)?;
    let all = "the collector receives what all 2 nodes send to it";
    send_until(cluster, &[(b, b_address)], "True", &["Received", all])?;
    let page = cluster
        .kube
        .kubectl(&["get", "--raw", "/apis/flows.weir.dev/v1/nodes"])?;
    let page: Value = serde_json::from_str(&page)?;
    ensure!(page["nodes"][0]["formats"][0]["format"] == "netflow5", "{page}");
    collector.terminate(DEADLINE)?;
    cluster.wait_condition(NETWORK, RECEIVED, "Unknown", &["CollectorUnreachable"])?;
    let metrics = cluster.page("/metrics")?;
    ensure!(
        metrics.contains("weir_controller_collector_requests_total{result=\"ok\"}"),
        "{metrics}"
    );
    let collector = start(cluster)?;
    cluster.wait_condition(NETWORK, RECEIVED, "True", &["Received", all])?;
    // Nobody sends to it any longer.
    cluster.export_to("192.0.2.9:2056")?;
    wait_until("the condition to be gone", DEADLINE, || {
        let network = cluster.kube.object(NETWORK)?;
        let conditions = network["status"]["conditions"].as_array().context("conditions")?;
        ensure!(
            conditions.iter().all(|condition| condition["type"] != RECEIVED),
            "{network}"
        );
        Ok(true)
    })?;
    collector.terminate(DEADLINE).map(drop)
}

/// The collector of the manifests, as a process.
fn start(cluster: &Cluster) -> Result<Process> {
    let mut command = Command::new(product::path("weir-collector")?);
    let kubeconfig = cluster
        .kube
        .service_account_kubeconfig(NAMESPACE, "weir-collector")?;
    command.env("KUBECONFIG", kubeconfig);
    command.args(["--kube", "--print", "none", "--http", "0.0.0.0:8080"]);
    command.args(["--http-service", "weir-system/weir-collector"]);
    command.args(["--listen", &format!("{UNDERLAY}:2055")]);
    cluster.lab.spawn("weir-collector", &mut command)
}

/// Nothing in the lab makes slices of Services.
fn lead_to_it(cluster: &Cluster) -> Result<()> {
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "weir-collector-lab", "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": "weir-collector"}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [UNDERLAY.to_string()], "conditions": {"ready": true}}]});
    cluster.kube.apply(&slice.to_string()).map(drop)
}

/// Sends for these nodes, from these addresses, until the condition is so.
fn send_until(cluster: &Cluster, nodes: &[(&str, &str)], status: &str, words: &[&str]) -> Result<()> {
    let engines = nodes.iter().map(|(node, address)| {
        let export = cluster.kube.object(&["nodeflowexport", node])?;
        let netflow = &export["spec"]["bridges"][0]["netFlow"];
        let number = |name: &str| netflow[name].as_u64().map(|n| n as u8).context("an engine");
        let socket = UdpSocket::bind(format!("{address}:0"))?;
        Ok((socket, [number("engineType")?, number("engineId")?]))
    });
    let engines: Vec<(UdpSocket, [u8; 2])> = engines.collect::<Result<_>>()?;
    let collector = SocketAddr::new(UNDERLAY.into(), 2055);
    let mut sequence = 0;
    wait_until(&format!("{status} {words:?}"), DEADLINE, || {
        for (socket, engine) in &engines {
            socket.send_to(&netflow5(*engine, sequence), collector)?;
        }
        sequence += 1;
        let network = cluster.kube.object(NETWORK)?;
        let conditions = network["status"]["conditions"].as_array().context("conditions")?;
        let found = conditions.iter().find(|condition| condition["type"] == RECEIVED);
        let found = found.context("the condition is not set")?;
        let text = format!("{}: {}", found["reason"], found["message"]);
        let fits = found["status"] == status && words.iter().all(|word| text.contains(word));
        ensure!(fits, "it is {found}");
        Ok(true)
    })
}

/// A datagram of NetFlow 5 with one flow: a header of 24 bytes, a record of 48.
fn netflow5([kind, id]: [u8; 2], sequence: u32) -> Vec<u8> {
    let mut datagram = vec![0; 24 + 48];
    datagram[1] = 5;
    datagram[3] = 1;
    datagram[16..20].copy_from_slice(&sequence.to_be_bytes());
    (datagram[20], datagram[21]) = (kind, id);
    let record = &mut datagram[24..];
    record[..8].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    // One packet of 60 bytes.
    (record[19], record[23]) = (1, 60);
    record[38] = 17;
    datagram
}
