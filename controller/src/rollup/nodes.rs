//! How many nodes are in which state, and what is to be said of that. Pure.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use weir_api::condition::Finding;
use weir_api::export::reason;

use super::{AVAILABLE, DEGRADED, NAMED_PROBLEMS, PROGRESSING, StateCounts, cut, enumerate};
use crate::cluster_state::ClusterState;
use crate::decide::{Decision, DesiredExport};
use crate::node_state::{NodeJudge, NodeState, PROGRESS_DEADLINE_EXCEEDED, remedy};

/// Most nodes that fail for the same reason, and most reasons, that a message names.
const NAMED_FAILURES: usize = 3;
/// What is told until somebody has decided on it: earlier versions told names to all.
const NAMES_KEPT: &str = "; names of pods are not sent to IPFIX collectors other than Weir's own: set \
                          ipfix.interfaceNames in an ExportProfile to true to send them, or to false to leave it at that";

/// Nodes that fail for one reason, each with what it says.
type Failures<'a> = BTreeMap<String, Vec<(&'a str, String)>>;

#[derive(Default)]
pub(super) struct NodeCounts<'a> {
    nodes: usize,
    /// Nodes with a daemon that have something to export.
    exporters: usize,
    /// Of these, those that export.
    exporting: usize,
    /// Nodes of which all is as it should be.
    pub(super) settled: Vec<&'a str>,
    behind: Vec<&'a str>,
    failing: Failures<'a>,
    left_out: Vec<(&'a str, String)>,
    /// Collectors of somebody else get IPFIX without the names of pods, and nobody has said
    /// that this is meant.
    pub(super) keeps_names: bool,
    pub(super) next_check: Option<Timestamp>,
}

impl<'a> NodeCounts<'a> {
    pub(super) fn count(judge: &NodeJudge<'_>, decision: &'a Decision) -> Self {
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

    pub(super) fn settled(&self, cluster: &ClusterState) -> Vec<(String, Option<i64>)> {
        let generation = |node: &str| cluster.export(node).and_then(|export| export.metadata.generation);
        let settled = self.settled.iter();
        settled
            .map(|node| ((*node).to_owned(), generation(node)))
            .collect()
    }

    fn failing(&self) -> usize {
        self.failing.values().map(Vec::len).sum()
    }

    pub(super) fn state_counts(&self) -> StateCounts {
        StateCounts {
            exporting: self.exporting,
            behind: self.behind.len(),
            failing: self.failing(),
            left_out: self.left_out.len(),
        }
    }

    /// What is to be said of the condition types that are always set.
    pub(super) fn findings(&self, decision: &Decision) -> [Finding; 3] {
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
