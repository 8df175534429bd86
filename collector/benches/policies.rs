//! What it costs a receiving thread to judge records by policies, beside not to: 2,000 policies of
//! three rules each way, 50,000 pods with names, owners and labels on 1,000 nodes in 500 namespaces,
//! a Service in each; records in batches as they are handed on, with as much room as a thread has.
//!
//! `cargo bench --workspace --bench collector_policies [-- ROUNDS]` prints one JSON object a case.

use std::fmt::Write;
use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use weir_collector::metrics::Metrics;
use weir_collector::policies::{Judge, Policies, PolicyCounts, PolicySources, Versions};
use weir_flow::{
    FlowRecord, IdentifiedBy, Identity, Judged, Kind, PacketPath, Server, ServerConfidence, Side, Tunnel,
    Verdict,
};
use wire::{Attributes, Protocol};

const NAMESPACES: usize = 500;
const NODES: usize = 1_000;
const PODS: usize = 50_000;
const POLICIES: usize = 2_000;
/// As many as a worker hands on at once.
const BATCH: usize = 512;
/// What a receiving thread has room for.
const ROOM: usize = 16_384;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.find_map(|argument| argument.parse().ok()).unwrap_or(51);
    let folder = std::env::temp_dir().join(format!("weir-bench-policies-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for a file");
    fs::write(folder.join("objects.json"), objects()).expect("a file of objects");
    let sources = PolicySources {
        paths: vec![folder.clone()],
        cni: None,
    };
    let (metrics, mut tasks) = (Metrics::default(), JoinSet::new());
    let mut policies = Policies::new(&sources, false);
    let mut versions = policies.versions().expect("there is a source");
    policies.follow(sources, None, None, metrics.policies(), &mut tasks);
    let begun = Instant::now();
    versions.changed().await.expect("the task runs");
    println!(
        r#"{{"case":"read and compiled","ms":{:.0}}}"#,
        begun.elapsed().as_secs_f64() * 1e3
    );
    let identities: Vec<Arc<Identity>> = (0..PODS + NAMESPACES).map(|n| Arc::new(identity(n))).collect();
    for (case, distinct, is_service) in [
        ("pods, 1,000 connections in turn", 1_000, false),
        ("pods, 10,000 connections in turn", 10_000, false),
        ("pods, 100,000 connections in turn", 100_000, false),
        ("Services, 10,000 connections in turn", 10_000, true),
    ] {
        let records: Vec<FlowRecord> = (0..distinct)
            .map(|n| record(n, is_service, &identities))
            .collect();
        measure(case, policies.versions(), &metrics, records, rounds);
    }
    tasks.shutdown().await;
    let _ = fs::remove_dir_all(&folder);
}

/// Nanoseconds a record, with verdicts and without by turns: of the fastest round, which others on
/// the machine disturbed least, and the median.
fn measure(
    case: &str,
    versions: Option<watch::Receiver<Arc<Versions>>>,
    metrics: &Metrics,
    mut records: Vec<FlowRecord>,
    rounds: usize,
) {
    let counts = || PolicyCounts::new(Arc::clone(metrics.policies()));
    let mut judges = [None, versions].map(|source| Judge::new(source, ROOM, counts()));
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (judge, times) in judges.iter_mut().zip(&mut times) {
            let begun = Instant::now();
            for batch in records.chunks_mut(BATCH) {
                judge.judge(black_box(batch));
            }
            times.push(begun.elapsed().as_secs_f64() * 1e9 / records.len() as f64);
        }
    }
    for (verdicts, mut times) in ["off", "on"].into_iter().zip(times) {
        times.sort_by(f64::total_cmp);
        let (fastest, median) = (times[0], times[times.len() / 2]);
        println!(
            r#"{{"case":"{case}","verdicts":"{verdicts}","fastest_ns":{fastest:.1},"median_ns":{median:.1}}}"#
        );
    }
}

