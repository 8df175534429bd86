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

fn shown(export: &NodeFlowExport) -> Sight {
    Sight::Export(Event::Apply(DeserializeGuard(Ok(export.clone()))))
}

fn profile(name: &str) -> Value {
    json!({"profile": name})
}

#[test]
fn what_was_not_listed_yet_is_named() {
    let mut world = World::default();
    assert_eq!(world.missing().len(), 6);
    world.see(Sight::Node(Event::InitDone));
    assert!(!world.missing().contains(&"nodes"));
    assert!(empty().missing().is_empty());
}

#[test]
fn a_node_has_its_first_internal_address_and_else_its_first_external_one() {
    let addresses = |list: Value| {
        read_node(object(
            json!({"metadata": {"name": "n"}, "status": {"addresses": list}}),
        ))
        .facts
        .address
        .map(|a| a.to_string())
    };
    let external = json!({"type": "ExternalIP", "address": "192.0.2.1"});
    let internal = json!({"type": "InternalIP", "address": "10.0.0.1"});
    let second = json!({"type": "InternalIP", "address": "fd00::1"});
    assert_eq!(
        addresses(json!([external, internal, second])).as_deref(),
        Some("10.0.0.1")
    );
    assert_eq!(addresses(json!([external])).as_deref(), Some("192.0.2.1"));
    assert_eq!(
        addresses(json!([{"type": "Hostname", "address": "10.0.0.2"}])),
        None
    );
}

#[test]
fn a_heartbeat_of_a_node_changes_nothing() {
    let mut world = empty();
    assert_eq!(add_node(&mut world, "a", "10.0.0.1"), Change::Plan);
    let mut beat = node("a", "10.0.0.1");
    beat["metadata"]["resourceVersion"] = json!("99");
    beat["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    assert_eq!(
        world.see(Sight::Node(Event::Apply(object(beat)))),
        Change::Nothing
    );
    assert_eq!(add_node(&mut world, "a", "10.0.0.9"), Change::Plan);
    assert_eq!(remove_node(&mut world, "a"), Change::Plan);
}

#[test]
fn only_a_change_of_the_flows_in_the_network_is_a_change_of_plan() {
    let mut world = empty();
    let network = |generation: i64, extra: &str, kind: &str| {
        Sight::Network(Event::Apply(object(json!({
            "metadata": {"name": "cluster", "generation": generation},
            "spec": {"logLevel": extra, "exportNetworkFlows": {"netFlow": {}}},
            "status": {"conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            ]},
        }))))
    };
    assert_eq!(world.see(network(1, "Normal", "Available")), Change::Plan);
    assert_eq!(world.see(network(1, "Normal", "Degraded")), Change::Nothing);
    assert_eq!(world.see(network(2, "Debug", "Degraded")), Change::Report);
    assert_eq!(world.see(network(2, "Debug", rollup::DEGRADED)), Change::Report);
    assert_eq!(patch(&mut world, json!(null)), Change::Plan);
}

#[test]
fn a_network_of_another_name_does_not_count() {
    let mut world = empty();
    world.see(Sight::Network(Event::Apply(object(json!({
        "metadata": {"name": "other"},
        "spec": {"exportNetworkFlows": {"netFlow": {"collectors": ["10.0.0.1:1"]}}},
    })))));
    assert_eq!(world.flows(), None);
}

#[test]
fn services_matter_when_they_are_named() {
    let mut world = empty();
    let cluster_ip = |address: &str| json!({"clusterIP": address});
    assert_eq!(
        add_service(&mut world, "c", cluster_ip("10.96.0.1")),
        Change::Nothing
    );
    patch(&mut world, json!({"ipfix": {"collectors": ["c.flows.svc:4739"]}}));
    assert_eq!(world.service("flows", "c"), Ok(IpAddr::from([10, 96, 0, 1])));
    assert_eq!(
        add_service(&mut world, "c", cluster_ip("10.96.0.1")),
        Change::Nothing
    );
    assert_eq!(
        add_service(&mut world, "c", cluster_ip("10.96.0.2")),
        Change::Plan
    );
    assert_eq!(
        add_service(&mut world, "other", cluster_ip("10.96.0.3")),
        Change::Nothing
    );
}

#[test]
fn a_service_that_the_config_map_names_matters() {
    let mut world = empty();
    world.see(Sight::FlowsConfig(Event::Apply(object(json!({
        "metadata": {"name": flows_config::NAME, "namespace": flows_config::NAMESPACE},
        "data": {"sharedTarget": "c.flows.svc:4739"},
    })))));
    assert_eq!(
        add_service(&mut world, "c", json!({"clusterIP": "10.96.0.1"})),
        Change::Plan
    );
}

#[test]
fn a_service_without_an_address_says_why() {
    let mut world = empty();
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
        add_service(&mut world, "c", spec);
        assert!(world.service("flows", "c").unwrap_err().contains(reason));
    }
    assert!(
        world
            .service("flows", "gone")
            .unwrap_err()
            .contains("does not exist")
    );
}

#[test]
fn the_status_of_an_export_is_reported_and_its_spec_is_planned() {
    let mut world = empty();
    let first = export(1, profile("x"), json!(null));
    assert_eq!(world.see(shown(&first)), Change::Plan);
    assert_eq!(world.see(shown(&first)), Change::Nothing);
    let reported = export(1, profile("x"), json!({"observedGeneration": 1}));
    assert_eq!(world.see(shown(&reported)), Change::Report);
    assert_eq!(
        world.see(shown(&export(2, profile("y"), json!(null)))),
        Change::Plan
    );
}

#[test]
fn the_answer_to_a_write_counts_until_the_watch_has_caught_up() {
    let mut world = empty();
    world.see(shown(&export(1, profile("x"), json!(null))));
    world.wrote(export(2, profile("y"), json!(null)));
    let late = export(1, profile("x"), json!({"observedGeneration": 1}));
    assert_eq!(world.see(shown(&late)), Change::Nothing);
    assert_eq!(world.export("a").unwrap().spec.profile.as_deref(), Some("y"));
    assert_eq!(
        world.see(shown(&export(2, profile("y"), json!(null)))),
        Change::Nothing
    );
}

#[test]
fn a_late_answer_takes_no_newer_status_away() {
    let mut world = empty();
    world.see(shown(&export(2, profile("y"), json!({"observedGeneration": 2}))));
    world.wrote(export(2, profile("y"), json!(null)));
    assert!(world.export("a").unwrap().status.is_some());
}

#[test]
fn a_late_answer_brings_no_deleted_object_back() {
    let mut world = empty();
    let gone = export(1, profile("x"), json!(null));
    world.see(Sight::Export(Event::Delete(DeserializeGuard(Ok(gone.clone())))));
    world.wrote(gone);
    assert!(world.export("a").is_none());
}
