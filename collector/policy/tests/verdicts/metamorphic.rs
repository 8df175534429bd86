//! Changes of policies that must not, or only in one way, change the verdicts.

use ipnet::IpNet;
use weir_policy::policy::{IpBlock, NetworkPeer, NetworkPolicy, NetworkPort, PortMatch};
use weir_policy::{Answer, Cluster, Connection, Engine, Policy, Profile};

use crate::naive::{Call, End};
use crate::random::Random;
use crate::world::{compare, endpoint};

/// A world, the connections to ask about, and their answers.
struct Before {
    random: Random,
    profile: Profile,
    cluster: Cluster,
    calls: Vec<Call>,
    answers: Vec<Answer>,
}

fn answers(profile: Profile, cluster: &Cluster, calls: &[Call]) -> Vec<Answer> {
    let engine = Engine::compile(profile, cluster.clone());
    calls
        .iter()
        .map(|call| compare(&engine, cluster, call).answer)
        .collect()
}

fn worlds(seed: u64) -> impl Iterator<Item = Before> {
    (0..60).map(move |n| {
        let mut random = Random(seed * 1_000 + n);
        let profile = random.profile();
        let cluster = random.cluster(6);
        let calls: Vec<Call> = (0..40).map(|_| random.call(&cluster)).collect();
        let answers = answers(profile, &cluster, &calls);
        Before {
            random,
            profile,
            cluster,
            calls,
            answers,
        }
    })
}

fn network_policies(cluster: &mut Cluster) -> impl Iterator<Item = &mut NetworkPolicy> {
    cluster.policies.iter_mut().filter_map(|policy| match policy {
        Policy::Network(policy) => Some(policy),
        _ => None,
    })
}

/// Asserts that the answers are the same after a change of the cluster.
fn unchanged(before: Before, cluster: &Cluster) {
    assert_eq!(answers(before.profile, cluster, &before.calls), before.answers);
}

#[test]
fn one_more_rule_of_a_network_policy_never_denies() {
    let mut opened = 0;
    for mut before in worlds(1) {
        let mut cluster = before.cluster.clone();
        for policy in network_policies(&mut cluster) {
            // types that are given: a rule more isolates in no further direction
            policy.types = [weir_policy::Direction::Ingress, weir_policy::Direction::Egress]
                .into_iter()
                .filter(|direction| policy.isolates(*direction))
                .collect();
            policy.ingress.push(before.random.network_rule());
            policy.egress.push(before.random.network_rule());
        }
        let after = answers(before.profile, &cluster, &before.calls);
        for ((call, before), after) in before.calls.iter().zip(&before.answers).zip(after) {
            assert!(!(*before == Answer::Allow && after == Answer::Deny), "{call:?}");
            opened += usize::from(*before == Answer::Deny && after == Answer::Allow);
        }
    }
    assert!(opened > 0);
}

#[test]
fn the_order_of_policies_and_of_rules_of_network_policies_does_not_matter() {
    for mut before in worlds(2) {
        let mut cluster = before.cluster.clone();
        before.random.shuffle(&mut cluster.policies);
        before.random.shuffle(&mut cluster.pods);
        for policy in network_policies(&mut cluster) {
            before.random.shuffle(&mut policy.ingress);
            before.random.shuffle(&mut policy.egress);
        }
        unchanged(before, &cluster);
    }
}

#[test]
fn a_policy_twice_under_two_names_changes_nothing() {
    for before in worlds(3) {
        let mut cluster = before.cluster.clone();
        let mut twins: Vec<Policy> = cluster.policies.clone();
        for policy in &mut twins {
            match policy {
                Policy::Network(policy) => policy.name.push_str("-twin"),
                Policy::Cluster(policy) => policy.name.push_str("-twin"),
                Policy::Foreign(policy) => policy.name.push_str("-twin"),
            }
        }
        cluster.policies.extend(twins);
        unchanged(before, &cluster);
    }
}

#[test]
fn names_of_policies_do_not_matter() {
    for before in worlds(4) {
        let mut cluster = before.cluster.clone();
        let count = cluster.policies.len();
        for (n, policy) in cluster.policies.iter_mut().enumerate() {
            let name = format!("renamed-{}", count - n);
            match policy {
                Policy::Network(policy) => policy.name = name,
                Policy::Cluster(policy) => policy.name = name,
                Policy::Foreign(policy) => policy.name = name,
            }
        }
        unchanged(before, &cluster);
    }
}

