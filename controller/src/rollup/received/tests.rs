use super::*;
use crate::cluster_state::WatchEvent;
use crate::collector::CollectorSettings;
use crate::fixture::{add_node, add_service, decided, empty, object, patch, start};
use crate::guarded::Guarded;
use crate::object::export;
use crate::reception::{Answer, NodeAnswer, ReceivedFormat};
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use weir_api::Protocol;

const OURS: &str = "10.96.0.9:4739";

/// Nodes that export to these targets in that protocol, and say so since long ago.
fn cluster(nodes: &[&str], flows: Value) -> ClusterState {
    let mut cluster = empty().with_collector(CollectorSettings {
        service: Some(("flows".to_owned(), "collector".to_owned())),
        ..CollectorSettings::default()
    });
    let ports = json!([{"port": 4739, "protocol": "UDP"}]);
    add_service(
        &mut cluster,
        "collector",
        json!({"clusterIP": "10.96.0.9", "ports": ports}),
    );
    cluster.see(WatchEvent::CollectorSlice(Event::InitDone));
    for node in nodes {
        add_node(&mut cluster, node, "10.0.0.1");
    }
    patch(&mut cluster, flows);
    let decision = decided(&cluster);
    for node in nodes {
        let mut export = export(node, &decision.wanted[*node]);
        let since = "2026-01-01T00:00:00Z";
        export.metadata.creation_timestamp = Some(object(json!(since)));
        export.status = Some(object(json!({"conditions": [
            {"type": "Exporting", "status": "True", "reason": "Exporting", "message": "", "lastTransitionTime": since}]})));
        cluster.see(WatchEvent::Export(Event::Apply(Guarded(Ok(export)))));
    }
    cluster
}

/// What the collector says: each node with when a datagram came last, and when one with
/// its mark from elsewhere.
fn said(protocol: Protocol, nodes: &[(&str, Option<i64>, Option<i64>)]) -> Receptions {
    let before = |seconds| start() - k8s_openapi::jiff::SignedDuration::from_secs(seconds);
    let nodes = nodes.iter().map(|(node, last, unproven)| NodeAnswer {
        node: (*node).to_owned(),
        formats: vec![ReceivedFormat {
            protocol,
            last: last.map(before),
            sequenced: 0,
            lost: 0,
        }],
        unproven: unproven.map(before),
    });
    let answer = Answer {
        time: start(),
        since: before(1_000_000),
        nodes: nodes.collect(),
    };
    let mut receptions = Receptions::default();
    receptions.answered(answer, |_| true, start());
    receptions
}

fn told(
    cluster: &ClusterState,
    settled: &[&str],
    receptions: &Receptions,
) -> (ConditionStatus, &'static str, String) {
    told_at(cluster, settled, receptions, start()).unwrap()
}

fn told_at(
    cluster: &ClusterState,
    settled: &[&str],
    receptions: &Receptions,
    now: Timestamp,
) -> Option<(ConditionStatus, &'static str, String)> {
    let finding = finding(cluster, &decided(cluster), settled, receptions, now).0?;
    assert_eq!(finding.kind, RECEIVED);
    Some((finding.status, finding.reason, finding.message))
}

fn in_seconds(seconds: u64) -> Timestamp {
    later(start(), Duration::from_secs(seconds))
}

fn slice(name: &str, replicas: usize) -> WatchEvent {
    let endpoints = vec![json!({"addresses": ["x"]}); replicas];
    let slice = json!({"metadata": {"name": name, "namespace": "flows"}, "addressType": "IPv4", "endpoints": endpoints});
    WatchEvent::CollectorSlice(Event::Apply(object(slice)))
}

fn sflow() -> Value {
    json!({"sFlow": {"collectors": [OURS]}})
}

#[test]
fn nothing_is_said_where_nobody_sends_to_our_collector() {
    let elsewhere = cluster(&["a"], json!({"ipfix": {"collectors": ["192.0.2.9:4739"]}}));
    assert_eq!(told_at(&elsewhere, &["a"], &Receptions::default(), start()), None);
}

#[test]
fn what_is_not_known_is_unknown_with_the_reason() {
    let mut cluster = cluster(&["a"], sflow());
    let unknown = |cluster: &ClusterState, receptions: &Receptions| {
        let (status, reason, message) = told(cluster, &["a"], receptions);
        assert_eq!(status, ConditionStatus::Unknown, "{message}");
        (reason, message)
    };
    let mut receptions = Receptions::default();
    assert_eq!(unknown(&cluster, &receptions).0, "CollectorNotAsked");
    receptions.failed("it is away".to_owned());
    let (reason, message) = unknown(&cluster, &receptions);
    assert!(reason == "CollectorUnreachable" && message.ends_with("not known: it is away"));
    let well = said(Protocol::SFlow, &[("a", Some(1), None)]);
    cluster.see(slice("one", 1));
    assert_eq!(told(&cluster, &["a"], &well).1, "Received");
    cluster.see(slice("two", 1));
    let long = told_at(&cluster, &["a"], &well, in_seconds(120)).unwrap();
    assert_eq!((long.0, long.1), (ConditionStatus::Unknown, "SeveralCollectors"));
}

