//! The roll-up: from what every node wants and reports, and from what Weir's collector
//! says of it, to the conditions of the source. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use weir_api::Condition;
use weir_api::condition::{Finding, Time, conclude};
use weir_api::export::reason;

use crate::cluster_state::ClusterState;
use crate::decide::{Decision, DesiredExport};
use crate::facts::SourceFacts;
use crate::node_state::{NodeJudge, NodeState, PROGRESS_DEADLINE_EXCEEDED, remedy};
use crate::reception::Receptions;

/// Nodes export, and none is on its way any longer.
pub const AVAILABLE: &str = "FlowExportAvailable";
/// Some node has not yet reported on its current spec.
pub const PROGRESSING: &str = "FlowExportProgressing";
/// Entries were skipped, nodes fail, or something cannot be read.
pub const DEGRADED: &str = "FlowExportDegraded";

/// What nodes send to Weir's own collector is received there. Only set where any node is
/// to send something there.
pub const RECEIVED: &str = "FlowExportReceived";

/// The condition types that are the controller's.
pub const KINDS: [&str; 4] = [AVAILABLE, PROGRESSING, DEGRADED, RECEIVED];

mod received;

/// Most problems, and most nodes that lag behind, that a message names.
const NAMED_PROBLEMS: usize = 5;
/// Most nodes that fail for the same reason, and most reasons, that a message names.
const NAMED_FAILURES: usize = 3;
/// Characters of one named thing.
const NAMED_LENGTH: usize = 240;

/// What is told until somebody has decided on it: earlier versions told names to all.
const NAMES_KEPT: &str = "; names of pods are not sent to IPFIX collectors other than Weir's own: set \
                          ipfix.interfaceNames in an ExportProfile to true to send them, or to false to leave it at that";

/// What was rolled up.
#[derive(Debug)]
pub struct RollUp {
    /// The conditions as they should stand in the status of the source, where they do
    /// not yet.
    pub conditions: Option<Vec<Condition>>,
    /// The same for the source that does not count.
    pub other: Option<Vec<Condition>>,
    /// How many nodes are in which state.
    pub counts: StateCounts,
    /// Nodes of which all is as it should be, with the generation of their spec.
    pub settled: Vec<(String, Option<i64>)>,
    /// When a node may be in another state without an event.
    pub next_check: Option<Timestamp>,
}

/// How many nodes are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateCounts {
    /// Nodes that export.
    pub exporting: usize,
    /// Nodes that have not reported on their spec yet.
    pub behind: usize,
    /// Nodes that fail.
    pub failing: usize,
    /// Nodes without a daemon.
    pub left_out: usize,
}

/// Rolls up. `write_error` tells why a node's object could not be written, `deadline`
/// how long a node may be behind.
pub fn roll_up(
    cluster: &ClusterState,
    decision: &Decision,
    receptions: &Receptions,
    write_error: &dyn Fn(&str) -> Option<String>,
    deadline: Duration,
    now: Timestamp,
) -> RollUp {
    let judge = NodeJudge::new(cluster, write_error, deadline, now);
    let mut nodes = NodeCounts::count(&judge, decision);
    nodes.keeps_names = keeps_names(cluster, decision);
    let mut findings = nodes.findings(decision).to_vec();
    findings.extend(received::finding(cluster, decision, &nodes.settled, receptions));
    let conditions = cluster
        .shown_source()
        .and_then(|source| new_conditions(&findings, &source, now));
    RollUp {
        conditions,
        other: of_other(cluster, decision, now),
        counts: nodes.state_counts(),
        settled: nodes.settled(cluster),
        next_check: nodes.next_check,
    }
}

/// Whether any node sends IPFIX to somebody who is not told the names of pods, without
/// its profile saying so.
fn keeps_names(cluster: &ClusterState, decision: &Decision) -> bool {
    decision.wanted.values().any(|wanted| {
        let profile = wanted
            .spec
            .profile
            .as_deref()
            .and_then(|name| cluster.profile(name));
        let undecided = profile.is_none_or(|profile| profile.spec.ipfix.interface_names.is_none());
        let ipfix = wanted
            .spec
            .bridges
            .iter()
            .filter_map(|bridge| bridge.ipfix.as_ref());
        let mut untold = ipfix.flat_map(|ipfix| {
            let told = &ipfix.interface_names;
            ipfix.targets.iter().filter(move |target| !told.contains(target))
        });
        undecided && untold.next().is_some()
    })
}

/// The conditions as they should stand, where they do not yet.
fn new_conditions(findings: &[Finding], source: &SourceFacts, now: Timestamp) -> Option<Vec<Condition>> {
    let conditions = conclude(findings, &source.conditions, source.generation, &Time(now));
    let stand = |condition| source.conditions.iter().any(|stored| says(stored, condition));
    let same = conditions.len() == source.conditions.len() && conditions.iter().all(stand);
    (!same).then_some(conditions)
}

