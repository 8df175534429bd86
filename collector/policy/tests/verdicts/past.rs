//! What comes later by the policies of before, and many ends in one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use weir_policy::{
    Answer, Cluster, Cni, Connection, Endpoint, Engine, Lookalikes, Pod, Profile, Reason, Snapshot,
};

use crate::random::{Random, put};

fn is_own(pod: &&Pod) -> bool {
    !pod.host_network && !pod.finished
}

fn pods(cluster: &Cluster) -> impl Iterator<Item = (&Pod, IpAddr)> {
    let own = cluster.pods.iter().filter(is_own);
    own.flat_map(|pod| pod.addresses.iter().map(move |address| (pod, *address)))
}

fn evaluated(snapshot: &Snapshot, client: Endpoint, server: Endpoint, port: u16) -> (Answer, Reason) {
    let verdict = snapshot.evaluate(&Connection::new(client, server, 6, port));
    (verdict.answer, verdict.reason)
}

fn key(pod: &Pod) -> (String, String) {
    (pod.namespace.clone(), pod.name.clone())
}

#[test]
fn what_comes_later_is_to_the_past_what_it_would_have_been() {
    for seed in 0..120 {
        let mut random = Random(7_000 + seed);
        let cni = *random.pick(&[Cni::Spec, Cni::OvnKubernetes, Cni::KubeOvn]);
        let mut cluster = random.cluster(8);
        let mut engine = Engine::compile(Profile::of(cni), cluster.clone());
        let before: Vec<(Pod, IpAddr, Endpoint)> = pods(&cluster)
            .filter_map(|(pod, address)| {
                Some((
                    pod.clone(),
                    address,
                    engine.pod(&pod.namespace, &pod.name, address)?,
                ))
            })
            .collect();
        let mut past = engine.past();
        // All that may change, changes.
        (0..3).for_each(|_| engine.set_policy(random.policy()));
        let namespace = random.namespace();
        engine.set_namespace(namespace.clone());
        let late = random.pod(&cluster);
        engine.set_pod(late.clone());
        if !is_own(&&late) {
            continue;
        }
        let mut added = String::new();
        if past.add_namespace(&namespace) {
            added.clone_from(&namespace.name);
            cluster.namespaces.push(namespace);
        }
        put(&mut cluster.pods, late.clone(), key);
        let scratch = Engine::compile(Profile::of(cni), cluster);
        for address in &late.addresses {
            let mut like = before.iter().filter(|(pod, ..)| key(pod) == key(&late));
            let like = like.next().map(|(.., endpoint)| *endpoint);
            let it = past.as_if(&late, *address, like.as_ref());
            let expected = scratch.pod(&late.namespace, &late.name, *address).unwrap();
            let (snapshot, of_scratch) = (past.snapshot(), scratch.snapshot());
            for (pod, other, known) in &before {
                if key(pod) == key(&late) {
                    continue;
                }
                // Those that were there keep what they were, new as their namespace may be.
                let Some(there) = scratch
                    .pod(&pod.namespace, &pod.name, *other)
                    .filter(|_| pod.namespace != added)
                else {
                    continue;
                };
                for port in [80, 443, 8080] {
                    assert_eq!(
                        evaluated(&snapshot, it, *known, port),
                        evaluated(&of_scratch, expected, there, port),
                        "{seed}"
                    );
                    assert_eq!(
                        evaluated(&snapshot, *known, it, port),
                        evaluated(&of_scratch, there, expected, port),
                        "{seed}"
                    );
                }
            }
        }
    }
}

#[test]
fn many_ends_in_one_are_judged_as_each_of_them() {
    for seed in 0..60 {
        let mut random = Random(9_000 + seed);
        let cluster = random.cluster(8);
        let engine = Engine::compile(random.profile(), cluster.clone());
        let snapshot = engine.snapshot();
        let mut ends: Vec<Endpoint> = pods(&cluster)
            .filter_map(|(pod, address)| engine.pod(&pod.namespace, &pod.name, address))
            .collect();
        let addresses = cluster.nodes.iter().flat_map(|node| {
            node.all_addresses()
                .into_iter()
                .map(move |address| (node, address))
        });
        ends.extend(addresses.map(|(node, address)| engine.node(&node.name, address)));
        ends.push(snapshot.outside([203, 0, 113, 9].into()));
        let classes = Lookalikes::of(ends.iter().map(|end| (*end, ())), ends.len()).unwrap();
        assert!(classes.len() <= ends.len());
        assert_eq!(
            Lookalikes::of(ends.iter().map(|end| (*end, ())), classes.len() - 1),
            None
        );
        for (other, port) in ends
            .iter()
            .flat_map(|other| [80, 443, 8080].map(|port| (other, port)))
        {
            for is_client in [false, true] {
                let call = |end: Endpoint| {
                    let (client, server) = if is_client { (*other, end) } else { (end, *other) };
                    let through_service = !is_client;
                    let connection = Connection {
                        through_service,
                        ..Connection::new(client, server, 6, port)
                    };
                    let verdict = snapshot.evaluate(&connection);
                    (verdict.answer.name(), verdict.reason.name())
                };
                let each: BTreeSet<_> = ends.iter().map(|end| call(*end)).collect();
                let together: BTreeSet<_> = classes
                    .iter()
                    .flat_map(|(alike, ())| alike.seen_by(other))
                    .map(call)
                    .collect();
                assert_eq!(each, together, "{seed} {other:?}");
            }
        }
    }
}
