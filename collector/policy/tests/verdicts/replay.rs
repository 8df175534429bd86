//! What a change would have done, against two evaluations of the naive evaluator.

use std::collections::BTreeMap;

use weir_policy::edges::{Edge, EdgeEnd, EdgeSet, EndId, PodEnd, Strength};
use weir_policy::inventory::{Backend, Inventory, Service, ServicePort};
use weir_policy::observed::SETTLE;
use weir_policy::replay::{
    Change, CheckOptions, ClusterVersion, LabelChange, LabelTarget, ReplayInput, Report, exit_code, replay,
};
use weir_policy::{Answer, Cluster, Direction, Miss, Policy, Profile, Protocol, Reason, parse};

use crate::naive::{self, Call, End};
use crate::random::Random;
use crate::traffic::{DAY, JUNE, deployment, edge_end, edges, inventory, pod_end, see, seen, workload};
use crate::world::{World, address, labels, network_policy, pod};

fn policies(yaml: &str) -> Vec<Policy> {
    parse::file(yaml, "x").unwrap().policies
}

fn on_a(spec: &str) -> Change {
    Change {
        policies: policies(&network_policy("new", "{matchLabels: {app: a}}", spec)),
        ..Change::default()
    }
}

fn replayed(world: &World, inventory: &Inventory, edges: &EdgeSet, change: &Change) -> Report {
    replay(ReplayInput {
        edges,
        inventory,
        before: vec![ClusterVersion {
            since: 0,
            cluster: world.cluster.clone(),
        }],
        change,
        profile: world.profile,
    })
}

fn changed(cluster: &Cluster, change: &Change) -> Cluster {
    let mut after = cluster.clone();
    change.apply(&mut after, &mut Inventory::default());
    after
}

fn random_change(random: &mut Random, cluster: &Cluster) -> Change {
    let mut change = Change::default();
    for _ in 0..=random.below(2) {
        change.policies.push(random.policy());
    }
    if let Some(policy) = cluster.policies.first().filter(|_| random.chance(50)) {
        change.deleted.push(policy.key());
    }
    if let Some(pod) = cluster.pods.first().filter(|_| random.chance(50)) {
        change.labels.push(LabelChange {
            target: LabelTarget::Pod(pod.namespace.clone(), pod.name.clone()),
            key: "app".into(),
            value: random.chance(70).then(|| "b".to_owned()),
        });
    }
    if let Some(namespace) = cluster.namespaces.first().filter(|_| random.chance(50)) {
        change.labels.push(LabelChange {
            target: LabelTarget::Namespace(namespace.name.clone()),
            key: "tier".into(),
            value: Some("a".into()),
        });
    }
    change
}

/// A call that edges can hold.
fn plain_call(random: &mut Random, cluster: &Cluster) -> Call {
    Call {
        through_service: false,
        domains: None,
        ..random.call(cluster)
    }
}

/// What tells edges apart.
fn key(edge: &Edge) -> (EndId, EndId, u8, u16) {
    (edge.client, edge.server, edge.protocol, edge.port)
}

