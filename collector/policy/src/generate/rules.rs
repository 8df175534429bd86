//! Rules out of lessons: peers with equal sets of ports are one rule, which neither widens
//! nor narrows anything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::learn::{End, Lesson, deny_all};
use super::names::{name, spec_hash, with_hash};
use super::peers::{PeerKey, WrittenPeer, of_block, of_unit};
use super::ports::{Port, written};
use super::units::{UnitKey, Units};
use super::{
    Aggregated, Evidence, GenerateInput, GeneratedPolicy, GenerationReport, Level, Nodes, blocks, dns,
};
use crate::policy::{
    DIRECTIONS, Direction, IpBlock, NetworkPeer, NetworkPolicy, NetworkRule, Policy, PolicyKey, PolicyKind,
};
use crate::selector::Selector;

/// The name of the policy that denies by default.
const DEFAULT_DENY: &str = "default-deny";
/// The peers of one workload in one direction.
type Peers = BTreeMap<PeerKey, (WrittenPeer, BTreeMap<Port, Evidence>)>;

fn key_of(policy: &NetworkPolicy) -> PolicyKey {
    PolicyKey {
        namespace: policy.namespace.clone(),
        name: policy.name.clone(),
        kind: PolicyKind::NetworkPolicy,
    }
}

/// Whether a policy has our label and nobody changed it: ours may replace it.
pub(super) fn is_replaced(input: &GenerateInput<'_>, policy: &Policy) -> bool {
    let Policy::Network(network) = policy else {
        return false;
    };
    let annotation = input.managed.get(&policy.key());
    annotation.is_some_and(|annotation| *annotation == spec_hash(network))
}

/// All policies, the report's notes about them included.
pub(super) fn policies(
    input: &GenerateInput<'_>,
    units: &Units<'_>,
    lessons: &[Lesson],
    report: &mut GenerationReport,
) -> Vec<GeneratedPolicy> {
    let mut rules = Rules {
        input,
        units,
        report,
        taken: names_of_others(input),
    };
    let mut subjects: BTreeMap<&UnitKey, [Vec<&Lesson>; 2]> = BTreeMap::new();
    for lesson in lessons {
        for direction in DIRECTIONS {
            if let (End::Unit(subject), _) = lesson.ends(direction)
                && lesson.sides[direction as usize]
            {
                subjects.entry(subject).or_default()[direction as usize].push(lesson);
            }
        }
    }
    let mut policies: Vec<GeneratedPolicy> = subjects
        .into_iter()
        .map(|(subject, lessons)| rules.policy(subject, &lessons))
        .collect();
    policies.sort_by_key(|one| key_of(&one.policy));
    if input.options.default_deny && input.options.workload.is_none() {
        policies.extend(rules.default_denies());
    }
    policies.sort_by(|one, other| one.policy.namespace.cmp(&other.policy.namespace));
    rules.about_managed(&policies);
    policies
}

/// Names that belong to policies of others, or to ours that were changed by hand.
fn names_of_others(input: &GenerateInput<'_>) -> BTreeSet<(String, String)> {
    let others = input.cluster.policies.iter();
    let others = others.filter(|policy| matches!(policy, Policy::Network(_)) && !is_replaced(input, policy));
    others
        .map(|policy| {
            let key = policy.key();
            (key.namespace, key.name)
        })
        .collect()
}

struct Rules<'r, 'a> {
    input: &'r GenerateInput<'a>,
    units: &'r Units<'a>,
    report: &'r mut GenerationReport,
    taken: BTreeSet<(String, String)>,
}

impl Rules<'_, '_> {
    /// A name that nobody has yet, the same one for the same thing.
    fn free_name(&mut self, namespace: &str, wanted: String, of: &str) -> String {
        let mut free = wanted.clone();
        let mut n = 0;
        while self.taken.contains(&(namespace.to_owned(), free.clone())) {
            free = with_hash(&wanted, &format!("{of} {n}"));
            n += 1;
        }
        self.taken.insert((namespace.to_owned(), free.clone()));
        free
    }

    fn policy(&mut self, subject: &UnitKey, lessons: &[Vec<&Lesson>; 2]) -> GeneratedPolicy {
        let namespace = subject.namespace();
        let unit = self.units.unit(subject);
        let wanted = unit.map_or_else(String::new, |unit| name(&unit.kind, &unit.name));
        let selector = unit.and_then(|unit| unit.selector.clone());
        let name = self.free_name(namespace, wanted, &subject.to_string());
        let mut policy = NetworkPolicy {
            pods: selector.unwrap_or_else(Selector::everything),
            types: Vec::new(),
            ..deny_all(namespace, &name)
        };
        let key = key_of(&policy);
        let mut generated = GeneratedPolicy {
            ingress: Vec::new(),
            egress: Vec::new(),
            notes: unit.map(|unit| unit.warnings.clone()).unwrap_or_default(),
            policy: policy.clone(),
        };
        for direction in [Direction::Ingress, Direction::Egress] {
            let lessons = &lessons[direction as usize];
            if lessons.is_empty() {
                self.not_isolated(&key, direction);
                continue;
            }
            policy.types.push(direction);
            let peers = self.peers(&key, direction, lessons);
            generated
                .notes
                .extend(peers.values().flat_map(|(peer, _)| peer.warnings.iter().cloned()));
            let (rules, evidence) = self.merged(peers);
            match direction {
                Direction::Ingress => (policy.ingress, generated.ingress) = (rules, evidence),
                Direction::Egress => (policy.egress, generated.egress) = (rules, evidence),
            }
        }
        self.report.warnings.extend(generated.notes.iter().cloned());
        generated.policy = policy;
        generated
    }

