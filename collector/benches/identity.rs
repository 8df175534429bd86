//! What the names of a large cluster cost: memory of 1,000 nodes and 50,000 pods
//! with both address families, the time of a change and of a lookup, and labels
//! of 10 and of 10,000 networks. Run with `make bench-identity`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use serde_json::{Value, json};
use weir_collector::enrich::Enrich;
use weir_collector::normalise::{Context, normalise};
use weir_flow::FlowRecord;
use weir_identity::facts::objects::{EndpointSlice, Node, Pod, Service};
use weir_identity::subnets::Labels;
use weir_identity::{Fact, Index, ObjectKey, ObjectKind, Owner, Snapshot, Span, facts};

const NODES: usize = 1_000;
const PODS: usize = 50_000;
const PODS_A_WORKLOAD: usize = 5;
const PODS_A_SERVICE: usize = 25;
const NAMESPACES: usize = 200;
const NOW: u64 = 1_767_300_000_000_000_000;
const LOOKUPS: u32 = 500_000;
/// Where the labelled networks are; no pod is there.
const ELSEWHERE: u32 = 0x0b00_0000;

fn main() {
    let view = memory_and_changes();
    let (few, many) = (Labelled::new(10), Labelled::new(10_000));
    records(&view, &few, &many);
    labels(&few, &many);
}

fn memory_and_changes() -> Snapshot {
    let before = resident();
    let mut index = Index::default();
    (0..NODES).for_each(|n| put(&mut index, ObjectKind::Node, "", &node_name(n), node(n)));
    (0..PODS).for_each(|n| {
        put(
            &mut index,
            ObjectKind::Pod,
            &namespace(n),
            &pod_name(n),
            pod(n, 0),
        )
    });
    for n in 0..PODS / PODS_A_WORKLOAD {
        let at = n * PODS_A_WORKLOAD;
        let owner = Owner {
            kind: "Deployment".into(),
            name: format!("workload-{n}").into(),
            watched: None,
        };
        let fact = Fact::Controlled(Some(owner));
        put(
            &mut index,
            ObjectKind::ReplicaSet,
            &namespace(at),
            &set_name(at),
            fact,
        );
    }
    for n in 0..PODS / PODS_A_SERVICE {
        let ns = namespace(n);
        put(
            &mut index,
            ObjectKind::Service,
            &ns,
            &format!("service-{n}"),
            service(n),
        );
        put(
            &mut index,
            ObjectKind::EndpointSlice,
            &ns,
            &format!("service-{n}-x"),
            slice(n),
        );
    }
    let reader = index.snapshot();
    let all = resident();
    println!(
        "{NODES} nodes, {PODS} pods with two addresses, {} objects: {:.1} MiB",
        index.len(),
        mebibytes(all - before)
    );
    // A tenth of the pods goes and others get their addresses; a reader keeps what it had.
    for n in 0..PODS / 10 {
        index.delete(&ObjectKey::new(ObjectKind::Pod, &namespace(n), &pod_name(n)), NOW);
        put(
            &mut index,
            ObjectKind::Pod,
            &namespace(n),
            &format!("new-{n}"),
            pod(n, 1),
        );
    }
    let newer = index.snapshot();
    println!(
        "after {} pods were replaced, with the old view still read: {:.1} MiB (whole process {:.1} MiB)",
        PODS / 10,
        mebibytes(resident() - before),
        mebibytes(resident())
    );
    publish(&mut index);
    lookups(&newer);
    drop(reader);
    newer
}

fn publish(index: &mut Index) {
    const ROUNDS: usize = 200;
    let start = on_cpu();
    for n in 0..ROUNDS {
        let at = PODS / 2 + n;
        put(index, ObjectKind::Pod, &namespace(at), &pod_name(at), pod(at, 1));
        black_box(index.snapshot());
    }
    println!(
        "a change of one pod and a new view: {:.0} us",
        (on_cpu() - start) as f64 / 1_000.0 / ROUNDS as f64
    );
}

