//! The roll-up: from what every node wants and reports to the three conditions
//! of the `Network`. Pure.

use weir_api::condition::{Finding, Time, conclude, find, holds};
use weir_api::export::{APPLIED, CONFLICT, EXPORTING, reason};
use weir_api::{Condition, NodeFlowExport, NodeFlowExportStatus};

use crate::decide::{Decision, Wanted};
use crate::world::World;

/// Every node that has something to export exports it.
pub const AVAILABLE: &str = "FlowExportAvailable";
/// Some node has not yet reported on its current spec.
pub const PROGRESSING: &str = "FlowExportProgressing";
/// Entries were skipped or nodes fail.
pub const DEGRADED: &str = "FlowExportDegraded";

/// The condition types that are the controller's.
pub const KINDS: [&str; 3] = [AVAILABLE, PROGRESSING, DEGRADED];

/// Most problems, and most nodes that lag behind, that a message names.
const NAMED_PROBLEMS: usize = 5;
/// Most failing nodes that a message names.
const NAMED_FAILURES: usize = 3;
/// Characters of one named thing.
const NAMED_LENGTH: usize = 240;

/// The conditions as they should stand in the status of the `Network`, or
/// `None` where they stand there already or there is no `Network`.
pub fn roll_up(world: &World, decision: &Decision, now: &Time) -> Option<Vec<Condition>> {
    let network = world.network()?;
    let findings = findings(world, decision);
    let conditions = conclude(&findings, &network.conditions, network.generation, now);
    let stand = |condition| network.conditions.iter().any(|stored| says(stored, condition));
    (!conditions.iter().all(stand)).then_some(conditions)
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

/// What is to be said of the three condition types.
pub fn findings(world: &World, decision: &Decision) -> [Finding; 3] {
    let tally = Tally::count(world, decision);
    [
        tally.available(),
        tally.progressing(),
        tally.degraded(&decision.problems),
    ]
}

/// Where a node stands with its current spec.
#[derive(Debug, PartialEq)]
enum Standing<'a> {
    /// It has not reported on it, or not to the end.
    Behind,
    /// It reported that it cannot do it, by this condition.
    Failing(&'a Condition),
    /// All is as it should be.
    Settled,
}

fn standing<'a>(wanted: &Wanted, export: Option<&'a NodeFlowExport>) -> Standing<'a> {
    let Some(export) = export.filter(|export| export.spec == wanted.spec) else {
        return Standing::Behind;
    };
    let Some(status) = current_status(export) else {
        return Standing::Behind;
    };
    let conditions = &status.conditions;
    let expected = [APPLIED, EXPORTING];
    let expected = &expected[..if wanted.spec.exports_anything() { 2 } else { 1 }];
    for kind in expected {
        match find(conditions, kind) {
            Some(condition) if condition.status == "True" => {}
            // Unknown with a reason is nothing that time will cure.
            Some(condition) if condition.reason != reason::PENDING => return Standing::Failing(condition),
            _ => return Standing::Behind,
        }
    }
    match find(conditions, CONFLICT) {
        Some(conflict) if holds(conditions, CONFLICT) && conflict.reason != reason::ADOPTED => {
            Standing::Failing(conflict)
        }
        _ => Standing::Settled,
    }
}

/// The status, if it speaks of the spec as it is now.
fn current_status(export: &NodeFlowExport) -> Option<&NodeFlowExportStatus> {
    export
        .status
        .as_ref()
        .filter(|status| status.observed_generation == export.metadata.generation)
}

#[derive(Default)]
struct Tally<'a> {
    nodes: usize,
    /// Nodes that have something to export.
    exporters: usize,
    /// Of these, those that export.
    exporting: usize,
    behind: Vec<&'a str>,
    failing: Vec<(&'a str, &'a Condition)>,
}

impl<'a> Tally<'a> {
    fn count(world: &'a World, decision: &'a Decision) -> Self {
        let mut tally = Self::default();
        for (node, wanted) in &decision.wanted {
            tally.add(node, wanted, world.export(node));
        }
        tally
    }

    fn add(&mut self, node: &'a str, wanted: &Wanted, export: Option<&'a NodeFlowExport>) {
        let exports = wanted.spec.exports_anything();
        self.nodes += 1;
        self.exporters += usize::from(exports);
        match standing(wanted, export) {
            Standing::Behind => self.behind.push(node),
            Standing::Failing(condition) => self.failing.push((node, condition)),
            Standing::Settled => self.exporting += usize::from(exports),
        }
    }

    fn available(&self) -> Finding {
        let (exporting, exporters) = (self.exporting, self.exporters);
        let (reason, message) = match exporters {
            0 if self.nodes == 0 => ("NoNodes", "there are no nodes".to_owned()),
            0 => (
                reason::NO_COLLECTORS,
                "no node has a collector to export to".to_owned(),
            ),
            _ if exporting == exporters => (reason::EXPORTING, format!("all {exporters} nodes export")),
            _ => (
                "NodesNotExporting",
                format!("{exporting} of {exporters} nodes export"),
            ),
        };
        Finding {
            kind: AVAILABLE,
            status: (exporters > 0 && exporting == exporters).into(),
            reason,
            message,
        }
    }

    fn progressing(&self) -> Finding {
        let nodes = self.nodes;
        let (reason, message) = if self.behind.is_empty() {
            ("UpToDate", format!("{nodes} of {nodes} nodes are up to date"))
        } else {
            let behind = self.behind.len();
            let names = enumerate(self.behind.iter().map(|n| (*n).to_owned()), NAMED_PROBLEMS, ", ");
            let text = format!("{behind} of {nodes} nodes have not reported on their current spec: {names}");
            ("NodesUpdating", text)
        };
        Finding {
            kind: PROGRESSING,
            status: (!self.behind.is_empty()).into(),
            reason,
            message,
        }
    }

    fn degraded(&self, problems: &[String]) -> Finding {
        let reason = match (problems.is_empty(), self.failing.is_empty()) {
            (true, true) => "AsExpected",
            (false, true) => "EntriesSkipped",
            (true, false) => "NodesFailing",
            (false, false) => "EntriesSkippedAndNodesFailing",
        };
        let parts: Vec<String> = [skipped(problems), self.failures()]
            .into_iter()
            .flatten()
            .collect();
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

    fn failures(&self) -> Option<String> {
        let (failing, nodes) = (self.failing.len(), self.nodes);
        let named = self
            .failing
            .iter()
            .map(|(node, c)| format!("{node}: {} ({})", c.reason, c.message));
        let names = enumerate(named, NAMED_FAILURES, ", ");
        (failing > 0).then(|| format!("{failing} of {nodes} nodes fail: {names}"))
    }
}

fn skipped(problems: &[String]) -> Option<String> {
    let names = enumerate(problems.iter().cloned(), NAMED_PROBLEMS, "; ");
    (!problems.is_empty()).then(|| format!("skipped: {names}"))
}

/// The first few, each cut to a bounded length, and how many more there are.
fn enumerate(items: impl ExactSizeIterator<Item = String>, most: usize, separator: &str) -> String {
    let more = items.len().saturating_sub(most);
    let mut text = items.take(most).map(cut).collect::<Vec<_>>().join(separator);
    if more > 0 {
        text.push_str(&format!("{separator}and {more} more"));
    }
    text
}

fn cut(text: String) -> String {
    match text.char_indices().nth(NAMED_LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
