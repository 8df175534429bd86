use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kube::runtime::watcher::Event;
use proptest::prelude::*;
use serde_json::{Value, json};
use weir_api::condition::find;
use weir_api::rollout::{ABORTED, COMPLETED_ANNOTATION, PAUSED, PROGRESSING};

use super::*;
use crate::cluster_state::WatchEvent;
use crate::decide::decide;
use crate::fixture::{add_node, empty, object, patch, remove_node, start};
use crate::guarded::{Guarded, Invalid};
use crate::object;
use weir_api::RolloutPhase;

/// What stands in the API server, and one leader that writes there.
struct World {
    cluster: ClusterState,
    memory: Memory,
    /// The calendar, and the clock that nobody sets.
    now: Timestamp,
    instant: Instant,
    /// The object's uid.
    uid: &'static str,
    keep_error: Option<String>,
    /// Writes of nodes' objects that are lost are those beyond so many.
    writes_left: usize,
}

const WELL: [(&str, &str, &str); 3] = [
    ("Applied", "True", "Applied"),
    ("Exporting", "True", "Exporting"),
    ("Conflict", "False", "NoConflict"),
];

type Snapshot = (
    ExportRolloutStatus,
    Vec<(String, Option<u32>)>,
    Vec<(String, i64)>,
);

impl World {
    fn without_rollout(nodes: usize) -> Self {
        let mut cluster = empty();
        for n in 0..nodes {
            add_node(&mut cluster, &name(n), &format!("10.0.0.{n}"));
        }
        patch(&mut cluster, json!({}));
        Self {
            cluster,
            memory: Memory::default(),
            now: start(),
            instant: Instant::now(),
            uid: "r",
            keep_error: None,
            writes_left: usize::MAX,
        }
    }

    /// Nodes that export to `a`, and an `ExportRollout` with that spec which has seen it.
    fn new(nodes: usize, spec: Value) -> Self {
        let mut world = Self::without_rollout(nodes);
        world.ask("a");
        world.turn();
        world.all_well();
        world.cluster.see(WatchEvent::Revision(Event::InitDone));
        world.apply_policy(spec);
        world.run();
        assert_eq!(world.state().phase, RolloutPhase::Completed);
        assert!(world.state().completed_revision.is_some());
        world
    }

    fn apply_policy(&mut self, spec: Value) {
        let known = self.cluster.rollout();
        let generation = known.and_then(|known| known.metadata.generation).unwrap_or(0) + 1;
        let status = known.map(|known| json!(known.status)).unwrap_or_default();
        let metadata = json!({"name": "cluster", "uid": self.uid, "generation": generation});
        let rollout = object(json!({"apiVersion": "weir.dev/v1alpha1", "kind": "ExportRollout",
            "metadata": metadata, "spec": spec, "status": status}));
        self.cluster.see(WatchEvent::Rollout(Event::Apply(rollout)));
    }

    fn ask(&mut self, collector: &str) {
        let port = collector.bytes().map(u32::from).sum::<u32>();
        let flows = json!({"netFlow": {"collectors": [format!("192.0.2.1:{port}")]}});
        patch(&mut self.cluster, flows);
    }

    fn crash(&mut self) {
        self.memory = Memory::default();
    }

    fn later(&mut self, seconds: u64) -> &mut Self {
        self.now = crate::moment::later(self.now, Duration::from_secs(seconds));
        self.instant += Duration::from_secs(seconds);
        self
    }

    fn state(&self) -> ExportRolloutStatus {
        self.cluster
            .rollout()
            .and_then(|r| r.status.clone())
            .unwrap_or_default()
    }

    /// One decision, and all that it writes.
    fn turn(&mut self) -> Decision {
        let mut decision = decide(&self.cluster, self.now);
        let nothing = |_: &str| None;
        let judge = NodeJudge::new(&self.cluster, &nothing, Duration::from_secs(300), self.now);
        let error = self.keep_error.clone();
        let outcome = apply_gate(
            &mut decision,
            &self.cluster,
            &judge,
            &mut self.memory,
            error,
            (self.now, self.instant),
        );
        if let Some(outcome) = outcome {
            self.write(outcome);
        }
        for node in decision.applies.iter().take(self.writes_left) {
            self.write_export(node, &decision.wanted[node]);
        }
        decision
    }

    fn write(&mut self, outcome: Outcome) {
        if let Some(status) = outcome.status {
            let mut rollout = self.cluster.rollout().cloned().expect("it exists");
            // As the API server has it.
            rollout.status = Some(object(json!(status)));
            self.cluster.rolled(rollout);
        }
        if let Some((hash, number, data)) = outcome.keep.filter(|_| self.keep_error.is_none()) {
            let mut kept = object::kept_revision(&hash, number, &data);
            // An apply leaves what somebody else's patch added.
            let known = self.cluster.revisions().unwrap_or_default().into_iter();
            if known
                .filter(|known| known.hash == hash)
                .any(|known| known.completed)
            {
                let annotations = kept.metadata.annotations.get_or_insert_default();
                annotations.insert(COMPLETED_ANNOTATION.to_owned(), String::new());
            }
            self.cluster.kept(kept);
        }
        if let Some((name, since)) = outcome.complete {
            let revisions = self.cluster.revisions().unwrap_or_default();
            let kept = revisions.into_iter().find(|kept| kept.name == name);
            let kept = kept.expect("it is kept").clone();
            let mut marked = object::kept_revision(&kept.hash, kept.number, &kept.data);
            let marks = object::completed_revision(&since)["metadata"]["annotations"].clone();
            marked.metadata.annotations = serde_json::from_value(marks).unwrap();
            self.cluster.kept(marked);
        }
        for name in outcome.forget {
            let gone = object(json!({"metadata": {"name": name}, "revision": 0}));
            self.cluster.see(WatchEvent::Revision(Event::Delete(gone)));
        }
    }

    fn write_export(&mut self, node: &str, wanted: &DesiredExport) {
        let before = self.cluster.export(node);
        let generation = before.and_then(|export| export.metadata.generation).unwrap_or(0);
        let changed = before.is_none_or(|export| export.spec != wanted.spec);
        let mut export = object::export(node, wanted);
        export.metadata.uid = Some(format!("uid of {node}"));
        export.metadata.generation = Some(generation + i64::from(changed));
        export.metadata.creation_timestamp = Some(weir_api::condition::Time(self.now));
        export.status = before.and_then(|export| export.status.clone());
        self.cluster
            .see(WatchEvent::Export(Event::Apply(object(json!(export)))));
    }

    /// A node reports on the spec that it has.
    fn report(&mut self, node: &str, conditions: &[(&str, &str, &str)], cost: Value) {
        let Some(mut export) = self.cluster.export(node).map(|export| json!(export)) else {
            return;
        };
        let condition = |(kind, status, reason): &(&str, &str, &str)| {
            json!({"type": kind, "status": status, "reason": reason, "message": "",
            "lastTransitionTime": self.now.to_string()})
        };
        let conditions: Vec<Value> = conditions.iter().map(condition).collect();
        export["status"] = json!({"observedGeneration": export["metadata"]["generation"], "protocols": "NetFlow",
            "conditions": conditions, "cost": cost});
        self.cluster.see(WatchEvent::Export(Event::Apply(object(export))));
    }

