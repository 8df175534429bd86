//! What used each rule, beside what it allows.

use std::collections::{BTreeMap, BTreeSet};

use super::UsageInput;
use crate::classes::ends;
use crate::edges::{Edge, EndId, Tally};
use crate::engine::{Endpoint, RuleRef};
use crate::facts::{PROTOCOLS, Protocol};
use crate::judge::EdgeJudge;
use crate::policy::{DIRECTIONS, Direction, Policy, PortMatch};
use crate::profile::{NamedPorts, Profile};
use crate::replay::rules;
use crate::verdict::Decider;

/// A rule and its use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleUse {
    /// Which rule.
    pub rule: RuleRef,
    /// Edges that match it, whether it decides about them or not.
    pub hits: Tally,
    /// When the first one was seen, in nanoseconds since 1970; 0 of nothing.
    pub first: u64,
    /// When the last one was seen, in nanoseconds since 1970; 0 of nothing.
    pub last: u64,
    /// Pods that its policy selects now.
    pub subjects: u64,
    /// Groups of pods, of nodes and of networks that are its peers now, as far as policies
    /// tell them apart.
    pub peers: u64,
    /// Of these, times the intervals of its ports, cut where a port was used.
    pub allowed: u64,
    /// Pairs of peer and port that were used.
    pub used: u64,
    /// The ports that were used: a narrower rule needs no others.
    pub used_ports: BTreeSet<(Protocol, u16)>,
    /// The workloads and networks that used it.
    pub used_peers: BTreeSet<String>,
    /// One other rule allows all that it does.
    pub shadowed_by: Option<RuleRef>,
}

impl RuleUse {
    /// What is used of what is allowed, 0 to 1.
    pub fn share(&self) -> f64 {
        match self.allowed {
            0 => 0.0,
            allowed => self.used as f64 / allowed as f64,
        }
    }
}

type RuleKey = (u32, Direction, u16);
type ClassKey = (u8, u32, u32);

fn class_key(end: &Endpoint) -> ClassKey {
    let (kind, group, class) = end.class_key();
    (kind as u8, group, class)
}

/// What is known of a rule while edges are counted.
#[derive(Default)]
struct Counted {
    hits: Tally,
    first: u64,
    last: u64,
    used: BTreeSet<(ClassKey, Protocol, u16)>,
    used_peers: BTreeSet<EndId>,
}

/// All rules of all policies, by policy, direction and index.
pub fn rule_usage(input: UsageInput<'_>) -> Vec<RuleUse> {
    let (edges, profile) = (input.edges, input.profile);
    let judge = input.judge();
    let mut counted: BTreeMap<RuleKey, Counted> = BTreeMap::new();
    for edge in edges.edges() {
        count(&judge, edge, &mut counted);
    }
    let existing = existing(&judge);
    let shadowed = DIRECTIONS.map(|direction| judge.snapshot().shadowed(direction));
    let mut all = Vec::new();
    for policy in judge.engine().all_policies() {
        for rule in rules(policy) {
            let Some(key) = existing.key(&judge, &rule) else {
                continue;
            };
            let mut counted = counted.remove(&key).unwrap_or_default();
            let peers = existing.peers.get(&key);
            // pods that are gone are no peers any more
            counted
                .used
                .retain(|(class, ..)| peers.is_some_and(|peers| peers.contains(class)));
            let (policy_id, direction, index) = key;
            let ports = intervals(policy, &rule, &judge, &profile);
            let used_ports: BTreeSet<(Protocol, u16)> = counted
                .used
                .iter()
                .map(|(_, protocol, port)| (*protocol, *port))
                .collect();
            let peers = peers.map_or(0, BTreeSet::len) as u64;
            let by = shadowed[direction as usize].get(&(policy_id, index));
            all.push(RuleUse {
                hits: counted.hits,
                first: counted.first,
                last: counted.last,
                subjects: existing.subjects.get(&policy_id).copied().unwrap_or_default(),
                peers,
                allowed: peers * cut(&ports, &used_ports),
                used: counted.used.len() as u64,
                used_ports,
                used_peers: counted
                    .used_peers
                    .iter()
                    .map(|end| edges.at(*end).to_string())
                    .collect(),
                shadowed_by: by.and_then(|decider| judge.snapshot().rule(*decider, direction)),
                rule,
            });
        }
    }
    all.sort_by(|one, other| one.rule.cmp(&other.rule));
    all
}

/// Rules that no edge matches, or that another makes superfluous.
pub fn unused(usage: &[RuleUse]) -> Vec<&RuleUse> {
    let is_unused = |rule: &&RuleUse| rule.hits.edges == 0 || rule.shadowed_by.is_some();
    usage.iter().filter(is_unused).collect()
}

/// Rules that were used, the least used share of what they allow first.
pub fn wide(usage: &[RuleUse]) -> Vec<&RuleUse> {
    let mut wide: Vec<&RuleUse> = usage
        .iter()
        .filter(|rule| rule.hits.edges > 0 && rule.used < rule.allowed)
        .collect();
    wide.sort_by(|one, other| {
        one.share()
            .total_cmp(&other.share())
            .then_with(|| one.rule.cmp(&other.rule))
    });
    wide
}