fn halves(block: &IpBlock) -> Vec<IpBlock> {
    let length = block.cidr.prefix_len() + 1;
    let Ok(halves) = block.cidr.subnets(length) else {
        return vec![block.clone()];
    };
    let within = |half: IpNet| IpBlock {
        cidr: half,
        except: block
            .except
            .iter()
            .filter(|except| half.contains(*except))
            .copied()
            .collect(),
    };
    halves
        .map(within)
        .filter(|half| !half.except.contains(&half.cidr))
        .collect()
}

#[test]
fn a_block_in_halves_changes_nothing() {
    for before in worlds(5) {
        let mut cluster = before.cluster.clone();
        for policy in network_policies(&mut cluster) {
            for rule in policy.ingress.iter_mut().chain(&mut policy.egress) {
                let peers = std::mem::take(&mut rule.peers);
                rule.peers = peers
                    .into_iter()
                    .flat_map(|peer| match peer {
                        NetworkPeer::Block(block) => {
                            halves(&block).into_iter().map(NetworkPeer::Block).collect()
                        }
                        peer => vec![peer],
                    })
                    .collect();
            }
        }
        unchanged(before, &cluster);
    }
}

#[test]
fn a_range_of_ports_in_two_changes_nothing() {
    for before in worlds(6) {
        let mut cluster = before.cluster.clone();
        for policy in network_policies(&mut cluster) {
            for rule in policy.ingress.iter_mut().chain(&mut policy.egress) {
                let ports = std::mem::take(&mut rule.ports);
                rule.ports = ports
                    .into_iter()
                    .flat_map(|port| match port.port {
                        PortMatch::Range(first, last) if first < last => {
                            let middle = first + (last - first) / 2;
                            [
                                PortMatch::Range(first, middle),
                                PortMatch::Range(middle + 1, last),
                            ]
                            .map(|half| NetworkPort {
                                protocol: port.protocol,
                                port: half,
                            })
                            .to_vec()
                        }
                        _ => vec![port],
                    })
                    .collect();
            }
        }
        unchanged(before, &cluster);
    }
}

#[test]
fn a_network_policy_in_two_changes_nothing() {
    for before in worlds(7) {
        let mut cluster = before.cluster.clone();
        let mut others = Vec::new();
        for policy in network_policies(&mut cluster) {
            let types: Vec<_> = [weir_policy::Direction::Ingress, weir_policy::Direction::Egress]
                .into_iter()
                .filter(|direction| policy.isolates(*direction))
                .collect();
            policy.types = types;
            let mut other = policy.clone();
            other.name.push_str("-rest");
            let [ingress, egress] = [policy.ingress.len() / 2, policy.egress.len() / 2];
            other.ingress = policy.ingress.split_off(ingress);
            other.egress = policy.egress.split_off(egress);
            others.push(Policy::Network(other));
        }
        cluster.policies.extend(others);
        unchanged(before, &cluster);
    }
}

#[test]
fn namespaces_renamed_everywhere_change_nothing() {
    let renamed = |name: &str| {
        if name.contains("host") {
            name.to_owned()
        } else {
            format!("{name}-renamed")
        }
    };
    for before in worlds(8) {
        let mut cluster = before.cluster.clone();
        for namespace in &mut cluster.namespaces {
            *namespace = weir_policy::Namespace::new(&renamed(&namespace.name), namespace.labels.clone());
        }
        cluster
            .pods
            .iter_mut()
            .for_each(|pod| pod.namespace = renamed(&pod.namespace));
        for policy in &mut cluster.policies {
            match policy {
                Policy::Network(policy) => policy.namespace = renamed(&policy.namespace),
                Policy::Foreign(policy) => policy.namespace = renamed(&policy.namespace),
                Policy::Cluster(_) => {}
            }
        }
        let mut calls = before.calls.clone();
        for call in &mut calls {
            for end in [&mut call.client, &mut call.server] {
                if let End::Pod { namespace, .. } = end {
                    *namespace = renamed(namespace);
                }
            }
        }
        assert_eq!(answers(before.profile, &cluster, &calls), before.answers);
    }
}

#[test]
fn a_connection_seen_by_its_replies_has_the_same_verdict() {
    for before in worlds(9) {
        let engine = Engine::compile(before.profile, before.cluster.clone());
        let snapshot = engine.snapshot();
        for call in &before.calls {
            let [client, server] = [&call.client, &call.server].map(|end| endpoint(&engine, &snapshot, end));
            let forth = snapshot.evaluate(&Connection::new(client, server, call.protocol, call.port));
            let back = snapshot.evaluate(&Connection::of_reply(server, client, call.protocol, call.port));
            assert_eq!(forth, back);
        }
    }
}
