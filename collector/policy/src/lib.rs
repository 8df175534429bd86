//! What the NetworkPolicies of a cluster say about a connection, and what policies should
//! say about the connections that were seen.
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
//! In go edges (who called whom on which port, from recorded flows), a cluster and an
//! inventory (workloads, Services, named networks), out come decisions:
//!
//! ```text
//! EdgeSet, Inventory --.
//! Cluster (versions) --+-> replay(Change) -----> Report -> exit_code, words
//!                      +-> generate(Options) --> Generated -> yaml, object   (proved before it is given)
//!                      '-> coverage, rule_usage -> unused, wide
//! ```
//!
//! Each of these compiles its own engine; a pod that is gone is judged by others of its
//! workload, and told as such. Times are in nanoseconds since 1970 and come from the
//! caller, as do windows, sampling and who exported: reports name none of them.
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
    Cluster, Connection, Endpoint, EndpointKind, Engine, Explanation, Lookalikes, MatchingRule, Memo, Miss,
    NearestRule, Past, RuleRef, SideExplanation, Snapshot,
};
pub use facts::{NamedPort, Namespace, Node, Pod, Protocol};
pub use policy::{Direction, Policy, PolicyKey, PolicyKind};
pub use profile::{Cni, Profile};
pub use selector::{Labels, Selector};
pub use verdict::{Answer, Decider, Notes, Reason, Side, Verdict};
