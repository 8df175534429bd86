//! What it costs a receiving thread to judge records by policies: 2,000 policies of three rules
//! each way, 10,000 pods, records in batches of 1,024 as they are handed on.

use std::fmt::Write;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use weir_collector::metrics::Metrics;
use weir_collector::policies::{Judge, Policies, PolicyCounts, PolicySources};
use weir_flow::{
    FlowRecord, IdentifiedBy, Identity, Judged, Kind, PacketPath, Server, ServerConfidence, Side, Tunnel,
    Verdict,
};
use wire::{Attributes, Protocol};

const NAMESPACES: usize = 200;
const PODS: usize = 10_000;
const POLICIES: usize = 2_000;
const BATCH: usize = 1_024;
/// Records of each measure.
const RECORDS: usize = 2_000_000;

#[tokio::main]
async fn main() {
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
        "{:<48} {:>7.0} ms",
        "read and compiled",
        begun.elapsed().as_secs_f64() * 1e3
    );
    let identities: Vec<Arc<Identity>> = (0..PODS).map(|n| Arc::new(identity(n))).collect();
    for distinct in [1_000, 10_000, 100_000] {
        let counts = PolicyCounts::new(Arc::clone(metrics.policies()));
        let mut judge = Judge::new(policies.versions(), 16_384, counts);
        let mut records: Vec<FlowRecord> = (0..distinct).map(|n| record(n, &identities)).collect();
        judge.judge(&mut records[..distinct.min(BATCH)]);
        let (begun, mut done) = (Instant::now(), 0);
        while done < RECORDS {
            for batch in records.chunks_mut(BATCH) {
                judge.judge(batch);
                done += batch.len();
            }
        }
        let each = begun.elapsed().as_secs_f64() * 1e9 / done as f64;
        println!(
            "{:<48} {each:>7.0} ns",
            format!("a record, {distinct} connections in turn")
        );
    }
    let mut judge = Judge::new(None, 16_384, PolicyCounts::new(Arc::default()));
    let mut records: Vec<FlowRecord> = (0..BATCH).map(|n| record(n, &identities)).collect();
    let begun = Instant::now();
    (0..1_000_000).for_each(|_| judge.judge(std::hint::black_box(&mut records)));
    println!(
        "{:<48} {:>7.1} ns",
        "a batch without policies",
        begun.elapsed().as_secs_f64() * 1e3
    );
    tasks.shutdown().await;
    let _ = fs::remove_dir_all(&folder);
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
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p{n}","namespace":"ns{}","labels":{{"app":"a{}"}}}},"spec":{{"nodeName":"n{}"}},"status":{{"phase":"Running","podIP":"{}"}}}}"#,
            n % NAMESPACES, n / NAMESPACES % 10, n % 100, address(n)
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

fn address(n: usize) -> std::net::IpAddr {
    [10, 1, (n / 250) as u8, (n % 250) as u8 + 1].into()
}

fn identity(n: usize) -> Identity {
    Identity {
        kind: Kind::Pod,
        ns: format!("ns{}", n % NAMESPACES).into(),
        name: format!("p{n}").into(),
        ..Identity::default()
    }
}

fn record(n: usize, identities: &[Arc<Identity>]) -> FlowRecord {
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
    let (src, dst) = (
        n.wrapping_mul(2_654_435_761) % PODS,
        (n / 7).wrapping_mul(40_503) % PODS,
    );
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
        dst: side(dst, [443, 8_080, 5_432, 9_090][n % 4]),
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
