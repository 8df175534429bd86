//! Why an edge is denied or allowed after a change.

use super::{NewlyAllowed, NewlyDenied};
use crate::edges::Edge;
use crate::engine::{Connection, Engine, Miss, NearestRule, RuleRef};
use crate::judge::EdgeJudge;
use crate::policy::{Direction, PolicyKey};
use crate::verdict::{Answer, Side, Verdict};
use crate::words;

fn side(verdict: &Verdict, direction: Direction) -> &Side {
    match direction {
        Direction::Egress => &verdict.egress,
        Direction::Ingress => &verdict.ingress,
    }
}

/// The end that denies; egress where both do.
fn denying(verdict: &Verdict) -> Direction {
    match verdict.egress.answer {
        Answer::Deny => Direction::Egress,
        _ => Direction::Ingress,
    }
}

/// A reading with that answer.
fn reading(judge: &EdgeJudge<'_>, edge: &Edge, answer: Answer) -> Option<Connection<'static>> {
    let readings = judge.readings(edge);
    readings
        .into_iter()
        .find(|reading| judge.snapshot().evaluate(reading).answer == answer)
}

pub(super) fn newly_denied(
    judge: &EdgeJudge<'_>,
    edge: &Edge,
    after: &Verdict,
    is_stand_in: bool,
) -> NewlyDenied {
    let snapshot = judge.snapshot();
    let direction = denying(after);
    let decider = side(after, direction)
        .decider
        .filter(|decider| decider.rule.is_some());
    let rule = decider.and_then(|decider| snapshot.rule(decider, direction));
    let reading = reading(judge, edge, Answer::Deny);
    let (isolating, nearest, port) = match &reading {
        Some(reading) => (
            snapshot.isolating(reading, direction),
            snapshot.nearest_rule(reading, direction),
            reading.port,
        ),
        None => (Vec::new(), None, edge.port),
    };
    let nearest = nearest.filter(|_| rule.is_none());
    let port = words::port(edge.protocol, port);
    let words = in_words(
        judge.engine(),
        direction,
        &isolating,
        rule.as_ref(),
        nearest.as_ref(),
        &port,
    );
    NewlyDenied {
        edge: *edge,
        side: direction,
        isolating,
        rule,
        nearest,
        words,
        is_stand_in,
    }
}

/// `ingress[0] of shop/api`.
fn name(rule: &RuleRef) -> String {
    let direction = words::direction(rule.direction);
    let index = rule.index.map_or_else(String::new, |index| format!("[{index}]"));
    match rule.name.is_empty() {
        true => format!("{direction}{index} of {}", rule.policy),
        false => format!("{direction}{index} \"{}\" of {}", rule.name, rule.policy),
    }
}

fn in_words(
    engine: &Engine,
    direction: Direction,
    isolating: &[PolicyKey],
    rule: Option<&RuleRef>,
    nearest: Option<&NearestRule>,
    port: &str,
) -> String {
    if let Some(rule) = rule {
        return format!("{} denies", name(rule));
    }
    let policy = |rule: &RuleRef| engine.policy(&rule.policy).zip(rule.index);
    let near = nearest.and_then(|nearest| {
        let (policy, index) = policy(&nearest.rule)?;
        let name = name(&nearest.rule);
        Some(match nearest.misses {
            Miss::Port => {
                let ports = words::ports(policy, direction, index);
                format!("port {port} not in rule {name} ({ports})")
            }
            Miss::Peer => format!("rule {name} wants {}", words::peers(policy, direction, index)),
        })
    });
    let isolating = isolating.first().map_or_else(String::new, ToString::to_string);
    let direction = words::direction(direction);
    let near = near.unwrap_or_else(|| format!("no rule has {port}"));
    format!("{isolating} isolates {direction}, {near}")
}

pub(super) fn newly_allowed(
    judge: &EdgeJudge<'_>,
    edge: &Edge,
    before: &Verdict,
    after: &Verdict,
    is_stand_in: bool,
) -> NewlyAllowed {
    let direction = denying(before);
    let decider = side(after, direction).decider;
    NewlyAllowed {
        edge: *edge,
        side: direction,
        rule: decider.and_then(|decider| judge.snapshot().rule(decider, direction)),
        is_stand_in,
    }
}
