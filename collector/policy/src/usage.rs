//! Policies beside the traffic that was seen: what they cover, which rules nothing used,
//! and which are wider than what used them. Nothing is claimed here about the window:
//! whoever shows a report says how long it was, how it was sampled, and which nodes
//! exported.

use crate::edges::EdgeSet;
use crate::engine::Cluster;
use crate::inventory::Inventory;
use crate::judge::EdgeJudge;
use crate::profile::Profile;

mod coverage;
mod disagreements;
mod rules;
mod verdicts;

pub use coverage::{Coverage, CoverageReport, Isolation, SideTraffic, coverage};
pub use disagreements::{
    Cause, Disagreeing, DisagreementInput, Disagreements, HOUR, NotEnforced, disagreements,
};
pub use rules::{RuleUse, rule_usage, unused, wide};
pub use verdicts::{Judged, verdicts};

/// What is looked at.
#[derive(Debug)]
pub struct UsageInput<'a> {
    /// What was seen.
    pub edges: &'a EdgeSet,
    /// Workloads and Services.
    pub inventory: &'a Inventory,
    /// The cluster with its policies.
    pub cluster: Cluster,
    /// The CNI that is assumed.
    pub profile: Profile,
}

impl<'a> UsageInput<'a> {
    fn judge(self) -> EdgeJudge<'a> {
        EdgeJudge::new(self.edges, self.inventory, self.cluster, self.profile)
    }
}

/// How likely it is that sampling one packet of so many sees none of a connection's
/// packets, 0 to 1; without sampling (0 or 1) nothing is missed.
pub fn miss_probability(packets: u64, one_of: u32) -> f64 {
    match one_of {
        0 | 1 => 0.0,
        _ => (1.0 - 1.0 / f64::from(one_of)).powf(packets as f64),
    }
}
