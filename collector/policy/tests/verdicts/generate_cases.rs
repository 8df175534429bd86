//! What others' generators got wrong, case by case.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use weir_policy::edges::{EdgeEnd, EdgeSet, Strength};
use weir_policy::generate::{
    GenerateError, GenerateInput, GenerateOptions, Generated, GeneratedCluster, Internet, Level, Nodes,
    Skipped, cluster_policies, cluster_yaml, generate, spec_hash, yaml,
};
use weir_policy::inventory::{Backend, Inventory, Service, ServicePort, SubnetLabel};
use weir_policy::policy::{IpBlock, NetworkPeer, NetworkPolicy, NetworkRule, PortMatch, Tier};
use weir_policy::replay::{Change, CheckOptions, ClusterVersion, ReplayInput, exit_code, replay};
use weir_policy::{Direction, Policy, PolicyKey, PolicyKind, Protocol, Reason};

use crate::traffic::{deployment, edge_end, edges, inventory, see, seen, workload};
use crate::world::{World, address, labels, network_policy, node, pod};

fn options() -> GenerateOptions {
    GenerateOptions::of_namespace("x")
}

fn managed(
    world: &World,
    owners: &Inventory,
    edges: &EdgeSet,
    options: &GenerateOptions,
    managed: &BTreeMap<PolicyKey, String>,
) -> Generated {
    generate(&GenerateInput {
        edges,
        cluster: &world.cluster,
        inventory: owners,
        profile: world.profile,
        managed,
        options,
    })
    .unwrap_or_else(|error| panic!("{error}"))
}

fn generated(world: &World, owners: &Inventory, edges: &EdgeSet, options: &GenerateOptions) -> Generated {
    managed(world, owners, edges, options, &BTreeMap::new())
}

fn policy<'g>(generated: &'g Generated, name: &str) -> &'g NetworkPolicy {
    let found = generated.policies.iter().find(|one| one.policy.name == name);
    &found
        .unwrap_or_else(|| panic!("{name}: {}", yaml(generated, &[], false)))
        .policy
}

/// What a rule of egress or ingress says, as YAML in one line.
fn text(generated: &Generated) -> String {
    yaml(generated, &[], true)
}

fn blocks(rules: &[NetworkRule]) -> Vec<String> {
    let peers = rules.iter().flat_map(|rule| &rule.peers);
    peers
        .filter_map(|peer| match peer {
            NetworkPeer::Block(IpBlock { cidr, .. }) => Some(cidr.to_string()),
            _ => None,
        })
        .collect()
}

fn ports(rules: &[NetworkRule]) -> Vec<(Protocol, u16)> {
    let ports = rules.iter().flat_map(|rule| &rule.ports);
    ports
        .filter_map(|port| match port.port {
            PortMatch::Range(first, _) => Some((port.protocol, first)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_policy_is_written_as_the_docs_show_it() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let seen = edges(
        &world,
        &owners,
        &[
            ("x/b", "x/a", "tcp/5050"),
            ("x/c", "x/a", "tcp/5050"),
            ("y/a", "x/a", "tcp/9102"),
        ],
    );
    let options = GenerateOptions {
        workload: Some(deployment("x", "a")),
        ..options()
    };
    let header = ["weir policy generate -n x".to_owned()];
    let text = yaml(&generated(&world, &owners, &seen, &options), &header, false);
    let hash = text
        .split("weir.dev/spec: ")
        .nth(1)
        .unwrap()
        .split('}')
        .next()
        .unwrap();
    let expected = r#"# weir policy generate -n x
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: weir-deployment-a
  namespace: x
  labels: {app.kubernetes.io/managed-by: weir}
  annotations: {weir.dev/spec: HASH}
spec:
  podSelector: {matchLabels: {app: a}}
  policyTypes: [Ingress]
  ingress:
  - from:  # 20 flows, 2026-06-01 .. 2026-06-02, proven
    - {podSelector: {matchLabels: {app: b}}}
    - {podSelector: {matchLabels: {app: c}}}
    ports:
    - {protocol: TCP, port: 5050}
  - from:  # 10 flows, 2026-06-01 .. 2026-06-02, proven
    - {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "y"}}, podSelector: {matchLabels: {app: a}}}
    ports:
    - {protocol: TCP, port: 9102}
"#;
    assert_eq!(text, expected.replace("HASH", hash));
}

#[test]
fn the_policies_break_nothing_that_was_seen_and_the_check_says_so() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let seen = edges(
        &world,
        &owners,
        &[
            ("x/b", "x/a", "tcp/80"),
            ("x/a", "203.0.113.7", "tcp/443"),
            ("y/c", "x/b", "udp/53"),
        ],
    );
    let generated = generated(&world, &owners, &seen, &options());
    let last = generated.policies.last().unwrap();
    assert_eq!(last.policy.name, "weir-default-deny");
    let change = Change {
        policies: generated
            .policies
            .iter()
            .map(|one| Policy::Network(one.policy.clone()))
            .collect(),
        ..Change::default()
    };
    let report = replay(ReplayInput {
        edges: &seen,
        inventory: &owners,
        before: vec![ClusterVersion {
            since: 0,
            cluster: world.cluster.clone(),
        }],
        change: &change,
        profile: world.profile,
    });
    assert_eq!(exit_code(Some(&report), &CheckOptions::default()), 0);
    assert_eq!(report.without_traffic, []);
}

