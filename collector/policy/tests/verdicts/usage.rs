//! Policies beside traffic: what is covered, unused, superfluous and wide.

use std::collections::{BTreeMap, BTreeSet};

use weir_policy::edges::EdgeSet;
use weir_policy::inventory::Inventory;
use weir_policy::usage::{
    Isolation, RuleUse, UsageInput, coverage, miss_probability, rule_usage, unused, wide,
};
use weir_policy::{Cluster, Direction, Policy, PolicyKey, Profile, Protocol, Reason};

use crate::naive::{self, Call};
use crate::random::Random;
use crate::traffic::{JUNE, edge_end, edges, inventory, seen};
use crate::world::{World, network_policy};

fn used(cluster: &Cluster, inventory: &Inventory, edges: &EdgeSet, profile: Profile) -> Vec<RuleUse> {
    rule_usage(UsageInput {
        edges,
        inventory,
        cluster: cluster.clone(),
        profile,
    })
}

/// A world of NetworkPolicies with types given, so that a rule more or less isolates nobody.
fn world(random: &mut Random) -> Cluster {
    let mut cluster = random.cluster(8);
    cluster
        .policies
        .retain(|policy| matches!(policy, Policy::Network(_)));
    for policy in &mut cluster.policies {
        if let Policy::Network(policy) = policy {
            let types = [Direction::Ingress, Direction::Egress].into_iter();
            policy.types = types.filter(|direction| policy.isolates(*direction)).collect();
        }
    }
    cluster
}

/// Without these rules; others keep their order.
fn without(cluster: &Cluster, gone: &BTreeSet<(PolicyKey, Direction, u16)>) -> Cluster {
    let mut cluster = cluster.clone();
    for policy in &mut cluster.policies {
        let key = policy.key();
        if let Policy::Network(policy) = policy {
            for (direction, rules) in [
                (Direction::Ingress, &mut policy.ingress),
                (Direction::Egress, &mut policy.egress),
            ] {
                let mut index = 0;
                rules.retain(|_| {
                    index += 1;
                    !gone.contains(&(key.clone(), direction, index - 1))
                });
            }
        }
    }
    cluster
}

fn keys<'u>(rules: impl Iterator<Item = &'u RuleUse>) -> BTreeSet<(PolicyKey, Direction, u16)> {
    rules
        .map(|rule| {
            (
                rule.rule.policy.clone(),
                rule.rule.direction,
                rule.rule.index.unwrap(),
            )
        })
        .collect()
}

fn calls(random: &mut Random, cluster: &Cluster, count: usize) -> Vec<Call> {
    let call = |_| Call {
        through_service: false,
        domains: None,
        ..random.call(cluster)
    };
    (0..count).map(call).collect()
}

#[test]
fn a_rule_that_decides_was_hit_and_without_those_that_were_not_nothing_changes() {
    let (mut deciding, mut idle) = (0, 0);
    for seed in 0..80 {
        let mut random = Random(31_000 + seed);
        let profile = random.profile();
        let cluster = world(&mut random);
        let calls = calls(&mut random, &cluster, 40);
        let (none, mut set) = (Inventory::default(), EdgeSet::default());
        for call in &calls {
            let [client, server] = [&call.client, &call.server].map(|end| edge_end(end, &cluster, &none));
            seen(&mut set, client, server, call.protocol, call.port);
        }
        let usage = used(&cluster, &none, &set, profile);
        let hit = keys(usage.iter().filter(|rule| rule.hits.edges > 0));
        let not_hit = keys(usage.iter().filter(|rule| rule.hits.edges == 0));
        let fewer = without(&cluster, &not_hit);
        for call in &calls {
            let before = naive::judge(&cluster, &profile, call);
            for (opinion, direction) in before.iter().zip([Direction::Egress, Direction::Ingress]) {
                if let (Reason::Rule, Some((policy, Some(index)))) = (opinion.reason, &opinion.by) {
                    assert!(
                        hit.contains(&(policy.clone(), direction, *index as u16)),
                        "{seed} {opinion:?}"
                    );
                    deciding += 1;
                }
            }
            let after = naive::judge(&fewer, &profile, call);
            assert_eq!(
                naive::together(&before),
                naive::together(&after),
                "{seed} {call:?}"
            );
        }
        idle += not_hit.len();
    }
    assert!(deciding > 150 && idle > 200, "{deciding} {idle}");
}

#[test]
fn without_rules_that_another_makes_superfluous_nothing_changes_for_anybody() {
    let mut superfluous = 0;
    for seed in 0..120 {
        let mut random = Random(33_000 + seed);
        let profile = random.profile();
        let cluster = world(&mut random);
        let usage = used(&cluster, &Inventory::default(), &EdgeSet::default(), profile);
        let shadowed = keys(usage.iter().filter(|rule| rule.shadowed_by.is_some()));
        superfluous += shadowed.len();
        let fewer = without(&cluster, &shadowed);
        for call in calls(&mut random, &cluster, 60) {
            let [before, after] =
                [&cluster, &fewer].map(|cluster| naive::together(&naive::judge(cluster, &profile, &call)));
            assert_eq!(before, after, "{seed} {call:?} {shadowed:?}");
        }
    }
    assert!(superfluous > 30, "{superfluous}");
}

