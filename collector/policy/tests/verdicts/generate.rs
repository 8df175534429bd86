//! Generated policies in random worlds, held against the naive evaluator.

use std::collections::{BTreeMap, BTreeSet};

use weir_policy::edges::{Edge, EdgeSet};
use weir_policy::generate::{
    GenerateInput, GenerateOptions, Generated, GeneratedCluster, Level, cluster_policies, cluster_yaml,
    generate, yaml,
};
use weir_policy::inventory::{Inventory, stable_labels};
use weir_policy::policy::Tier;
use weir_policy::{Answer, Cluster, Direction, Labels, Namespace, Pod, Policy, Profile, Reason, parse};

use crate::naive::{self, Call, End};
use crate::random::Random;
use crate::traffic::{deployment, edge_end, seen, workload};
use crate::world::{labels, node, pod};

const NAMESPACES: [&str; 2] = ["shop", "mon"];
const PORTS: [(u8, u16); 5] = [(6, 80), (6, 443), (6, 5050), (17, 53), (132, 80)];

/// A cluster with workloads, and what was seen in it.
pub struct Shop {
    pub cluster: Cluster,
    pub inventory: Inventory,
    pub calls: Vec<Call>,
}

impl Shop {
    /// Workloads whose selectors tell them apart, or not always.
    fn random(random: &mut Random) -> Shop {
        let mut shop = Shop {
            cluster: Cluster {
                nodes: vec![
                    node("n1", "a", "192.168.0.1", "10.1.0.2"),
                    node("n2", "b", "192.168.0.2", "10.1.0.3"),
                ],
                ..Cluster::default()
            },
            inventory: Inventory::default(),
            calls: Vec::new(),
        };
        for (n, namespace) in NAMESPACES.into_iter().enumerate() {
            shop.cluster
                .namespaces
                .push(Namespace::new(namespace, Labels::new()));
            for w in 0..3 {
                shop.workload(random, namespace, n, w);
            }
        }
        shop.calls = (0..random.below(14) + 2).map(|_| shop.call(random)).collect();
        shop
    }

