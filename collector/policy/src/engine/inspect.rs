//! What replay and the reports ask besides verdicts: which rules match, which one comes
//! nearest, and which classes a network has.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::evaluate::Connection;
use super::question::{Match, Question};
use super::snapshot::{Endpoint, EndpointKind, RuleRef, Snapshot};
use super::tables::{Part, PolicyMeta, is_set};
use super::{Engine, sets};
use crate::facts::{Node, Pod};
use crate::policy::{DIRECTIONS, Direction, Policy, PolicyKey, Tier};
use crate::selector::Labels;
use crate::verdict::Decider;

/// What a rule lacks to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// Its peers have this one, its ports do not.
    Port,
    /// Its ports have this one, its peers do not.
    Peer,
}

/// The rule of the isolating policies that comes nearest to a connection that is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearestRule {
    /// Which one.
    pub rule: RuleRef,
    /// What it lacks.
    pub misses: Miss,
}

impl Engine {
    /// A policy as it was given.
    pub fn policy(&self, key: &PolicyKey) -> Option<&Policy> {
        self.policies.get(key).map(|(_, policy)| policy.as_ref())
    }

    /// All policies, by key.
    pub fn all_policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.values().map(|(_, policy)| policy.as_ref())
    }

    /// All pods.
    pub(crate) fn all_pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods
            .values()
            .flat_map(HashMap::values)
            .map(|entry| &entry.pod)
    }

    /// All nodes.
    pub(crate) fn all_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().map(|entry| &entry.node)
    }

    /// The labels of a node.
    pub(crate) fn node_labels(&self, node: &str) -> Option<&Labels> {
        self.nodes.get(node).map(|entry| &entry.node.labels)
    }

    /// All addresses that a node sends from: its own, and those of its ports among the pods.
    pub(crate) fn node_addresses(&self, node: &str) -> Vec<IpAddr> {
        let node = self.nodes.get(node).map(|entry| &entry.node);
        node.map(Node::all_addresses).unwrap_or_default()
    }
}

impl Snapshot {
    /// The addresses of a network, as far as policies tell them apart.
    pub fn outside_network(&self, network: IpNet) -> Vec<Endpoint> {
        let one = self.outside(network.network());
        let classes = self.networks.classes_within(network);
        let endpoint = |network: u32| Endpoint {
            class: self.outside.get(network as usize).copied().unwrap_or_default(),
            network,
            group: sets::OUTSIDE,
            ..one
        };
        classes.into_iter().map(endpoint).collect()
    }

