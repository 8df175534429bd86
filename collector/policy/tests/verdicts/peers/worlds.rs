//! Random worlds as the peers take them, and all calls in them.

use serde_json::{Value, json};
use weir_policy::facts::PROTOCOLS;
use weir_policy::generate::object;
use weir_policy::policy::{
    DIRECTIONS, Direction, IpBlock, NetworkPeer, NetworkPolicy, NetworkRule, PortMatch,
};
use weir_policy::selector::Operator;
use weir_policy::{Cluster, Namespace, Pod, Policy, Selector};

use crate::naive::{Call, End};
use crate::random::{Random, put};
use crate::world::{pod, port};

const NAMESPACES: [&str; 3] = ["x", "y", "z"];
const PODS: [&str; 3] = ["p0", "p1", "p2"];
const OUTSIDE: [&str; 3] = ["203.0.113.1", "203.0.113.70", "8.8.8.8"];
const PORTS: [u16; 7] = [53, 80, 81, 82, 443, 8080, 65_535];

/// Three namespaces with three pods each, one to four NetworkPolicies that the API takes.
pub fn world(random: &mut Random) -> Cluster {
    let mut cluster = Cluster::default();
    for (n, namespace) in NAMESPACES.iter().enumerate() {
        cluster
            .namespaces
            .push(Namespace::new(namespace, random.labels()));
        for (p, name) in PODS.iter().enumerate() {
            let mut pod = pod(namespace, name, "n1", &[&format!("10.1.{n}.{p}")]);
            pod.labels = random.labels();
            for name in ["http", "dns", "db"] {
                if random.chance(40) {
                    let (protocol, number) = (*random.pick(&PROTOCOLS), *random.pick(&PORTS));
                    let is_taken = pod
                        .ports
                        .iter()
                        .any(|port| (port.protocol, port.number) == (protocol, number));
                    pod.ports
                        .extend((!is_taken).then(|| port(name, protocol, number)));
                }
            }
            cluster.pods.push(pod);
        }
    }
    let wanted = 1 + random.below(4);
    while cluster.policies.len() < wanted {
        if let Some(policy) = policy(random) {
            put(&mut cluster.policies, Policy::Network(policy), Policy::key);
        }
    }
    cluster
}

/// A policy that says in each field what it means, as the API server would take it.
pub fn policy(random: &mut Random) -> Option<NetworkPolicy> {
    let Policy::Network(mut policy) = random.network_policy() else {
        return None;
    };
    if !NAMESPACES.contains(&policy.namespace.as_str()) {
        return None;
    }
    policy.types = DIRECTIONS
        .into_iter()
        .filter(|direction| policy.isolates(*direction))
        .collect();
    tidy_selector(&mut policy.pods);
    for (direction, rules) in [
        (Direction::Ingress, &mut policy.ingress),
        (Direction::Egress, &mut policy.egress),
    ] {
        // the analyzer refuses rules that do not count
        rules.retain(|_| policy.types.contains(&direction));
        rules.iter_mut().for_each(tidy_rule);
    }
    Some(policy)
}

fn tidy_rule(rule: &mut NetworkRule) {
    rule.peers.retain(|peer| match peer {
        NetworkPeer::Unknown => false,
        NetworkPeer::Block(IpBlock { cidr, .. }) => cidr.addr().is_ipv4(),
        NetworkPeer::Pods { .. } => true,
    });
    for peer in &mut rule.peers {
        if let NetworkPeer::Pods { namespaces, pods } = peer {
            namespaces.iter_mut().chain(pods).for_each(tidy_selector);
        }
    }
    for port in &mut rule.ports {
        if let PortMatch::Range(first, last) = &mut port.port
            && *first > *last
        {
            std::mem::swap(first, last);
        }
    }
}

/// One value of a requirement is written as a label.
fn tidy_selector(selector: &mut Selector) {
    let Selector::Requirements(all) = selector else {
        *selector = Selector::everything();
        return;
    };
    for requirement in all {
        if let Operator::In(values) | Operator::NotIn(values) = &mut requirement.operator {
            values.dedup();
        }
    }
}

fn pod_object(pod: &Pod) -> Value {
    let ports = pod.ports.iter().map(|port| {
        let protocol = port.protocol.name();
        json!({"name": port.name, "protocol": protocol, "containerPort": port.number})
    });
    let ports: Vec<Value> = ports.collect();
    let address = pod.addresses[0].to_string();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod.name, "namespace": pod.namespace, "labels": pod.labels},
        "spec": {"nodeName": pod.node, "containers": [{"name": "c", "image": "i", "ports": ports}]},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
    })
}

pub fn objects(cluster: &Cluster) -> Vec<Value> {
    let namespaces = cluster.namespaces.iter().map(|namespace| {
        let metadata = json!({"name": namespace.name, "labels": namespace.labels});
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    });
    let policies = cluster.policies.iter().filter_map(|policy| match policy {
        Policy::Network(policy) => Some(object(policy)),
        _ => None,
    });
    namespaces
        .chain(cluster.pods.iter().map(pod_object))
        .chain(policies)
        .collect()
}

/// A world as a file that every tool of Kubernetes reads (JSON is YAML).
pub fn yaml(cluster: &Cluster) -> String {
    let objects = objects(cluster).into_iter().map(|object| object.to_string());
    objects.collect::<Vec<_>>().join("\n---\n")
}

/// All pairs, but of two ends outside, at all ports of all protocols.
pub fn calls(cluster: &Cluster) -> Vec<Call> {
    let pods = cluster.pods.iter().map(|pod| End::Pod {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        address: pod.addresses[0],
    });
    let outside = OUTSIDE.map(|address| End::Outside(address.parse().unwrap()));
    let ends: Vec<End> = pods.chain(outside).collect();
    let mut calls = Vec::new();
    for (client, server) in ends
        .iter()
        .flat_map(|client| ends.iter().map(move |server| (client, server)))
    {
        if matches!((client, server), (End::Outside(_), End::Outside(_))) {
            continue;
        }
        for (protocol, port) in PROTOCOLS
            .into_iter()
            .flat_map(|protocol| PORTS.map(|port| (protocol, port)))
        {
            calls.push(Call {
                client: client.clone(),
                server: server.clone(),
                protocol: protocol.number(),
                port,
                through_service: false,
                domains: None,
            });
        }
    }
    calls
}

pub fn end(end: &End) -> String {
    match end {
        End::Pod { namespace, name, .. } => format!("{namespace}/{name}"),
        End::Node { address, .. } | End::Outside(address) => address.to_string(),
    }
}
