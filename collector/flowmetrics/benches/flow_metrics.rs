//! What metrics cost a record: 20 of them with about 10,000 series, beside the same loop
//! without any.
//!
//! `cargo bench -p weir-flowmetrics [-- ROUNDS] [numbered]` prints one JSON object a case.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use weir_fields::Column;
use weir_flowmetrics::{
    ConnectionStart, ControlBits, Exposition, FlowMetric, FlowMetricSpec, Identities, Limits, Record,
    Registry, Value,
};

use shared::{Numbers, connections, twenty};

mod shared;

const ENDPOINTS: usize = 240;
const NAMESPACES: usize = 20;
const NODES: usize = 10;
const PAIRS: usize = 1_250;
const RECORDS: usize = 20_000;

/// One side as the collector knows it.
#[derive(Clone)]
struct Endpoint {
    ns: String,
    workload: String,
    kind: &'static str,
    node: String,
    zone: String,
    addr: IpAddr,
}

struct Flow<'e> {
    src: &'e Endpoint,
    dst: &'e Endpoint,
    bytes: u64,
    flags: u16,
    start: ConnectionStart,
    identities: Option<Identities>,
}

macro_rules! columns {
    ($($name:ident $column:literal,)+) => { $(const $name: usize = Column::of($column).index();)+ };
}

columns! {
    NS "ns", DST_NS "dst_ns", WORKLOAD "workload_name", DST_WORKLOAD "dst_workload_name",
    WORKLOAD_KIND "workload_kind", DST_WORKLOAD_KIND "dst_workload_kind", KIND "kind", DST_KIND "dst_kind",
    NODE "node_name", DST_NODE "dst_node_name", ZONE "zone", DST_ZONE "dst_zone", EXPORTER_NODE "exporter_node",
    NETWORK "network", DST_NETWORK "dst_network", BYTES "bytes", PACKETS "packets", SAMPLING "sampling",
    DST_PORT "dst_port", PRIMARY "primary", FLAGS "tcp_flags", ADDR "addr", DST_ADDR "dst_addr",
}

impl Record for Flow<'_> {
    #[inline]
    fn value(&self, column: Column) -> Value<'_> {
        match column.index() {
            NS => Value::Text(&self.src.ns),
            DST_NS => Value::Text(&self.dst.ns),
            WORKLOAD => Value::Text(&self.src.workload),
            DST_WORKLOAD => Value::Text(&self.dst.workload),
            WORKLOAD_KIND => Value::Text(self.src.kind),
            DST_WORKLOAD_KIND => Value::Text(self.dst.kind),
            KIND | DST_KIND => Value::Text("Pod"),
            NODE | EXPORTER_NODE => Value::Text(&self.src.node),
            DST_NODE => Value::Text(&self.dst.node),
            ZONE => Value::Text(&self.src.zone),
            DST_ZONE => Value::Text(&self.dst.zone),
            NETWORK | DST_NETWORK => Value::Text("primary"),
            BYTES => Value::Unsigned(self.bytes),
            PACKETS => Value::Unsigned(self.bytes / 1000 + 1),
            SAMPLING => Value::Unsigned(400),
            DST_PORT => Value::Unsigned(5432),
            PRIMARY => Value::Bool(true),
            FLAGS => Value::Flags(ControlBits {
                bits: self.flags,
                of_one_packet: true,
            }),
            ADDR => Value::Address(self.src.addr),
            DST_ADDR => Value::Address(self.dst.addr),
            _ => Value::Absent,
        }
    }

    fn connection_start(&self) -> ConnectionStart {
        self.start
    }

    fn identities(&self) -> Option<Identities> {
        self.identities
    }
}

fn endpoints() -> Vec<Endpoint> {
    let endpoint = |n: usize| Endpoint {
        ns: format!("team-{}-production", n % NAMESPACES),
        workload: format!("backend-service-{n}"),
        kind: if n.is_multiple_of(3) {
            "StatefulSet"
        } else {
            "Deployment"
        },
        node: format!("worker-{}.example.internal", n % NODES),
        zone: format!("eu-central-1{}", ["a", "b", "c"][n % NODES % 3]),
        addr: IpAddr::from([10, 128, (n / 250) as u8, (n % 250) as u8]),
    };
    (0..ENDPOINTS).map(endpoint).collect()
}

