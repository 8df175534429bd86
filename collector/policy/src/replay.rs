//! What a change of policies or labels would have done to the traffic that was seen.
//!
//! In go edges, the cluster before (in versions, or one), and a [`Change`]; out comes a
//! [`Report`]: each edge is in exactly one of its classes.

use std::collections::{BTreeMap, BTreeSet};

use crate::edges::{Edge, EdgeSet, Tally};
use crate::engine::{Cluster, NearestRule, RuleRef};
use crate::inventory::Inventory;
use crate::judge::{EdgeJudge, Judges};
use crate::policy::{DIRECTIONS, Direction, Policy, PolicyKey};
use crate::profile::Profile;
use crate::verdict::{Answer, Reason};

mod change;
mod exit_code;
mod judging;
mod opens;
mod outcome;

use judging::{Hits, Replay};

pub use change::{Change, LabelChange, LabelTarget};
pub use exit_code::{BREAKS, CheckOptions, NO_ANSWER, PASSES, TOO_MUCH_UNKNOWN, exit_code};
pub use opens::{MOST_PAIRS, Opened, Opens};

/// The cluster from a moment on.
#[derive(Debug, Clone)]
pub struct ClusterVersion {
    /// Since when, in nanoseconds since 1970. The first version also stands for all time before.
    pub since: u64,
    /// What it was.
    pub cluster: Cluster,
}

/// What is replayed.
#[derive(Debug)]
pub struct ReplayInput<'a> {
    /// What was seen.
    pub edges: &'a EdgeSet,
    /// Workloads and Services, as they are now.
    pub inventory: &'a Inventory,
    /// The cluster of the window, in versions; or only the newest, to replay against now.
    pub before: Vec<ClusterVersion>,
    /// What is to be changed; it counts for all time.
    pub change: &'a Change,
    /// The CNI that is assumed.
    pub profile: Profile,
}

/// An edge that the change denies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewlyDenied {
    /// Which edge.
    pub edge: Edge,
    /// The end that denies; egress where both do.
    pub side: Direction,
    /// The NetworkPolicies that isolate that end.
    pub isolating: Vec<PolicyKey>,
    /// The rule that denies, where a rule does and not isolation.
    pub rule: Option<RuleRef>,
    /// The rule that comes nearest to allowing it.
    pub nearest: Option<NearestRule>,
    /// All that in words.
    pub words: String,
    /// A pod of it is gone, and another of its workload was judged.
    pub is_stand_in: bool,
}

/// An edge that was denied, and is allowed after the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewlyAllowed {
    /// Which edge.
    pub edge: Edge,
    /// The end that denied.
    pub side: Direction,
    /// The rule that allows there; none where nothing isolates any more.
    pub rule: Option<RuleRef>,
    /// A pod of it is gone, and another of its workload was judged.
    pub is_stand_in: bool,
}

/// An edge without an answer before or after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownEdge {
    /// Which edge.
    pub edge: Edge,
    /// Why: after the change, else before.
    pub reason: Reason,
    /// The answer before.
    pub before: Answer,
    /// The answer after.
    pub after: Answer,
}

/// What a change would have done.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// All edges.
    pub all: Tally,
    /// Those with an end that the change may be about.
    pub concerned: Tally,
    /// Those among them that have no answer: what the rest of the cluster is like is no doubt
    /// about the change, and no comfort either.
    pub concerned_unknown: Tally,
    /// Allowed before, denied after; those with the most flows first.
    pub newly_denied: Vec<NewlyDenied>,
    /// The same, of edges that nobody ever answered: scans, and what never worked.
    pub newly_denied_unanswered: Vec<NewlyDenied>,
    /// Denied before, allowed after; those with the most flows first.
    pub newly_allowed: Vec<NewlyAllowed>,
    /// Pairs that the change allows though nobody tried.
    pub opens: Opens,
    /// The same answer before and after.
    pub unchanged: Tally,
    /// Those among the unchanged that another policy or rule decides now.
    pub decider_changed: Tally,
    /// No answer, by reason.
    pub unknown: BTreeMap<Reason, Tally>,
    /// The edges without an answer.
    pub unknown_edges: Vec<UnknownEdge>,
    /// Edges that no policy is about: multicast, neighbour discovery.
    pub not_judged: Tally,
    /// Edges in which another pod of the workload stood in for one that is gone.
    pub stand_ins: Tally,
    /// Rules of the changed policies that no edge matches.
    pub without_traffic: Vec<RuleRef>,
}

impl Report {
    /// All edges without an answer.
    pub fn all_unknown(&self) -> Tally {
        self.unknown.values().fold(Tally::default(), |mut sum, tally| {
            sum.join(tally);
            sum
        })
    }
}