    fn well(&mut self, node: &str) {
        self.report(node, &WELL, Value::Null);
    }

    fn all_well(&mut self) {
        let names: Vec<String> = self.cluster.exports().map(|export| export.name_any()).collect();
        names.iter().for_each(|node| self.well(node));
    }

    fn fails(&mut self, node: &str) {
        self.report(node, &[("Applied", "False", "OvsdbUnreachable")], Value::Null);
    }

    /// Turns until nothing changes any longer; a few seconds go by.
    fn run(&mut self) -> &mut Self {
        for _ in 0..40 {
            let before = self.snapshot();
            self.turn();
            if before == self.snapshot() {
                self.later(2).turn();
                if before == self.snapshot() {
                    break;
                }
            }
        }
        self
    }

    /// All that a turn may change: what is stored, what nodes are told, which revisions are
    /// kept under which numbers.
    fn snapshot(&self) -> Snapshot {
        let kept = self.cluster.revisions().unwrap_or_default().into_iter();
        let kept = kept.map(|revision| (revision.hash.clone(), revision.number));
        (self.state(), self.told(), kept.collect())
    }

    /// Each node's NetFlow port.
    fn told(&self) -> Vec<(String, Option<u32>)> {
        let port = |export: &NodeFlowExport| {
            let net_flow = export.spec.bridges.first()?.net_flow.as_ref()?;
            let (_, port) = net_flow.targets.first()?.rsplit_once(':')?;
            port.parse().ok()
        };
        let exports = self.cluster.exports();
        exports.map(|export| (export.name_any(), port(export))).collect()
    }

    /// Nodes that are told to export to that collector.
    fn having(&self, collector: &str) -> Vec<String> {
        let port = collector.bytes().map(u32::from).sum::<u32>();
        let told = self.told().into_iter();
        told.filter(|(_, told)| *told == Some(port))
            .map(|(node, _)| node)
            .collect()
    }

    fn condition(&self, kind: &str) -> (String, String, String) {
        let state = self.state();
        let condition = find(&state.conditions, kind).expect("it is set");
        let text = |text: &String| text.clone();
        (
            text(&condition.status),
            text(&condition.reason),
            text(&condition.message),
        )
    }
}

fn name(n: usize) -> String {
    format!("n{n:02}")
}

const SOAK: u64 = 600;

/// A canary, then half, then all.
fn steps() -> Value {
    json!({"steps": [1, "50%", "100%"], "soak": "10m"})
}

#[test]
fn without_the_object_a_change_goes_to_all_nodes_at_once_and_bears_no_mark() {
    let mut world = World::without_rollout(5);
    world.ask("a");
    world.turn();
    assert_eq!(world.having("a").len(), 5);
    world.ask("b");
    let decision = world.turn();
    assert_eq!(world.having("b").len(), 5);
    assert_eq!((decision.revision, decision.rollout), (None, None));
    assert!(world.cluster.exports().all(|export| Mark::of(export).is_none()));
}

#[test]
fn a_change_goes_to_one_node_is_watched_and_goes_on() {
    let mut world = World::new(6, steps());
    world.ask("b");
    world.run();
    assert_eq!(world.having("b"), ["n00"]);
    assert_eq!(world.condition(PROGRESSING).1, "Releasing");
    world.later(200).run();
    assert_eq!(world.having("b").len(), 1, "it has not reported");
    world.all_well();
    world.run();
    assert_eq!(world.state().phase, RolloutPhase::Soaking);
    world.later(SOAK - 100).run();
    assert_eq!(world.having("b").len(), 1);
    world.later(SOAK).run();
    assert_eq!(world.having("b"), ["n00", "n01", "n02"]);
    world.all_well();
    world.run().later(SOAK).run();
    assert_eq!(world.having("b").len(), 6);
    assert_ne!(
        world.state().phase,
        RolloutPhase::Completed,
        "the last step is watched, too"
    );
    world.all_well();
    world.run().later(SOAK).run();
    let state = world.state();
    assert_eq!(state.phase, RolloutPhase::Completed);
    assert_eq!(state.completed_revision, state.revision);
    assert_eq!((state.released_nodes, state.total_nodes), (6, 6));
}

#[test]
fn the_canary_is_chosen_by_label_and_is_alone() {
    let mut spec = steps();
    spec["steps"] = json!(["100%"]);
    spec["canary"] = json!({"nodeSelector": {"matchExpressions": [
        {"key": "name", "operator": "In", "values": ["n03", "n04"]}]}});
    let mut world = World::new(6, spec.clone());
    world.ask("b");
    world.run();
    assert_eq!(world.having("b"), ["n03", "n04"]);
    world.all_well();
    world.run().later(SOAK).run();
    assert_eq!(world.having("b").len(), 6);
    assert_eq!(world.state().phase, RolloutPhase::Releasing);
    spec["canary"]["nodeSelector"] = json!({"matchLabels": {"name": "nobody"}});
    world.apply_policy(spec);
    world.ask("c");
    world.run();
    assert_eq!(world.having("c").len(), 0);
    let (status, reason, message) = world.condition(PAUSED);
    assert_eq!((status.as_str(), reason.as_str()), ("True", "CanaryUnusable"));
    assert!(message.contains("label a node"), "{message}");
}

#[test]
fn a_node_that_fails_returns_all_to_what_was_completed() {
    let mut world = World::new(4, steps());
    world.ask("b");
    world.run();
    world.fails("n00");
    world.run();
    assert_eq!(world.having("a").len(), 4);
    assert_eq!(world.state().phase, RolloutPhase::RolledBack);
    let (status, reason, message) = world.condition(ABORTED);
    assert_eq!((status.as_str(), reason.as_str()), ("True", "NodesFailing"));
    assert!(message.contains("OvsdbUnreachable on n00"), "{message}");
    // It does not try again by itself, whoever leads.
    world.all_well();
    world.crash();
    world.run().later(100_000).run();
    assert_eq!(world.having("a").len(), 4);
    // What all have is asked for again.
    world.ask("a");
    world.run();
    assert_eq!(world.state().phase, RolloutPhase::Completed);
    assert_eq!(world.condition(ABORTED).0, "False");
}

#[test]
fn a_revision_that_was_ended_can_be_tried_again_by_a_person() {
    let mut world = World::new(4, steps());
    world.ask("b");
    world.run();
    world.fails("n00");
    world.run();
    world.all_well();
    let mut spec = steps();
    spec["approved"] = json!(world.state().awaiting);
    world.apply_policy(spec);
    world.run();
    assert_eq!(world.having("b"), ["n00"]);
    world.fails("n00");
    world.run();
    assert_eq!(world.having("b").len(), 0, "one word is good for one attempt");
}

#[test]
fn a_paused_rollout_leaves_the_nodes_as_they_are() {
    let mut spec = steps();
    spec["onAbort"] = json!("Pause");
    let mut world = World::new(4, spec.clone());
    world.ask("b");
    world.run();
    world.fails("n00");
    world.run().later(SOAK * 3).run();
    assert_eq!(world.having("b"), ["n00"]);
    assert_eq!(world.condition(PAUSED).1, "Aborted");
    world.well("n00");
    spec["approved"] = json!(world.state().awaiting);
    world.apply_policy(spec);
    world.run().later(SOAK).run();
    assert_eq!(world.having("b").len(), 2);
}

