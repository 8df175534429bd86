//! What verdicts cost in a large cluster: 2,000 policies with three rules each way, 500
//! namespaces, 50,000 pods, 1,000 nodes; and what decisions over many edges cost. Run with
//! `make bench-policy`; a word picks a part: `verdicts`, `replay` or `reports`.

mod decisions;

use std::collections::BTreeSet;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use ipnet::{IpNet, Ipv4Net};
use weir_policy::policy::{
    Direction, IpBlock, NetworkPeer, NetworkPolicy, NetworkPort, NetworkRule, PortMatch,
};
use weir_policy::selector::{Operator, Requirement};
use weir_policy::{
    Cluster, Connection, Endpoint, Engine, Labels, Memo, Namespace, Node, Pod, Policy, Profile, Protocol,
    Selector,
};

const NAMESPACES: usize = 500;
const PODS: usize = 50_000;
const NODES: usize = 1_000;
const POLICIES: usize = 2_000;
const RULES: usize = 3;
const APPS: usize = 8;
const FLOWS: usize = 1_000_000;
const BATCH: usize = 8_192;
const CHANGES: u32 = 50;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

fn labels(pairs: &[(&str, String)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect()
}

fn selector(key: &str, value: String) -> Selector {
    Selector::Requirements(vec![Requirement {
        key: key.into(),
        operator: Operator::In(vec![value]),
    }])
}

fn address(pod: usize) -> IpAddr {
    Ipv4Addr::from(0x0a80_0000 + pod as u32).into()
}

fn pod(n: usize) -> Pod {
    Pod {
        namespace: format!("ns-{}", n % NAMESPACES),
        name: format!("pod-{n}"),
        labels: labels(&[
            ("app", format!("app-{}", n / NAMESPACES % APPS)),
            ("tier", format!("tier-{}", n % 3)),
            ("pod-template-hash", format!("hash-{}", n / 5)),
        ]),
        addresses: vec![address(n)],
        ports: Vec::new(),
        host_network: false,
        node: format!("node-{}", n % NODES),
        finished: false,
    }
}

fn block(random: &mut Random) -> IpBlock {
    let network = Ipv4Addr::from(0xc000_0000 | (random.below(600) as u32) << 12);
    let cidr = Ipv4Net::new(network, 20).map(IpNet::V4).expect("20 is a length");
    let except = cidr.subnets(24).expect("24 is longer").take(1).collect();
    IpBlock { cidr, except }
}

fn rule(random: &mut Random) -> NetworkRule {
    let peer = match random.below(5) {
        0 => NetworkPeer::Block(block(random)),
        1 => NetworkPeer::Pods {
            namespaces: Some(selector("team", format!("team-{}", random.below(50)))),
            pods: Some(selector("app", format!("app-{}", random.below(APPS)))),
        },
        2 => NetworkPeer::Pods {
            namespaces: Some(selector("team", format!("team-{}", random.below(50)))),
            pods: None,
        },
        _ => NetworkPeer::Pods {
            namespaces: None,
            pods: Some(selector("app", format!("app-{}", random.below(APPS)))),
        },
    };
    let first = 1_000 + random.below(400) as u16;
    let port = NetworkPort {
        protocol: Protocol::Tcp,
        port: PortMatch::Range(first, first),
    };
    NetworkRule {
        peers: vec![peer],
        ports: vec![port],
    }
}

fn policy(n: usize, random: &mut Random) -> Policy {
    let pods = match random.below(4) {
        0 => Selector::everything(),
        _ => selector("app", format!("app-{}", random.below(APPS))),
    };
    Policy::Network(NetworkPolicy {
        namespace: format!("ns-{}", n % NAMESPACES),
        name: format!("policy-{n}"),
        pods,
        types: vec![Direction::Ingress, Direction::Egress],
        ingress: (0..RULES).map(|_| rule(random)).collect(),
        egress: (0..RULES).map(|_| rule(random)).collect(),
    })
}

fn cluster(random: &mut Random) -> Cluster {
    let node = |n: usize| Node {
        name: format!("node-{n}"),
        addresses: vec![Ipv4Addr::from(0x0a00_0000 + n as u32).into()],
        ..Node::default()
    };
    let team = |n: usize| labels(&[("team", format!("team-{}", n % 50))]);
    Cluster {
        namespaces: (0..NAMESPACES)
            .map(|n| Namespace::new(&format!("ns-{n}"), team(n)))
            .collect(),
        pods: (0..PODS).map(pod).collect(),
        nodes: (0..NODES).map(node).collect(),
        policies: (0..POLICIES).map(|n| policy(n, random)).collect(),
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let parts = ["verdicts", "replay", "reports"];
    let is_all = !words.iter().any(|word| parts.contains(&word.as_str()));
    let wants = |part: &str| is_all || words.iter().any(|word| word == part);
    println!(
        "policies {POLICIES}, rules a direction {}, pods {PODS}; load before: {}",
        POLICIES * RULES,
        std::fs::read_to_string("/proc/loadavg")
            .unwrap_or_default()
            .trim()
    );
    if wants("verdicts") {
        verdicts();
    }
    if wants("replay") {
        decisions::replays();
    }
    if wants("reports") {
        decisions::reports();
    }
}

fn verdicts() {
    let mut random = Random(1);
    let cluster = cluster(&mut random);
    let before = resident();
    let start = Instant::now();
    let mut engine = Engine::compile(Profile::default(), cluster);
    let compiled = start.elapsed();
    println!(
        "compile                                   {:9.1} ms",
        milliseconds(compiled)
    );
    println!(
        "memory of facts and tables                {:9.1} MiB",
        (resident() - before) as f64 / 1_048_576.0
    );
    changes(&mut engine, &mut random);
    flows(&engine, &mut random);
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Bytes that the process holds (Linux).
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or_default();
    line.split_whitespace()
        .next()
        .and_then(|kilobytes| kilobytes.parse::<usize>().ok())
        .unwrap_or_default()
        * 1024
}

/// A change as a reader sees it: the tables that it holds are copied.
fn change(engine: &mut Engine, what: &str, mut make: impl FnMut(&mut Engine, u32)) {
    let mut total = Duration::ZERO;
    let mut slowest = Duration::ZERO;
    for n in 0..CHANGES {
        let held = engine.snapshot();
        let start = Instant::now();
        make(engine, n);
        let took = start.elapsed();
        black_box(held);
        total += took;
        slowest = slowest.max(took);
    }
    let mean = milliseconds(total / CHANGES);
    println!(
        "{what:<40}  {mean:9.3} ms, slowest {:.3} ms",
        milliseconds(slowest)
    );
}

fn changes(engine: &mut Engine, random: &mut Random) {
    let mut other = Random(99);
    change(engine, "a policy changed", |engine, n| {
        engine.set_policy(policy(n as usize, &mut other))
    });
    change(engine, "a policy removed and added", |engine, n| {
        let policy = policy(n as usize, random);
        engine.remove_policy(&policy.key());
        engine.set_policy(policy);
    });
    for (what, first) in [
        ("a policy with a new network", 0xcb00_0000),
        ("  one around 16 pods", 0x0a80_0000),
    ] {
        change(engine, what, |engine, n| {
            let Policy::Network(mut policy) = policy(n as usize, random) else {
                return;
            };
            let network = Ipv4Net::new(Ipv4Addr::from(first + (n << 4)), 28).expect("28 is a length");
            policy.ingress[0].peers = vec![NetworkPeer::Block(IpBlock {
                cidr: network.into(),
                except: Vec::new(),
            })];
            engine.set_policy(Policy::Network(policy));
        });
    }
    change(engine, "a pod in a known group", |engine, n| {
        engine.set_pod(Pod {
            name: format!("more-{n}"),
            ..pod(n as usize)
        });
    });
    change(engine, "labels of a namespace with 100 pods", |engine, n| {
        let team = labels(&[("team", format!("team-{}", (n + 1) % 50))]);
        engine.set_namespace(Namespace::new(&format!("ns-{n}"), team));
    });
    let start = Instant::now();
    engine.rebuild();
    println!(
        "all compiled anew                         {:9.1} ms",
        milliseconds(start.elapsed())
    );
}

/// Where a pod is among all by name: those of a workload are neighbours.
fn place(pod: usize) -> (usize, usize, usize) {
    (pod % NAMESPACES, pod / NAMESPACES % APPS, pod)
}

/// Distinct connections, sorted as batches are: by client, then server; half of them within a namespace, as traffic is.
fn connections(engine: &Engine, count: usize, random: &mut Random) -> Vec<Connection<'static>> {
    let snapshot = engine.snapshot();
    let ends: Vec<Endpoint> = (0..PODS)
        .filter_map(|n| engine.pod(&format!("ns-{}", n % NAMESPACES), &format!("pod-{n}"), address(n)))
        .collect();
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let client = random.below(PODS);
        let server = match random.below(2) {
            0 => random.below(PODS),
            _ => client % NAMESPACES + random.below(PODS / NAMESPACES) * NAMESPACES,
        };
        let port = 1_000 + random.below(400) as u16;
        seen.insert((client, server, port));
    }
    let outside = |random: &mut Random| {
        snapshot.outside(Ipv4Addr::from(0xc000_0000 | random.below(1 << 22) as u32).into())
    };
    let mut seen: Vec<_> = seen.into_iter().collect();
    seen.sort_unstable_by_key(|(client, server, port)| (place(*client), place(*server), *port));
    seen.into_iter()
        .map(|(client, server, port)| {
            let server = if random.below(20) == 0 {
                outside(random)
            } else {
                ends[server]
            };
            Connection::new(ends[client], server, 6, port)
        })
        .collect()
}