/// What `kubectl get -o json` would write.
fn objects() -> String {
    let mut items = Vec::new();
    for n in 0..NAMESPACES {
        items.push(format!(
            r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"ns{n}","labels":{{"team":"t{}"}}}}}}"#,
            n % 20
        ));
    }
    for n in 0..PODS {
        items.push(format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p{n}","namespace":"ns{}","labels":{{"app":"a{}","pod-template-hash":"{:x}"}}}},"spec":{{"nodeName":"n{}"}},"status":{{"phase":"Running","podIP":"{}"}}}}"#,
            n % NAMESPACES, n / NAMESPACES % 10, n % 5_000, n % NODES, address(n)
        ));
    }
    for n in 0..NODES {
        items.push(format!(
            r#"{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"n{n}"}},"spec":{{"podCIDRs":["10.1.{}.0/24"]}},"status":{{"addresses":[{{"type":"InternalIP","address":"10.2.{}.{}"}}]}}}}"#,
            n % 200, n / 250, n % 250 + 1
        ));
    }
    // Behind each are the 100 pods of its namespace.
    for n in 0..NAMESPACES {
        let pods =
            (0..PODS / NAMESPACES).map(|m| format!(r#"{{"addresses":["{}"]}}"#, address(m * NAMESPACES + n)));
        items.push(format!(
            r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"s","namespace":"ns{n}"}},"spec":{{"clusterIP":"{}","ports":[{{"port":443,"protocol":"TCP"}}]}}}}"#,
            address(PODS + n)
        ));
        items.push(format!(
            r#"{{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{{"name":"s-1","namespace":"ns{n}","labels":{{"kubernetes.io/service-name":"s"}}}},"endpoints":[{}],"ports":[{{"port":8080,"protocol":"TCP"}}]}}"#,
            pods.collect::<Vec<_>>().join(",")
        ));
    }
    for n in 0..POLICIES {
        let rule = |word: &str, m: usize| {
            format!(
                r#"{{"{word}":[{{"namespaceSelector":{{"matchLabels":{{"team":"t{}"}}}},"podSelector":{{"matchLabels":{{"app":"a{}"}}}}}}],"ports":[{{"port":{}}}]}}"#,
                (n + m) % 20,
                (n * 7 + m) % 10,
                [443, 8080, 5432][m]
            )
        };
        let rules = |word: &str| (0..3).map(|m| rule(word, m)).collect::<Vec<_>>().join(",");
        items.push(format!(
            r#"{{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{{"name":"np{n}","namespace":"ns{}"}},"spec":{{"podSelector":{{"matchLabels":{{"app":"a{}"}}}},"policyTypes":["Ingress","Egress"],"ingress":[{}],"egress":[{}]}}}}"#,
            n % NAMESPACES, n / NAMESPACES, rules("from"), rules("to")
        ));
    }
    let mut text = String::from(r#"{"apiVersion":"v1","kind":"List","items":["#);
    write!(text, "{}]}}", items.join(",")).expect("a String takes whatever is written to it");
    text
}

/// Of a pod, or from `PODS` on of a Service.
fn address(n: usize) -> std::net::IpAddr {
    match n.checked_sub(PODS) {
        None => [10, 1, (n / 250) as u8, (n % 250) as u8 + 1].into(),
        Some(n) => [10, 96, (n / 250) as u8, (n % 250) as u8 + 1].into(),
    }
}

fn identity(n: usize) -> Identity {
    let ns: Arc<str> = format!("ns{}", n % NAMESPACES).into();
    if n >= PODS {
        return Identity {
            kind: Kind::Service,
            name: "s".into(),
            service_name: "s".into(),
            service_ns: Arc::clone(&ns),
            ns,
            ..Identity::default()
        };
    }
    let label = |key: &str, value: String| (Arc::from(key), Arc::from(value));
    Identity {
        kind: Kind::Pod,
        node_name: format!("n{}", n % NODES).into(),
        network: "primary".into(),
        name: format!("p{n}").into(),
        workload_name: format!("w{}", n / NAMESPACES % 10).into(),
        workload_kind: "Deployment".into(),
        node_addr: Some([10, 2, 0, 1].into()),
        zone: format!("z{}", n % 3).into(),
        region: "r".into(),
        service_name: "s".into(),
        service_ns: Arc::clone(&ns),
        labels: [label("app", format!("a{}", n / NAMESPACES % 10))].into(),
        ns,
        ..Identity::default()
    }
}

fn record(n: usize, is_service: bool, identities: &[Arc<Identity>]) -> FlowRecord {
    // Half a minute after a version begins all is settled: of later than that.
    let now = std::time::SystemTime::now() + Duration::from_secs(60);
    let now = now
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos() as u64;
    let side = |n: usize, port| Side {
        addr: Some(address(n)),
        port: Some(port),
        mac: None,
        if_index: None,
        if_name: "".into(),
        identity: Arc::clone(&identities[n]).into(),
        found: IdentifiedBy::Address,
    };
    let server = (n / 7).wrapping_mul(40_503);
    let (src, dst) = (
        n.wrapping_mul(2_654_435_761) % PODS,
        if is_service {
            PODS + server % NAMESPACES
        } else {
            server % PODS
        },
    );
    let port = if is_service {
        443
    } else {
        [443, 8_080, 5_432, 9_090][n % 4]
    };
    FlowRecord {
        time_ns: now,
        start_ns: now,
        end_ns: now,
        bytes: Some(1),
        packets: Some(1),
        l2_bytes: None,
        sampling: Some(1),
        proto: Some(6),
        src: side(src, 40_000),
        dst: side(dst, port),
        dscp: None,
        ttl: None,
        icmp_type: None,
        icmp_code: None,
        tcp_flags: None,
        vlan_id: None,
        tunnel: Tunnel::default(),
        direction: None,
        format: Protocol::Ipfix,
        exporter: [192, 0, 2, 1].into(),
        exporter_node: "n".into(),
        obs_domain_id: None,
        obs_point_id: None,
        path: PacketPath::NONE,
        primary: true,
        verdict: Verdict::Unknown,
        dropped_packets: None,
        dropped_bytes: None,
        end_reason: None,
        server: Server::Dst,
        server_confidence: ServerConfidence::Service,
        attributes: Attributes::default(),
        policy: Judged::NOT,
    }
}