#[test]
fn each_edge_is_in_the_class_that_two_naive_evaluations_give() {
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..160 {
        let mut random = Random(7_000 + seed);
        let profile = random.profile();
        let cluster = random.cluster(6);
        let change = random_change(&mut random, &cluster);
        let after = changed(&cluster, &change);
        let (none, mut set) = (Inventory::default(), EdgeSet::default());
        let mut expected: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for _ in 0..40 {
            let call = plain_call(&mut random, &cluster);
            let [client, server] = [&call.client, &call.server].map(|end| edge_end(end, &cluster, &none));
            let known = set.edges().len();
            let edge = seen(&mut set, client, server, call.protocol, call.port);
            if set.edges().len() == known {
                continue;
            }
            let judge = |cluster: &Cluster| naive::together(&naive::judge(cluster, &profile, &call));
            let is_talk = call.protocol == 58 && (133..=137).contains(&(call.port >> 8));
            let class = match (judge(&cluster), judge(&after)) {
                _ if is_talk => "not judged",
                (Answer::Unknown, _) | (_, Answer::Unknown) => "unknown",
                (Answer::Allow, Answer::Deny) => "denied",
                (Answer::Deny, Answer::Allow) => "allowed",
                _ => "unchanged",
            };
            expected.entry(class).or_default().push(key(&edge));
            *classes.entry(class).or_default() += 1;
        }
        let world = World { profile, cluster };
        let report = replayed(&world, &none, &set, &change);
        let of = |class: &str| {
            let mut edges = expected.get(class).cloned().unwrap_or_default();
            edges.sort();
            edges
        };
        let sorted = |edges: Vec<Edge>| {
            let mut keys: Vec<_> = edges.iter().map(key).collect();
            keys.sort();
            keys
        };
        let denied = report.newly_denied.iter().map(|denied| denied.edge).collect();
        let allowed = report.newly_allowed.iter().map(|allowed| allowed.edge).collect();
        let unknown = report.unknown_edges.iter().map(|unknown| unknown.edge).collect();
        assert_eq!(sorted(denied), of("denied"), "seed {seed}");
        assert_eq!(sorted(allowed), of("allowed"), "seed {seed}");
        assert_eq!(sorted(unknown), of("unknown"), "seed {seed}");
        assert_eq!(
            report.unchanged.edges,
            of("unchanged").len() as u64,
            "seed {seed}"
        );
        assert_eq!(report.all.edges, set.edges().len() as u64);
    }
    for class in ["denied", "allowed", "unknown", "unchanged"] {
        assert!(
            classes.get(class).copied().unwrap_or_default() > 100,
            "{classes:?}"
        );
    }
}

#[test]
fn what_a_change_opens_is_denied_before_and_allowed_after() {
    let (mut opened, mut checked) = (0, 0);
    for seed in 0..80 {
        let mut random = Random(9_000 + seed);
        let profile = Profile::default();
        let mut cluster = random.cluster(6);
        cluster
            .policies
            .retain(|policy| matches!(policy, Policy::Network(_)));
        let change = Change {
            policies: vec![random.network_policy()],
            deleted: cluster.policies.first().map(Policy::key).into_iter().collect(),
            labels: Vec::new(),
        };
        let after = changed(&cluster, &change);
        let running = cluster
            .pods
            .iter()
            .filter(|pod| !pod.finished && !pod.host_network);
        let pods: Vec<(String, End)> = running
            .flat_map(|pod| pod.addresses.iter().map(move |address| (pod, *address)))
            .map(|(pod, address)| {
                let (namespace, name) = (pod.namespace.clone(), pod.name.clone());
                let label = format!("{namespace}/{name}");
                (
                    label,
                    End::Pod {
                        namespace,
                        name,
                        address,
                    },
                )
            })
            .collect();
        let is_v6 = |end: &End| matches!(end, End::Pod { address, .. } if address.is_ipv6());
        let mut expected = false;
        let is_opened = |client: &End, server: &End, protocol: u8, port: u16| {
            let call = Call {
                client: client.clone(),
                server: server.clone(),
                protocol,
                port,
                through_service: false,
                domains: None,
            };
            let judge = |cluster: &Cluster| naive::together(&naive::judge(cluster, &profile, &call));
            judge(&cluster) == Answer::Deny && judge(&after) == Answer::Allow
        };
        for (_, client) in &pods {
            for (_, server) in &pods {
                if is_v6(client) != is_v6(server) {
                    continue;
                }
                for (protocol, port) in [6u8, 17, 132]
                    .into_iter()
                    .flat_map(|p| [53, 80, 81, 443].map(|n| (p, n)))
                {
                    expected |= is_opened(client, server, protocol, port);
                }
            }
        }
        let world = World {
            profile,
            cluster: cluster.clone(),
        };
        let report = replayed(&world, &Inventory::default(), &EdgeSet::default(), &change);
        assert!(!report.opens.is_cut);
        assert!(report.opens.pairs > 0 || !expected, "seed {seed}");
        let find = |name: &str| -> Vec<&End> {
            pods.iter()
                .filter(|(label, _)| label == name)
                .map(|(_, end)| end)
                .collect()
        };
        for pair in &report.opens.listed {
            let (clients, servers) = (find(&pair.client), find(&pair.server));
            if clients.is_empty() || servers.is_empty() {
                continue;
            }
            for port in [pair.first_port, pair.last_port] {
                let is_true = clients
                    .iter()
                    .zip(&servers)
                    .any(|(client, server)| is_opened(client, server, pair.protocol.number(), port));
                assert!(is_true, "seed {seed} {pair:?}");
                checked += 1;
            }
        }
        opened += usize::from(expected);
    }
    assert!(opened > 15 && checked > 100, "{opened} {checked}");
}

