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

/// How many threads so many edges are worth here.
pub(super) fn threads(edges: usize) -> usize {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let most = processors.min(MOST_THREADS);
    edges.div_ceil(EDGES_OF_A_THREAD).clamp(1, most)
}

impl Replay<'_> {
    /// All edges, shared out among so many threads, this one among them. A share for which the
    /// system gives no thread is judged here.
    pub fn judge_all(&self, edges: &[Edge], threads: usize) -> (Report, Hits<'_>) {
        let mut shares = edges.chunks(edges.len().div_ceil(threads.max(1)).max(1));
        let mine = shares.next().unwrap_or_default();
        thread::scope(|scope| {
            let begin = |share| {
                let running = thread::Builder::new().spawn_scoped(scope, move || self.judge_share(share));
                running.map_err(|_| share)
            };
            let others: Vec<_> = shares.map(begin).collect();
            let (mut report, mut hits) = self.judge_share(mine);
            for other in others {
                let (more, hit) = match other {
                    Ok(running) => running.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    Err(share) => self.judge_share(share),
                };
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
        if is_concerned {
            report.concerned.add(edge);
        }
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
                if is_concerned {
                    report.concerned_unknown.add(edge);
                }
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
        let Report {
            all,
            concerned,
            concerned_unknown,
            newly_denied,
            newly_denied_unanswered,
            newly_allowed,
            unchanged,
            decider_changed,
            unknown,
            unknown_edges,
            not_judged,
            stand_ins,
            // what is not of single edges
            opens: _,
            without_traffic: _,
        } = more;
        self.all.join(&all);
        self.concerned.join(&concerned);
        self.concerned_unknown.join(&concerned_unknown);
        self.newly_denied.extend(newly_denied);
        self.newly_denied_unanswered.extend(newly_denied_unanswered);
        self.newly_allowed.extend(newly_allowed);
        self.unchanged.join(&unchanged);
        self.decider_changed.join(&decider_changed);
        for (reason, tally) in unknown {
            self.unknown.entry(reason).or_default().join(&tally);
        }
        self.unknown_edges.extend(unknown_edges);
        self.not_judged.join(&not_judged);
        self.stand_ins.join(&stand_ins);
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

#[cfg(test)]
mod tests {
    use super::super::{Change, ClusterVersion, ReplayInput, replay_on};
    use super::*;
    use crate::edges::{EdgeEnd, EdgeSet, PodEnd, Strength};
    use crate::inventory::Inventory;
    use crate::{Cluster, Pod, Policy, Profile, parse};

    const PODS: u8 = 5;

    fn pod(n: u8) -> Pod {
        Pod {
            namespace: "x".into(),
            name: format!("p{n}"),
            labels: [("app".to_owned(), format!("p{n}"))].into(),
            addresses: vec![[10, 1, 1, n].into()],
            ports: Vec::new(),
            host_network: false,
            node: "n1".into(),
            finished: false,
        }
    }

    fn policies(rules: &str) -> Vec<Policy> {
        let head =
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: mine, namespace: x}";
        let yaml =
            format!("{head}\nspec: {{podSelector: {{matchLabels: {{app: p0}}}}, ingress: [{rules}]}}\n");
        parse::file(&yaml, "x").expect("it is a policy").policies
    }

    /// Every pod calls every other at some ports; ICMP, multicast and unknown ends are among it.
    fn edges() -> EdgeSet {
        let mut set = EdgeSet::default();
        let mut ends: Vec<_> = (0..PODS)
            .map(|n| {
                set.end(EdgeEnd::Pod(PodEnd {
                    namespace: "x".into(),
                    name: format!("p{n}"),
                    address: Some([10, 1, 1, n].into()),
                    node: "n1".into(),
                    workload: None,
                }))
            })
            .collect();
        ends.push(set.end(EdgeEnd::Unknown));
        ends.push(set.end(EdgeEnd::address([224, 0, 0, 1].into())));
        for (n, client) in ends.iter().enumerate() {
            for (m, server) in ends.iter().enumerate() {
                for (protocol, port) in [(6, 80), (6, 81), (6, 82), (1, 2048)] {
                    set.push(Edge {
                        client: *client,
                        server: *server,
                        protocol,
                        port,
                        flows: (n * 7 + m) as u64,
                        bytes: 1,
                        first: 0,
                        last: 1,
                        strength: Strength::Proven,
                        answered: (n + m) % 2 == 0,
                    });
                }
            }
        }
        set
    }

    #[test]
    fn on_any_number_of_threads_the_report_is_the_same() {
        let (edges, inventory) = (edges(), Inventory::default());
        let change = Change {
            policies: policies("{ports: [{port: 81}]}, {ports: [{port: 9}]}, {ports: [{port: 82}]}"),
            ..Change::default()
        };
        let on = |threads: usize| {
            let cluster = Cluster {
                pods: (0..PODS).map(pod).collect(),
                policies: policies("{ports: [{port: 80}]}, {ports: [{port: 82}]}"),
                ..Cluster::default()
            };
            let input = ReplayInput {
                edges: &edges,
                inventory: &inventory,
                before: vec![ClusterVersion { since: 0, cluster }],
                change: &change,
                profile: Profile::default(),
            };
            replay_on(input, threads)
        };
        let one = on(1);
        assert!(!one.newly_denied.is_empty() && !one.newly_denied_unanswered.is_empty());
        assert!(!one.newly_allowed.is_empty() && one.unchanged.edges > 0 && one.not_judged.edges > 0);
        assert!(one.unknown.len() > 1 && one.decider_changed.edges > 0);
        assert!(one.concerned_unknown.edges > 0 && one.concerned.edges < one.all.edges);
        assert_eq!(one.without_traffic.len(), 1);
        for threads in [2, 3, 7, 1_000] {
            assert_eq!(
                format!("{:?}", on(threads)),
                format!("{one:?}"),
                "{threads} threads"
            );
        }
    }
}
