//! What is to be said of a node: from the facts to one finding a condition.
//! Pure. Transition times are added by [`crate::status`].

use std::collections::BTreeSet;

use ovsdb::Link;
use weir_api::condition::{ConditionStatus, Finding};
use weir_api::export::{APPLIED, CONFLICT, EXPORTING, SWITCH_ALIVE, reason};
use weir_api::{NodeFlowExportSpec, Protocol};

use crate::access::{Access, unreachable};
use crate::desired::{Acceptance, Desired};
use crate::diff::Diff;
use crate::observe::Observed;
use crate::quirks;
use crate::rows::DesiredRows;
use crate::switch_state::SwitchProcess;
use crate::tables::Slot;

mod budget;

pub use budget::of_budget;

/// All that stands in the source can be done; only where the source is a file.
pub const ACCEPTED: &str = "Accepted";

/// Reasons of [`ACCEPTED`].
pub mod accepted {
    /// All of it.
    pub const ACCEPTED: &str = "Accepted";
    /// Entries that cannot be used are skipped.
    pub const INVALID_ENTRIES: &str = "InvalidEntries";
    /// The file cannot be read; its last good version counts.
    pub const INVALID_FILE: &str = "InvalidFile";
    /// The profile's file cannot be read; its last good version counts.
    pub const PROFILE_UNREADABLE: &str = "ProfileUnreadable";
}

/// The remedy for what this version does not understand.
const UPDATE: &str = "update weir-node on this node";

/// What is said of a dead switch, with the remedy.
const NOT_RUNNING: &str = "ovs-vswitchd does not run: nothing holds the lock on ovs-vswitchd.pid; \
                           start Open vSwitch on this node";

/// Whether ovs-vswitchd has taken the newest rows over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchAck {
    /// It has.
    Done,
    /// It was told a moment ago.
    Pending,
    /// It was told long ago.
    Overdue,
}

/// What a node looks like, as far as its database is in sync.
#[derive(Debug, Clone, Copy)]
pub struct NodeState<'a> {
    /// What is asked for.
    pub spec: &'a NodeFlowExportSpec,
    /// The rows that it asks for, of which some may be suspended.
    pub asked: &'a DesiredRows,
    /// The rows that are to be in place.
    pub rows: &'a DesiredRows,
    /// What is there.
    pub observed: &'a Observed,
    /// The difference.
    pub diff: &'a Diff,
    /// Slots whose row was taken over from somebody else.
    pub adopted: &'a BTreeSet<Slot>,
    /// Why the last transaction failed, if it did.
    pub failure: Option<&'a str>,
    /// Whether the switch has followed.
    pub switch_ack: SwitchAck,
    /// Whether it runs.
    pub switch: SwitchProcess,
}

/// Findings while the database is in sync.
pub fn of_synced(facts: &NodeState<'_>) -> Vec<Finding> {
    let applied = applied(facts);
    let exporting = exporting(facts, &applied);
    vec![applied, exporting, conflict(facts)]
}

/// Findings while it is not.
pub fn of_unreachable(endpoint: &str, link: &Link, access: Option<Access>) -> Vec<Finding> {
    let (applied, reason, message) = match unreachable(endpoint, link, access) {
        Some(why) => (ConditionStatus::False, reason::OVSDB_UNREACHABLE, why),
        None => (
            ConditionStatus::Unknown,
            reason::PENDING,
            format!("connecting to {endpoint}"),
        ),
    };
    let unknown = ConditionStatus::Unknown;
    [(APPLIED, applied), (EXPORTING, unknown), (CONFLICT, unknown)]
        .map(|(kind, status)| finding(kind, status, reason, message.clone()))
        .into()
}

/// The finding about the switch's process.
pub fn of_switch(switch: SwitchProcess) -> Finding {
    let (status, reason, message) = match switch {
        SwitchProcess::Alive => (
            ConditionStatus::True,
            reason::SWITCH_RUNNING,
            "ovs-vswitchd holds the lock on its pid file",
        ),
        SwitchProcess::Dead => (ConditionStatus::False, reason::SWITCH_NOT_RUNNING, NOT_RUNNING),
        SwitchProcess::Elsewhere => (
            ConditionStatus::Unknown,
            reason::PID_FILE_NOT_LOCKED,
            "ovs-vswitchd takes over what is written, but does not hold the lock on the ovs-vswitchd.pid beside the \
             OVSDB socket; mount the folder that it runs in, or remove the file if an earlier one left it",
        ),
        SwitchProcess::Unknown => (
            ConditionStatus::Unknown,
            reason::NO_PID_FILE,
            "there is no ovs-vswitchd.pid beside the OVSDB socket; start ovs-vswitchd with --pidfile",
        ),
    };
    finding(SWITCH_ALIVE, status, reason, message)
}

