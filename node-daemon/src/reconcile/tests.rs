use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use ovsdb::{Datum, ErrorCode, FailedAt, Link, OvsdbError};
use weir_api::condition::find;
use weir_api::export::{
    APPLIED, Budget, BudgetAction, CONFLICT, EXPORTING, ExportCost, SWITCH_ALIVE, THROTTLED, reason,
};
use weir_api::{BridgeExport, Protocol};

use super::*;
use crate::cost::Look;
use crate::cost::Rates;
use crate::fixture::{Model, bridge, schema, spec};
use crate::tables::{BRIDGE, EXTERNAL_IDS, ROOT, bridge_column};

const TARGET: &str = "192.0.2.9:2055";

/// A reconciler, a model of the server, and a clock.
struct Bench {
    reconciler: Reconciler,
    model: Model,
    desired: Desired,
    now: Instant,
    syncs: u64,
}

impl Bench {
    fn new(bridges: &[&str], exports: Vec<BridgeExport>) -> Self {
        let mut model = Model::with_bridges(bridges);
        let root = root(&model);
        model.set(ROOT, root, "ovs_version", "3.1.0");
        Self {
            reconciler: Reconciler::new("node-a", "unix:/db.sock"),
            model,
            desired: desired(1, exports),
            now: Instant::now(),
            syncs: 1,
        }
    }

    fn view(&self, link: Link) -> View {
        View {
            link,
            schema: Some(schema(&[])),
            replica: Arc::new(self.model.replica()),
            syncs: self.syncs,
            version: 0,
        }
    }

    fn turn(&mut self) -> ReconcileStep {
        let view = self.view(Link::Synced);
        self.turn_with(&view)
    }

    fn turn_with(&mut self, view: &View) -> ReconcileStep {
        let time = Time(Timestamp::from_second(0).unwrap());
        let turn = self.reconciler.step(view, &self.desired, self.now, &time);
        if turn.plan.is_none() {
            self.reconciler.published(&turn.status);
        }
        turn
    }

    /// Turns until there is nothing more to do.
    fn settle(&mut self) -> NodeFlowExportStatus {
        for _ in 0..10 {
            let turn = self.turn();
            let Some(plan) = turn.plan else {
                return turn.status;
            };
            let results = self.model.apply(&plan.operations).unwrap();
            self.reconciler.committed(&plan, &results, self.now);
        }
        panic!("does not settle");
    }

    fn measured(&mut self, measurement: Measurement) {
        self.reconciler
            .measured(measurement, &self.desired.spec, self.now);
    }

    /// ovs-vswitchd follows.
    fn take_over(&mut self) {
        let replica = self.model.replica();
        let (root, row) = replica.rows(ROOT).next().unwrap();
        let next = row.column("next_cfg").unwrap().clone();
        self.model.set(ROOT, root, "cur_cfg", next);
    }

    fn spoil(&mut self, protocol: Protocol, column: &str, value: impl Into<Datum>) {
        let (uuid, _) = self.model.on("br-int", protocol).unwrap();
        self.model
            .set(crate::tables::table(protocol), uuid, column, value);
    }

    fn unhook(&mut self, protocol: Protocol) {
        let bridge = self.model.bridge("br-int");
        self.model
            .set(BRIDGE, bridge, bridge_column(protocol), Datum::empty());
    }
}

fn root(model: &Model) -> Uuid {
    model.replica().rows(ROOT).next().unwrap().0
}

fn desired(generation: i64, exports: Vec<BridgeExport>) -> Desired {
    Desired {
        spec: spec(exports),
        generation: Some(generation),
        ..Default::default()
    }
}

fn everything() -> Vec<BridgeExport> {
    vec![bridge("br-int", &Protocol::ALL, TARGET)]
}

fn reason_of<'a>(status: &'a NodeFlowExportStatus, kind: &str) -> (&'a str, &'a str) {
    let condition = find(&status.conditions, kind).unwrap();
    (&condition.status, &condition.reason)
}

#[test]
fn a_spec_is_written_once_and_then_told() {
    let mut bench = Bench::new(&["br-int"], everything());
    let status = bench.settle();
    assert_eq!(reason_of(&status, APPLIED), ("True", reason::APPLIED));
    assert_eq!(reason_of(&status, EXPORTING), ("Unknown", reason::PENDING));
    assert_eq!(reason_of(&status, CONFLICT), ("False", reason::NO_CONFLICT));
    bench.take_over();
    let status = bench.settle();
    assert_eq!(reason_of(&status, EXPORTING), ("True", reason::EXPORTING));
    assert_eq!(
        (status.protocols.as_str(), status.reason.as_str()),
        ("NetFlow,sFlow,IPFIX", "Applied")
    );
    assert_eq!(
        (status.observed_generation, status.ovs_version.as_deref()),
        (Some(1), Some("3.1.0"))
    );
    assert_eq!(status.drift_healed, 0);
}