#[test]
fn what_breaks_is_told_with_its_side_and_the_nearest_rule() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let seen = edges(
        &world,
        &owners,
        &[
            ("x/b", "x/a", "tcp/8443"),
            ("x/c", "x/a", "tcp/80"),
            ("y/a", "x/a", "udp/53"),
        ],
    );
    let change = on_a("ingress: [{from: [{podSelector: {matchLabels: {app: b}}}], ports: [{port: 80}]}]");
    let report = replayed(&world, &owners, &seen, &change);
    let of = |port: u16| {
        report
            .newly_denied
            .iter()
            .find(|denied| denied.edge.port == port)
            .unwrap()
    };
    assert_eq!(report.newly_denied.len(), 3);
    assert_eq!(
        of(8443).words,
        "x/new isolates ingress, port 8443/tcp not in rule ingress[0] of x/new (80/tcp)"
    );
    assert_eq!(of(8443).nearest.as_ref().unwrap().misses, Miss::Port);
    assert_eq!(
        of(80).words,
        "x/new isolates ingress, rule ingress[0] of x/new wants app=b"
    );
    assert_eq!(of(53).words, "x/new isolates ingress, no rule has 53/udp");
    assert_eq!(of(53).side, Direction::Ingress);
    assert_eq!(of(53).isolating.len(), 1);
    assert_eq!(report.without_traffic.len(), 1, "{:?}", report.without_traffic);
}

#[test]
fn a_rule_that_nothing_matches_is_told_and_one_that_another_decides_for_is_not() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let seen = edges(&world, &owners, &[("x/b", "x/a", "tcp/80")]);
    let change =
        on_a("ingress: [{}, {ports: [{port: 80}]}, {ports: [{port: 81}]}]\negress: [{ports: [{port: 1}]}]");
    let report = replayed(&world, &owners, &seen, &change);
    let names: Vec<_> = report
        .without_traffic
        .iter()
        .map(|rule| (rule.direction, rule.index.unwrap()))
        .collect();
    assert_eq!(names, [(Direction::Egress, 0), (Direction::Ingress, 2)]);
}

#[test]
fn exit_codes_go_by_precedence() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let options = CheckOptions::default();
    let mut set = edges(&world, &owners, &[("x/b", "x/a", "tcp/80")]);
    let deny = on_a("ingress: []");
    let report = replayed(&world, &owners, &set, &Change::default());
    assert_eq!(exit_code(Some(&report), &options), 0);
    assert_eq!(exit_code(None, &options), 2);
    let nothing = replayed(&world, &owners, &EdgeSet::default(), &deny);
    assert_eq!(exit_code(Some(&nothing), &options), 2);
    let unknown = set.end(EdgeEnd::Unknown);
    let mut edge = set.edges()[0];
    edge.client = unknown;
    set.push(edge);
    let report = replayed(&world, &owners, &set, &on_a("ingress: [{}]"));
    assert_eq!(report.unknown[&Reason::Identity].edges, 1);
    assert_eq!(exit_code(Some(&report), &options), 3);
    let lax = CheckOptions {
        max_unknown: 0.5,
        ..options
    };
    assert_eq!(exit_code(Some(&report), &lax), 0);
    let report = replayed(&world, &owners, &set, &deny);
    assert_eq!(
        exit_code(Some(&report), &options),
        1,
        "broken beats too much unknown"
    );
}

#[test]
fn what_is_unknown_elsewhere_is_no_doubt_about_the_change_and_dilutes_none() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    // One call of the pod that the change is about, a hundred of others; of each somebody
    // unknown made one.
    let mut set = edges(
        &world,
        &owners,
        &[("x/b", "x/a", "tcp/80"), ("x/b", "x/c", "tcp/80")],
    );
    let unknown = set.end(EdgeEnd::Unknown);
    let [to_a, to_c] = set.edges() else { panic!() };
    let (to_a, to_c) = (*to_a, *to_c);
    let options = CheckOptions::default();
    let code = |set: &EdgeSet| {
        exit_code(
            Some(&replayed(&world, &owners, set, &on_a("ingress: [{}]"))),
            &options,
        )
    };
    let mut elsewhere = set.clone();
    elsewhere.push(Edge {
        client: unknown,
        ..to_c
    });
    assert_eq!(code(&elsewhere), 0);
    set.push(Edge {
        client: unknown,
        ..to_a
    });
    set.push(Edge {
        flows: 1_000_000 * to_c.flows,
        ..to_c
    });
    assert_eq!(code(&set), 3);
}

