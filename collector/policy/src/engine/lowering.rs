//! Policies of all kinds in one form: rules with a tier, a rank and an action, whose
//! peers are sets of groups and networks, and whose ports are ranges and names. What the
//! profile makes of a rule is decided here.

use ipnet::IpNet;

use super::ports::PortSpec;
use super::sets::{NamespaceCondition, SetKey};
use crate::facts::Protocol;
use crate::policy::{
    Action, ClusterPeer, ClusterPods, ClusterPolicy, ClusterRule, DIRECTIONS, Direction, ForeignPolicy,
    IpBlock, LAST_RULE, NetworkPeer, NetworkPolicy, NetworkPort, NetworkRule, Policy, PortMatch, Tier,
};
use crate::profile::{NamedPorts, Profile};

/// A policy in the one form.
#[derive(Debug)]
pub(crate) struct Lowered {
    /// Foreign objects have none.
    pub(crate) tier: Option<Tier>,
    /// 0 for NetworkPolicies.
    pub(crate) priority: u16,
    pub(crate) subject: SetKey,
    /// By direction.
    pub(crate) isolates: [bool; 2],
    /// By direction.
    pub(crate) rules: [Vec<LoweredRule>; 2],
}

/// A rule in the one form.
#[derive(Debug, Default)]
pub(crate) struct LoweredRule {
    /// Its place among the rules of its direction.
    pub(crate) index: u16,
    pub(crate) name: String,
    pub(crate) action: Option<Action>,
    /// Every peer matches.
    pub(crate) everyone: bool,
    pub(crate) sets: Vec<SetKey>,
    pub(crate) blocks: Vec<IpBlock>,
    pub(crate) domains: Vec<String>,
    /// Every port of every protocol matches.
    pub(crate) all_ports: bool,
    pub(crate) ports: Vec<PortSpec>,
    pub(crate) named: Vec<NamedMatch>,
    /// The profile opened a whole protocol for a named port.
    pub(crate) widened: bool,
}

/// A port by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedMatch {
    pub(crate) name: String,
    /// `None`: that of the container port.
    pub(crate) protocol: Option<Protocol>,
    /// Where the name is looked up: among the pods of this namespace, or at the server.
    pub(crate) namespace: Option<String>,
}

/// One policy in the one form.
pub(crate) fn lower(policy: &Policy, profile: &Profile) -> Lowered {
    match policy {
        Policy::Network(policy) => network(policy, profile),
        Policy::Cluster(policy) => cluster(policy),
        Policy::Foreign(object) => foreign(object),
    }
}

fn indices() -> impl Iterator<Item = u16> {
    (0..LAST_RULE).chain(std::iter::repeat(LAST_RULE))
}

fn network(policy: &NetworkPolicy, profile: &Profile) -> Lowered {
    let own = NamespaceCondition::Named(policy.namespace.clone());
    let rules = |direction| match policy.isolates(direction) {
        false => Vec::new(),
        true => indices()
            .zip(policy.rules(direction))
            .map(|(index, rule)| network_rule(policy, rule, index, profile))
            .collect(),
    };
    Lowered {
        tier: Some(Tier::NetworkPolicy),
        priority: 0,
        subject: SetKey::Pods {
            namespaces: own,
            pods: Some(policy.pods.clone()),
        },
        isolates: DIRECTIONS.map(|direction| policy.isolates(direction)),
        rules: DIRECTIONS.map(rules),
    }
}

fn network_rule(policy: &NetworkPolicy, rule: &NetworkRule, index: u16, profile: &Profile) -> LoweredRule {
    let mut lowered = LoweredRule {
        index,
        action: Some(Action::Accept),
        everyone: rule.peers.is_empty(),
        all_ports: rule.ports.is_empty(),
        ..LoweredRule::default()
    };
    for peer in &rule.peers {
        match peer {
            NetworkPeer::Pods { namespaces, pods } => {
                let namespaces = match namespaces {
                    Some(selector) => NamespaceCondition::Matching(selector.clone()),
                    None => NamespaceCondition::Named(policy.namespace.clone()),
                };
                lowered.sets.push(SetKey::Pods {
                    namespaces,
                    pods: pods.clone(),
                });
            }
            NetworkPeer::Block(block) => lowered.blocks.push(block.clone()),
            NetworkPeer::Unknown => {}
        }
    }
    rule.ports
        .iter()
        .for_each(|port| network_port(&mut lowered, policy, port, profile));
    lowered
}

