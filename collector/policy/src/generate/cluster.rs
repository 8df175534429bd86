//! The same as ClusterNetworkPolicies. These isolate nobody by themselves: what is learnt
//! is accepted at one priority, and what is left denied at the next. All accepting rules
//! agree with each other, so that they may be split as the API's limits want.
//!
//! Their `ingress` knows pods only: from nodes and from outside they neither accept nor
//! deny anything, as the notes say. What denies, denies ICMP and other protocols too.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::names::{cut, fnv1a, with_hash};
use super::node_labels::NodesByAddress;
use super::proof::{applied, denied_by};
use super::{Evidence, GenerateError, GenerateInput, Generated, GeneratedPolicy, Nodes};
use crate::facts::{NAMESPACE_NAME_LABEL, Protocol};
use crate::policy::{
    Action, ClusterPeer, ClusterPods, ClusterPolicy, ClusterPort, ClusterRule, DIRECTIONS, Direction,
    IpBlock, NetworkPeer, NetworkRule, Policy, PolicyKind, Tier,
};
use crate::selector::{Labels, Selector};
use crate::words;

/// How many rules, peers, ports and networks the CRD takes in one list.
const MOST: usize = 25;
/// The greatest priority number.
const LAST_PRIORITY: u16 = 1000;

/// A ClusterNetworkPolicy and on what its rules rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedClusterPolicy {
    /// The policy.
    pub policy: ClusterPolicy,
    /// For each rule of `ingress`; rules that deny rest on nothing.
    pub ingress: Vec<Evidence>,
    /// For each rule of `egress`; rules that deny rest on nothing.
    pub egress: Vec<Evidence>,
}

/// ClusterNetworkPolicies. All of it has been proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedCluster {
    /// By name; those that deny come last.
    pub policies: Vec<GeneratedClusterPolicy>,
    /// What they cannot say. Sorted.
    pub notes: BTreeSet<String>,
}

/// The generated policies as ClusterNetworkPolicies of a tier: rules that accept have this
/// priority, rules that deny the next one. What the NetworkPolicies let pass passes.
pub fn cluster_policies(
    input: &GenerateInput<'_>,
    generated: &Generated,
    tier: Tier,
    priority: u16,
) -> Result<GeneratedCluster, GenerateError> {
    if priority >= LAST_PRIORITY || tier == Tier::NetworkPolicy {
        return Err(GenerateError::Rank);
    }
    let mut writing = Writing {
        tier,
        priority,
        taken: taken(input),
        nodes: match input.options.nodes {
            Nodes::Labels => NodesByAddress::of(&input.cluster.nodes),
            Nodes::Addresses | Nodes::Cidr => NodesByAddress::of(&[]),
        },
        notes: BTreeSet::new(),
    };
    let mut policies: Vec<GeneratedClusterPolicy> = generated
        .policies
        .iter()
        .flat_map(|one| writing.accepting(one))
        .collect();
    // what denies by default in a namespace spares those of its workloads
    let is_default = |one: &GeneratedPolicy| one.policy.ingress.is_empty() && one.policy.egress.is_empty();
    let namespaces: BTreeSet<&str> = generated
        .policies
        .iter()
        .filter(|one| is_default(one))
        .map(|one| one.policy.namespace.as_str())
        .collect();
    let denying = generated
        .policies
        .iter()
        .filter(|one| is_default(one) || !namespaces.contains(one.policy.namespace.as_str()));
    let denying: Vec<GeneratedClusterPolicy> = denying.map(|one| writing.denying(one)).collect();
    policies.extend(denying);
    let ours: Vec<Policy> = policies
        .iter()
        .map(|one| Policy::Cluster(one.policy.clone()))
        .collect();
    prove(input, generated, &ours)?;
    Ok(GeneratedCluster {
        policies,
        notes: writing.notes,
    })
}

/// Whatever of TCP, UDP and SCTP passes the NetworkPolicies passes these too.
fn prove(input: &GenerateInput<'_>, generated: &Generated, ours: &[Policy]) -> Result<(), GenerateError> {
    let is_ours = |policy: &Policy| ours.iter().any(|own| own.key() == policy.key());
    let others = applied(input, &[]).into_iter().filter(|policy| !is_ours(policy));
    let after: Vec<Policy> = others.chain(ours.iter().cloned()).collect();
    let edges = input.edges.edges().iter();
    let mut edges = edges.filter(|edge| Protocol::of(edge.protocol).is_some());
    denied_by(input, &applied(input, &generated.policies), &after, &mut edges)
}

