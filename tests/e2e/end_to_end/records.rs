//! Real traffic comes out as records with the right pods, ports and bytes.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_lab::{
    Pod, PodSpec,
    harness::Case,
    traffic::{Transfer, transfer},
    wait_for,
};

use crate::stage::{DEADLINE, RELAY, Stage, metric};

pub const CASES: &[Case<Stage>] = &[
    Case::new(
        "NetFlow names pods, workloads and nodes, and counts every byte",
        net_flow_is_named_and_exact,
    ),
    Case::new(
        "NetFlow is exact across nodes though it counts the header of a userspace tunnel",
        net_flow_loses_tunnel_headers,
    ),
    Case::new(
        "IPFIX names pods, workloads and nodes, and counts every byte",
        ipfix_is_named_and_exact,
    ),
    Case::new(
        "sFlow names pods, workloads and nodes, and counts every byte",
        s_flow_is_named_and_exact,
    ),
    Case::new(
        "an exporter is known by its identity through a declared relay and not from another node",
        identity_beats_address,
    ),
    Case::new("the collector's counters add up", counters_add_up),
];

/// Every packet, and flows that are reported at once.
pub const EXACT: &str = "{apiVersion: weir.dev/v1alpha1, kind: ExportProfile, metadata: {name: exact}, spec: {\
    netFlow: {activeTimeout: 1}, sFlow: {sampling: 1}, ipfix: {sampling: 1, cacheActiveTimeout: 1}}}";

const BYTES: u64 = 200_000;

/// Bytes of ARP and neighbour discovery that the interface may have sent too.
const OTHERS: u64 = 1000;

/// A client on one node and a web server on the other; made once.
pub fn pods(stage: &mut Stage) -> Result<(Pod, Pod)> {
    if stage.lab.pod("shop", "client-1").is_err() {
        stage.lab.add_pods(vec![
            PodSpec::new("node-a", "shop", "client-1").workload("client"),
            PodSpec::new("node-b", "shop", "web-1")
                .workload("web")
                .service("web")
                .port(8080),
        ])?;
    }
    Ok((
        stage.lab.pod("shop", "client-1")?,
        stage.lab.pod("shop", "web-1")?,
    ))
}

fn net_flow_is_named_and_exact(stage: &mut Stage) -> Result<()> {
    let (client, _) = pods(stage)?;
    let neighbour = neighbour(stage)?;
    check(
        stage,
        "netFlow",
        "172.30.0.1:2056",
        "netflow5",
        (&client, &neighbour),
    )
}

/// Quirk of the userspace datapath: NetFlow adds the header that a tunnel port
/// puts before each packet, here 50 octets of Ethernet, IPv4, UDP and Geneve.
fn net_flow_loses_tunnel_headers(stage: &mut Stage) -> Result<()> {
    let (client, web) = pods(stage)?;
    check(stage, "netFlow", "172.30.0.1:2056", "netflow5", (&client, &web))
}

fn ipfix_is_named_and_exact(stage: &mut Stage) -> Result<()> {
    let (client, web) = pods(stage)?;
    check(stage, "ipfix", "172.30.0.1:4739", "ipfix", (&client, &web))
}

fn s_flow_is_named_and_exact(stage: &mut Stage) -> Result<()> {
    let (client, web) = pods(stage)?;
    check(stage, "sFlow", "172.30.0.1:6343", "sflow5", (&client, &web))
}

/// A pod on the client's node.
pub fn neighbour(stage: &mut Stage) -> Result<Pod> {
    if stage.lab.pod("shop", "db-1").is_err() {
        stage
            .lab
            .add_pod(PodSpec::new("node-a", "shop", "db-1").workload("db").port(8080))?;
    }
    stage.lab.pod("shop", "db-1")
}

