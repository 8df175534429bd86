//! What policies say about each edge, and which of them decides.

use super::UsageInput;
use crate::edges::Edge;
use crate::engine::RuleRef;
use crate::judge::EdgeJudge;
use crate::policy::Direction;
use crate::verdict::{Answer, Reason, Side, Verdict};

/// What policies say about an edge.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Judged {
    /// Both ends together.
    pub answer: Answer,
    /// Why.
    pub reason: Reason,
    /// The rule, or the policy that isolates or is not evaluated, egress first where both ends
    /// say so; none where no policy says anything.
    pub rule: Option<RuleRef>,
}

/// Judges edges one by one; they may have fewer flows than those of the input, and need not be
/// added up.
pub fn verdicts<'e>(
    input: UsageInput<'_>,
    edges: impl IntoIterator<Item = &'e Edge>,
    mut take: impl FnMut(&'e Edge, Judged),
) {
    let judge = input.judge();
    for edge in edges {
        let verdict = judge.verdict(edge);
        let judged = Judged {
            answer: verdict.answer,
            reason: verdict.reason,
            rule: decider(&verdict, &judge, verdict.answer).1,
        };
        take(edge, judged);
    }
}

/// The end that says so by a policy, egress first, and which rule of it.
pub(super) fn decider(
    verdict: &Verdict,
    judge: &EdgeJudge<'_>,
    answer: Answer,
) -> (Direction, Option<RuleRef>) {
    let sides = [
        (Direction::Egress, &verdict.egress),
        (Direction::Ingress, &verdict.ingress),
    ];
    let says = |(_, side): &(Direction, &Side)| side.answer == answer && side.decider.is_some();
    let found = sides.into_iter().find(says);
    let (direction, side) = found.unwrap_or((Direction::Ingress, &verdict.ingress));
    let rule = side
        .decider
        .and_then(|decider| judge.snapshot().rule(decider, direction));
    (direction, rule)
}
