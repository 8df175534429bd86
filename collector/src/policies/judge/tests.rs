use proptest::prelude::*;
use serde_json::{Value, json};
use weir_flow::{IdentifiedBy, Identity, Kind};
use weir_policy::Engine;
use weir_policy::parse::Objects;
use wire::{Attribute, AttributeValue};

use super::*;
use crate::normalise::{Context, normalise};
use crate::policies::compiled::{ChangedObject, Compiled, moment};
use crate::policies::known::Known;

mod behind;
mod settling;

const SECOND: u64 = 1_000_000_000;
/// When all begins.
const START: u64 = 1_000_000 * SECOND;
/// From a change on, until it has come into force everywhere.
const SETTLED: u64 = 31 * SECOND;

fn pod(n: u8, app: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("p{n}"), "namespace": "shop", "labels": {"app": app}},
        "spec": {"nodeName": "n1", "containers": [{"ports": [{"name": "web", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIP": format!("10.0.0.{n}")}})
}

fn policy(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

fn key_of(object: &Value) -> crate::policies::known::Key {
    crate::policies::known::Key::of(object).unwrap()
}

/// What is known, and what is made of it.
struct World {
    known: Known,
    compiled: Compiled,
    versions: Versions,
    judge: Judge,
}

impl World {
    fn new(objects: &[Value], begins_with_gap: bool) -> Self {
        let mut known = Known::default();
        objects
            .iter()
            .for_each(|object| known.put(key_of(object), object));
        let mut compiled = Compiled::new(None, known.take_all(), 0);
        let versions = Versions::new(compiled.version(moment(START)), begins_with_gap);
        let (_, source) = watch::channel(Arc::default());
        let judge = Judge::new(Some(source), 64, PolicyCounts::new(Arc::default()));
        Self {
            known,
            compiled,
            versions,
            judge,
        }
    }

    fn change(&mut self, at: u64, change: impl FnOnce(&mut Known)) {
        change(&mut self.known);
        let changed: Vec<ChangedObject> = self.known.take_changed();
        self.compiled.apply(changed, at, &mut self.versions);
    }

    fn put(&mut self, at: u64, object: &Value) {
        self.change(at, |known| known.put(key_of(object), object));
    }

    fn judged(&mut self, record: &FlowRecord) -> PolicyVerdict {
        self.judge.evaluator.follow(&self.versions);
        let judged = self.judge.evaluator.judged(&self.versions, record);
        judged
            .and_then(|judged| judged.verdict().cloned())
            .unwrap_or_default()
    }

    /// An engine that knows what is there now, made of nothing else.
    fn engine(&self) -> Engine {
        let mut objects = Objects::default();
        for text in self.known.texts() {
            objects.add(&serde_json::from_str(&text).unwrap());
        }
        Engine::compile(self.compiled.profile(), objects.cluster)
    }
}

/// A record of one pod's call to another's port.
fn call(src: u8, dst: u8, port: u16, from: u64, to: u64) -> FlowRecord {
    let context = Context {
        received_ns: to,
        source: [192, 0, 2, 1].into(),
        exporter: None,
    };
    let mut record = normalise(wire::Record::default(), context);
    (record.start_ns, record.end_ns) = (from, to);
    record.proto = Some(6);
    record.server = Server::Dst;
    for (side, n, port) in [(&mut record.src, src, 40_000), (&mut record.dst, dst, port)] {
        side.addr = Some([10, 0, 0, n].into());
        side.port = Some(port);
        side.found = IdentifiedBy::Address;
        side.identity = Identity {
            kind: Kind::Pod,
            ns: "shop".into(),
            name: format!("p{n}").into(),
            ..Identity::default()
        }
        .into();
    }
    record
}

fn open_to(app: &str) -> Value {
    let spec = json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [
        {"from": [{"podSelector": {"matchLabels": {"app": app}}}], "ports": [{"port": "web"}]}]});
    policy("web", spec)
}

fn named(verdict: &PolicyVerdict) -> [&str; 5] {
    let PolicyVerdict {
        answer,
        reason,
        ingress,
        ..
    } = verdict;
    [answer, reason, &ingress.policy, &ingress.rule, ingress.action]
}

#[test]
fn each_record_is_judged_by_the_policies_of_its_time_with_policy_and_rule() {
    let mut world = World::new(&[pod(1, "client"), pod(2, "web")], false);
    let later = |minutes: u64| START + minutes * 60 * SECOND;
    let at = |minutes: u64| call(1, 2, 8_080, later(minutes), later(minutes) + SECOND);
    world.put(later(2), &open_to("client"));
    world.put(later(4), &pod(1, "other"));
    world.change(later(6), |known| known.remove(&key_of(&open_to("client"))));
    let by_rule = ["allow", "rule", "shop/web", "ingress[0]", "allow"];
    for (minutes, expected) in [
        (1, ["allow", "default", "", "", ""]),
        (3, by_rule),
        (5, ["deny", "isolation", "shop/web", "", "drop"]),
        (7, ["allow", "default", "", "", ""]),
        // What comes late is of its own time, too.
        (3, by_rule),
    ] {
        assert_eq!(named(&world.judged(&at(minutes))), expected, "{minutes}");
    }
    // Across the relabelling both count.
    let across = call(1, 2, 8_080, later(4) - 5 * SECOND, later(4) + SECOND);
    assert_eq!(named(&world.judged(&across))[..2], ["unknown", "changed"]);
    // The same by both labels.
    let elsewhere = call(1, 2, 9, later(4) - 5 * SECOND, later(4) + SECOND);
    assert_eq!(named(&world.judged(&elsewhere))[..2], ["deny", "isolation"]);
    // An answer is of its connection.
    let mut answer = at(3);
    std::mem::swap(&mut answer.src, &mut answer.dst);
    answer.server = Server::Src;
    assert_eq!(named(&world.judged(&answer)), by_rule);
    // Who called nobody knows: the other way round nothing denies.
    let mut unknown = at(5);
    unknown.server = Server::Unknown;
    assert_eq!(named(&world.judged(&unknown))[..2], ["unknown", "direction"]);
}

#[test]
fn before_the_first_list_nobody_knows_unless_nothing_changed_since() {
    let early = call(1, 2, 8_080, START - 5 * SECOND, START - SECOND);
    let objects = [pod(1, "client"), pod(2, "web"), open_to("client")];
    let gap = World::new(&objects, true).judged(&early);
    assert_eq!(named(&gap)[..2], ["unknown", "gap"]);
    let same = World::new(&objects, false).judged(&early);
    assert_eq!(named(&same)[..2], ["allow", "rule"]);
}

#[test]
fn a_call_to_a_service_is_that_of_all_behind_it_at_their_port() {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"clusterIP": "10.96.0.9", "ports": [{"port": 80, "protocol": "TCP"}]}});
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": [{"addresses": ["10.0.0.2"]}, {"addresses": ["10.0.0.3"]}],
        "ports": [{"port": 8080, "protocol": "TCP"}]});
    let objects = [
        pod(1, "client"),
        pod(2, "web"),
        pod(3, "web"),
        open_to("client"),
        service,
        slice,
    ];
    let mut world = World::new(&objects, false);
    let time = START + 100 * SECOND;
    let mut record = call(1, 9, 80, time, time);
    record.dst.addr = Some([10, 96, 0, 9].into());
    record.dst.identity = Identity {
        kind: Kind::Service,
        ns: "shop".into(),
        name: "web".into(),
        ..Identity::default()
    }
    .into();
    let by_rule = ["allow", "rule", "shop/web", "ingress[0]", "allow"];
    assert_eq!(named(&world.judged(&record)), by_rule);
    // One of them is no web server any more, and open to all.
    let at = START + 200 * SECOND;
    world.put(at, &pod(3, "batch"));
    world.put(at, &pod(1, "stranger"));
    let later = at + 2 * SETTLED;
    (record.start_ns, record.end_ns, record.time_ns) = (later, later, later);
    assert_eq!(named(&world.judged(&record))[..2], ["unknown", "backend"]);
}