/// Replays edges against a cluster before and after a change. Many edges are shared out among
/// as many threads as there are processors, eight at most.
pub fn replay(input: ReplayInput<'_>) -> Report {
    let threads = judging::threads(input.edges.edges().len());
    replay_on(input, threads)
}

fn replay_on(input: ReplayInput<'_>, threads: usize) -> Report {
    let ReplayInput {
        edges,
        inventory,
        before,
        change,
        profile,
    } = input;
    let mut changed = inventory.clone();
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for ClusterVersion { since, cluster } in before {
        let after = (!change.labels.is_empty()).then(|| {
            let mut after = cluster.clone();
            changed = inventory.clone();
            change.apply(&mut after, &mut changed);
            EdgeJudge::new(edges, &changed, after, profile)
        });
        let before = EdgeJudge::new(edges, inventory, cluster, profile);
        let after =
            after.unwrap_or_else(|| before.with_policies(inventory, &change.policies, &change.deleted));
        new.push((since, after));
        old.push((since, before));
    }
    let ours: BTreeSet<PolicyKey> = change.policies.iter().map(Policy::key).collect();
    let touched: BTreeSet<PolicyKey> = ours.iter().chain(&change.deleted).cloned().collect();
    let concerned = concerned(edges.ends().len(), old.iter().chain(&new), &touched, change);
    let replay = Replay {
        before: Judges::new(old),
        after: Judges::new(new),
        ours,
        concerned,
    };
    let (mut report, hit) = replay.judge_all(edges.edges(), threads);
    report
        .newly_denied
        .sort_by(|one, other| by_flows(&one.edge, &other.edge));
    report
        .newly_denied_unanswered
        .sort_by(|one, other| by_flows(&one.edge, &other.edge));
    report
        .newly_allowed
        .sort_by(|one, other| by_flows(&one.edge, &other.edge));
    report.without_traffic = without_traffic(&change.policies, &hit);
    if let (Some(before), Some(after)) = (replay.before.newest(), replay.after.newest()) {
        let allowed: Vec<Edge> = report.newly_allowed.iter().map(|allowed| allowed.edge).collect();
        report.opens = opens::opens(&allowed, &changed, before, after, &touched);
    }
    report
}

/// For each end whether the change may say something else about it, as a client or as a
/// server, in one of the versions. Labels may change everything.
fn concerned<'j, 'e: 'j>(
    ends: usize,
    judges: impl Iterator<Item = &'j (u64, EdgeJudge<'e>)>,
    touched: &BTreeSet<PolicyKey>,
    change: &Change,
) -> Vec<bool> {
    let mut concerned = vec![!change.labels.is_empty(); ends];
    if change.labels.is_empty() {
        for (_, judge) in judges {
            let more = judge.concerned(touched);
            concerned
                .iter_mut()
                .zip(more)
                .for_each(|(is_so, more)| *is_so |= more);
        }
    }
    concerned
}

/// The most flows first; the same order for the same edges.
fn by_flows(one: &Edge, other: &Edge) -> std::cmp::Ordering {
    other.flows.cmp(&one.flows).then_with(|| one.cmp(other))
}

/// All rules of policies that are not among those that were hit.
fn without_traffic(policies: &[Policy], hit: &Hits<'_>) -> Vec<RuleRef> {
    let mut all = Vec::new();
    for policy in policies {
        all.extend(rules(policy));
    }
    all.retain(|rule| {
        rule.index
            .is_some_and(|index| !hit.contains(&(&rule.policy, rule.direction, index)))
    });
    all.sort();
    all.dedup();
    all
}

/// The rules of a policy that count.
pub(crate) fn rules(policy: &Policy) -> Vec<RuleRef> {
    let names = |direction: Direction| -> Vec<String> {
        match policy {
            Policy::Network(policy) if policy.isolates(direction) => {
                vec![String::new(); policy.rules(direction).len()]
            }
            Policy::Cluster(policy) => policy
                .rules(direction)
                .iter()
                .map(|rule| rule.name.clone())
                .collect(),
            Policy::Network(_) | Policy::Foreign(_) => Vec::new(),
        }
    };
    let of_direction = |direction: Direction| {
        let numbered = names(direction).into_iter().zip(0..=crate::policy::LAST_RULE);
        numbered
            .map(|(name, index)| RuleRef {
                policy: policy.key(),
                direction,
                index: Some(index),
                name,
            })
            .collect::<Vec<_>>()
    };
    DIRECTIONS.into_iter().flat_map(of_direction).collect()
}
