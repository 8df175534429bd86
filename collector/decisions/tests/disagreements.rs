//! What is told where policies and what was seen do not go together.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_decisions::disagreements::{DisagreementRow, Disagreements, disagreements};
use weir_decisions::{HIDDEN, Namespaces, Sight, Traffic, World};
use weir_policy::edges::{Edge, EdgeEnd, EdgeSet, PodEnd, Strength};
use weir_policy::parse::Objects;
use weir_policy::{Cni, Profile};

/// One policy lets nobody but `app=nobody` call the bank, but for its port `sql`.
const CLUSTER: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: v1, kind: Namespace, metadata: {name: bank}}
- apiVersion: v1
  kind: Pod
  metadata: {namespace: shop, name: web, labels: {app: web}}
  spec: {nodeName: n1, containers: [{name: c}]}
  status: {phase: Running, podIPs: [{ip: 10.0.0.1}]}
- apiVersion: v1
  kind: Pod
  metadata: {namespace: bank, name: db, labels: {app: db}}
  spec: {nodeName: n1, containers: [{name: c, ports: [{name: sql, containerPort: 5432}]}]}
  status: {phase: Running, podIPs: [{ip: 10.0.1.1}]}
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {namespace: bank, name: vault, creationTimestamp: '1970-01-01T01:00:00Z'}
  spec:
    podSelector: {}
    policyTypes: [Ingress]
    ingress: [{from: [{namespaceSelector: {}}], ports: [{port: sql}]}]
";

const MINUTE: u64 = 60_000_000_000;
const HOUR: u64 = 60 * MINUTE;

fn world(cni: Cni) -> World {
    let mut objects = Objects::default();
    objects.add_text(CLUSTER).unwrap();
    World {
        objects: Arc::new(objects),
        policies: Vec::new(),
        profile: Profile::of(cni),
        sight: Sight::EVERYTHING,
    }
}

fn pod(namespace: &str, name: &str) -> EdgeEnd {
    EdgeEnd::Pod(PodEnd {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        address: None,
        node: String::new(),
        workload: None,
    })
}

/// A call of the shop to a port of the bank.
#[derive(Clone, Copy)]
struct Call {
    port: u16,
    /// Hours since 1970.
    from: u64,
    until: u64,
    strength: Strength,
    answered: bool,
}

const CALL: Call = Call {
    port: 22,
    from: 2 * HOUR,
    until: 3 * HOUR,
    strength: Strength::Proven,
    answered: true,
};

fn edges(calls: &[Call]) -> EdgeSet {
    let mut edges = EdgeSet::default();
    let (client, server) = (edges.end(pod("shop", "web")), edges.end(pod("bank", "db")));
    for call in calls {
        edges.push(Edge {
            client,
            server,
            protocol: 6,
            port: call.port,
            flows: 3,
            bytes: 30,
            first: call.from,
            last: call.until,
            strength: call.strength,
            answered: call.answered,
        });
    }
    edges
}

fn held(world: &World, seen: &[Call], dropped: &[Call]) -> Disagreements {
    let traffic = Traffic {
        edges: edges(seen),
        ..Traffic::default()
    };
    disagreements(world, &traffic, &edges(dropped), &[])
}

fn only(found: &Disagreements) -> &DisagreementRow {
    let [row] = &found.rows[..] else {
        panic!("{found:?}")
    };
    row
}

/// Under this plugin another one would not allow the port.
const PLUGIN: Cni = Cni::OvnKubernetes;