#[test]
fn more_processor_time_or_lost_packets_than_before_end_a_rollout() {
    let cost = |millicores: u32, lost: u32| json!({"vswitchdMillicores": millicores, "lostPerSecond": lost});
    for (limits, after, reason) in [
        (
            json!({"vswitchdMillicoresDelta": 200}),
            cost(310, 0),
            "ProcessorTimeRose",
        ),
        (json!({"lostPerSecond": 0}), cost(100, 1), "LostPacketsRose"),
    ] {
        let mut spec = steps();
        spec["abort"] = limits;
        let mut world = World::new(4, spec);
        world.report("n00", &WELL, cost(100, 0));
        world.ask("b");
        world.run();
        world.report("n00", &WELL, cost(200, 0));
        world.run();
        assert_eq!(world.having("b"), ["n00"]);
        world.crash();
        world.report("n00", &WELL, after);
        world.run();
        assert_eq!(world.condition(ABORTED).1, reason);
        assert_eq!(world.having("a").len(), 4);
    }
}

#[test]
fn a_processor_time_that_is_not_known_is_said() {
    let mut spec = steps();
    spec["abort"] = json!({"vswitchdMillicoresDelta": 200});
    let mut world = World::new(4, spec);
    world.ask("b");
    world.run();
    world.all_well();
    world.run();
    let (_, reason, message) = world.condition(PROGRESSING);
    assert_eq!(reason, "Soaking");
    assert!(message.contains("enable-statistics"), "{message}");
}

#[test]
fn a_node_that_never_reports_ends_it_after_the_deadline() {
    let mut world = World::new(4, steps());
    world.ask("b");
    world.run().later(250).run();
    assert_eq!(world.having("b"), ["n00"]);
    world.later(100).run();
    assert_eq!(world.having("b").len(), 0);
    assert!(world.condition(ABORTED).2.contains("ProgressDeadlineExceeded"));
}

#[test]
fn nodes_that_failed_before_come_last_and_end_nothing() {
    let mut world = World::new(4, steps());
    world.fails("n00");
    world.fails("n01");
    world.ask("b");
    world.run();
    assert_eq!(world.having("b"), ["n02"]);
    world.well("n02");
    world.run().later(SOAK).run();
    world.well("n03");
    world.run().later(SOAK).run();
    assert_eq!(world.having("b").len(), 4);
    world.fails("n00");
    world.fails("n01");
    world.run().later(SOAK).run();
    assert_eq!(world.state().phase, RolloutPhase::Completed);
}

#[test]
fn removal_passes_everything_at_once() {
    let mut spec = steps();
    spec["windows"] = json!([{"days": ["Mon"], "from": "03:00", "to": "03:01"}]);
    let mut world = World::new(5, spec);
    world.ask("b");
    world.run();
    assert_eq!(world.having("b").len(), 0);
    assert_eq!(world.condition(PROGRESSING).1, "WindowClosed");
    patch(&mut world.cluster, Value::Null);
    world.turn();
    assert!(world.told().iter().all(|(_, port)| port.is_none()));
    world.run();
    assert_eq!(world.state().phase, RolloutPhase::Completed);
}

#[test]
fn a_collector_that_is_taken_out_in_the_middle_is_out_everywhere() {
    let mut world = World::new(4, steps());
    let both = json!({"netFlow": {"collectors": ["192.0.2.1:97", "192.0.2.9:1"]}});
    patch(&mut world.cluster, both);
    world.run();
    for _ in 0..3 {
        world.all_well();
        world.run().later(SOAK).run();
    }
    assert_eq!(world.state().phase, RolloutPhase::Completed);
    let profile = json!({"metadata": {"name": "p"}, "spec": {"netFlow": {"activeTimeout": 5}}});
    world
        .cluster
        .see(WatchEvent::Profile(Event::Apply(object(profile))));
    world.run();
    world.ask("a");
    world.turn();
    let targets = |export: &NodeFlowExport| export.spec.bridges[0].net_flow.clone().unwrap().targets;
    assert!(
        world
            .cluster
            .exports()
            .all(|export| targets(export) == ["192.0.2.1:97"])
    );
    let tuned = |export: &&NodeFlowExport| {
        export.spec.bridges[0].net_flow.as_ref().unwrap().active_timeout == Some(5)
    };
    assert_eq!(
        world.cluster.exports().filter(tuned).count(),
        1,
        "settings wait for their turn"
    );
}

#[test]
fn a_spec_that_somebody_else_changed_is_put_right_while_its_node_waits() {
    let mut world = World::new(4, steps());
    world.ask("b");
    world.run();
    let mut export = json!(world.cluster.export("n02").unwrap());
    export["spec"]["bridges"][0]["netFlow"]["targets"] = json!(["203.0.113.66:666"]);
    world
        .cluster
        .see(WatchEvent::Export(Event::Apply(object(export))));
    world.turn();
    assert_eq!(world.having("a"), ["n01", "n02", "n03"]);
    assert_eq!(world.having("b"), ["n00"]);
}

#[test]
fn defaults_of_another_version_change_no_node_that_waits() {
    let mut world = World::new(4, steps());
    // Kept by a version that planned otherwise: its hash is another.
    let of_then = "0123456789abcdef".to_owned();
    let mut data = world.cluster.completed_revision().unwrap().clone();
    let told = data.told.get_mut("").unwrap();
    told.bridges[0].net_flow.as_mut().unwrap().active_timeout = Some(17);
    world.cluster.kept(object::kept_revision(&of_then, 7, &data));
    let mut rollout = world.cluster.rollout().cloned().unwrap();
    let status = rollout.status.as_mut().unwrap();
    (status.revision, status.completed_revision) = (Some(of_then.clone()), Some(of_then));
    world.cluster.rolled(rollout);
    let names: Vec<String> = world.cluster.exports().map(|export| export.name_any()).collect();
    for node in &names {
        let mut export = json!(world.cluster.export(node).unwrap());
        export["spec"]["bridges"][0]["netFlow"]["activeTimeout"] = json!(17);
        let export = object(export);
        world.cluster.see(WatchEvent::Export(Event::Apply(export)));
    }
    world.all_well();
    world.run();
    let timeout = |export: &&NodeFlowExport| export.spec.bridges[0].net_flow.as_ref().unwrap().active_timeout;
    let of_then = |world: &World| {
        let exports = world.cluster.exports();
        exports.filter(|export| timeout(export) == Some(17)).count()
    };
    assert_eq!(of_then(&world), 3);
    add_node(&mut world.cluster, "n99", "10.0.0.99");
    world.run();
    assert_eq!(
        of_then(&world),
        4,
        "a new node gets what was completed, as it was told"
    );
    world.fails("n00");
    world.run();
    assert_eq!(world.state().phase, RolloutPhase::RolledBack);
    assert_eq!(of_then(&world), 5);
}