#[test]
fn an_edge_without_answer_breaks_only_where_asked_for() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let mut set = EdgeSet::default();
    let mut edge = see(&mut set, &world, &owners, "x/b", "x/a", "tcp/80");
    let mut unanswered = EdgeSet::default();
    set.ends().iter().for_each(|end| {
        unanswered.end(end.clone());
    });
    edge.answered = false;
    unanswered.push(edge);
    let report = replayed(&world, &owners, &unanswered, &on_a("ingress: []"));
    assert_eq!(
        (report.newly_denied.len(), report.newly_denied_unanswered.len()),
        (0, 1)
    );
    let strict = CheckOptions {
        strict: true,
        ..CheckOptions::default()
    };
    assert_eq!(exit_code(Some(&report), &CheckOptions::default()), 0);
    assert_eq!(exit_code(Some(&report), &strict), 1);
}

#[test]
fn what_is_newly_allowed_fails_only_where_asked_for() {
    let world = World::new().on_a("old", "ingress: []");
    let owners = inventory(&world.cluster);
    let seen = edges(
        &world,
        &owners,
        &[("x/b", "x/a", "tcp/80"), ("x/b", "x/c", "tcp/80")],
    );
    let change = on_a("ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]");
    let report = replayed(&world, &owners, &seen, &change);
    let allowed = &report.newly_allowed[0];
    assert_eq!(allowed.rule.as_ref().unwrap().policy.to_string(), "x/new");
    assert_eq!((report.newly_allowed.len(), report.unchanged.edges), (1, 1));
    let listed: Vec<_> = report
        .opens
        .listed
        .iter()
        .map(|pair| (pair.client.as_str(), pair.first_port))
        .collect();
    assert!(listed.contains(&("x/deployment/c", 80)), "{listed:?}");
    assert!(!listed.contains(&("x/deployment/b", 80)), "was tried: {listed:?}");
    assert!(
        report
            .opens
            .listed
            .iter()
            .all(|pair| (pair.first_port, pair.last_port) == (80, 80))
    );
    let review = CheckOptions {
        newly_allowed_fails: true,
        ..CheckOptions::default()
    };
    assert_eq!(exit_code(Some(&report), &CheckOptions::default()), 0);
    assert_eq!(exit_code(Some(&report), &review), 1);
}

#[test]
fn a_pod_that_is_gone_is_judged_by_its_workload() {
    let mut world = World::new();
    let mut owners = inventory(&world.cluster);
    owners.workloads.push(workload(
        deployment("x", "idle"),
        "app=idle",
        "app=idle,role=job",
        &[],
    ));
    let gone = |name: &str, owner: Option<&str>| {
        EdgeEnd::Pod(PodEnd {
            namespace: "x".into(),
            name: name.into(),
            address: Some(address("10.1.1.77")),
            node: String::new(),
            workload: owner.map(|owner| deployment("x", owner)),
        })
    };
    let mut set = EdgeSet::default();
    let server = EdgeEnd::Pod(pod_end(world.pod_mut("x", "a"), &owners));
    seen(&mut set, gone("b-1", Some("b")), server.clone(), 6, 80);
    seen(&mut set, gone("c-1", Some("c")), server.clone(), 6, 80);
    seen(&mut set, gone("idle-1", Some("idle")), server.clone(), 6, 80);
    seen(&mut set, gone("stranger", None), server.clone(), 6, 80);
    seen(&mut set, gone("done", None), server, 6, 80);
    let change = on_a(
        "ingress: [{from: [{podSelector: {matchLabels: {app: b}}}, {podSelector: {matchLabels: {role: job}}}, {podSelector: {matchLabels: {app: done}}}]}]",
    );
    let report = replayed(&world, &owners, &set, &change);
    let denied: Vec<_> = report
        .newly_denied
        .iter()
        .map(|denied| set.at(denied.edge.client).to_string())
        .collect();
    assert_eq!(denied, ["x/deployment/c"]);
    assert!(report.newly_denied[0].is_stand_in);
    assert_eq!(report.stand_ins.edges, 3);
    assert_eq!(
        report.unknown[&Reason::Identity].edges,
        1,
        "nobody knows whose pod it was"
    );
    assert_eq!(report.unchanged.edges, 3);
}

