//! NetworkPolicies out of what was seen.
//!
//! ```text
//! edges -> learn (who, which port; the rest is counted by reason)
//!       -> units (workloads as selectors)   -> rules (exact merge, sorted)
//!       -> proof (all that was learnt is replayed against the result) -> objects, report
//! ```
//!
//! The same edges give the same objects, in whatever order they come. Objects of others
//! are never replaced.

use std::collections::{BTreeMap, BTreeSet};

use crate::edges::{Edge, EdgeSet, Strength, Tally, WorkloadKey};
use crate::engine::Cluster;
use crate::inventory::Inventory;
use crate::policy::{Direction, NetworkPolicy, PolicyKey};
use crate::profile::Profile;
use crate::verdict::Reason;

mod blocks;
mod cluster;
mod cluster_yaml;
mod dns;
mod evidence;
mod learn;
mod names;
mod node_labels;
mod peers;
mod ports;
mod proof;
mod rules;
mod units;
mod yaml;

pub use cluster::{GeneratedCluster, GeneratedClusterPolicy, cluster_policies, cluster_spec_hash};
pub use cluster_yaml::{cluster_object, cluster_yaml};
pub use names::{MANAGED_BY, SPEC_ANNOTATION, spec_hash};
pub use yaml::{object, yaml};

/// How much wider than what was seen the policies are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// As narrow as labels can say: those that tell the replicas of a workload apart too.
    Pods,
    /// From workload to workload, ports as seen.
    #[default]
    Workload,
    /// Peers are whole namespaces, ports as seen.
    Namespace,
    /// Peers are whole namespaces, with all ports.
    NamespacePorts,
}

/// How addresses outside are written that belong to no network with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Internet {
    /// Each address.
    Exact,
    /// Each address up to [`MOST_EXACT`] for a port; beyond them networks of /24 and /48
    /// with [`LEAST_HITS`] addresses at least, and if these are too many still, the internet.
    #[default]
    Aggregate,
    /// The internet, as soon as one of its addresses was seen.
    Any,
}

/// How nodes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nodes {
    /// Each by its addresses.
    #[default]
    Addresses,
    /// All by the smallest network that their addresses are in, where no pod or Service is in it.
    Cidr,
    /// In the egress of ClusterNetworkPolicies by the narrowest role (`node-role.kubernetes.io/…`)
    /// that all have which were called, else all nodes; elsewhere by addresses.
    Labels,
}

/// How many networks one port of one workload may have before they are put together.
pub const MOST_EXACT: usize = 16;
/// How many addresses of a /24 or /48 must have been seen to write the network for them.
pub const LEAST_HITS: usize = 4;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// The namespaces whose pods get policies.
    pub namespaces: BTreeSet<String>,
    /// Only this workload; then there is no policy that denies by default.
    pub workload: Option<WorkloadKey>,
    /// How wide.
    pub level: Level,
    /// How addresses outside are written.
    pub internet: Internet,
    /// How nodes are written.
    pub nodes: Nodes,
    /// A policy for each namespace that denies what no other allows.
    pub default_deny: bool,
    /// What hand-written policies allow is not repeated.
    pub on_top: bool,
    /// Edges of weak evidence are learnt too; never those to ephemeral ports.
    pub weak: bool,
    /// TCP and SCTP that nobody answered is learnt too.
    pub unanswered: bool,
    /// Edges that the policies deny are learnt too.
    pub denied: bool,
    /// Every workload whose egress is isolated may ask the cluster's DNS, seen or not.
    pub assume_dns: bool,
    /// Four ports in a row or more are written as a range.
    pub ranges: bool,
}

impl GenerateOptions {
    /// The usual ones, for one namespace.
    pub fn of_namespace(namespace: &str) -> GenerateOptions {
        GenerateOptions {
            namespaces: BTreeSet::from([namespace.to_owned()]),
            workload: None,
            level: Level::default(),
            internet: Internet::default(),
            nodes: Nodes::default(),
            default_deny: true,
            on_top: false,
            weak: false,
            unanswered: false,
            denied: false,
            assume_dns: false,
            ranges: false,
        }
    }
}

/// What policies are made of.
#[derive(Debug)]
pub struct GenerateInput<'a> {
    /// What was seen.
    pub edges: &'a EdgeSet,
    /// The cluster as it is, with all its policies.
    pub cluster: &'a Cluster,
    /// Workloads, Services, named networks.
    pub inventory: &'a Inventory,
    /// The CNI that is assumed.
    pub profile: Profile,
    /// The policies that have our label ([`MANAGED_BY`]), with their [`SPEC_ANNOTATION`].
    /// One whose annotation is not [`spec_hash`] was changed by hand and is left alone.
    pub managed: &'a BTreeMap<PolicyKey, String>,
    /// What is wanted.
    pub options: &'a GenerateOptions,
}

