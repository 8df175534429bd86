//! What `weir policy` and the pages `/api/v1/policy/…` answer: rows of the matrix and the
//! objects of a cluster in, reports out.
//!
//! ```text
//! rows of the matrix, of records -> Gathering -> EdgeSet --.
//! Objects, policies of files ----> World ------------------+-> explain, lint, check, generate,
//! whose names may be told -------> Sight ------------------'   coverage, unused, wide, disagreements,
//!                                                          the matrix's verdicts
//! ```
//!
//! The reports are what is sent as JSON and written as CSV; how they look to people is the
//! CLI's. Who asks whom for rows and objects, and who may see them, is decided elsewhere:
//! nothing here does I/O or reads a clock. What is computed is `weir_policy`'s.

mod called;
pub mod check;
pub mod csv;
pub mod disagreements;
mod error;
pub mod evidence;
pub mod explain;
pub mod generate;
pub mod lint;
pub mod matrix;
mod peer;
mod sight;
mod tally;
pub mod usage;
mod words;
mod world;

pub use called::Called;
pub use error::DecisionError;
pub use peer::{Peer, Resolved};
pub use sight::{HIDDEN, Namespaces, Sight};
pub use tally::{EdgeRow, TallyRow};
pub use words::{grouped, profile_name, rule_name, tally};
pub use world::{Traffic, World};