/// The finding about the source itself.
pub fn of_acceptance(acceptance: &Acceptance) -> Finding {
    let (holds, reason, message) = match acceptance {
        Acceptance::Accepted => (true, accepted::ACCEPTED, "the file is valid"),
        Acceptance::SomeRefused(why) => (false, accepted::INVALID_ENTRIES, why.as_str()),
        Acceptance::Unreadable(why) => (false, accepted::INVALID_FILE, why.as_str()),
        Acceptance::ProfileUnreadable(why) => (false, accepted::PROFILE_UNREADABLE, why.as_str()),
    };
    finding(ACCEPTED, holds.into(), reason, message)
}

/// What the daemon did not understand it did not apply, whatever else holds.
pub fn admit_what_was_ignored(findings: &mut [Finding], desired: &Desired) {
    let unread = desired.unreadable.as_ref().map(|why| {
        let message = format!("the spec cannot be read, and what stands stays: {why}; {UPDATE}");
        (reason::SPEC_UNREADABLE, message)
    });
    let unknown = || {
        let fields = desired.unknown_fields.join(", ");
        (!fields.is_empty()).then(|| {
            (
                reason::UNKNOWN_FIELDS,
                format!("left out of account: {fields}; {UPDATE}"),
            )
        })
    };
    let mended = || {
        let values = desired.unsafe_values.join("; ");
        (!values.is_empty()).then_some((reason::UNSAFE_VALUES, values))
    };
    let Some((reason, message)) = unread.or_else(unknown).or_else(mended) else {
        return;
    };
    let would_hold =
        |f: &&mut Finding| f.kind == APPLIED && (f.status == ConditionStatus::True || desired.hold);
    if let Some(applied) = findings.iter_mut().find(would_hold) {
        *applied = finding(APPLIED, ConditionStatus::False, reason, message.clone());
    }
    // Nobody knows what was asked for, so nobody knows whether it is exported.
    let exporting = |f: &&mut Finding| desired.hold && f.kind == EXPORTING;
    if let Some(exporting) = findings.iter_mut().find(exporting) {
        *exporting = finding(EXPORTING, ConditionStatus::Unknown, reason, message);
    }
}

fn applied(facts: &NodeState<'_>) -> Finding {
    let diff = facts.diff;
    let pending: Vec<&Slot> = diff.changes.iter().map(|c| &c.slot).collect();
    let no = |reason, message| finding(APPLIED, ConditionStatus::False, reason, message);
    if let Some(failure) = facts.failure.filter(|_| !pending.is_empty()) {
        return no(
            reason::TRANSACTION_FAILED,
            format!("{}: {failure}", list(&pending)),
        );
    }
    if !diff.without_table.is_empty() {
        let message = format!("this Open vSwitch cannot export {}", list(&diff.without_table));
        return no(reason::TRANSACTION_FAILED, message);
    }
    if !diff.conflicts.is_empty() {
        let message = format!("left alone: {}", list(&diff.conflicts));
        return no(reason::FOREIGN_ROW, message);
    }
    if !diff.without_bridge.is_empty() {
        return no(reason::BRIDGE_MISSING, missing_bridges(&diff.without_bridge));
    }
    if !pending.is_empty() {
        return no(reason::PENDING, format!("to be written: {}", list(&pending)));
    }
    if facts.asked.is_empty() {
        let message = "no collectors are configured, and no row of Weir is in place";
        return finding(APPLIED, ConditionStatus::True, reason::NO_COLLECTORS, message);
    }
    let suspended = suspended(facts);
    let message = match (facts.rows.is_empty(), suspended.is_empty()) {
        (false, true) => format!("in place: {}", list(facts.rows.keys())),
        (false, false) => format!(
            "in place: {}; {}",
            list(facts.rows.keys()),
            suspended_by_budget(&suspended)
        ),
        (true, _) => suspended_by_budget(&suspended),
    };
    finding(APPLIED, ConditionStatus::True, reason::APPLIED, message)
}

/// Slots that are asked for and have no row, for the sake of the budget.
fn suspended<'a>(facts: &NodeState<'a>) -> Vec<&'a Slot> {
    let asked = facts.asked.keys();
    asked.filter(|slot| !facts.rows.contains_key(*slot)).collect()
}