/// On what a rule rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Edges, flows and bytes.
    pub tally: Tally,
    /// When it was seen first, in nanoseconds since 1970; 0 of nothing.
    pub first: u64,
    /// When it was seen last, in nanoseconds since 1970; 0 of nothing.
    pub last: u64,
    /// The weakest of its edges.
    pub strength: Strength,
    /// Names of networks and Services, and other things worth a word. Sorted.
    pub notes: BTreeSet<String>,
}

/// A policy and on what its rules rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedPolicy {
    /// The policy.
    pub policy: NetworkPolicy,
    /// For each rule of `ingress`.
    pub ingress: Vec<Evidence>,
    /// For each rule of `egress`.
    pub egress: Vec<Evidence>,
    /// What a person should know of it.
    pub notes: BTreeSet<String>,
}

impl GeneratedPolicy {
    /// On what the rules of a direction rest.
    pub fn evidence(&self, direction: Direction) -> &[Evidence] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// Why an edge taught nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Skipped {
    /// Neither end is a pod that gets a policy.
    OutOfScope,
    /// A NetworkPolicy has no say: a pod and its own node (probes among them), a pod and
    /// itself.
    NeedsNoRule,
    /// Hand-written policies allow it already.
    AllowedAlready,
    /// Policies deny it.
    Denied,
    /// Nobody answered.
    Unanswered,
    /// Who called is known too weakly.
    Weak,
    /// On weak evidence, to a port that clients use.
    Ephemeral,
    /// A protocol that NetworkPolicies cannot name.
    Protocol,
    /// An end has no labels that last and no address to write.
    NoSelector,
    /// It is not known who the ends are.
    Unknown(Reason),
}

/// What pods, and what else, the policies allow. Pairs are those of classes of ends that
/// the policies do not tell apart, and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Width {
    /// Pairs that were seen.
    pub seen: u64,
    /// Pairs that the rules allow; a range of ports is one.
    pub allowed: u64,
    /// Pairs that are allowed beyond what the level says: 0, unless a selector could not be
    /// made narrow enough, of which there is a warning.
    pub beyond_level: u64,
    /// Not all pairs were counted, for there are too many.
    pub is_cut: bool,
}

/// Addresses that were put together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Aggregated {
    /// For whom.
    pub policy: PolicyKey,
    /// Which way.
    pub direction: Direction,
    /// The network that is written.
    pub network: String,
    /// How many of its addresses were seen.
    pub seen: usize,
}

/// What was learnt, and what was not.
#[derive(Debug, Clone, Default)]
pub struct GenerationReport {
    /// All edges.
    pub all: Tally,
    /// Edges that taught something.
    pub learnt: Tally,
    /// Edges that did not, by reason.
    pub skipped: BTreeMap<Skipped, Tally>,
    /// Edges of which one should know: tried and never answered, or denied.
    pub tried: Vec<Edge>,
    /// How wide the policies are.
    pub width: Width,
    /// Addresses that were put together.
    pub aggregated: Vec<Aggregated>,
    /// Directions of workloads that are not isolated, for nothing was seen of them and
    /// there is no policy that denies by default.
    pub open: Vec<(PolicyKey, Direction)>,
    /// Policies with our label that were changed by hand; ours stand beside them.
    pub changed_by_hand: Vec<PolicyKey>,
    /// Policies with our label in these namespaces that nothing asks for any more.
    pub obsolete: Vec<PolicyKey>,
    /// What could not be said as narrowly as wanted, and what may break later. Sorted.
    pub warnings: BTreeSet<String>,
}

/// What came out. All of it has been proved.
#[derive(Debug, Clone)]
pub struct Generated {
    /// By namespace and name; what denies by default comes last in its namespace.
    pub policies: Vec<GeneratedPolicy>,
    /// What was learnt, and what was not.
    pub report: GenerationReport,
}

/// Why nothing came out.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// There is nothing to learn from.
    #[error("no edge to learn from")]
    NoEdges,
    /// A ClusterNetworkPolicy is of the Admin or the Baseline tier, and what denies needs
    /// one priority after it.
    #[error("the tier must be Admin or Baseline, the priority less than 1000")]
    Rank,
    /// The policies would deny what they were learnt from: a fault of this program or of
    /// what it was told about the cluster.
    #[error("the policies would deny what was seen: {}", .0.join("; "))]
    Proof(Vec<String>),
}

/// Generates policies, and proves them.
pub fn generate(input: &GenerateInput<'_>) -> Result<Generated, GenerateError> {
    if input.edges.edges().is_empty() {
        return Err(GenerateError::NoEdges);
    }
    let mut report = GenerationReport::default();
    let mut units = units::Units::of(input);
    let learnt = learn::learn(input, &mut units, &mut report);
    let policies = rules::policies(input, &units, &learnt, &mut report);
    proof::prove(input, &learnt, &policies)?;
    report.width = proof::width(input, &units, &learnt, &policies);
    Ok(Generated { policies, report })
}