#[test]
fn a_direction_of_which_nothing_was_seen_is_isolated_only_by_the_companion() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let seen = edges(&world, &owners, &[("x/b", "x/a", "tcp/80")]);
    let generated = generated(
        &world,
        &owners,
        &seen,
        &GenerateOptions {
            default_deny: false,
            ..options()
        },
    );
    assert_eq!(
        policy(&generated, "weir-deployment-a").types,
        [Direction::Ingress]
    );
    assert_eq!(policy(&generated, "weir-deployment-b").types, [Direction::Egress]);
    assert_eq!(generated.policies.len(), 2);
    let open: Vec<_> = generated
        .report
        .open
        .iter()
        .map(|(key, direction)| (key.name.as_str(), *direction))
        .collect();
    assert_eq!(
        open,
        [
            ("weir-deployment-a", Direction::Egress),
            ("weir-deployment-b", Direction::Ingress)
        ]
    );
}

#[test]
fn labels_that_controllers_make_are_never_used() {
    let mut world = World::new();
    let with = |name: &str, n: u8, text: &str| {
        let mut pod = pod("x", name, "n1", &[&format!("10.1.1.{n}")]);
        pod.labels = labels(text);
        pod
    };
    world.cluster.pods.extend([
        with("db-0", 30, "app=db,statefulset.kubernetes.io/pod-name=db-0,apps.kubernetes.io/pod-index=0,controller-revision-hash=db-7"),
        with("bill-1", 31, "team=bill,batch.kubernetes.io/job-name=bill-1,controller-uid=4f0c1f0e-0a3c-4b6a-9a5e-0123456789ab,job-name=bill-1"),
        with("bare", 32, "run=bare,pod-template-hash=5d4f,id=4f0c1f0e-0a3c-4b6a-9a5e-0123456789ab"),
    ]);
    let mut owners = inventory(&World::new().cluster);
    let stateful = weir_policy::edges::WorkloadKey {
        namespace: "x".into(),
        kind: "StatefulSet".into(),
        name: "db".into(),
    };
    let job = weir_policy::edges::WorkloadKey {
        kind: "CronJob".into(),
        name: "bill".into(),
        ..stateful.clone()
    };
    owners
        .workloads
        .push(workload(stateful, "app=db", "app=db", &["db-0"]));
    owners
        .workloads
        .push(workload(job, "", "team=bill,job-name=bill-1", &["bill-1"]));
    let seen = edges(
        &world,
        &owners,
        &[
            ("x/bill-1", "x/db-0", "tcp/5432"),
            ("x/bare", "x/db-0", "tcp/5432"),
        ],
    );
    for level in [Level::Pods, Level::Workload] {
        let generated = generated(&world, &owners, &seen, &GenerateOptions { level, ..options() });
        let text = text(&generated);
        for name in ["weir-statefulset-db", "weir-cronjob-bill", "weir-pod-bare"] {
            policy(&generated, name);
        }
        assert!(
            text.contains("{matchLabels: {app: db}}") && text.contains("{matchLabels: {team: bill}}"),
            "{text}"
        );
        assert!(text.contains("{matchLabels: {run: bare}}"), "{text}");
        for made in ["hash", "pod-name", "pod-index", "job-name", "uid", "4f0c1f0e"] {
            assert!(!text.contains(made), "{made}\n{text}");
        }
    }
}

#[test]
fn a_pod_without_labels_that_last_means_its_namespace_and_a_warning() {
    let mut world = World::new();
    let mut bare = pod("x", "bare", "n1", &["10.1.1.40"]);
    bare.labels = labels("pod-template-hash=1");
    world.cluster.pods.push(bare);
    let owners = inventory(&World::new().cluster);
    let seen = edges(&world, &owners, &[("x/bare", "x/a", "tcp/80")]);
    let generated = generated(&world, &owners, &seen, &options());
    assert!(text(&generated).contains("{podSelector: {}}"));
    let warnings: Vec<&String> = generated.report.warnings.iter().collect();
    assert_eq!(
        warnings,
        ["x/bare has no labels that last: its whole namespace is meant"]
    );
    assert!(generated.report.width.beyond_level > 0);
}

#[test]
fn a_selector_that_also_selects_others_is_narrowed_or_warned_of() {
    let mut world = World::new();
    for (name, n, text) in [
        ("p-1", 50, "app=s,part=one"),
        ("p-2", 51, "app=s,part=two"),
        ("q-1", 52, "app=s,part=two"),
    ] {
        let mut pod = pod("x", name, "n1", &[&format!("10.1.1.{n}")]);
        pod.labels = labels(text);
        world.cluster.pods.push(pod);
    }
    let mut owners = inventory(&World::new().cluster);
    owners.workloads.push(workload(
        deployment("x", "one"),
        "app=s",
        "app=s,part=one",
        &["p-1"],
    ));
    owners.workloads.push(workload(
        deployment("x", "two"),
        "app=s",
        "app=s,part=two",
        &["p-2"],
    ));
    owners.workloads.push(workload(
        deployment("x", "three"),
        "app=s",
        "app=s,part=two",
        &["q-1"],
    ));
    let seen = edges(
        &world,
        &owners,
        &[("x/a", "x/p-1", "tcp/80"), ("x/a", "x/p-2", "tcp/81")],
    );
    let generated = generated(&world, &owners, &seen, &options());
    assert_eq!(
        policy(&generated, "weir-deployment-one").pods,
        selects("app=s,part=one")
    );
    let warnings: Vec<&String> = generated.report.warnings.iter().collect();
    assert_eq!(
        warnings,
        ["what selects x/deployment/two also selects x/deployment/three"]
    );
}