#[test]
fn what_is_denied_and_answered_for_an_hour_shows_a_policy_that_nobody_enforces() {
    // UDP is never what a named port of TCP opens, whatever the plugin.
    let udp = |until| {
        let mut traffic = Traffic {
            edges: edges(&[]),
            ..Traffic::default()
        };
        let (client, server) = (
            traffic.edges.end(pod("shop", "web")),
            traffic.edges.end(pod("bank", "db")),
        );
        traffic.edges.push(Edge {
            client,
            server,
            protocol: 17,
            port: 53,
            flows: 3,
            bytes: 30,
            first: 2 * HOUR,
            last: until,
            strength: Strength::Proven,
            answered: true,
        });
        disagreements(&world(Cni::Spec), &traffic, &EdgeSet::default(), &[])
    };
    let found = udp(3 * HOUR);
    let row = only(&found);
    assert_eq!(
        (row.kind.as_str(), row.cause.as_str()),
        ("denied_but_answered", "not_enforced")
    );
    assert_eq!(
        (row.policy.as_deref(), row.side.as_str()),
        (Some("bank/vault"), "ingress")
    );
    assert_eq!(
        (row.edge.first_seen_ns, row.edge.last_seen_ns),
        (2 * HOUR, 3 * HOUR)
    );
    let [policy] = &found.not_enforced[..] else {
        panic!("{found:?}")
    };
    assert_eq!((policy.policy.as_str(), policy.flows), ("bank/vault", 3));
    let found = udp(3 * HOUR - 1);
    assert_eq!(only(&found).cause, "not_enforced");
    assert!(found.not_enforced.is_empty(), "{found:?}");
}

#[test]
fn another_plugin_that_would_allow_it_is_named() {
    let found = held(&world(Cni::Spec), &[CALL], &[]);
    let row = only(&found);
    assert_eq!(
        (row.cause.as_str(), row.plugin.as_deref()),
        ("plugin", Some("ovn-kubernetes"))
    );
    assert!(found.not_enforced.is_empty(), "{found:?}");
    // And where it is that plugin, nothing is denied.
    assert_eq!(held(&world(PLUGIN), &[CALL], &[]), Disagreements::default());
}

#[test]
fn traffic_that_began_before_the_policy_proves_nothing() {
    let early = Call {
        from: HOUR - MINUTE,
        until: 9 * HOUR,
        ..CALL
    };
    let found = held(&world(Cni::Spec), &[early], &[]);
    assert_eq!(only(&found).cause, "older");
    assert!(found.not_enforced.is_empty(), "{found:?}");
}

#[test]
fn what_nobody_answered_or_is_allowed_agrees() {
    let unanswered = Call {
        answered: false,
        ..CALL
    };
    let allowed = Call { port: 5432, ..CALL };
    assert_eq!(
        held(&world(Cni::Spec), &[unanswered, allowed], &[]),
        Disagreements::default()
    );
}

#[test]
fn what_is_allowed_and_dropped_names_the_rule_and_what_is_denied_and_dropped_agrees() {
    let dropped = [Call { port: 5432, ..CALL }, CALL].map(|call| Call {
        answered: false,
        ..call
    });
    let found = held(&world(Cni::Spec), &[], &dropped);
    let row = only(&found);
    assert_eq!(
        (row.kind.as_str(), row.cause.as_str()),
        ("allowed_but_dropped", "another_firewall")
    );
    assert_eq!(row.rule.as_deref(), Some("bank/vault ingress[0]"));
    assert_eq!(row.edge.port, "5432/tcp");
}

#[test]
fn names_are_told_where_policies_may_be_got_and_namespaces_narrow_it() {
    let mut world = world(Cni::Spec);
    world.sight = Sight {
        policies: Namespaces::Some(BTreeSet::from(["shop".to_owned()])),
        pods: Namespaces::All,
    };
    let found = held(&world, &[CALL], &[]);
    assert_eq!(only(&found).policy.as_deref(), Some(HIDDEN));
    assert_eq!(only(&found).rule.as_deref(), Some(HIDDEN));
    let traffic = Traffic {
        edges: edges(&[CALL]),
        ..Traffic::default()
    };
    let of = |namespace: &str| {
        let found = disagreements(&world, &traffic, &EdgeSet::default(), &[namespace.to_owned()]);
        found.rows.len()
    };
    assert_eq!((of("shop"), of("bank"), of("cart")), (1, 1, 0));
}