#[test]
fn what_is_over_its_budget_is_sampled_more_coarsely_and_that_is_no_drift() {
    let mut bench = Bench::new(&["br-int"], everything());
    let budget = Budget {
        lost_per_second: Some(10),
        action: BudgetAction::Throttle,
        ..Budget::default()
    };
    bench.desired.spec.budget = Some(budget);
    bench.settle();
    bench.take_over();
    let status = bench.settle();
    assert_eq!(reason_of(&status, THROTTLED), ("Unknown", reason::PENDING));
    bench.measured(lost(0.0));
    let status = bench.settle();
    assert_eq!(reason_of(&status, THROTTLED), ("False", reason::WITHIN_BUDGET));
    bench.measured(lost(99.0));
    bench.settle();
    bench.take_over();
    let status = bench.settle();
    assert_eq!(reason_of(&status, THROTTLED), ("True", reason::LOST_OVER_BUDGET));
    assert_eq!(status.reason, reason::LOST_OVER_BUDGET);
    assert!(bench.model.on("br-int", Protocol::NetFlow).is_none(), "suspended");
    let applied = find(&status.conditions, APPLIED).unwrap();
    assert!(
        applied.status == "True" && applied.message.contains("suspended to stay within spec.budget: "),
        "{}",
        applied.message
    );
    let sampling = |bench: &Bench| {
        let (_, row) = bench.model.on("br-int", Protocol::Ipfix).unwrap();
        row["sampling"].as_integer()
    };
    assert_eq!((sampling(&bench), status.drift_healed), (Some(3_200), 0));
    bench.desired.spec.budget = None;
    bench.measured(lost(0.0));
    let status = bench.settle();
    assert_eq!((sampling(&bench), status.drift_healed), (Some(400), 0));
    assert!(find(&status.conditions, THROTTLED).is_none());
    assert!(bench.model.on("br-int", Protocol::NetFlow).is_some());
}

fn lost(rate: f64) -> Measurement {
    Measurement {
        look: Look::Taken,
        cost: None,
        rates: Rates {
            lost: Some(rate),
            ..Rates::default()
        },
    }
}

#[test]
fn netflow_alone_that_is_suspended_is_not_told_as_nothing_configured() {
    let mut bench = Bench::new(&["br-int"], vec![bridge("br-int", &[Protocol::NetFlow], TARGET)]);
    bench.desired.spec.budget = Some(Budget {
        lost_per_second: Some(10),
        action: BudgetAction::Throttle,
        ..Budget::default()
    });
    bench.settle();
    bench.measured(lost(99.0));
    bench.settle();
    bench.take_over();
    let status = bench.settle();
    assert!(bench.model.on("br-int", Protocol::NetFlow).is_none());
    assert!(bench.reconciler.is_throttled(), "so it is measured on");
    assert_eq!(reason_of(&status, EXPORTING), ("False", reason::THROTTLED));
    assert_eq!(reason_of(&status, APPLIED), ("True", reason::APPLIED));
    assert_eq!(reason_of(&status, THROTTLED), ("True", reason::LOST_OVER_BUDGET));
    for _ in 0..122 {
        bench.now += Duration::from_secs(5);
        bench.measured(lost(0.0));
    }
    let status = bench.settle();
    assert!(bench.model.on("br-int", Protocol::NetFlow).is_some());
    assert_eq!(status.protocols, "NetFlow");
}

#[test]
fn a_bounded_figure_that_is_not_known_is_not_within_its_budget() {
    let mut bench = Bench::new(&["br-int"], everything());
    bench.desired.spec.budget = Some(Budget {
        vswitchd_millicores: Some(500),
        lost_per_second: Some(10),
        ..Budget::default()
    });
    for _ in 0..4 {
        bench.measured(lost(0.0));
    }
    let throttled = |status: &NodeFlowExportStatus| find(&status.conditions, THROTTLED).cloned().unwrap();
    let found = throttled(&bench.settle());
    assert_eq!(
        (found.status.as_str(), found.reason.as_str()),
        ("Unknown", reason::COST_UNKNOWN)
    );
    assert!(found.message.contains("enable-statistics=true") && !found.message.contains("dpctl"));
    bench.measured(Measurement {
        look: Look::Remote,
        ..Measurement::default()
    });
    let found = throttled(&bench.settle());
    assert_eq!(found.reason, reason::COST_UNKNOWN);
    assert!(found.message.contains("over the network"), "{}", found.message);
}

