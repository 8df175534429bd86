//! What is made of edges: a change replayed over a million, and the reports and generated
//! policies of a hundred thousand. Each is done several times; the median is told, beside the
//! processor time of all threads (in steps of 10 ms), which other programs lengthen less.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::time::{Duration, Instant};

use weir_policy::edges::{Edge, EdgeEnd, EdgeSet, PodEnd, Strength, WorkloadKey};
use weir_policy::generate::{GenerateInput, GenerateOptions, generate};
use weir_policy::inventory::{Inventory, Workload};
use weir_policy::replay::{Change, ClusterVersion, ReplayInput, replay};
use weir_policy::usage::{UsageInput, coverage, rule_usage};
use weir_policy::{Cluster, Profile};

use crate::{APPS, NAMESPACES, NODES, PODS, Random, address, cluster, labels, milliseconds, policy};

const ROUNDS: usize = 5;

/// What all threads of this process had of the processors (Linux), in ticks of 10 ms.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = after_name.split(' ').skip(11).take(2);
    let ticks = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>();
    Duration::from_millis(ticks * 10)
}

/// Makes an input and does something with it, several times; the making is not counted.
fn measure<I, O>(what: &str, mut input: impl FnMut() -> I, mut run: impl FnMut(I) -> O) -> O {
    let mut took = Vec::new();
    let mut used = Duration::ZERO;
    let mut last = None;
    for _ in 0..ROUNDS {
        let input = input();
        let (before, start) = (processor_time(), Instant::now());
        last = Some(black_box(run(input)));
        took.push(start.elapsed());
        used += processor_time() - before;
    }
    took.sort_unstable();
    println!(
        "{what:<52} {:7.0} ms, of processors {:7.0} ms",
        milliseconds(took[ROUNDS / 2]),
        milliseconds(used / ROUNDS as u32)
    );
    last.expect("there is a round")
}

fn workload(pod: usize) -> WorkloadKey {
    WorkloadKey {
        namespace: format!("ns-{}", pod % NAMESPACES),
        kind: "Deployment".into(),
        name: format!("app-{}", pod / NAMESPACES % APPS),
    }
}

fn pod_end(n: usize) -> EdgeEnd {
    EdgeEnd::Pod(PodEnd {
        namespace: format!("ns-{}", n % NAMESPACES),
        name: format!("pod-{n}"),
        address: Some(address(n)),
        node: format!("node-{}", n % NODES),
        workload: Some(workload(n)),
    })
}

/// So many edges between distinct ends and ports, half of them within a namespace.
fn edges(count: usize, random: &mut Random) -> EdgeSet {
    let mut set = EdgeSet::default();
    let pods: Vec<_> = (0..PODS).map(|n| set.end(pod_end(n))).collect();
    while set.edges().len() < count {
        let client = random.below(PODS);
        let server = match random.below(2) {
            0 => random.below(PODS),
            _ => client % NAMESPACES + random.below(PODS / NAMESPACES) * NAMESPACES,
        };
        set.push(Edge {
            client: pods[client],
            server: pods[server],
            protocol: 6,
            port: 1_000 + random.below(400) as u16,
            flows: 1,
            bytes: 1_000,
            first: 0,
            last: 1,
            strength: Strength::Proven,
            answered: true,
        });
    }
    set
}

fn inventory() -> Inventory {
    let mut workloads: BTreeMap<WorkloadKey, BTreeSet<String>> = BTreeMap::new();
    for n in 0..PODS {
        workloads
            .entry(workload(n))
            .or_default()
            .insert(format!("pod-{n}"));
    }
    let workload = |(key, pods): (WorkloadKey, BTreeSet<String>)| Workload {
        selector: labels(&[("app", key.name.clone())]),
        template: labels(&[("app", key.name.clone())]),
        ports: Vec::new(),
        pods,
        key,
    };
    Inventory {
        workloads: workloads.into_iter().map(workload).collect(),
        ..Inventory::default()
    }
}

/// A changed set of policies over a million edges.
pub fn replays() {
    let edges = edges(1_000_000, &mut Random(2));
    let inventory = inventory();
    let mut other = Random(7);
    for changed in [1, 20, 200] {
        let change = Change {
            policies: (0..changed).map(|n| policy(n, &mut other)).collect(),
            ..Change::default()
        };
        let before = || {
            vec![ClusterVersion {
                since: 0,
                cluster: cluster(&mut Random(1)),
            }]
        };
        let what = format!("replay of 1,000,000 edges, {changed:>3} policies changed");
        let report = measure(&what, before, |before| {
            replay(ReplayInput {
                edges: &edges,
                inventory: &inventory,
                before,
                change: &change,
                profile: Profile::default(),
            })
        });
        println!(
            "  {} newly denied, {} newly allowed, {} pairs opened{}",
            report.newly_denied.len(),
            report.newly_allowed.len(),
            report.opens.pairs,
            if report.opens.is_cut {
                " (not all were looked at)"
            } else {
                ""
            }
        );
    }
}

/// Reports and generated policies of a hundred thousand edges.
pub fn reports() {
    let edges = edges(100_000, &mut Random(2));
    let inventory = inventory();
    let input = || UsageInput {
        edges: &edges,
        inventory: &inventory,
        cluster: cluster(&mut Random(1)),
        profile: Profile::default(),
    };
    measure("coverage of 100,000 edges", input, coverage);
    measure("use of all rules by 100,000 edges", input, rule_usage);
    let open = Cluster {
        policies: Vec::new(),
        ..cluster(&mut Random(1))
    };
    for namespaces in [1, NAMESPACES] {
        let options = GenerateOptions {
            namespaces: (0..namespaces).map(|n| format!("ns-{n}")).collect(),
            ..GenerateOptions::of_namespace("ns-0")
        };
        let what = format!("policies for {namespaces} namespaces from 100,000 edges");
        let nothing = BTreeMap::new();
        let generated = measure(
            &what,
            || (),
            |()| {
                generate(&GenerateInput {
                    edges: &edges,
                    cluster: &open,
                    inventory: &inventory,
                    profile: Profile::default(),
                    managed: &nothing,
                    options: &options,
                })
            },
        );
        match generated {
            Ok(generated) => println!("  {} policies", generated.policies.len()),
            Err(error) => println!("  {error}"),
        }
    }
}
