//! Policies as they were written: one type for NetworkPolicy v1, one for the cluster
//! kinds (AdminNetworkPolicy and BaselineAdminNetworkPolicy v1alpha1, ClusterNetworkPolicy
//! v1alpha2 and v1beta1), which say the same in different words.
//!
//! [`crate::parse`] makes them; nothing here is decided yet: which pods a selector
//! selects, and what a profile makes of a rule, is the engine's.

use std::fmt;

use ipnet::IpNet;

use crate::facts::Protocol;
use crate::selector::Selector;

/// The kinds of objects that decide about connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyKind {
    /// `networking.k8s.io/v1`.
    NetworkPolicy,
    /// `policy.networking.k8s.io/v1alpha1`.
    AdminNetworkPolicy,
    /// `policy.networking.k8s.io/v1alpha1`.
    BaselineAdminNetworkPolicy,
    /// `policy.networking.k8s.io/v1alpha2` and `v1beta1`.
    ClusterNetworkPolicy,
    /// An object of the CNI's own, which is not evaluated ([`ForeignPolicy`]).
    Foreign,
}

impl PolicyKind {
    /// The kind's name in the API.
    pub fn name(self) -> &'static str {
        match self {
            PolicyKind::NetworkPolicy => "NetworkPolicy",
            PolicyKind::AdminNetworkPolicy => "AdminNetworkPolicy",
            PolicyKind::BaselineAdminNetworkPolicy => "BaselineAdminNetworkPolicy",
            PolicyKind::ClusterNetworkPolicy => "ClusterNetworkPolicy",
            PolicyKind::Foreign => "foreign",
        }
    }
}

/// Which policy. Sorted as the named one of several is chosen: by namespace, then name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyKey {
    /// Empty for the cluster kinds.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// The kind.
    pub kind: PolicyKind,
}

impl fmt::Display for PolicyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.is_empty() {
            true => write!(f, "{}", self.name),
            false => write!(f, "{}/{}", self.namespace, self.name),
        }
    }
}

/// Which way, seen from the pod that a policy selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the pod: the client's policies.
    Egress,
    /// To the pod: the server's policies.
    Ingress,
}

/// Both directions, in the order in which a connection meets them.
pub const DIRECTIONS: [Direction; 2] = [Direction::Egress, Direction::Ingress];

/// Any policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// NetworkPolicy v1.
    Network(NetworkPolicy),
    /// One of the cluster kinds.
    Cluster(ClusterPolicy),
    /// An object that selects pods and is not evaluated.
    Foreign(ForeignPolicy),
}

impl Policy {
    /// Which policy it is.
    pub fn key(&self) -> PolicyKey {
        let (kind, namespace, name) = match self {
            Policy::Network(policy) => (PolicyKind::NetworkPolicy, policy.namespace.as_str(), &policy.name),
            Policy::Cluster(policy) => (policy.kind, "", &policy.name),
            Policy::Foreign(object) => (PolicyKind::Foreign, object.namespace.as_str(), &object.name),
        };
        PolicyKey {
            namespace: namespace.into(),
            name: name.clone(),
            kind,
        }
    }
}

/// A NetworkPolicy v1 as it stands in the API: what was left out is left out here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `spec.podSelector`; absent is `{}`.
    pub pods: Selector,
    /// `spec.policyTypes`; empty: by the number of egress rules.
    pub types: Vec<Direction>,
    /// `spec.ingress`; absent, null and `[]` are the same.
    pub ingress: Vec<NetworkRule>,
    /// `spec.egress`; absent, null and `[]` are the same.
    pub egress: Vec<NetworkRule>,
}

impl NetworkPolicy {
    /// Whether the pods that it selects are isolated in this direction: by the types
    /// given; without any Ingress, and Egress if there is at least one egress rule
    /// (defaulting of the API server).
    pub fn isolates(&self, direction: Direction) -> bool {
        match (self.types.is_empty(), direction) {
            (false, _) => self.types.contains(&direction),
            (true, Direction::Ingress) => true,
            (true, Direction::Egress) => !self.egress.is_empty(),
        }
    }

