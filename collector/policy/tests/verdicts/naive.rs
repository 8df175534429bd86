//! Verdicts the slow way: every policy is looked at for every connection, and where
//! something is not certain all that may be so is tried. Straight from the tables of
//! docs/policy-semantics.md; nothing of the engine is used.

use std::net::IpAddr;

use ipnet::IpNet;
use weir_policy::facts::{Namespace, Node, Pod};
use weir_policy::policy::{
    Action, ClusterPeer, ClusterPods, ClusterPolicy, ClusterRule, Direction, IpBlock, NetworkPeer,
    NetworkPolicy, NetworkRule, PolicyKey, PortMatch, Tier,
};
use weir_policy::selector::{Labels, Operator, Selector};
use weir_policy::{Answer, Cluster, Cni, Policy, Profile, Reason};

/// One end.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    Pod {
        namespace: String,
        name: String,
        address: IpAddr,
    },
    Node {
        name: String,
        address: IpAddr,
    },
    Outside(IpAddr),
}

/// One connection.
#[derive(Debug, Clone)]
pub struct Call {
    pub client: End,
    pub server: End,
    pub protocol: u8,
    pub port: u16,
    pub through_service: bool,
    pub domains: Option<Vec<String>>,
}

/// What one end says, and by which policy and rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinion {
    pub answer: Answer,
    pub reason: Reason,
    pub by: Option<(PolicyKey, Option<usize>)>,
}

fn opinion(answer: Answer, reason: Reason) -> Opinion {
    Opinion {
        answer,
        reason,
        by: None,
    }
}

fn by(answer: Answer, reason: Reason, policy: &PolicyKey, rule: Option<usize>) -> Opinion {
    Opinion {
        answer,
        reason,
        by: Some((policy.clone(), rule)),
    }
}

/// Egress and ingress.
pub fn judge(cluster: &Cluster, profile: &Profile, call: &Call) -> [Opinion; 2] {
    [Direction::Egress, Direction::Ingress].map(|direction| {
        Side {
            cluster,
            profile,
            call,
            direction,
        }
        .judge()
    })
}

/// Both ends together.
pub fn together(opinions: &[Opinion; 2]) -> Answer {
    let has = |answer| opinions.iter().any(|opinion| opinion.answer == answer);
    if has(Answer::Deny) {
        Answer::Deny
    } else if has(Answer::Unknown) {
        Answer::Unknown
    } else {
        Answer::Allow
    }
}

struct Side<'a> {
    cluster: &'a Cluster,
    profile: &'a Profile,
    call: &'a Call,
    direction: Direction,
}

/// What is supposed in one try.
struct Guess {
    /// Bit by bit: whether each rule that nobody can know matches.
    uncertain: u32,
    /// Which policy of equal priority comes first.
    first: usize,
}