#[test]
fn what_the_daemon_before_said_of_cost_stays_until_there_is_something_of_our_own() {
    let mut bench = Bench::new(&["br-int"], everything());
    bench.desired.spec.budget = Some(Budget {
        lost_per_second: Some(10),
        ..Budget::default()
    });
    bench.measured(lost(0.0));
    let before = bench.settle();
    let mut next = Bench::new(&["br-int"], everything());
    next.desired = bench.desired.clone();
    next.desired.reported = before.conditions.clone();
    next.desired.reported_cost = Some(ExportCost::default());
    let status = next.settle();
    assert_eq!(reason_of(&status, THROTTLED), ("False", reason::WITHIN_BUDGET));
    assert_eq!(status.cost, Some(ExportCost::default()));
    next.desired.generation = Some(9);
    assert_eq!(reason_of(&next.settle(), THROTTLED), ("Unknown", reason::PENDING));
}

#[test]
fn what_others_change_is_put_right_and_counted() {
    let mut bench = Bench::new(&["br-int"], everything());
    bench.settle();
    bench.spoil(Protocol::NetFlow, "targets", "198.51.100.1:1");
    bench.unhook(Protocol::Ipfix);
    bench.spoil(Protocol::SFlow, EXTERNAL_IDS, Datum::empty());
    assert_eq!(bench.settle().drift_healed, 3);
    assert_eq!(bench.reconciler.drift_healed(), 3);
    let (_, row) = bench.model.on("br-int", Protocol::NetFlow).unwrap();
    assert_eq!(row["targets"].as_str(), Some(TARGET));
}

#[test]
fn a_change_of_the_spec_or_of_the_version_is_no_drift() {
    let mut bench = Bench::new(&["br-int"], everything());
    bench.settle();
    bench.desired = desired(2, vec![bridge("br-int", &Protocol::ALL, "192.0.2.10:1")]);
    bench.settle();
    let root = root(&bench.model);
    bench.model.set(ROOT, root, "ovs_version", "3.7.0");
    let status = bench.settle();
    assert_eq!((status.drift_healed, status.observed_generation), (0, Some(2)));
    let (_, row) = bench.model.on("br-int", Protocol::Ipfix).unwrap();
    assert_eq!(
        row["other_config"].map_get("enable-output-sampling"),
        Some("false")
    );
}

#[test]
fn a_bridge_made_anew_and_an_emptied_database_are_drift() {
    let mut bench = Bench::new(&["br-int"], everything());
    bench.settle();
    bench.model = Model::with_bridges(&[]);
    bench.syncs += 1;
    let status = bench.settle();
    assert_eq!(reason_of(&status, APPLIED), ("False", reason::BRIDGE_MISSING));
    bench.model.add_bridge("br-int");
    let status = bench.settle();
    assert_eq!((reason_of(&status, APPLIED).0, status.drift_healed), ("True", 3));
}

#[test]
fn a_bridge_that_comes_late_is_programmed_and_is_no_drift() {
    let mut bench = Bench::new(&[], everything());
    let status = bench.settle();
    assert_eq!(status.reason, reason::BRIDGE_MISSING);
    assert!(
        find(&status.conditions, APPLIED)
            .unwrap()
            .message
            .contains("br-int")
    );
    bench.model.add_bridge("br-int");
    let status = bench.settle();
    assert_eq!((reason_of(&status, APPLIED).0, status.drift_healed), ("True", 0));
}

#[test]
fn without_the_database_nothing_is_written_and_the_endpoint_is_named() {
    let mut bench = Bench::new(&["br-int"], everything());
    let down = Link::Down {
        error: "connection refused".to_owned(),
        attempts: 3,
    };
    let turn = bench.turn_with(&bench.view(down));
    assert_eq!(turn.plan, None);
    assert_eq!(
        reason_of(&turn.status, APPLIED),
        ("False", reason::OVSDB_UNREACHABLE)
    );
    let message = &find(&turn.status.conditions, APPLIED).unwrap().message;
    assert!(
        message.contains("unix:/db.sock") && message.contains("connection refused"),
        "{message}"
    );
    assert_eq!(turn.status.bridges.len(), 1);
}

