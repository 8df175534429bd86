//! What was generated is held against what it was made from: all of it must pass, and
//! what passes besides is counted.

use std::collections::{BTreeMap, BTreeSet};

use super::learn::{End, Lesson};
use super::rules::is_replaced;
use super::units::{UnitKey, Units};
use super::{GenerateError, GenerateInput, GeneratedPolicy, Level, Width};
use crate::classes::{EndName, PortRange, ends, port_ranges};
use crate::edges::Edge;
use crate::engine::{Cluster, Connection, Endpoint};
use crate::facts::{Pod, Protocol};
use crate::judge::EdgeJudge;
use crate::policy::{DIRECTIONS, Direction, Policy};
use crate::replay::MOST_PAIRS;
use crate::verdict::{Answer, Reason, Side};
use crate::words;

/// How many edges an error names.
const MOST_NAMED: usize = 5;

fn side(verdict: &crate::Verdict, direction: Direction) -> Side {
    match direction {
        Direction::Egress => verdict.egress,
        Direction::Ingress => verdict.ingress,
    }
}

/// The policies as they will be: ours in the stead of those that they replace.
pub(super) fn applied(input: &GenerateInput<'_>, policies: &[GeneratedPolicy]) -> Vec<Policy> {
    let ours = policies
        .iter()
        .map(|generated| Policy::Network(generated.policy.clone()));
    let kept = input
        .cluster
        .policies
        .iter()
        .filter(|policy| !is_replaced(input, policy));
    kept.cloned().chain(ours).collect()
}

/// Replays all edges that taught something: no side that got a rule may deny, in no reading.
pub(super) fn prove(
    input: &GenerateInput<'_>,
    lessons: &[Lesson],
    policies: &[GeneratedPolicy],
) -> Result<(), GenerateError> {
    let mut used: Vec<&Edge> = lessons.iter().map(|lesson| &lesson.edge).collect();
    used.dedup();
    let after = applied(input, policies);
    denied_by(input, &input.cluster.policies, &after, &mut used.into_iter())
}

/// An error that names the edges that policies deny and others before them did not.
pub(super) fn denied_by(
    input: &GenerateInput<'_>,
    before: &[Policy],
    after: &[Policy],
    edges: &mut dyn Iterator<Item = &Edge>,
) -> Result<(), GenerateError> {
    let [before, after] = [before, after].map(|policies| {
        let cluster = Cluster {
            policies: policies.to_vec(),
            ..input.cluster.clone()
        };
        EdgeJudge::new(input.edges, input.inventory, cluster, input.profile)
    });
    let mut denied = BTreeSet::new();
    for edge in edges {
        let is_denied = after.verdict(edge).answer == Answer::Deny;
        if is_denied && before.verdict(edge).answer != Answer::Deny {
            let (client, server) = (input.edges.at(edge.client), input.edges.at(edge.server));
            denied.insert(format!(
                "{client} -> {server} {}",
                words::port(edge.protocol, edge.port)
            ));
        }
    }
    match denied.is_empty() {
        true => Ok(()),
        false => Err(GenerateError::Proof(
            denied.into_iter().take(MOST_NAMED).collect(),
        )),
    }
}

/// Kind, group and class of an end.
type ClassKey = (u8, u32, u32);

/// Subject, peer, direction, protocol and port.
type Pairs<K> = BTreeSet<(K, K, Direction, Protocol, u16)>;

struct Counting<'c> {
    judge: &'c EdgeJudge<'c>,
    ranges: Vec<PortRange>,
    /// By class.
    seen: Pairs<u64>,
    /// At the level.
    seen_at_level: Pairs<String>,
    level: Level,
    looked_at: u64,
    width: Width,
}

/// A class of pods.
struct Class {
    endpoint: Endpoint,
    is_ipv6: bool,
    id: u64,
    /// Its members at the level.
    members: BTreeSet<String>,
}

/// A unit at the level, as subject or as peer.
fn at_level(level: Level, key: &UnitKey, is_subject: bool) -> String {
    match (level, is_subject) {
        (Level::Namespace | Level::NamespacePorts, false) => key.namespace().to_owned(),
        _ => key.to_string(),
    }
}

/// How much the policies allow between pods, beside what was seen.
pub(super) fn width(
    input: &GenerateInput<'_>,
    units: &Units<'_>,
    lessons: &[Lesson],
    policies: &[GeneratedPolicy],
) -> Width {
    let ours: Vec<Policy> = policies
        .iter()
        .map(|generated| Policy::Network(generated.policy.clone()))
        .collect();
    let cluster = Cluster {
        policies: ours.clone(),
        ..input.cluster.clone()
    };
    let judge = EdgeJudge::new(input.edges, input.inventory, cluster, input.profile);
    let ports: BTreeSet<(Protocol, u16)> = lessons
        .iter()
        .map(|lesson| (lesson.protocol, lesson.port))
        .collect();
    let classes = classes(input, units, &judge);
    let ids: BTreeMap<ClassKey, u64> = classes
        .iter()
        .map(|class| (class_key(&class.endpoint), class.id))
        .collect();
    let mut counting = Counting {
        judge: &judge,
        ranges: port_ranges(&ours, std::iter::empty::<&Pod>(), &ports),
        seen: BTreeSet::new(),
        seen_at_level: Pairs::new(),
        level: input.options.level,
        looked_at: 0,
        width: Width::default(),
    };
    counting.see(lessons, &ids);
    counting.count(&classes);
    counting.width
}

