//! What FlowMetrics cost a record on its way through the collector: 20 metrics with about
//! 10,000 series, beside none; and what gathering them costs. The same metrics and the same kind of
//! cluster as in the benchmark of `weir-flowmetrics`, with records of the collector's own.
//!
//! `cargo bench --workspace --bench collector_flow_metrics [-- ROUNDS]` prints one JSON object a case.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use weir_collector::flow_metrics::{DefinedBy, FlowMetrics};
use weir_flow::{
    FlowRecord, IdentifiedBy, Identity, Kind, PacketPath, Server, ServerConfidence, Side, TcpFlags, Tunnel,
    Verdict,
};
use weir_flowmetrics::{Exposition, FlowMetric};
use wire::{Attributes, Protocol};

use shared::{Numbers, connections, twenty};

#[path = "../flowmetrics/benches/shared/mod.rs"]
mod shared;

const ENDPOINTS: usize = 240;
const NAMESPACES: usize = 20;
const NODES: usize = 10;
const PAIRS: usize = 1_250;
const RECORDS: usize = 20_480;
/// As many as a worker hands on at once.
const BATCH: usize = 512;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.find_map(|argument| argument.parse().ok()).unwrap_or(51);
    for flags in [true, false] {
        let records = records(flags);
        for (case, metrics) in [
            ("none", vec![]),
            ("twenty", twenty()),
            ("connections", vec![connections()]),
        ] {
            measure(case, metrics, &records, rounds);
        }
    }
}

/// Nanoseconds a record: of the fastest batch, which others on the machine disturbed least, and the median.
fn measure(case: &str, metrics: Vec<FlowMetric>, records: &[FlowRecord], rounds: usize) {
    let flow_metrics = FlowMetrics::new(1);
    let count = metrics.len();
    for (name, outcome) in flow_metrics.define(&DefinedBy::Cluster, metrics, None) {
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
    let mut counter = flow_metrics.counter(4 * 65_536);
    counter.observe(records);
    let mut times: Vec<f64> = records
        .chunks(BATCH)
        .cycle()
        .take(rounds * RECORDS / BATCH)
        .map(|batch| {
            let began = Instant::now();
            counter.observe(black_box(batch));
            began.elapsed().as_secs_f64() * 1e9 / batch.len() as f64
        })
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    let began = Instant::now();
    let text = flow_metrics.expose(Exposition::OpenMetrics);
    let scrape_ms = began.elapsed().as_secs_f64() * 1e3;
    let flags = records[0].tcp_flags.is_some();
    println!(
        "{{\"case\":\"{case}\",\"flags\":{flags},\"metrics\":{count},\"series\":{},\"fastest_ns_a_record\":{:.0},\"median_ns_a_record\":{:.0},\"scrape_bytes\":{},\"scrape_ms\":{scrape_ms:.1}}}",
        flow_metrics.figures().series,
        times[0],
        times[times.len() / 2],
        text.len(),
    );
}

fn identities() -> Vec<Arc<Identity>> {
    let identity = |n: usize| {
        let node = n % NODES;
        Arc::new(Identity {
            kind: Kind::Pod,
            name: format!("backend-service-{n}-0").into(),
            ns: format!("team-{}-production", n % NAMESPACES).into(),
            workload_name: format!("backend-service-{n}").into(),
            workload_kind: "Deployment".into(),
            node_name: format!("worker-{node}.example.internal").into(),
            node_addr: Some([192, 0, 2, node as u8].into()),
            zone: format!("eu-central-1{}", ["a", "b", "c"][node % 3]).into(),
            network: "primary".into(),
            ..Identity::default()
        })
    };
    (0..ENDPOINTS).map(identity).collect()
}

/// Records as sFlow gives them, or without flags as IPFIX of Open vSwitch.
fn records(flags: bool) -> Vec<FlowRecord> {
    let identities = identities();
    let mut numbers = Numbers(7);
    let pairs: Vec<_> = (0..PAIRS)
        .map(|_| (numbers.below(ENDPOINTS), numbers.below(ENDPOINTS)))
        .collect();
    let side = |n: usize, port: u16| Side {
        addr: Some([10, 128, (n / 250) as u8, (n % 250) as u8].into()),
        port: Some(port),
        mac: None,
        if_index: Some(1),
        if_name: "".into(),
        identity: Arc::clone(&identities[n]).into(),
        found: IdentifiedBy::Address,
    };
    let record = |_| {
        let (src, dst) = pairs[numbers.below(PAIRS)];
        let bytes = 64 + numbers.below(100_000) as u64;
        let bits = if numbers.below(10) == 0 { 0x02 } else { 0x10 };
        FlowRecord {
            time_ns: 1_700_000_000_000_000_000,
            start_ns: 1_700_000_000_000_000_000,
            end_ns: 1_700_000_000_000_000_000,
            bytes: Some(bytes),
            packets: Some(bytes / 1_000 + 1),
            l2_bytes: None,
            sampling: Some(400),
            proto: Some(6),
            src: side(src, 32_768 + numbers.below(20_000) as u16),
            dst: side(dst, 5_432),
            dscp: Some(0),
            ttl: Some(64),
            icmp_type: None,
            icmp_code: None,
            tcp_flags: flags.then_some(TcpFlags {
                bits,
                of_one_packet: true,
            }),
            vlan_id: None,
            tunnel: Tunnel::default(),
            direction: None,
            format: if flags { Protocol::Sflow5 } else { Protocol::Ipfix },
            exporter: [192, 0, 2, (src % NODES) as u8].into(),
            exporter_node: Arc::clone(&identities[src].node_name),
            obs_domain_id: None,
            obs_point_id: None,
            path: PacketPath::NONE,
            primary: true,
            verdict: Verdict::Delivered,
            dropped_packets: None,
            dropped_bytes: None,
            end_reason: None,
            server: Server::Dst,
            server_confidence: ServerConfidence::Service,
            attributes: Attributes::default(),
            policy: weir_flow::Judged::NOT,
        }
    };
    (0..RECORDS).map(record).collect()
}