impl Side<'_> {
    fn subject(&self) -> &End {
        if self.direction == Direction::Egress {
            &self.call.client
        } else {
            &self.call.server
        }
    }

    fn peer(&self) -> &End {
        if self.direction == Direction::Egress {
            &self.call.server
        } else {
            &self.call.client
        }
    }

    fn find(&self, end: &End) -> Option<(&Pod, Namespace)> {
        let End::Pod { namespace, name, .. } = end else {
            return None;
        };
        let pod = self
            .cluster
            .pods
            .iter()
            .find(|p| p.namespace == *namespace && p.name == *name)?;
        Some((pod, self.namespace(namespace)))
    }

    fn namespace(&self, name: &str) -> Namespace {
        let found = self.cluster.namespaces.iter().find(|n| n.name == name);
        found
            .cloned()
            .unwrap_or_else(|| Namespace::new(name, Labels::new()))
    }

    fn judge(&self) -> Opinion {
        let Some((pod, namespace)) = self.find(self.subject()) else {
            let is_node = matches!(self.subject(), End::Node { .. });
            return opinion(
                Answer::Allow,
                if is_node { Reason::Host } else { Reason::External },
            );
        };
        let to_itself = match (&self.call.client, &self.call.server) {
            (
                End::Pod {
                    namespace: a,
                    name: b,
                    ..
                },
                End::Pod {
                    namespace: c,
                    name: d,
                    ..
                },
            ) => (a, b) == (c, d),
            _ => false,
        };
        let by_service = self.call.through_service;
        if to_itself {
            let open = match self.profile.cni {
                Cni::OvnKubernetes => true,
                Cni::Antrea => !by_service || self.direction == Direction::Ingress,
                _ => !by_service,
            };
            if open {
                return opinion(Answer::Allow, Reason::SelfPod);
            }
        }
        let mut result = self.tries(pod, &namespace);
        if to_itself && result.answer == Answer::Deny && self.profile.cni != Cni::Antrea {
            result = opinion(Answer::Unknown, Reason::Backend);
        }
        result
    }

    /// All that may be so; the first is the one that names the policy.
    fn tries(&self, pod: &Pod, namespace: &Namespace) -> Opinion {
        if !self.profile.ignore_foreign
            && let Some(key) = self.foreign(pod, namespace)
        {
            return by(Answer::Unknown, Reason::Foreign, &key, None);
        }
        let mut results = Vec::new();
        let cluster_policies = self
            .cluster
            .policies
            .iter()
            .filter(|p| matches!(p, Policy::Cluster(_)))
            .count();
        let uncertain = if cluster_policies == 0 || self.call.domains.is_some() {
            0
        } else {
            16
        };
        for uncertain in std::iter::once(u32::MAX).chain(0..uncertain) {
            for first in 0..cluster_policies.clamp(1, 4) {
                results.push(self.admin(pod, namespace, &Guess { uncertain, first }));
            }
        }
        let mut result = results[0].clone();
        if results.iter().any(|other| other.answer != result.answer) {
            result = opinion(Answer::Unknown, Reason::Order);
        }
        if result.answer == Answer::Deny && self.is_icmp_error() {
            result = opinion(Answer::Unknown, Reason::Protocol);
        }
        result
    }

    fn is_icmp_error(&self) -> bool {
        let kind = self.call.port / 256;
        match self.call.protocol {
            1 => [3, 4, 5, 11, 12].contains(&kind),
            58 => [1, 2, 3, 4].contains(&kind),
            _ => false,
        }
    }

    fn foreign(&self, pod: &Pod, namespace: &Namespace) -> Option<PolicyKey> {
        self.cluster.policies.iter().find_map(|policy| {
            let Policy::Foreign(object) = policy else {
                return None;
            };
            let there = match &object.namespaces {
                Some(selector) => selects(selector, &namespace.labels),
                None => object.namespace.is_empty() || object.namespace == namespace.name,
            };
            (there && selects(&object.pods, &pod.labels)).then(|| policy.key())
        })
    }

    fn admin(&self, pod: &Pod, namespace: &Namespace, guess: &Guess) -> Opinion {
        match self.cluster_tier(Tier::Admin, pod, namespace, guess) {
            Some(result) => result,
            None => self.network(pod, namespace, guess),
        }
    }

    /// `None`: on to the next tier.
    fn cluster_tier(&self, tier: Tier, pod: &Pod, namespace: &Namespace, guess: &Guess) -> Option<Opinion> {
        let mut policies: Vec<&ClusterPolicy> = self
            .cluster
            .policies
            .iter()
            .filter_map(|policy| match policy {
                Policy::Cluster(policy) if policy.tier == tier => Some(policy),
                _ => None,
            })
            .filter(|policy| self.in_cluster_pods(&policy.subject, pod, namespace))
            .collect();
        policies.sort_by_key(|policy| (policy.priority, policy.name.clone(), policy.kind));
        let mut start = 0;
        while start < policies.len() {
            let same = policies[start..]
                .iter()
                .take_while(|p| p.priority == policies[start].priority)
                .count();
            policies[start..start + same].rotate_left(guess.first % same);
            start += same;
        }
        let mut uncertain = 0;
        for policy in policies {
            let rules = if self.direction == Direction::Ingress {
                &policy.ingress
            } else {
                &policy.egress
            };
            for (index, rule) in rules.iter().enumerate() {
                let Some(action) = self.cluster_rule(rule, guess, &mut uncertain) else {
                    continue;
                };
                let key = Policy::Cluster(policy.clone()).key();
                return match action {
                    Action::Accept => Some(by(Answer::Allow, Reason::Rule, &key, Some(index))),
                    Action::Deny => Some(by(Answer::Deny, Reason::Rule, &key, Some(index))),
                    Action::Pass => None,
                };
            }
        }
        None
    }

    fn cluster_rule(&self, rule: &ClusterRule, guess: &Guess, uncertain: &mut u32) -> Option<Action> {
        if rule.peers.contains(&ClusterPeer::Unknown) {
            return (rule.action != Action::Accept).then_some(Action::Deny);
        }
        let ports = rule.ports.is_empty()
            || rule.ports.iter().any(|port| {
                let numbers = [6, 17, 132];
                let same = match port.protocol {
                    Some(protocol) => protocol.number() == self.call.protocol,
                    None => numbers.contains(&self.call.protocol),
                };
                same && match &port.port {
                    PortMatch::All => true,
                    PortMatch::Range(first, last) => (*first..=*last).contains(&self.call.port),
                    PortMatch::Named(name) => self.server_calls_it(name),
                }
            });
        let peers = rule.peers.iter().any(|peer| self.cluster_peer(peer));
        let names: Vec<&String> = rule
            .peers
            .iter()
            .flat_map(|peer| {
                if let ClusterPeer::DomainNames(names) = peer {
                    names.as_slice()
                } else {
                    &[]
                }
            })
            .collect();
        let names_match = !names.is_empty()
            && !matches!(self.peer(), End::Pod { .. })
            && match &self.call.domains {
                Some(known) => known
                    .iter()
                    .any(|name| names.iter().any(|pattern| is_name(pattern, name))),
                None if peers || !ports => false,
                None => {
                    *uncertain += 1;
                    guess.uncertain >> (*uncertain - 1) & 1 == 1
                }
            };
        (ports && (peers || names_match)).then_some(rule.action)
    }

    fn in_cluster_pods(&self, pods: &ClusterPods, pod: &Pod, namespace: &Namespace) -> bool {
        selects(&pods.namespaces, &namespace.labels) && pods.pods.iter().all(|s| selects(s, &pod.labels))
    }

    fn cluster_peer(&self, peer: &ClusterPeer) -> bool {
        match peer {
            ClusterPeer::Pods(pods) => self
                .find(self.peer())
                .is_some_and(|(pod, namespace)| self.in_cluster_pods(pods, pod, &namespace)),
            ClusterPeer::Nodes(selector) => match self.peer() {
                End::Node { name, address } => self.cluster.nodes.iter().any(|node| {
                    node.name == *name && node.addresses.contains(address) && selects(selector, &node.labels)
                }),
                _ => false,
            },
            ClusterPeer::Networks(networks) => networks.iter().any(|n| contains(n, self.peer_address())),
            ClusterPeer::DomainNames(_) | ClusterPeer::Unknown => false,
        }
    }

    fn peer_address(&self) -> IpAddr {
        match self.peer() {
            End::Pod { address, .. } | End::Node { address, .. } => *address,
            End::Outside(address) => *address,
        }
    }

    fn server_calls_it(&self, name: &str) -> bool {
        self.find(&self.call.server).is_some_and(|(pod, _)| {
            pod.ports.iter().any(|port| {
                port.name == name
                    && port.protocol.number() == self.call.protocol
                    && port.number == self.call.port
            })
        })
    }

    fn network(&self, pod: &Pod, namespace: &Namespace, guess: &Guess) -> Opinion {
        let mut policies: Vec<&NetworkPolicy> = self
            .cluster
            .policies
            .iter()
            .filter_map(|policy| {
                if let Policy::Network(policy) = policy {
                    Some(policy)
                } else {
                    None
                }
            })
            .filter(|policy| policy.namespace == namespace.name && selects(&policy.pods, &pod.labels))
            .filter(|policy| match policy.types.as_slice() {
                [] => self.direction == Direction::Ingress || !policy.egress.is_empty(),
                types => types.contains(&self.direction),
            })
            .collect();
        policies.sort_by_key(|policy| policy.name.clone());
        let own_node = self.is_own_node(pod);
        let Some(first) = policies.first() else {
            let result = self.cluster_tier(Tier::Baseline, pod, namespace, guess);
            let reason = if own_node { Reason::Node } else { Reason::Default };
            return result.unwrap_or(opinion(Answer::Allow, reason));
        };
        if own_node {
            return opinion(Answer::Allow, Reason::Node);
        }
        if let Some(result) = self.without_ports() {
            return result;
        }
        let mut uncertain = None;
        for policy in &policies {
            let rules = if self.direction == Direction::Ingress {
                &policy.ingress
            } else {
                &policy.egress
            };
            for (index, rule) in rules.iter().enumerate() {
                let key = Policy::Network((*policy).clone()).key();
                match self.network_rule(policy, rule) {
                    Some(true) => return by(Answer::Allow, Reason::Rule, &key, Some(index)),
                    Some(false) => {}
                    None => uncertain = Some(by(Answer::Unknown, Reason::Order, &key, Some(index))),
                }
            }
        }
        let key = Policy::Network((*first).clone()).key();
        uncertain.unwrap_or_else(|| by(Answer::Deny, Reason::Isolation, &key, None))
    }

    /// ICMP and what else policies cannot name, and DHCP.
    fn without_ports(&self) -> Option<Opinion> {
        let (protocol, port) = (self.call.protocol, self.call.port);
        let open = Some(opinion(Answer::Allow, Reason::Default));
        let is_other = ![6, 17, 132].contains(&protocol);
        match self.profile.cni {
            Cni::Spec if is_other => Some(opinion(Answer::Unknown, Reason::Protocol)),
            Cni::OvnKubernetes if self.profile.allow_icmp && [1, 58].contains(&protocol) => open,
            Cni::KubeOvn if is_other && (self.profile.lax || protocol == 58) => open,
            Cni::KubeOvn if self.profile.lax && protocol == 17 && [67, 68, 546, 547].contains(&port) => open,
            _ => None,
        }
    }

    fn is_own_node(&self, pod: &Pod) -> bool {
        let End::Node { name, address } = self.peer() else {
            return false;
        };
        if *name != pod.node {
            return false;
        }
        match (self.profile.cni, self.direction) {
            (Cni::KubeOvn, _) => true,
            (_, Direction::Egress) => false,
            (Cni::OvnKubernetes, _) => {
                let node = self.cluster.nodes.iter().find(|node| node.name == *name);
                node.is_none_or(|node| node.management.is_empty() || node.management.contains(address))
            }
            _ => true,
        }
    }

    /// `None`: nobody can know.
    fn network_rule(&self, policy: &NetworkPolicy, rule: &NetworkRule) -> Option<bool> {
        let peers = rule.peers.is_empty() || rule.peers.iter().any(|peer| self.network_peer(policy, peer));
        if !peers {
            return Some(false);
        }
        if rule.ports.is_empty() {
            return Some(true);
        }
        let mut result = Some(false);
        for port in rule
            .ports
            .iter()
            .filter(|port| port.protocol.number() == self.call.protocol)
        {
            let hit = match (&port.port, self.profile.cni) {
                (PortMatch::All, _) | (PortMatch::Named(_), Cni::OvnKubernetes) => Some(true),
                (PortMatch::Range(first, last), _) => Some((*first..=*last).contains(&self.call.port)),
                (PortMatch::Named(name), Cni::KubeOvn) => self.namespace_calls_it(&policy.namespace, name),
                (PortMatch::Named(name), _) => Some(self.server_calls_it(name)),
            };
            match hit {
                Some(true) => return Some(true),
                Some(false) => {}
                None => result = None,
            }
        }
        result
    }

    fn namespace_calls_it(&self, namespace: &str, name: &str) -> Option<bool> {
        let pods = self
            .cluster
            .pods
            .iter()
            .filter(|p| p.namespace == namespace && !p.host_network && !p.finished);
        let mut numbers: Vec<u16> = pods
            .flat_map(|pod| &pod.ports)
            .filter(|port| port.name == name && port.protocol.number() == self.call.protocol)
            .map(|port| port.number)
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        match (numbers.contains(&self.call.port), numbers.len()) {
            (true, 1) => Some(true),
            (true, _) => None,
            (false, _) => Some(false),
        }
    }

    fn network_peer(&self, policy: &NetworkPolicy, peer: &NetworkPeer) -> bool {
        let there = |namespaces: &Option<Selector>, namespace: &Namespace| match namespaces {
            None => namespace.name == policy.namespace,
            Some(selector) => selects(selector, &namespace.labels),
        };
        match peer {
            NetworkPeer::Unknown => false,
            NetworkPeer::Block(block) => in_block(block, self.peer_address()),
            NetworkPeer::Pods { namespaces, pods } => match self.peer() {
                End::Outside(_) => false,
                End::Pod { .. } => self.find(self.peer()).is_some_and(|(pod, namespace)| {
                    there(namespaces, &namespace)
                        && pods.iter().all(|selector| selects(selector, &pod.labels))
                }),
                End::Node { name, address } => {
                    let node = self.cluster.nodes.iter().find(|node| node.name == *name);
                    self.profile.cni == Cni::OvnKubernetes
                        && node.is_some_and(|node| match pods {
                            None => {
                                node.management.contains(address)
                                    && self.host_namespace(|n| there(namespaces, n))
                            }
                            Some(selector) => {
                                node.addresses.contains(address)
                                    && self.host_pod(node, |pod| {
                                        there(namespaces, &self.namespace(&pod.namespace))
                                            && selects(selector, &pod.labels)
                                    })
                            }
                        })
                }
            },
        }
    }

    fn host_namespace(&self, wanted: impl Fn(&Namespace) -> bool) -> bool {
        self.cluster.namespaces.iter().any(|namespace| {
            let stands = ["ovn-host-network", "openshift-host-network"].contains(&namespace.name.as_str())
                || namespace
                    .labels
                    .contains_key("policy-group.network.openshift.io/host-network");
            stands && wanted(namespace)
        })
    }

    fn host_pod(&self, node: &Node, wanted: impl Fn(&Pod) -> bool) -> bool {
        self.cluster
            .pods
            .iter()
            .any(|p| p.host_network && !p.finished && p.node == node.name && wanted(p))
    }
}

