//! The status of a node: findings with their transition times, and the settings
//! in force. Pure; the caller says what time it is.

use std::collections::BTreeSet;

use weir_api::condition::{Condition, ConditionStatus, Finding, Time, conclude};
use weir_api::export::{APPLIED, CONFLICT, GATE_REFUSED, SWITCH_ALIVE, THROTTLED, reason};
use weir_api::{BridgeStatus, NodeFlowExportSpec, NodeFlowExportStatus, Protocol};

use crate::desired::Desired;
use crate::findings::{ACCEPTED, admit_what_was_ignored, of_acceptance};
use crate::observe::Observed;
use crate::quirks::Dialect;

/// What the database last said; unknown before it was first in sync.
pub type Seen<'a> = Option<(&'a Observed, &'a Dialect)>;

/// Of this daemon.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Puts a status together. `before` are the conditions told last.
pub fn status(
    mut findings: Vec<Finding>,
    desired: &Desired,
    seen: Seen<'_>,
    drift_healed: u64,
    before: &[Condition],
    now: &Time,
) -> NodeFlowExportStatus {
    findings.extend(desired.acceptance.as_ref().map(of_acceptance));
    admit_what_was_ignored(&mut findings, desired);
    let bridges = seen.map_or_else(Vec::new, |(observed, dialect)| {
        bridges(&desired.spec, observed, dialect)
    });
    NodeFlowExportStatus {
        observed_generation: desired.generation,
        daemon_version: Some(VERSION.to_owned()),
        unknown_fields: desired.unknown_fields.clone(),
        ovs_version: seen.and_then(|(observed, _)| observed.root.ovs_version.clone()),
        protocols: protocols(&bridges),
        reason: main_reason(&findings).to_owned(),
        drift_healed,
        cost: None,
        bridges,
        conditions: conclude(&findings, before, desired.generation, now),
    }
}

/// The bridges of the spec, and others where a row of ours still stands.
fn bridges(spec: &NodeFlowExportSpec, observed: &Observed, dialect: &Dialect) -> Vec<BridgeStatus> {
    let asked = spec.bridges.iter().map(|b| b.name.as_str());
    let left = observed
        .rows()
        .filter(|(_, _, row)| row.ours)
        .map(|(name, _, _)| name);
    let names: BTreeSet<&str> = asked.chain(left).collect();
    names
        .into_iter()
        .map(|name| observed.bridge_status(name, dialect))
        .collect()
}

fn protocols(bridges: &[BridgeStatus]) -> String {
    let in_force = |protocol: &Protocol| {
        bridges.iter().any(|b| match protocol {
            Protocol::NetFlow => b.net_flow.is_some(),
            Protocol::SFlow => b.s_flow.is_some(),
            Protocol::Ipfix => b.ipfix.is_some(),
        })
    };
    let names: Vec<String> = Protocol::ALL
        .iter()
        .filter(|p| in_force(p))
        .map(ToString::to_string)
        .collect();
    names.join(",")
}

/// The reason of the first finding that is not as it should be, else that of
/// `Applied`.
fn main_reason(findings: &[Finding]) -> &'static str {
    let unhappy = |f: &&Finding| match f.kind {
        CONFLICT | THROTTLED | GATE_REFUSED => f.status == ConditionStatus::True,
        SWITCH_ALIVE => f.status == ConditionStatus::False,
        APPLIED | ACCEPTED => f.status != ConditionStatus::True,
        _ => f.status != ConditionStatus::True && f.reason != reason::NO_COLLECTORS,
    };
    let first = findings.iter().find(unhappy).or_else(|| findings.first());
    first.map_or(reason::PENDING, |f| f.reason)
}

#[cfg(test)]
mod tests;
