use super::*;
use crate::cluster_state::WatchEvent;
use crate::fixture::{add_node, add_service, decided, empty, object, patch, remove_node, start};
use crate::guarded::Guarded;
use crate::object::export;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

/// Does what the decision asks for, as the API server would.
fn carry_out(cluster: &mut ClusterState, decision: &Decision) {
    for node in &decision.applies {
        let mut export = export(node, &decision.wanted[node]);
        export.metadata.uid = Some(format!("export-{node}"));
        apply_export(cluster, export);
    }
}

fn apply_export(cluster: &mut ClusterState, export: NodeFlowExport) {
    cluster.see(WatchEvent::Export(Event::Apply(Guarded(Ok(export)))));
}

fn apply_profile(cluster: &mut ClusterState, name: &str, spec: Value) {
    let profile = object(json!({"metadata": {"name": name}, "spec": spec}));
    cluster.see(WatchEvent::Profile(Event::Apply(profile)));
}

fn apply_flows_config(cluster: &mut ClusterState, data: Value) {
    let metadata = json!({"name": flows_config::NAME, "namespace": flows_config::NAMESPACE});
    let map = object(json!({"metadata": metadata, "data": data}));
    cluster.see(WatchEvent::FlowsConfig(Event::Apply(map)));
}

fn two_nodes() -> ClusterState {
    let mut cluster = empty();
    add_node(&mut cluster, "a", "10.0.0.1");
    add_node(&mut cluster, "b", "10.0.0.2");
    cluster
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
    let decision = decided(&two_nodes());
    assert_eq!(decision.applies, ["a", "b"]);
    assert!(decision.wanted.values().all(|w| !w.spec.exports_anything()));
    assert_eq!(decision.wanted["a"].node_uid, "uid-a");
}

#[test]
fn a_patch_reaches_every_node_with_its_own_address() {
    let mut cluster = two_nodes();
    patch(
        &mut cluster,
        json!({"netFlow": {"collectors": ["192.0.2.9:2056", ":2055"]}}),
    );
    let decision = decided(&cluster);
    assert_eq!(targets(&decision, "a"), ["192.0.2.9:2056", "10.0.0.1:2055"]);
    assert_eq!(targets(&decision, "b"), ["192.0.2.9:2056", "10.0.0.2:2055"]);
    assert!(decision.problems.is_empty());
}

#[test]
fn what_is_in_place_is_not_written_again() {
    let mut cluster = two_nodes();
    patch(
        &mut cluster,
        json!({"netFlow": {"collectors": ["192.0.2.9:2056"]}}),
    );
    let decision = decided(&cluster);
    carry_out(&mut cluster, &decision);
    let again = decided(&cluster);
    assert_eq!((again.applies.len(), again.deletes.len()), (0, 0));
    assert_eq!(again.wanted, decision.wanted);
}

#[test]
fn a_spec_that_somebody_changed_is_put_right() {
    let mut cluster = two_nodes();
    patch(&mut cluster, json!(null));
    let decision = decided(&cluster);
    carry_out(&mut cluster, &decision);
    let mut changed = cluster.export("a").unwrap().clone();
    changed.spec.bridges.clear();
    apply_export(&mut cluster, changed);
    assert_eq!(decided(&cluster).applies, ["a"]);
}

#[test]
fn a_node_that_was_made_anew_owns_its_object() {
    let mut cluster = two_nodes();
    let decision = decided(&cluster);
    carry_out(&mut cluster, &decision);
    let anew = json!({"metadata": {"name": "a", "uid": "another"}});
    cluster.see(WatchEvent::Node(Event::Apply(object(anew))));
    let decision = decided(&cluster);
    assert_eq!(decision.applies, ["a"]);
    assert_eq!(decision.wanted["a"].node_uid, "another");
}

#[test]
fn exporter_ids_outlive_a_restart_and_are_never_shared() {
    let mut cluster = two_nodes();
    let before = decided(&cluster);
    carry_out(&mut cluster, &before);
    add_node(&mut cluster, "Aardvark", "10.0.0.3");
    let after = decided(&cluster);
    assert_eq!((id(&after, "a"), id(&after, "b")), (1, 2));
    assert_eq!(id(&after, "Aardvark"), 3);
    remove_node(&mut cluster, "a");
    assert_eq!(id(&decided(&cluster), "b"), 2);
}

