//! Which edges teach something, and what: two ends as policies can name them, a port, and
//! the sides on which a rule is needed.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::units::{UnitKey, Units};
use super::{GenerateInput, GenerateOptions, GenerationReport, Skipped};
use crate::edges::{Edge, EdgeEnd, EndId, PodEnd, Strength};
use crate::engine::{Cluster, Connection};
use crate::facts::{Node, Protocol};
use crate::inventory::Backend;
use crate::judge::{EdgeJudge, ServiceCall};
use crate::policy::{DIRECTIONS, Direction, NetworkPolicy, Policy};
use crate::selector::Selector;
use crate::verdict::{Answer, Reason, Side, Verdict};

/// The ports that Linux gives to clients (`ip_local_port_range`).
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// An end as a policy can name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Unit(UnitKey),
    Node { name: String, addresses: Vec<IpAddr> },
    Outside { network: IpNet, subnet_label: String },
}

/// What an edge teaches.
#[derive(Debug, Clone)]
pub(super) struct Lesson {
    pub edge: Edge,
    pub client: End,
    pub server: End,
    pub protocol: Protocol,
    /// Of the pod.
    pub port: u16,
    /// By direction: a rule is needed there.
    pub sides: [bool; 2],
    /// The Service that was called.
    pub service: Option<String>,
}

impl Lesson {
    /// Who gets the rule of that direction, and whom it names.
    pub fn ends(&self, direction: Direction) -> (&End, &End) {
        match direction {
            Direction::Egress => (&self.client, &self.server),
            Direction::Ingress => (&self.server, &self.client),
        }
    }
}

/// A policy that selects all pods of a namespace and allows nothing.
pub(super) fn deny_all(namespace: &str, name: &str) -> NetworkPolicy {
    NetworkPolicy {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        pods: Selector::everything(),
        types: vec![Direction::Ingress, Direction::Egress],
        ingress: Vec::new(),
        egress: Vec::new(),
    }
}

/// What edges are held against.
struct Learning<'a> {
    input: &'a GenerateInput<'a>,
    /// The policies as they are.
    now: EdgeJudge<'a>,
    /// Nothing but isolation of the namespaces: what passes needs no rule.
    isolated: EdgeJudge<'a>,
    /// The policies without ours.
    by_hand: EdgeJudge<'a>,
    /// By [`EndId`].
    ends: Vec<Result<End, Skipped>>,
    /// What is behind, and on which port.
    services: HashMap<ServiceCall, Vec<(End, u16)>>,
}

pub(super) fn learn(
    input: &GenerateInput<'_>,
    units: &mut Units<'_>,
    report: &mut GenerationReport,
) -> Vec<Lesson> {
    let with = |policies: Vec<Policy>| {
        let cluster = Cluster {
            policies,
            ..input.cluster.clone()
        };
        EdgeJudge::new(input.edges, input.inventory, cluster, input.profile)
    };
    let namespaces = input.options.namespaces.iter();
    let isolation = namespaces.map(|namespace| Policy::Network(deny_all(namespace, "isolated")));
    let by_hand = input.cluster.policies.iter();
    let by_hand = by_hand
        .filter(|policy| !super::rules::is_replaced(input, policy))
        .cloned();
    let mut learning = Learning {
        input,
        ends: Vec::new(),
        services: HashMap::new(),
        now: with(input.cluster.policies.clone()),
        isolated: with(isolation.collect()),
        by_hand: with(by_hand.collect()),
    };
    if input.options.assume_dns {
        super::dns::backends(units.inventory()).for_each(|(_, backend)| {
            backend.pod.iter().for_each(|(namespace, name)| {
                units.of_pod(namespace, name);
            });
        });
    }
    learning.look_up(units);
    let mut lessons = Vec::new();
    for edge in input.edges.edges() {
        report.all.add(edge);
        match learning.edge(edge, units) {
            Ok(learnt) => {
                report.learnt.add(edge);
                lessons.extend(learnt);
            }
            Err(reason) => {
                report.skipped.entry(reason).or_default().add(edge);
                if matches!(reason, Skipped::Denied | Skipped::Unanswered) {
                    report.tried.push(*edge);
                }
            }
        }
    }
    report.tried.sort();
    lessons
}