/// The source that does not count says nothing, but where it asks for export and the one
/// that counts is absent: whoever forgot `--source` looks there.
fn of_other(cluster: &ClusterState, decision: &Decision, now: Timestamp) -> Option<Vec<Condition>> {
    let ignored = decision.ignored_source.as_ref().map(|message| Finding {
        kind: DEGRADED,
        status: true.into(),
        reason: "SourceNotRead",
        message: message.clone(),
    });
    new_conditions(ignored.as_slice(), cluster.other_source()?, now)
}

/// Whether a stored condition says what the other does. Not every definition
/// of the `Network` stores the generation.
fn says(stored: &Condition, condition: &Condition) -> bool {
    let observed_generation = stored.observed_generation.and(condition.observed_generation);
    *stored
        == Condition {
            observed_generation,
            ..condition.clone()
        }
}

/// Nodes that fail for one reason, each with what it says.
type Failures<'a> = BTreeMap<String, Vec<(&'a str, String)>>;

#[derive(Default)]
struct NodeCounts<'a> {
    nodes: usize,
    /// Nodes with a daemon that have something to export.
    exporters: usize,
    /// Of these, those that export.
    exporting: usize,
    /// Nodes of which all is as it should be.
    settled: Vec<&'a str>,
    behind: Vec<&'a str>,
    failing: Failures<'a>,
    left_out: Vec<(&'a str, String)>,
    /// Collectors of somebody else get IPFIX without the names of pods, and nobody has said
    /// that this is meant.
    keeps_names: bool,
    next_check: Option<Timestamp>,
}

impl<'a> NodeCounts<'a> {
    fn count(judge: &NodeJudge<'_>, decision: &'a Decision) -> Self {
        let mut counts = Self::default();
        for (node, wanted) in &decision.wanted {
            let (state, check) = judge.state(node, wanted);
            counts.add(node, wanted, state);
            counts.next_check = [counts.next_check, check].into_iter().flatten().min();
        }
        counts
    }

    fn add(&mut self, node: &'a str, wanted: &DesiredExport, state: NodeState) {
        let exports = usize::from(wanted.spec.exports_anything());
        self.nodes += 1;
        match state {
            NodeState::LeftOut(why) => return self.left_out.push((node, why)),
            NodeState::Behind => self.behind.push(node),
            NodeState::Failing(reason, message) => {
                self.failing.entry(reason).or_default().push((node, message));
            }
            NodeState::Settled => {
                self.exporting += exports;
                self.settled.push(node);
            }
        }
        self.exporters += exports;
    }

    fn settled(&self, cluster: &ClusterState) -> Vec<(String, Option<i64>)> {
        let generation = |node: &str| cluster.export(node).and_then(|export| export.metadata.generation);
        let settled = self.settled.iter();
        settled
            .map(|node| ((*node).to_owned(), generation(node)))
            .collect()
    }

    fn failing(&self) -> usize {
        self.failing.values().map(Vec::len).sum()
    }

    fn state_counts(&self) -> StateCounts {
        StateCounts {
            exporting: self.exporting,
            behind: self.behind.len(),
            failing: self.failing(),
            left_out: self.left_out.len(),
        }
    }

    /// What is to be said of the condition types that are always set.
    fn findings(&self, decision: &Decision) -> [Finding; 3] {
        [
            self.available(decision),
            self.progressing(decision),
            self.degraded(decision),
        ]
    }

    /// A part that fails is told by `FlowExportDegraded`; as long as a node is on its
    /// way, nothing is available yet.
    fn available(&self, decision: &Decision) -> Finding {
        let (exporting, exporters) = (self.exporting, self.exporters);
        let holds = exporting > 0 && self.behind.is_empty();
        let planned = decision
            .wanted
            .values()
            .any(|wanted| wanted.spec.exports_anything());
        let (reason, message) = match exporters {
            0 if self.nodes == 0 => ("NoNodes", "there are no nodes".to_owned()),
            0 if planned => (
                "NoDaemons",
                "no node that has collectors runs weir-node".to_owned(),
            ),
            0 => (
                reason::NO_COLLECTORS,
                "no node has a collector to export to".to_owned(),
            ),
            _ if exporting == exporters => (reason::EXPORTING, format!("all {exporters} nodes export")),
            _ if holds => (
                "PartlyExporting",
                format!("{exporting} of {exporters} nodes export"),
            ),
            _ => (
                "NodesNotExporting",
                format!("{exporting} of {exporters} nodes export"),
            ),
        };
        let mut message = self.with_left_out(message);
        if self.keeps_names {
            message.push_str(NAMES_KEPT);
        }
        Finding {
            kind: AVAILABLE,
            status: holds.into(),
            reason,
            message,
        }
    }

    fn with_left_out(&self, message: String) -> String {
        if self.left_out.is_empty() {
            return message;
        }
        let (left, nodes) = (self.left_out.len(), self.nodes);
        let named = self.left_out.iter().map(|(node, why)| format!("{node} {why}"));
        let names = enumerate(named, NAMED_PROBLEMS, ", ");
        format!("{message}; {left} of {nodes} nodes are left out: {names}")
    }