fn selects(text: &str) -> weir_policy::Selector {
    let requirement = |(key, value): (String, String)| weir_policy::selector::Requirement {
        key,
        operator: weir_policy::selector::Operator::In(vec![value]),
    };
    weir_policy::Selector::Requirements(labels(text).into_iter().map(requirement).collect())
}

fn backend(pod: Option<(&str, &str)>, at: &str, port: u16) -> Backend {
    Backend {
        pod: pod.map(|(namespace, name)| (namespace.into(), name.into())),
        address: address(at),
        port,
    }
}

fn service(namespace: &str, name: &str, protocol: Protocol, port: u16, backends: Vec<Backend>) -> Service {
    Service {
        namespace: namespace.into(),
        name: name.into(),
        ports: vec![ServicePort {
            protocol,
            port,
            backends,
        }],
    }
}

fn service_end(namespace: &str, name: &str) -> EdgeEnd {
    EdgeEnd::Service {
        namespace: namespace.into(),
        name: name.into(),
    }
}

#[test]
fn dns_is_asked_at_the_target_port_of_its_pods_or_at_its_link_local_address() {
    let world = World::new();
    let mut owners = inventory(&world.cluster);
    owners.services.push(service(
        "y",
        "dns",
        Protocol::Udp,
        53,
        vec![backend(Some(("y", "a")), "10.1.2.1", 5353)],
    ));
    let mut set = EdgeSet::default();
    let client = edge_end(&world.end("x/a"), &world.cluster, &owners);
    seen(&mut set, client.clone(), service_end("y", "dns"), 17, 53);
    seen(
        &mut set,
        client,
        EdgeEnd::address(address("169.254.20.10")),
        17,
        53,
    );
    let generated = generated(&world, &owners, &set, &options());
    let rules = &policy(&generated, "weir-deployment-a").egress;
    assert_eq!(ports(rules), [(Protocol::Udp, 5353), (Protocol::Udp, 53)]);
    assert_eq!(blocks(rules), ["169.254.20.10/32"]);
    assert!(yaml(&generated, &[], false).contains("Service y/dns"));
}

#[test]
fn dns_that_was_not_seen_is_assumed_only_where_asked_for() {
    let world = World::new();
    let mut owners = inventory(&world.cluster);
    let dns = service(
        "kube-system",
        "kube-dns",
        Protocol::Udp,
        53,
        vec![backend(Some(("y", "a")), "10.1.2.1", 5353)],
    );
    owners.services.push(dns);
    let seen = edges(&world, &owners, &[("x/a", "x/b", "tcp/80")]);
    let rules = |assume_dns: bool| {
        let options = GenerateOptions {
            assume_dns,
            ..options()
        };
        ports(&policy(&generated(&world, &owners, &seen, &options), "weir-deployment-a").egress)
    };
    assert_eq!(rules(false), [(Protocol::Tcp, 80)]);
    assert_eq!(rules(true), [(Protocol::Tcp, 80), (Protocol::Udp, 5353)]);
}

#[test]
fn a_service_is_its_pods_and_each_pods_own_target_port() {
    let world = World::new();
    let mut owners = inventory(&world.cluster);
    let both = vec![
        backend(Some(("x", "a")), "10.1.1.1", 8080),
        backend(Some(("x", "b")), "10.1.1.2", 9090),
    ];
    owners.services.push(service("x", "web", Protocol::Tcp, 80, both));
    let mut set = EdgeSet::default();
    let client = edge_end(&world.end("x/c"), &world.cluster, &owners);
    seen(&mut set, client, service_end("x", "web"), 6, 80);
    let generated = generated(&world, &owners, &set, &options());
    assert_eq!(
        ports(&policy(&generated, "weir-deployment-a").ingress),
        [(Protocol::Tcp, 8080)]
    );
    assert_eq!(
        ports(&policy(&generated, "weir-deployment-b").ingress),
        [(Protocol::Tcp, 9090)]
    );
    let egress = ports(&policy(&generated, "weir-deployment-c").egress);
    assert_eq!(egress, [(Protocol::Tcp, 8080), (Protocol::Tcp, 9090)]);
}

#[test]
fn the_api_server_is_its_endpoints_and_their_port() {
    let world = World::new();
    let mut owners = inventory(&world.cluster);
    let endpoint = backend(None, "192.168.0.2", 6443);
    owners.services.push(service(
        "default",
        "kubernetes",
        Protocol::Tcp,
        443,
        vec![endpoint],
    ));
    let mut set = EdgeSet::default();
    let client = edge_end(&world.end("x/c"), &world.cluster, &owners);
    seen(&mut set, client, service_end("default", "kubernetes"), 6, 443);
    let generated = generated(&world, &owners, &set, &options());
    let rules = &policy(&generated, "weir-deployment-c").egress;
    assert_eq!(
        (blocks(rules), ports(rules)),
        (vec!["192.168.0.2/32".to_owned()], vec![(Protocol::Tcp, 6443)])
    );
}

#[test]
fn the_own_node_and_probes_need_no_rule_and_another_node_does() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    // the third client is a pod on the host network of n1, which is the node
    let seen = edges(
        &world,
        &owners,
        &[
            ("node:n1", "x/a", "tcp/8080"),
            ("node:n2", "x/a", "tcp/8080"),
            ("x/host", "x/b", "tcp/80"),
        ],
    );
    let generated = generated(&world, &owners, &seen, &options());
    assert_eq!(
        blocks(&policy(&generated, "weir-deployment-a").ingress),
        ["192.168.0.2/32"]
    );
    assert_eq!(generated.report.skipped[&Skipped::NeedsNoRule].edges, 2);
    assert!(
        generated
            .report
            .warnings
            .iter()
            .any(|warning| warning.contains("names nodes by address"))
    );
}

