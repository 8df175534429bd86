//! What policies say about the rows of a matrix. A row may be of many edges: workloads of many
//! pods, namespaces, all ports of a server, addresses outside. Each edge is judged for itself,
//! and a row tells whether they agree.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use weir_policy::edges::Edge;
use weir_policy::usage::{self, Judged, UsageInput};
use weir_policy::{Answer, words};

use crate::evidence::{Row, text};
use crate::{Sight, Traffic, World};

/// The verdict of a row whose edges do not agree.
pub const MIXED: &str = "mixed";

/// The fields that an end of a row is called by; the server's begin with `dst_`.
pub const END_FIELDS: [&str; 5] = ["ns", "workload_kind", "workload_name", "pod_name", "subnet_label"];

/// What tells the rows of a matrix apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RowEnds {
    /// Of the client, the words of [`END_FIELDS`]; empty where the matrix has none.
    pub client: [String; END_FIELDS.len()],
    /// Of the server.
    pub server: [String; END_FIELDS.len()],
    /// The protocol's name, and the server's port; empty where the matrix is without ports.
    pub called: [String; 2],
    /// It is known who called.
    pub is_directed: bool,
}

impl RowEnds {
    /// Those of a row.
    pub fn of(row: &Row) -> Self {
        Self {
            client: END_FIELDS.map(|field| text(row, field)),
            server: END_FIELDS.map(|field| text(row, &format!("dst_{field}"))),
            called: ["protocol", "dst_port"].map(|field| text(row, field)),
            is_directed: text(row, "strength") != "unknown",
        }
    }
}

/// An edge, and the row of the matrix by pod that it is of.
#[derive(Debug, Clone)]
pub struct Part {
    /// That row.
    pub row: RowEnds,
    /// Its ends are in the [`Traffic`]'s edges; its flows are the client's alone, as the row's
    /// `flows` are.
    pub edge: Edge,
}

/// What policies say about a row. The reason, the policy and its rule are those of most flows
/// of its edges that are denied; where none is, of those that are unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MatrixVerdict {
    /// `allow`, `deny`, `unknown`, `mixed` of several of them, or empty: no policy is about it,
    /// or it was left out.
    pub policy_verdict: String,
    /// Why, as the field of that name says.
    pub policy_reason: String,
    /// Where a policy decides, the end whose policy it is: `egress` (the client's) or `ingress`.
    pub policy_side: String,
    /// The policy that decides, or `hidden`; empty where none does.
    pub policy: String,
    /// Its rule, or `hidden`; the policy alone where it isolates.
    pub policy_rule: String,
    /// Flows that are denied: the client's alone, as the row's `flows`.
    pub policy_denied_flows: u64,
    /// Of these, those of which it cannot be said.
    pub policy_unknown_flows: u64,
}

impl MatrixVerdict {
    /// The names of what is told, in their order.
    pub const COLUMNS: [&str; 7] = [
        "policy_verdict",
        "policy_reason",
        "policy_side",
        "policy",
        "policy_rule",
        "policy_denied_flows",
        "policy_unknown_flows",
    ];

    /// The names of sums among them.
    pub const SUMS: [&str; 2] = ["policy_denied_flows", "policy_unknown_flows"];

    /// As fields of a row.
    pub fn fields(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        }
    }
}

/// The verdicts of a matrix.
#[derive(Debug, Default)]
pub struct MatrixVerdicts(HashMap<RowEnds, MatrixVerdict>);

impl MatrixVerdicts {
    /// Judges all edges, and puts those together that `shown` gives the same row.
    pub fn new(world: &World, traffic: &Traffic, shown: impl Fn(&RowEnds) -> RowEnds) -> Self {
        let inventory = world.objects.inventory(Vec::new());
        let input = UsageInput {
            edges: &traffic.edges,
            inventory: &inventory,
            cluster: world.cluster(),
            profile: world.profile,
        };
        let mut rows = traffic.parts.iter().map(|part| shown(&part.row));
        let mut said: HashMap<RowEnds, Said> = HashMap::new();
        let edges = traffic.parts.iter().map(|part| &part.edge);
        usage::verdicts(input, edges, |edge, judged| {
            if let Some(row) = rows.next() {
                said.entry(row).or_default().add(edge, judged);
            }
        });
        let told = said.into_iter().map(|(row, said)| (row, said.told(&world.sight)));
        Self(told.collect())
    }

    /// That of a row, as [`Self::new`]'s `shown` gives it. Where it is not known who called,
    /// what is known of the same ends counts.
    pub fn of(&self, row: &RowEnds) -> MatrixVerdict {
        let other = RowEnds {
            is_directed: !row.is_directed,
            ..row.clone()
        };
        let found = self.0.get(row).or_else(|| self.0.get(&other));
        found.cloned().unwrap_or_default()
    }
}

/// What is said about the edges of one row, and of how many flows.
#[derive(Debug, Default)]
struct Said(HashMap<Judged, u64>);

impl Said {
    fn add(&mut self, edge: &Edge, judged: Judged) {
        let flows = self.0.entry(judged).or_default();
        *flows = flows.saturating_add(edge.flows);
    }

    fn of(&self, answer: Answer) -> impl Iterator<Item = (&Judged, u64)> {
        let all = self.0.iter().map(|(judged, flows)| (judged, *flows));
        all.filter(move |(judged, _)| judged.answer == answer)
    }

    fn flows(&self, answer: Answer) -> u64 {
        self.of(answer)
            .fold(0, |sum, (_, flows)| sum.saturating_add(flows))
    }

