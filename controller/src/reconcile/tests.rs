use super::*;
use crate::collector::CollectorSettings;
use crate::collector_client::CollectorClient;
use crate::fixture::{all_listed, node, object};
use crate::source::FlowSource;
use kube::{Client, Config};
use serde_json::json;

fn leadership(leads: bool) -> Leadership {
    Leadership {
        leads,
        led_until: None,
    }
}

/// A loop whose API server is never asked.
fn reconciler() -> Reconciler {
    let client = Client::try_from(Config::new("http://127.0.0.1:9".parse().unwrap())).unwrap();
    let writer = ApiWriter::new(
        &client,
        FlowSource::default(),
        "weir-system",
        Duration::from_secs(1),
    );
    let missing = watch::channel(Vec::new()).0;
    let collector = CollectorWatch::new(CollectorClient::new(client), Duration::from_secs(30));
    let service = Some(("flows".to_owned(), "collector".to_owned()));
    let cluster = ClusterState::default().with_collector(CollectorSettings {
        service,
        ..CollectorSettings::default()
    });
    Reconciler::new(
        writer,
        Metrics::default(),
        missing,
        cluster,
        collector,
        Duration::from_secs(300),
    )
}

fn list_all(reconciler: &mut Reconciler) {
    for event in all_listed() {
        reconciler.apply(event);
    }
}

/// The status of a node's object comes in, which is to be reported.
fn see_status(reconciler: &mut Reconciler, generation: i64) {
    let export = object(json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport",
        "metadata": {"name": "a", "uid": "u"}, "spec": {},
        "status": {"observedGeneration": generation},
    }));
    reconciler.apply(WatchEvent::Export(Event::Apply(export)));
}

#[tokio::test]
async fn a_standby_waits_for_nothing_but_events() {
    let mut standby = reconciler();
    list_all(&mut standby);
    see_status(&mut standby, 1);
    see_status(&mut standby, 2);
    standby.act();
    assert!(standby.report.is_some());
    assert_eq!(standby.wake(), None);
    standby.lead(leadership(true));
    standby.act();
    assert!(standby.wake().is_some());
    standby.lead(leadership(false));
    see_status(&mut standby, 3);
    standby.checks = [Some(Instant::now()), Some(Instant::now())];
    assert_eq!(standby.wake(), None);
}

#[tokio::test]
async fn a_leader_that_has_not_seen_all_waits_for_nothing_but_events() {
    let mut leader = reconciler();
    leader.lead(leadership(true));
    see_status(&mut leader, 1);
    see_status(&mut leader, 2);
    leader.act();
    assert!(leader.report.is_some() && !leader.cluster.missing().is_empty());
    assert_eq!(leader.wake(), None);
    list_all(&mut leader);
    leader.act();
    assert!(leader.wake().is_some());
}

/// The configuration asks for export to a target, and the collector has that address.
fn see_target(reconciler: &mut Reconciler, target: &str) {
    let network = object(json!({
        "metadata": {"name": "cluster", "generation": 1},
        "spec": {"exportNetworkFlows": {"ipfix": {"collectors": [target]}}},
    }));
    reconciler.apply(WatchEvent::Network(Event::Apply(network)));
    reconciler.act();
}

#[tokio::test]
async fn the_collector_is_asked_by_the_leader_alone_and_only_where_a_node_sends_to_it() {
    let mut leader = reconciler();
    list_all(&mut leader);
    leader.apply(WatchEvent::Node(Event::Apply(object(node("a", "10.0.0.1")))));
    let service = object(json!({
        "metadata": {"name": "collector", "namespace": "flows"}, "spec": {"clusterIP": "10.96.0.9", "ports": [{"port": 4739}]},
    }));
    leader.apply(WatchEvent::Service(Event::Apply(service)));
    see_target(&mut leader, "10.96.0.9:4739");
    assert!(leader.asked.is_empty(), "a standby asks nothing");
    leader.lead(leadership(true));
    see_target(&mut leader, "192.0.2.1:4739");
    assert!(leader.asked.is_empty() && leader.next_ask().is_none());
    see_target(&mut leader, "10.96.0.9:4739");
    assert_eq!((leader.asked.len(), leader.next_ask()), (1, None));
    leader.act();
    assert_eq!(leader.asked.len(), 1, "one at a time");
    let answer = leader.asked.next().await.unwrap();
    leader.hear(answer);
    leader.act();
    assert!(leader.asked.is_empty() && leader.next_ask().is_some_and(|due| due > Instant::now()));
    assert!(leader.collector.receptions.unknown().is_some());
    see_target(&mut leader, "192.0.2.1:4739");
    assert!(leader.next_ask().is_none());
    assert_eq!(leader.collector.receptions.unknown(), Some(""));
}

#[tokio::test]
async fn a_collector_that_gets_its_address_after_the_plan_is_asked_and_one_that_loses_it_is_not() {
    let mut leader = reconciler();
    list_all(&mut leader);
    leader.apply(WatchEvent::Node(Event::Apply(object(node("a", "10.0.0.1")))));
    leader.lead(leadership(true));
    see_target(&mut leader, "192.0.2.4:4739");
    leader.report = None;
    assert!(!leader.collector.needed);
    let service = |external: serde_json::Value| {
        object(json!({"metadata": {"name": "collector", "namespace": "flows"},
            "spec": {"clusterIP": "10.96.0.9", "externalIPs": external, "ports": [{"port": 4739}]}}))
    };
    leader.apply(WatchEvent::Service(Event::Apply(service(json!(["192.0.2.4"])))));
    assert!(leader.report.is_some(), "the address is news");
    leader.roll_up(Timestamp::now());
    assert!(leader.collector.needed);
    leader.apply(WatchEvent::Service(Event::Apply(service(json!([])))));
    leader.roll_up(Timestamp::now());
    assert!(!leader.collector.needed);
    // What went while the watch was away is found by the new list.
    leader.apply(WatchEvent::Service(Event::Apply(service(json!(["192.0.2.4"])))));
    leader.apply(WatchEvent::Service(Event::Init));
    leader.apply(WatchEvent::Service(Event::InitDone));
    leader.roll_up(Timestamp::now());
    assert!(!leader.collector.needed);
}
