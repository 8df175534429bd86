//! What is odd about policies, whoever calls whom: rules that never count, and what is
//! not judged as its author may think.

use crate::policy::{
    ClusterPeer, ClusterPolicy, DIRECTIONS, Direction, NetworkPeer, NetworkPolicy, NetworkRule, Policy,
    PolicyKey, PortMatch,
};
use crate::profile::{NamedPorts, Profile};
use crate::selector::Selector;

/// What is odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LintCode {
    /// Rules of a direction that `policyTypes` leaves out.
    DeadRules,
    /// A selector that cannot be understood and selects nothing.
    BadSelector,
    /// A peer of which no field is known.
    UnknownPeer,
    /// A protocol without port in a ClusterNetworkPolicy, which the CRD refuses: taken for all.
    ProtocolWithoutPort,
    /// A named port, for which the CNI opens the whole protocol.
    NamedPortOpensProtocol,
    /// Policies of one tier and priority: where they disagree, the verdict is unknown.
    EqualPriority,
}

impl LintCode {
    /// The value of a label or column.
    pub fn name(self) -> &'static str {
        match self {
            LintCode::DeadRules => "dead_rules",
            LintCode::BadSelector => "bad_selector",
            LintCode::UnknownPeer => "unknown_peer",
            LintCode::ProtocolWithoutPort => "protocol_without_port",
            LintCode::NamedPortOpensProtocol => "named_port_opens_protocol",
            LintCode::EqualPriority => "equal_priority",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lint {
    /// Whose.
    pub policy: PolicyKey,
    /// What.
    pub code: LintCode,
    /// Where: `spec.ingress[0]`, or the other policy's name for [`LintCode::EqualPriority`].
    pub place: String,
}

/// All findings about a set of policies, sorted.
pub fn lint<'p>(policies: impl IntoIterator<Item = &'p Policy>, profile: &Profile) -> Vec<Lint> {
    let mut found = Vec::new();
    let mut cluster: Vec<(&ClusterPolicy, PolicyKey)> = Vec::new();
    for policy in policies {
        let key = policy.key();
        let mut add = |code, place: &str| {
            found.push(Lint {
                policy: key.clone(),
                code,
                place: place.to_owned(),
            })
        };
        match policy {
            Policy::Network(policy) => network(policy, profile, &mut add),
            Policy::Cluster(policy) => {
                cluster_rules(policy, &mut add);
                cluster.push((policy, key));
            }
            Policy::Foreign(_) => {}
        }
    }
    for (policy, key) in &cluster {
        for (other, other_key) in &cluster {
            if key != other_key && (policy.tier, policy.priority) == (other.tier, other.priority) {
                let place = other_key.to_string();
                found.push(Lint {
                    policy: key.clone(),
                    code: LintCode::EqualPriority,
                    place,
                });
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn place(direction: Direction, index: usize) -> String {
    match direction {
        Direction::Ingress => format!("spec.ingress[{index}]"),
        Direction::Egress => format!("spec.egress[{index}]"),
    }
}

fn network(policy: &NetworkPolicy, profile: &Profile, add: &mut impl FnMut(LintCode, &str)) {
    if policy.pods == Selector::Unreadable {
        add(LintCode::BadSelector, "spec.podSelector");
    }
    for direction in DIRECTIONS {
        for (index, rule) in policy.rules(direction).iter().enumerate() {
            let place = place(direction, index);
            match policy.isolates(direction) {
                true => network_rule(rule, profile, &place, add),
                false => add(LintCode::DeadRules, &place),
            }
        }
    }
}

fn network_rule(rule: &NetworkRule, profile: &Profile, place: &str, add: &mut impl FnMut(LintCode, &str)) {
    for peer in &rule.peers {
        match peer {
            NetworkPeer::Pods { namespaces, pods } => {
                if namespaces
                    .iter()
                    .chain(pods)
                    .any(|selector| *selector == Selector::Unreadable)
                {
                    add(LintCode::BadSelector, place);
                }
            }
            NetworkPeer::Unknown => add(LintCode::UnknownPeer, place),
            NetworkPeer::Block(_) => {}
        }
    }
    let is_named = rule
        .ports
        .iter()
        .any(|port| matches!(port.port, PortMatch::Named(_)));
    if is_named && profile.named_ports() == NamedPorts::WholeProtocol {
        add(LintCode::NamedPortOpensProtocol, place);
    }
}

fn cluster_rules(policy: &ClusterPolicy, add: &mut impl FnMut(LintCode, &str)) {
    let is_bad = |namespaces: &Selector, pods: &Option<Selector>| {
        std::iter::once(namespaces)
            .chain(pods)
            .any(|selector| *selector == Selector::Unreadable)
    };
    if is_bad(&policy.subject.namespaces, &policy.subject.pods) {
        add(LintCode::BadSelector, "spec.subject");
    }
    for direction in DIRECTIONS {
        for (index, rule) in policy.rules(direction).iter().enumerate() {
            let place = place(direction, index);
            for peer in &rule.peers {
                match peer {
                    ClusterPeer::Pods(pods) if is_bad(&pods.namespaces, &pods.pods) => {
                        add(LintCode::BadSelector, &place);
                    }
                    ClusterPeer::Nodes(Selector::Unreadable) => add(LintCode::BadSelector, &place),
                    ClusterPeer::Unknown => add(LintCode::UnknownPeer, &place),
                    _ => {}
                }
            }
            if rule.ports.iter().any(|port| port.port == PortMatch::All) {
                add(LintCode::ProtocolWithoutPort, &place);
            }
        }
    }
}