fn check(
    stage: &mut Stage,
    protocol: &str,
    collector: &str,
    format: &str,
    (client, server): (&Pod, &Pod),
) -> Result<()> {
    stage.clear()?;
    stage.kube.apply(EXACT)?;
    stage.export(protocol, &[collector])?;
    stage.wait_exporting()?;
    let before = client.counters()?;
    let sent = transfer(client, server, 8080, BYTES)?;
    // What the pod's interface sent, retransmissions included, without Ethernet.
    let counted = || {
        let now = client.counters()?.since(before);
        Ok::<u64, anyhow::Error>(now.sent_bytes - 14 * now.sent_packets)
    };
    let records = wait_for(
        &format!("{format} records of the whole transfer"),
        DEADLINE,
        || {
            let records = observed(&stage.records()?, format, &sent);
            let (octets, counted) = (sum(&records, "bytes"), counted()?);
            ensure!(
                octets >= BYTES && octets + OTHERS >= counted,
                "{octets} of {counted} bytes so far"
            );
            Ok(Some(records))
        },
    )?;
    let (octets, counted) = (sum(&records, "bytes"), counted()?);
    ensure!(
        octets <= counted,
        "{octets} bytes of records, {counted} bytes on the interface"
    );
    let record = records.first().context("there is a record")?;
    let expected = [
        ("ns", "shop"),
        ("pod_name", "client-1"),
        ("workload_name", "client"),
        ("workload_kind", "Deployment"),
        ("kind", "Pod"),
        ("node_name", "node-a"),
        ("dst_ns", "shop"),
        ("dst_pod_name", &server.spec.name),
        ("dst_workload_name", server.spec.app()),
        ("dst_workload_kind", "Deployment"),
        ("dst_node_name", &server.spec.node),
        ("exporter_node", "node-a"),
        ("protocol", "tcp"),
        ("format", format),
    ];
    for (field, value) in expected {
        ensure!(
            record[field] == value,
            "{field} is {}, not {value:?}, in {record}",
            record[field]
        );
    }
    ensure!(
        record["dst_port"] == 8080 && record["port"] == sent.source.port(),
        "{record}"
    );
    stage.kube.kubectl(&["delete", "exportprofile", "exact"])?;
    stage.clear()
}

/// What node-a saw of the client's half of the connection where it came in.
fn observed(records: &[Value], format: &str, sent: &Transfer) -> Vec<Value> {
    let address = |record: &Value, field: &str, ip: IpAddr| record[field] == ip.to_string();
    let fits = |record: &&Value| {
        record["format"] == format
            && record["exporter_node"] == "node-a"
            && address(record, "addr", sent.source.ip())
            && address(record, "dst_addr", sent.destination.ip())
            && record["port"] == sent.source.port()
            && record["direction"] != "egress"
    };
    records.iter().filter(fits).cloned().collect()
}

fn sum(records: &[Value], field: &str) -> u64 {
    records.iter().filter_map(|record| record[field].as_u64()).sum()
}

/// node-b's datagrams get another source address on the way, as by a Service in
/// between. That of a declared relay leaves it to the observation domain to tell whose
/// they are; node-a's says that they are node-a's.
fn identity_beats_address(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    let (client, web) = pods(stage)?;
    let (node, other) = (stage.lab.node("node-b")?, stage.lab.node("node-a")?);
    stage.kube.apply(EXACT)?;
    let alias = IpAddr::from(other.addresses().internal());
    let underlay = stage.lab.underlay();
    // An address of the lab's own stands in for the rewriting Service.
    let relay = weir_lab::traffic::Sink::bind(&underlay, "172.30.0.1:0".parse()?)?;
    stage.export("ipfix", &[&relay.address().to_string()])?;
    stage.wait_exporting()?;
    let sent = transfer(&web, &client, 9090, BYTES)?;
    let trusted: IpAddr = RELAY.parse()?;
    for (from, netns, believed) in [(alias, other.netns(), "node-a"), (trusted, &underlay, "node-b")] {
        let forwarded = wait_for("node-b's records by way of another address", DEADLINE, || {
            for datagram in relay.datagrams() {
                if datagram.source.ip() == IpAddr::from(node.addresses().internal()) {
                    netns.within(|| {
                        let socket = std::net::UdpSocket::bind((from, 0))?;
                        Ok(socket.send_to(&datagram.payload, "172.30.0.1:4739")?)
                    })?;
                }
            }
            let records = stage.records()?;
            let mine = records.iter().find(|r| {
                r["format"] == "ipfix" && r["port"] == sent.source.port() && r["exporter"] == from.to_string()
            });
            Ok(mine.cloned())
        })?;
        ensure!(forwarded["exporter_node"] == believed, "{forwarded}");
    }
    stage.kube.kubectl(&["delete", "exportprofile", "exact"])?;
    stage.clear()
}

fn counters_add_up(stage: &mut Stage) -> Result<()> {
    // Two readings alike: nothing is in flight between two counters.
    let metrics = wait_for("the counters to be at rest", DEADLINE, || {
        let [one, two] = [
            stage.http("127.0.0.1:8080", "/metrics")?,
            stage.http("127.0.0.1:8080", "/metrics")?,
        ];
        let received = |text: &str| metric(text, "weir_collector_datagrams_received_total");
        Ok((received(&one) == received(&two)).then_some(two))
    })?;
    let count = |name: &str| metric(&metrics, name);
    let decoded = count("weir_collector_records_decoded_total");
    let stored = count("weir_collector_records_stored_total");
    let dropped = count("weir_collector_records_dropped_total");
    ensure!(
        decoded > 0 && decoded == stored + dropped,
        "{decoded} decoded, {stored} stored, {dropped} dropped"
    );
    ensure!(count("weir_collector_datagrams_received_total") > 0, "{metrics}");
    ensure!(
        stage.records()?.len() as u64 == stored,
        "{} lines, {stored} stored",
        stage.records()?.len()
    );
    Ok(())
}