fn selects(selector: &Selector, labels: &Labels) -> bool {
    let Selector::Requirements(all) = selector else {
        return false;
    };
    for requirement in all {
        let value = labels.get(&requirement.key).map(String::as_str);
        let good = match (&requirement.operator, value) {
            (Operator::In(values), Some(value)) => values.iter().any(|v| v == value),
            (Operator::In(_), None) => false,
            (Operator::NotIn(values), Some(value)) => values.iter().all(|v| v != value),
            (Operator::NotIn(_), None) => true,
            (Operator::Exists, value) => value.is_some(),
            (Operator::DoesNotExist, value) => value.is_none(),
        };
        if !good {
            return false;
        }
    }
    true
}

/// Bit by bit.
fn contains(network: &IpNet, address: IpAddr) -> bool {
    let bits = |address: IpAddr| -> Vec<bool> {
        let bytes = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        bytes
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
            .collect()
    };
    let (wide, narrow) = (bits(network.addr()), bits(address));
    let length = usize::from(network.prefix_len());
    wide.len() == narrow.len() && wide[..length] == narrow[..length]
}

fn in_block(block: &IpBlock, address: IpAddr) -> bool {
    contains(&block.cidr, address) && !block.except.iter().any(|except| contains(except, address))
}

fn is_name(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), name.split('.').collect());
    match pattern.split_first() {
        Some((&"*", rest)) => name.len() > rest.len() && name.ends_with(rest),
        _ => pattern == name,
    }
}