#[test]
fn what_an_exporter_of_the_cluster_says_wins_and_strangers_are_outside() {
    let mut world = World::new(&[pod(1, "client"), pod(2, "web"), open_to("client")], false);
    let time = START + 100 * SECOND;
    let mut record = call(1, 2, 8_080, time, time);
    record
        .attributes
        .set(Attribute::IngressPolicyName, AttributeValue::Text("acnp".into()));
    record
        .attributes
        .set(Attribute::IngressPolicyAction, AttributeValue::Unsigned(2));
    record.policy = PolicyVerdict::said(&record.attributes).into();
    assert_eq!(
        named(&world.judged(&record)),
        ["deny", "rule", "acnp", "", "drop"]
    );
    // What was computed of a side counts no more where the exporter says what became of it.
    let action = |record: &mut FlowRecord, attribute, action| {
        record.attributes.set(attribute, AttributeValue::Unsigned(action));
        record.policy = PolicyVerdict::said(&record.attributes).into();
    };
    let mut denied = call(1, 2, 9, time, time);
    assert_eq!(world.judged(&denied).answer, "deny");
    action(&mut denied, Attribute::IngressPolicyAction, 1);
    assert_eq!(named(&world.judged(&denied)), ["allow", "rule", "", "", "allow"]);
    // In a record of answers ingress is that of the server, too.
    std::mem::swap(&mut denied.src, &mut denied.dst);
    denied.server = Server::Src;
    assert_eq!(world.judged(&denied).answer, "allow");
    action(&mut denied, Attribute::EgressPolicyAction, 3);
    let judged = world.judged(&denied);
    assert_eq!(
        [judged.answer, judged.egress.action, judged.ingress.action],
        ["deny", "reject", "allow"]
    );
    let mut record = call(1, 2, 8_080, time, time);
    record.src.addr = Some([198, 51, 100, 7].into());
    record.src.identity = weir_flow::Who::NOBODY;
    assert_eq!(named(&world.judged(&record))[..2], ["deny", "isolation"]);
    record.src.found = IdentifiedBy::Ambiguous;
    assert_eq!(named(&world.judged(&record))[..2], ["unknown", "identity"]);
    // Multicast is not judged, and what has no addresses neither.
    record.dst.addr = Some([224, 0, 0, 1].into());
    record.dst.identity = weir_flow::Who::NOBODY;
    record.src.found = IdentifiedBy::Nothing;
    assert_eq!(world.judged(&record), PolicyVerdict::default());
    record.dst.addr = None;
    assert_eq!(world.judged(&record), PolicyVerdict::default());
}

