//! Many daemons, each with the statuses that the reconcile loop comes to, before a model of
//! the API server, in time that is counted and not waited for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ovsdb::{Link, View};
use weir_api::Protocol;
use weir_api::condition::{Time, find};
use weir_api::export::{Budget, BudgetAction, THROTTLED};

use super::*;
use crate::cost::{CostModel, Look, Measurement, ProcessorTime, Sample};
use crate::desired::Desired;
use crate::fixture::{Model, bridge, schema, spec};
use crate::reconcile::Reconciler;
use crate::switch_state::SwitchProcess;
use crate::tables::table;

/// A tenth of a fleet of a thousand, which has a tenth of its 20 writes a second.
const DAEMONS: usize = 100;
const WRITES_A_MINUTE: usize = 20 * 60 / 10;
const SECONDS: usize = 900;
/// How long a fleet that has something to say takes for its first reports.
const FIRST_REPORTS: usize = 50;

/// One simulated node: the loop over a model of the database.
struct Node {
    reconciler: Reconciler,
    model: Model,
    start: Instant,
    desired: Desired,
    cost: CostModel,
}

impl Node {
    fn new() -> Self {
        Self {
            reconciler: Reconciler::new("node-a", "unix:/db.sock"),
            model: Model::with_bridges(&["br-int"]),
            start: Instant::now(),
            desired: Desired {
                spec: spec(vec![bridge("br-int", &Protocol::ALL, "192.0.2.9:2055")]),
                generation: Some(1),
                ..Desired::default()
            },
            cost: CostModel::default(),
        }
    }

    /// The daemon starts again, with what it wrote last.
    fn restart(&mut self, written: &NodeFlowExportStatus) {
        self.reconciler = Reconciler::new("node-a", "unix:/db.sock");
        self.desired.reported.clone_from(&written.conditions);
        self.desired.reported_cost = written.cost;
        self.cost = CostModel::beginning_with(written.cost);
    }

    /// A look at the counters, every 5 s.
    fn look(&mut self, second: usize, lost: u64, used_ms: u64) {
        if !second.is_multiple_of(5) {
            return;
        }
        let now = self.start + Duration::from_secs(second as u64);
        self.cost.add(Sample {
            at: now,
            ipfix: BTreeMap::new(),
            lost: Some(lost),
            processor: Some(ProcessorTime {
                used_ms,
                uptime_ms: second as u64 * 1_000,
            }),
        });
        let measurement = Measurement {
            look: Look::Taken,
            cost: self.cost.cost(),
            rates: self.cost.latest(),
        };
        self.reconciler.measured(measurement, &self.desired.spec, now);
    }

    /// The status after one turn at that second, once nothing more can be done.
    fn turn(&mut self, second: usize, link: &Link) -> NodeFlowExportStatus {
        let now = self.start + Duration::from_secs(second as u64);
        let time = Time(k8s_openapi::jiff::Timestamp::from_second(second as i64).unwrap());
        loop {
            let view = View {
                link: link.clone(),
                schema: Some(schema(&[])),
                replica: Arc::new(self.model.replica()),
                syncs: 1,
                version: 0,
            };
            let turn = self.reconciler.step(&view, &self.desired, now, &time);
            let Some(plan) = turn.plan else {
                self.reconciler.published(&turn.status);
                return turn.status;
            };
            let results = self.model.apply(&plan.operations).unwrap();
            self.reconciler.committed(&plan, &results, now);
        }
    }
}

/// The statuses of a node, a second each, while this happens to it.
fn statuses(mut happens: impl FnMut(&mut Node, usize) -> Link) -> Vec<NodeFlowExportStatus> {
    let mut node = Node::new();
    let mut turn = |second| {
        let link = happens(&mut node, second);
        node.turn(second, &link)
    };
    (0..SECONDS).map(&mut turn).collect()
}

/// The API server of a run: what it says to a write in that second.
type Server = fn(usize) -> WriteOutcome;

fn takes_all(_: usize) -> WriteOutcome {
    WriteOutcome::Written
}

/// Writes that were tried, a second each. `forge`: somebody else writes every status anew
/// each second.
fn run(statuses: &[NodeFlowExportStatus], server: Server, forge: bool) -> Vec<usize> {
    let start = Instant::now();
    let mut daemons: Vec<(StatusWriter, StatusObject)> = (0..DAEMONS)
        .map(|_| {
            let object = StatusObject {
                uid: "u1".to_owned(),
                status: None,
                version: Some(1),
            };
            (StatusWriter::new(start), object)
        })
        .collect();
    let mut writes = vec![0; statuses.len()];
    for (second, latest) in statuses.iter().enumerate() {
        let now = start + Duration::from_secs(second as u64);
        for (writer, object) in &mut daemons {
            if forge {
                object.status = Some(NodeFlowExportStatus::default());
                object.version = object.version.map(|version| version + 1);
            }
            if writer.step(Some(object), latest, now) != WriteStep::Write {
                continue;
            }
            writes[second] += 1;
            match server(second) {
                WriteOutcome::Written => {
                    let before = object.clone();
                    object.status = Some(latest.clone());
                    object.version = object.version.map(|version| version + 1);
                    writer.written(Some(&before), latest.clone(), object.clone(), now);
                }
                outcome => writer.failed(outcome, now),
            }
        }
    }
    writes
}