fn flows(endpoints: &[Endpoint], numbered: bool) -> Vec<Flow<'_>> {
    let mut numbers = Numbers(7);
    let pairs: Vec<_> = (0..PAIRS)
        .map(|_| (numbers.below(ENDPOINTS), numbers.below(ENDPOINTS)))
        .collect();
    let flow = |_| {
        let (src, dst) = pairs[numbers.below(PAIRS)];
        let starts = numbers.below(10) == 0;
        Flow {
            src: &endpoints[src],
            dst: &endpoints[dst],
            bytes: 64 + numbers.below(100_000) as u64,
            flags: if starts { 0x02 } else { 0x10 },
            start: if starts {
                ConnectionStart::Client
            } else {
                ConnectionStart::No
            },
            identities: numbered.then_some(Identities {
                src: src as u64,
                dst: dst as u64,
            }),
        }
    };
    (0..RECORDS).map(flow).collect()
}

/// Twenty metrics no two of which share labels: the least that sharing does.
fn unlike() -> Vec<FlowMetric> {
    let fields = [
        "SrcK8S_Namespace",
        "DstK8S_Namespace",
        "SrcK8S_HostName",
        "DstK8S_HostName",
        "SrcK8S_Zone",
    ];
    let choices = (1..32_usize).map(|bits| {
        let labels = fields.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
        labels.map(|(_, label)| (*label).to_owned()).collect::<Vec<_>>()
    });
    let choices = choices.filter(|labels| labels.len() > 1).take(20).enumerate();
    let metric = |(at, labels)| {
        let spec = FlowMetricSpec {
            labels,
            value_field: "Bytes".to_owned(),
            ..FlowMetricSpec::default()
        };
        FlowMetric::new(format!("unlike-{at}"), spec)
    };
    choices.map(metric).collect()
}

/// Nanoseconds a record: of the fastest round, which others on the machine disturbed least, and the median.
fn measure(registry: &mut Registry, flows: &[Flow<'_>], rounds: usize) -> (f64, f64) {
    let mut rounds: Vec<f64> = flows
        .chunks(1_000)
        .cycle()
        .take(rounds * 20)
        .map(|flows| {
            let began = Instant::now();
            for flow in flows {
                registry.observe(black_box(flow), 1_700_000_000_000);
            }
            began.elapsed().as_secs_f64() * 1e9 / flows.len() as f64
        })
        .collect();
    rounds.sort_unstable_by(f64::total_cmp);
    (rounds[0], rounds[rounds.len() / 2])
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.find_map(|argument| argument.parse().ok()).unwrap_or(51);
    let endpoints = endpoints();
    let numbered_only = std::env::args().any(|argument| argument == "numbered");
    for numbered in [true, false].into_iter().take(if numbered_only { 1 } else { 2 }) {
        cases(&flows(&endpoints, numbered), numbered, rounds);
    }
}

/// `numbered`: the records say who stands on their sides as numbers, too.
fn cases(flows: &[Flow<'_>], numbered: bool, rounds: usize) {
    let (base, _) = measure(&mut Registry::new(Limits::default()), flows, rounds);
    let cases = [
        ("twenty", twenty()),
        ("unlike", unlike()),
        ("connections", vec![connections()]),
    ];
    for (case, metrics) in cases {
        let mut registry = Registry::new(Limits::default());
        for metric in &metrics {
            registry.apply(metric).unwrap();
        }
        measure(&mut registry, flows, 1);
        let (fastest, median) = measure(&mut registry, flows, rounds);
        let series: usize = registry.stats().map(|stats| stats.series).sum();
        let mut text = String::new();
        let began = Instant::now();
        registry.expose(Exposition::OpenMetrics, &mut text).unwrap();
        let exposition_ms = began.elapsed().as_secs_f64() * 1e3;
        println!(
            "{{\"case\":\"{case}\",\"numbered\":{numbered},\"metrics\":{},\"series\":{series},\"fastest_ns_a_record\":{fastest:.0},\"median_ns_a_record\":{median:.0},\"base_ns_a_record\":{base:.1},\"exposition_bytes\":{},\"exposition_ms\":{exposition_ms:.1}}}",
            metrics.len(),
            text.len(),
        );
    }
}
