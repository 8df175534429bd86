use super::*;
use crate::fixture::{add_node, add_service, empty, node, object, patch, remove_node};
use serde_json::{Value, json};

fn export(generation: i64, spec: Value, status: Value) -> NodeFlowExport {
    object(json!({
        "apiVersion": "weir.dev/v1alpha1",
        "kind": "NodeFlowExport",
        "metadata": {"name": "a", "uid": "u", "generation": generation},
        "spec": spec,
        "status": status,
    }))
}

fn shown(export: &NodeFlowExport) -> WatchEvent {
    WatchEvent::Export(Event::Apply(Guarded(Ok(export.clone()))))
}

fn profile(name: &str) -> Value {
    json!({"profile": name})
}

#[test]
fn what_was_not_listed_yet_is_named() {
    let mut cluster = ClusterState::default();
    assert_eq!(cluster.missing().len(), 7);
    cluster.see(WatchEvent::Node(Event::InitDone));
    assert!(!cluster.missing().contains(&"nodes"));
    assert!(empty().missing().is_empty());
}

#[test]
fn a_heartbeat_of_a_node_changes_nothing() {
    let mut cluster = empty();
    assert_eq!(add_node(&mut cluster, "a", "10.0.0.1"), ObjectChange::Plan);
    let mut beat = node("a", "10.0.0.1");
    beat["metadata"]["resourceVersion"] = json!("99");
    beat["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    assert_eq!(
        cluster.see(WatchEvent::Node(Event::Apply(object(beat)))),
        ObjectChange::Nothing
    );
    assert_eq!(add_node(&mut cluster, "a", "10.0.0.9"), ObjectChange::Plan);
    assert_eq!(remove_node(&mut cluster, "a"), ObjectChange::Plan);
}

