//! What the gate is asked, and what it answers.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use weir_api::{ExportRolloutSpec, ExportRolloutStatus};

use super::verdict::Verdict;

/// How a node does with what it was told last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Well.
    Well,
    /// It has not reported yet.
    Behind,
    /// It fails, why in a word, and in words.
    Failing(String, String),
    /// It runs no daemon, so that nothing reaches it.
    Absent,
}

/// What a node has of the revision that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// It makes no difference there.
    Same,
    /// The node was told it by this rollout.
    Released,
    /// The node has something else.
    Waiting,
}

/// A node as the gate sees it.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// What it has.
    pub position: Position,
    /// The canary's selector selects it.
    pub canary: bool,
    /// How it does.
    pub health: Health,
    /// It failed before it was told.
    pub failed_before: bool,
    /// How many thousandths of a processor ovs-vswitchd takes more than before, where both
    /// are known.
    pub millicores_rise: Option<i64>,
    /// How many packets a second it loses more than before, where it is known.
    pub lost_rise: Option<i64>,
}

impl NodeView {
    /// Whether it counts: a node without a daemon does not.
    pub fn counts(&self) -> bool {
        self.health != Health::Absent
    }
}

/// Whether the revision is kept where it can be returned to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum History {
    /// Nobody knows what is kept.
    Unknown,
    /// It is not, and why it could not be written, where that was tried.
    Missing(Option<String>),
    /// It is.
    Kept,
}

/// What is asked of the gate.
pub struct Request<'a> {
    /// How changes reach the nodes.
    pub policy: &'a ExportRolloutSpec,
    /// Uid of the `ExportRollout`: another one of its name knows nothing of its approvals.
    pub uid: &'a str,
    /// The state as it is stored.
    pub state: &'a ExportRolloutStatus,
    /// For how long the nodes of the step have been watched, where they are.
    pub soaked: Duration,
    /// The revision that is wanted.
    pub revision: &'a str,
    /// Since when it is.
    pub wanted_since: Timestamp,
    /// Whether it is kept.
    pub history: History,
    /// The revision to return to is kept.
    pub has_baseline: bool,
    /// What cannot be read, without which nothing is begun or goes on.
    pub unreadable: Option<String>,
    /// All nodes.
    pub nodes: &'a [NodeView],
    /// Some node of the cluster is selected by the canary's selector, or why it cannot be said.
    pub canary_exists: Result<bool, String>,
    /// The moment.
    pub now: Timestamp,
}

/// Who is let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// All nodes have the revision.
    All,
    /// These have it, the others keep what they have.
    These(BTreeSet<String>),
    /// All return to the last completed revision.
    Baseline,
}

/// What the gate says.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// Who is let through now.
    pub release: Release,
    /// The state to be stored, but for its conditions; it counts when it is.
    pub state: ExportRolloutStatus,
    /// Why it is so.
    pub verdict: Verdict,
    /// The revision is to be kept.
    pub keep: bool,
    /// When it may be otherwise without an event.
    pub next_check: Option<Timestamp>,
}

impl Request<'_> {
    /// Nodes that were told it.
    pub fn released(&self) -> impl Iterator<Item = &NodeView> {
        let released = |node: &&NodeView| node.position == Position::Released;
        self.nodes.iter().filter(released)
    }

    /// Their names, also those that do not count any longer.
    pub fn have_it(&self) -> BTreeSet<String> {
        self.released().map(|node| node.name.clone()).collect()
    }

    /// Nodes that count, of that position.
    pub fn counted(&self, position: Position) -> impl Iterator<Item = &NodeView> + Clone {
        let counts = move |node: &&NodeView| node.counts() && node.position == position;
        self.nodes.iter().filter(counts)
    }
}