fn class_key(end: &Endpoint) -> ClassKey {
    let (kind, group, class) = end.class_key();
    (kind as u8, group, class)
}

fn classes(input: &GenerateInput<'_>, units: &Units<'_>, judge: &EdgeJudge<'_>) -> Vec<Class> {
    let mut found: BTreeMap<ClassKey, Class> = BTreeMap::new();
    for (name, end) in ends(judge.engine(), &BTreeSet::new()) {
        let EndName::Pod(namespace, pod, _) = name else {
            continue;
        };
        let Some(pod) = units.pod(namespace, pod) else {
            continue;
        };
        let next = found.len() as u64;
        let entry = found.entry(class_key(&end.endpoint)).or_insert_with(|| Class {
            endpoint: end.endpoint,
            is_ipv6: name.is_ipv6(),
            id: next,
            members: BTreeSet::new(),
        });
        let key = units.key_of(pod);
        entry.members.insert(at_level(input.options.level, &key, true));
        entry.members.insert(at_level(input.options.level, &key, false));
    }
    found.into_values().collect()
}

impl Counting<'_> {
    fn see(&mut self, lessons: &[Lesson], ids: &BTreeMap<ClassKey, u64>) {
        for lesson in lessons {
            for direction in DIRECTIONS
                .into_iter()
                .filter(|direction| lesson.sides[*direction as usize])
            {
                let (End::Unit(subject), End::Unit(peer)) = lesson.ends(direction) else {
                    continue;
                };
                let (subject, peer) = (
                    at_level(self.level, subject, true),
                    at_level(self.level, peer, false),
                );
                self.seen_at_level
                    .insert((subject, peer, direction, lesson.protocol, lesson.port));
                for reading in self.judge.readings(&lesson.edge) {
                    let id = |end: &Endpoint| ids.get(&class_key(end)).copied();
                    let (Some(client), Some(server)) = (id(&reading.client), id(&reading.server)) else {
                        continue;
                    };
                    let (subject, peer) = match direction {
                        Direction::Egress => (client, server),
                        Direction::Ingress => (server, client),
                    };
                    self.seen
                        .insert((subject, peer, direction, lesson.protocol, reading.port));
                }
            }
        }
        self.width.seen = self.seen.len() as u64;
    }

    fn count(&mut self, classes: &[Class]) {
        for direction in DIRECTIONS {
            let snapshot = self.judge.snapshot();
            let subjects = classes
                .iter()
                .filter(|class| snapshot.is_isolated(&class.endpoint, direction));
            for subject in subjects {
                for peer in classes.iter().filter(|peer| peer.is_ipv6 == subject.is_ipv6) {
                    self.looked_at += self.ranges.len() as u64;
                    if self.looked_at > MOST_PAIRS {
                        self.width.is_cut = true;
                        return;
                    }
                    for range in self.ranges.clone() {
                        self.pair(subject, peer, direction, &range);
                    }
                }
            }
        }
    }

    fn pair(&mut self, subject: &Class, peer: &Class, direction: Direction, range: &PortRange) {
        let (client, server) = match direction {
            Direction::Egress => (subject.endpoint, peer.endpoint),
            Direction::Ingress => (peer.endpoint, subject.endpoint),
        };
        // another pod of the class, where it is the same one
        let connection = Connection {
            client: client.seen_from_elsewhere(),
            server: server.as_another_pod(),
            ..Connection::new(client, server, range.protocol.number(), range.first)
        };
        let side = side(&self.judge.snapshot().evaluate(&connection), direction);
        if side.answer != Answer::Allow || side.reason != Reason::Rule {
            return;
        }
        self.width.allowed += 1;
        let is_seen_at_level = subject.members.iter().any(|subject| {
            peer.members.iter().any(|peer| match self.level {
                Level::NamespacePorts => {
                    let of_pair = self.seen_at_level.iter();
                    of_pair
                        .into_iter()
                        .any(|(s, p, d, ..)| (s, p, *d) == (subject, peer, direction))
                }
                _ => self.seen_at_level.contains(&(
                    subject.clone(),
                    peer.clone(),
                    direction,
                    range.protocol,
                    range.first,
                )),
            })
        });
        if !is_seen_at_level {
            self.width.beyond_level += 1;
        }
    }
}