    fn not_isolated(&mut self, key: &PolicyKey, direction: Direction) {
        if !self.input.options.default_deny || self.input.options.workload.is_some() {
            self.report.open.push((key.clone(), direction));
        }
    }

    fn peers(&mut self, key: &PolicyKey, direction: Direction, lessons: &[&Lesson]) -> Peers {
        let level = self.input.options.level;
        let mut peers = Peers::new();
        let mut outside: BTreeMap<Port, BTreeMap<IpNet, Evidence>> = BTreeMap::new();
        for lesson in lessons {
            let port = (level != Level::NamespacePorts).then_some((lesson.protocol, lesson.port));
            let mut evidence = Evidence::default();
            evidence.add_edge(&lesson.edge);
            evidence
                .notes
                .extend(lesson.service.clone().filter(|_| direction == Direction::Egress));
            match lesson.ends(direction).1 {
                End::Unit(unit) => add(
                    &mut peers,
                    of_unit(self.units, unit, &key.namespace, level),
                    port,
                    &evidence,
                ),
                End::Node { name, addresses } => {
                    evidence.notes.insert(format!("node {name}"));
                    for address in addresses {
                        let network = self.node(key, direction, *address);
                        add(&mut peers, of_block(exact(network)), port, &evidence);
                    }
                }
                End::Outside {
                    network,
                    subnet_label,
                } if !subnet_label.is_empty() => {
                    evidence.notes.insert(subnet_label.clone());
                    for network in self.networks(subnet_label, network) {
                        add(&mut peers, of_block(exact(network)), port, &evidence);
                    }
                }
                End::Outside { network, .. } => {
                    outside
                        .entry(port)
                        .or_default()
                        .entry(*network)
                        .or_default()
                        .add(&evidence);
                }
            }
        }
        self.outside(key, direction, outside, &mut peers);
        if direction == Direction::Egress && self.input.options.assume_dns {
            self.assume_dns(key, &mut peers);
        }
        peers
    }

    /// What is written for the address of a node: the address, or the network of all nodes.
    fn node(&mut self, key: &PolicyKey, direction: Direction, address: IpAddr) -> IpNet {
        let Some((network, seen)) = self.nodes_around(address) else {
            if self.input.options.nodes != Nodes::Labels {
                let warning = format!("{key} names nodes by address: generate anew when nodes come or go");
                self.report.warnings.insert(warning);
            }
            return IpNet::from(address);
        };
        let aggregated = Aggregated {
            policy: key.clone(),
            direction,
            network: network.to_string(),
            seen,
        };
        if !self.report.aggregated.contains(&aggregated) {
            self.report.aggregated.push(aggregated);
        }
        network
    }

    /// The network of all nodes around one's own address, where that is wanted and has neither
    /// pods nor Services in it; and how many addresses of nodes it has.
    fn nodes_around(&self, address: IpAddr) -> Option<(IpNet, usize)> {
        if self.input.options.nodes != Nodes::Cidr {
            return None;
        }
        let cluster = self.input.cluster;
        let own = cluster.nodes.iter().flat_map(|node| &node.addresses).copied();
        let own: BTreeSet<IpAddr> = own.filter(|one| one.is_ipv4() == address.is_ipv4()).collect();
        let network = blocks::cover(own.iter().copied()).filter(|_| own.contains(&address))?;
        let is_in_it = |other: &IpNet| network.contains(other) || other.contains(&network);
        let mut networks = self.units.inventory().cluster_networks.iter();
        let has_others = networks.any(|other| is_in_it(other) && !own.contains(&other.addr()));
        let pods = cluster.pods.iter().filter(|pod| !pod.host_network);
        let mut pods = pods.flat_map(|pod| &pod.addresses);
        let is_clear = !has_others && !pods.any(|pod| network.contains(pod));
        is_clear.then_some((network, own.len()))
    }

    /// The networks of a name, or the one that was seen if nobody knows the name any more.
    fn networks(&self, label: &str, seen: &IpNet) -> Vec<IpNet> {
        let subnets = &self.units.inventory().subnets;
        let known = subnets.iter().find(|subnet| subnet.name == label);
        match known.filter(|subnet| subnet.networks.iter().any(|network| network.contains(seen))) {
            Some(subnet) => subnet.networks.clone(),
            None => vec![*seen],
        }
    }