    fn workload(&mut self, random: &mut Random, namespace: &str, n: usize, w: usize) {
        let name = format!("w{w}");
        let app = if random.chance(20) {
            "shared".to_owned()
        } else {
            name.clone()
        };
        let template = format!("app={app},tier={}", random.pick(&["a", "b"]));
        let mut names = Vec::new();
        for p in 0..=random.below(3) {
            let pod_name = format!("{name}-{p}");
            let host = random.pick(&["n1", "n2"]).to_string();
            let mut pod = pod(
                namespace,
                &pod_name,
                &host,
                &[&format!("10.1.{}.{}", n + 1, w * 10 + p)],
            );
            pod.labels = labels(&format!("{template},pod-template-hash=h{}", random.below(9)));
            if p == 0 && random.chance(40) {
                pod.labels.insert("role".into(), "leader".into());
            }
            names.push(pod_name);
            self.cluster.pods.push(pod);
        }
        if random.chance(20) {
            return;
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let owner = workload(
            deployment(namespace, &name),
            &format!("app={app}"),
            &template,
            &names,
        );
        self.inventory.workloads.push(owner);
    }

    fn end(&self, random: &mut Random) -> End {
        match random.below(10) {
            0 => End::Outside(format!("203.0.113.{}", random.below(4)).parse().unwrap()),
            1 => End::Node {
                name: "n1".into(),
                address: "192.168.0.1".parse().unwrap(),
            },
            _ => of_pod(random.pick(&self.cluster.pods)),
        }
    }

    fn call(&self, random: &mut Random) -> Call {
        let (protocol, port) = *random.pick(&PORTS);
        call(&self.end(random), &self.end(random), protocol, port)
    }

    pub fn edges(&self) -> EdgeSet {
        let mut set = EdgeSet::default();
        for call in &self.calls {
            let [client, server] =
                [&call.client, &call.server].map(|end| edge_end(end, &self.cluster, &self.inventory));
            seen(&mut set, client, server, call.protocol, call.port);
        }
        set
    }

    pub fn generate(&self, edges: &EdgeSet, options: &GenerateOptions) -> Generated {
        generate(&GenerateInput {
            edges,
            cluster: &self.cluster,
            inventory: &self.inventory,
            profile: Profile::default(),
            managed: &BTreeMap::new(),
            options,
        })
        .unwrap()
    }

    fn cluster_policies(&self, edges: &EdgeSet, options: &GenerateOptions, tier: Tier) -> GeneratedCluster {
        let input = GenerateInput {
            edges,
            cluster: &self.cluster,
            inventory: &self.inventory,
            profile: Profile::default(),
            managed: &BTreeMap::new(),
            options,
        };
        cluster_policies(&input, &generate(&input).unwrap(), tier, 10).unwrap()
    }

    /// The cluster with these policies and no others.
    fn with(&self, generated: &Generated) -> Cluster {
        Cluster {
            policies: generated
                .policies
                .iter()
                .map(|one| Policy::Network(one.policy.clone()))
                .collect(),
            ..self.cluster.clone()
        }
    }
}

fn of_pod(pod: &Pod) -> End {
    End::Pod {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        address: pod.addresses[0],
    }
}

fn call(client: &End, server: &End, protocol: u8, port: u16) -> Call {
    Call {
        client: client.clone(),
        server: server.clone(),
        protocol,
        port,
        through_service: false,
        domains: None,
    }
}

pub fn options(level: Level) -> GenerateOptions {
    GenerateOptions {
        level,
        ..GenerateOptions::of_namespace("shop")
    }
}

/// A pod but for what tells its replicas apart.
type Class = (String, Labels);

fn class(pod: &Pod) -> Class {
    (pod.namespace.clone(), stable_labels(&pod.labels))
}

/// Subject, peer, direction, protocol and port.
type Pair = (Class, Class, Direction, u8, u16);

/// All that rules allow to or from pods of the namespace, between two different pods.
fn allowed(cluster: &Cluster, ports: &BTreeSet<(u8, u16)>) -> BTreeSet<Pair> {
    let mut found = BTreeSet::new();
    for client in &cluster.pods {
        for server in &cluster.pods {
            if client.name == server.name && client.namespace == server.namespace {
                continue;
            }
            for (protocol, port) in ports {
                let call = call(&of_pod(client), &of_pod(server), *protocol, *port);
                let [egress, ingress] = naive::judge(cluster, &Profile::default(), &call);
                if (egress.answer, egress.reason) == (Answer::Allow, Reason::Rule) {
                    found.insert((class(client), class(server), Direction::Egress, *protocol, *port));
                }
                if (ingress.answer, ingress.reason) == (Answer::Allow, Reason::Rule) {
                    found.insert((class(server), class(client), Direction::Ingress, *protocol, *port));
                }
            }
        }
    }
    found
}

/// What the calls show, in the same form; a class of one pod that called itself shows nothing.
fn shown(shop: &Shop, calls: &[Call]) -> BTreeSet<Pair> {
    let find = |end: &End| match end {
        End::Pod { namespace, name, .. } => shop
            .cluster
            .pods
            .iter()
            .find(|pod| pod.namespace == *namespace && pod.name == *name),
        _ => None,
    };
    let size = |wanted: &Class| {
        shop.cluster
            .pods
            .iter()
            .filter(|pod| class(pod) == *wanted)
            .count()
    };
    let mut found = BTreeSet::new();
    for call in calls {
        if let (Some(client), Some(server)) = (find(&call.client), find(&call.server))
            && client.addresses != server.addresses
        {
            let (one, other) = (class(client), class(server));
            if one == other && size(&one) < 2 {
                continue;
            }
            if client.namespace == "shop" {
                found.insert((
                    one.clone(),
                    other.clone(),
                    Direction::Egress,
                    call.protocol,
                    call.port,
                ));
            }
            if server.namespace == "shop" {
                found.insert((other, one, Direction::Ingress, call.protocol, call.port));
            }
        }
    }
    found
}

fn all_ports() -> BTreeSet<(u8, u16)> {
    PORTS.into_iter().chain([(6, 81), (17, 80)]).collect()
}

fn shops(seed: u64, count: u64) -> impl Iterator<Item = (u64, Random, Shop)> {
    (0..count).map(move |n| {
        let mut random = Random(seed * 1_000 + n);
        let shop = Shop::random(&mut random);
        (n, random, shop)
    })
}

const LEVELS: [Level; 4] = [
    Level::Pods,
    Level::Workload,
    Level::Namespace,
    Level::NamespacePorts,
];

#[test]
fn all_that_was_seen_passes_at_every_level() {
    for (n, _, shop) in shops(21, 25) {
        for level in LEVELS {
            let generated = shop.generate(&shop.edges(), &options(level));
            let cluster = shop.with(&generated);
            for call in &shop.calls {
                let opinions = naive::judge(&cluster, &Profile::default(), call);
                let answer = naive::together(&opinions);
                assert_eq!(answer, Answer::Allow, "{n} {level:?} {call:?} {opinions:?}");
            }
        }
    }
}

#[test]
fn at_the_level_of_pods_what_passes_is_what_was_seen() {
    let mut pairs = 0;
    for (n, _, shop) in shops(22, 50) {
        let generated = shop.generate(&shop.edges(), &options(Level::Pods));
        let expected = shown(&shop, &shop.calls);
        assert_eq!(
            allowed(&shop.with(&generated), &all_ports()),
            expected,
            "{n} {:?}",
            shop.calls
        );
        assert_eq!(
            generated.report.width.beyond_level, 0,
            "{n} {:?}",
            generated.report
        );
        pairs += expected.len();
    }
    assert!(pairs > 120, "{pairs}");
}

#[test]
fn nothing_passes_beyond_the_level_but_what_is_warned_of() {
    let (mut narrow, mut warned) = (0, 0);
    for (n, _, shop) in shops(23, 30) {
        for level in LEVELS {
            let generated = shop.generate(&shop.edges(), &options(level));
            let width = generated.report.width;
            assert!(
                width.allowed >= width.seen || level == Level::NamespacePorts,
                "{n} {level:?} {width:?}"
            );
            let is_warned = generated
                .report
                .warnings
                .iter()
                .any(|w| w.contains("also selects") || w.contains("whole namespace"));
            assert!(width.beyond_level == 0 || is_warned, "{n} {level:?} {width:?}");
            narrow += usize::from(width.allowed > width.seen);
            warned += usize::from(width.beyond_level > 0);
        }
    }
    assert!(narrow > 15 && warned > 1, "{narrow} {warned}");
}

#[test]
fn the_same_edges_in_any_order_give_the_same_bytes() {
    for (n, mut random, mut shop) in shops(24, 15) {
        for level in LEVELS {
            let text = |shop: &Shop| yaml(&shop.generate(&shop.edges(), &options(level)), &[], false);
            let first = text(&shop);
            assert_eq!(first, text(&shop), "{n} {level:?}");
            random.shuffle(&mut shop.calls);
            random.shuffle(&mut shop.cluster.pods);
            random.shuffle(&mut shop.inventory.workloads);
            assert_eq!(first, text(&shop), "{n} {level:?}");
        }
    }
}

#[test]
fn without_one_edge_exactly_its_rule_goes() {
    let mut gone = 0;
    for (n, mut random, shop) in shops(25, 35) {
        let at = random.below(shop.calls.len());
        let mut calls = shop.calls.clone();
        calls.remove(at);
        if calls.is_empty() {
            continue;
        }
        let before = allowed(
            &shop.with(&shop.generate(&shop.edges(), &options(Level::Pods))),
            &all_ports(),
        );
        let less = Shop { calls, ..shop };
        let after = allowed(
            &less.with(&less.generate(&less.edges(), &options(Level::Pods))),
            &all_ports(),
        );
        let expected: BTreeSet<Pair> = before.difference(&after).cloned().collect();
        assert!(after.is_subset(&before), "{n}");
        let removed: BTreeSet<Pair> = before.difference(&shown(&less, &less.calls)).cloned().collect();
        assert_eq!(expected, removed, "{n}");
        gone += expected.len();
    }
    assert!(gone > 12, "{gone}");
}

#[test]
fn what_is_written_is_what_is_meant() {
    for (n, _, shop) in shops(26, 15) {
        for level in LEVELS {
            let generated = shop.generate(&shop.edges(), &options(level));
            let wanted: Vec<Policy> = generated
                .policies
                .iter()
                .map(|one| Policy::Network(one.policy.clone()))
                .collect();
            for plain in [false, true] {
                let text = yaml(&generated, &["made by a test".to_owned()], plain);
                assert_eq!(text.contains('#'), !plain);
                let read = parse::file(&text, "other").unwrap_or_else(|error| panic!("{n} {error}\n{text}"));
                assert_eq!(read.policies, wanted, "{n}\n{text}");
            }
        }
    }
}

#[test]
fn each_edge_is_learnt_or_skipped_for_a_reason() {
    for (n, mut random, shop) in shops(27, 20) {
        let mut edges = EdgeSet::default();
        for edge in shop.edges().edges() {
            let all = shop.edges();
            let [client, server] = [edge.client, edge.server].map(|end| edges.end(all.at(end).clone()));
            edges.push(Edge {
                client,
                server,
                answered: random.chance(70),
                strength: *random.pick(&[
                    weir_policy::edges::Strength::Unknown,
                    weir_policy::edges::Strength::Weak,
                    weir_policy::edges::Strength::Likely,
                    weir_policy::edges::Strength::Proven,
                ]),
                ..*edge
            });
        }
        let report = shop.generate(&edges, &options(Level::Workload)).report;
        let skipped: u64 = report.skipped.values().map(|tally| tally.edges).sum();
        assert_eq!(report.learnt.edges + skipped, report.all.edges, "{n}");
        assert_eq!(report.all.edges, edges.edges().len() as u64, "{n}");
    }
}

#[test]
fn cluster_policies_let_pass_between_pods_what_network_policies_do() {
    for (n, _, shop) in shops(28, 20) {
        for (level, tier) in [(Level::Pods, Tier::Admin), (Level::Workload, Tier::Baseline)] {
            let edges = shop.edges();
            let network = shop.with(&shop.generate(&edges, &options(level)));
            let generated = shop.cluster_policies(&edges, &options(level), tier);
            let policies: Vec<Policy> = generated
                .policies
                .iter()
                .map(|one| Policy::Cluster(one.policy.clone()))
                .collect();
            let cluster = Cluster {
                policies: policies.clone(),
                ..shop.cluster.clone()
            };
            assert_eq!(
                allowed(&cluster, &all_ports()),
                allowed(&network, &all_ports()),
                "{n} {level:?}"
            );
            for call in &shop.calls {
                let answer = naive::together(&naive::judge(&cluster, &Profile::default(), call));
                assert_eq!(answer, Answer::Allow, "{n} {level:?} {call:?}");
            }
            for plain in [false, true] {
                let text = cluster_yaml(&generated, &["made by a test".to_owned()], plain);
                let read = parse::file(&text, "").unwrap_or_else(|error| panic!("{n} {error}\n{text}"));
                assert_eq!(read.policies, policies, "{n}\n{text}");
            }
        }
    }
}
