//! What the daemon was told to do, whoever told it: a file or its own
//! `NodeFlowExport`.

use weir_api::export::ExportCost;
use weir_api::{Condition, NodeFlowExportSpec};

/// A spec and where it stands in its source.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Desired {
    /// What to program.
    pub spec: NodeFlowExportSpec,
    /// `metadata.generation`; for a file the count of its good versions.
    pub generation: Option<i64>,
    /// Whether the source could be used as it stands. `None` where somebody else
    /// tells the user, as the controller does in a cluster.
    pub acceptance: Option<Acceptance>,
    /// Fields of the spec that this daemon does not know, by their places.
    pub unknown_fields: Vec<String>,
    /// What of the spec would have hurt and is put right, a sentence each.
    pub unsafe_values: Vec<String>,
    /// Why the spec cannot be read. Then the one before it counts.
    pub unreadable: Option<String>,
    /// Nothing may be written: the spec cannot be read, and what was asked before is not known.
    pub hold: bool,
    /// Conditions that were reported before the daemon began; they lend their
    /// transition times.
    pub reported: Vec<Condition>,
    /// What was reported to be the cost then; it stays until there is a figure of our own.
    pub reported_cost: Option<ExportCost>,
}

impl Desired {
    /// Whether it asks for the same, as the same generation. What was reported does not count.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let of = |d: &Self| (d.generation, d.hold);
        of(self) == of(other)
            && self.spec == other.spec
            && self.unknown_fields == other.unknown_fields
            && self.unsafe_values == other.unsafe_values
            && self.unreadable == other.unreadable
            && self.acceptance == other.acceptance
    }
}

/// Whether all that stands in the source can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// All of it.
    Accepted,
    /// Some of it cannot; the rest counts.
    SomeRefused(String),
    /// The source cannot be read; what it said before still counts.
    Unreadable(String),
    /// The profile's file cannot be read; both files count as they were.
    ProfileUnreadable(String),
}
