//! What the daemon was told to do, whoever told it: a file or its own
//! `NodeFlowExport`.

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
    /// Conditions that were reported before the daemon began; they lend their
    /// transition times.
    pub reported: Vec<Condition>,
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
}
