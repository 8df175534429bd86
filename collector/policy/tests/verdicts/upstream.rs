//! What Kubernetes' own end-to-end tests expect of network plugins (upstream.txt), asked of both
//! evaluators. A pod's call to itself is left out, as it is there.

use weir_policy::facts::PROTOCOLS;
use weir_policy::{Answer, Engine, Namespace, Policy};

use crate::random::put;
use crate::world::{World, compare, labels, network_policy, port};

const TABLE: &str = include_str!("upstream.txt");

const PODS: [&str; 9] = ["x/a", "x/b", "x/c", "y/a", "y/b", "y/c", "z/a", "z/b", "z/c"];

fn world() -> World {
    let mut world = World::new();
    world
        .cluster
        .pods
        .retain(|pod| PODS.contains(&format!("{}/{}", pod.namespace, pod.name).as_str()));
    for pod in &mut world.cluster.pods {
        pod.labels = labels(&format!("pod={}", pod.name));
        let ports = PROTOCOLS.into_iter().flat_map(|protocol| {
            let word = protocol.name().to_lowercase();
            [80, 81].map(|number| port(&format!("serve-{number}-{word}"), protocol, number))
        });
        pod.ports = ports.collect();
    }
    for namespace in &mut world.cluster.namespaces {
        *namespace = Namespace::new(&namespace.name, labels(&format!("ns={}", namespace.name)));
    }
    world
}

fn set_label(world: &mut World, whose: &str, key: &str, value: &str) {
    let labels = match whose.split_once('/') {
        Some((namespace, name)) => &mut world.pod_mut(namespace, name).labels,
        None => {
            let mut namespaces = world.cluster.namespaces.iter_mut();
            &mut namespaces
                .find(|namespace| namespace.name == whose)
                .unwrap()
                .labels
        }
    };
    labels.insert(key.to_owned(), value.to_owned());
}

fn put_policy(world: &mut World, namespace: &str, name: &str, spec: &str) {
    let yaml = network_policy(name, "{}", "x: y");
    let head = yaml.split("spec:").next().unwrap();
    let head = head.replace("namespace: x", &format!("namespace: {namespace:?}"));
    let mut read = World::new();
    read.add(&format!("{head}spec: {spec}\n"));
    put(
        &mut world.cluster.policies,
        read.cluster.policies.remove(0),
        Policy::key,
    );
}

/// `*`, `x/*` or `x/a`.
fn fits(pattern: &str, pod: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == pod, |start| pod.starts_with(start))
}

/// All pairs at one port against `no * x/*, yes x/b x/a`.
fn check(world: &World, case: &str, port: &str, expected: &str) -> usize {
    let expected: Vec<[&str; 3]> = expected
        .split(", ")
        .filter(|part| !part.is_empty())
        .map(|part| part.split(' ').collect::<Vec<_>>().try_into().unwrap())
        .collect();
    let engine = Engine::compile(world.profile, world.cluster.clone());
    let pairs = PODS
        .iter()
        .flat_map(|client| PODS.iter().map(move |server| (client, server)));
    let mut asked = 0;
    for (client, server) in pairs.filter(|(client, server)| client != server) {
        let last = expected
            .iter()
            .rfind(|[_, from, to]| fits(from, client) && fits(to, server));
        let allowed = last.is_none_or(|[word, ..]| *word == "yes");
        let said = compare(&engine, &world.cluster, &world.call(client, server, port)).answer;
        let wanted = if allowed { Answer::Allow } else { Answer::Deny };
        assert_eq!(said, wanted, "{case}: {client} -> {server} {port}");
        asked += 1;
    }
    asked
}

#[test]
fn what_the_tests_of_kubernetes_expect_is_what_is_said() {
    let (mut case, mut cases, mut asked) = ("", 0, 0);
    let mut world = world();
    for line in TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (first, rest.split_once(' '), rest.split_once('=')) {
            ("=", ..) => {
                (case, world) = (rest, self::world());
                cases += 1;
            }
            ("none", ..) => world.cluster.policies.clear(),
            ("?", Some((port, expected)), _) => asked += check(&world, case, port, expected),
            ("?", None, _) => asked += check(&world, case, rest, ""),
            (namespace, Some((name, spec)), _) => put_policy(&mut world, namespace, name, spec),
            (whose, None, Some((key, value))) => set_label(&mut world, whose, key, value),
            _ => panic!("{line}"),
        }
    }
    assert_eq!((cases, asked), (48, 72 * TABLE.matches("\n? ").count()));
}
