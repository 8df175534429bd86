//! What a change would have done, as it is told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_policy::replay::{self, NewlyAllowed, NewlyDenied, UnknownEdge};
use weir_policy::words;

use crate::{EdgeRow, HIDDEN, Sight, TallyRow, Traffic, World};

/// What a change would have done.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = PolicyCheck)]
pub struct CheckReport {
    /// 0: nothing that was allowed and answered is denied; 1: something is; 2: there is no
    /// answer; 3: of too much it cannot be told.
    pub exit_code: u8,
    /// The hours that it is of: the start of the first, RFC 3339.
    pub since: String,
    /// The end of the last.
    pub until: String,
    /// The network plugin that is assumed.
    pub profile: String,
    /// All edges.
    pub all: TallyRow,
    /// Those with an end that the change may be about.
    pub concerned: TallyRow,
    /// Those among them that have no answer.
    pub concerned_unknown: TallyRow,
    /// Allowed before, denied after; those with the most flows first.
    pub newly_denied: Vec<DeniedEdge>,
    /// The same, of edges that nobody ever answered.
    pub newly_denied_unanswered: Vec<DeniedEdge>,
    /// Denied before, allowed after.
    pub newly_allowed: Vec<AllowedEdge>,
    /// Pairs that the change allows though nobody tried.
    pub opens: OpensRow,
    /// The same answer before and after.
    pub unchanged: TallyRow,
    /// Those among the unchanged that another policy or rule decides now.
    pub decider_changed: TallyRow,
    /// No answer, by reason.
    pub unknown: BTreeMap<String, TallyRow>,
    /// The edges without an answer.
    pub unknown_edges: Vec<UnknownRow>,
    /// Edges that no policy is about.
    pub not_judged: TallyRow,
    /// Edges in which another pod of the workload stood in for one that is gone.
    pub stand_ins: TallyRow,
    /// Rules of the change that no edge matches.
    pub rules_without_traffic: Vec<String>,
}

/// An edge that the change denies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct DeniedEdge {
    /// Which edge.
    #[serde(flatten)]
    pub edge: EdgeRow,
    /// The end that denies: `egress` (the client) or `ingress`.
    pub side: String,
    /// The isolating policies and the nearest rule in words.
    pub why: String,
    /// A pod of it is gone, and another of its workload was judged.
    pub stand_in: bool,
    /// The NetworkPolicies that isolate that end.
    pub isolated_by: Vec<String>,
    /// The rule that denies, where a rule does and not isolation.
    pub rule: Option<String>,
}

/// An edge that was denied, and is allowed after the change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct AllowedEdge {
    /// Which edge.
    #[serde(flatten)]
    pub edge: EdgeRow,
    /// The end that denied.
    pub side: String,
    /// The rule that allows there; none where nothing isolates any more.
    pub rule: Option<String>,
    /// A pod of it is gone, and another of its workload was judged.
    pub stand_in: bool,
}

/// An edge without an answer before or after.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = UnknownEdge)]
pub struct UnknownRow {
    /// Which edge.
    #[serde(flatten)]
    pub edge: EdgeRow,
    /// Why.
    pub reason: String,
    /// The answer before.
    pub before: String,
    /// The answer after.
    pub after: String,
}

/// Pairs that nobody tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = OpenedPairs)]
pub struct OpensRow {
    /// How many are allowed after the change that were denied before.
    pub pairs: u64,
    /// There were not too many to look at all.
    pub all_looked_at: bool,
}