#[test]
fn two_collectors_for_as_long_as_an_update_takes_change_nothing_of_what_is_said() {
    let mut cluster = cluster(&["a"], sflow());
    let well = said(Protocol::SFlow, &[("a", Some(1), None)]);
    cluster.see(slice("one", 1));
    let before = finding(&cluster, &decided(&cluster), &["a"], &well, start())
        .0
        .unwrap();
    cluster.reported(cluster.settings().source, &[condition(&before)]);
    // The new one is there, and the one before it has not gone yet.
    cluster.see(slice("one", 2));
    let (during, check) = finding(&cluster, &decided(&cluster), &["a"], &well, in_seconds(119));
    assert_eq!((during.as_ref(), check), (Some(&before), Some(in_seconds(120))));
    cluster.see(slice("one", 1));
    assert_eq!(
        told_at(&cluster, &["a"], &well, in_seconds(500)).unwrap().1,
        "Received"
    );
    // The next update has its own time.
    let again = cluster.apply(slice("one", 2), in_seconds(1_000));
    assert_eq!(again, crate::table::ObjectChange::Report);
    assert_eq!(
        told_at(&cluster, &["a"], &well, in_seconds(1_100)).unwrap().1,
        "Received"
    );
}

/// A finding as a condition that stands there.
fn condition(finding: &Finding) -> Condition {
    let status = match finding.status {
        ConditionStatus::True => "True",
        ConditionStatus::False => "False",
        ConditionStatus::Unknown => "Unknown",
    };
    object(
        json!({"type": finding.kind, "status": status, "reason": finding.reason, "message": finding.message,
        "lastTransitionTime": "2026-01-01T00:00:00Z"}),
    )
}

#[test]
fn a_collector_whose_service_was_deleted_is_told_with_what_to_do_until_it_is_there_again() {
    let mut cluster = cluster(&["a"], sflow());
    let nothing = Receptions::default();
    let ports = json!([{"port": 4739, "protocol": "UDP"}]);
    let spec = json!({"clusterIP": "10.96.0.9", "ports": ports});
    let gone = json!({"metadata": {"name": "collector", "namespace": "flows"}, "spec": spec});
    cluster.see(WatchEvent::Service(Event::Delete(object(gone))));
    // It may only have been replaced.
    let decision = decided(&cluster);
    assert_eq!(
        finding(&cluster, &decision, &["a"], &nothing, in_seconds(59)),
        (None, Some(in_seconds(60)))
    );
    let (found, _) = finding(&cluster, &decision, &["a"], &nothing, in_seconds(60));
    let found = found.unwrap();
    assert_eq!(
        (found.status, found.reason),
        (ConditionStatus::False, "CollectorServiceMissing")
    );
    assert!(
        found.message.contains("flows/collector") && found.message.contains("weir install"),
        "{}",
        found.message
    );
    cluster.reported(cluster.settings().source, &[condition(&found)]);
    // The next leader has never seen the Service.
    let mut next = empty().with_collector(CollectorSettings {
        service: Some(("flows".to_owned(), "collector".to_owned())),
        ..CollectorSettings::default()
    });
    add_node(&mut next, "a", "10.0.0.1");
    patch(&mut next, sflow());
    assert_eq!(told_at(&next, &["a"], &nothing, in_seconds(900)), None);
    next.reported(next.settings().source, &[condition(&found)]);
    let told_next = told_at(&next, &["a"], &nothing, in_seconds(900)).unwrap();
    assert_eq!(told_next.1, "CollectorServiceMissing");
    for cluster in [&mut cluster, &mut next] {
        add_service(cluster, "collector", spec.clone());
        assert_eq!(told(cluster, &["a"], &nothing).1, "CollectorNotAsked");
        patch(cluster, json!({"sFlow": {"collectors": ["192.0.2.9:6343"]}}));
        assert_eq!(told_at(cluster, &["a"], &nothing, in_seconds(900)), None);
    }
}

