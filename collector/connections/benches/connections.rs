//! What connections cost: CPU a record, bytes a connection, eviction beyond the bound,
//! a checkpoint and its restore. Run with `make bench-connections`.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use weir_connections::{
    Amount, Client, Config, Connections, Counts, Direction, End, Evidence, Frame, Identity, IdentityKind,
    Method, Micros, Observation, Position,
};

const T0: Micros = 1_700_000_000_000_000;
const PODS: usize = 50_000;
const NODES: usize = 1_000;
const FRAME: usize = 4_096;
const MILLION: usize = 1_000_000;
/// Records a second by the clock of the log.
const RATE: u64 = 100_000;

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

/// What all records are made of.
struct Cluster {
    pods: Vec<Arc<Identity>>,
    nodes: Vec<Arc<str>>,
    network: Arc<str>,
}

impl Cluster {
    /// With pods that are endpoints of Services or, as `services` says, of none.
    fn new(services: bool) -> Self {
        let nodes: Vec<Arc<str>> = (0..NODES).map(|n| format!("worker-{n}.example").into()).collect();
        let pod = |n: usize| {
            Arc::new(Identity {
                kind: IdentityKind::Pod,
                node: Arc::clone(&nodes[n % NODES]),
                ns: format!("team-{}", n % 500).into(),
                name: format!("pod-{n}").into(),
                workload_kind: "Deployment".into(),
                workload_name: format!("app-{}", n / 10).into(),
                service_name: if services {
                    format!("app-{}", n / 10)
                } else {
                    String::new()
                }
                .into(),
                ..Identity::default()
            })
        };
        Self {
            pods: (0..PODS).map(pod).collect(),
            nodes,
            network: "primary".into(),
        }
    }

    fn end(&self, pod: usize, port: u16) -> End {
        End {
            addr: Some(IpAddr::from(Ipv4Addr::from(0x0a80_0000 + pod as u32))),
            port,
            who: Some(Arc::clone(&self.pods[pod])),
        }
    }

    /// One of the records of a connection. Of four the lowest bits say the direction and
    /// the node; of eight another says whether it came in there or went out.
    fn record(&self, connection: usize, which: usize, now: Micros) -> Observation {
        let (client, server) = (connection % PODS, (connection * 7 + 1) % PODS);
        let ends = (
            self.end(client, 1_024 + (connection / PODS) as u16),
            self.end(server, 8_080),
        );
        let reverse = which & 1 != 0;
        let (src, dst) = if reverse { (ends.1, ends.0) } else { ends };
        let of_server = which & 2 != 0;
        let egress = which & 4 != 0;
        let node = if of_server { server } else { client } % NODES;
        Observation {
            network: Arc::clone(&self.network),
            proto: 6,
            src,
            dst,
            icmp: None,
            start: now - 10_000_000,
            end: now,
            amount: Amount::Delta(Counts::new(15_000, 10)),
            primary: !egress && reverse == of_server,
            sampling: 1,
            method: Method::Ipfix,
            direction: Some(if egress {
                Direction::Egress
            } else {
                Direction::Ingress
            }),
            domain: node as u32,
            node: Arc::clone(&self.nodes[node]),
            tcp_flags: None,
            tcp_state: None,
            client: Some((if reverse { Client::Dst } else { Client::Src }, Evidence::Service)),
            conntrack: None,
        }
    }
}

/// Connections, the clock of their log, and what they took.
struct Run<'c> {
    cluster: &'c Cluster,
    connections: Connections,
    records: u64,
    took: Duration,
    outputs: u64,
    frame: Vec<Observation>,
}

impl<'c> Run<'c> {
    fn new(cluster: &'c Cluster, max_connections: usize) -> Self {
        let config = Config {
            max_connections,
            ..Config::new("bench", Duration::from_secs(60))
        };
        Self {
            cluster,
            connections: Connections::new(config),
            records: 0,
            took: Duration::ZERO,
            outputs: 0,
            frame: Vec::with_capacity(FRAME),
        }
    }

    fn push(&mut self, connection: usize, which: usize) {
        let now = T0 + (self.records + self.frame.len() as u64) * 1_000_000 / RATE;
        self.frame.push(self.cluster.record(connection, which, now));
        if self.frame.len() == FRAME {
            self.apply();
        }
    }