#[test]
fn a_node_that_was_seen_without_its_address_is_written_by_all_that_it_has() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let node = EdgeEnd::Node {
        name: "n2".into(),
        address: None,
    };
    let mut set = EdgeSet::default();
    let server = edge_end(&world.end("x/a"), &world.cluster, &owners);
    seen(&mut set, node, server, 6, 8080);
    let generated = generated(&world, &owners, &set, &options());
    // its own, and that of its port among the pods, from which it calls
    let all: Vec<String> = world.cluster.nodes[1]
        .all_addresses()
        .iter()
        .map(|a| format!("{a}/32"))
        .collect();
    assert_eq!(all.len(), 2);
    let mut written = blocks(&policy(&generated, "weir-deployment-a").ingress);
    written.sort();
    let mut all = all;
    all.sort();
    assert_eq!(written, all);
}

#[test]
fn a_port_that_nobody_knows_is_not_learnt() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let mut set = EdgeSet::default();
    let [client, server] = ["y/a", "x/a"].map(|end| edge_end(&world.end(end), &world.cluster, &owners));
    seen(&mut set, client, server, 6, 0);
    let generated = generated(&world, &owners, &set, &options());
    assert_eq!(generated.report.learnt.edges, 0);
}

#[test]
fn what_is_said_in_comments_makes_no_objects() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let seen = edges(&world, &owners, &[("y/a", "x/a", "tcp/80")]);
    let generated = generated(&world, &owners, &seen, &options());
    let header = [
        "a\n---\nkind: ClusterRoleBinding".to_owned(),
        "b\u{2028}---\u{2029}kind: Evil".to_owned(),
    ];
    let text = weir_policy::generate::yaml(&generated, &header, false);
    let lines = text.split(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'));
    assert!(
        lines
            .into_iter()
            .all(|line| !line.starts_with("kind: ClusterRole") && !line.starts_with("kind: Evil"))
    );
    assert!(
        text.starts_with("# a --- kind: ClusterRoleBinding\n# b --- kind: Evil\n"),
        "{text}"
    );
}

#[test]
fn a_peer_on_the_host_network_is_its_node() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let mut set = EdgeSet::default();
    let server = edge_end(&world.end("z/a"), &world.cluster, &owners);
    let host = EdgeEnd::Pod(weir_policy::edges::PodEnd {
        namespace: "x".into(),
        name: "host".into(),
        address: Some(address("192.168.0.1")),
        node: "n1".into(),
        workload: None,
    });
    seen(&mut set, host, server, 6, 80);
    let generated = generated(&world, &owners, &set, &GenerateOptions::of_namespace("z"));
    assert_eq!(
        blocks(&policy(&generated, "weir-deployment-a").ingress),
        ["192.168.0.1/32"]
    );
}

#[test]
fn nodes_are_one_network_where_that_is_asked_for_and_no_pod_is_in_it() {
    let mut world = World::new();
    let owners = inventory(&world.cluster);
    let mut set = EdgeSet::default();
    let server = edge_end(&world.end("z/a"), &world.cluster, &owners);
    let node = &world.cluster.nodes[0];
    let client = EdgeEnd::Node {
        name: node.name.clone(),
        address: Some(node.addresses[0]),
    };
    seen(&mut set, client, server, 6, 80);
    let options = GenerateOptions {
        nodes: Nodes::Cidr,
        ..GenerateOptions::of_namespace("z")
    };
    let written = |world: &World| {
        let generated = generated(world, &owners, &set, &options);
        blocks(&policy(&generated, "weir-deployment-a").ingress)
    };
    let all = written(&world);
    let [network] = &all[..] else { panic!("{all:?}") };
    let network: ipnet::IpNet = network.parse().unwrap();
    let addresses: Vec<_> = world
        .cluster
        .nodes
        .iter()
        .flat_map(|node| &node.addresses)
        .collect();
    assert!(addresses.len() > 1 && addresses.iter().all(|address| network.contains(*address)));
    let halves = network.subnets(network.prefix_len() + 1).unwrap();
    for half in halves {
        assert!(
            !addresses.iter().all(|address| half.contains(*address)),
            "{half} has them all"
        );
    }
    // With a pod among them each node is written by itself.
    let pod = world
        .cluster
        .pods
        .iter_mut()
        .find(|pod| !pod.host_network)
        .unwrap();
    pod.addresses.push(network.broadcast());
    assert_eq!(
        written(&world),
        [format!("{}/32", world.cluster.nodes[0].addresses[0])]
    );
}

#[test]
fn weak_evidence_is_learnt_only_where_asked_for_and_never_for_ports_of_clients() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let mut set = EdgeSet::default();
    let base = see(&mut set, &world, &owners, "x/b", "x/a", "tcp/80");
    for (port, strength) in [
        (81, Strength::Weak),
        (41_000, Strength::Weak),
        (42_000, Strength::Likely),
        (82, Strength::Unknown),
    ] {
        set.push(weir_policy::edges::Edge {
            port,
            strength,
            ..base
        });
    }
    let learnt = |weak: bool| {
        let generated = generated(&world, &owners, &set, &GenerateOptions { weak, ..options() });
        let numbers: Vec<u16> = ports(&policy(&generated, "weir-deployment-a").ingress)
            .into_iter()
            .map(|(_, port)| port)
            .collect();
        (numbers, generated.report.skipped)
    };
    let (numbers, skipped) = learnt(false);
    assert_eq!(numbers, [80, 42_000]);
    assert_eq!(skipped[&Skipped::Weak].edges, 1);
    assert_eq!(skipped[&Skipped::Ephemeral].edges, 1);
    assert_eq!(skipped[&Skipped::Unknown(Reason::Direction)].edges, 1);
    assert_eq!(learnt(true).0, [80, 81, 42_000]);
    let with_weak = GenerateOptions {
        weak: true,
        ..options()
    };
    let generated = generated(&world, &owners, &set, &with_weak);
    let text = yaml(&generated, &[], false);
    assert!(
        text.contains("30 flows, 2026-06-01 .. 2026-06-02, weak"),
        "the weakest is told\n{text}"
    );
}