/// After the first reports (at once, and after gaps of 1, 3, 9, 27 and 81 s), at most so
/// many writes in any minute.
fn assert_bounded(what: &str, writes: &[usize]) {
    let first: usize = writes[..FIRST_REPORTS].iter().sum();
    assert!(first <= DAEMONS * 5, "{what}: {first} at first");
    for (second, minute) in writes[FIRST_REPORTS..].windows(60).enumerate() {
        let count: usize = minute.iter().sum();
        let from = second + FIRST_REPORTS;
        assert!(
            count <= WRITES_A_MINUTE,
            "{what}: {count} in the minute from {from}"
        );
    }
}

fn sync(_: &mut Node, _: usize) -> Link {
    Link::Synced
}

#[test]
fn a_fleet_at_rest_writes_each_status_once() {
    let quiet = statuses(|node, second| {
        if second == 0 {
            node.reconciler.saw_switch(SwitchProcess::Alive);
        }
        Link::Synced
    });
    let writes = run(&quiet, takes_all, false);
    // The first, and "Pending" that becomes overdue since the model has no switch.
    assert!(writes.iter().sum::<usize>() <= 2 * DAEMONS);
    assert_eq!(writes[60..].iter().sum::<usize>(), 0, "at rest none");
}

const BUDGET: Budget = Budget {
    vswitchd_millicores: Some(500),
    lost_per_second: Some(10),
    action: BudgetAction::Throttle,
    floor: None,
};

/// One that is well within its budget, loses a packet every three minutes and uses the
/// processor a little more or less; its daemon starts again after ten minutes.
#[test]
fn a_fleet_with_a_budget_rests_though_its_figures_waver_and_its_daemons_start_again() {
    let mut last = NodeFlowExportStatus::default();
    let mut node = Node::new();
    node.desired.spec.budget = Some(BUDGET);
    let mut turn = |second: usize| {
        if second == 600 {
            node.restart(&last);
        }
        let waver = [0, 40, 90, 30][second / 5 % 4];
        let before = 1_000_000 + second as u64 / 180;
        node.look(second, before, second as u64 * 100 + waver);
        last = node.turn(second, &Link::Synced);
        last.clone()
    };
    let rest: Vec<_> = (0..SECONDS).map(&mut turn).collect();
    assert!(
        rest[599]
            .cost
            .is_some_and(|cost| cost.vswitchd_millicores > Some(0))
    );
    let writes = run(&rest, takes_all, false);
    assert_eq!(writes[120..600].iter().sum::<usize>(), 0, "at rest none");
    // The model has no switch: what one that starts again waits for is pending for 5 s.
    let again: Vec<_> = (600..SECONDS).filter(|second| writes[*second] > 0).collect();
    assert!(again.iter().all(|second| *second < 650), "{again:?}");
    let verdicts =
        |status: &NodeFlowExportStatus| (find(&status.conditions, THROTTLED).cloned(), status.cost);
    assert!(
        rest[600..]
            .iter()
            .all(|status| verdicts(status) == verdicts(&rest[599]))
    );
}

#[test]
fn figures_that_swing_about_their_budget_do_not_make_a_fleet_write_more() {
    for (what, action) in [
        ("Report", BudgetAction::Report),
        ("Throttle", BudgetAction::Throttle),
    ] {
        let (mut lost, mut used) = (0, 0);
        let swinging = statuses(|node, second| {
            node.desired.spec.budget = Some(Budget { action, ..BUDGET });
            if second % 5 == 0 {
                lost += [0, 500, 0][second / 5 % 3];
                used += [5_000, 0, 5_000, 5_000][second / 5 % 4];
            }
            node.look(second, lost, used);
            Link::Synced
        });
        let mut reasons: Vec<_> = swinging
            .iter()
            .map(|status| find(&status.conditions, THROTTLED).unwrap().reason.clone())
            .collect();
        reasons.dedup();
        assert!(reasons.len() <= 4, "{what}: {reasons:?}");
        assert_bounded(what, &run(&swinging, takes_all, false));
    }
}