fn network_port(rule: &mut LoweredRule, policy: &NetworkPolicy, port: &NetworkPort, profile: &Profile) {
    let protocol = port.protocol;
    match &port.port {
        PortMatch::All => rule.ports.push((protocol, 0, u16::MAX)),
        PortMatch::Range(first, last) => rule.ports.push((protocol, *first, *last)),
        PortMatch::Named(name) => {
            let namespace = match profile.named_ports() {
                NamedPorts::OfEachPod => None,
                NamedPorts::OfThePolicysNamespace => Some(policy.namespace.clone()),
                NamedPorts::WholeProtocol => {
                    rule.widened = true;
                    return rule.ports.push((protocol, 0, u16::MAX));
                }
            };
            rule.named.push(NamedMatch {
                name: name.clone(),
                protocol: Some(protocol),
                namespace,
            });
        }
    }
}

fn cluster(policy: &ClusterPolicy) -> Lowered {
    let rules = |direction| {
        indices()
            .zip(policy.rules(direction))
            .map(|(index, rule)| cluster_rule(rule, index))
            .collect()
    };
    Lowered {
        tier: Some(policy.tier),
        priority: policy.priority,
        subject: cluster_pods(&policy.subject),
        isolates: [false, false],
        rules: DIRECTIONS.map(rules),
    }
}

fn cluster_pods(pods: &ClusterPods) -> SetKey {
    SetKey::Pods {
        namespaces: NamespaceCondition::Matching(pods.namespaces.clone()),
        pods: pods.pods.clone(),
    }
}

fn cluster_rule(rule: &ClusterRule, index: u16) -> LoweredRule {
    let base = LoweredRule {
        index,
        name: rule.name.clone(),
        ..LoweredRule::default()
    };
    if rule.peers.contains(&ClusterPeer::Unknown) {
        // fails closed: what accepts matches nothing, what denies or passes denies all
        let closed = rule.action != Action::Accept;
        let action = if closed { Action::Deny } else { Action::Accept };
        return LoweredRule {
            action: Some(action),
            everyone: closed,
            all_ports: closed,
            ..base
        };
    }
    let mut lowered = LoweredRule {
        action: Some(rule.action),
        all_ports: rule.ports.is_empty(),
        ..base
    };
    for peer in &rule.peers {
        match peer {
            ClusterPeer::Pods(pods) => lowered.sets.push(cluster_pods(pods)),
            ClusterPeer::Nodes(selector) => lowered.sets.push(SetKey::Nodes(selector.clone())),
            ClusterPeer::Networks(networks) => lowered.blocks.extend(networks.iter().map(whole)),
            ClusterPeer::DomainNames(names) => lowered.domains.extend(names.iter().cloned()),
            ClusterPeer::Unknown => {}
        }
    }
    for port in &rule.ports {
        match (&port.port, port.protocol) {
            (PortMatch::All, Some(protocol)) => lowered.ports.push((protocol, 0, u16::MAX)),
            (PortMatch::Range(first, last), Some(protocol)) => lowered.ports.push((protocol, *first, *last)),
            (PortMatch::Named(name), protocol) => {
                lowered.named.push(NamedMatch {
                    name: name.clone(),
                    protocol,
                    namespace: None,
                });
            }
            (_, None) => {}
        }
    }
    lowered
}

fn whole(network: &IpNet) -> IpBlock {
    IpBlock {
        cidr: *network,
        except: Vec::new(),
    }
}

fn foreign(object: &ForeignPolicy) -> Lowered {
    let namespaces = match &object.namespaces {
        Some(selector) => NamespaceCondition::Matching(selector.clone()),
        None if object.namespace.is_empty() => NamespaceCondition::Matching(crate::Selector::everything()),
        None => NamespaceCondition::Named(object.namespace.clone()),
    };
    Lowered {
        tier: None,
        priority: 0,
        subject: SetKey::Pods {
            namespaces,
            pods: Some(object.pods.clone()),
        },
        isolates: [false, false],
        rules: [Vec::new(), Vec::new()],
    }
}

impl Lowered {
    /// The rules of one direction.
    pub(crate) fn rules(&self, direction: Direction) -> &[LoweredRule] {
        &self.rules[direction as usize]
    }

    fn all_rules(&self) -> impl Iterator<Item = &LoweredRule> {
        self.rules.iter().flatten()
    }

    /// All sets, the subject among them.
    pub(crate) fn sets(&self) -> impl Iterator<Item = &SetKey> {
        std::iter::once(&self.subject).chain(self.all_rules().flat_map(|rule| &rule.sets))
    }

    /// All networks, those that are excepted among them.
    pub(crate) fn networks(&self) -> impl Iterator<Item = &IpNet> {
        let blocks = self.all_rules().flat_map(|rule| &rule.blocks);
        blocks.flat_map(|block| std::iter::once(&block.cidr).chain(&block.except))
    }

    /// The names of ports that are looked up at the server.
    pub(crate) fn port_names(&self) -> impl Iterator<Item = &str> {
        self.all_rules()
            .flat_map(|rule| &rule.named)
            .map(|named| named.name.as_str())
    }
}
