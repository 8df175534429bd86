//! How much the change of an object matters. Pure.

use weir_api::export::ExportCost;
use weir_api::{ExportProfile, ExportRollout, NodeFlowExport, NodeFlowExportStatus};

use crate::facts::{NodeRecord, SourceFacts};
use crate::table::ObjectChange;

/// Whatever differs changes the plan.
pub fn weigh_plan<V: PartialEq>(before: Option<&V>, after: Option<&V>) -> ObjectChange {
    if before == after {
        ObjectChange::Nothing
    } else {
        ObjectChange::Plan
    }
}

/// Whatever differs is told and changes no plan.
pub fn weigh_report<V: PartialEq>(before: Option<&V>, after: Option<&V>) -> ObjectChange {
    weigh_plan(before, after).min(ObjectChange::Report)
}

/// Whether a node is ready is only told.
pub fn weigh_node(before: Option<&NodeRecord>, after: Option<&NodeRecord>) -> ObjectChange {
    let planned =
        |node: Option<&NodeRecord>| node.map(|n| (n.uid.clone(), n.labels.clone(), n.facts.clone()));
    weigh_plan(planned(before).as_ref(), planned(after).as_ref()).max(weigh_report(before, after))
}

/// Settings are planned, status is told.
pub fn weigh_profile(before: Option<&ExportProfile>, after: Option<&ExportProfile>) -> ObjectChange {
    let planned = weigh_plan(before.map(|p| &p.spec), after.map(|p| &p.spec));
    let told = |p: &ExportProfile| (p.metadata.generation, p.status.clone());
    planned.max(weigh_report(before.map(told).as_ref(), after.map(told).as_ref()))
}

/// What is asked for is planned, the rest is told.
pub fn weigh_source(before: Option<&SourceFacts>, after: Option<&SourceFacts>) -> ObjectChange {
    if before == after {
        return ObjectChange::Nothing;
    }
    // A source without flows removes, one that is gone does not.
    let flows = |facts: Option<&SourceFacts>| facts.map(|f| f.flows.clone());
    if flows(before) == flows(after) {
        ObjectChange::Report
    } else {
        ObjectChange::Plan
    }
}

/// What a node reports. What the export costs changes all the time, and is read when
/// something else calls for it; whether any datagram leaves changes seldom.
fn told(export: &NodeFlowExport) -> Option<NodeFlowExportStatus> {
    let status = export.status.clone()?;
    let sends = |cost: ExportCost| ExportCost {
        datagrams_per_second: cost.datagrams_per_second.map(|datagrams| datagrams.min(1)),
        ..ExportCost::default()
    };
    Some(NodeFlowExportStatus {
        cost: status.cost.map(sends),
        ..status
    })
}

/// Settings are planned, status is told.
pub fn weigh_export(before: Option<&NodeFlowExport>, after: Option<&NodeFlowExport>) -> ObjectChange {
    match (before, after) {
        (Some(before), Some(after)) if before.metadata == after.metadata && before.spec == after.spec => {
            if told(before) == told(after) {
                ObjectChange::Nothing
            } else {
                ObjectChange::Report
            }
        }
        (None, None) => ObjectChange::Nothing,
        _ => ObjectChange::Plan,
    }
}

/// Whatever a rollout is asked to be is planned, and so is where it stands.
pub fn weigh_rollout(before: Option<&ExportRollout>, after: Option<&ExportRollout>) -> ObjectChange {
    let planned = |rollout: &ExportRollout| {
        let generation = rollout.metadata.generation;
        (generation, rollout.spec.clone(), rollout.status.clone())
    };
    weigh_plan(before.map(planned).as_ref(), after.map(planned).as_ref())
}
