//! One turn of the loop, without I/O: view and spec come in, at most one
//! transaction and a status go out. Owns what must be remembered between turns:
//! which rows were ours, what was in place, what was refused, what to wait for.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ovsdb::{Link, Operation, OperationResult, TransactError, Uuid, View};
use run_folder::RefusalCounts;
use weir_api::condition::{Condition, Time};
use weir_api::{ConflictPolicy, NodeFlowExportSpec, NodeFlowExportStatus};

use crate::access::{Access, unreachable};
use crate::cost::Measurement;
use crate::desired::Desired;
use crate::diff::{Action, Diff, RowChange, diff};
use crate::findings::{self, NodeState, SwitchAck};
use crate::gate_refusals::GateRefusals;
use crate::governor::Governor;
use crate::observe::{Observed, observe};
use crate::pace::{HealBudget, retry_delay};
use crate::quirks::Dialect;
use crate::rows::{DesiredRows, desired_rows};
use crate::switch_life::SwitchLife;
use crate::switch_state::SwitchProcess;
use crate::tables::Slot;
use crate::transaction::{configuration_number, transaction};

/// How long ovs-vswitchd may take before that is a finding.
const SWITCH_ACK_LIMIT: Duration = Duration::from_secs(5);

/// The memory of the loop.
#[derive(Debug)]
pub struct Reconciler {
    node: String,
    endpoint: String,
    access: Option<Access>,
    remembered: BTreeSet<Uuid>,
    in_place: Option<DesiredRows>,
    adopted: BTreeSet<Slot>,
    syncs: u64,
    awaited: Option<Awaited>,
    refused: Option<Refused>,
    /// Rows were removed to be made anew, which has to wait for ovs-vswitchd.
    renewing: bool,
    budget: HealBudget,
    written: Vec<RowChange>,
    conflicts: usize,
    drift_healed: u64,
    published_conditions: Option<Vec<Condition>>,
    switch: SwitchLife,
    measurement: Option<Measurement>,
    governor: Governor,
    refusals: GateRefusals,
}

/// A configuration that ovs-vswitchd was told to take over.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    number: i64,
    since: Instant,
}

/// A transaction that failed.
#[derive(Debug)]
struct Refused {
    changes: Vec<RowChange>,
    error: String,
    attempts: u32,
    until: Instant,
}

/// What a turn asks its caller to do.
#[derive(Debug)]
pub struct ReconcileStep {
    /// To be sent; its outcome goes to [`Reconciler::committed`] or
    /// [`Reconciler::failed`], and another turn follows.
    pub plan: Option<Plan>,
    /// How things stand before that.
    pub status: NodeFlowExportStatus,
    /// When another turn is due though nothing happens.
    pub wake: Option<Instant>,
}

/// Changes to make in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The changes.
    pub changes: Vec<RowChange>,
    /// Those that undo what others did, by slot.
    pub drift: BTreeSet<Slot>,
    /// The transaction.
    pub operations: Vec<Operation>,
}