fn count(judge: &EdgeJudge<'_>, edge: &Edge, counted: &mut BTreeMap<RuleKey, Counted>) {
    let mut hit = BTreeSet::new();
    for reading in judge.readings(edge) {
        for direction in DIRECTIONS {
            let (peer, end) = match direction {
                Direction::Egress => (reading.server, edge.server),
                Direction::Ingress => (reading.client, edge.client),
            };
            judge.snapshot().each_match(&reading, direction, |decider| {
                let key = (decider.policy, direction, decider.rule.unwrap_or_default());
                let rule = counted.entry(key).or_default();
                if hit.insert(key) {
                    rule.hit(edge);
                }
                if let Some(protocol) = Protocol::of(reading.protocol) {
                    rule.used.insert((class_key(&peer), protocol, reading.port));
                }
                rule.used_peers.insert(end);
            });
        }
    }
}

impl Counted {
    fn hit(&mut self, edge: &Edge) {
        self.first = if self.hits.edges == 0 {
            edge.first
        } else {
            self.first.min(edge.first)
        };
        self.last = self.last.max(edge.last);
        self.hits.add(edge);
    }
}

/// What there is of pods, nodes and networks.
struct Existing {
    /// By rule: the classes of its peers.
    peers: BTreeMap<RuleKey, BTreeSet<ClassKey>>,
    /// By policy: pods.
    subjects: BTreeMap<u32, u64>,
    /// By policy.
    ids: BTreeMap<crate::PolicyKey, u32>,
}

fn existing(judge: &EdgeJudge<'_>) -> Existing {
    let snapshot = judge.snapshot();
    let addresses = snapshot.sample_addresses().into_iter().collect();
    let mut found = Existing {
        peers: BTreeMap::new(),
        subjects: BTreeMap::new(),
        ids: snapshot.policy_ids(),
    };
    let mut seen = BTreeSet::new();
    let mut pods = BTreeSet::new();
    for (_, end) in ends(judge.engine(), &addresses) {
        let end = end.endpoint;
        if pods.insert(end.pod_number()) {
            for key in snapshot.policies_about(&end) {
                if let Some(id) = found.ids.get(key) {
                    *found.subjects.entry(*id).or_default() += 1;
                }
            }
        }
        let key = class_key(&end);
        if !seen.insert(key) {
            continue;
        }
        for direction in DIRECTIONS {
            snapshot.rules_with_peer(&end, direction, |Decider { policy, rule }| {
                let rule = (policy, direction, rule.unwrap_or_default());
                found.peers.entry(rule).or_default().insert(key);
            });
        }
    }
    found
}

impl Existing {
    fn key(&self, judge: &EdgeJudge<'_>, rule: &RuleRef) -> Option<RuleKey> {
        let id = *self.ids.get(&rule.policy)?;
        let index = rule.index?;
        judge.snapshot().policy(id)?;
        Some((id, rule.direction, index))
    }
}

/// The ports of a rule as the profile takes them, without 0.
fn intervals(
    policy: &Policy,
    rule: &RuleRef,
    judge: &EdgeJudge<'_>,
    profile: &Profile,
) -> Vec<(Protocol, u16, u16)> {
    let whole = |protocol: Protocol| (protocol, 1, u16::MAX);
    let index = usize::from(rule.index.unwrap_or_default());
    let ports: Vec<(Option<Protocol>, PortMatch)> = match policy {
        Policy::Network(policy) => {
            let rule = policy.rules(rule.direction).get(index);
            let ports = rule.into_iter().flat_map(|rule| &rule.ports);
            ports
                .map(|port| (Some(port.protocol), port.port.clone()))
                .collect()
        }
        Policy::Cluster(policy) => {
            let rule = policy.rules(rule.direction).get(index);
            let ports = rule.into_iter().flat_map(|rule| &rule.ports);
            ports.map(|port| (port.protocol, port.port.clone())).collect()
        }
        Policy::Foreign(_) => Vec::new(),
    };
    if ports.is_empty() {
        return PROTOCOLS.map(whole).to_vec();
    }
    let is_widened =
        matches!(policy, Policy::Network(_)) && profile.named_ports() == NamedPorts::WholeProtocol;
    let mut found = BTreeSet::new();
    for (protocol, port) in ports {
        match (port, protocol) {
            (PortMatch::All, Some(protocol)) => {
                found.insert(whole(protocol));
            }
            (PortMatch::Range(first, last), Some(protocol)) if first <= last => {
                found.insert((protocol, first.max(1), last));
            }
            (PortMatch::Named(_), Some(protocol)) if is_widened => {
                found.insert(whole(protocol));
            }
            (PortMatch::Named(name), protocol) => {
                let named = judge.engine().all_pods().flat_map(|pod| &pod.ports);
                let same =
                    named.filter(|port| port.name == name && protocol.is_none_or(|p| p == port.protocol));
                found.extend(same.map(|port| (port.protocol, port.number, port.number)));
            }
            _ => {}
        }
    }
    found.into_iter().collect()
}

/// How many intervals there are when used ports are cut out.
fn cut(intervals: &[(Protocol, u16, u16)], used: &BTreeSet<(Protocol, u16)>) -> u64 {
    let mut starts: BTreeSet<(Protocol, u16)> = BTreeSet::new();
    let is_within = |protocol: Protocol, port: u16| {
        intervals
            .iter()
            .any(|(p, first, last)| *p == protocol && (*first..=*last).contains(&port))
    };
    for (protocol, first, last) in intervals {
        let cuts = used
            .iter()
            .filter(|(p, port)| p == protocol && (first..=last).contains(&port));
        let cuts = cuts.flat_map(|(_, port)| [Some(*port), port.checked_add(1)]);
        let all = [Some(*first), last.checked_add(1)]
            .into_iter()
            .chain(cuts)
            .flatten();
        starts.extend(all.map(|start| (*protocol, start)));
    }
    starts
        .into_iter()
        .filter(|(protocol, port)| is_within(*protocol, *port))
        .count() as u64
}