#[test]
fn a_rule_tells_its_hits_its_width_and_what_makes_it_superfluous() {
    let world = World::new().policy(&network_policy(
        "p",
        "{}",
        "ingress: [{from: [{podSelector: {}}], ports: [{port: 80}, {port: 81}]}, {from: [{podSelector: {matchLabels: {app: b}}}], ports: [{port: 81}]}, {from: [{podSelector: {matchLabels: {app: nobody}}}]}]",
    ));
    let owners = inventory(&world.cluster);
    let seen = edges(
        &world,
        &owners,
        &[
            ("x/b", "x/a", "tcp/80"),
            ("x/c", "x/a", "tcp/80"),
            ("x/b", "x/c", "tcp/80"),
        ],
    );
    let usage = used(&world.cluster, &owners, &seen, world.profile);
    let [wide_one, narrow, nobody] = usage.as_slice() else {
        panic!("{usage:?}");
    };
    assert_eq!((wide_one.hits.edges, wide_one.hits.flows), (3, 30));
    assert_eq!((wide_one.first, wide_one.subjects), (JUNE, 3));
    // a, b and c, each with both ports; b and c used one
    assert_eq!((wide_one.peers, wide_one.allowed, wide_one.used), (3, 6, 2));
    assert_eq!(wide_one.used_ports, BTreeSet::from([(Protocol::Tcp, 80)]));
    let peers: Vec<&String> = wide_one.used_peers.iter().collect();
    assert_eq!(peers, ["x/deployment/b", "x/deployment/c"]);
    assert_eq!(narrow.shadowed_by.as_ref().unwrap().index, Some(0));
    assert_eq!((nobody.peers, nobody.hits.edges), (0, 0));
    let names = |rules: Vec<&RuleUse>| {
        rules
            .iter()
            .map(|rule| rule.rule.index.unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(unused(&usage)), [1, 2]);
    assert_eq!(names(wide(&usage)), [0]);
}

#[test]
fn a_named_port_that_a_profile_widens_counts_with_what_it_opens() {
    let policy = network_policy(
        "p",
        "{matchLabels: {app: a}}",
        "ingress: [{from: [{podSelector: {}}], ports: [{port: http}]}]",
    );
    let allowed = |cni| {
        let world = World::with(cni).policy(&policy);
        let owners = inventory(&world.cluster);
        let seen = edges(&world, &owners, &[("x/b", "x/a", "tcp/8080")]);
        let usage = used(&world.cluster, &owners, &seen, world.profile);
        (usage[0].allowed, usage[0].used)
    };
    let (exact, used_exactly) = allowed(weir_policy::Cni::Spec);
    let (widened, used_widened) = allowed(weir_policy::Cni::OvnKubernetes);
    assert_eq!((used_exactly, used_widened), (1, 1));
    // 8080 and 9090 by that name; the whole of TCP, cut at the port that was used
    assert!(widened > exact, "{widened} {exact}");
}

#[test]
fn coverage_tells_isolation_and_by_what_connections_pass() {
    let world = World::new().on_a("p", "ingress: [{ports: [{port: 80}]}]");
    let owners = inventory(&world.cluster);
    let seen = edges(
        &world,
        &owners,
        &[
            ("x/b", "x/a", "tcp/80"),
            ("x/b", "x/a", "tcp/81"),
            ("x/a", "x/b", "tcp/80"),
            ("node:n1", "x/a", "tcp/99"),
            ("x/c", "x/a", "icmp/2048"),
        ],
    );
    let report = coverage(UsageInput {
        edges: &seen,
        inventory: &owners,
        cluster: world.cluster.clone(),
        profile: world.profile,
    });
    let by_name: BTreeMap<&str, _> = report
        .workloads
        .iter()
        .map(|one| (one.name.as_str(), one))
        .collect();
    let a = by_name["x/deployment/a"];
    let counts = |side: &weir_policy::usage::SideTraffic| {
        [
            side.by_rule,
            side.by_default,
            side.exempt,
            side.denied,
            side.unknown,
        ]
        .map(|tally| tally.edges)
    };
    assert_eq!(counts(&a.ingress), [1, 0, 1, 1, 1]);
    assert_eq!(counts(&a.egress), [0, 1, 0, 0, 0]);
    assert_eq!(a.ingress.isolation, Isolation { isolated: 1, pods: 1 });
    assert_eq!(a.egress.isolation, Isolation { isolated: 0, pods: 1 });
    assert!(a.is_uncovered());
    assert_eq!((a.ingress.newest, a.ingress.smallest), (JUNE, 10));
    let x = report.namespaces.iter().find(|one| one.name == "x").unwrap();
    assert_eq!(x.ingress.isolation, Isolation { isolated: 1, pods: 3 });
    assert_eq!(counts(&x.ingress), [1, 1, 1, 1, 1]);
}

#[test]
fn what_sampling_misses_is_told() {
    assert_eq!(miss_probability(100, 1), 0.0);
    assert_eq!((miss_probability(100, 400) * 100.0).round(), 78.0);
}

#[test]
fn a_rule_with_a_named_port_is_superfluous_only_beside_one_that_allows_everything() {
    let shadowed = |first: &str| {
        let rules = format!("ingress: [{first}, {{from: [{{podSelector: {{}}}}], ports: [{{port: http}}]}}]");
        let world = World::new().on_a("p", &rules);
        let usage = used(
            &world.cluster,
            &Inventory::default(),
            &EdgeSet::default(),
            world.profile,
        );
        usage[1].shadowed_by.is_some()
    };
    assert!(!shadowed("{from: [{podSelector: {}}], ports: [{port: 80}]}"));
    assert!(!shadowed("{ports: [{port: 80}]}"));
    assert!(shadowed("{}"));
}
