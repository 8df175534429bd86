//! Changes one by one come to the same as a compile from nothing.

use weir_policy::{Cluster, Engine, Namespace, Policy};

use crate::random::{Random, put};
use crate::world::compare;

/// One random change, to the engine and to the list of objects.
fn change(random: &mut Random, engine: &mut Engine, cluster: &mut Cluster) {
    match random.below(10) {
        0..=2 => {
            let policy = random.policy();
            put(&mut cluster.policies, policy.clone(), Policy::key);
            engine.set_policy(policy);
        }
        3 | 4 if !cluster.policies.is_empty() => {
            let policy = cluster.policies.swap_remove(random.below(cluster.policies.len()));
            engine.remove_policy(&policy.key());
        }
        5 | 6 => {
            let pod = random.pod(cluster);
            put(&mut cluster.pods, pod.clone(), |pod| {
                (pod.namespace.clone(), pod.name.clone())
            });
            engine.set_pod(pod);
        }
        7 if cluster.pods.len() > 2 => {
            let pod = cluster.pods.swap_remove(random.below(cluster.pods.len()));
            engine.remove_pod(&pod.namespace, &pod.name);
        }
        8 => {
            let namespace = random.namespace();
            put(
                &mut cluster.namespaces,
                namespace.clone(),
                |namespace: &Namespace| namespace.name.clone(),
            );
            engine.set_namespace(namespace);
        }
        _ => {
            let node = random.node();
            put(&mut cluster.nodes, node.clone(), |node| node.name.clone());
            engine.set_node(node);
        }
    }
}

#[test]
fn incremental_equals_from_scratch() {
    for seed in 0..25 {
        let mut random = Random(1_000 + seed);
        let mut cluster = Cluster::default();
        let mut engine = Engine::new(random.profile());
        for step in 0..200 {
            change(&mut random, &mut engine, &mut cluster);
            if step % 10 != 9 || cluster.pods.is_empty() {
                continue;
            }
            let scratch = Engine::compile(*engine.snapshot().profile(), cluster.clone());
            for _ in 0..10 {
                let call = random.call(&cluster);
                let one = compare(&engine, &cluster, &call);
                let other = compare(&scratch, &cluster, &call);
                assert_eq!(one.answer, other.answer, "seed {seed}, step {step}: {call:?}");
                assert_eq!((one.egress, one.ingress), (other.egress, other.ingress));
                assert_eq!(one.notes, other.notes, "seed {seed}, step {step}: {call:?}");
            }
        }
    }
}

#[test]
fn a_reader_keeps_what_it_holds_through_changes() {
    let mut random = Random(7);
    for _ in 0..20 {
        let cluster = random.cluster(6);
        let mut engine = Engine::compile(random.profile(), cluster.clone());
        let held = engine.snapshot();
        let calls: Vec<_> = (0..40).map(|_| random.call(&cluster)).collect();
        let ends: Vec<_> = calls
            .iter()
            .map(|call| [&call.client, &call.server].map(|end| crate::world::endpoint(&engine, &held, end)))
            .collect();
        let ask = |calls: &[crate::naive::Call]| -> Vec<_> {
            let connection =
                |(call, [client, server]): (&crate::naive::Call, &[weir_policy::Endpoint; 2])| {
                    held.evaluate(&weir_policy::Connection::new(
                        *client,
                        *server,
                        call.protocol,
                        call.port,
                    ))
                };
            calls.iter().zip(&ends).map(connection).collect()
        };
        let before = ask(&calls);
        let mut changed = cluster;
        (0..30).for_each(|_| change(&mut random, &mut engine, &mut changed));
        assert_eq!(ask(&calls), before);
        assert_ne!(engine.snapshot().generation(), held.generation());
    }
}

#[test]
fn an_endpoint_of_another_epoch_is_unknown() {
    let world = crate::world::World::new().on_a("p", "policyTypes: [Ingress]");
    let mut engine = world.engine();
    let before = engine.snapshot();
    let [b, a] = ["x/b", "x/a"].map(|end| crate::world::endpoint(&engine, &before, &world.end(end)));
    engine.rebuild();
    let verdict = engine
        .snapshot()
        .evaluate(&weir_policy::Connection::new(b, a, 6, 80));
    assert_eq!(
        (verdict.answer, verdict.reason),
        (weir_policy::Answer::Unknown, weir_policy::Reason::Identity)
    );
    assert_eq!(
        before.evaluate(&weir_policy::Connection::new(b, a, 6, 80)).answer,
        weir_policy::Answer::Deny
    );
}

#[test]
fn a_memory_gives_the_same_verdicts_and_forgets_with_the_snapshot() {
    for seed in 0..15 {
        let mut random = Random(5_000 + seed);
        let mut cluster = random.cluster(8);
        let mut engine = Engine::compile(random.profile(), cluster.clone());
        let mut memo = weir_policy::Memo::new(engine.snapshot());
        for _ in 0..8 {
            change(&mut random, &mut engine, &mut cluster);
            memo.follow(engine.snapshot());
            let snapshot = engine.snapshot();
            for _ in 0..150 {
                let call = random.call(&cluster);
                let [client, server] =
                    [&call.client, &call.server].map(|end| crate::world::endpoint(&engine, &snapshot, end));
                let connection = weir_policy::Connection {
                    through_service: call.through_service,
                    ..weir_policy::Connection::new(client, server, call.protocol, call.port)
                };
                assert_eq!(
                    memo.evaluate(&connection),
                    snapshot.evaluate(&connection),
                    "seed {seed}: {call:?}"
                );
                assert_eq!(
                    memo.evaluate(&connection),
                    snapshot.evaluate(&connection),
                    "remembered: {call:?}"
                );
            }
        }
    }
}