/// Asks for NetFlow to these ports of one host, with that timeout for all nodes.
fn ask_for(world: &mut World, ports: &[u16], timeout: i64) {
    let collectors: Vec<String> = ports.iter().map(|port| format!("192.0.2.1:{port}")).collect();
    patch(&mut world.cluster, json!({"netFlow": {"collectors": collectors}}));
    let profile = json!({"metadata": {"name": "p"}, "spec": {"netFlow": {"activeTimeout": timeout}}});
    let profile = Event::Apply(object(profile));
    world.cluster.see(WatchEvent::Profile(profile));
}

/// Asks for that, and lets it go to its end.
fn completed(world: &mut World, ports: &[u16], timeout: i64) {
    ask_for(world, ports, timeout);
    for _ in 0..6 {
        world.run();
        world.all_well();
        world.run().later(SOAK);
    }
    assert_eq!(world.run().state().phase, RolloutPhase::Completed);
}

/// The NetFlow ports of all nodes.
fn ports(world: &World) -> BTreeSet<u16> {
    let exports = world.cluster.exports();
    exports.flat_map(ports_of).collect()
}

fn ports_of(export: &NodeFlowExport) -> BTreeSet<u16> {
    let bridges = export.spec.bridges.iter();
    let targets = bridges
        .filter_map(|bridge| bridge.net_flow.as_ref())
        .flat_map(|net_flow| &net_flow.targets);
    let port = |target: &String| target.rsplit_once(':')?.1.parse().ok();
    targets.filter_map(port).collect()
}

#[test]
fn a_rollback_brings_no_collector_back_that_was_taken_away() {
    let mut world = World::new(4, steps());
    completed(&mut world, &[97, 98], 60);
    ask_for(&mut world, &[97], 5);
    world.run();
    assert_eq!(ports(&world), BTreeSet::from([97]));
    world.fails("n00");
    world.run();
    assert_eq!(world.state().phase, RolloutPhase::RolledBack);
    assert_eq!(ports(&world), BTreeSet::from([97]));
    world.all_well();
    world.run().later(SOAK).run();
    assert_eq!(ports(&world), BTreeSet::from([97]));
}

#[test]
fn a_collector_that_went_while_nodes_waited_stays_away_with_the_next_edit() {
    let mut world = World::new(4, steps());
    completed(&mut world, &[97, 98], 60);
    ask_for(&mut world, &[97], 5);
    world.run();
    ask_for(&mut world, &[97, 99], 5);
    world.run();
    assert_eq!(ports(&world), BTreeSet::from([97, 99]));
    add_node(&mut world.cluster, "n99", "10.0.0.99");
    world.run();
    assert_eq!(ports(&world), BTreeSet::from([97, 99]));
}

#[test]
fn what_was_taken_away_altogether_stays_away_though_another_fails_later() {
    let mut world = World::new(4, steps());
    ask_for(&mut world, &[], 60);
    world.turn();
    ask_for(&mut world, &[98], 60);
    world.run();
    world.fails("n00");
    world.run();
    assert_eq!(world.state().phase, RolloutPhase::RolledBack);
    assert_eq!(ports(&world), BTreeSet::new());
}

#[test]
fn a_removal_does_not_wait_for_what_was_added_before() {
    let mut spec = steps();
    spec["windows"] = json!([{"days": ["Mon"], "from": "03:00", "to": "03:01"}]);
    let mut world = World::new(4, spec);
    world.apply_policy(steps());
    completed(&mut world, &[97, 98], 60);
    let mut spec = steps();
    spec["windows"] = json!([{"days": ["Mon"], "from": "03:00", "to": "03:01"}]);
    world.apply_policy(spec);
    ask_for(&mut world, &[97, 98, 99], 60);
    world.run();
    assert_eq!(ports(&world), BTreeSet::from([97, 98]));
    ask_for(&mut world, &[97, 99], 60);
    world.turn();
    assert_eq!(ports(&world), BTreeSet::from([97]));
}

#[test]
fn a_service_with_another_address_is_followed_by_all_nodes_at_once() {
    let mut world = World::new(4, steps());
    let service = |world: &mut World, address: &str| {
        let spec = json!({"clusterIP": address, "ports": [{"port": 2055}]});
        crate::fixture::add_service(&mut world.cluster, "c", spec);
    };
    service(&mut world, "10.96.0.9");
    let flows = json!({"netFlow": {"collectors": ["c.flows.svc:2055"]}});
    patch(&mut world.cluster, flows);
    for _ in 0..6 {
        world.run();
        world.all_well();
        world.run().later(SOAK);
    }
    assert_eq!(world.state().phase, RolloutPhase::Completed);
    let profile = json!({"metadata": {"name": "p"}, "spec": {"netFlow": {"activeTimeout": 5}}});
    let profile = Event::Apply(object(profile));
    world.cluster.see(WatchEvent::Profile(profile));
    world.run();
    service(&mut world, "10.96.0.10");
    world.turn();
    let targets = |export: &NodeFlowExport| export.spec.bridges[0].net_flow.clone().unwrap().targets;
    let has = |export: &NodeFlowExport| targets(export) == ["10.96.0.10:2055"];
    assert!(world.cluster.exports().all(has), "those that wait follow as well");
    world.fails("n00");
    world.run();
    assert_eq!(world.state().phase, RolloutPhase::RolledBack);
    assert!(
        world.cluster.exports().all(has),
        "and none returns to the old one"
    );
}

#[test]
fn nodes_of_a_profile_that_cannot_be_read_keep_what_they_have() {
    let mut world = World::new(4, steps());
    completed(&mut world, &[97], 17);
    let mut fresh = World::without_rollout(4);
    for export in world.cluster.exports() {
        let export = Event::Apply(object(json!(export)));
        fresh.cluster.see(WatchEvent::Export(export));
    }
    fresh.cluster.see(WatchEvent::Revision(Event::InitDone));
    let data = world.cluster.completed_revision().unwrap().clone();
    fresh.cluster.kept(object::kept_revision(&data.hash(), 1, &data));
    let broken = json!({"metadata": {"name": "p"}, "spec": {"netFlow": 7}});
    let broken = Event::Apply(object(broken));
    fresh.cluster.see(WatchEvent::Profile(broken));
    let rollout = object(json!(world.cluster.rollout().unwrap()));
    fresh.cluster.see(WatchEvent::Rollout(Event::Apply(rollout)));
    patch(
        &mut fresh.cluster,
        json!({"netFlow": {"collectors": ["192.0.2.1:97", "192.0.2.1:98"]}}),
    );
    fresh.run().later(100).run();
    let kept = |export: &NodeFlowExport| {
        let net_flow = export.spec.bridges[0].net_flow.as_ref().unwrap();
        net_flow.active_timeout == Some(17) && net_flow.targets == ["192.0.2.1:97"]
    };
    assert!(fresh.cluster.exports().all(kept));
    assert_eq!(fresh.condition(PAUSED).1, "Unreadable");
    patch(&mut fresh.cluster, Value::Null);
    fresh.turn();
    assert_eq!(ports(&fresh), BTreeSet::new());
}

