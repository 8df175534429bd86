use super::*;
use crate::decide::decide;
use crate::fixture::{add_node, empty, object, patch};
use crate::object::export;
use crate::world::Sight;
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

fn world(nodes: usize) -> World {
    let mut world = empty();
    for i in 0..nodes {
        add_node(&mut world, &format!("node-{i:02}"), "10.0.0.1");
    }
    world
}

fn ask(world: &mut World) {
    patch(world, json!({"netFlow": {"collectors": ["192.0.2.9:2056"]}}));
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": "in words",
        "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

fn well() -> Vec<Value> {
    vec![
        condition(APPLIED, "True", reason::APPLIED),
        condition(EXPORTING, "True", reason::EXPORTING),
        condition(CONFLICT, "False", reason::NO_CONFLICT),
    ]
}

/// A node reports these conditions on generation 3 of its current spec, which
/// is at generation `generation`.
fn report(world: &mut World, node: &str, generation: i64, conditions: &[Value]) {
    let mut object = export(node, &decide(world).wanted[node]);
    object.metadata.generation = Some(generation);
    object.status = Some(self::object(
        json!({"observedGeneration": 3, "conditions": conditions}),
    ));
    world.see(Sight::Export(Event::Apply(DeserializeGuard(Ok(object)))));
}

fn say(world: &World) -> [(bool, &'static str, String); 3] {
    findings(world, &decide(world)).map(|f| (f.status.as_str() == "True", f.reason, f.message))
}

#[test]
fn when_all_nodes_export_all_is_well() {
    let mut world = world(2);
    ask(&mut world);
    for node in ["node-00", "node-01"] {
        report(&mut world, node, 3, &well());
    }
    let [available, progressing, degraded] = say(&world);
    assert_eq!(available, (true, "Exporting", "all 2 nodes export".into()));
    assert_eq!((progressing.0, progressing.1), (false, "UpToDate"));
    assert_eq!((degraded.0, degraded.1), (false, "AsExpected"));
}

#[test]
fn without_collectors_nothing_is_available_and_nothing_is_wrong() {
    let mut world = world(1);
    report(
        &mut world,
        "node-00",
        3,
        &[
            condition(APPLIED, "True", reason::NO_COLLECTORS),
            condition(EXPORTING, "False", reason::NO_COLLECTORS),
        ],
    );
    patch(&mut world, json!(null));
    let [available, progressing, degraded] = say(&world);
    assert_eq!((available.0, available.1), (false, "NoCollectors"));
    assert!(!progressing.0 && !degraded.0);
}

#[test]
fn a_node_without_a_daemon_is_behind_and_does_not_export() {
    let mut world = world(7);
    ask(&mut world);
    report(&mut world, "node-00", 3, &well());
    let [available, progressing, degraded] = say(&world);
    assert_eq!(available.2, "1 of 7 nodes export");
    assert!(!available.0 && progressing.0 && !degraded.0);
    let named = "node-01, node-02, node-03, node-04, node-05, and 1 more";
    assert!(
        progressing.2.starts_with("6 of 7") && progressing.2.ends_with(named),
        "{progressing:?}"
    );
}

#[test]
fn a_report_on_an_older_generation_is_none() {
    let mut world = world(1);
    ask(&mut world);
    report(&mut world, "node-00", 4, &well());
    let [available, progressing, _] = say(&world);
    assert!(!available.0 && progressing.0);
}

#[test]
fn what_is_pending_is_behind_and_does_not_fail() {
    let mut world = world(1);
    ask(&mut world);
    for pending in [
        vec![condition(APPLIED, "False", reason::PENDING)],
        vec![condition(APPLIED, "Unknown", reason::PENDING)],
        vec![condition(APPLIED, "True", reason::APPLIED)],
        vec![],
    ] {
        report(&mut world, "node-00", 3, &pending);
        let [_, progressing, degraded] = say(&world);
        assert!(progressing.0 && !degraded.0, "{pending:?}");
    }
}

#[test]
fn failing_nodes_are_counted_and_the_first_are_named_with_the_reason() {
    let mut world = world(5);
    ask(&mut world);
    report(&mut world, "node-00", 3, &well());
    let not_applied = [condition(APPLIED, "False", reason::BRIDGE_MISSING)];
    let mut conflict = well();
    conflict[2] = condition(CONFLICT, "True", reason::FOREIGN_ROW);
    let mut silent = well();
    silent[1] = condition(EXPORTING, "Unknown", reason::SFLOW_AGENT_MISSING);
    report(&mut world, "node-01", 3, &not_applied);
    report(&mut world, "node-02", 3, &conflict);
    report(&mut world, "node-03", 3, &silent);
    report(&mut world, "node-04", 3, &not_applied);
    let [available, progressing, degraded] = say(&world);
    assert_eq!(available.2, "1 of 5 nodes export");
    assert!(!progressing.0);
    assert_eq!((degraded.0, degraded.1), (true, "NodesFailing"));
    assert_eq!(
        degraded.2,
        "4 of 5 nodes fail: node-01: BridgeMissing (in words), node-02: ForeignRow (in words), \
         node-03: SFlowAgentMissing (in words), and 1 more"
    );
}

#[test]
fn rows_that_were_adopted_are_no_failure() {
    let mut world = world(1);
    ask(&mut world);
    let mut adopted = well();
    adopted[2] = condition(CONFLICT, "True", reason::ADOPTED);
    report(&mut world, "node-00", 3, &adopted);
    let [available, _, degraded] = say(&world);
    assert!(available.0 && !degraded.0);
}

#[test]
fn skipped_entries_are_named_and_the_message_is_bounded() {
    let mut world = world(1);
    let long = format!("{}:1", "x".repeat(5000));
    let entries: Vec<String> = (0..7).map(|i| format!("{long}{i}")).collect();
    patch(&mut world, json!({"netFlow": {"collectors": entries}}));
    let [_, _, degraded] = say(&world);
    assert_eq!((degraded.0, degraded.1), (true, "EntriesSkipped"));
    assert!(degraded.2.contains("netFlow.collectors[4]") && degraded.2.ends_with("and 2 more"));
    assert!(degraded.2.chars().count() < 2000, "{}", degraded.2.len());
}

#[test]
fn conditions_that_stand_are_not_written_again() {
    let mut world = world(1);
    ask(&mut world);
    let at = |second| Time(Timestamp::from_second(second).unwrap());
    let decision = decide(&world);
    let conditions = roll_up(&world, &decision, &at(1)).unwrap();
    assert!(conditions.iter().all(|c| c.observed_generation == Some(7)));
    world.see(Sight::Network(Event::Apply(object(json!({
        "metadata": {"name": "cluster", "generation": 7},
        "spec": {"exportNetworkFlows": {"netFlow": {"collectors": ["192.0.2.9:2056"]}}},
        "status": {"conditions": conditions},
    })))));
    assert_eq!(roll_up(&world, &decision, &at(2)), None);
}

#[test]
fn a_definition_without_generations_in_conditions_is_no_reason_to_write_again() {
    let mut world = world(1);
    let mut stored = {
        ask(&mut world);
        let now = Time(Timestamp::UNIX_EPOCH);
        roll_up(&world, &decide(&world), &now).unwrap()
    };
    for condition in &mut stored {
        condition.observed_generation = None;
    }
    world.see(Sight::Network(Event::Apply(object(json!({
        "metadata": {"name": "cluster", "generation": 8},
        "spec": {"exportNetworkFlows": {"netFlow": {"collectors": ["192.0.2.9:2056"]}}},
        "status": {"conditions": stored},
    })))));
    let later = Time(Timestamp::from_second(9).unwrap());
    assert_eq!(roll_up(&world, &decide(&world), &later), None);
}

#[test]
fn without_a_network_there_is_nowhere_to_report() {
    let world = world(1);
    let now = Time(Timestamp::UNIX_EPOCH);
    assert_eq!(roll_up(&world, &decide(&world), &now), None);
}
