//! What metrics cost a record: 20 of them with about 10,000 series, beside the same loop
//! without any.
//!
//! `cargo bench -p weir-flowmetrics [-- ROUNDS] [few|many]` prints one JSON object a case: `few` of 240 identities in
//! 1,250 pairs, `many` of up to 50,000. Each case is measured with numbers of identities, as the collector gives them, and
//! without, in turn.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use weir_fields::Column;
use weir_flowmetrics::{
    ConnectionStart, ControlBits, Exposition, FlowMetric, FlowMetricSpec, Identities, IdentityNumbers,
    Limits, Record, Registry, Value,
};

use shared::{Numbers, connections, twenty};

mod shared;

const NAMESPACES: usize = 20;
const NODES: usize = 10;

/// How many stand on the sides of records, in how many pairs, and how many records there are.
#[derive(Clone, Copy)]
struct Size {
    endpoints: usize,
    pairs: usize,
    records: usize,
}

const FEW: Size = Size {
    endpoints: 240,
    pairs: 1_250,
    records: 20_000,
};
/// More identities than there were places for, and more pairs than there are.
const MANY: [Size; 3] = [
    Size {
        endpoints: 20_000,
        pairs: 20_000,
        records: 200_000,
    },
    Size {
        endpoints: 50_000,
        pairs: 30_000,
        records: 200_000,
    },
    Size {
        endpoints: 50_000,
        pairs: 90_000,
        records: 400_000,
    },
];

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

struct Flow {
    src: Arc<Endpoint>,
    dst: Arc<Endpoint>,
    bytes: u64,
    flags: u16,
    start: ConnectionStart,
}

/// One with its numbers.
struct Counted<'f>(&'f Flow, Option<Identities>);

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

impl Record for Counted<'_> {
    #[inline]
    fn value(&self, column: Column) -> Value<'_> {
        self.0.value(column)
    }

    fn connection_start(&self) -> ConnectionStart {
        self.0.start
    }

    fn identities(&self) -> Option<Identities> {
        self.1
    }
}

impl Flow {
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
}

fn endpoints(size: Size) -> Vec<Arc<Endpoint>> {
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
        addr: IpAddr::from([
            10,
            128 + (n / 62_500) as u8,
            (n / 250 % 250) as u8,
            (n % 250) as u8,
        ]),
    };
    (0..size.endpoints).map(|n| Arc::new(endpoint(n))).collect()
}

fn flows(size: Size) -> Vec<Flow> {
    let endpoints = endpoints(size);
    let mut numbers = Numbers(7);
    let pairs: Vec<_> = (0..size.pairs)
        .map(|_| (numbers.below(size.endpoints), numbers.below(size.endpoints)))
        .collect();
    let flow = |_| {
        let (src, dst) = pairs[numbers.below(size.pairs)];
        let starts = numbers.below(10) == 0;
        Flow {
            src: Arc::clone(&endpoints[src]),
            dst: Arc::clone(&endpoints[dst]),
            bytes: 64 + numbers.below(100_000) as u64,
            flags: if starts { 0x02 } else { 0x10 },
            start: if starts {
                ConnectionStart::Client
            } else {
                ConnectionStart::No
            },
        }
    };
    (0..size.records).map(flow).collect()
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

/// A registry, and the numbers that records are given for it.
struct Counting {
    registry: Registry,
    numbers: Option<IdentityNumbers<Endpoint>>,
}

impl Counting {
    fn new(metrics: &[FlowMetric], numbered: bool) -> Self {
        let mut registry = Registry::new(Limits::default());
        for metric in metrics {
            registry.apply(metric).unwrap();
        }
        Self {
            registry,
            numbers: numbered.then(IdentityNumbers::default),
        }
    }

    /// Nanoseconds a record, of each thousand.
    fn count(&mut self, flows: &[Flow]) -> Vec<f64> {
        let Self { registry, numbers } = self;
        let count = |flows: &[Flow]| {
            let began = Instant::now();
            for flow in flows {
                let numbers = numbers.as_mut().filter(|_| registry.reads_identities());
                let identities = numbers.map(|numbers| Identities {
                    src: numbers.number(&flow.src),
                    dst: numbers.number(&flow.dst),
                });
                registry.observe(black_box(&Counted(flow, identities)), 1_700_000_000_000);
            }
            began.elapsed().as_secs_f64() * 1e9 / flows.len() as f64
        };
        flows.chunks(1_000).map(count).collect()
    }
}

/// What counting cost.
#[derive(Default)]
struct Cost {
    rounds: Vec<f64>,
    cpu_ns: u64,
    records: usize,
}

impl Cost {
    fn add(&mut self, counting: &mut Counting, flows: &[Flow]) {
        let before = cpu_ns();
        self.rounds.extend(counting.count(flows));
        self.cpu_ns += cpu_ns() - before;
        self.records += flows.len();
    }

    /// Nanoseconds a record: of the fastest thousand, which others on the machine disturbed least, and on the processor
    /// over all.
    fn told(&self) -> (f64, f64) {
        let fastest = self.rounds.iter().copied().min_by(f64::total_cmp);
        (
            fastest.unwrap_or_default(),
            self.cpu_ns as f64 / self.records as f64,
        )
    }
}

/// What this thread was on a processor, however many others were meanwhile; as of the last tick.
fn cpu_ns() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    told.split(' ').next().unwrap().parse().unwrap()
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let rounds = arguments.iter().find_map(|argument| argument.parse().ok());
    let only = |word: &str| arguments.iter().any(|argument| argument == word);
    if !only("many") {
        for (case, metrics) in [
            ("twenty", twenty()),
            ("unlike", unlike()),
            ("connections", vec![connections()]),
        ] {
            measure(case, &metrics, FEW, rounds.unwrap_or(101));
        }
    }
    if !only("few") {
        for size in MANY {
            measure("twenty", &twenty(), size, rounds.unwrap_or(101).div_ceil(17));
        }
    }
}

/// Counts all records so many times, with numbers and without in turn.
fn measure(case: &str, metrics: &[FlowMetric], size: Size, rounds: usize) {
    let flows = flows(size);
    let mut both = [true, false].map(|numbered| Counting::new(metrics, numbered));
    let mut costs = [Cost::default(), Cost::default()];
    // The first rounds make the series, and know the pairs.
    for counting in &mut both {
        counting.count(&flows);
        counting.count(&flows);
    }
    for _ in 0..rounds {
        for (cost, counting) in costs.iter_mut().zip(&mut both) {
            cost.add(counting, &flows);
        }
    }
    let [with, without] = costs.each_ref().map(Cost::told);
    let registry = &both[0].registry;
    let series: usize = registry.stats().map(|stats| stats.series).sum();
    let mut text = String::new();
    let began = Instant::now();
    registry.expose(Exposition::OpenMetrics, &mut text).unwrap();
    let exposition_ms = began.elapsed().as_secs_f64() * 1e3;
    println!(
        "{{\"case\":\"{case}\",\"identities\":{},\"pairs\":{},\"metrics\":{},\"series\":{series},\"fastest_ns_a_record\":{:.0},\"cpu_ns_a_record\":{:.0},\"without_numbers_fastest\":{:.0},\"without_numbers_cpu\":{:.0},\"exposition_bytes\":{},\"exposition_ms\":{exposition_ms:.1}}}",
        size.endpoints,
        size.pairs,
        metrics.len(),
        with.0,
        with.1,
        without.0,
        without.1,
        text.len(),
    );
}
