//! The roll-up: from what every node wants and reports, and from what Weir's collector
//! says of it, to the conditions of the source. Pure.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use weir_api::Condition;
use weir_api::condition::{Finding, Time, conclude};

use crate::cluster_state::ClusterState;
use crate::decide::Decision;
use crate::facts::SourceFacts;
use crate::node_state::NodeJudge;
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

mod nodes;
mod received;

use nodes::NodeCounts;

/// Most problems, and most nodes that lag behind, that a message names.
const NAMED_PROBLEMS: usize = 5;
/// Characters of one named thing.
const NAMED_LENGTH: usize = 240;

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
    let (received, received_check) = received::finding(cluster, decision, &nodes.settled, receptions, now);
    findings.extend(received);
    let conditions = cluster
        .shown_source()
        .and_then(|source| new_conditions(&findings, &source, now));
    RollUp {
        conditions,
        other: of_other(cluster, decision, now),
        counts: nodes.state_counts(),
        settled: nodes.settled(cluster),
        next_check: [nodes.next_check, received_check].into_iter().flatten().min(),
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