fn lookups(view: &Snapshot) {
    let flow = Span {
        from: NOW + 5_000_000_000,
        to: NOW + 6_000_000_000,
    };
    let mut random = Random(1);
    let mut found = 0_u32;
    let nanoseconds = time(|| {
        let address = pod_address(random.below(PODS));
        found += u32::from(view.directory.owners(address, flow) != weir_identity::Owners::Nobody);
    });
    assert!(found > LOOKUPS / 2, "{found} were found");
    println!("who had an address: {nanoseconds:.0} ns");
}

/// Flows of pods, half of them to endpoints, half to addresses of labelled networks,
/// named.
fn records(view: &Snapshot, few: &Labelled, many: &Labelled) {
    let name = |labelled: &Labelled| {
        let mut random = Random(5);
        let mut flows: Vec<FlowRecord> = (0..8_192).map(|_| flow(&mut random, labelled)).collect();
        let (mut enrich, mut at) = (Enrich::default(), 0);
        time(|| {
            at = (at + 1) % flows.len();
            enrich.enrich(&mut flows[at], &view.directory, &labelled.labels, None);
        })
    };
    let mut rounds: Vec<(f64, f64)> = (0..5).map(|_| (name(few), name(many))).collect();
    rounds.sort_by(|one, other| (one.1 / one.0).total_cmp(&(other.1 / other.0)));
    let (few, many) = rounds[2];
    println!(
        "names on both sides of a record: {few:.0} ns with 10 labelled networks, {many:.0} ns with 10,000, \
         ratio {:.2}",
        many / few
    );
}

fn flow(random: &mut Random, labelled: &Labelled) -> FlowRecord {
    let network = labelled.networks[random.below(labelled.networks.len())];
    let outside = Ipv4Addr::from_bits(network | random.below(256) as u32);
    let inside = pod_address(random.below(PODS));
    let record = wire::Record {
        src_addr: Some(pod_address(random.below(PODS))),
        dst_addr: Some(if random.below(2) == 0 {
            inside
        } else {
            outside.into()
        }),
        src_port: Some(32_768 + random.below(28_000) as u16),
        dst_port: Some(8080),
        ip_protocol: Some(6),
        start_ns: Some(NOW + 5_000_000_000),
        end_ns: Some(NOW + 6_000_000_000),
        ..wire::Record::new(wire::Protocol::Ipfix, NOW + 7_000_000_000)
    };
    let context = Context {
        received_ns: NOW + 7_000_000_000,
        source: IpAddr::from([127, 0, 0, 1]),
        exporter: None,
    };
    normalise(record, context)
}

/// So many networks of 256 addresses, and addresses: of those networks, and of
/// all of 11.0.0.0/8.
fn labels(few: &Labelled, many: &Labelled) {
    for (what, within) in [("a labelled network", true), ("any network", false)] {
        let ratio = |(few, many): &(f64, f64)| many / few;
        let mut rounds: Vec<(f64, f64)> = (0..5).map(|_| (few.time(within), many.time(within))).collect();
        rounds.sort_by(|one, other| ratio(one).total_cmp(&ratio(other)));
        let (few, many) = rounds[2];
        println!(
            "label of an address of {what}: {few:.1} ns of 10, {many:.1} ns of 10,000, ratio {:.2}",
            many / few
        );
    }
}

struct Labelled {
    labels: Labels,
    networks: Vec<u32>,
}

impl Labelled {
    fn new(count: usize) -> Self {
        let mut random = Random(7);
        let mut networks = Vec::new();
        let mut text = "customLabels:\n".to_owned();
        while networks.len() < count {
            let network = ELSEWHERE | (random.below(1 << 16) as u32) << 8;
            if !networks.contains(&network) {
                let cidr = Ipv4Addr::from_bits(network);
                writeln!(text, "- {{name: label-{network}, cidrs: [{cidr}/24]}}")
                    .expect("a String takes all");
                networks.push(network);
            }
        }
        let labels = Labels::parse(&text, Path::new("generated")).expect("the text is well-formed");
        Self { labels, networks }
    }

