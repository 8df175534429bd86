//! What the NetworkPolicies of a cluster say about a connection.
//!
//! In go facts and policies, out come verdicts:
//!
//! ```text
//! YAML, JSON -> parse -> Policy ---.
//! Pod, Namespace, Node ------------+-> Engine -> Arc<Snapshot> -> evaluate(Connection) -> Verdict
//!                                      (one writer)  (many readers, a pointer swap)
//! ```
//!
//! The verdict is about a connection, from the client that opened it to the server's pod
//! and port after translation: first the egress policies of the client, then the ingress
//! policies of the server. The answer is allow, deny, or unknown with a reason; nothing
//! is guessed. What the API leaves open is decided by a [`Profile`] of the CNI.
//!
//! No I/O, no clock, no panics on what others wrote. The semantics, row by row, are in
//! docs/policy-semantics.md; each row is a test of the name given there.

mod classes;
pub mod edges;
mod engine;
pub mod facts;
pub mod generate;
pub mod inventory;
mod judge;
pub mod lint;
pub mod observed;
pub mod parse;
pub mod policy;
pub mod profile;
pub mod replay;
pub mod selector;
pub mod usage;
pub mod verdict;
pub mod words;

pub use engine::{
    Cluster, Connection, Endpoint, EndpointKind, Engine, Explanation, MatchingRule, Memo, Miss, NearestRule,
    RuleRef, SideExplanation, Snapshot,
};
pub use facts::{NamedPort, Namespace, Node, Pod, Protocol};
pub use policy::{Direction, Policy, PolicyKey, PolicyKind};
pub use profile::{Cni, Profile};
pub use selector::{Labels, Selector};
pub use verdict::{Answer, Decider, Notes, Reason, Side, Verdict};
