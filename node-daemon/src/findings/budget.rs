//! The finding about what the export costs.

use weir_api::NodeFlowExportSpec;
use weir_api::condition::{ConditionStatus, Finding};
use weir_api::export::{BudgetAction, THROTTLED, reason};

use crate::cost::Look;
use crate::governor::{Governor, most_factor};
use crate::verdict::BudgetFigure;

use super::finding;

/// Against `spec.budget`. `look`: whether OVS was asked; `None`: not yet.
pub fn of_budget(spec: &NodeFlowExportSpec, governor: &Governor, look: Option<Look>) -> Finding {
    let with = |status, reason, message: String| finding(THROTTLED, status, reason, message);
    let budget = spec.budget.unwrap_or_default();
    let unknown = unknown(governor, look);
    let blind = (!unknown.is_empty()).then(|| unknown.join("; "));
    let but = blind.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    if let Some(cause) = governor.cause() {
        let (reason, why) = words(cause);
        let message = format!(
            "{why}: one packet in {} times as many is sampled, at most one in {}, and NetFlow is suspended; it ends \
             after ten calm minutes a step, or with a coarser sampling in the profile{but}",
            governor.factor(),
            budget.floor()
        );
        return with(ConditionStatus::True, reason, message);
    }
    if let Some(excess) = governor.verdict().excess() {
        let (reason, why) = words(excess);
        let remedy = match budget.action {
            BudgetAction::Report => "action Throttle would sample more coarsely".to_owned(),
            BudgetAction::Throttle if most_factor(spec, budget.floor()) == 1 => format!(
                "nothing can be throttled, since the floor of {} is not coarser than what is asked",
                budget.floor()
            ),
            BudgetAction::Throttle => "it is sampled as asked again".to_owned(),
        };
        return with(ConditionStatus::False, reason, format!("{why}; {remedy}{but}"));
    }
    if let Some(why) = blind {
        return with(ConditionStatus::Unknown, reason::COST_UNKNOWN, why);
    }
    if !governor.verdict().is_reached() {
        let message = "what the export costs is being measured".to_owned();
        return with(ConditionStatus::Unknown, reason::PENDING, message);
    }
    let message = "the export costs no more than its budget".to_owned();
    with(ConditionStatus::False, reason::WITHIN_BUDGET, message)
}

fn words(figure: BudgetFigure) -> (&'static str, &'static str) {
    match figure {
        BudgetFigure::Processor => (
            reason::PROCESSOR_OVER_BUDGET,
            "ovs-vswitchd takes more processor time than spec.budget.vswitchdMillicores",
        ),
        BudgetFigure::Lost => (
            reason::LOST_OVER_BUDGET,
            "the switch loses more packets than spec.budget.lostPerSecond",
        ),
    }
}

/// A sentence for each bounded figure that is not known, with the remedy.
fn unknown(governor: &Governor, look: Option<Look>) -> Vec<&'static str> {
    if look == Some(Look::Remote) {
        return vec![
            "what the export costs is not known, since OVSDB is reached over the network; give the daemon the unix: \
             socket of the node's own Open vSwitch",
        ];
    }
    let sentence = |figure: BudgetFigure| match figure {
        BudgetFigure::Processor => {
            "the processor time of ovs-vswitchd is not known; set other_config:enable-statistics=true in table \
             Open_vSwitch"
        }
        BudgetFigure::Lost => {
            "the packets that the switch lost are not known, since ovs-vswitchd does not answer dpctl/show; let the \
             daemon use its control socket beside that of OVSDB"
        }
    };
    governor.verdict().unknown().into_iter().map(sentence).collect()
}