#[test]
fn what_nobody_answered_or_what_is_denied_is_told_and_not_learnt() {
    let world = World::new().on_a(
        "hand",
        "ingress: [{ports: [{port: 80}, {port: 81}, {protocol: UDP}]}]",
    );
    let owners = inventory(&world.cluster);
    let mut set = EdgeSet::default();
    let base = see(&mut set, &world, &owners, "x/b", "x/a", "tcp/80");
    let other = |port: u16, answered: bool, protocol: u8| weir_policy::edges::Edge {
        port,
        answered,
        protocol,
        ..base
    };
    set.push(other(81, false, 6));
    set.push(other(514, false, 17));
    set.push(other(8080, true, 6));
    let generated = generated(&world, &owners, &set, &options());
    let learnt = ports(&policy(&generated, "weir-deployment-a").ingress);
    assert_eq!(
        learnt,
        [(Protocol::Tcp, 80), (Protocol::Udp, 514)],
        "one-way UDP counts"
    );
    assert_eq!(generated.report.skipped[&Skipped::Unanswered].edges, 1);
    assert_eq!(generated.report.skipped[&Skipped::Denied].edges, 1);
    assert_eq!(generated.report.tried.len(), 2);
}

#[test]
fn other_protocols_never_make_rules() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let seen = edges(
        &world,
        &owners,
        &[("x/b", "x/a", "icmp/2048"), ("x/b", "x/a", "tcp/80")],
    );
    let generated = generated(&world, &owners, &seen, &options());
    assert_eq!(generated.report.skipped[&Skipped::Protocol].edges, 1);
    assert_eq!(
        ports(&policy(&generated, "weir-deployment-a").ingress),
        [(Protocol::Tcp, 80)]
    );
}

#[test]
fn what_hand_written_policies_allow_is_not_repeated_on_top() {
    let world = World::new().on_a("hand", "ingress: [{ports: [{port: 80}]}]");
    let owners = inventory(&world.cluster);
    let seen = edges(&world, &owners, &[("x/b", "x/a", "tcp/80")]);
    let both = generated(&world, &owners, &seen, &options());
    policy(&both, "weir-deployment-a");
    let on_top = generated(
        &world,
        &owners,
        &seen,
        &GenerateOptions {
            on_top: true,
            ..options()
        },
    );
    let names: Vec<&str> = on_top
        .policies
        .iter()
        .map(|one| one.policy.name.as_str())
        .collect();
    assert_eq!(names, ["weir-deployment-b", "weir-default-deny"]);
}

#[test]
fn policies_of_others_and_ours_that_were_changed_by_hand_are_left_alone() {
    let mut world = World::new();
    let owners = inventory(&world.cluster);
    let seen = edges(
        &world,
        &owners,
        &[("x/b", "x/a", "tcp/80"), ("x/b", "x/c", "tcp/80")],
    );
    let first = generated(&world, &owners, &seen, &options());
    let key = |name: &str| PolicyKey {
        namespace: "x".into(),
        name: name.into(),
        kind: PolicyKind::NetworkPolicy,
    };
    let mut annotations: BTreeMap<PolicyKey, String> = BTreeMap::new();
    for one in &first.policies {
        annotations.insert(key(&one.policy.name), spec_hash(&one.policy));
        world.cluster.policies.push(Policy::Network(one.policy.clone()));
    }
    world.add(&network_policy("weir-old", "{}", "ingress: [{}]"));
    let Some(Policy::Network(old)) = world.cluster.policies.last().cloned() else {
        panic!();
    };
    annotations.insert(key("weir-old"), spec_hash(&old));
    // one is changed by hand, one is somebody else's
    for policy in &mut world.cluster.policies {
        if let Policy::Network(policy) = policy
            && policy.name == "weir-deployment-a"
        {
            policy.ingress.clear();
            policy.egress.push(NetworkRule {
                peers: Vec::new(),
                ports: Vec::new(),
            });
        }
    }
    annotations.remove(&key("weir-deployment-c"));
    let options = GenerateOptions {
        denied: true,
        ..options()
    };
    let again = managed(&world, &owners, &seen, &options, &annotations);
    let names: BTreeSet<&str> = again
        .policies
        .iter()
        .map(|one| one.policy.name.as_str())
        .collect();
    assert!(
        !names.contains("weir-deployment-a") && !names.contains("weir-deployment-c"),
        "{names:?}"
    );
    assert!(
        names.contains("weir-deployment-b") && names.contains("weir-default-deny"),
        "{names:?}"
    );
    assert_eq!(
        names
            .iter()
            .filter(|name| name.starts_with("weir-deployment-a-"))
            .count(),
        1
    );
    assert_eq!(again.report.changed_by_hand, [key("weir-deployment-a")]);
    assert_eq!(again.report.obsolete, [key("weir-old")]);
    let b = first
        .policies
        .iter()
        .find(|one| one.policy.name == "weir-deployment-b")
        .unwrap();
    assert_eq!(policy(&again, "weir-deployment-b"), &b.policy);
}