fn suspended_by_budget(slots: &[&Slot]) -> String {
    format!(
        "suspended to stay within spec.budget: {}",
        list(slots.iter().copied())
    )
}

fn missing_bridges(slots: &[Slot]) -> String {
    let names: BTreeSet<&str> = slots.iter().map(|s| s.bridge.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    match names.as_slice() {
        [one] => format!("there is no bridge {one}"),
        many => format!("there are no bridges {}", many.join(", ")),
    }
}

fn exporting(facts: &NodeState<'_>, applied: &Finding) -> Finding {
    let with = |status, reason, message: String| finding(EXPORTING, status, reason, message);
    if facts.asked.is_empty() {
        let message = "no collectors are configured";
        return finding(EXPORTING, ConditionStatus::False, reason::NO_COLLECTORS, message);
    }
    let suspended = suspended(facts);
    if facts.rows.is_empty() {
        let message = suspended_by_budget(&suspended);
        return with(ConditionStatus::False, reason::THROTTLED, message);
    }
    let in_force: Vec<&Slot> = facts.rows.keys().filter(|slot| is_ours(facts, slot)).collect();
    if in_force.is_empty() {
        return with(ConditionStatus::False, applied.reason, applied.message.clone());
    }
    if facts.switch == SwitchProcess::Dead {
        return with(
            ConditionStatus::False,
            reason::SWITCH_NOT_RUNNING,
            NOT_RUNNING.to_owned(),
        );
    }
    match facts.switch_ack {
        SwitchAck::Done => {}
        SwitchAck::Pending => {
            let message = "waiting for ovs-vswitchd to take the rows over".to_owned();
            return with(ConditionStatus::Unknown, reason::PENDING, message);
        }
        SwitchAck::Overdue => {
            let message =
                "ovs-vswitchd does not take the rows over (cur_cfg stays behind next_cfg); is it running?";
            return with(
                ConditionStatus::False,
                reason::SWITCH_NOT_RESPONDING,
                message.to_owned(),
            );
        }
    }
    if let Some(bridge) = without_agent(facts) {
        let message = format!(
            "sFlow on {bridge} has no agent address; OVS takes that of the route to the first collector, \
             and disables sFlow without a word when there is none"
        );
        return with(ConditionStatus::Unknown, reason::SFLOW_AGENT_MISSING, message);
    }
    let mut message = format!("in force: {}", list(in_force.iter().copied()));
    if !suspended.is_empty() {
        message = format!("{message}; {}", suspended_by_budget(&suspended));
    }
    with(ConditionStatus::True, reason::EXPORTING, message)
}

fn is_ours(facts: &NodeState<'_>, slot: &Slot) -> bool {
    facts
        .observed
        .row(&slot.bridge, slot.protocol)
        .is_some_and(|row| row.ours)
}

fn without_agent<'a>(facts: &NodeState<'a>) -> Option<&'a str> {
    let agents = facts
        .observed
        .rows()
        .filter(|(_, protocol, row)| *protocol == Protocol::SFlow && row.ours);
    let mut uncertain = agents.filter(|(_, _, row)| !quirks::agent_is_certain(row.data.str("agent")));
    uncertain.next().map(|(bridge, _, _)| bridge)
}

fn conflict(facts: &NodeState<'_>) -> Finding {
    let diff = facts.diff;
    if !diff.conflicts.is_empty() {
        let message = format!(
            "rows of somebody else serve {}; conflictPolicy Adopt would take them over",
            list(&diff.conflicts)
        );
        return finding(CONFLICT, ConditionStatus::True, reason::FOREIGN_ROW, message);
    }
    if !facts.adopted.is_empty() {
        let message = format!("taken over from somebody else: {}", list(facts.adopted));
        return finding(CONFLICT, ConditionStatus::False, reason::ADOPTED, message);
    }
    let message = "no row of somebody else is in the way";
    finding(CONFLICT, ConditionStatus::False, reason::NO_CONFLICT, message)
}

fn list<'a>(slots: impl IntoIterator<Item = &'a (impl std::fmt::Display + 'a)>) -> String {
    let slots: Vec<String> = slots.into_iter().map(ToString::to_string).collect();
    slots.join(", ")
}

fn finding(
    kind: &'static str,
    status: ConditionStatus,
    reason: &'static str,
    message: impl Into<String>,
) -> Finding {
    Finding {
        kind,
        status,
        reason,
        message: message.into(),
    }
}

#[cfg(test)]
mod tests;