#[test]
fn pods_of_one_workload_that_differ_must_agree() {
    let mut world = World::new();
    for (name, role) in [("w-1", "role=leader"), ("w-2", "")] {
        let mut pod = pod(
            "x",
            name,
            "n1",
            &[&format!("10.1.1.{}", 20 + name.len() + role.len())],
        );
        pod.labels = labels(&format!("app=w,{role}"));
        world.cluster.pods.push(pod);
    }
    let mut owners = Inventory::default();
    owners
        .workloads
        .push(workload(deployment("x", "w"), "app=w", "app=w", &["w-1", "w-2"]));
    let mut set = EdgeSet::default();
    let any = EdgeEnd::Pod(PodEnd {
        namespace: "x".into(),
        name: String::new(),
        address: None,
        node: String::new(),
        workload: Some(deployment("x", "w")),
    });
    let server = EdgeEnd::Pod(pod_end(world.pod_mut("x", "a"), &owners));
    seen(&mut set, any, server, 6, 80);
    let leader = on_a("ingress: [{from: [{podSelector: {matchLabels: {role: leader}}}]}]");
    let report = replayed(&world, &owners, &set, &leader);
    assert_eq!(report.unknown[&Reason::Identity].edges, 1);
    let both = on_a("ingress: [{from: [{podSelector: {matchLabels: {app: w}}}]}]");
    assert_eq!(replayed(&world, &owners, &set, &both).unchanged.edges, 1);
    assert_eq!(replayed(&world, &owners, &set, &both).stand_ins.edges, 0);
}

#[test]
fn labels_of_workloads_and_namespaces_can_be_changed() {
    let mut world = World::new();
    world.add(&network_policy(
        "p",
        "{matchLabels: {app: a}}",
        "ingress: [{from: [{podSelector: {matchLabels: {app: b}}}, {namespaceSelector: {matchLabels: {team: blue}}}]}]",
    ));
    let owners = inventory(&world.cluster);
    let seen = edges(
        &world,
        &owners,
        &[("x/b", "x/a", "tcp/80"), ("z/a", "x/a", "tcp/80")],
    );
    let set = |target: LabelTarget, key: &str, value: &str| LabelChange {
        target,
        key: key.into(),
        value: Some(value.into()),
    };
    let change = Change {
        labels: vec![
            set(LabelTarget::Workload(deployment("x", "b")), "app", "other"),
            set(LabelTarget::Namespace("z".into()), "team", "blue"),
        ],
        ..Change::default()
    };
    let report = replayed(&world, &owners, &seen, &change);
    let [denied] = report.newly_denied.as_slice() else {
        panic!("{report:?}");
    };
    assert_eq!(seen.at(denied.edge.client).to_string(), "x/deployment/b");
    assert_eq!(
        seen.at(report.newly_allowed[0].edge.client).to_string(),
        "z/deployment/a"
    );
}

#[test]
fn a_call_to_a_service_is_judged_at_its_backends_and_their_port() {
    let world = World::new();
    let mut owners = inventory(&world.cluster);
    let backend = |name: &str, address_of: &str, port: u16| Backend {
        pod: Some(("x".into(), name.into())),
        address: address(address_of),
        port,
    };
    owners.services.push(Service {
        namespace: "x".into(),
        name: "web".into(),
        ports: vec![ServicePort {
            protocol: Protocol::Tcp,
            port: 80,
            // a named target port: another number in each pod
            backends: vec![backend("a", "10.1.1.1", 8080), backend("b", "10.1.1.2", 9090)],
        }],
    });
    let mut set = EdgeSet::default();
    let client = edge_end(&world.end("x/c"), &world.cluster, &owners);
    let service = EdgeEnd::Service {
        namespace: "x".into(),
        name: "web".into(),
    };
    seen(&mut set, client, service, 6, 80);
    let change = |pods: &str, ports: &str| Change {
        policies: policies(&network_policy(
            "new",
            pods,
            &format!("ingress: [{{ports: [{ports}]}}]"),
        )),
        ..Change::default()
    };
    let report = replayed(&world, &owners, &set, &change("{}", "{port: 8080}, {port: 9090}"));
    assert_eq!(report.unchanged.edges, 1, "the target port counts");
    let report = replayed(&world, &owners, &set, &change("{}", "{port: 80}"));
    assert_eq!(report.newly_denied.len(), 1, "the Service's port does not");
    let report = replayed(
        &world,
        &owners,
        &set,
        &change("{matchLabels: {app: a}}", "{port: 1}"),
    );
    assert_eq!(
        report.unknown[&Reason::Backend].edges,
        1,
        "backends that disagree"
    );
}

