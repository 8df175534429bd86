use weir_api::BridgeExport;

use super::*;
use crate::diff::diff;
use crate::fixture::{Model, bridge, old_dialect, spec};
use crate::observe::observe;
use crate::rows::desired_rows;
use crate::transaction::transaction;

const TARGET: &str = "192.0.2.9:6343";

/// Findings after everything was written, with the switch in this state.
fn findings(exports: Vec<BridgeExport>, switch_ack: SwitchAck) -> Vec<Finding> {
    findings_with(exports, switch_ack, SwitchProcess::Alive)
}

fn findings_with(exports: Vec<BridgeExport>, switch_ack: SwitchAck, switch: SwitchProcess) -> Vec<Finding> {
    let (spec, dialect, adopted) = (spec(exports), old_dialect(), BTreeSet::new());
    let rows = desired_rows(&spec, &dialect, "n");
    let mut model = Model::with_bridges(&["br-int"]);
    let compare = |model: &Model| {
        let observed = observe(&model.replica(), &BTreeSet::new());
        let diff = diff(&rows, &observed, spec.conflict_policy, &dialect);
        (observed, diff)
    };
    let changes = compare(&model).1.changes;
    model.apply(&transaction(&changes, "n")).unwrap();
    let (observed, diff) = compare(&model);
    of_synced(&NodeState {
        spec: &spec,
        asked: &rows,
        rows: &rows,
        observed: &observed,
        diff: &diff,
        adopted: &adopted,
        failure: None,
        switch_ack,
        switch,
    })
}

fn exporting(findings: &[Finding]) -> &Finding {
    findings.iter().find(|f| f.kind == EXPORTING).unwrap()
}

#[test]
fn sflow_without_an_agent_address_is_not_claimed_to_run() {
    let mut export = bridge("br-int", &[Protocol::SFlow], TARGET);
    export.s_flow.as_mut().unwrap().agent = None;
    let found = findings(vec![export], SwitchAck::Done);
    let exporting = exporting(&found);
    assert_eq!(
        (exporting.status, exporting.reason),
        (ConditionStatus::Unknown, reason::SFLOW_AGENT_MISSING)
    );
    assert!(exporting.message.contains("br-int"));
    let found = findings(
        vec![bridge("br-int", &[Protocol::SFlow], TARGET)],
        SwitchAck::Done,
    );
    assert_eq!(found[1].status, ConditionStatus::True);
}

#[test]
fn exporting_waits_for_the_switch() {
    let exports = vec![bridge("br-int", &[Protocol::NetFlow], TARGET)];
    let of = |switch_ack| {
        let found = findings(exports.clone(), switch_ack);
        (exporting(&found).status, exporting(&found).reason)
    };
    assert_eq!(of(SwitchAck::Done), (ConditionStatus::True, reason::EXPORTING));
    assert_eq!(
        of(SwitchAck::Pending),
        (ConditionStatus::Unknown, reason::PENDING)
    );
    assert_eq!(
        of(SwitchAck::Overdue),
        (ConditionStatus::False, reason::SWITCH_NOT_RESPONDING)
    );
}

#[test]
fn what_a_dead_switch_took_over_once_is_not_exported() {
    let exports = vec![bridge("br-int", &[Protocol::NetFlow], TARGET)];
    let found = findings_with(exports.clone(), SwitchAck::Done, SwitchProcess::Dead);
    assert_eq!(
        (exporting(&found).status, exporting(&found).reason),
        (ConditionStatus::False, reason::SWITCH_NOT_RUNNING)
    );
    let found = findings_with(exports, SwitchAck::Done, SwitchProcess::Unknown);
    assert_eq!(exporting(&found).status, ConditionStatus::True);
}

#[test]
fn a_message_holds_nothing_that_counts() {
    let down = |attempts| Link::Down {
        error: "cannot connect".to_owned(),
        attempts,
    };
    assert_eq!(
        of_unreachable("unix:/db.sock", &down(1), None),
        of_unreachable("unix:/db.sock", &down(2), None)
    );
    let found = findings(
        vec![bridge("br-int", &[Protocol::NetFlow], TARGET)],
        SwitchAck::Overdue,
    );
    let message = &exporting(&found).message;
    assert!(!message.contains(|c: char| c.is_ascii_digit()), "{message}");
}

#[test]
fn one_missing_bridge_does_not_deny_what_the_other_exports() {
    let exports = ["br-int", "br-none"].map(|name| bridge(name, &[Protocol::NetFlow], TARGET));
    let found = findings(exports.into(), SwitchAck::Done);
    assert_eq!(
        (found[0].status, found[0].reason),
        (ConditionStatus::False, reason::BRIDGE_MISSING)
    );
    assert_eq!(found[0].message, "there is no bridge br-none");
    assert_eq!(exporting(&found).status, ConditionStatus::True);
    assert!(!exporting(&found).message.contains("br-none"));
}

#[test]
fn an_unusable_source_is_a_finding() {
    let finding = of_acceptance(&Acceptance::Unreadable("n.yaml: line 3".to_owned()));
    assert_eq!(
        (finding.status, finding.reason),
        (ConditionStatus::False, accepted::INVALID_FILE)
    );
    assert_eq!(finding.message, "n.yaml: line 3");
    assert_eq!(of_acceptance(&Acceptance::Accepted).status, ConditionStatus::True);
}
