use super::*;
use crate::fixture::{add_node, add_service, empty, object, patch, remove_node};
use crate::object::export;
use crate::world::Sight;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

/// Does what the decision asks for, as the API server would.
fn carry_out(world: &mut World, decision: &Decision) {
    for node in &decision.applies {
        let mut export = export(node, &decision.wanted[node]);
        export.metadata.uid = Some(format!("export-{node}"));
        see_export(world, export);
    }
}

fn see_export(world: &mut World, export: NodeFlowExport) {
    world.see(Sight::Export(Event::Apply(DeserializeGuard(Ok(export)))));
}

fn see_profile(world: &mut World, name: &str, spec: Value) {
    let profile = object(json!({"metadata": {"name": name}, "spec": spec}));
    world.see(Sight::Profile(Event::Apply(profile)));
}

fn see_flows_config(world: &mut World, data: Value) {
    let metadata = json!({"name": flows_config::NAME, "namespace": flows_config::NAMESPACE});
    let map = object(json!({"metadata": metadata, "data": data}));
    world.see(Sight::FlowsConfig(Event::Apply(map)));
}

fn two_nodes() -> World {
    let mut world = empty();
    add_node(&mut world, "a", "10.0.0.1");
    add_node(&mut world, "b", "10.0.0.2");
    world
}

fn targets(decision: &Decision, node: &str) -> Vec<String> {
    let bridge = &decision.wanted[node].spec.bridges[0];
    bridge
        .net_flow
        .as_ref()
        .map(|n| n.targets.clone())
        .unwrap_or_default()
}

fn id(decision: &Decision, node: &str) -> u32 {
    decision.wanted[node].spec.bridges[0].exporter_id
}

#[test]
fn every_node_gets_a_spec_even_where_there_is_no_network() {
    let decision = decide(&two_nodes());
    assert_eq!(decision.applies, ["a", "b"]);
    assert!(decision.wanted.values().all(|w| !w.spec.exports_anything()));
    assert_eq!(decision.wanted["a"].node_uid, "uid-a");
}

#[test]
fn a_patch_reaches_every_node_with_its_own_address() {
    let mut world = two_nodes();
    patch(
        &mut world,
        json!({"netFlow": {"collectors": ["192.0.2.9:2056", ":2055"]}}),
    );
    let decision = decide(&world);
    assert_eq!(targets(&decision, "a"), ["192.0.2.9:2056", "10.0.0.1:2055"]);
    assert_eq!(targets(&decision, "b"), ["192.0.2.9:2056", "10.0.0.2:2055"]);
    assert!(decision.problems.is_empty());
}

#[test]
fn what_is_in_place_is_not_written_again() {
    let mut world = two_nodes();
    patch(&mut world, json!({"netFlow": {"collectors": ["192.0.2.9:2056"]}}));
    let decision = decide(&world);
    carry_out(&mut world, &decision);
    let again = decide(&world);
    assert_eq!((again.applies.len(), again.deletes.len()), (0, 0));
    assert_eq!(again.wanted, decision.wanted);
}

#[test]
fn a_spec_that_somebody_changed_is_put_right() {
    let mut world = two_nodes();
    let decision = decide(&world);
    carry_out(&mut world, &decision);
    let mut changed = world.export("a").unwrap().clone();
    changed.spec.bridges.clear();
    see_export(&mut world, changed);
    assert_eq!(decide(&world).applies, ["a"]);
}

#[test]
fn a_node_that_was_made_anew_owns_its_object() {
    let mut world = two_nodes();
    let decision = decide(&world);
    carry_out(&mut world, &decision);
    let anew = json!({"metadata": {"name": "a", "uid": "another"}});
    world.see(Sight::Node(Event::Apply(object(anew))));
    let decision = decide(&world);
    assert_eq!(decision.applies, ["a"]);
    assert_eq!(decision.wanted["a"].node_uid, "another");
}

#[test]
fn exporter_ids_outlive_a_restart_and_are_never_shared() {
    let mut world = two_nodes();
    let before = decide(&world);
    carry_out(&mut world, &before);
    add_node(&mut world, "Aardvark", "10.0.0.3");
    let after = decide(&world);
    assert_eq!((id(&after, "a"), id(&after, "b")), (1, 2));
    assert_eq!(id(&after, "Aardvark"), 3);
    remove_node(&mut world, "a");
    assert_eq!(id(&decide(&world), "b"), 2);
}