    fn apply(&mut self) {
        self.records += self.frame.len() as u64;
        let frame = Frame {
            position: Position {
                log: 1,
                head: 1,
                frame: self.records,
            },
            time: T0 + self.records * 1_000_000 / RATE,
            observations: &self.frame,
        };
        let start = on_cpu();
        let outputs = &mut self.outputs;
        self.connections.apply(frame, &mut |output| {
            black_box(&output);
            *outputs += 1;
        });
        self.took += on_cpu() - start;
        self.frame.clear();
    }

    /// Nanoseconds a record since the last time.
    fn lap(&mut self, records: usize) -> f64 {
        std::mem::take(&mut self.took).as_secs_f64() * 1e9 / records as f64
    }

    /// All records of so many connections, each record of all before the next.
    fn fill(&mut self, connections: usize, lines: usize) {
        for which in 0..lines {
            for connection in 0..connections {
                self.push(connection, which);
            }
        }
    }
}

/// How long this thread has been on a processor (Linux).
fn on_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
}

/// Bytes that the process holds (Linux).
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or_default();
    let kilobytes = line
        .split_whitespace()
        .next()
        .and_then(|number| number.parse::<usize>().ok());
    kilobytes.unwrap_or_default() * 1024
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// Records of connections that are open, in random order.
fn steady(cluster: &Cluster, connections: usize) {
    let mut run = Run::new(cluster, 1 << 20);
    let mut random = Random(1);
    run.fill(connections, 4);
    run.lap(1);
    let before = run.outputs;
    let records = 4 * MILLION;
    for _ in 0..records {
        run.push(random.below(connections), random.below(4));
    }
    let each = run.lap(records);
    let outputs = run.outputs - before;
    println!("{connections:>9} open, random order         {each:7.0} ns a record, with {outputs} outputs");
}

fn memory(cluster: &Cluster, lines: usize) {
    let before = resident();
    let mut run = Run::new(cluster, 1 << 20);
    run.fill(MILLION, lines);
    let held = resident() - before;
    let open = run.connections.len();
    println!(
        "{open:>9} open, {lines} lines each         {:7} bytes a connection, {:.0} MiB; {:.0} ns a record",
        held / open,
        mib(held),
        run.lap(MILLION * lines)
    );
}

fn eviction(cluster: &Cluster) {
    let before = resident();
    let mut run = Run::new(cluster, MILLION);
    for connection in 0..MILLION {
        run.push(connection, 0);
    }
    run.lap(1);
    let full = resident();
    for connection in MILLION..11 * MILLION {
        run.push(connection, 0);
    }
    let each = run.lap(10 * MILLION);
    let stats = *run.connections.stats();
    println!(
        "10 million more than may be open        {each:7.0} ns a record; {:.0} MiB when full, {:.0} after; {} evicted, {} open",
        mib(full - before),
        mib(resident() - before),
        stats.evicted,
        run.connections.len()
    );
}

fn checkpoint(cluster: &Cluster) {
    let mut run = Run::new(cluster, 1 << 20);
    run.fill(MILLION, 4);
    let mut bytes = Vec::new();
    let start = on_cpu();
    run.connections.checkpoint(&mut bytes).unwrap();
    let written = on_cpu() - start;
    drop(run);
    let start = on_cpu();
    let config = Config::new("bench", Duration::from_secs(60));
    let restored = Connections::restore(config, &bytes).unwrap();
    let read = on_cpu() - start;
    println!(
        "checkpoint of {} connections       {:7.2} s, {:.0} MiB; restored in {:.2} s",
        restored.len(),
        written.as_secs_f64(),
        mib(bytes.len()),
        read.as_secs_f64()
    );
}

/// Each case in a process of its own, so that the memory of one is not another's.
fn main() {
    let case = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let Some(case) = case else {
        let program = std::env::current_exe().unwrap();
        for case in [
            "steady-10k",
            "steady-1m",
            "memory-4",
            "memory-8",
            "memory-services",
            "eviction",
            "checkpoint",
        ] {
            assert!(
                std::process::Command::new(&program)
                    .arg(case)
                    .status()
                    .unwrap()
                    .success()
            );
        }
        return;
    };
    let cluster = Cluster::new(case == "memory-services");
    match case.as_str() {
        "steady-10k" => steady(&cluster, 10_000),
        "steady-1m" => steady(&cluster, MILLION),
        "memory-4" | "memory-services" => memory(&cluster, 4),
        "memory-8" => memory(&cluster, 8),
        "eviction" => eviction(&cluster),
        "checkpoint" => checkpoint(&cluster),
        other => panic!("there is no case {other}"),
    }
}