#[test]
fn a_refused_transaction_is_tried_again_later_and_told_in_the_servers_words() {
    let mut bench = Bench::new(&["br-int"], everything());
    let refusal = || TransactError::Rejected {
        error: OvsdbError {
            code: ErrorCode::ConstraintViolation,
            details: "4201 is not in the valid range".to_owned(),
        },
        at: FailedAt::Operation(2),
    };
    for attempt in 1..4 {
        let plan = bench.turn().plan.expect("time is up");
        bench.reconciler.failed(plan, &refusal(), bench.now);
        let turn = bench.turn();
        assert_eq!(turn.plan, None, "no hot loop");
        assert_eq!(
            reason_of(&turn.status, APPLIED),
            ("False", reason::TRANSACTION_FAILED)
        );
        assert!(
            find(&turn.status.conditions, APPLIED)
                .unwrap()
                .message
                .contains("4201")
        );
        assert_eq!(turn.wake, Some(bench.now + retry_delay(attempt)));
        bench.now += retry_delay(attempt);
    }
    bench.now -= Duration::from_millis(1);
    bench.desired = desired(2, vec![bridge("br-int", &[Protocol::SFlow], TARGET)]);
    assert_eq!(reason_of(&bench.settle(), APPLIED), ("True", reason::APPLIED));
}

#[test]
fn a_switch_that_does_not_follow_is_told_after_a_while() {
    let mut bench = Bench::new(&["br-int"], everything());
    bench.settle();
    let turn = bench.turn();
    assert_eq!(turn.wake, Some(bench.now + SWITCH_ACK_LIMIT));
    bench.now += SWITCH_ACK_LIMIT;
    let status = bench.settle();
    assert_eq!(
        reason_of(&status, EXPORTING),
        ("False", reason::SWITCH_NOT_RESPONDING)
    );
    assert_eq!(status.reason, reason::SWITCH_NOT_RESPONDING);
    bench.take_over();
    assert_eq!(reason_of(&bench.settle(), EXPORTING).0, "True");
}

#[test]
fn a_fight_with_another_writer_slows_down() {
    let mut bench = Bench::new(&["br-int"], everything());
    bench.settle();
    for _ in 0..HealBudget::BURST {
        bench.unhook(Protocol::NetFlow);
        bench.settle();
    }
    bench.unhook(Protocol::NetFlow);
    let turn = bench.turn();
    assert_eq!((turn.plan, turn.status.reason.as_str()), (None, reason::PENDING));
    bench.now = turn.wake.expect("another try");
    bench.settle();
    assert!(bench.model.on("br-int", Protocol::NetFlow).is_some());
}

#[test]
fn removing_the_collectors_leaves_no_row_and_no_complaint() {
    let mut bench = Bench::new(&["br-int"], everything());
    bench.settle();
    bench.desired = desired(2, vec![bridge("br-int", &[], TARGET)]);
    let status = bench.settle();
    assert_eq!(status.reason, reason::NO_COLLECTORS);
    assert_eq!(reason_of(&status, APPLIED), ("True", reason::NO_COLLECTORS));
    assert_eq!(reason_of(&status, EXPORTING), ("False", reason::NO_COLLECTORS));
    for table in ["NetFlow", "sFlow", "IPFIX"] {
        assert_eq!(bench.model.rows(table), 0);
    }
}

#[test]
fn farewell_takes_our_rows_and_leaves_those_of_others() {
    let mut bench = Bench::new(&["br-int"], vec![bridge("br-int", &[Protocol::NetFlow], TARGET)]);
    bench.model.add_foreign("br-int", Protocol::Ipfix, TARGET);
    bench.settle();
    let view = bench.view(Link::Synced);
    let plan = bench.reconciler.farewell(&view).unwrap();
    bench.model.apply(&plan.operations).unwrap();
    assert_eq!((bench.model.rows("NetFlow"), bench.model.rows("IPFIX")), (0, 1));
    let view = bench.view(Link::Synced);
    assert_eq!(bench.reconciler.farewell(&view), None);
}

#[test]
fn adoption_is_told() {
    let mut bench = Bench::new(&["br-int"], vec![bridge("br-int", &[Protocol::NetFlow], TARGET)]);
    bench
        .model
        .add_foreign("br-int", Protocol::NetFlow, "198.51.100.1:1");
    let status = bench.settle();
    assert_eq!(reason_of(&status, CONFLICT), ("True", reason::FOREIGN_ROW));
    assert_eq!(reason_of(&status, APPLIED), ("False", reason::FOREIGN_ROW));
    assert_eq!(bench.reconciler.conflicts(), 1);
    bench.desired.spec.conflict_policy = ConflictPolicy::Adopt;
    let status = bench.settle();
    assert_eq!(reason_of(&status, CONFLICT), ("False", reason::ADOPTED));
    assert_eq!((reason_of(&status, APPLIED).0, status.drift_healed), ("True", 0));
}