#[test]
fn the_number_of_a_node_that_is_gone_rests_and_waits_for_it_alone() {
    let mut cluster = two_nodes();
    let decision = decided(&cluster);
    carry_out(&mut cluster, &decision);
    remove_node(&mut cluster, "a");
    let gone = cluster.export("a").unwrap().clone();
    cluster.see(WatchEvent::Export(Event::Delete(Guarded(Ok(gone)))));
    add_node(&mut cluster, "c", "10.0.0.3");
    assert_eq!(id(&decided(&cluster), "c"), 3);
    let hour = k8s_openapi::jiff::SignedDuration::from_hours(1);
    assert_eq!(id(&decide(&cluster, start() + hour), "c"), 1);
    add_node(&mut cluster, "a", "10.0.0.1");
    assert_eq!((id(&decided(&cluster), "a"), id(&decided(&cluster), "c")), (1, 3));
}

#[test]
fn objects_of_nodes_that_are_gone_are_deleted_when_they_are_ours() {
    let mut cluster = two_nodes();
    let decision = decided(&cluster);
    carry_out(&mut cluster, &decision);
    let foreign = json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport",
        "metadata": {"name": "by-hand", "uid": "x"}, "spec": {},
    });
    apply_export(&mut cluster, object(foreign));
    remove_node(&mut cluster, "b");
    assert_eq!(
        decided(&cluster).deletes,
        [("b".to_owned(), "export-b".to_owned())]
    );
}

#[test]
fn a_service_is_followed() {
    let mut cluster = two_nodes();
    patch(
        &mut cluster,
        json!({"netFlow": {"collectors": ["c.flows.svc:2055", "192.0.2.9:2056"]}}),
    );
    let without = decided(&cluster);
    assert_eq!(targets(&without, "a"), ["192.0.2.9:2056"]);
    assert!(without.problems[0].contains("collectors[0] \"c.flows.svc:2055\" names a Service that does not"));
    for address in ["10.96.0.1", "10.96.0.2"] {
        add_service(&mut cluster, "c", json!({"clusterIP": address}));
        let decision = decided(&cluster);
        assert_eq!(targets(&decision, "a")[0], format!("{address}:2055"));
        assert!(decision.problems.is_empty());
    }
}

#[test]
fn the_config_map_is_merged_and_its_nonsense_is_named() {
    let mut cluster = two_nodes();
    patch(&mut cluster, json!(null));
    apply_flows_config(&mut cluster, json!({"nodePort": "4739", "sampling": "many"}));
    let decision = decided(&cluster);
    let ipfix = decision.wanted["b"].spec.bridges[0].ipfix.clone().unwrap();
    assert_eq!(ipfix.targets, ["10.0.0.2:4739"]);
    assert_eq!(decision.problems.len(), 1);
    assert!(
        decision.problems[0].starts_with("ConfigMap openshift-network-operator/ovs-flows-config sampling")
    );
}

#[test]
fn a_profile_serves_the_nodes_that_it_selects() {
    let mut cluster = two_nodes();
    let selector = json!({"matchLabels": {"name": "b"}});
    apply_profile(
        &mut cluster,
        "edge",
        json!({"nodeSelector": selector, "bridges": ["br-int", "br-ex"]}),
    );
    let decision = decided(&cluster);
    assert_eq!(decision.wanted["a"].spec.profile, None);
    let spec = &decision.wanted["b"].spec;
    assert_eq!(spec.profile.as_deref(), Some("edge"));
    let ids: BTreeSet<u32> = spec.bridges.iter().map(|b| b.exporter_id).collect();
    assert_eq!(ids, [2, 3].into());
}

#[test]
fn a_malformed_selector_is_named_and_selects_nothing() {
    let mut cluster = two_nodes();
    let selector = json!({"matchExpressions": [{"key": "k", "operator": "Near", "values": ["v"]}]});
    apply_profile(&mut cluster, "bad", json!({"nodeSelector": selector}));
    let decision = decided(&cluster);
    assert_eq!(decision.wanted["a"].spec.profile, None);
    assert!(
        decision.problems[0].starts_with("ExportProfile bad selects no node"),
        "{:?}",
        decision.problems
    );
}

#[test]
fn a_bad_entry_is_named_once_and_the_others_still_count() {
    let mut cluster = two_nodes();
    patch(
        &mut cluster,
        json!({"netFlow": {"collectors": ["10.0.0.09:2055", "192.0.2.9:2056"]}}),
    );
    let decision = decided(&cluster);
    assert_eq!(targets(&decision, "b"), ["192.0.2.9:2056"]);
    assert_eq!(decision.problems.len(), 1);
    assert!(decision.problems[0].contains("netFlow.collectors[0] \"10.0.0.09:2055\""));
}