impl Learning<'_> {
    /// What each end, and each Service, is to policies.
    fn look_up(&mut self, units: &mut Units<'_>) {
        let ends = self.input.edges.ends();
        self.ends = ends.iter().map(|end| self.end(end, units)).collect();
        for edge in self.input.edges.edges() {
            let key = (edge.server, edge.protocol, edge.port);
            if let EdgeEnd::Service { namespace, name } = self.input.edges.at(edge.server)
                && !self.services.contains_key(&key)
            {
                let backends = units
                    .inventory()
                    .backends(namespace, name, edge.protocol, edge.port);
                let ends = self.of_backends(backends, units);
                self.services.insert(key, ends);
            }
        }
    }

    fn edge(&self, edge: &Edge, units: &Units<'_>) -> Result<Vec<Lesson>, Skipped> {
        let options = self.input.options;
        let servers = self.servers(edge);
        let client = self.looked_up(edge.client);
        let is_client_ours = client.as_ref().is_ok_and(|end| is_in_scope(end, units, options));
        let is_ours =
            |end: &Result<End, Skipped>| end.as_ref().is_ok_and(|end| is_in_scope(end, units, options));
        let names_ours = |end: EndId| match self.input.edges.at(end) {
            EdgeEnd::Pod(pod) => options.namespaces.contains(&pod.namespace),
            _ => false,
        };
        let is_any_ours = is_client_ours || servers.iter().any(|(end, _)| is_ours(end));
        if !is_any_ours && !names_ours(edge.client) && !names_ours(edge.server) {
            return Err(Skipped::OutOfScope);
        }
        let protocol = Protocol::of(edge.protocol).ok_or(Skipped::Protocol)?;
        self.is_good_evidence(edge, protocol)?;
        let client = client?;
        let sides = self.sides(edge)?;
        let mut lessons = Vec::new();
        for (server, port) in servers {
            let server = server?;
            let sides = [
                sides[0] && is_client_ours,
                sides[1] && is_in_scope(&server, units, options),
            ];
            lessons.push(Lesson {
                edge: *edge,
                client: client.clone(),
                server,
                protocol,
                port,
                sides,
                service: self.service(edge),
            });
        }
        match lessons.iter().any(|lesson| lesson.sides.contains(&true)) {
            true => Ok(lessons),
            false if lessons.is_empty() => Err(Skipped::Unknown(Reason::Backend)),
            false => Err(Skipped::OutOfScope),
        }
    }

    fn service(&self, edge: &Edge) -> Option<String> {
        match self.input.edges.at(edge.server) {
            EdgeEnd::Service { namespace, name } => Some(format!("Service {namespace}/{name}")),
            _ => None,
        }
    }

    fn is_good_evidence(&self, edge: &Edge, protocol: Protocol) -> Result<(), Skipped> {
        let options = self.input.options;
        match edge.strength {
            Strength::Unknown => return Err(Skipped::Unknown(Reason::Direction)),
            // No port is known, or there is none: no rule can name it.
            _ if edge.port == 0 => return Err(Skipped::Unknown(Reason::Direction)),
            Strength::Weak if EPHEMERAL.contains(&edge.port) => return Err(Skipped::Ephemeral),
            Strength::Weak if !options.weak => return Err(Skipped::Weak),
            _ => {}
        }
        if !edge.answered && protocol != Protocol::Udp && !options.unanswered {
            return Err(Skipped::Unanswered);
        }
        let verdict = self.now.verdict(edge);
        match verdict.answer {
            Answer::Deny if !options.denied => Err(Skipped::Denied),
            Answer::Unknown if self.now.readings(edge).is_empty() => Err(Skipped::Unknown(verdict.reason)),
            Answer::NotJudged => Err(Skipped::NeedsNoRule),
            _ => Ok(()),
        }
    }

    /// The sides on which isolation would deny, and no policy made by hand allows.
    fn sides(&self, edge: &Edge) -> Result<[bool; 2], Skipped> {
        let any = |judge: &EdgeJudge<'_>, is_so: &dyn Fn(&Side) -> bool| {
            let readings = judge.readings(edge);
            let verdicts: Vec<Verdict> = readings
                .iter()
                .map(|reading: &Connection<'_>| judge.snapshot().evaluate(reading))
                .collect();
            DIRECTIONS.map(|direction| {
                verdicts.iter().any(|verdict| match direction {
                    Direction::Egress => is_so(&verdict.egress),
                    Direction::Ingress => is_so(&verdict.ingress),
                })
            })
        };
        let needed = any(&self.isolated, &|side| side.answer != Answer::Allow);
        if needed == [false, false] {
            return Err(Skipped::NeedsNoRule);
        }
        if !self.input.options.on_top {
            return Ok(needed);
        }
        let is_no_rule = |side: &Side| side.answer != Answer::Allow || side.reason != Reason::Rule;
        let unsaid = any(&self.by_hand, &is_no_rule);
        match [needed[0] && unsaid[0], needed[1] && unsaid[1]] {
            [false, false] => Err(Skipped::AllowedAlready),
            sides => Ok(sides),
        }
    }

    fn looked_up(&self, end: EndId) -> Result<End, Skipped> {
        let end = self.ends.get(end.0 as usize).cloned();
        end.unwrap_or(Err(Skipped::Unknown(Reason::Identity)))
    }

    fn servers(&self, edge: &Edge) -> Vec<(Result<End, Skipped>, u16)> {
        match self.services.get(&(edge.server, edge.protocol, edge.port)) {
            Some(backends) => backends
                .iter()
                .map(|(end, port)| (Ok(end.clone()), *port))
                .collect(),
            None => vec![(self.looked_up(edge.server), edge.port)],
        }
    }

    fn of_backends(&self, backends: &[Backend], units: &mut Units<'_>) -> Vec<(End, u16)> {
        let mut ends = BTreeSet::new();
        for backend in backends {
            let pod = backend.pod.as_ref();
            let of_pod = pod.and_then(|(namespace, name)| self.pod(&pod_end(namespace, name), units).ok());
            ends.insert((
                of_pod.unwrap_or_else(|| self.address(backend.address)),
                backend.port,
            ));
        }
        ends.into_iter().collect()
    }

    fn end(&self, end: &EdgeEnd, units: &mut Units<'_>) -> Result<End, Skipped> {
        match end {
            EdgeEnd::Pod(pod) => self.pod(pod, units),
            EdgeEnd::Node { name, address } => {
                let nodes = &self.input.cluster.nodes;
                let node = nodes.iter().find(|node| node.name == *name);
                let addresses = match address {
                    Some(address) => vec![*address],
                    None => node.map(Node::all_addresses).unwrap_or_default(),
                };
                match addresses.is_empty() {
                    true => Err(Skipped::NoSelector),
                    false => Ok(End::Node {
                        name: name.clone(),
                        addresses,
                    }),
                }
            }
            EdgeEnd::Outside {
                network,
                subnet_label,
            } => Ok(End::Outside {
                network: *network,
                subnet_label: subnet_label.clone(),
            }),
            EdgeEnd::Service { .. } => Err(Skipped::Unknown(Reason::Backend)),
            EdgeEnd::Unknown => Err(Skipped::Unknown(Reason::Identity)),
        }
    }

    fn pod(&self, pod: &PodEnd, units: &mut Units<'_>) -> Result<End, Skipped> {
        if let Some(known) = units.pod(&pod.namespace, &pod.name)
            && known.host_network
        {
            let address = pod.address.or_else(|| known.addresses.first().copied());
            return address
                .map(|address| End::Node {
                    name: known.node.clone(),
                    addresses: vec![address],
                })
                .ok_or(Skipped::NoSelector);
        }
        units
            .of_end(pod)
            .map(End::Unit)
            .ok_or(Skipped::Unknown(Reason::Identity))
    }

    /// An endpoint that is no pod: a node, or outside.
    fn address(&self, address: IpAddr) -> End {
        let nodes = &self.input.cluster.nodes;
        let node = nodes
            .iter()
            .find(|node| node.addresses.contains(&address) || node.management.contains(&address));
        match node {
            Some(node) => End::Node {
                name: node.name.clone(),
                addresses: vec![address],
            },
            None => End::Outside {
                network: IpNet::from(address),
                subnet_label: String::new(),
            },
        }
    }
}

fn pod_end(namespace: &str, name: &str) -> PodEnd {
    PodEnd {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        address: None,
        node: String::new(),
        workload: None,
    }
}

/// Whether an end gets a policy.
pub(super) fn is_in_scope(end: &End, units: &Units<'_>, options: &GenerateOptions) -> bool {
    let End::Unit(key) = end else {
        return false;
    };
    let is_wanted = |wanted| {
        units
            .unit(key)
            .is_some_and(|unit| unit.workload.as_ref() == Some(wanted))
    };
    options.namespaces.contains(key.namespace()) && options.workload.as_ref().is_none_or(is_wanted)
}