impl Reconciler {
    /// `endpoint` is for messages only.
    pub fn new(node: impl Into<String>, endpoint: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            endpoint: endpoint.into(),
            access: None,
            remembered: BTreeSet::new(),
            in_place: None,
            adopted: BTreeSet::new(),
            syncs: 0,
            awaited: None,
            refused: None,
            renewing: false,
            budget: HealBudget::default(),
            written: Vec::new(),
            conflicts: 0,
            drift_healed: 0,
            published_conditions: None,
            switch: SwitchLife::default(),
            measurement: None,
            governor: Governor::default(),
            refusals: GateRefusals::default(),
        }
    }

    /// Knows who connects, to say what to do where nobody lets it in.
    pub fn with_access(mut self, access: Access) -> Self {
        self.access = Some(access);
        self
    }

    /// Why the database cannot be reached, if so.
    pub fn unreachable(&self, link: &Link) -> Option<String> {
        unreachable(&self.endpoint, link, self.access)
    }

    /// Rows put right since the beginning.
    pub fn drift_healed(&self) -> u64 {
        self.drift_healed
    }

    /// Slots that hold rows of somebody else, at the last turn.
    pub fn conflicts(&self) -> usize {
        self.conflicts
    }

    /// The lock of ovs-vswitchd was looked at.
    pub fn saw_switch(&mut self, switch: SwitchProcess) {
        self.switch.saw_lock(switch);
    }

    /// The gate was asked what it has refused.
    pub fn saw_refusals(&mut self, counts: RefusalCounts, now: Instant) {
        self.refusals.saw(counts, now);
    }

    /// What the export costs was found out; the governor holds it against the budget.
    pub fn measured(&mut self, measurement: Measurement, spec: &NodeFlowExportSpec, now: Instant) {
        self.measurement = Some(measurement);
        let before = self.governor.factor();
        self.governor.measure(spec, &measurement, now);
        let after = self.governor.factor();
        if before != after {
            tracing::warn!(before, after, cause = ?self.governor.cause(), "sampling changes by this factor");
        }
    }

    /// Whether something is coarser than asked.
    pub fn is_throttled(&self) -> bool {
        self.governor.factor() > 1
    }

    /// The status was published: its conditions lend their times to the next.
    pub fn published(&mut self, status: &NodeFlowExportStatus) {
        self.published_conditions = Some(status.conditions.clone());
    }

    /// Compares and decides.
    pub fn step(&mut self, view: &View, desired: &Desired, now: Instant, time: &Time) -> ReconcileStep {
        let observed = observe(&view.replica, &self.remembered);
        let dialect = view
            .schema
            .clone()
            .map(|schema| Dialect::new(schema, observed.root.ovs_version.as_deref()));
        let (true, Some(dialect)) = (view.link.is_synced(), &dialect) else {
            let findings = findings::of_unreachable(&self.endpoint, &view.link, self.access);
            let seen = dialect.as_ref().map(|dialect| (&observed, dialect));
            let status = self.conclude(findings, desired, seen, (now, time));
            return ReconcileStep {
                plan: None,
                status,
                wake: None,
            };
        };
        self.learn(&observed, view.syncs, now);
        self.step_synced(&observed, dialect, desired, now, time)
    }

    fn step_synced(
        &mut self,
        observed: &Observed,
        dialect: &Dialect,
        desired: &Desired,
        now: Instant,
        time: &Time,
    ) -> ReconcileStep {
        let spec = self.governor.throttle(&desired.spec);
        let rows = desired_rows(&spec, dialect, &self.node);
        let asked = desired_rows(&desired.spec, dialect, &self.node);
        let diff = diff(&rows, observed, desired.spec.conflict_policy, dialect);
        let drift = self.drift(&diff, &rows);
        let (switch_ack, overdue_at) = self.switch_ack(observed, now);
        self.switch
            .saw_configuration(self.syncs, observed.root.cur_cfg, switch_ack);
        self.renewing &= switch_ack == SwitchAck::Pending;
        let renewal = overdue_at.filter(|_| self.renewing);
        let hold = self.hold(&diff, &drift, now).max(renewal);
        self.settle(&diff, &rows);
        self.conflicts = diff.conflicts.len();
        let facts = NodeState {
            spec: &desired.spec,
            asked: &asked,
            rows: &rows,
            observed,
            diff: &diff,
            adopted: &self.adopted,
            failure: self.refused.as_ref().map(|r| r.error.as_str()),
            switch_ack,
            switch: self.switch.process().unwrap_or_default(),
        };
        let findings = findings::of_synced(&facts);
        let status = self.conclude(findings, desired, Some((observed, dialect)), (now, time));
        let wake = [hold, overdue_at].into_iter().flatten().min();
        let may_write = hold.is_none() && !desired.hold;
        let plan = (may_write && !diff.changes.is_empty()).then(|| self.plan(diff.changes, drift));
        ReconcileStep { plan, status, wake }
    }

    /// The transaction that removes every row of ours, if there is any.
    pub fn farewell(&self, view: &View) -> Option<Plan> {
        let schema = view.schema.clone().filter(|_| view.link.is_synced())?;
        let observed = observe(&view.replica, &self.remembered);
        let dialect = Dialect::new(schema, observed.root.ovs_version.as_deref());
        let diff = diff(&DesiredRows::new(), &observed, ConflictPolicy::Refuse, &dialect);
        (!diff.changes.is_empty()).then(|| self.plan(diff.changes, BTreeSet::new()))
    }

    /// The transaction went through.
    pub fn committed(&mut self, plan: &Plan, results: &[OperationResult], now: Instant) {
        self.refused = None;
        self.drift_healed += plan.drift.len() as u64;
        if !plan.drift.is_empty() || plan.changes == self.written {
            self.budget.spend();
        }
        self.written.clone_from(&plan.changes);
        self.renewing = plan.changes.iter().any(|c| c.action == Action::Renew);
        let adopted = plan.changes.iter().filter(|c| c.adopts).map(|c| c.slot.clone());
        self.adopted.extend(adopted);
        if let Some(number) = configuration_number(results) {
            self.awaited = Some(Awaited { number, since: now });
        }
    }

    /// The transaction did not go through, or nobody knows.
    pub fn failed(&mut self, plan: Plan, error: &TransactError, now: Instant) {
        let attempts = self.refused.as_ref().map_or(0, |r| r.attempts).saturating_add(1);
        self.refused = Some(Refused {
            changes: plan.changes,
            error: error.to_string(),
            attempts,
            until: now + retry_delay(attempts),
        });
    }

    fn plan(&self, changes: Vec<RowChange>, drift: BTreeSet<Slot>) -> Plan {
        let operations = transaction(&changes, &self.node);
        Plan {
            changes,
            drift,
            operations,
        }
    }

    /// Takes note of our rows, and after a full resync of what the switch is to
    /// take over: numbers start again with an empty database.
    fn learn(&mut self, observed: &Observed, syncs: u64, now: Instant) {
        self.remembered = observed
            .rows()
            .filter(|(_, _, row)| row.ours)
            .map(|(_, _, row)| row.uuid)
            .collect();
        if self.syncs != syncs || self.awaited.is_none() {
            self.syncs = syncs;
            let number = observed.root.next_cfg;
            self.awaited = Some(Awaited { number, since: now });
        }
    }

    /// Changes that the spec did not cause: the same row was in place before. One that
    /// is renewed for that counts when it is back.
    fn drift(&self, diff: &Diff, rows: &DesiredRows) -> BTreeSet<Slot> {
        let Some(in_place) = &self.in_place else {
            return BTreeSet::new();
        };
        let lasting = diff.changes.iter().filter(|c| c.action != Action::Renew);
        lasting
            .map(|c| &c.slot)
            .filter(|slot| in_place.get(slot) == rows.get(slot))
            .cloned()
            .collect()
    }

    /// Until when changes must not be written yet: they were refused, or others
    /// (or the server) undo them again and again.
    fn hold(&mut self, diff: &Diff, drift: &BTreeSet<Slot>, now: Instant) -> Option<Instant> {
        let refused = self.refused.as_ref();
        let retry = refused
            .filter(|r| r.until > now && r.changes == diff.changes)
            .map(|r| r.until);
        let only_drift = !drift.is_empty() && drift.len() == diff.changes.len();
        let again = only_drift || (!diff.changes.is_empty() && diff.changes == self.written);
        let heal = if again { self.budget.ready_at(now) } else { None };
        retry.max(heal)
    }

    /// Remembers what is in place. A row whose bridge is gone or whose place is
    /// taken counts as in place as long as it is wanted unchanged: when it can be
    /// put back, that is a repair.
    fn settle(&mut self, diff: &Diff, rows: &DesiredRows) {
        self.adopted.retain(|slot| rows.contains_key(slot));
        if !diff.changes.is_empty() {
            return;
        }
        self.refused = None;
        let before = self.in_place.take().unwrap_or_default();
        let absent = diff
            .conflicts
            .iter()
            .chain(&diff.without_bridge)
            .chain(&diff.without_table);
        let absent: BTreeSet<&Slot> = absent.collect();
        let stays =
            |slot: &Slot, row| !absent.contains(slot) || before.get(slot).is_some_and(|known| known == row);
        let in_place = rows.iter().filter(|(slot, row)| stays(slot, *row));
        self.in_place = Some(in_place.map(|(slot, row)| (slot.clone(), row.clone())).collect());
    }

    /// Whether ovs-vswitchd has followed, and when that becomes overdue. Should
    /// somebody set the numbers back, the newest number counts.
    fn switch_ack(&self, observed: &Observed, now: Instant) -> (SwitchAck, Option<Instant>) {
        let Some(awaited) = self.awaited else {
            return (SwitchAck::Pending, None);
        };
        if observed.root.cur_cfg >= awaited.number.min(observed.root.next_cfg) {
            return (SwitchAck::Done, None);
        }
        let limit = awaited.since + SWITCH_ACK_LIMIT;
        if now < limit {
            (SwitchAck::Pending, Some(limit))
        } else {
            (SwitchAck::Overdue, None)
        }
    }
}

mod conclusion;

#[cfg(test)]
mod tests;
