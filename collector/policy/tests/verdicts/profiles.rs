//! What CNIs do where the API leaves it open, and where they deviate.

use weir_policy::policy::{ForeignPolicy, Policy};
use weir_policy::{Answer, Cni, Namespace, Protocol, Reason, Selector};

use crate::world::{World, labels, port};

const HTTP: &str = "ingress: [{ports: [{port: http}]}]";

#[test]
fn ovn_kubernetes_opens_the_whole_protocol_for_a_named_port() {
    let world = World::with(Cni::OvnKubernetes).on_a("p", HTTP);
    let asked = world.ask("x/b", "x/a", "tcp/1");
    assert_eq!((asked.answer, asked.notes.profile), (Answer::Allow, true));
    assert!(!world.allows("x/b", "x/a", "udp/1"));
    assert!(
        !World::with(Cni::Antrea)
            .on_a("p", HTTP)
            .allows("x/b", "x/a", "tcp/1")
    );
}

#[test]
fn kube_ovn_looks_a_named_port_up_in_the_policys_namespace() {
    let mut world =
        World::with(Cni::KubeOvn).on_a("p", "policyTypes: [Egress]\negress: [{ports: [{port: web}]}]");
    assert!(!world.allows("x/a", "y/b", "tcp/81"), "nobody calls a port so");
    world.pod_mut("y", "b").ports.push(port("web", Protocol::Tcp, 81));
    assert!(!world.allows("x/a", "y/b", "tcp/81"), "nobody in x does");
    world.pod_mut("x", "c").ports.push(port("web", Protocol::Tcp, 81));
    let asked = world.ask("x/a", "y/c", "tcp/81");
    assert_eq!((asked.answer, asked.notes.profile), (Answer::Allow, true));
    world.pod_mut("x", "b").ports.push(port("web", Protocol::Tcp, 82));
    assert_eq!(
        world.ask("x/a", "y/c", "tcp/81").reason,
        Reason::Order,
        "one of the two numbers"
    );
    assert!(!world.allows("x/a", "y/c", "tcp/83"));
}

#[test]
fn ovn_kubernetes_lets_in_only_the_management_port_of_the_own_node() {
    let world = World::with(Cni::OvnKubernetes).on_a("p", "policyTypes: [Ingress]");
    assert_eq!(
        world.ask("node:n1@10.1.0.2", "x/a", "tcp/80").reason,
        Reason::Node
    );
    let other = world.ask("node:n1", "x/a", "tcp/80");
    assert_eq!((other.answer, other.notes.profile), (Answer::Deny, true));
    let mut unknown = world;
    unknown.cluster.nodes[0].management.clear();
    assert_eq!(unknown.ask("node:n1", "x/a", "tcp/80").reason, Reason::Node);
}

#[test]
fn ovn_kubernetes_takes_host_network_peers_by_selector_or_by_their_namespace() {
    let peer = |peer: &str| {
        let mut world = World::with(Cni::OvnKubernetes).on_a("p", &format!("ingress: [{{from: [{peer}]}}]"));
        world
            .cluster
            .namespaces
            .push(Namespace::new("ovn-host-network", labels("host=yes")));
        world.pod_mut("x", "host").node = "n2".into();
        world.pod_mut("x", "host").addresses = vec!["192.168.0.2".parse().unwrap()];
        ["node:n2", "node:n2@10.1.0.3"].map(|client| world.allows(client, "x/a", "tcp/80"))
    };
    assert_eq!(
        peer("{podSelector: {}}"),
        [true, false],
        "a pod of the host network is in x"
    );
    assert_eq!(peer("{podSelector: {matchLabels: {app: host}}}"), [true, false]);
    assert_eq!(peer("{podSelector: {matchLabels: {app: b}}}"), [false, false]);
    assert_eq!(
        peer("{namespaceSelector: {matchLabels: {host: 'yes'}}}"),
        [false, true]
    );
    assert_eq!(peer("{namespaceSelector: {}}"), [false, true]);
    assert_eq!(
        peer("{namespaceSelector: {}, podSelector: {}}"),
        [true, false],
        "null and empty differ"
    );
    let spec = World::new().on_a(
        "p",
        "ingress: [{from: [{podSelector: {}}, {namespaceSelector: {}}]}]",
    );
    assert!(!spec.allows("node:n2", "x/a", "tcp/80"));
}

#[test]
fn lax_kube_ovn_leaves_dhcp_open() {
    let mut world = World::with(Cni::KubeOvn).on_a("p", "policyTypes: [Ingress, Egress]");
    assert!(!world.allows("x/a", "x/b", "udp/67"));
    world.profile.lax = true;
    assert!(world.allows("x/a", "x/b", "udp/67"));
    assert!(!world.allows("x/a", "x/b", "udp/53"));
}

#[test]
fn an_object_that_is_not_evaluated_makes_the_verdict_unknown() {
    let mut world = World::new().on_a("p", "policyTypes: [Ingress]");
    world.cluster.policies.push(Policy::Foreign(ForeignPolicy {
        kind: "EgressFirewall".into(),
        namespace: "x".into(),
        name: "default".into(),
        namespaces: None,
        pods: Selector::everything(),
    }));
    let asked = world.ask("x/b", "y/a", "tcp/80");
    assert_eq!((asked.answer, asked.reason), (Answer::Unknown, Reason::Foreign));
    assert_eq!(asked.egress, "x/default");
    assert!(world.allows("y/b", "y/a", "tcp/80"));
    world.profile.ignore_foreign = true;
    assert!(world.allows("x/b", "y/a", "tcp/80"));
    assert!(!world.allows("x/b", "x/a", "tcp/80"));
}
