//! Each edge before and after, and into its class. Edges are independent of each other: where
//! there are many, they are shared out among threads.

use std::collections::{BTreeSet, HashSet};
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::thread;

use foldhash::quality::RandomState;

use super::{Report, UnknownEdge, outcome};
use crate::edges::{Edge, EndId};
use crate::judge::{EdgeJudge, Judges};
use crate::policy::{DIRECTIONS, Direction, PolicyKey};
use crate::verdict::{Answer, Side, Verdict};

/// Edges that are worth a thread of their own: some milliseconds.
const EDGES_OF_A_THREAD: usize = 20_000;
const MOST_THREADS: usize = 8;

/// The rules of the changed policies that edges match.
pub(super) type Hits<'r> = HashSet<(&'r PolicyKey, Direction, u16), RandomState>;

pub(super) struct Replay<'e> {
    pub before: Judges<'e>,
    pub after: Judges<'e>,
    /// The policies of the change.
    pub ours: BTreeSet<PolicyKey>,
    /// By [`EndId`]: the change may say something else about it.
    pub concerned: Vec<bool>,
}

impl Replay<'_> {
    pub fn judge_all(&self, edges: &[Edge]) -> (Report, Hits<'_>) {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let most = processors.min(MOST_THREADS);
        let threads = edges.len().div_ceil(EDGES_OF_A_THREAD).clamp(1, most);
        let mut shares = edges.chunks(edges.len().div_ceil(threads).max(1));
        let mine = shares.next().unwrap_or_default();
        thread::scope(|scope| {
            let others: Vec<_> = shares
                .map(|share| scope.spawn(|| self.judge_share(share)))
                .collect();
            let (mut report, mut hits) = self.judge_share(mine);
            for other in others {
                let (more, hit) = other.join().unwrap_or_else(|panic| resume_unwind(panic));
                report.join(more);
                hits.extend(hit);
            }
            (report, hits)
        })
    }

    fn judge_share(&self, edges: &[Edge]) -> (Report, Hits<'_>) {
        let (mut report, mut hits) = (Report::default(), Hits::default());
        for edge in edges {
            let is_concerned = self.is_concerned(edge);
            self.judge(edge, is_concerned, &mut report);
            if is_concerned {
                self.count_hits(edge, &mut hits);
            }
        }
        (report, hits)
    }

    fn is_concerned(&self, edge: &Edge) -> bool {
        let is_one = |end: EndId| self.concerned.get(end.0 as usize).is_none_or(|is_one| *is_one);
        is_one(edge.client) || is_one(edge.server)
    }

    fn judge(&self, edge: &Edge, is_concerned: bool, report: &mut Report) {
        let before = self.before.verdict(edge);
        let after = match is_concerned {
            true => self.after.verdict(edge),
            false => before,
        };
        let (Some(old), Some(new)) = (self.before.first_of(edge), self.after.first_of(edge)) else {
            return;
        };
        report.all.add(edge);
        let is_stand_in = new.has_stand_in(edge);
        if is_stand_in {
            report.stand_ins.add(edge);
        }
        match (before.answer, after.answer) {
            (Answer::NotJudged, _) | (_, Answer::NotJudged) => report.not_judged.add(edge),
            (Answer::Unknown, _) | (_, Answer::Unknown) => {
                let is_after = after.answer == Answer::Unknown;
                let reason = if is_after { after.reason } else { before.reason };
                report.unknown.entry(reason).or_default().add(edge);
                report.unknown_edges.push(UnknownEdge {
                    edge: *edge,
                    reason,
                    before: before.answer,
                    after: after.answer,
                });
            }
            (Answer::Allow, Answer::Deny) => {
                let denied = outcome::newly_denied(new, edge, &after, is_stand_in);
                match edge.answered {
                    true => report.newly_denied.push(denied),
                    false => report.newly_denied_unanswered.push(denied),
                }
            }
            (Answer::Deny, Answer::Allow) => {
                report
                    .newly_allowed
                    .push(outcome::newly_allowed(new, edge, &before, &after, is_stand_in));
            }
            (Answer::Allow, Answer::Allow) | (Answer::Deny, Answer::Deny) => {
                report.unchanged.add(edge);
                if is_concerned && !is_same_decider(old, &before, new, &after) {
                    report.decider_changed.add(edge);
                }
            }
        }
    }

    fn count_hits<'r>(&'r self, edge: &Edge, hits: &mut Hits<'r>) {
        if self.ours.is_empty() {
            return;
        }
        for (_, judge) in self.after.of(edge) {
            let snapshot = judge.snapshot();
            for connection in judge.readings(edge) {
                for direction in DIRECTIONS {
                    snapshot.each_match(&connection, direction, |decider| {
                        if let (Some(key), Some(index)) = (snapshot.policy(decider.policy), decider.rule)
                            && self.ours.contains(key)
                        {
                            hits.insert((key, direction, index));
                        }
                    });
                }
            }
        }
    }
}

impl Report {
    /// What the edges after these gave.
    fn join(&mut self, more: Report) {
        self.all.join(&more.all);
        self.newly_denied.extend(more.newly_denied);
        self.newly_denied_unanswered.extend(more.newly_denied_unanswered);
        self.newly_allowed.extend(more.newly_allowed);
        self.unchanged.join(&more.unchanged);
        self.decider_changed.join(&more.decider_changed);
        for (reason, tally) in more.unknown {
            self.unknown.entry(reason).or_default().join(&tally);
        }
        self.unknown_edges.extend(more.unknown_edges);
        self.not_judged.join(&more.not_judged);
        self.stand_ins.join(&more.stand_ins);
    }
}

fn is_same_decider(old: &EdgeJudge<'_>, before: &Verdict, new: &EdgeJudge<'_>, after: &Verdict) -> bool {
    let same = |one: &Side, other: &Side| {
        let [one_by, other_by] = [(old, one), (new, other)].map(|(judge, side)| {
            let decider = side.decider?;
            Some((judge.snapshot().policy(decider.policy)?, decider.rule))
        });
        one.answer == other.answer && one.reason == other.reason && one_by == other_by
    };
    same(&before.egress, &after.egress) && same(&before.ingress, &after.ingress)
}