#[test]
fn an_edge_across_a_change_needs_both_versions() {
    let world = World::new();
    let closed = World::new().on_a("old", "ingress: []");
    let owners = inventory(&world.cluster);
    let mut set = EdgeSet::default();
    let mut edge = see(&mut set, &world, &owners, "x/b", "x/a", "tcp/80");
    let ends = set.clone();
    let mut at = |first: u64, last: u64| {
        (edge.first, edge.last) = (first, last);
        let mut set = EdgeSet::default();
        ends.ends().iter().for_each(|end| {
            set.end(end.clone());
        });
        set.push(edge);
        let version = |since, world: &World| ClusterVersion {
            since,
            cluster: world.cluster.clone(),
        };
        replay(ReplayInput {
            edges: &set,
            inventory: &owners,
            before: vec![version(0, &world), version(JUNE, &closed)],
            change: &on_a("ingress: [{}]"),
            profile: world.profile,
        })
    };
    assert_eq!(at(JUNE - DAY, JUNE - 1).unchanged.edges, 1);
    assert_eq!(at(JUNE - DAY, JUNE + DAY).unknown[&Reason::Changed].edges, 1);
    assert_eq!(
        at(JUNE + SETTLE - 1, JUNE + DAY).unknown[&Reason::Changed].edges,
        1
    );
    assert_eq!(at(JUNE + SETTLE, JUNE + DAY).newly_allowed.len(), 1);
}

/// What all versions say together that may have been in force within an edge's time.
fn at_the_time(versions: &[ClusterVersion], edge: &Edge, judge: impl Fn(&Cluster) -> Answer) -> Answer {
    let is_over = |at: usize| {
        let next = versions.get(at + 1);
        next.is_some_and(|next| next.since + SETTLE <= edge.first)
    };
    let may_count = |at: &usize| !is_over(*at) && (*at == 0 || versions[*at].since <= edge.last);
    let mut answers = (0..versions.len())
        .filter(may_count)
        .map(|at| judge(&versions[at].cluster));
    let first = answers.next().unwrap();
    match answers.all(|answer| answer == first) {
        true => first,
        false => Answer::Unknown,
    }
}

#[test]
fn in_a_random_history_each_edge_is_judged_by_the_policies_of_its_time() {
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..60 {
        let mut random = Random(9_000 + seed);
        let profile = random.profile();
        let mut versions = vec![ClusterVersion {
            since: JUNE,
            cluster: random.cluster(6),
        }];
        for _ in 0..1 + random.below(4) {
            let last = versions.last().unwrap();
            let change = random_change(&mut random, &last.cluster);
            versions.push(ClusterVersion {
                since: last.since + SETTLE / 2 + random.below(DAY as usize) as u64,
                cluster: changed(&last.cluster, &change),
            });
        }
        let newest = &versions.last().unwrap().cluster;
        let change = random_change(&mut random, newest);
        let (none, mut set) = (Inventory::default(), EdgeSet::default());
        let mut expected = BTreeMap::new();
        for _ in 0..40 {
            let call = plain_call(&mut random, newest);
            if call.protocol == 58 && (133..=137).contains(&(call.port >> 8)) {
                continue;
            }
            let [client, server] = [&call.client, &call.server].map(|end| edge_end(end, newest, &none));
            let first = JUNE - DAY + random.below(5 * DAY as usize) as u64;
            let edge = Edge {
                client: set.end(client),
                server: set.end(server),
                protocol: call.protocol,
                port: call.port,
                flows: 1,
                bytes: 1,
                first,
                last: first + random.below(DAY as usize / 4) as u64,
                strength: Strength::Proven,
                answered: true,
            };
            if expected.contains_key(&key(&edge)) {
                continue;
            }
            set.push(edge);
            let judge = |cluster: &Cluster| naive::together(&naive::judge(cluster, &profile, &call));
            let before = at_the_time(&versions, &edge, judge);
            let after = at_the_time(&versions, &edge, |cluster| judge(&changed(cluster, &change)));
            let class = match (before, after) {
                (Answer::Unknown, _) | (_, Answer::Unknown) => "unknown",
                (Answer::Allow, Answer::Deny) => "denied",
                (Answer::Deny, Answer::Allow) => "allowed",
                _ => "unchanged",
            };
            expected.insert(key(&edge), class);
            *classes.entry(class).or_default() += 1;
        }
        let report = replay(ReplayInput {
            edges: &set,
            inventory: &none,
            before: versions,
            change: &change,
            profile,
        });
        let mut told: BTreeMap<_, _> = expected.keys().map(|key| (*key, "unchanged")).collect();
        told.extend(report.newly_denied.iter().map(|one| (key(&one.edge), "denied")));
        told.extend(report.newly_allowed.iter().map(|one| (key(&one.edge), "allowed")));
        told.extend(report.unknown_edges.iter().map(|one| (key(&one.edge), "unknown")));
        assert_eq!(told, expected, "seed {seed}");
    }
    for class in ["unknown", "denied", "allowed", "unchanged"] {
        assert!(classes.get(class).is_some_and(|count| *count > 20), "{classes:?}");
    }
}