#[test]
fn a_node_without_an_address_is_named_for_each_entry_that_needs_one() {
    let mut cluster = two_nodes();
    add_node(&mut cluster, "c", "");
    patch(&mut cluster, json!({"netFlow": {"collectors": [":2055"]}}));
    let decision = decided(&cluster);
    assert_eq!(decision.problems.len(), 1);
    assert!(decision.problems[0].contains("node c has none"));
    assert!(!decision.wanted["c"].spec.exports_anything());
}

/// Two nodes that export to one collector, as decided and written.
fn exporting() -> ClusterState {
    let mut cluster = two_nodes();
    patch(
        &mut cluster,
        json!({"netFlow": {"collectors": ["192.0.2.9:2056"]}}),
    );
    let decision = decided(&cluster);
    carry_out(&mut cluster, &decision);
    cluster
}

fn delete_network(cluster: &mut ClusterState) {
    let network = object(json!({"metadata": {"name": "cluster"}, "spec": {}}));
    cluster.see(WatchEvent::Network(Event::Delete(network)));
}

#[test]
fn without_its_source_every_node_keeps_what_it_exports() {
    let mut cluster = exporting();
    delete_network(&mut cluster);
    add_node(&mut cluster, "c", "10.0.0.3");
    let decision = decided(&cluster);
    assert!(decision.holds);
    assert_eq!(decision.applies, ["c"]);
    assert_eq!(targets(&decision, "a"), ["192.0.2.9:2056"]);
    assert!(!decision.wanted["c"].spec.exports_anything());
    let ids: BTreeSet<u32> = ["a", "b", "c"].map(|node| id(&decision, node)).into();
    assert_eq!(ids.len(), 3);
    // Deleting the field is removal, at once.
    patch(&mut cluster, json!(null));
    let decision = decided(&cluster);
    assert!(!decision.holds && decision.wanted.values().all(|w| !w.spec.exports_anything()));
}

#[test]
fn a_source_that_was_never_readable_takes_nothing_away() {
    let mut cluster = exporting();
    delete_network(&mut cluster);
    let broken = object(json!({"metadata": {"name": "cluster"}, "spec": {"exportNetworkFlows": 7}}));
    cluster.see(WatchEvent::Network(Event::Apply(broken)));
    let decision = decided(&cluster);
    assert!(decision.holds && decision.applies.is_empty());
    assert!(decision.unreadable[0].contains("the Network cluster cannot be read"));
}

#[test]
fn a_source_that_cannot_be_read_is_no_absent_one_also_while_it_is_listed_after_a_restart() {
    let settings = crate::source::SourceSettings {
        on_deleted: OnSourceDeleted::Remove,
        ..Default::default()
    };
    let before = exporting();
    let mut cluster = ClusterState::new(settings);
    for name in ["a", "b"] {
        add_node(&mut cluster, name, "10.0.0.1");
        apply_export(&mut cluster, before.export(name).unwrap().clone());
    }
    let broken = || {
        object(json!({
            "metadata": {"name": "cluster", "uid": "u", "generation": 9},
            "spec": {"exportNetworkFlows": 7},
        }))
    };
    let events = [Event::Init, Event::InitApply(broken()), Event::InitDone];
    for event in events
        .into_iter()
        .chain([Event::Init, Event::InitApply(broken())])
    {
        let listed = matches!(event, Event::InitDone);
        cluster.see(WatchEvent::Network(event));
        if listed || cluster.unreadable_source().is_some() {
            assert_eq!(targets(&decided(&cluster), "a"), ["192.0.2.9:2056"]);
        }
    }
    assert!(decided(&cluster).holds);
    let shown = cluster.shown_source().unwrap();
    assert_eq!((shown.uid.as_deref(), shown.generation), (Some("u"), Some(9)));
    delete_network(&mut cluster);
    assert!(targets(&decided(&cluster), "a").is_empty());
}

#[test]
fn without_its_source_nothing_is_exported_where_that_was_asked_for() {
    let settings = crate::source::SourceSettings {
        on_deleted: OnSourceDeleted::Remove,
        ..Default::default()
    };
    let mut cluster = ClusterState::new(settings);
    add_node(&mut cluster, "a", "10.0.0.1");
    patch(
        &mut cluster,
        json!({"netFlow": {"collectors": ["192.0.2.9:2056"]}}),
    );
    let decision = decided(&cluster);
    carry_out(&mut cluster, &decision);
    delete_network(&mut cluster);
    let decision = decided(&cluster);
    assert!(!decision.holds && !decision.wanted["a"].spec.exports_anything());
}