fn outside(world: &World, owners: &Inventory, addresses: &[String]) -> EdgeSet {
    let mut set = EdgeSet::default();
    let client = edge_end(&world.end("x/a"), &world.cluster, owners);
    for text in addresses {
        seen(&mut set, client.clone(), EdgeEnd::address(address(text)), 6, 443);
    }
    set
}

#[test]
fn addresses_outside_are_exact_until_they_are_too_many() {
    let world = World::new();
    let mut owners = inventory(&world.cluster);
    owners.cluster_networks = vec!["100.64.0.0/10".parse().unwrap()];
    let written = |addresses: &[String], internet: Internet| {
        let set = outside(&world, &owners, addresses);
        let generated = generated(
            &world,
            &owners,
            &set,
            &GenerateOptions {
                internet,
                ..options()
            },
        );
        let rules = policy(&generated, "weir-deployment-a").egress.clone();
        (blocks(&rules), rules, generated.report.aggregated)
    };
    let few: Vec<String> = (0..16).map(|n| format!("203.0.113.{n}")).collect();
    assert_eq!(written(&few, Internet::Aggregate).0.len(), 16);
    let near: Vec<String> = (0..20)
        .map(|n| format!("203.0.113.{n}"))
        .chain(["198.51.100.1".into()])
        .collect();
    let (blocks, _, aggregated) = written(&near, Internet::Aggregate);
    assert_eq!(blocks, ["198.51.100.1/32", "203.0.113.0/24"]);
    assert_eq!(aggregated[0].seen, 20);
    assert_eq!(written(&near, Internet::Exact).0.len(), 21);
    // 17 are too many; four of a network are written as it, three are not
    let borders: Vec<String> = (0..10)
        .map(|n| format!("8.{n}.1.1"))
        .chain((0..3).map(|n| format!("198.51.100.{n}")))
        .chain((0..4).map(|n| format!("203.0.113.{n}")))
        .collect();
    let (blocks, ..) = written(&borders, Internet::Aggregate);
    assert_eq!(blocks.len(), 10 + 3 + 1, "{blocks:?}");
    assert!(blocks.contains(&"203.0.113.0/24".to_owned()));
    let own: Vec<String> = (0..20).map(|n| format!("100.64.1.{n}")).collect();
    let (blocks, ..) = written(&own, Internet::Aggregate);
    assert_eq!(
        blocks.len(),
        20,
        "a network of pods is never written for some of them"
    );
    let far: Vec<String> = (0..30)
        .map(|n| format!("8.{n}.1.1"))
        .chain(["10.9.9.9".into()])
        .collect();
    let (blocks, rules, _) = written(&far, Internet::Aggregate);
    assert_eq!(blocks, ["0.0.0.0/0", "10.9.9.9/32"]);
    let NetworkPeer::Block(all) = &rules[0].peers[0] else {
        panic!();
    };
    let except: Vec<String> = all.except.iter().map(ToString::to_string).collect();
    assert_eq!(
        except,
        [
            "10.0.0.0/8",
            "100.64.0.0/10",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16"
        ]
    );
    let six: Vec<String> = (0..20).map(|n| format!("2001:db8:1:{n:x}::1")).collect();
    assert_eq!(written(&six, Internet::Aggregate).0, ["2001:db8:1::/48"]);
    assert_eq!(written(&six, Internet::Any).0, ["::/0"]);
}

#[test]
fn a_network_with_a_name_is_written_whole_with_its_name_beside_it() {
    let world = World::new();
    let mut owners = inventory(&world.cluster);
    owners.subnets.push(SubnetLabel {
        name: "payments".into(),
        networks: vec![
            "198.51.100.0/24".parse().unwrap(),
            "198.51.101.0/28".parse().unwrap(),
        ],
    });
    let mut set = EdgeSet::default();
    let client = edge_end(&world.end("x/a"), &world.cluster, &owners);
    let one: IpAddr = address("198.51.100.9");
    let server = EdgeEnd::Outside {
        network: one.into(),
        subnet_label: "payments".into(),
    };
    seen(&mut set, client, server, 6, 443);
    let generated = generated(&world, &owners, &set, &options());
    let rules = &policy(&generated, "weir-deployment-a").egress;
    assert_eq!(blocks(rules), ["198.51.100.0/24", "198.51.101.0/28"]);
    assert_eq!(rules.len(), 1, "equal ports are one rule");
    assert!(yaml(&generated, &[], false).contains("proven, payments"));
}

#[test]
fn rules_are_as_few_as_sets_of_ports_and_no_wider() {
    let mut random = crate::random::Random(77);
    let world = World::new();
    let owners = inventory(&world.cluster);
    let peers = ["x/b", "x/c", "y/a", "y/b", "z/a", "203.0.113.9"];
    for _ in 0..60 {
        let mut all: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
        for peer in peers {
            for port in 80..83 {
                if random.chance(50) {
                    all.entry(peer).or_default().insert(port);
                }
            }
        }
        if all.is_empty() {
            continue;
        }
        let texts: Vec<(&str, String)> = all
            .iter()
            .flat_map(|(peer, ports)| ports.iter().map(move |port| (*peer, format!("tcp/{port}"))))
            .collect();
        let calls: Vec<(&str, &str, &str)> = texts
            .iter()
            .map(|(peer, port)| (*peer, "x/a", port.as_str()))
            .collect();
        let seen = edges(&world, &owners, &calls);
        let generated = generated(&world, &owners, &seen, &options());
        let distinct: BTreeSet<&BTreeSet<u16>> = all.values().collect();
        let rules = &policy(&generated, "weir-deployment-a").ingress;
        assert_eq!(rules.len(), distinct.len());
        let pairs: usize = rules.iter().map(|rule| rule.peers.len() * rule.ports.len()).sum();
        assert_eq!(pairs, calls.len());
    }
}

