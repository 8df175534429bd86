//! Which workloads are isolated, and by what their connections pass.

use std::collections::BTreeMap;

use super::UsageInput;
use crate::classes::owners;
use crate::edges::{Edge, EdgeEnd, Tally};
use crate::judge::{EdgeJudge, is_added};
use crate::policy::{DIRECTIONS, Direction};
use crate::verdict::{Answer, Reason, Side};

/// How many of a workload's pods NetworkPolicies isolate in a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Isolation {
    /// Pods that are isolated.
    pub isolated: u64,
    /// All pods that run, with an address of their own.
    pub pods: u64,
}

/// What was seen of a workload in one direction, by what its own policies say to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SideTraffic {
    /// Its pods.
    pub isolation: Isolation,
    /// A rule allows it.
    pub by_rule: Tally,
    /// No policy says anything: these are the edges without policy.
    pub by_default: Tally,
    /// Its own node, or itself: nobody is asked.
    pub exempt: Tally,
    /// Its policies deny it.
    pub denied: Tally,
    /// It cannot be said.
    pub unknown: Tally,
    /// When the newest edge was seen first, in nanoseconds since 1970; 0 of nothing. Long
    /// ago: all has been seen that there is, as far as the window tells.
    pub newest: u64,
    /// Records of the smallest edge; 0 of nothing.
    pub smallest: u64,
}

/// A workload, a pod without one, or a whole namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// As [`crate::edges::WorkloadKey`] is written, `namespace/pod`, or a namespace.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// What it called.
    pub egress: SideTraffic,
    /// Who called it.
    pub ingress: SideTraffic,
}

/// What policies cover.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CoverageReport {
    /// All workloads that have pods or edges, by name.
    pub workloads: Vec<Coverage>,
    /// All their namespaces, by name.
    pub namespaces: Vec<Coverage>,
}

impl Coverage {
    /// What was seen in a direction.
    pub fn side(&self, direction: Direction) -> &SideTraffic {
        match direction {
            Direction::Egress => &self.egress,
            Direction::Ingress => &self.ingress,
        }
    }

    fn side_mut(&mut self, direction: Direction) -> &mut SideTraffic {
        match direction {
            Direction::Egress => &mut self.egress,
            Direction::Ingress => &mut self.ingress,
        }
    }

    /// Whether some of its pods are isolated in neither direction or only in one.
    pub fn is_uncovered(&self) -> bool {
        DIRECTIONS.into_iter().any(|direction| {
            let Isolation { isolated, pods } = self.side(direction).isolation;
            isolated < pods
        })
    }
}

impl SideTraffic {
    fn add(&mut self, edge: &Edge, side: &Side) {
        let tally = match (side.answer, side.reason) {
            (Answer::Allow, Reason::Rule) => &mut self.by_rule,
            (Answer::Allow, Reason::Default) => &mut self.by_default,
            (Answer::Allow | Answer::NotJudged, _) => &mut self.exempt,
            (Answer::Deny, _) => &mut self.denied,
            (Answer::Unknown, _) => &mut self.unknown,
        };
        tally.add(edge);
        self.newest = self.newest.max(edge.first);
        self.smallest = match self.smallest {
            0 => edge.flows,
            smallest => smallest.min(edge.flows),
        };
    }
}

/// What policies cover of workloads, and of what was seen.
pub fn coverage(input: UsageInput<'_>) -> CoverageReport {
    let (edges, inventory) = (input.edges, input.inventory);
    let judge = input.judge();
    let mut found = Found::default();
    let owners = owners(inventory);
    let running = |pod: &&crate::Pod| !pod.host_network && !pod.finished && !is_added(pod);
    for pod in judge.engine().all_pods().filter(running) {
        let owner = owners.get(&(pod.namespace.as_str(), pod.name.as_str()));
        let name = match owner {
            Some(owner) => owner.to_string(),
            None => format!("{}/{}", pod.namespace, pod.name),
        };
        let endpoint = pod
            .addresses
            .first()
            .and_then(|a| judge.engine().pod(&pod.namespace, &pod.name, *a));
        for direction in DIRECTIONS {
            let is_isolated = endpoint.is_some_and(|end| judge.snapshot().is_isolated(&end, direction));
            found.each(&pod.namespace, &name, direction, |side| {
                side.isolation.pods += 1;
                side.isolation.isolated += u64::from(is_isolated);
            });
        }
    }
    for edge in edges.edges() {
        found.edge(&judge, edge, edges.at(edge.client), edges.at(edge.server));
    }
    CoverageReport {
        workloads: found.workloads.into_values().collect(),
        namespaces: found.namespaces.into_values().collect(),
    }
}

#[derive(Default)]
struct Found {
    workloads: BTreeMap<String, Coverage>,
    namespaces: BTreeMap<String, Coverage>,
}

impl Found {
    fn each(&mut self, namespace: &str, name: &str, direction: Direction, change: impl Fn(&mut SideTraffic)) {
        for (all, name) in [(&mut self.workloads, name), (&mut self.namespaces, namespace)] {
            let entry = all.entry(name.to_owned()).or_insert_with(|| Coverage {
                name: name.to_owned(),
                namespace: namespace.to_owned(),
                ..Coverage::default()
            });
            change(entry.side_mut(direction));
        }
    }

    fn edge(&mut self, judge: &EdgeJudge<'_>, edge: &Edge, client: &EdgeEnd, server: &EdgeEnd) {
        let verdict = judge.verdict(edge);
        for (end, direction, side) in [
            (client, Direction::Egress, &verdict.egress),
            (server, Direction::Ingress, &verdict.ingress),
        ] {
            if let EdgeEnd::Pod(pod) = end {
                self.each(&pod.namespace, &end.to_string(), direction, |traffic| {
                    traffic.add(edge, side)
                });
            }
        }
    }
}