#[test]
fn only_a_change_of_the_flows_in_the_network_is_a_change_of_plan() {
    let mut cluster = empty();
    let network = |generation: i64, extra: &str, kind: &str| {
        WatchEvent::Network(Event::Apply(object(json!({
            "metadata": {"name": "cluster", "generation": generation},
            "spec": {"logLevel": extra, "exportNetworkFlows": {"netFlow": {}}},
            "status": {"conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            ]},
        }))))
    };
    assert_eq!(cluster.see(network(1, "Normal", "Available")), ObjectChange::Plan);
    assert_eq!(
        cluster.see(network(1, "Normal", "Degraded")),
        ObjectChange::Nothing
    );
    assert_eq!(cluster.see(network(2, "Debug", "Degraded")), ObjectChange::Report);
    assert_eq!(
        cluster.see(network(2, "Debug", crate::rollup::DEGRADED)),
        ObjectChange::Report
    );
    assert_eq!(patch(&mut cluster, json!(null)), ObjectChange::Plan);
}

#[test]
fn a_network_of_another_name_does_not_count() {
    let mut cluster = empty();
    cluster.see(WatchEvent::Network(Event::Apply(object(json!({
        "metadata": {"name": "other"},
        "spec": {"exportNetworkFlows": {"netFlow": {"collectors": ["10.0.0.1:1"]}}},
    })))));
    assert_eq!(cluster.flows(), None);
}

#[test]
fn services_matter_when_they_are_named() {
    let mut cluster = empty();
    let cluster_ip = |address: &str| json!({"clusterIP": address});
    assert_eq!(
        add_service(&mut cluster, "c", cluster_ip("10.96.0.1")),
        ObjectChange::Nothing
    );
    patch(
        &mut cluster,
        json!({"ipfix": {"collectors": ["c.flows.svc:4739"]}}),
    );
    assert_eq!(cluster.service("flows", "c"), Ok(IpAddr::from([10, 96, 0, 1])));
    assert_eq!(
        add_service(&mut cluster, "c", cluster_ip("10.96.0.1")),
        ObjectChange::Nothing
    );
    assert_eq!(
        add_service(&mut cluster, "c", cluster_ip("10.96.0.2")),
        ObjectChange::Plan
    );
    assert_eq!(
        add_service(&mut cluster, "other", cluster_ip("10.96.0.3")),
        ObjectChange::Nothing
    );
}

#[test]
fn a_service_that_the_config_map_names_matters() {
    let mut cluster = empty();
    cluster.see(WatchEvent::FlowsConfig(Event::Apply(object(json!({
        "metadata": {"name": flows_config::NAME, "namespace": flows_config::NAMESPACE},
        "data": {"sharedTarget": "c.flows.svc:4739"},
    })))));
    assert_eq!(
        add_service(&mut cluster, "c", json!({"clusterIP": "10.96.0.1"})),
        ObjectChange::Plan
    );
}

#[test]
fn a_service_without_an_address_says_why() {
    let mut cluster = empty();
    let cases = [
        (json!({"clusterIP": "None"}), "headless"),
        (
            json!({"type": "ExternalName", "externalName": "example.com"}),
            "ExternalName",
        ),
        (json!({"clusterIP": ""}), "no ClusterIP"),
        (json!({}), "no ClusterIP"),
    ];
    for (spec, reason) in cases {
        add_service(&mut cluster, "c", spec);
        assert!(cluster.service("flows", "c").unwrap_err().contains(reason));
    }
    assert!(
        cluster
            .service("flows", "gone")
            .unwrap_err()
            .contains("does not exist")
    );
}

#[test]
fn the_status_of_an_export_is_reported_and_its_spec_is_planned() {
    let mut cluster = empty();
    let first = export(1, profile("x"), json!(null));
    assert_eq!(cluster.see(shown(&first)), ObjectChange::Plan);
    assert_eq!(cluster.see(shown(&first)), ObjectChange::Nothing);
    let reported = export(1, profile("x"), json!({"observedGeneration": 1}));
    assert_eq!(cluster.see(shown(&reported)), ObjectChange::Report);
    assert_eq!(
        cluster.see(shown(&export(2, profile("y"), json!(null)))),
        ObjectChange::Plan
    );
}

#[test]
fn what_export_costs_a_node_is_no_news() {
    let mut cluster = empty();
    let status = |lost: u32| json!({"observedGeneration": 1, "cost": {"lostPerSecond": lost}});
    cluster.see(shown(&export(1, profile("x"), status(1))));
    assert_eq!(
        cluster.see(shown(&export(1, profile("x"), status(2)))),
        ObjectChange::Nothing
    );
}

#[test]
fn the_answer_to_a_write_counts_until_the_watch_has_caught_up() {
    let mut cluster = empty();
    cluster.see(shown(&export(1, profile("x"), json!(null))));
    cluster.wrote(export(2, profile("y"), json!(null)));
    let late = export(1, profile("x"), json!({"observedGeneration": 1}));
    assert_eq!(cluster.see(shown(&late)), ObjectChange::Nothing);
    assert_eq!(cluster.export("a").unwrap().spec.profile.as_deref(), Some("y"));
    assert_eq!(
        cluster.see(shown(&export(2, profile("y"), json!(null)))),
        ObjectChange::Nothing
    );
}

#[test]
fn a_late_answer_takes_no_newer_status_away() {
    let mut cluster = empty();
    cluster.see(shown(&export(2, profile("y"), json!({"observedGeneration": 2}))));
    cluster.wrote(export(2, profile("y"), json!(null)));
    assert!(cluster.export("a").unwrap().status.is_some());
}

#[test]
fn a_late_answer_brings_no_deleted_object_back() {
    let mut cluster = empty();
    let gone = export(1, profile("x"), json!(null));
    cluster.see(WatchEvent::Export(Event::Delete(Guarded(Ok(gone.clone())))));
    cluster.wrote(gone);
    assert!(cluster.export("a").is_none());
}

#[test]
fn the_source_that_is_not_read_and_the_pods_are_no_reason_to_wait() {
    let settings = SourceSettings {
        source: FlowSource::FlowExport,
        ..Default::default()
    };
    assert!(ClusterState::new(settings).missing().contains(&"flowexports"));
    assert!(!ClusterState::new(settings).missing().contains(&"networks"));
    assert!(empty().daemons().is_none());
}

#[test]
fn whether_a_node_is_ready_is_told_and_changes_no_plan() {
    let mut cluster = empty();
    add_node(&mut cluster, "a", "10.0.0.1");
    let mut off = node("a", "10.0.0.1");
    off["status"]["conditions"] = json!([{"type": "Ready", "status": "Unknown"}]);
    let off = WatchEvent::Node(Event::Apply(object(off)));
    assert_eq!(cluster.see(off), ObjectChange::Report);
    assert!(!cluster.node("a").unwrap().ready);
}

#[test]
fn a_node_that_is_gone_is_forgotten() {
    let mut cluster = empty();
    add_node(&mut cluster, "a", "10.0.0.1");
    let pod =
        || object(json!({"metadata": {"name": "weir-node-a"}, "spec": {"nodeName": "a", "containers": []}}));
    cluster.see(WatchEvent::Daemon(Event::InitDone));
    cluster.see(WatchEvent::Daemon(Event::Apply(pod())));
    cluster.see(WatchEvent::Daemon(Event::Delete(pod())));
    assert!(cluster.left_by_daemon("a").is_some());
    remove_node(&mut cluster, "a");
    assert!(cluster.left_by_daemon("a").is_none());
    // The pod of a node that is gone goes later.
    cluster.see(WatchEvent::Daemon(Event::Apply(pod())));
    cluster.see(WatchEvent::Daemon(Event::Delete(pod())));
    assert!(cluster.left_by_daemon("a").is_none());
}