#[test]
fn four_ports_in_a_row_are_a_range_where_asked_for() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let texts: Vec<String> = [80, 81, 82, 83, 90, 91, 92]
        .iter()
        .map(|port| format!("tcp/{port}"))
        .collect();
    let calls: Vec<(&str, &str, &str)> = texts.iter().map(|port| ("x/b", "x/a", port.as_str())).collect();
    let seen = edges(&world, &owners, &calls);
    let count = |ranges: bool| {
        let generated = generated(&world, &owners, &seen, &GenerateOptions { ranges, ..options() });
        policy(&generated, "weir-deployment-a").ingress[0].ports.len()
    };
    assert_eq!((count(false), count(true)), (7, 4));
}

#[test]
fn a_long_name_is_cut_and_told_apart_by_a_hash() {
    let mut world = World::new();
    let mut owners = inventory(&world.cluster);
    let long = "a".repeat(70);
    for (n, end) in ["one", "two"].into_iter().enumerate() {
        let name = format!("{long}-{end}");
        let mut pod = pod("x", end, "n1", &[&format!("10.1.1.{}", 60 + n)]);
        pod.labels = labels(&format!("app={end}"));
        world.cluster.pods.push(pod);
        owners.workloads.push(workload(
            deployment("x", &name),
            &format!("app={end}"),
            "",
            &[end],
        ));
    }
    let seen = edges(&world, &owners, &[("x/one", "x/two", "tcp/80")]);
    let generated = generated(&world, &owners, &seen, &options());
    let names: BTreeSet<&str> = generated
        .policies
        .iter()
        .map(|one| one.policy.name.as_str())
        .collect();
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|name| name.len() <= 63), "{names:?}");
}

#[test]
fn nothing_to_learn_from_is_an_error() {
    let world = World::new();
    let result = generate(&GenerateInput {
        edges: &EdgeSet::default(),
        cluster: &world.cluster,
        inventory: &Inventory::default(),
        profile: world.profile,
        managed: &BTreeMap::new(),
        options: &options(),
    });
    assert!(matches!(result, Err(GenerateError::NoEdges)));
}

#[test]
fn a_policy_that_would_deny_what_was_seen_is_never_given() {
    // the workload's selector does not select its own pod: a wrong fact
    let world = World::new();
    let mut owners = Inventory::default();
    owners
        .workloads
        .push(workload(deployment("x", "a"), "app=wrong", "app=wrong", &["a"]));
    let seen = edges(&world, &owners, &[("x/b", "x/a", "tcp/80")]);
    let result = generate(&GenerateInput {
        edges: &seen,
        cluster: &world.cluster,
        inventory: &owners,
        profile: world.profile,
        managed: &BTreeMap::new(),
        options: &options(),
    });
    let Err(GenerateError::Proof(edges)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(edges, ["x/b -> x/deployment/a 80/tcp"]);
}

fn cluster_policies_of(
    world: &World,
    owners: &Inventory,
    edges: &EdgeSet,
    options: &GenerateOptions,
    priority: u16,
) -> Result<GeneratedCluster, GenerateError> {
    let input = GenerateInput {
        edges,
        cluster: &world.cluster,
        inventory: owners,
        profile: world.profile,
        managed: &BTreeMap::new(),
        options,
    };
    cluster_policies(&input, &generate(&input)?, Tier::Admin, priority)
}

#[test]
fn cluster_policies_accept_at_one_priority_and_deny_at_the_next() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let seen = edges(
        &world,
        &owners,
        &[("y/a", "x/a", "tcp/5050"), ("node:n2", "x/a", "tcp/5050")],
    );
    let generated = cluster_policies_of(&world, &owners, &seen, &options(), 7).unwrap();
    let text = cluster_yaml(&generated, &[], true);
    let hashes: Vec<&str> = text
        .split("weir.dev/spec: ")
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap())
        .collect();
    let expected = r#"apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata:
  name: weir-x-deployment-a
  labels: {app.kubernetes.io/managed-by: weir}
  annotations: {weir.dev/spec: HASH0}
spec:
  tier: Admin
  priority: 7
  subject: {pods: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: x}}, podSelector: {matchLabels: {app: a}}}}
  ingress:
  - action: Accept
    from:
    - {pods: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "y"}}, podSelector: {matchLabels: {app: a}}}}
    protocols:
    - {tcp: {destinationPort: {number: 5050}}}
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata:
  name: weir-x-default-deny
  labels: {app.kubernetes.io/managed-by: weir}
  annotations: {weir.dev/spec: HASH1}
spec:
  tier: Admin
  priority: 8
  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: x}}}
  ingress:
  - name: default-deny
    action: Deny
    from:
    - {namespaces: {}}
  egress:
  - name: default-deny
    action: Deny
    to:
    - {namespaces: {}}
    - {networks: ["0.0.0.0/0", "::/0"]}