#[test]
fn a_rollback_waits_until_the_revisions_are_listed() {
    let mut world = World::new(4, steps());
    world.ask("b");
    world.run();
    world.fails("n00");
    // Another process, which has not listed them yet.
    let mut fresh = World::without_rollout(4);
    for export in world.cluster.exports() {
        let export = Event::Apply(object(json!(export)));
        fresh.cluster.see(WatchEvent::Export(export));
    }
    fresh.ask("b");
    let rollout = object(json!(world.cluster.rollout().unwrap()));
    fresh.cluster.see(WatchEvent::Rollout(Event::Apply(rollout)));
    fresh.turn();
    assert_eq!(fresh.state().abort, None, "it is not ended as one without a past");
    for kept in world.cluster.revisions().unwrap() {
        let kept = object::kept_revision(&kept.hash, kept.number, &kept.data);
        let kept = Event::InitApply(object(json!(kept)));
        fresh.cluster.see(WatchEvent::Revision(kept));
    }
    fresh.cluster.see(WatchEvent::Revision(Event::InitDone));
    fresh.run();
    assert_eq!(fresh.having("a").len(), 4);
    assert_eq!(fresh.state().phase, RolloutPhase::RolledBack);
}

#[test]
fn a_canary_that_has_an_unfinished_change_is_the_first_again() {
    let mut spec = steps();
    spec["canary"] = json!({"nodeSelector": {"matchLabels": {"name": "n03"}}});
    let mut world = World::new(4, spec);
    world.ask("b");
    world.run();
    assert_eq!(world.having("b"), ["n03"]);
    // The next one differs on other nodes alone.
    let profile = json!({"metadata": {"name": "p"}, "spec": {"netFlow": {"activeTimeout": 5},
        "nodeSelector": {"matchLabels": {"name": "n00"}}}});
    let profile = Event::Apply(object(profile));
    world.cluster.see(WatchEvent::Profile(profile));
    world.run();
    assert_eq!(world.having("b"), ["n03"]);
    world.crash();
    world.run();
    world.well("n03");
    world.run();
    assert_eq!(world.state().phase, RolloutPhase::Soaking);
    world.fails("n03");
    world.run();
    assert_eq!(world.having("a").len(), 4);
}

#[test]
fn a_node_that_is_away_holds_the_step_and_ends_nothing() {
    let mut world = World::new(4, steps());
    world.ask("b");
    world.run();
    world.fails("n00");
    let mut node = crate::fixture::node("n00", "10.0.0.0");
    node["status"]["conditions"] = json!([{"type": "Ready", "status": "Unknown"}]);
    let node = Event::Apply(object(node));
    world.cluster.see(WatchEvent::Node(node));
    world.run();
    assert_eq!(world.state().phase, RolloutPhase::Releasing);
    assert_eq!(world.having("b"), ["n00"]);
    add_node(&mut world.cluster, "n00", "10.0.0.0");
    world.run();
    assert_eq!(world.state().phase, RolloutPhase::RolledBack);
}

#[test]
fn what_stood_for_less_than_a_second_is_not_kept() {
    let mut world = World::new(2, steps());
    for collector in ["b", "c", "d"] {
        world.ask(collector);
        world.turn();
    }
    world.run();
    assert_eq!(world.cluster.revisions().unwrap().len(), 2);
}

#[test]
fn windows_that_never_open_are_said_and_hold_no_removal_up() {
    let mut world = World::new(3, steps());
    let mut spec = steps();
    spec["windows"] = json!([{"from": "05:00", "to": "05:00"}, {"timeZone": "Mars/Phobos"}]);
    world.apply_policy(spec);
    world.ask("b");
    world.run().later(100_000).run();
    assert_eq!(world.having("a").len(), 3);
    let (status, reason, message) = world.condition(PAUSED);
    assert_eq!((status.as_str(), reason.as_str()), ("True", "WindowUnusable"));
    assert!(
        message.contains("never opens") && message.contains("Mars/Phobos"),
        "{message}"
    );
    patch(&mut world.cluster, Value::Null);
    world.turn();
    assert!(world.told().iter().all(|(_, port)| port.is_none()));
}

#[test]
fn a_new_node_gets_what_was_completed_last() {
    let mut world = World::new(3, steps());
    world.ask("b");
    world.run();
    add_node(&mut world.cluster, "n99", "10.0.0.99");
    world.run();
    assert_eq!(world.having("a"), ["n01", "n02", "n99"]);
    let ids: BTreeSet<u32> = world
        .cluster
        .exports()
        .map(|e| e.spec.bridges[0].exporter_id)
        .collect();
    assert_eq!(ids.len(), 4);
}

#[test]
fn a_node_that_disappears_is_not_waited_for() {
    let mut world = World::new(4, steps());
    world.ask("b");
    world.run();
    remove_node(&mut world.cluster, "n00");
    let gone = object(json!(world.cluster.export("n00").unwrap()));
    world.cluster.see(WatchEvent::Export(Event::Delete(gone)));
    world.run();
    assert_eq!(world.having("b"), ["n01"]);
    world.all_well();
    world.run();
    assert_eq!(world.state().phase, RolloutPhase::Soaking);
    remove_node(&mut world.cluster, "n01");
    let gone = object(json!(world.cluster.export("n01").unwrap()));
    world.cluster.see(WatchEvent::Export(Event::Delete(gone)));
    world.run();
    assert_eq!(world.having("b"), ["n02"]);
}

#[test]
fn a_second_change_takes_the_place_of_the_first_from_the_first_step_on() {
    let mut world = World::new(6, steps());
    world.ask("b");
    world.run();
    world.all_well();
    world.run().later(SOAK).run();
    assert_eq!(world.having("b").len(), 3);
    world.ask("c");
    world.run();
    assert_eq!(world.having("c"), ["n00"]);
    assert_eq!(world.having("b"), ["n01", "n02"]);
    world.fails("n00");
    world.run();
    assert_eq!(
        world.having("a").len(),
        6,
        "all return, also those that had the first"
    );
}

#[test]
fn a_change_that_is_taken_back_before_it_is_begun_reaches_no_node() {
    let mut world = World::new(3, steps());
    world.ask("b");
    world.turn();
    world.turn();
    assert_eq!(world.having("b").len(), 0);
    world.ask("a");
    world.run();
    assert_eq!(world.having("a").len(), 3);
    assert_eq!(world.state().phase, RolloutPhase::Completed);
}

#[test]
fn another_change_after_a_rollback_leaves_no_node_with_what_was_ended() {
    let mut world = World::new(4, steps());
    world.ask("b");
    world.run();
    world.fails("n00");
    // The state is stored, and the node's object is not written any more.
    world.writes_left = 0;
    world.turn();
    assert_eq!(world.state().phase, RolloutPhase::RolledBack);
    world.turn();
    assert_eq!(world.having("b"), ["n00"]);
    world.writes_left = usize::MAX;
    world.crash();
    world.ask("c");
    world.turn();
    assert_eq!(world.having("b").len(), 0);
}