    /// Of one lookup, ns.
    fn time(&self, within: bool) -> f64 {
        let mut random = Random(3);
        time(|| {
            let at = random.below(1 << 24);
            let network = if within {
                self.networks[at % self.networks.len()]
            } else {
                ELSEWHERE
            };
            let address = network | if within { at as u32 & 0xff } else { at as u32 };
            black_box(self.labels.get(Ipv4Addr::from_bits(address).into()));
        })
    }
}

/// CPU time of one step, ns.
fn time(mut step: impl FnMut()) -> f64 {
    let start = on_cpu();
    (0..LOOKUPS).for_each(|_| step());
    (on_cpu() - start) as f64 / f64::from(LOOKUPS)
}

/// Time that this thread had a CPU, ns.
fn on_cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn put(index: &mut Index, kind: ObjectKind, ns: &str, name: &str, fact: Fact) {
    index.apply(ObjectKey::new(kind, ns, name), fact, NOW);
}

fn node_name(n: usize) -> String {
    format!("ip-10-0-{}-{}.eu-central-1.compute.internal", n / 256, n % 256)
}

fn namespace(n: usize) -> String {
    format!("namespace-{}", n / PODS_A_WORKLOAD % NAMESPACES)
}

fn set_name(n: usize) -> String {
    format!("workload-{}-5d9c7f86b4", n / PODS_A_WORKLOAD)
}

fn pod_name(n: usize) -> String {
    format!("{}-{:05x}", set_name(n), n)
}

fn pod_address(n: usize) -> IpAddr {
    Ipv4Addr::from_bits(0x0a80_0000 + n as u32).into()
}

fn node(n: usize) -> Fact {
    let object: Node = typed(json!({
        "metadata": {"name": node_name(n), "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"topology.kubernetes.io/zone": format!("eu-central-1{}", ["a", "b", "c"][n % 3]),
                       "topology.kubernetes.io/region": "eu-central-1"}},
        "status": {"addresses": [{"type": "InternalIP", "address": format!("10.0.{}.{}", n / 256, n % 256)},
                                 {"type": "InternalIP", "address": format!("fd00::{n:x}")}]},
    }));
    facts::node(&object)
}

fn pod(n: usize, hours: usize) -> Fact {
    let made = format!("2026-01-01T0{hours}:00:00Z");
    let object: Pod = typed(json!({
        "metadata": {"name": pod_name(n), "namespace": namespace(n), "creationTimestamp": made,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set_name(n), "uid": "u",
                                 "controller": true}]},
        "spec": {"nodeName": node_name(n % NODES), "containers": []},
        "status": {"phase": "Running", "startTime": made, "podIP": pod_address(n),
                   "podIPs": [{"ip": pod_address(n)}, {"ip": format!("fd01::{n:x}")}]},
    }));
    facts::pod(&object)
}

fn service(n: usize) -> Fact {
    let object: Service = typed(json!({
        "metadata": {"name": format!("service-{n}"), "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"clusterIP": Ipv4Addr::from_bits(0x0a60_0000 + n as u32),
                 "ports": [{"port": 80}, {"port": 9090}]},
    }));
    facts::service(&object)
}

fn slice(n: usize) -> Fact {
    let endpoints: Vec<Value> = (0..PODS_A_SERVICE)
        .map(|at| json!({"addresses": [pod_address(n * PODS_A_SERVICE + at)], "conditions": {"ready": true}}))
        .collect();
    let object: EndpointSlice = typed(json!({
        "metadata": {"labels": {"kubernetes.io/service-name": format!("service-{n}")},
                     "creationTimestamp": "2026-01-01T00:00:00Z"},
        "addressType": "IPv4", "endpoints": endpoints, "ports": [{"port": 8080}, {"port": 9090}],
    }));
    facts::endpoints(&object)
}

fn typed<T: serde::de::DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).expect("the objects above are those of the API")
}

/// Resident memory of this process, octets.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    number.unwrap_or(0) * 1024
}

fn mebibytes(octets: usize) -> f64 {
    octets as f64 / f64::from(1 << 20)
}

/// Xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
