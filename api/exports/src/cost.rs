//! What the export costs a node, what it may cost, and whether it is held back for that.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_api::Condition;
use weir_api::export::{Budget, BudgetAction, CostFigures};

/// What the export costs a node, averages of a minute. What Open vSwitch does not tell is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    /// Processor time of ovs-vswitchd as a whole, in thousandths of a processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub vswitchd_millicores: Option<u32>,
    /// IPFIX datagrams that left the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub datagrams_per_second: Option<u32>,
    /// IPFIX datagrams that could not be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub send_errors_per_second: Option<u32>,
    /// Packets that the datapath could not pass up to ovs-vswitchd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub lost_per_second: Option<u32>,
}

impl From<CostFigures> for Figures {
    fn from(cost: CostFigures) -> Self {
        Self {
            vswitchd_millicores: cost.vswitchd_millicores,
            datagrams_per_second: cost.datagrams_per_second,
            send_errors_per_second: cost.send_errors_per_second,
            lost_per_second: cost.lost_per_second,
        }
    }
}

/// What bounds the cost, and what is done about it; nothing where nothing does.
pub fn bounds(budget: Budget) -> Option<String> {
    let processor = budget
        .vswitchd_millicores
        .map(|millicores| format!("{millicores}m"));
    let lost = budget.lost_per_second.map(|lost| format!("{lost} lost/s"));
    let bounds: Vec<String> = [processor, lost].into_iter().flatten().collect();
    let action = match budget.action {
        BudgetAction::Report => "report",
        BudgetAction::Throttle => "throttle",
    };
    (!bounds.is_empty()).then(|| format!("{}: {action}", bounds.join(", ")))
}

/// What is to be said where the export is held back, or nobody knows whether it should be.
pub fn held_back(throttled: Option<&Condition>) -> Option<&str> {
    let throttled = throttled.filter(|condition| condition.status != "False")?;
    Some(&throttled.message)
}
