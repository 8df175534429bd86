//! Everything that has a say about a connection, not only what decides.

use super::evaluate::Connection;
use super::question::{Match, Question};
use super::snapshot::{EndpointKind, RuleRef, Snapshot};
use super::tables::Part;
use crate::policy::{Action, Direction, PolicyKey, Tier};
use crate::verdict::{Decider, Verdict};

/// A rule that matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchingRule {
    /// Its tier.
    pub tier: Tier,
    /// Which rule.
    pub rule: RuleRef,
    /// What it does.
    pub action: Action,
    /// Whether it is certain that it matches.
    pub certain: bool,
}

/// What is about one end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SideExplanation {
    /// The NetworkPolicies that isolate the pod in this direction, by name.
    pub isolating: Vec<PolicyKey>,
    /// The rules that match, in the order in which they count.
    pub matching: Vec<MatchingRule>,
    /// Objects that select the pod and are not evaluated.
    pub foreign: Vec<PolicyKey>,
}

/// A verdict with all that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// As [`Snapshot::evaluate`] gives it.
    pub verdict: Verdict,
    /// The client's policies.
    pub egress: SideExplanation,
    /// The server's policies.
    pub ingress: SideExplanation,
}

impl Snapshot {
    /// The verdict about a connection and everything that has a say in it.
    pub fn explain(&self, connection: &Connection<'_>) -> Explanation {
        let side = |direction, subject: super::Endpoint, peer| match subject.kind {
            EndpointKind::Pod if subject.epoch == self.epoch => self
                .question(connection, direction, subject, peer)
                .map(|question| self.explain_side(&question, direction))
                .unwrap_or_default(),
            _ => SideExplanation::default(),
        };
        let (client, server) = (connection.client, connection.server);
        Explanation {
            verdict: self.evaluate(connection),
            egress: side(Direction::Egress, client, server),
            ingress: side(Direction::Ingress, server, client),
        }
    }

    fn explain_side(&self, question: &Question<'_>, direction: Direction) -> SideExplanation {
        let keys = |policies: &[u32]| policies.iter().filter_map(|p| self.policy(*p)).cloned().collect();
        let mut matching = Vec::new();
        for tier in [Tier::Admin, Tier::NetworkPolicy, Tier::Baseline] {
            for number in question.list.part(tier.into()) {
                let rule = &question.rules[*number as usize];
                let decider = Decider {
                    policy: rule.policy,
                    rule: Some(rule.index),
                };
                let matched = question.matches(*number);
                if let Some(found) = self.rule(decider, direction)
                    && matched != Match::No
                {
                    let certain = matched == Match::Yes;
                    matching.push(MatchingRule {
                        tier,
                        rule: found,
                        action: rule.action,
                        certain,
                    });
                }
            }
        }
        SideExplanation {
            isolating: keys(question.list.part(Part::Isolating)),
            matching,
            foreign: keys(question.list.part(Part::Foreign)),
        }
    }
}