    /// What weighs most: of the worst answer that there is, what has most flows.
    fn told(&self, sight: &Sight) -> MatrixVerdict {
        let mut answers = WORST_FIRST
            .into_iter()
            .filter(|answer| self.of(*answer).next().is_some());
        let Some(worst) = answers.next() else {
            // No policy is about any of it.
            return MatrixVerdict::default();
        };
        let is_mixed = answers.next().is_some();
        let most = self
            .of(worst)
            .min_by_key(|(judged, flows)| (u64::MAX - flows, judged.rule.as_ref(), judged.reason));
        let rule = most.and_then(|(judged, _)| judged.rule.as_ref());
        MatrixVerdict {
            policy_verdict: if is_mixed { MIXED } else { worst.name() }.to_owned(),
            policy_reason: most.map_or("", |(judged, _)| judged.reason.name()).to_owned(),
            policy_side: rule
                .map_or("", |rule| words::direction(rule.direction))
                .to_owned(),
            policy: rule.map_or_else(String::new, |rule| sight.policy(&rule.policy)),
            policy_rule: rule.map_or_else(String::new, |rule| sight.rule(rule)),
            policy_denied_flows: self.flows(Answer::Deny),
            policy_unknown_flows: self.flows(Answer::Unknown),
        }
    }
}

/// Answers by how much they weigh in a row; what no policy is about weighs nothing.
const WORST_FIRST: [Answer; 3] = [Answer::Deny, Answer::Unknown, Answer::Allow];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use weir_policy::edges::{EdgeEnd, EdgeSet, Strength};
    use weir_policy::{Direction, PolicyKey, PolicyKind, Reason, RuleRef};

    use super::*;
    use crate::{HIDDEN, Namespaces};

    fn judged(answer: Answer, reason: Reason, policy: Option<(&str, Option<u16>)>) -> Judged {
        let rule = policy.map(|(name, index)| RuleRef {
            policy: PolicyKey {
                kind: PolicyKind::NetworkPolicy,
                namespace: "bank".to_owned(),
                name: name.to_owned(),
            },
            direction: Direction::Ingress,
            index,
            name: String::new(),
        });
        Judged { answer, reason, rule }
    }

    /// What is said about edges with so many flows.
    fn told(said: &[(Judged, u64)], sight: &Sight) -> MatrixVerdict {
        let mut edges = EdgeSet::default();
        let unknown = edges.end(EdgeEnd::Unknown);
        let mut all = Said::default();
        for (judged, flows) in said {
            let edge = Edge {
                client: unknown,
                server: unknown,
                protocol: 6,
                port: 80,
                flows: *flows,
                bytes: 0,
                first: 0,
                last: 0,
                strength: Strength::Proven,
                answered: true,
            };
            all.add(&edge, judged.clone());
        }
        all.told(sight)
    }

    #[test]
    fn what_weighs_most_of_the_worst_answer_is_named() {
        let by_rule = (judged(Answer::Allow, Reason::Rule, Some(("a", Some(0)))), 900);
        let few = (judged(Answer::Deny, Reason::Isolation, Some(("b", None))), 1);
        let many = (judged(Answer::Deny, Reason::Isolation, Some(("c", None))), 5);
        let unknown = (judged(Answer::Unknown, Reason::Backend, None), 7);
        let nobody = (judged(Answer::NotJudged, Reason::Default, None), 9);
        let sees = |said: &[(Judged, u64)]| told(said, &Sight::EVERYTHING);
        let all = sees(&[by_rule.clone(), few, many, unknown.clone(), nobody.clone()]);
        assert_eq!(
            (all.policy_verdict.as_str(), all.policy.as_str()),
            (MIXED, "bank/c")
        );
        assert_eq!(
            (all.policy_reason.as_str(), all.policy_side.as_str()),
            ("isolation", "ingress")
        );
        assert_eq!((all.policy_denied_flows, all.policy_unknown_flows), (6, 7));
        let without = sees(&[unknown, by_rule.clone()]);
        assert_eq!(
            (without.policy_verdict.as_str(), without.policy_reason.as_str()),
            (MIXED, "backend")
        );
        // What no policy is about makes no difference, and alone says nothing.
        let allowed = sees(&[by_rule, nobody.clone()]);
        assert_eq!(
            (allowed.policy_verdict.as_str(), allowed.policy_rule.as_str()),
            ("allow", "bank/a ingress[0]")
        );
        assert_eq!(sees(&[nobody]), MatrixVerdict::default());
        assert_eq!(sees(&[]), MatrixVerdict::default());
    }

    #[test]
    fn a_policy_that_may_not_be_told_is_hidden_with_its_rule() {
        let sight = Sight {
            policies: Namespaces::Some(BTreeSet::from(["shop".to_owned()])),
            pods: Namespaces::All,
        };
        let verdict = told(
            &[(judged(Answer::Deny, Reason::Isolation, Some(("vault", None))), 1)],
            &sight,
        );
        assert_eq!(
            (verdict.policy.as_str(), verdict.policy_rule.as_str()),
            (HIDDEN, HIDDEN)
        );
        assert_eq!(verdict.policy_verdict, "deny");
    }

    #[test]
    fn the_columns_are_the_fields() {
        let fields = MatrixVerdict::default().fields();
        let mut columns = MatrixVerdict::COLUMNS.map(str::to_owned).to_vec();
        columns.sort();
        let mut names: Vec<String> = fields.keys().cloned().collect();
        names.sort();
        assert_eq!(names, columns);
        let is_sum = |name: &&String| fields[*name].is_u64();
        assert!(names.iter().filter(is_sum).eq(MatrixVerdict::SUMS.iter()));
    }
}