#[test]
fn nodes_that_are_not_received_are_named_with_what_to_look_at() {
    let nodes = ["a", "b", "c", "d"];
    let cluster = cluster(&nodes, sflow());
    let came = [
        ("a", Some(1), None),
        ("b", Some(4_000), None),
        ("c", None, Some(60)),
    ];
    let (status, reason, message) = told(&cluster, &nodes, &said(Protocol::SFlow, &came));
    assert_eq!((status, reason), (ConditionStatus::False, "NotReceived"));
    for words in [
        "of 4 nodes, what 3 send to the collector is not received",
        "datagrams leave b, c, d and none has come for over a day: look for a firewall, a NetworkPolicy",
        "datagrams with the numbers of c come from addresses that are not theirs: something between changes the",
        "only if you know it",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    // What else is wrong with a node is told elsewhere.
    let (status, _, message) = told(&cluster, &["a"], &said(Protocol::SFlow, &came));
    assert_eq!(status, ConditionStatus::True);
    assert_eq!(message, "the collector receives what all 1 nodes send to it");
}

#[test]
fn a_node_that_may_have_no_traffic_is_named_and_is_no_failure() {
    let nodes = ["a", "b"];
    let cluster = cluster(&nodes, json!({"netFlow": {"collectors": [OURS]}}));
    let (status, reason, message) = told(
        &cluster,
        &nodes,
        &said(Protocol::NetFlow, &[("a", Some(1_000), None)]),
    );
    assert_eq!((status, reason), (ConditionStatus::Unknown, "PartlyReceived"));
    assert!(
        message.contains("; nothing has come from b for over a day: a node without traffic"),
        "{message}"
    );
    let (status, reason, _) = told(&cluster, &nodes, &said(Protocol::NetFlow, &[]));
    assert_eq!((status, reason), (ConditionStatus::Unknown, "NothingReceived"));
}

#[test]
fn what_is_said_does_not_change_with_each_answer() {
    let nodes = ["a", "b"];
    let cluster = cluster(&nodes, sflow());
    let at = |a, b| {
        told(
            &cluster,
            &nodes,
            &said(Protocol::SFlow, &[("a", Some(a), None), ("b", Some(b), None)]),
        )
    };
    assert_eq!(at(1, 2), at(60, 100));
    assert_eq!(at(1, 130), at(7, 3_000));
    assert_ne!(at(1, 130), at(1, 3_700), "an hour");
}

#[test]
fn what_was_received_two_days_ago_is_not_received() {
    let nodes = ["a", "b"];
    let cluster = cluster(&nodes, json!({"netFlow": {"collectors": [OURS]}}));
    let days = Some(2 * 86_400);
    let (status, reason, message) = told(
        &cluster,
        &nodes,
        &said(Protocol::NetFlow, &[("a", days, None), ("b", days, None)]),
    );
    assert_eq!((status, reason), (ConditionStatus::Unknown, "NothingReceived"));
    assert!(message.contains("from a, b for over a day"), "{message}");
}

#[test]
fn numbers_of_a_node_from_elsewhere_alone_are_no_failure() {
    let nodes = ["a", "b"];
    let cluster = cluster(&nodes, json!({"netFlow": {"collectors": [OURS]}}));
    let came = [("a", Some(1), None), ("b", None, Some(1))];
    let (status, _, message) = told(&cluster, &nodes, &said(Protocol::NetFlow, &came));
    assert_eq!(status, ConditionStatus::Unknown);
    assert!(
        message.contains("numbers of b come from addresses that are not theirs"),
        "{message}"
    );
}

#[test]
fn what_the_leader_before_found_out_holds_until_there_is_an_answer() {
    let mut cluster = cluster(&["a"], sflow());
    let stored: Condition = object(
        json!({"type": RECEIVED, "status": "False", "reason": "NotReceived",
        "message": "as it was", "lastTransitionTime": "2026-01-01T00:00:00Z"}),
    );
    cluster.reported(cluster.settings().source, &[stored]);
    let mut receptions = Receptions::default();
    let (status, reason, message) = told(&cluster, &["a"], &receptions);
    assert_eq!(
        (status, reason, message.as_str()),
        (ConditionStatus::False, "NotReceived", "as it was")
    );
    receptions.failed("it is away".to_owned());
    assert_eq!(told(&cluster, &["a"], &receptions).1, "CollectorUnreachable");
}

#[test]
fn replicas_that_cannot_be_listed_are_not_one() {
    let well = said(Protocol::SFlow, &[("a", Some(1), None)]);
    let mut cluster = empty().with_collector(CollectorSettings {
        service: Some(("flows".to_owned(), "collector".to_owned())),
        addresses: vec!["10.96.0.9".parse().unwrap()],
    });
    add_node(&mut cluster, "a", "10.0.0.1");
    patch(&mut cluster, sflow());
    let (status, _, message) = told(&cluster, &[], &well);
    assert_eq!(status, ConditionStatus::Unknown);
    assert!(message.contains("weir-controller-collector"), "{message}");
}