fn node(name: &str, annotation: &str, address: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "annotations": {annotation: "x"}},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]}})
}

#[test]
fn nodes_that_tell_different_plugins_are_decided_about_once() {
    let (ovn, antrea) = ("k8s.ovn.org/x", "node.antrea.io/mac-address");
    let nodes = |second| [node("a", ovn, "192.0.2.1"), node("b", second, "192.0.2.2")];
    let mut world = World::new(&nodes(antrea), false);
    assert_eq!(world.compiled.profile().cni, weir_policy::Cni::Spec);
    assert!(!world.compiled.is_of_other_cni());
    world.put(START + SECOND, &node("c", antrea, "192.0.2.3"));
    assert!(world.compiled.is_of_other_cni(), "most tell antrea now");
    let world = World::new(&nodes(ovn), false);
    assert_eq!(world.compiled.profile().cni, weir_policy::Cni::OvnKubernetes);
    assert!(!world.compiled.is_of_other_cni());
}

#[test]
fn a_node_is_no_peer_any_more_when_its_pod_on_the_host_network_is_gone() {
    let mut proxy = pod(3, "client");
    proxy["spec"] = json!({"nodeName": "n2", "hostNetwork": true});
    proxy["status"]["podIP"] = json!("192.0.2.2");
    let node = node("n2", "k8s.ovn.org/x", "192.0.2.2");
    let mut world = World::new(&[pod(2, "web"), open_to("client"), node, proxy.clone()], false);
    let time = |seconds| START + seconds * SECOND;
    let from_node = |at: u64| {
        let mut record = call(3, 2, 8_080, at, at);
        record.src.addr = Some([192, 0, 2, 2].into());
        record.src.identity = Identity {
            kind: Kind::Node,
            name: "n2".into(),
            ..Identity::default()
        }
        .into();
        record
    };
    assert_eq!(world.judged(&from_node(time(60))).answer, "allow");
    world.change(time(100), |known| known.remove(&key_of(&proxy)));
    assert_eq!(world.judged(&from_node(time(200))).answer, "deny");
}