#[test]
fn the_source_that_is_chosen_counts_and_the_other_does_not() {
    let settings = crate::source::SourceSettings {
        source: crate::source::FlowSource::FlowExport,
        ..Default::default()
    };
    let mut cluster = ClusterState::new(settings);
    add_node(&mut cluster, "a", "10.0.0.1");
    let flow_export = object(json!({
        "metadata": {"name": "cluster"},
        "spec": {"exportNetworkFlows": {"netFlow": {"collectors": ["192.0.2.8:2055"]}}},
    }));
    cluster.see(WatchEvent::FlowExport(Event::Apply(flow_export)));
    patch(
        &mut cluster,
        json!({"netFlow": {"collectors": ["192.0.2.9:2056"]}}),
    );
    let decision = decided(&cluster);
    assert_eq!(targets(&decision, "a"), ["192.0.2.8:2055"]);
    assert!(
        decision
            .second_source
            .unwrap()
            .contains("the Network cluster asks")
    );
    patch(&mut cluster, json!({"netFlow": null}));
    assert_eq!(decided(&cluster).second_source, None);
}

#[test]
fn a_service_that_is_replaced_keeps_its_address_meanwhile() {
    let mut cluster = two_nodes();
    patch(
        &mut cluster,
        json!({"netFlow": {"collectors": ["c.flows.svc:2055"]}}),
    );
    add_service(&mut cluster, "c", json!({"clusterIP": "10.96.0.1"}));
    let service = object(json!({"metadata": {"name": "c", "namespace": "flows"}, "spec": {}}));
    cluster.see(WatchEvent::Service(Event::Delete(service)));
    let decision = decided(&cluster);
    assert_eq!(targets(&decision, "a"), ["10.96.0.1:2055"]);
    assert!(
        decision.problems[0].contains("Service flows/c is gone"),
        "{:?}",
        decision.problems
    );
    let end = decision.next_check.unwrap();
    assert_eq!(end, start() + crate::cluster_state::SERVICE_HOLD);
    let later = decide(&cluster, end);
    assert!(targets(&later, "a").is_empty() && later.next_check.is_none());
    add_service(&mut cluster, "c", json!({"clusterIP": "10.96.0.2"}));
    assert_eq!(targets(&decided(&cluster), "a"), ["10.96.0.2:2055"]);
}

#[test]
fn a_service_that_a_new_listing_does_not_show_is_held_too() {
    let mut cluster = two_nodes();
    patch(
        &mut cluster,
        json!({"netFlow": {"collectors": ["c.flows.svc:2055"]}}),
    );
    add_service(&mut cluster, "c", json!({"clusterIP": "10.96.0.1"}));
    for event in [Event::Init, Event::InitDone] {
        cluster.see(WatchEvent::Service(event));
    }
    assert_eq!(targets(&decided(&cluster), "a"), ["10.96.0.1:2055"]);
}

#[test]
fn nodes_of_a_profile_that_cannot_be_read_keep_their_settings() {
    let mut cluster = two_nodes();
    patch(&mut cluster, json!({"ipfix": {"collectors": ["192.0.2.9:4739"]}}));
    apply_profile(&mut cluster, "rare", json!({"ipfix": {"sampling": 10000}}));
    let decision = decided(&cluster);
    let mut restarted = two_nodes();
    patch(
        &mut restarted,
        json!({"ipfix": {"collectors": ["192.0.2.9:4739"]}}),
    );
    carry_out(&mut restarted, &decision);
    apply_profile(&mut restarted, "rare", json!({"ipfix": {"sampling": "many"}}));
    let kept = decided(&restarted);
    assert!(kept.applies.is_empty(), "{:?}", kept.applies);
    assert!(kept.unreadable[0].contains("ExportProfile rare cannot be read, its nodes keep"));
    apply_profile(&mut restarted, "rare", json!({"ipfix": {"sampling": 20000}}));
    let again = decided(&restarted);
    assert!(again.unreadable.is_empty() && again.applies.len() == 2);
}

#[test]
fn a_profile_turns_export_off_for_its_nodes() {
    let mut cluster = exporting();
    let selector = json!({"matchLabels": {"name": "b"}});
    apply_profile(
        &mut cluster,
        "off",
        json!({"nodeSelector": selector, "export": "Disabled"}),
    );
    let decision = decided(&cluster);
    assert_eq!(decision.applies, ["b"]);
    assert!(!decision.wanted["b"].spec.exports_anything());
    assert!(decision.wanted["a"].spec.exports_anything());
}