fn taken(input: &GenerateInput<'_>) -> BTreeSet<String> {
    let others = input.cluster.policies.iter().filter(|policy| match policy {
        Policy::Cluster(cluster) => {
            let annotation = input.managed.get(&policy.key());
            annotation.is_none_or(|annotation| *annotation != cluster_spec_hash(cluster))
        }
        _ => false,
    });
    others.map(|policy| policy.key().name).collect()
}

/// As [`super::spec_hash`], of a ClusterNetworkPolicy.
pub fn cluster_spec_hash(policy: &ClusterPolicy) -> String {
    let spec = super::cluster_yaml::spec(policy).to_string();
    format!("{:016x}", fnv1a(spec.as_bytes()))
}

struct Writing<'a> {
    tier: Tier,
    priority: u16,
    taken: BTreeSet<String>,
    /// Those that are written by labels.
    nodes: NodesByAddress<'a>,
    notes: BTreeSet<String>,
}

impl Writing<'_> {
    fn policy(&mut self, wanted: &str, of: &GeneratedPolicy, priority: u16) -> ClusterPolicy {
        let wanted = cut(wanted);
        let mut name = wanted.clone();
        let mut n = 0;
        while self.taken.contains(&name) {
            name = with_hash(&wanted, &format!("{wanted} {n}"));
            n += 1;
        }
        self.taken.insert(name.clone());
        let is_all = of.policy.pods == Selector::everything();
        ClusterPolicy {
            kind: PolicyKind::ClusterNetworkPolicy,
            name,
            tier: self.tier,
            priority,
            subject: ClusterPods {
                namespaces: named(&of.policy.namespace),
                pods: (!is_all).then(|| of.policy.pods.clone()),
            },
            ingress: Vec::new(),
            egress: Vec::new(),
        }
    }

    /// `weir-<namespace>-<kind>-<name>`.
    fn name(of: &GeneratedPolicy) -> String {
        let rest = of.policy.name.strip_prefix("weir-").unwrap_or(&of.policy.name);
        format!("weir-{}-{rest}", of.policy.namespace)
    }

    fn accepting(&mut self, of: &GeneratedPolicy) -> Vec<GeneratedClusterPolicy> {
        let mut rules = Vec::new();
        for direction in [Direction::Ingress, Direction::Egress] {
            for (rule, evidence) in of.policy.rules(direction).iter().zip(of.evidence(direction)) {
                let written = self.rules(rule, direction, &of.policy.namespace);
                rules.extend(
                    written
                        .into_iter()
                        .map(|rule| (direction, rule, evidence.clone())),
                );
            }
        }
        let mut policies = Vec::new();
        for chunk in rules.chunks(MOST) {
            let policy = self.policy(&Writing::name(of), of, self.priority);
            let mut one = GeneratedClusterPolicy {
                policy,
                ingress: Vec::new(),
                egress: Vec::new(),
            };
            for (direction, rule, evidence) in chunk {
                let (rules, all) = match direction {
                    Direction::Ingress => (&mut one.policy.ingress, &mut one.ingress),
                    Direction::Egress => (&mut one.policy.egress, &mut one.egress),
                };
                rules.push(rule.clone());
                all.push(evidence.clone());
            }
            policies.push(one);
        }
        policies
    }

    fn denying(&mut self, of: &GeneratedPolicy) -> GeneratedClusterPolicy {
        let name = format!("{}-deny", Writing::name(of).trim_end_matches("-deny"));
        let mut policy = self.policy(&name, of, self.priority + 1);
        let everybody = ClusterPeer::Pods(ClusterPods {
            namespaces: Selector::everything(),
            pods: None,
        });
        let deny = |peers: Vec<ClusterPeer>| ClusterRule {
            name: "default-deny".to_owned(),
            action: Action::Deny,
            peers,
            ports: Vec::new(),
        };
        for direction in DIRECTIONS
            .into_iter()
            .filter(|direction| of.policy.isolates(*direction))
        {
            match direction {
                Direction::Ingress => policy.ingress = vec![deny(vec![everybody.clone()])],
                Direction::Egress => {
                    let all = ["0.0.0.0/0", "::/0"]
                        .iter()
                        .filter_map(|all| all.parse().ok())
                        .collect();
                    policy.egress = vec![deny(vec![everybody.clone(), ClusterPeer::Networks(all)])];
                }
            }
        }
        let nothing = |rules: &[ClusterRule]| vec![Evidence::default(); rules.len()];
        GeneratedClusterPolicy {
            ingress: nothing(&policy.ingress),
            egress: nothing(&policy.egress),
            policy,
        }
    }

    /// Nodes that were called, as a peer.
    fn by_labels(&mut self, nodes: &BTreeSet<usize>) -> ClusterPeer {
        let (selector, selected) = self.nodes.selector(nodes);
        self.notes.insert(format!(
            "egress to nodes ({}) is to {selected} of them now, and to those that come; peers of this kind are \
             experimental in the API: servers may refuse or drop them",
            words::selector(&selector)
        ));
        ClusterPeer::Nodes(selector)
    }

    /// One rule of a NetworkPolicy, in as many as the limits want.
    fn rules(&mut self, rule: &NetworkRule, direction: Direction, own: &str) -> Vec<ClusterRule> {
        let mut peers = Vec::new();
        let mut networks = Vec::new();
        let mut nodes = BTreeSet::new();
        for peer in &rule.peers {
            match (peer, direction) {
                (NetworkPeer::Pods { namespaces, pods }, _) => peers.push(of_pods(namespaces, pods, own)),
                (NetworkPeer::Block(block), Direction::Egress) => match self.nodes.at(&block.cidr) {
                    Some(node) => drop(nodes.insert(node)),
                    None => networks.extend(without_except(block)),
                },
                (NetworkPeer::Block(_), Direction::Ingress) => {
                    self.notes.insert(
                        "ingress from nodes and addresses outside is neither accepted nor denied".to_owned(),
                    );
                }
                (NetworkPeer::Unknown, _) => {}
            }
        }
        peers.extend((!nodes.is_empty()).then(|| self.by_labels(&nodes)));
        networks.sort();
        networks.dedup();
        peers.extend(
            networks
                .chunks(MOST)
                .map(|some| ClusterPeer::Networks(some.to_vec())),
        );
        let ports: Vec<ClusterPort> = rule
            .ports
            .iter()
            .map(|port| ClusterPort {
                protocol: Some(port.protocol),
                port: port.port.clone(),
            })
            .collect();
        let chunks: Vec<&[ClusterPort]> = match ports.is_empty() {
            true => vec![&[]],
            false => ports.chunks(MOST).collect(),
        };
        let accept = |peers: &[ClusterPeer], ports: &[ClusterPort]| ClusterRule {
            name: String::new(),
            action: Action::Accept,
            peers: peers.to_vec(),
            ports: ports.to_vec(),
        };
        let of_peers = peers.chunks(MOST);
        of_peers
            .flat_map(|peers| chunks.iter().map(move |ports| (peers, *ports)))
            .map(|(peers, ports)| accept(peers, ports))
            .collect()
    }
}

fn named(namespace: &str) -> Selector {
    let label = (NAMESPACE_NAME_LABEL.to_owned(), namespace.to_owned());
    super::units::of_labels(&Labels::from([label]))
}

fn of_pods(namespaces: &Option<Selector>, pods: &Option<Selector>, own: &str) -> ClusterPeer {
    ClusterPeer::Pods(ClusterPods {
        namespaces: namespaces.clone().unwrap_or_else(|| named(own)),
        pods: pods.clone().filter(|pods| *pods != Selector::everything()),
    })
}

/// A block as networks without exceptions.
fn without_except(block: &IpBlock) -> Vec<IpNet> {
    let mut left = vec![block.cidr];
    let mut whole = Vec::new();
    while let Some(network) = left.pop() {
        if block.except.iter().any(|except| except.contains(&network)) {
            continue;
        }
        match block.except.iter().any(|except| network.contains(except)) {
            false => whole.push(network),
            true => left.extend(network.subnets(network.prefix_len() + 1).into_iter().flatten()),
        }
    }
    whole
}
