//! Calls to Services with many behind them.

use super::*;

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"clusterIP": "10.96.0.9", "ports": [{"port": 80, "protocol": "TCP"}]}})
}

fn slice(pods: impl Iterator<Item = u8>) -> Value {
    let endpoints: Vec<Value> = pods
        .map(|n| json!({"addresses": [format!("10.0.0.{n}")]}))
        .collect();
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": endpoints, "ports": [{"port": 8080, "protocol": "TCP"}]})
}

fn call_of_service(src: u8, at: u64) -> FlowRecord {
    let mut record = call(src, 9, 80, at, at);
    record.dst.addr = Some([10, 96, 0, 9].into());
    record.dst.identity = Identity {
        kind: Kind::Service,
        ns: "shop".into(),
        name: "web".into(),
        ..Identity::default()
    }
    .into();
    record
}

#[test]
fn a_service_has_a_verdict_however_many_are_behind_it_if_they_are_alike() {
    let mut objects: Vec<Value> = (10..210).map(|n| pod(n, "web")).collect();
    objects.extend([
        pod(1, "client"),
        pod(2, "stranger"),
        open_to("client"),
        service(),
        slice(10..210),
    ]);
    let mut world = World::new(&objects, false);
    let at = START + 100 * SECOND;
    let by_rule = ["allow", "rule", "shop/web", "ingress[0]", "allow"];
    assert_eq!(named(&world.judged(&call_of_service(1, at))), by_rule);
    let denied = world.judged(&call_of_service(2, at));
    assert_eq!(named(&denied)[..2], ["deny", "isolation"]);
    // One that is judged otherwise is enough, be it the last.
    world.put(at, &pod(209, "batch"));
    let at = at + 2 * SETTLED;
    assert_eq!(
        named(&world.judged(&call_of_service(2, at)))[..2],
        ["unknown", "backend"]
    );
    assert_eq!(
        named(&world.judged(&call_of_service(1, at)))[..2],
        ["allow", "rule"]
    );
}

#[test]
fn a_pod_that_calls_itself_through_a_service_is_one_of_those_behind_it() {
    let objects = [
        pod(3, "web"),
        pod(4, "web"),
        open_to("client"),
        service(),
        slice(3..5),
    ];
    let mut world = World::new(&objects, false);
    let at = START + 100 * SECOND;
    // Itself it reaches by any plugin or by none, which is not said; the other it does not.
    assert_eq!(
        named(&world.judged(&call_of_service(3, at)))[..2],
        ["unknown", "backend"]
    );
    world.put(at, &slice(4..5));
    assert_eq!(
        named(&world.judged(&call_of_service(3, at)))[..2],
        ["deny", "isolation"]
    );
}

#[test]
fn a_service_with_more_classes_behind_it_than_are_looked_at_has_no_verdict() {
    let label = |n: u8| format!("{}", n % 100);
    let mut objects: Vec<Value> = (10..110).map(|n| pod(n, &label(n))).collect();
    objects.extend([pod(1, "client"), open_to("client"), service(), slice(10..110)]);
    let mut world = World::new(&objects, false);
    let at = START + 100 * SECOND;
    assert_eq!(
        named(&world.judged(&call_of_service(1, at)))[..2],
        ["unknown", "backend"]
    );
    // Of fewer, all are looked at.
    world.put(at, &slice(10..70));
    assert_eq!(
        named(&world.judged(&call_of_service(1, at)))[..2],
        ["allow", "default"]
    );
}

#[test]
fn a_service_that_is_new_within_a_change_is_judged_at_once() {
    let mut world = World::new(&[pod(1, "client"), pod(3, "web")], false);
    let at = START + 100 * SECOND;
    world.put(at, &open_to("client"));
    world.put(at + SECOND, &service());
    world.put(at + SECOND, &slice(3..4));
    let record = call_of_service(1, at + 5 * SECOND);
    assert_eq!(
        world.judged(&record).answer,
        "allow",
        "by the policies of before and after"
    );
}