    /// The rules as written, dead ones too.
    pub fn rules(&self, direction: Direction) -> &[NetworkRule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// One rule of a NetworkPolicy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRule {
    /// `from` or `to`; empty means everyone.
    pub peers: Vec<NetworkPeer>,
    /// `ports`; empty means all ports of all protocols.
    pub ports: Vec<NetworkPort>,
}

/// One item of `from` or `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkPeer {
    /// Pods. `None` is an absent selector, which is not the same as an empty one.
    Pods {
        /// Absent: the policy's own namespace.
        namespaces: Option<Selector>,
        /// Absent: all pods.
        pods: Option<Selector>,
    },
    /// Addresses.
    Block(IpBlock),
    /// Nothing that we know is set (only in objects that an API server let pass): matches nobody.
    Unknown,
}

/// An `ipBlock`: masked, with its exceptions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IpBlock {
    /// `cidr`.
    pub cidr: IpNet,
    /// `except`.
    pub except: Vec<IpNet>,
}

/// One item of `ports`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPort {
    /// `protocol`, TCP where absent.
    pub protocol: Protocol,
    /// Which ports of it.
    pub port: PortMatch,
}

/// Which ports of a protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PortMatch {
    /// All of them.
    All,
    /// From the first to the last, both included.
    Range(u16, u16),
    /// What the server's pod calls so.
    Named(String),
}

/// The greatest index that a rule is called by: all rules after it are called so too.
pub const LAST_RULE: u16 = u16::MAX - 1;

/// What decides first. Within a tier the lower priority number does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// Before NetworkPolicies.
    Admin,
    /// NetworkPolicies.
    NetworkPolicy,
    /// Where no NetworkPolicy selects the pod.
    Baseline,
}

/// A policy of one of the cluster kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterPolicy {
    /// Which of the kinds.
    pub kind: PolicyKind,
    /// `metadata.name`.
    pub name: String,
    /// Admin or Baseline.
    pub tier: Tier,
    /// 0 to 1000; [`BASELINE_ADMIN_PRIORITY`] for a BaselineAdminNetworkPolicy.
    pub priority: u16,
    /// The pods that it is about.
    pub subject: ClusterPods,
    /// `ingress`.
    pub ingress: Vec<ClusterRule>,
    /// `egress`.
    pub egress: Vec<ClusterRule>,
}

/// A BaselineAdminNetworkPolicy has no priority: it comes after every
/// ClusterNetworkPolicy of the Baseline tier.
pub const BASELINE_ADMIN_PRIORITY: u16 = 1001;

impl ClusterPolicy {
    /// The rules of one direction, in order.
    pub fn rules(&self, direction: Direction) -> &[ClusterRule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// Pods of namespaces, never those on the host network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClusterPods {
    /// Which namespaces.
    pub namespaces: Selector,
    /// Which pods; absent: all.
    pub pods: Option<Selector>,
}

/// One rule of a cluster policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRule {
    /// `name`, or empty.
    pub name: String,
    /// What becomes of a connection that matches.
    pub action: Action,
    /// `from` or `to`; at least one.
    pub peers: Vec<ClusterPeer>,
    /// `protocols` or `ports`; empty means any protocol, ICMP too.
    pub ports: Vec<ClusterPort>,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Allowed, in this direction.
    Accept,
    /// Denied.
    Deny,
    /// The rest of the tier is skipped.
    Pass,
}

/// One item of `from` or `to` of a cluster policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterPeer {
    /// `namespaces`, `pods`.
    Pods(ClusterPods),
    /// `nodes`: the addresses of these nodes.
    Nodes(Selector),
    /// `networks`.
    Networks(Vec<IpNet>),
    /// `domainNames`: exact, or `*.` and a suffix; lower case, without the last dot.
    DomainNames(Vec<String>),
    /// A peer of a newer API, of which we know no field: the rule fails closed.
    Unknown,
}

/// One item of `protocols` or `ports` of a cluster policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterPort {
    /// `None` only with a named port: that of the container port.
    pub protocol: Option<Protocol>,
    /// Which ports.
    pub port: PortMatch,
}

/// An object of the CNI's own (Antrea's policies, EgressFirewall, subnet ACLs) that
/// selects pods: what it decides is not known here, so that neither is the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignPolicy {
    /// Its kind, as the API names it.
    pub kind: String,
    /// Empty for objects of the cluster.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// Absent: its own namespace, or all where it has none.
    pub namespaces: Option<Selector>,
    /// The pods selected.
    pub pods: Selector,
}