#[test]
fn no_failure_makes_a_thousand_daemons_write_more_than_twenty_times_a_second() {
    let down = statuses(|_, second| Link::Down {
        error: format!("cannot connect: attempt {second}"),
        attempts: second as u32,
    });
    assert_bounded(
        "OVSDB is away, in other words each time",
        &run(&down, takes_all, false),
    );
    let flapping = statuses(|_, second| match second % 3 {
        0 => Link::Synced,
        _ => Link::Down {
            error: "connection closed by the server".to_owned(),
            attempts: 1,
        },
    });
    assert_bounded("OVSDB comes and goes", &run(&flapping, takes_all, false));
    let fight = statuses(|node, _| {
        if let Some((uuid, _)) = node.model.on("br-int", Protocol::Ipfix) {
            node.model.set(table(Protocol::Ipfix), uuid, "sampling", 9_i64);
        }
        Link::Synced
    });
    assert!(fight.last().unwrap().drift_healed > 100, "a fight");
    assert_bounded(
        "somebody changes the rows each second",
        &run(&fight, takes_all, false),
    );
    let crashing = statuses(|node, second| {
        let alive = [SwitchProcess::Alive, SwitchProcess::Dead];
        node.reconciler.saw_switch(alive[second / 5 % 2]);
        Link::Synced
    });
    assert_bounded(
        "ovs-vswitchd crashes again and again",
        &run(&crashing, takes_all, false),
    );
}

#[test]
fn a_server_that_refuses_or_a_forger_does_not_make_them_write_more() {
    let quiet = statuses(sync);
    let refuses: Server = |_| WriteOutcome::Refused;
    let refused = run(&quiet, refuses, false);
    assert_bounded("the API server refuses", &refused);
    let last: usize = refused[SECONDS - 300..].iter().sum();
    assert!(
        last < DAEMONS * 3,
        "{last} in the last five minutes: it was left alone more and more"
    );
    assert_bounded(
        "somebody forges each status each second",
        &run(&quiet, takes_all, true),
    );
}

#[test]
fn a_busy_server_has_all_reports_two_minutes_after_it_has_time() {
    let quiet = statuses(sync);
    let busy: Server = |second| match second {
        0..600 => WriteOutcome::PutOff(Some(Duration::from_secs(1))),
        _ => WriteOutcome::Written,
    };
    let writes = run(&quiet, busy, false);
    // Each tries once in half a minute to one and a half: by chance some more in one minute than
    // in another.
    let minutes = writes[FIRST_REPORTS..].windows(60);
    let most = minutes.map(|minute| minute.iter().sum::<usize>()).max();
    assert!(most <= Some(DAEMONS * 3 / 2), "{most:?} in a minute");
    assert!(writes[600..720].iter().sum::<usize>() >= DAEMONS);
    assert_eq!(writes[720..].iter().sum::<usize>(), 0, "and then there is rest");
}

#[test]
fn a_refusal_that_ends_leaves_every_status_written() {
    let quiet = statuses(sync);
    let recovers: Server = |second| match second {
        0..120 => WriteOutcome::Refused,
        _ => WriteOutcome::Written,
    };
    let writes = run(&quiet, recovers, false);
    assert_bounded("the API server refuses for two minutes", &writes);
    assert!(
        writes[120..].iter().sum::<usize>() >= DAEMONS,
        "all are written in the end"
    );
    assert_eq!(
        writes[SECONDS - 60..].iter().sum::<usize>(),
        0,
        "and then there is rest"
    );
}

fn object(version: u64, status: Option<NodeFlowExportStatus>) -> StatusObject {
    StatusObject {
        uid: "u1".to_owned(),
        status,
        version: Some(version),
    }
}

#[test]
fn a_forged_status_is_put_right_and_an_old_echo_of_ours_is_not_one() {
    let now = Instant::now();
    let latest = statuses(sync).pop().unwrap();
    let mut writer = StatusWriter::new(now);
    let empty = object(1, None);
    assert_eq!(writer.step(Some(&empty), &latest, now), WriteStep::Write);
    // An older definition leaves a field out; what it stored is what counts as ours.
    let mut stored = latest.clone();
    stored.daemon_version = None;
    writer.written(Some(&empty), latest.clone(), object(5, Some(stored.clone())), now);
    let rest = WriteStep::Wait(None);
    assert_eq!(
        writer.step(Some(&object(3, None)), &latest, now),
        rest,
        "an old echo"
    );
    assert_eq!(
        writer.step(Some(&object(5, Some(stored.clone()))), &latest, now),
        rest
    );
    assert_eq!(
        writer.step(Some(&object(6, Some(stored))), &latest, now),
        rest,
        "the spec has changed"
    );
    let forged = object(7, Some(NodeFlowExportStatus::default()));
    let after = now + Duration::from_secs(2);
    assert_eq!(writer.step(Some(&forged), &latest, after), WriteStep::Write);
}

#[test]
fn a_daemon_that_starts_again_does_not_repeat_what_stands_there() {
    let now = Instant::now();
    let latest = statuses(sync).pop().unwrap();
    let mut writer = StatusWriter::new(now);
    let same = object(5, Some(latest.clone()));
    assert_eq!(writer.step(Some(&same), &latest, now), WriteStep::Wait(None));
    assert_eq!(
        writer.step(None, &latest, now),
        WriteStep::Wait(None),
        "nowhere to write to"
    );
    let anew = StatusObject {
        uid: "u2".to_owned(),
        ..object(9, None)
    };
    assert_eq!(writer.step(Some(&anew), &latest, now), WriteStep::Write);
}