#[test]
fn a_revision_that_many_nodes_had_before_is_begun_at_the_first_step_again() {
    let mut world = World::new(6, steps());
    for collector in ["b", "c"] {
        world.ask(collector);
        world.run();
        for _ in 0..3 {
            world.all_well();
            world.run().later(SOAK).run();
        }
        assert_eq!(world.state().phase, RolloutPhase::Completed);
    }
    world.ask("b");
    world.run();
    assert_eq!(world.having("b"), ["n00"]);
    let kept = world.cluster.revisions().unwrap();
    let newest = kept.iter().max_by_key(|revision| revision.number).unwrap();
    assert_eq!(Some(&newest.hash), world.state().revision.as_ref());
    assert_eq!(kept.len(), 3);
}

#[test]
fn approval_is_waited_for_after_the_first_step() {
    let mut spec = steps();
    spec["approval"] = json!("AfterFirstStep");
    let mut world = World::new(4, spec.clone());
    world.ask("b");
    world.run();
    world.all_well();
    world.run().later(SOAK).run().later(SOAK).run();
    assert_eq!(world.having("b"), ["n00"]);
    assert_eq!(world.condition(PAUSED).1, "AwaitingApproval");
    spec["approved"] = json!("of another revision-1");
    world.apply_policy(spec.clone());
    world.run();
    assert_eq!(world.having("b"), ["n00"]);
    spec["approved"] = json!(world.state().awaiting);
    world.apply_policy(spec);
    world.run();
    assert_eq!(world.having("b").len(), 2);
}

#[test]
fn nothing_begins_without_a_place_to_return_to() {
    let mut world = World::new(3, steps());
    world.keep_error = Some("controllerrevisions is forbidden".to_owned());
    world.ask("b");
    world.run().later(SOAK).run();
    assert_eq!(world.having("b").len(), 0);
    let (status, reason, message) = world.condition(PAUSED);
    assert_eq!((status.as_str(), reason.as_str()), ("True", "RevisionNotKept"));
    assert!(
        message.contains("is forbidden") && message.contains("manifests"),
        "{message}"
    );
    world.keep_error = None;
    world.run();
    assert_eq!(world.having("b"), ["n00"]);
}

#[test]
fn revisions_that_cannot_be_listed_hold_changes_and_let_removals_pass() {
    let mut world = World::without_rollout(3);
    world.ask("a");
    world.turn();
    world.all_well();
    world.apply_policy(steps());
    world.run();
    world.ask("b");
    world.run();
    assert_eq!(world.having("a").len(), 3);
    assert_eq!(world.condition(PAUSED).1, "HistoryUnknown");
    patch(&mut world.cluster, Value::Null);
    world.turn();
    assert!(world.told().iter().all(|(_, port)| port.is_none()));
}

#[test]
fn a_clock_that_goes_backwards_neither_ends_a_soak_nor_holds_it_up_for_long() {
    let mut world = World::new(4, steps());
    world.ask("b");
    world.run();
    world.all_well();
    world.run();
    assert_eq!(world.state().phase, RolloutPhase::Soaking);
    world.now = crate::moment::earlier(world.now, Duration::from_secs(24 * 3600));
    world.turn();
    world.turn();
    assert_eq!(world.having("b"), ["n00"]);
    assert!(world.state().since.unwrap().0 <= world.now);
    world.later(SOAK + 1).run();
    assert_eq!(world.having("b").len(), 2);
}

/// A world whose first node has a change and is watched.
fn soaking() -> World {
    let mut world = World::new(4, steps());
    world.ask("b");
    world.run();
    world.all_well();
    world.run();
    assert_eq!(world.state().phase, RolloutPhase::Soaking);
    world
}

#[test]
fn a_clock_that_is_set_forward_ends_no_soak_and_the_status_says_since_when_by_the_new_time() {
    let mut world = soaking();
    let day = Duration::from_secs(24 * 3600);
    world.later(60).run();
    let since = world.state().since.unwrap().0;
    world.now = crate::moment::later(world.now, day);
    world.run();
    assert_eq!(world.having("b"), ["n00"]);
    let told = world.state().since.unwrap().0;
    let moved = told.duration_since(since).unsigned_abs();
    assert!(moved.abs_diff(day) <= Duration::from_secs(1), "{moved:?}");
    // The next leader goes by what stands there.
    world.crash();
    world.later(SOAK - 120).run();
    assert_eq!(world.having("b"), ["n00"]);
    world.later(60).run();
    assert_eq!(world.having("b").len(), 2);
}

#[test]
fn a_leader_with_another_calendar_ends_no_soak_early_nor_begins_it_again() {
    let mut world = soaking();
    world.later(300).run();
    // The one before led until now by its own clock; that of the next one is a day ahead.
    world.memory = Memory::after(Some(world.now));
    world.now = crate::moment::later(world.now, Duration::from_secs(24 * 3600));
    world.run();
    assert_eq!(world.having("b"), ["n00"]);
    world.later(SOAK - 320).run();
    assert_eq!(world.having("b"), ["n00"]);
    world.later(30).run();
    assert_eq!(world.having("b").len(), 2);
}

#[test]
fn the_time_between_two_leaders_is_not_watched_and_does_not_count() {
    let mut world = soaking();
    world.later(60).run();
    let led_until = world.now;
    world.later(SOAK);
    world.memory = Memory::after(Some(led_until));
    world.run();
    assert_eq!(world.having("b"), ["n00"]);
    world.later(SOAK - 60).run();
    assert_eq!(world.having("b").len(), 2);
}

#[test]
fn what_was_agreed_to_before_the_object_was_made_again_lets_nothing_through() {
    let mut spec = steps();
    spec["approval"] = json!("AfterFirstStep");
    let stopped = |world: &mut World| {
        world.ask("b");
        world.run();
        world.all_well();
        world.run().later(SOAK).run().later(SOAK).run();
        assert_eq!(world.condition(PAUSED).1, "AwaitingApproval");
        world.state().awaiting
    };
    let mut world = World::new(4, spec.clone());
    spec["approved"] = json!(stopped(&mut world));
    let gone = object(json!(world.cluster.rollout().unwrap()));
    world.cluster.see(WatchEvent::Rollout(Event::Delete(gone)));
    world.ask("a");
    world.turn();
    world.all_well();
    // As it lies in the repository of whoever agreed.
    world.uid = "another";
    world.apply_policy(spec.clone());
    world.run();
    let awaiting = stopped(&mut world);
    assert_ne!(json!(awaiting), spec["approved"]);
    assert_eq!(world.having("b"), ["n00"]);
    spec["approved"] = json!(awaiting);
    world.apply_policy(spec);
    world.run();
    assert_eq!(world.having("b").len(), 2);
}

#[test]
fn steps_that_are_edited_in_the_middle_count_from_the_next_one_on() {
    let mut world = World::new(10, json!({"steps": [1, 2, 4, "100%"], "soak": "10m"}));
    world.ask("b");
    for expected in [1, 2] {
        world.run();
        assert_eq!(world.having("b").len(), expected);
        world.all_well();
        world.run().later(SOAK);
    }
    world.apply_policy(json!({"steps": [3], "soak": "10m"}));
    world.run();
    assert_eq!(world.having("b").len(), 3);
    world.apply_policy(json!({"steps": [1], "soak": "10m"}));
    world.all_well();
    world.run();
    assert_eq!(world.having("b").len(), 3);
    world.later(SOAK).run();
    assert_eq!(world.having("b").len(), 10, "all are the last step");
}