impl CheckReport {
    pub(super) fn of(report: &replay::Report, world: &World, traffic: &Traffic, exit_code: u8) -> Self {
        let told = Telling {
            traffic,
            sight: &world.sight,
        };
        let unknown = report.unknown.iter();
        let denied = |all: &[NewlyDenied]| all.iter().map(|found| told.denied(found)).collect();
        let rules = report.without_traffic.iter();
        Self {
            exit_code,
            since: traffic.since.clone(),
            until: traffic.until.clone(),
            profile: world.profile_name().to_owned(),
            all: TallyRow::from(&report.all),
            concerned: TallyRow::from(&report.concerned),
            concerned_unknown: TallyRow::from(&report.concerned_unknown),
            newly_denied: denied(&report.newly_denied),
            newly_denied_unanswered: denied(&report.newly_denied_unanswered),
            newly_allowed: report
                .newly_allowed
                .iter()
                .map(|found| told.allowed(found))
                .collect(),
            opens: OpensRow {
                pairs: report.opens.pairs,
                all_looked_at: !report.opens.is_cut,
            },
            unchanged: TallyRow::from(&report.unchanged),
            decider_changed: TallyRow::from(&report.decider_changed),
            unknown: unknown
                .map(|(reason, tally)| (reason.name().to_owned(), TallyRow::from(tally)))
                .collect(),
            unknown_edges: report
                .unknown_edges
                .iter()
                .map(|found| told.unknown(found))
                .collect(),
            not_judged: TallyRow::from(&report.not_judged),
            stand_ins: TallyRow::from(&report.stand_ins),
            rules_without_traffic: rules.map(|rule| world.sight.rule(rule)).collect(),
        }
    }

    /// All edges without an answer.
    pub fn all_unknown(&self) -> TallyRow {
        TallyRow::sum(self.unknown.values())
    }

    /// The edges that the change makes a difference to, or that cannot be judged.
    pub fn lines(&self) -> Vec<CheckLine> {
        let denied = |class: &'static str, all: &[DeniedEdge]| {
            let line = move |found: &DeniedEdge| CheckLine {
                side: found.side.clone(),
                why: found.why.clone(),
                rule: found.rule.clone().unwrap_or_default(),
                ..CheckLine::of(class, &found.edge)
            };
            all.iter().map(line).collect::<Vec<_>>()
        };
        let mut lines = denied("newly_denied", &self.newly_denied);
        lines.extend(denied("newly_denied_unanswered", &self.newly_denied_unanswered));
        lines.extend(self.newly_allowed.iter().map(|found| CheckLine {
            side: found.side.clone(),
            rule: found.rule.clone().unwrap_or_default(),
            ..CheckLine::of("newly_allowed", &found.edge)
        }));
        lines.extend(self.unknown_edges.iter().map(|found| CheckLine {
            why: found.reason.clone(),
            ..CheckLine::of("unknown", &found.edge)
        }));
        lines
    }
}

/// An edge of a report as CSV.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CheckLine {
    class: &'static str,
    #[serde(flatten)]
    edge: EdgeRow,
    side: String,
    rule: String,
    why: String,
}

impl CheckLine {
    fn of(class: &'static str, edge: &EdgeRow) -> Self {
        Self {
            class,
            edge: edge.clone(),
            ..Self::default()
        }
    }
}

struct Telling<'a> {
    traffic: &'a Traffic,
    sight: &'a Sight,
}

impl Telling<'_> {
    fn edge(&self, edge: &weir_policy::edges::Edge) -> EdgeRow {
        EdgeRow::of(&self.traffic.edges, edge)
    }

    fn denied(&self, found: &NewlyDenied) -> DeniedEdge {
        // The words name these, and no others.
        let nearest = found.nearest.iter().map(|nearest| &nearest.rule.policy);
        let rule = found.rule.iter().map(|rule| &rule.policy);
        let mut named = found.isolating.iter().chain(rule).chain(nearest);
        let is_told = named.all(|policy| self.sight.sees(policy));
        DeniedEdge {
            edge: self.edge(&found.edge),
            side: words::direction(found.side).to_owned(),
            why: match is_told {
                true => found.words.clone(),
                false => HIDDEN.to_owned(),
            },
            stand_in: found.is_stand_in,
            isolated_by: self.sight.policies(&found.isolating),
            rule: found.rule.as_ref().map(|rule| self.sight.rule(rule)),
        }
    }

    fn allowed(&self, found: &NewlyAllowed) -> AllowedEdge {
        AllowedEdge {
            edge: self.edge(&found.edge),
            side: words::direction(found.side).to_owned(),
            rule: found.rule.as_ref().map(|rule| self.sight.rule(rule)),
            stand_in: found.is_stand_in,
        }
    }

    fn unknown(&self, found: &UnknownEdge) -> UnknownRow {
        UnknownRow {
            edge: self.edge(&found.edge),
            reason: found.reason.name().to_owned(),
            before: found.before.name().to_owned(),
            after: found.after.name().to_owned(),
        }
    }
}