#[test]
fn where_nothing_tells_who_called_there_is_an_answer_only_without_policies() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let mut set = EdgeSet::default();
    let mut edge = see(&mut set, &world, &owners, "x/b", "x/a", "tcp/80");
    edge.strength = Strength::Unknown;
    let mut weak = EdgeSet::default();
    set.ends().iter().for_each(|end| {
        weak.end(end.clone());
    });
    weak.push(edge);
    assert_eq!(
        replayed(&world, &owners, &weak, &Change::default())
            .unchanged
            .edges,
        1
    );
    let report = replayed(&world, &owners, &weak, &on_a("ingress: [{}]"));
    assert_eq!(report.unknown[&Reason::Direction].edges, 1);
}

#[test]
fn a_policy_for_ingress_alone_denies_no_egress() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let seen = edges(
        &world,
        &owners,
        &[
            ("x/a", "x/b", "tcp/80"),
            ("x/a", "203.0.113.1", "tcp/443"),
            ("x/a", "y/a", "udp/53"),
        ],
    );
    let report = replayed(&world, &owners, &seen, &on_a("ingress: []"));
    assert_eq!((report.newly_denied.len(), report.unchanged.edges), (0, 3));
}

#[test]
fn a_change_in_one_namespace_leaves_others_alone() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let seen = edges(
        &world,
        &owners,
        &[("y/b", "y/a", "tcp/80"), ("z/b", "z/a", "tcp/80")],
    );
    let report = replayed(&world, &owners, &seen, &on_a("ingress: []\negress: []"));
    assert_eq!(report.unchanged.edges, 2);
    assert_eq!(report.opens.pairs, 0);
}

#[test]
fn ends_whose_policies_have_no_port_in_common_are_denied() {
    let world = World::new();
    let owners = inventory(&world.cluster);
    let seen = edges(
        &world,
        &owners,
        &[("x/a", "x/b", "tcp/80"), ("x/a", "x/b", "tcp/81")],
    );
    let mut change = on_a("policyTypes: [Egress]\negress: [{ports: [{port: 80}]}]");
    change.policies.extend(policies(&network_policy(
        "server",
        "{matchLabels: {app: b}}",
        "ingress: [{ports: [{port: 81}]}]",
    )));
    let report = replayed(&world, &owners, &seen, &change);
    let sides: BTreeMap<u16, Direction> = report
        .newly_denied
        .iter()
        .map(|denied| (denied.edge.port, denied.side))
        .collect();
    assert_eq!(
        sides,
        BTreeMap::from([(80, Direction::Ingress), (81, Direction::Egress)])
    );
}

#[test]
fn a_port_that_is_opened_by_its_name_is_told() {
    let world = World::new().on_a("old", "policyTypes: [Ingress]");
    let change = on_a("ingress: [{from: [{podSelector: {matchLabels: {app: b}}}], ports: [{port: http}]}]");
    let opens = replayed(&world, &Inventory::default(), &EdgeSet::default(), &change).opens;
    let mut ports: Vec<u16> = opens.listed.iter().map(|opened| opened.first_port).collect();
    ports.dedup();
    assert_eq!(ports, [8080], "{opens:?}");
}