#[test]
fn an_object_that_is_deleted_in_the_middle_holds_nobody_back() {
    let mut world = World::new(4, steps());
    world.ask("b");
    world.run();
    let gone = object(json!(world.cluster.rollout().unwrap()));
    world.cluster.see(WatchEvent::Rollout(Event::Delete(gone)));
    world.turn();
    assert_eq!(world.having("b").len(), 4);
}

#[test]
fn one_node_and_three_are_rolled_out_to_the_end() {
    for nodes in [1, 3] {
        let mut world = World::new(nodes, json!({"soak": "10m"}));
        world.ask("b");
        let mut sizes = Vec::new();
        for _ in 0..4 {
            world.run();
            sizes.push(world.having("b").len());
            world.all_well();
            world.run().later(SOAK);
        }
        assert_eq!(sizes, if nodes == 1 { [1, 1, 1, 1] } else { [1, 3, 3, 3] });
        assert_eq!(world.state().phase, RolloutPhase::Completed);
    }
}

#[test]
fn no_more_than_ten_revisions_are_kept_and_none_that_is_in_use_is_forgotten() {
    let mut world = World::new(1, json!({"steps": [1], "soak": "0s"}));
    for collector in "bcdefghijklmnopq".split("").filter(|c| !c.is_empty()) {
        world.ask(collector);
        world.run();
        world.all_well();
        world.run();
    }
    let kept = world.cluster.revisions().unwrap();
    assert_eq!(kept.len(), KEPT_REVISIONS);
    assert!(
        kept.iter()
            .any(|revision| Some(&revision.hash) == world.state().completed_revision.as_ref())
    );
}

#[test]
fn what_all_nodes_had_is_marked_and_outlives_what_they_never_had() {
    let mut world = World::new(4, steps());
    let of_a = world.state().completed_revision;
    for collector in "bcdefghijklm".split("").filter(|c| !c.is_empty()) {
        world.ask(collector);
        world.run();
        assert_eq!(world.state().phase, RolloutPhase::Releasing);
    }
    world.ask("z");
    world.run();
    for _ in 0..3 {
        world.all_well();
        world.run().later(SOAK).run();
    }
    assert_eq!(world.state().phase, RolloutPhase::Completed);
    let kept = world.cluster.revisions().unwrap();
    assert_eq!(kept.len(), KEPT_REVISIONS);
    let marked = kept.iter().filter(|kept| kept.completed);
    let marked: BTreeSet<_> = marked.map(|kept| Some(kept.hash.clone())).collect();
    assert_eq!(marked, BTreeSet::from([of_a, world.state().completed_revision]));
}

#[test]
fn a_part_of_the_nodes_that_have_a_change_may_fail() {
    let mut world = World::new(
        12,
        json!({"steps": [4, 12], "soak": "1m", "abort": {"failingNodes": "50%"}}),
    );
    world.ask("b");
    world.run();
    assert_eq!(world.having("b").len(), 4);
    world.fails("n00");
    world.run();
    assert_eq!(world.state().phase, RolloutPhase::Releasing);
    world.fails("n01");
    world.run();
    assert_eq!(world.state().phase, RolloutPhase::RolledBack);
}

#[test]
fn what_may_not_be_listed_begins_nothing_is_not_written_to_and_removals_pass() {
    let mut world = World::without_rollout(3);
    world.ask("a");
    world.turn();
    world.all_well();
    let refused = Invalid {
        why: "weir-controller may not list it".to_owned(),
        metadata: serde_json::from_value(json!({"name": "cluster"})).unwrap(),
        spec: Value::Null,
        status: Value::Null,
    };
    for _ in 0..2 {
        let refused = Guarded(Err(refused.clone()));
        world.cluster.see(WatchEvent::Rollout(Event::InitApply(refused)));
        world.cluster.see(WatchEvent::Rollout(Event::InitDone));
    }
    world.ask("b");
    let stopped = world.turn().rollout.unwrap().stopped.unwrap();
    assert!(stopped.1.contains("may not list it"), "{stopped:?}");
    world.later(100).turn();
    assert_eq!(world.having("a").len(), 3);
    assert_eq!(world.state(), ExportRolloutStatus::default());
    patch(&mut world.cluster, Value::Null);
    world.turn();
    assert!(world.told().iter().all(|(_, port)| port.is_none()));
    // It may be listed again, and there is none.
    for event in [Event::Init, Event::InitDone] {
        world.cluster.see(WatchEvent::Rollout(event));
    }
    world.ask("b");
    world.turn();
    assert_eq!(world.having("b").len(), 3);
}

#[test]
fn an_object_that_cannot_be_read_gates_by_its_last_readable_form() {
    let mut spec = steps();
    spec["approval"] = json!("AfterFirstStep");
    let mut world = World::new(4, spec);
    let broken = object(
        json!({"metadata": {"name": "cluster", "uid": "r"}, "spec": {"steps": "all"},
        "status": world.state()}),
    );
    world.cluster.see(WatchEvent::Rollout(Event::Apply(broken)));
    world.ask("b");
    world.run();
    assert_eq!(world.having("b"), ["n00"]);
    world.all_well();
    world.run().later(SOAK).run();
    assert_eq!(world.state().phase, RolloutPhase::AwaitingApproval);
}

#[test]
fn nothing_is_begun_by_an_object_that_never_could_be_read_and_removals_pass() {
    let mut world = World::without_rollout(3);
    world.ask("a");
    world.turn();
    world.all_well();
    world.cluster.see(WatchEvent::Revision(Event::InitDone));
    let broken = object(json!({"metadata": {"name": "cluster", "uid": "r"}, "spec": {"steps": "all"}}));
    world.cluster.see(WatchEvent::Rollout(Event::Apply(broken)));
    world.ask("b");
    world.run().later(100).run();
    assert_eq!(world.having("a").len(), 3);
    assert_eq!(world.condition(PAUSED).1, "Unreadable");
    patch(&mut world.cluster, Value::Null);
    world.turn();
    assert!(world.told().iter().all(|(_, port)| port.is_none()));
}