    fn progressing(&self, decision: &Decision) -> Finding {
        let rolls = decision
            .rollout
            .as_ref()
            .is_some_and(|rollout| rollout.progressing);
        let nodes = self.nodes - self.left_out.len();
        let late = self.failing.get(PROGRESS_DEADLINE_EXCEEDED).map_or(0, Vec::len);
        let (reason, message) = if !self.behind.is_empty() {
            let behind = self.behind.len();
            let names = enumerate(self.behind.iter().map(|n| (*n).to_owned()), NAMED_PROBLEMS, ", ");
            let text = format!("{behind} of {nodes} nodes have not reported on their current spec: {names}");
            ("NodesUpdating", text)
        } else if rolls {
            let text = "a revision goes to the nodes step by step: see ExportRollout cluster";
            ("RollingOut", text.to_owned())
        } else if late > 0 {
            let text = format!("{late} of {nodes} nodes did not report on their current spec in time");
            (PROGRESS_DEADLINE_EXCEEDED, text)
        } else {
            ("UpToDate", format!("{nodes} of {nodes} nodes are up to date"))
        };
        Finding {
            kind: PROGRESSING,
            status: (rolls || !self.behind.is_empty()).into(),
            reason,
            message,
        }
    }

    /// The gravest reason is the condition's; the message tells of all.
    fn degraded(&self, decision: &Decision) -> Finding {
        let skipped = self.named("skipped", &decision.problems);
        let failures = self.failures();
        let stopped = decision
            .rollout
            .as_ref()
            .and_then(|rollout| rollout.stopped.clone());
        let reason = match (&skipped, &failures) {
            _ if decision.second_source.is_some() => "TwoSources",
            _ if !decision.unreadable.is_empty() => match decision.unreadable.iter().all(|u| is_profile(u)) {
                true => "ProfileUnreadable",
                false => "SourceUnreadable",
            },
            (None, None) if stopped.is_some() => stopped.as_ref().map_or("AsExpected", |(reason, _)| reason),
            (None, None) => "AsExpected",
            (Some(_), None) => "EntriesSkipped",
            (None, Some(_)) => "NodesFailing",
            (Some(_), Some(_)) => "EntriesSkippedAndNodesFailing",
        };
        let unreadable = self.named("unreadable", &decision.unreadable);
        let stopped = stopped.map(|(_, message)| format!("rollout: {message} (see ExportRollout cluster)"));
        let parts = [
            decision.second_source.clone(),
            unreadable,
            stopped,
            skipped,
            failures,
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let message = if parts.is_empty() {
            "nothing was skipped and no node fails".to_owned()
        } else {
            parts.join("; ")
        };
        Finding {
            kind: DEGRADED,
            status: (reason != "AsExpected").into(),
            reason,
            message,
        }
    }

    fn named(&self, what: &str, things: &[String]) -> Option<String> {
        let names = enumerate(things.iter().cloned(), NAMED_PROBLEMS, "; ");
        (!things.is_empty()).then(|| format!("{what}: {names}"))
    }

    /// By reason, the most frequent first: the first nodes, what the first says, and
    /// what to do.
    fn failures(&self) -> Option<String> {
        let (failing, nodes) = (self.failing(), self.nodes - self.left_out.len());
        let mut reasons: Vec<_> = self.failing.iter().collect();
        reasons.sort_by_key(|(_, nodes)| std::cmp::Reverse(nodes.len()));
        let more = reasons.len().saturating_sub(NAMED_FAILURES);
        let named = reasons
            .iter()
            .take(NAMED_FAILURES)
            .map(|(reason, nodes)| failure(reason, nodes));
        let mut text = named.collect::<Vec<_>>().join("; ");
        if more > 0 {
            text.push_str(&format!("; and {more} more reasons"));
        }
        (failing > 0).then(|| format!("{failing} of {nodes} nodes fail: {text}"))
    }
}

fn is_profile(unreadable: &str) -> bool {
    unreadable.starts_with("ExportProfile")
}

fn failure(reason: &str, nodes: &[(&str, String)]) -> String {
    let names = enumerate(
        nodes.iter().map(|(node, _)| (*node).to_owned()),
        NAMED_FAILURES,
        ", ",
    );
    let says = nodes
        .first()
        .map(|(_, message)| cut(message.clone()))
        .unwrap_or_default();
    let remedy = remedy(reason)
        .map(|remedy| format!("; {remedy}"))
        .unwrap_or_default();
    let reason = cut(reason.to_owned());
    format!("{reason} on {names} ({says}{remedy})")
}

/// The first few, each cut to a bounded length, and how many more there are.
pub(crate) fn enumerate(
    items: impl ExactSizeIterator<Item = String>,
    most: usize,
    separator: &str,
) -> String {
    let more = items.len().saturating_sub(most);
    let mut text = items.take(most).map(cut).collect::<Vec<_>>().join(separator);
    if more > 0 {
        text.push_str(&format!("{separator}and {more} more"));
    }
    text
}

/// A text of bounded length.
pub(crate) fn cut(text: String) -> String {
    match text.char_indices().nth(NAMED_LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