fn patch_ipfix(cluster: &mut ClusterState, collectors: &[&str]) {
    patch(cluster, json!({"ipfix": {"collectors": collectors}}));
}

fn ipfix(decision: &Decision, node: &str) -> Option<weir_api::export::IpfixExport> {
    let bridges = &decision.wanted[node].spec.bridges;
    bridges.iter().find_map(|bridge| bridge.ipfix.clone())
}

/// After a restart: nodes that had the settings of profile `rare`, which cannot be read.
fn with_unreadable_profile() -> ClusterState {
    let mut before = two_nodes();
    patch_ipfix(&mut before, &["192.0.2.9:4739"]);
    apply_profile(&mut before, "rare", json!({"ipfix": {"sampling": 10000}}));
    let decision = decided(&before);
    let mut cluster = two_nodes();
    patch_ipfix(&mut cluster, &["192.0.2.9:4739"]);
    carry_out(&mut cluster, &decision);
    apply_profile(&mut cluster, "rare", json!({"ipfix": {"sampling": "many"}}));
    cluster
}

#[test]
fn export_is_removed_at_once_whatever_cannot_be_read() {
    let mut cluster = with_unreadable_profile();
    patch(&mut cluster, json!(null));
    let decision = decided(&cluster);
    assert_eq!(decision.applies, ["a", "b"]);
    assert!(decision.wanted.values().all(|w| !w.spec.exports_anything()));
}

#[test]
fn nodes_of_a_profile_that_cannot_be_read_follow_the_collectors_with_their_settings() {
    let mut cluster = with_unreadable_profile();
    let before = decided(&cluster);
    let collectors = json!({"collectors": ["192.0.2.7:4739", ":4739"]});
    patch(
        &mut cluster,
        json!({"ipfix": collectors, "sFlow": {"collectors": [":6343"]}}),
    );
    let decision = decided(&cluster);
    let export = ipfix(&decision, "b").unwrap();
    assert_eq!(export.targets, ["192.0.2.7:4739", "10.0.0.2:4739"]);
    assert_eq!(export.sampling, Some(10_000));
    assert_eq!(export.obs_domain_id, ipfix(&before, "b").unwrap().obs_domain_id);
    // With which settings it would be, nobody knows.
    assert_eq!(decision.wanted["b"].spec.bridges[0].s_flow, None);
    assert!(
        decision.problems[0].contains("begin no export of sFlow"),
        "{:?}",
        decision.problems
    );
}

#[test]
fn a_new_node_of_a_profile_that_cannot_be_read_exports_nothing_and_that_is_said() {
    let mut cluster = with_unreadable_profile();
    add_node(&mut cluster, "c", "10.0.0.3");
    let decision = decided(&cluster);
    assert_eq!(decision.applies, ["c"]);
    assert_eq!(decision.wanted["c"].spec.profile.as_deref(), Some("rare"));
    assert!(!decision.wanted["c"].spec.exports_anything());
    assert!(
        decision.problems[0].contains("node c has no settings yet"),
        "{:?}",
        decision.problems
    );
    // Also where another profile would serve it, but for the one that has a selector.
    apply_profile(&mut cluster, "a-all", json!({}));
    let selected = json!({"nodeSelector": {"matchLabels": {"name": "c"}}, "ipfix": 7});
    apply_profile(&mut cluster, "z-edge", selected);
    assert_eq!(
        decided(&cluster).wanted["c"].spec.profile.as_deref(),
        Some("z-edge")
    );
    apply_profile(&mut cluster, "z-edge", json!({"nodeSelector": 7}));
    assert_eq!(
        decided(&cluster).wanted["c"].spec.profile.as_deref(),
        Some("z-edge")
    );
}

#[test]
fn nodes_that_a_profile_does_not_select_are_none_of_its_business() {
    let mut cluster = exporting();
    let edge = json!({"nodeSelector": {"matchLabels": {"name": "x"}}, "ipfix": {"sampling": "many"}});
    apply_profile(&mut cluster, "edge", edge);
    patch_ipfix(&mut cluster, &["192.0.2.7:4739"]);
    let decision = decided(&cluster);
    assert_eq!(ipfix(&decision, "a").unwrap().targets, ["192.0.2.7:4739"]);
    assert!(decision.problems.is_empty());
}
