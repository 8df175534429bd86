//! What is to be said of a cluster's flow export: its conditions in words with what to do,
//! each node, what it costs, what was changed and when, and what a change would do. `weir`
//! and the pages `/api/v1/exports…` say the same, because they say it from here.
//!
//! ```text
//! objects as the API server has them -> source, node, history, rollout -> words
//!                                    -> preparation (the planner of weir-api) -> differences, patches
//! ```
//!
//! No I/O and no clock; nothing is written.
#![deny(missing_docs)]

pub mod condition;
pub mod cost;
pub mod difference;
pub mod history;
pub mod node;
pub mod preparation;
pub mod rollout;
pub mod source;

pub use condition::{Level, StatedCondition};
pub use cost::Figures;
pub use history::{ExportChange, Kept};
pub use node::{NodeExport, NodeReport};
pub use preparation::{Asked, NotPrepared, Prepared, Present};
pub use rollout::RolloutState;
pub use source::{Source, SourceKind, SourceState};

/// Namespace of the controller, where it keeps its revisions.
pub const NAMESPACE: &str = "weir-system";