#[test]
fn objects_of_nodes_that_are_gone_are_deleted_when_they_are_ours() {
    let mut world = two_nodes();
    let decision = decide(&world);
    carry_out(&mut world, &decision);
    let foreign = json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport",
        "metadata": {"name": "by-hand", "uid": "x"}, "spec": {},
    });
    see_export(&mut world, object(foreign));
    remove_node(&mut world, "b");
    assert_eq!(decide(&world).deletes, [("b".to_owned(), "export-b".to_owned())]);
}

#[test]
fn a_service_is_followed() {
    let mut world = two_nodes();
    patch(
        &mut world,
        json!({"netFlow": {"collectors": ["c.flows.svc:2055", "192.0.2.9:2056"]}}),
    );
    let without = decide(&world);
    assert_eq!(targets(&without, "a"), ["192.0.2.9:2056"]);
    assert!(without.problems[0].contains("collectors[0] \"c.flows.svc:2055\" names a Service that does not"));
    for address in ["10.96.0.1", "10.96.0.2"] {
        add_service(&mut world, "c", json!({"clusterIP": address}));
        let decision = decide(&world);
        assert_eq!(targets(&decision, "a")[0], format!("{address}:2055"));
        assert!(decision.problems.is_empty());
    }
}

#[test]
fn the_config_map_is_merged_and_its_nonsense_is_named() {
    let mut world = two_nodes();
    see_flows_config(&mut world, json!({"nodePort": "4739", "sampling": "many"}));
    let decision = decide(&world);
    let ipfix = decision.wanted["b"].spec.bridges[0].ipfix.clone().unwrap();
    assert_eq!(ipfix.targets, ["10.0.0.2:4739"]);
    assert_eq!(decision.problems.len(), 1);
    assert!(
        decision.problems[0].starts_with("ConfigMap openshift-network-operator/ovs-flows-config sampling")
    );
}

#[test]
fn a_profile_serves_the_nodes_that_it_selects() {
    let mut world = two_nodes();
    let selector = json!({"matchLabels": {"name": "b"}});
    see_profile(
        &mut world,
        "edge",
        json!({"nodeSelector": selector, "bridges": ["br-int", "br-ex"]}),
    );
    let decision = decide(&world);
    assert_eq!(decision.wanted["a"].spec.profile, None);
    let spec = &decision.wanted["b"].spec;
    assert_eq!(spec.profile.as_deref(), Some("edge"));
    let ids: BTreeSet<u32> = spec.bridges.iter().map(|b| b.exporter_id).collect();
    assert_eq!(ids, [2, 3].into());
}

#[test]
fn a_malformed_selector_is_named_and_selects_nothing() {
    let mut world = two_nodes();
    let selector = json!({"matchExpressions": [{"key": "k", "operator": "Near", "values": ["v"]}]});
    see_profile(&mut world, "bad", json!({"nodeSelector": selector}));
    let decision = decide(&world);
    assert_eq!(decision.wanted["a"].spec.profile, None);
    assert!(
        decision.problems[0].starts_with("ExportProfile bad selects no node"),
        "{:?}",
        decision.problems
    );
}

#[test]
fn a_bad_entry_is_named_once_and_the_others_still_count() {
    let mut world = two_nodes();
    patch(
        &mut world,
        json!({"netFlow": {"collectors": ["10.0.0.09:2055", "192.0.2.9:2056"]}}),
    );
    let decision = decide(&world);
    assert_eq!(targets(&decision, "b"), ["192.0.2.9:2056"]);
    assert_eq!(decision.problems.len(), 1);
    assert!(decision.problems[0].contains("netFlow.collectors[0] \"10.0.0.09:2055\""));
}

#[test]
fn a_node_without_an_address_is_named_for_each_entry_that_needs_one() {
    let mut world = two_nodes();
    add_node(&mut world, "c", "");
    patch(&mut world, json!({"netFlow": {"collectors": [":2055"]}}));
    let decision = decide(&world);
    assert_eq!(decision.problems.len(), 1);
    assert!(decision.problems[0].contains("node c has none"));
    assert!(!decision.wanted["c"].spec.exports_anything());
}