#[test]
fn an_intermediate_state_that_nobody_saw_moves_no_transition_time() {
    let mut bench = Bench::new(&["br-int"], everything());
    let first = bench.settle();
    bench.spoil(Protocol::NetFlow, "active_timeout", 1);
    let at = Time(Timestamp::from_second(99).unwrap());
    let view = bench.view(Link::Synced);
    let turn = bench.reconciler.step(&view, &bench.desired, bench.now, &at);
    let plan = turn.plan.expect("a repair");
    let results = bench.model.apply(&plan.operations).unwrap();
    bench.reconciler.committed(&plan, &results, bench.now);
    let view = bench.view(Link::Synced);
    let turn = bench.reconciler.step(&view, &bench.desired, bench.now, &at);
    assert_eq!(
        find(&turn.status.conditions, APPLIED),
        find(&first.conditions, APPLIED)
    );
}

#[test]
fn a_new_virtual_observation_id_waits_until_the_switch_has_seen_no_row() {
    let mut bench = Bench::new(&["br-int"], everything());
    bench.settle();
    bench.take_over();
    let (before, _) = bench.model.on("br-int", Protocol::Ipfix).unwrap();
    let with_id = |id: &str| {
        let mut exports = everything();
        exports[0].ipfix.as_mut().unwrap().virtual_obs_id = Some(id.to_owned());
        exports
    };
    bench.desired = desired(2, with_id("one"));
    let status = bench.settle();
    assert!(bench.model.on("br-int", Protocol::Ipfix).is_none());
    assert_eq!(reason_of(&status, APPLIED), ("False", reason::PENDING));
    let turn = bench.turn();
    assert_eq!(turn.wake, Some(bench.now + SWITCH_ACK_LIMIT));

    bench.take_over();
    let status = bench.settle();
    assert_eq!(reason_of(&status, APPLIED), ("True", reason::APPLIED));
    let (after, row) = bench.model.on("br-int", Protocol::Ipfix).unwrap();
    assert_ne!(after, before);
    assert_eq!(
        row["other_config"]
            .string_pairs()
            .find(|(key, _)| *key == "virtual_obs_id"),
        Some(("virtual_obs_id", "one"))
    );
    assert_eq!(bench.reconciler.drift_healed(), 0);

    bench.desired = desired(3, with_id("two"));
    bench.take_over();
    bench.settle();
    bench.now += SWITCH_ACK_LIMIT;
    bench.settle();
    assert!(
        bench.model.on("br-int", Protocol::Ipfix).is_some(),
        "a switch that is not there is not waited for"
    );
}

#[test]
fn a_virtual_observation_id_set_by_others_is_healed_once() {
    let mut bench = Bench::new(&["br-int"], everything());
    bench.settle();
    bench.take_over();
    let theirs = Datum::string_map([("enable-output-sampling", "true"), ("virtual_obs_id", "theirs")]);
    bench.spoil(Protocol::Ipfix, "other_config", theirs);
    bench.settle();
    bench.take_over();
    bench.settle();
    let (_, row) = bench.model.on("br-int", Protocol::Ipfix).unwrap();
    let mut keys = row["other_config"].string_pairs();
    assert!(keys.all(|(key, _)| key != "virtual_obs_id"));
    assert_eq!(bench.reconciler.drift_healed(), 1);
}

#[test]
fn a_running_switch_whose_pid_file_is_out_of_sight_is_unknown_and_its_export_is_believed() {
    let mut bench = Bench::new(&["br-int"], everything());
    bench.settle();
    bench.take_over();
    bench.reconciler.saw_switch(SwitchProcess::Dead);
    let status = bench.settle();
    assert_eq!(
        reason_of(&status, SWITCH_ALIVE),
        ("False", reason::SWITCH_NOT_RUNNING)
    );
    // The next change is taken over all the same.
    bench.desired = desired(2, vec![bridge("br-int", &[Protocol::NetFlow], TARGET)]);
    bench.settle();
    bench.take_over();
    let status = bench.settle();
    assert_eq!(
        reason_of(&status, SWITCH_ALIVE),
        ("Unknown", reason::PID_FILE_NOT_LOCKED)
    );
    assert_eq!(reason_of(&status, EXPORTING), ("True", reason::EXPORTING));
    bench.reconciler.saw_switch(SwitchProcess::Alive);
    assert_eq!(reason_of(&bench.settle(), SWITCH_ALIVE).0, "True");
}
