//! What the pages about policies answer; the CLI reads what they write.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_decisions::check::CheckReport;
use weir_decisions::disagreements::{DisagreementRow, NotEnforcedRow};
use weir_decisions::explain::Explained;
use weir_decisions::generate::Made;
use weir_decisions::lint::Finding;
use weir_decisions::usage::{CoverageRow, RuleRow};
use weir_query::Note;

/// Whether one may reach the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplainAnswer {
    /// An answer for all pairs of addresses that have it, the commonest first.
    pub rows: Vec<Explained>,
    /// What one should know about the answer.
    pub notes: Vec<Note>,
}

/// What is odd about policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LintAnswer {
    /// A row for each finding, by policy.
    pub rows: Vec<Finding>,
    /// What one should know about the answer.
    pub notes: Vec<Note>,
}

/// How far policies reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CoverageAnswer {
    /// A row for each workload, by name.
    pub rows: Vec<CoverageRow>,
    /// The hours of the traffic: the start of the first, RFC 3339.
    pub since: String,
    /// The end of the last.
    pub until: String,
    /// What one should know about the answer.
    pub notes: Vec<Note>,
}

/// Rules beside what used them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RulesAnswer {
    /// A row for each rule.
    pub rows: Vec<RuleRow>,
    /// The hours of the traffic: the start of the first, RFC 3339.
    pub since: String,
    /// The end of the last.
    pub until: String,
    /// What one should know about the answer.
    pub notes: Vec<Note>,
}

/// Where policies and what was seen do not go together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DisagreementsAnswer {
    /// A row for each edge of which policies say otherwise.
    pub rows: Vec<DisagreementRow>,
    /// Policies whose denials were answered for an hour.
    pub not_enforced: Vec<NotEnforcedRow>,
    /// The hours of the traffic: the start of the first, RFC 3339.
    pub since: String,
    /// The end of the last.
    pub until: String,
    /// What one should know about the answer.
    pub notes: Vec<Note>,
}

/// What a change would have done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckAnswer {
    /// The report.
    #[serde(flatten)]
    pub report: CheckReport,
    /// What one should know about the answer.
    pub notes: Vec<Note>,
}

/// Policies that let pass what was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GenerateAnswer {
    /// The policies.
    #[serde(flatten)]
    pub made: Made,
    /// What one should know about the answer.
    pub notes: Vec<Note>,
}