    fn asked<'s>(&'s self, connection: &'s Connection<'s>, direction: Direction) -> Option<Question<'s>> {
        let (subject, peer) = match direction {
            Direction::Egress => (connection.client, connection.server),
            Direction::Ingress => (connection.server, connection.client),
        };
        let is_judged = subject.kind == EndpointKind::Pod && subject.epoch == self.epoch;
        is_judged
            .then(|| self.question(connection, direction, subject, peer))
            .flatten()
    }

    /// Every rule about one end that matches, or may, whether it decides or not.
    pub(crate) fn each_match(
        &self,
        connection: &Connection<'_>,
        direction: Direction,
        mut visit: impl FnMut(Decider),
    ) {
        let Some(question) = self.asked(connection, direction) else {
            return;
        };
        for tier in [Tier::Admin, Tier::NetworkPolicy, Tier::Baseline] {
            for number in question.list.part(tier.into()) {
                if question.matches(*number) != Match::No {
                    let rule = &question.rules[*number as usize];
                    visit(Decider {
                        policy: rule.policy,
                        rule: Some(rule.index),
                    });
                }
            }
        }
    }

    /// The NetworkPolicies that isolate one end, by name.
    pub fn isolating(&self, connection: &Connection<'_>, direction: Direction) -> Vec<PolicyKey> {
        let question = self.asked(connection, direction);
        let isolating = question
            .as_ref()
            .map_or(&[][..], |question| question.list.part(Part::Isolating));
        isolating
            .iter()
            .filter_map(|policy| self.policy(*policy))
            .cloned()
            .collect()
    }

    /// The rule that comes nearest: one that lacks only the port before one that lacks
    /// only the peer, the first by name of equals.
    pub fn nearest_rule(&self, connection: &Connection<'_>, direction: Direction) -> Option<NearestRule> {
        let question = self.asked(connection, direction)?;
        let mut nearest = None;
        for number in question.list.part(Part::Network) {
            let peer = is_set(question.peer_row, *number);
            let port = question.port_matches(*number);
            let misses = match (peer, port) {
                (true, false) => Miss::Port,
                (false, true) if nearest.is_none() => Miss::Peer,
                _ => continue,
            };
            nearest = Some((*number, misses));
            if misses == Miss::Port {
                break;
            }
        }
        let (number, misses) = nearest?;
        let rule = &question.rules[number as usize];
        let decider = Decider {
            policy: rule.policy,
            rule: Some(rule.index),
        };
        let rule = self.rule(decider, direction)?;
        Some(NearestRule { rule, misses })
    }

    /// Whether no policy is about an end, in either direction.
    pub(crate) fn is_free(&self, endpoint: &Endpoint) -> bool {
        let nothing = |direction: Direction| {
            let list = self.tables[direction as usize].list(endpoint.group);
            list.is_none_or(|list| {
                [
                    Part::Admin,
                    Part::Network,
                    Part::Baseline,
                    Part::Isolating,
                    Part::Foreign,
                ]
                .into_iter()
                .all(|part| list.part(part).is_empty())
            })
        };
        endpoint.kind != EndpointKind::Pod || DIRECTIONS.into_iter().all(nothing)
    }

    /// The policies that select a pod, in either direction, and what is not evaluated. Each
    /// as often as it has rules.
    fn numbers_about(&self, endpoint: &Endpoint) -> impl Iterator<Item = u32> {
        let is_pod = endpoint.kind == EndpointKind::Pod;
        let group = endpoint.group;
        DIRECTIONS.into_iter().flat_map(move |direction| {
            let tables = &self.tables[direction as usize];
            let list = tables.list(group).filter(|_| is_pod);
            let part = move |part: Part| list.map_or(&[][..], |list| list.part(part)).iter();
            let rules = [Part::Admin, Part::Network, Part::Baseline]
                .into_iter()
                .flat_map(part);
            let of_rules = rules.filter_map(|rule| tables.rule(*rule).map(|rule| rule.policy));
            of_rules
                .chain(part(Part::Isolating).copied())
                .chain(part(Part::Foreign).copied())
        })
    }

    /// The policies that select a pod, in either direction, and what is not evaluated.
    pub(crate) fn policies_about(&self, endpoint: &Endpoint) -> BTreeSet<&PolicyKey> {
        let numbers: BTreeSet<u32> = self.numbers_about(endpoint).collect();
        numbers
            .into_iter()
            .filter_map(|policy| self.policy(policy))
            .collect()
    }

    /// Whether one of these policies, by number, selects a pod.
    pub(crate) fn is_about(&self, endpoint: &Endpoint, policies: &BTreeSet<u32>) -> bool {
        self.numbers_about(endpoint)
            .any(|policy| policies.contains(&policy))
    }

    /// Whether a rule of one of these policies, by number, is about a pod and has a peer.
    pub(crate) fn has_peer_in(
        &self,
        subject: &Endpoint,
        peer: &Endpoint,
        direction: Direction,
        policies: &BTreeSet<u32>,
    ) -> bool {
        let tables = &self.tables[direction as usize];
        let list = tables
            .list(subject.group)
            .filter(|_| subject.kind == EndpointKind::Pod);
        let row = tables.peers.row(peer.class);
        let is_one = |number: &u32| {
            let rule = tables.rule(*number);
            rule.is_some_and(|rule| {
                (is_set(row, *number) || rule.has_domains) && policies.contains(&rule.policy)
            })
        };
        list.is_some_and(|list| {
            let parts = [Part::Admin, Part::Network, Part::Baseline];
            parts.into_iter().any(|part| list.part(part).iter().any(is_one))
        })
    }

    /// Whether the policies about one end may let this peer pass at some port. Where it takes
    /// more than a look at the peer to know that they do not: yes.
    pub(crate) fn may_allow(&self, subject: &Endpoint, peer: &Endpoint, direction: Direction) -> bool {
        let tables = &self.tables[direction as usize];
        let list = tables
            .list(subject.group)
            .filter(|_| subject.kind == EndpointKind::Pod);
        let Some(list) = list else {
            return true;
        };
        let has = |part: Part| !list.part(part).is_empty();
        let is_near = peer.kind == EndpointKind::Node || peer.pod == subject.pod;
        if !has(Part::Isolating) || has(Part::Admin) || has(Part::Foreign) || is_near || self.profile.lax {
            return true;
        }
        let row = tables.peers.row(peer.class);
        let may_match = |rule: &u32| is_set(row, *rule) || is_set(tables.special(), *rule);
        list.part(Part::Network).iter().any(may_match)
    }

    /// The number of each policy.
    pub(crate) fn policy_ids(&self) -> BTreeMap<PolicyKey, u32> {
        let all = (0u32..).zip(self.policies.iter());
        all.filter_map(|(id, meta)| Some((meta.as_ref()?.key.clone(), id)))
            .collect()
    }

    /// The numbers of those of these policies that there are.
    pub(crate) fn policy_numbers(&self, policies: &BTreeSet<PolicyKey>) -> BTreeSet<u32> {
        let all = (0u32..).zip(self.policies.iter());
        let is_one = |meta: &PolicyMeta| policies.contains(&meta.key);
        all.filter(|(_, meta)| meta.as_deref().is_some_and(is_one))
            .map(|(id, _)| id)
            .collect()
    }

    /// Addresses of which each class of networks has one at least.
    pub(crate) fn sample_addresses(&self) -> Vec<IpAddr> {
        self.networks.starts()
    }

    /// The smallest network that policies name around an end.
    pub(crate) fn network_around(&self, endpoint: &Endpoint) -> Option<IpNet> {
        self.networks.smallest_around(endpoint.network)
    }

    /// Whether some NetworkPolicy isolates a pod in a direction.
    pub(crate) fn is_isolated(&self, endpoint: &Endpoint, direction: Direction) -> bool {
        let list = self.tables[direction as usize].list(endpoint.group);
        endpoint.kind == EndpointKind::Pod && list.is_some_and(|list| !list.part(Part::Isolating).is_empty())
    }
}
