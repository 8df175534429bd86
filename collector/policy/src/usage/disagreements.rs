//! Where policies and what was seen do not go together.

use std::collections::BTreeMap;

use super::UsageInput;
use super::verdicts::decider;
use crate::edges::{Edge, EdgeSet, Strength, Tally};
use crate::engine::RuleRef;
use crate::judge::EdgeJudge;
use crate::observed::{Answered, Disagreement, SETTLE, disagreement};
use crate::policy::{Direction, PolicyKey};
use crate::profile::{Cni, Profile};
use crate::verdict::Answer;

/// A policy is not enforced if what it denies was answered for so long, in nanoseconds.
pub const HOUR: u64 = 3_600_000_000_000;

/// All plugins, as their behaviour may be the wrong one.
const PLUGINS: [Cni; 4] = [Cni::Spec, Cni::OvnKubernetes, Cni::Antrea, Cni::KubeOvn];

/// What is compared.
#[derive(Debug)]
pub struct DisagreementInput<'a> {
    /// Policies, and the edges that may have been answered.
    pub usage: UsageInput<'a>,
    /// What the switch dropped.
    pub dropped: &'a EdgeSet,
    /// When a policy was made, in nanoseconds since 1970, as far as that is known.
    pub created: &'a BTreeMap<PolicyKey, u64>,
}

/// What may be behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Denied and answered: the traffic began before the policy was there.
    Older,
    /// Denied and answered: another network plugin would allow it.
    Plugin(Cni),
    /// Denied and answered: nobody enforces the policy.
    NotEnforced,
    /// Allowed and dropped: another firewall.
    AnotherFirewall,
}

/// An edge, and the policies that say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreeing {
    /// Which edge.
    pub edge: Edge,
    /// What may be behind it.
    pub cause: Cause,
    /// The end that denies, or whose rule allows; egress where both do.
    pub side: Direction,
    /// The rule, or the policy that isolates; none where no policy says anything.
    pub rule: Option<RuleRef>,
}

/// A policy whose denials were answered for an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEnforced {
    /// Which policy.
    pub policy: PolicyKey,
    /// When what it denies was seen first, in nanoseconds since 1970.
    pub first: u64,
    /// When what it denies was seen last, in nanoseconds since 1970.
    pub last: u64,
    /// What it denies and was answered.
    pub answered: Tally,
}

/// All that does not go together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disagreements {
    /// Denied though answered; those with the most flows first.
    pub answered: Vec<Disagreeing>,
    /// Allowed though dropped: ends in [`DisagreementInput::dropped`]; those with the most flows
    /// first.
    pub dropped: Vec<Disagreeing>,
    /// Policies that nobody enforces, by name.
    pub not_enforced: Vec<NotEnforced>,
}

/// Holds verdicts against what the ends and the switch did.
pub fn disagreements(input: DisagreementInput<'_>) -> Disagreements {
    let DisagreementInput {
        usage,
        dropped,
        created,
    } = input;
    let of_dropped = UsageInput {
        edges: dropped,
        inventory: usage.inventory,
        cluster: usage.cluster.clone(),
        profile: usage.profile,
    };
    let cluster = usage.cluster.clone();
    let (edges, inventory, profile) = (usage.edges, usage.inventory, usage.profile);
    let mut answered = found(edges, &usage.judge(), false, created);
    if answered.iter().any(|found| found.cause == Cause::NotEnforced) {
        for cni in PLUGINS.into_iter().filter(|cni| *cni != profile.cni) {
            let judge = EdgeJudge::new(edges, inventory, cluster.clone(), Profile::of(cni));
            for one in answered.iter_mut().filter(|one| one.cause == Cause::NotEnforced) {
                if judge.verdict(&one.edge).answer == Answer::Allow {
                    one.cause = Cause::Plugin(cni);
                }
            }
        }
    }
    Disagreements {
        not_enforced: not_enforced(&answered),
        answered,
        dropped: found(dropped, &of_dropped.judge(), true, created),
    }
}

fn found(
    edges: &EdgeSet,
    judge: &EdgeJudge<'_>,
    is_dropped: bool,
    created: &BTreeMap<PolicyKey, u64>,
) -> Vec<Disagreeing> {
    let mut found: Vec<Disagreeing> = edges
        .edges()
        .iter()
        .filter_map(|edge| one(edge, judge, is_dropped, created))
        .collect();
    found.sort_by(|one, other| {
        other
            .edge
            .flows
            .cmp(&one.edge.flows)
            .then_with(|| one.edge.cmp(&other.edge))
    });
    found
}

fn one(
    edge: &Edge,
    judge: &EdgeJudge<'_>,
    is_dropped: bool,
    created: &BTreeMap<PolicyKey, u64>,
) -> Option<Disagreeing> {
    let answered = match edge.answered {
        true => Answered::Both,
        false => Answered::Forward,
    };
    let verdict = judge.verdict(edge);
    let kind = disagreement(&verdict, answered, is_dropped)?;
    let is_denied = kind == Disagreement::NotEnforced;
    let (side, rule) = decider(
        &verdict,
        judge,
        if is_denied { Answer::Deny } else { Answer::Allow },
    );
    let is_older = || {
        let at = rule.as_ref().and_then(|rule| created.get(&rule.policy));
        at.is_some_and(|at| edge.first < at.saturating_add(SETTLE))
    };
    Some(Disagreeing {
        edge: *edge,
        cause: match is_denied {
            false => Cause::AnotherFirewall,
            true if is_older() => Cause::Older,
            true => Cause::NotEnforced,
        },
        side,
        rule,
    })
}

/// Policies whose denials were answered for long enough, by traffic of which it is known who
/// called.
fn not_enforced(answered: &[Disagreeing]) -> Vec<NotEnforced> {
    let mut by_policy: BTreeMap<&PolicyKey, NotEnforced> = BTreeMap::new();
    let is_sure =
        |found: &&Disagreeing| found.cause == Cause::NotEnforced && found.edge.strength >= Strength::Likely;
    for found in answered.iter().filter(is_sure) {
        let Some(rule) = &found.rule else { continue };
        let policy = by_policy.entry(&rule.policy).or_insert_with(|| NotEnforced {
            policy: rule.policy.clone(),
            first: u64::MAX,
            last: 0,
            answered: Tally::default(),
        });
        policy.first = policy.first.min(found.edge.first);
        policy.last = policy.last.max(found.edge.last);
        policy.answered.add(&found.edge);
    }
    let is_long = |policy: &NotEnforced| policy.last.saturating_sub(policy.first) >= HOUR;
    by_policy.into_values().filter(is_long).collect()
}