    fn outside(
        &mut self,
        key: &PolicyKey,
        direction: Direction,
        outside: BTreeMap<Port, BTreeMap<IpNet, Evidence>>,
        peers: &mut Peers,
    ) {
        let inventory = self.units.inventory();
        let private = blocks::private(inventory);
        for (port, seen) in outside {
            let networks: BTreeSet<IpNet> = seen.keys().copied().collect();
            let internet = self.input.options.internet;
            for block in blocks::blocks(&networks, internet, &private, &inventory.cluster_networks) {
                let mut evidence = Evidence::default();
                block
                    .of
                    .iter()
                    .filter_map(|network| seen.get(network))
                    .for_each(|more| evidence.add(more));
                if block.is_wider {
                    evidence
                        .notes
                        .insert(format!("{} addresses seen", block.of.len()));
                    self.report.aggregated.push(Aggregated {
                        policy: key.clone(),
                        direction,
                        network: block.block.cidr.to_string(),
                        seen: block.of.len(),
                    });
                }
                add(peers, of_block(block.block), port, &evidence);
            }
        }
    }

    /// The pods behind the cluster's DNS, with the ports that they listen on.
    fn assume_dns(&self, key: &PolicyKey, peers: &mut Peers) {
        let level = self.input.options.level;
        for (protocol, backend) in dns::backends(self.units.inventory()) {
            let pod = backend.pod.as_ref();
            let pod = pod.and_then(|(namespace, name)| self.units.pod(namespace, name));
            let port = (level != Level::NamespacePorts).then_some((protocol, backend.port));
            let peer = match pod.map(|pod| self.units.key_of(pod)) {
                Some(unit) => of_unit(self.units, &unit, &key.namespace, level),
                None => of_block(exact(IpNet::from(backend.address))),
            };
            let mut evidence = Evidence::default();
            evidence.notes.insert("assumed: DNS of the cluster".to_owned());
            add(peers, peer, port, &evidence);
        }
    }

    fn merged(&self, peers: Peers) -> (Vec<NetworkRule>, Vec<Evidence>) {
        let mut by_ports: BTreeMap<Vec<Port>, Vec<(PeerKey, NetworkPeer, Evidence)>> = BTreeMap::new();
        for (key, (written, ports)) in peers {
            let mut evidence = Evidence::default();
            ports.values().for_each(|more| evidence.add(more));
            let ports: Vec<Port> = ports.into_keys().collect();
            by_ports
                .entry(ports)
                .or_default()
                .push((key, written.peer, evidence));
        }
        let mut rules: Vec<_> = by_ports.into_iter().collect();
        rules.sort_by(|(ports, peers), (other_ports, others)| {
            let first =
                |peers: &[(PeerKey, NetworkPeer, Evidence)]| peers.first().map(|(key, ..)| key.clone());
            first(peers)
                .cmp(&first(others))
                .then_with(|| ports.cmp(other_ports))
        });
        rules
            .into_iter()
            .map(|(ports, peers)| {
                let mut evidence = Evidence::default();
                peers.iter().for_each(|(.., more)| evidence.add(more));
                let rule = NetworkRule {
                    peers: peers.into_iter().map(|(_, peer, _)| peer).collect(),
                    ports: written(&ports, self.input.options.ranges),
                };
                (rule, evidence)
            })
            .unzip()
    }

    fn default_denies(&mut self) -> Vec<GeneratedPolicy> {
        let namespaces = self.input.options.namespaces.clone();
        let deny = |namespace: String| {
            let name = self.free_name(&namespace, format!("weir-{DEFAULT_DENY}"), DEFAULT_DENY);
            GeneratedPolicy {
                policy: deny_all(&namespace, &name),
                ingress: Vec::new(),
                egress: Vec::new(),
                notes: BTreeSet::new(),
            }
        };
        namespaces.into_iter().map(deny).collect()
    }

    /// Ours that were changed by hand, and ours that are not generated any more.
    fn about_managed(&mut self, policies: &[GeneratedPolicy]) {
        let generated: BTreeSet<PolicyKey> = policies.iter().map(|policy| key_of(&policy.policy)).collect();
        for policy in &self.input.cluster.policies {
            let key = policy.key();
            if !self.input.managed.contains_key(&key)
                || !self.input.options.namespaces.contains(&key.namespace)
            {
                continue;
            }
            match is_replaced(self.input, policy) {
                false => self.report.changed_by_hand.push(key),
                true if !generated.contains(&key) && self.input.options.workload.is_none() => {
                    self.report.obsolete.push(key);
                }
                true => {}
            }
        }
        self.report.changed_by_hand.sort();
        self.report.obsolete.sort();
        self.report.open.sort();
        self.report.aggregated.sort();
    }
}

fn exact(network: IpNet) -> IpBlock {
    IpBlock {
        cidr: network.trunc(),
        except: Vec::new(),
    }
}

fn add(peers: &mut Peers, peer: WrittenPeer, port: Port, evidence: &Evidence) {
    let key = peer.key.clone();
    let warnings = peer.warnings.clone();
    let (known, ports) = peers.entry(key).or_insert_with(|| (peer, BTreeMap::new()));
    known.warnings.extend(warnings);
    ports.entry(port).or_default().add(evidence);
}