#[test]
fn what_has_no_ports_is_not_denied_for_want_of_a_rule_about_them() {
    let mut world = World::new(&[pod(1, "client"), pod(2, "web"), open_to("client")], false);
    let time = START + 100 * SECOND;
    let mut fragment = call(1, 2, 0, time, time);
    fragment.src.port = Some(0);
    assert_eq!(named(&world.judged(&fragment))[..2], ["unknown", "protocol"]);
    let whole = call(1, 2, 9, time, time);
    assert_eq!(named(&world.judged(&whole))[..2], ["deny", "isolation"]);
}

/// One change of the world.
fn change(world: &mut World, n: u8, at: u64) {
    let app = ["client", "web", "other"][usize::from(n / 8) % 3];
    match n % 8 {
        0..=2 => world.put(at, &pod(1 + n % 3, app)),
        3 => world.put(at, &open_to(app)),
        4 => world.put(
            at,
            &policy("all", json!({"podSelector": {}, "policyTypes": ["Egress"]})),
        ),
        5 => world.put(
            at,
            &policy(
                "block",
                json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.2/31"}}]}]}),
            ),
        ),
        6 => world.change(at, |known| known.remove(&key_of(&open_to("client")))),
        _ => world.change(at, |known| {
            known.remove(&key_of(&policy("all", json!({}))));
            known.remove(&key_of(&policy("block", json!({}))));
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_random_history_judges_each_record_as_the_policies_of_its_time(
        history in prop::collection::vec((any::<u8>(), 40_u64..110), 1..8),
        calls in prop::collection::vec((1_u8..4, 1_u8..4, 0_usize..3, any::<prop::sample::Index>(), 0_u64..1_000), 40),
    ) {
        let mut world = World::new(&[pod(1, "client"), pod(2, "web"), pod(3, "other")], false);
        let mut times = vec![START];
        let mut engines = vec![world.engine()];
        for (n, pause) in history {
            let at = times.last().unwrap() + pause * SECOND;
            change(&mut world, n, at);
            times.push(at);
            engines.push(world.engine());
        }
        for (src, dst, port, stretch, place) in calls {
            let port = [8_080, 80, 53][port];
            let stretch = stretch.index(times.len());
            let end = times.get(stretch + 1).map_or(times[stretch] + 60 * SECOND, |next| next - 4 * SECOND);
            // Of the stretch after the change has settled, or at its very beginning.
            let settled = times[stretch] + SETTLED + 4 * SECOND;
            let is_settled = settled < end;
            let at = if is_settled { settled + (end - settled) * place / 1_000 } else { times[stretch] };
            let record = call(src, dst, port, at, at);
            let evaluated = |engine: &Engine| {
                let end = |n: u8| engine.pod("shop", &format!("p{n}"), [10, 0, 0, n].into()).unwrap();
                engine.snapshot().evaluate(&Connection::new(end(src), end(dst), 6, port))
            };
            let judged = world.judged(&record);
            let after = evaluated(&engines[stretch]);
            if is_settled || stretch == 0 {
                prop_assert_eq!(judged.answer, after.answer.name());
                prop_assert_eq!(judged.reason, after.reason.name());
                let rule = after.ingress.decider.and_then(|decider| {
                    engines[stretch].snapshot().rule(decider, Direction::Ingress)
                });
                let policy = rule.map(|rule| rule.policy.to_string()).unwrap_or_default();
                prop_assert_eq!(&*judged.ingress.policy, &*policy);
            } else {
                let before = evaluated(&engines[stretch - 1]);
                match before.answer == after.answer {
                    true => prop_assert_eq!(judged.answer, after.answer.name()),
                    false => prop_assert_eq!((judged.answer, judged.reason), ("unknown", "changed")),
                }
            }
        }
    }
}