fn flows(engine: &Engine, random: &mut Random) {
    let all = connections(engine, 1_000_000, random);
    let nanoseconds = |took: Duration, count: usize| took.as_secs_f64() * 1e9 / count as f64;
    let snapshot = engine.snapshot();
    let mut answers = [0usize; 4];
    let shuffled: Vec<Connection<'_>> = (0..all.len()).map(|_| all[random.below(all.len())]).collect();
    let start = Instant::now();
    for connection in &shuffled {
        answers[black_box(snapshot.evaluate(connection)).answer as usize] += 1;
    }
    println!(
        "random order, nothing remembered            {:7.1} ns a flow",
        nanoseconds(start.elapsed(), all.len())
    );
    println!(
        "  of these allowed {} %, denied {} %",
        answers[0] / 10_000,
        answers[1] / 10_000
    );
    let start = Instant::now();
    for connection in shuffled[..1_000].iter().cycle().take(FLOWS) {
        black_box(snapshot.evaluate(connection));
    }
    println!(
        "1,000 in turn, nothing remembered           {:7.1} ns a flow",
        nanoseconds(start.elapsed(), FLOWS)
    );
    for distinct in [10_000, 100_000, 1_000_000] {
        let some: Vec<Connection<'_>> = all.iter().step_by(all.len() / distinct).copied().collect();
        let mut flows = Vec::with_capacity(FLOWS);
        for _ in 0..FLOWS / BATCH {
            let mut batch: Vec<usize> = (0..BATCH).map(|_| random.below(distinct)).collect();
            batch.sort_unstable();
            flows.extend(batch.into_iter().map(|at| some[at]));
        }
        let plain = Instant::now();
        for connection in &flows {
            black_box(snapshot.evaluate(connection));
        }
        let plain = nanoseconds(plain.elapsed(), flows.len());
        let mut memo = Memo::new(engine.snapshot());
        let start = Instant::now();
        for connection in &flows {
            black_box(memo.evaluate(connection));
        }
        let took = nanoseconds(start.elapsed(), flows.len());
        println!("sorted batches, {distinct:>9} distinct: {plain:7.1} ns a flow, remembered {took:7.1}");
    }
}