/// The daemon runs in pods, on these nodes alone; that one never reported.
fn daemons_on(world: &mut World, nodes: &[&str], silent: &str) {
    let pod = |node: &str| {
        object(
            json!({"metadata": {"name": format!("pod-{node}"), "namespace": "weir-node"},
            "spec": {"nodeName": node, "containers": []},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
        )
    };
    for node in nodes {
        world.cluster.see(WatchEvent::Daemon(Event::InitApply(pod(node))));
    }
    world.cluster.see(WatchEvent::Daemon(Event::InitDone));
    let mut export = json!(world.cluster.export(silent).unwrap());
    export["status"] = json!({"protocols": ""});
    world
        .cluster
        .see(WatchEvent::Export(Event::Apply(object(export))));
}

#[test]
fn a_canary_without_a_daemon_holds_the_change_and_that_is_said() {
    let mut spec = steps();
    spec["canary"] = json!({"nodeSelector": {"matchLabels": {"name": "n02"}}});
    let mut world = World::new(3, spec);
    daemons_on(&mut world, &["n00", "n01"], "n02");
    world.ask("b");
    world.run().later(SOAK).run();
    assert_eq!(world.having("a").len(), 3);
    let (_, reason, message) = world.condition(PAUSED);
    assert_eq!(reason, "CanaryUnusable");
    assert!(message.contains("runs weir-node"), "{message}");
}

#[test]
fn what_an_unfinished_change_cost_is_not_what_it_cost_before() {
    let cost = |millicores: u32| json!({"vswitchdMillicores": millicores});
    let mut spec = steps();
    spec["abort"] = json!({"vswitchdMillicoresDelta": 200});
    let mut world = World::new(4, spec);
    world.report("n00", &WELL, cost(100));
    world.ask("b");
    world.run();
    world.report("n00", &WELL, cost(250));
    world.run();
    world.ask("c");
    world.run();
    assert_eq!(world.having("c"), ["n00"]);
    world.report("n00", &WELL, cost(290));
    world.run();
    assert_eq!(world.state().phase, RolloutPhase::Soaking);
    world.report("n00", &WELL, cost(310));
    world.run();
    assert_eq!(world.condition(ABORTED).1, "ProcessorTimeRose");
    assert_eq!(world.having("a").len(), 4);
}

#[test]
fn a_node_without_a_daemon_is_not_waited_for() {
    let mut world = World::new(3, steps());
    daemons_on(&mut world, &["n01", "n02"], "n00");
    world.ask("b");
    world.run();
    assert_eq!(world.having("b"), ["n01"]);
    assert_eq!(world.state().total_nodes, 2);
}

/// What may happen to a rollout.
#[derive(Debug, Clone)]
enum Happening {
    Turn,
    Crash,
    LostWrites(usize),
    Wait(u64),
    Report(usize),
    Fail(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => Just(Happening::Turn),
        1 => Just(Happening::Crash),
        1 => (0..3_usize).prop_map(Happening::LostWrites),
        2 => (1..400_u64).prop_map(Happening::Wait),
        4 => (0..12_usize).prop_map(Happening::Report),
    ]
}

/// The step that may be taken when so many nodes were watched to the end, by the letter of
/// the documentation.
fn allowed(steps: &[usize], watched: usize, total: usize) -> usize {
    let larger = steps.iter().copied().filter(|size| *size > watched);
    larger.min().unwrap_or(total).min(total)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_more_nodes_change_than_the_step_allows_and_none_returns_by_itself(
        happenings in proptest::collection::vec(happening(), 1..120),
        steps in proptest::collection::vec(1..12_usize, 1..4),
    ) {
        let mut world = World::new(12, json!({"steps": steps, "soak": "5m", "abort": {"failingNodes": 99}}));
        world.ask("b");
        let (mut before, mut watched) = (BTreeSet::new(), 0);
        let mut soaking_since = None;
        for happening in happenings {
            happen(&mut world, happening);
            let having: BTreeSet<String> = world.having("b").into_iter().collect();
            prop_assert!(having.is_superset(&before), "{having:?} after {before:?}");
            if having.len() > before.len() && having.len() > allowed(&steps, watched, 12) {
                // Only a soak that went by to its end lets more through.
                let since = soaking_since.take().expect("they were watched");
                prop_assert!(world.now >= crate::moment::later(since, Duration::from_secs(300)));
                watched = before.len();
                prop_assert!(having.len() <= allowed(&steps, watched, 12), "{} after {watched}", having.len());
            }
            let state = world.state();
            match state.phase {
                RolloutPhase::Soaking => soaking_since = soaking_since.or(state.since.map(|since| since.0)),
                RolloutPhase::Completed => {}
                _ if having.len() > before.len() => soaking_since = None,
                _ => {}
            }
            before = having;
        }
    }

    #[test]
    fn crashes_and_lost_writes_change_nothing_about_the_end(
        happenings in proptest::collection::vec(happening(), 1..80),
    ) {
        let mut world = World::new(12, json!({"steps": [1, "25%", "100%"], "soak": "5m",
            "abort": {"failingNodes": 99}}));
        world.ask("b");
        for happening in happenings {
            happen(&mut world, happening);
        }
        world.writes_left = usize::MAX;
        for _ in 0..8 {
            world.run();
            world.all_well();
            world.run().later(301);
        }
        prop_assert_eq!(world.having("b").len(), 12);
        prop_assert_eq!(world.state().phase, RolloutPhase::Completed);
        prop_assert_eq!(world.state().abort, None);
    }

    #[test]
    fn removals_pass_whatever_happens(
        happenings in proptest::collection::vec(happening(), 0..60),
        fail in proptest::option::of(0..12_usize),
    ) {
        let mut world = World::new(12, steps());
        world.ask("b");
        for happening in happenings {
            happen(&mut world, happening);
        }
        if let Some(node) = fail {
            happen(&mut world, Happening::Fail(node));
            world.turn();
        }
        world.writes_left = usize::MAX;
        patch(&mut world.cluster, Value::Null);
        world.turn();
        prop_assert!(world.told().iter().all(|(_, port)| port.is_none()));
    }
}

/// What is asked for, and how the first node takes it.
#[derive(Debug, Clone)]
enum Asked {
    For(BTreeSet<u16>, i64),
    Fails(usize),
    Happens(Happening),
}

fn asked() -> impl Strategy<Value = Asked> {
    let ports = proptest::collection::btree_set(98..102_u16, 0..4);
    prop_oneof![
        3 => (ports, 1..3_i64).prop_map(|(ports, timeout)| Asked::For(ports, timeout)),
        1 => (0..4_usize).prop_map(Asked::Fails),
        4 => happening().prop_map(Asked::Happens),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_node_is_told_a_collector_that_is_not_asked_for(
        asked in proptest::collection::vec(asked(), 1..60),
    ) {
        let mut world = World::new(4, json!({"steps": [1, "50%", "100%"], "soak": "5m"}));
        let mut wanted = BTreeSet::from([97]);
        for asked in asked {
            match asked {
                Asked::For(ports, timeout) => {
                    // One stays, so that nothing takes the place of the last one.
                    wanted = ports.into_iter().chain([97]).collect();
                    let ports: Vec<u16> = wanted.iter().copied().collect();
                    ask_for(&mut world, &ports, timeout);
                }
                Asked::Fails(n) => world.fails(&name(n)),
                Asked::Happens(happening) => happen(&mut world, happening),
            }
            world.turn();
            let told = ports(&world);
            prop_assert!(told.is_subset(&wanted), "{told:?}, and {wanted:?} is asked for");
            prop_assert!(told.contains(&97));
        }
    }
}

fn happen(world: &mut World, happening: Happening) {
    match happening {
        Happening::Turn => {
            world.turn();
        }
        Happening::Crash => world.crash(),
        Happening::LostWrites(left) => {
            world.writes_left = left;
            world.turn();
            world.writes_left = usize::MAX;
        }
        // The deadline is not what is looked at here.
        Happening::Wait(seconds) => {
            let names: Vec<String> = (0..12).map(name).collect();
            world.later(seconds.min(250)).turn();
            names.iter().for_each(|node| world.well(node));
        }
        Happening::Report(n) => world.well(&name(n)),
        Happening::Fail(n) => world.fails(&name(n)),
    }
}