"#;
    assert_eq!(
        text,
        expected.replace("HASH0", hashes[0]).replace("HASH1", hashes[1])
    );
    let notes: Vec<&String> = generated.notes.iter().collect();
    assert_eq!(
        notes,
        ["ingress from nodes and addresses outside is neither accepted nor denied"]
    );
    assert!(matches!(
        cluster_policies_of(&world, &owners, &seen, &options(), 1000),
        Err(GenerateError::Rank)
    ));
}

#[test]
fn cluster_policies_name_nodes_by_the_narrowest_role_that_all_have_which_were_called() {
    let mut world = World::new();
    let role = |name: &str| format!("node-role.kubernetes.io/{name}=");
    world.cluster.nodes[0].labels = labels(&format!("{},{}", role("all"), role("control")));
    world.cluster.nodes[1].labels = labels(&role("all"));
    let owners = inventory(&world.cluster);
    let options = GenerateOptions {
        nodes: Nodes::Labels,
        ..options()
    };
    let made = |called: &[&str]| {
        let calls: Vec<_> = called.iter().map(|node| ("x/a", *node, "tcp/6443")).collect();
        let seen = edges(&world, &owners, &calls);
        let generated = cluster_policies_of(&world, &owners, &seen, &options, 7).unwrap();
        let text = cluster_yaml(&generated, &[], true);
        let read = weir_policy::parse::file(&text, "").unwrap_or_else(|error| panic!("{error}\n{text}"));
        (read.policies, generated.notes, text)
    };
    let (policies, notes, text) = made(&["node:n1@192.168.0.1"]);
    assert!(
        text.contains(
            "- {nodes: {matchExpressions: [{key: node-role.kubernetes.io/control, operator: Exists}]}}"
        ),
        "{text}"
    );
    assert!(!text.contains("192.168.0.1"), "{text}");
    assert!(
        notes.iter().any(|note| note.contains("is to 1 of them now")),
        "{notes:?}"
    );
    // Another that comes with the role is let through, too; one without it is not.
    let mut later = World::new();
    later.cluster.nodes = world.cluster.nodes.clone();
    let mut third = node("n3", "a", "192.168.0.3", "10.1.0.4");
    third.labels = labels(&role("control"));
    later.cluster.nodes.push(third);
    later.cluster.policies = policies;
    assert!(later.allows("x/a", "node:n1", "tcp/6443"));
    assert!(later.allows("x/a", "node:n3", "tcp/6443"));
    assert!(!later.allows("x/a", "node:n2", "tcp/6443"));
    assert!(!later.allows("x/a", "node:n1", "tcp/22"));
    // Both have only this one, and the port among the pods is none of their addresses.
    let (_, _, text) = made(&["node:n1@192.168.0.1", "node:n2@192.168.0.2", "node:n2@10.1.0.3"]);
    assert!(
        text.contains("node-role.kubernetes.io/all, operator: Exists"),
        "{text}"
    );
    assert!(text.contains(r#"- {networks: ["10.1.0.3/32"]}"#), "{text}");
}

#[test]
fn nodes_without_a_role_are_all_nodes() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let options = GenerateOptions {
        nodes: Nodes::Labels,
        ..options()
    };
    let seen = edges(&world, &owners, &[("x/a", "node:n2@192.168.0.2", "tcp/6443")]);
    let generated = cluster_policies_of(&world, &owners, &seen, &options, 7).unwrap();
    let text = cluster_yaml(&generated, &[], true);
    assert!(text.contains("    - {nodes: {}}\n"), "{text}");
}

#[test]
fn networks_with_exceptions_and_long_lists_fit_the_limits_of_cluster_policies() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let far: Vec<String> = (0..30).map(|n| format!("8.{n}.1.1")).collect();
    let seen = outside(&world, &owners, &far);
    let generated = cluster_policies_of(&world, &owners, &seen, &options(), 7).unwrap();
    let text = cluster_yaml(&generated, &[], false);
    let read = weir_policy::parse::file(&text, "").unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut world = World::new();
    world.cluster.policies = read.policies;
    for (to, is_open) in [
        ("8.1.1.1", true),
        ("203.0.113.9", true),
        ("9.255.255.255", true),
        ("10.9.9.9", false),
        ("172.16.0.1", false),
        ("172.32.0.1", true),
        ("169.254.169.254", false),
    ] {
        assert_eq!(world.allows("x/a", to, "tcp/443"), is_open, "{to}");
    }
    let exact = GenerateOptions {
        internet: Internet::Exact,
        ..options()
    };
    let many: Vec<String> = (0..700).map(|n| format!("8.{}.{}.1", n / 250, n % 250)).collect();
    let seen = outside(&world, &owners, &many);
    world.cluster.policies.clear();
    let generated = cluster_policies_of(&world, &owners, &seen, &exact, 7).unwrap();
    let text = cluster_yaml(&generated, &[], true);
    weir_policy::parse::file(&text, "").unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn one_workload_alone_gets_its_policy_and_nobody_else() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let seen = edges(
        &world,
        &owners,
        &[
            ("x/b", "x/a", "tcp/80"),
            ("x/c", "x/b", "tcp/81"),
            ("x/c", "x/a", "tcp/82"),
        ],
    );
    let options = GenerateOptions {
        workload: Some(deployment("x", "b")),
        ..options()
    };
    let generated = generated(&world, &owners, &seen, &options);
    let names: Vec<&str> = generated
        .policies
        .iter()
        .map(|one| one.policy.name.as_str())
        .collect();
    assert_eq!(names, ["weir-deployment-b"]);
    assert_eq!(generated.report.skipped[&Skipped::OutOfScope].edges, 1);
    assert_eq!(generated.report.learnt.edges, 2);
}
