//! Where one node stands with its current spec: what it reports, whether its
//! daemon lives, whether its object could be written. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use weir_api::condition::{find, holds};
use weir_api::export::{APPLIED, CONFLICT, EXPORTING, SWITCH_ALIVE, reason};
use weir_api::{NodeFlowExport, NodeFlowExportStatus};

use crate::cluster_state::ClusterState;
use crate::decide::DesiredExport;
use crate::facts::{DaemonPod, NodeRecord};
use crate::moment::{later, past};

/// A pod of the daemon is on the node and is not ready.
pub const DAEMON_NOT_RUNNING: &str = "DaemonNotRunning";
/// No pod of the daemon is on the node any longer, and its rows stay in force.
pub const DAEMON_MISSING: &str = "DaemonMissing";
/// The node's `NodeFlowExport` could not be written.
pub const NOT_WRITTEN: &str = "NotWritten";
/// The node has not reported on its spec in time.
pub const PROGRESS_DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";

/// How long a daemon may be away, as when its DaemonSet is updated, before the node
/// counts as failing.
pub const DAEMON_GRACE: Duration = Duration::from_secs(30);

/// Conditions of a node's status that have to be `True`, the second where it has
/// something to export.
const EXPECTED: [&str; 2] = [APPLIED, EXPORTING];

/// Where a node stands with its current spec.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeState {
    /// All is as it should be.
    Settled,
    /// It has not reported on it, or not to the end.
    Behind,
    /// It cannot do it, for a reason that time will not cure: the reason in a word, and
    /// in words.
    Failing(String, String),
    /// It runs no daemon and never will, and why.
    LeftOut(String),
}

/// What is known of the daemon of a node.
enum DaemonState {
    /// It lives, or nobody knows.
    Alive,
    /// Its pod is there and has not been ready since then, and why.
    Down(Timestamp, String),
    /// It has no pod there; when the last one went, where somebody saw it.
    Absent(Option<Timestamp>),
}

/// What all nodes are judged by.
pub struct NodeJudge<'a> {
    cluster: &'a ClusterState,
    daemons: Option<BTreeMap<&'a str, Vec<&'a DaemonPod>>>,
    /// Why a node's object could not be written.
    write_error: &'a dyn Fn(&str) -> Option<String>,
    /// How long a node may be behind.
    deadline: Duration,
    now: Timestamp,
}

impl<'a> NodeJudge<'a> {
    /// Judges by what the cluster shows and by how the writes went.
    pub fn new(
        cluster: &'a ClusterState,
        write_error: &'a dyn Fn(&str) -> Option<String>,
        deadline: Duration,
        now: Timestamp,
    ) -> Self {
        let daemons = cluster.daemons();
        Self {
            cluster,
            daemons,
            write_error,
            deadline,
            now,
        }
    }

    /// Where a node stands, and when it may stand elsewhere without an event.
    pub fn state(&self, node: &str, wanted: &DesiredExport) -> (NodeState, Option<Timestamp>) {
        let export = self.cluster.export(node);
        let daemon = self.daemon(node);
        if matches!(daemon, DaemonState::Absent(_)) && !has_rows(export) {
            return (NodeState::LeftOut(self.why_left_out(node)), None);
        }
        if let Some(error) = (self.write_error)(node) {
            return (failing(NOT_WRITTEN, error), None);
        }
        let reported = reported_state(wanted, export);
        // What the daemon itself says is wrong is nearer to the cause.
        if matches!(reported, NodeState::Failing(..)) {
            return (reported, None);
        }
        let (since, reason, why) = match daemon {
            DaemonState::Alive => return self.in_time(reported, wanted, export),
            DaemonState::Down(since, why) => (Some(since), DAEMON_NOT_RUNNING, why),
            DaemonState::Absent(since) => (
                since,
                DAEMON_MISSING,
                "no weir-node pod is there, its rows stay in force".to_owned(),
            ),
        };
        match since.map(|since| later(past(since, self.now), DAEMON_GRACE)) {
            Some(end) if self.now < end => {
                let (state, deadline) = self.in_time(reported, wanted, export);
                (state, Some(deadline.map_or(end, |deadline| deadline.min(end))))
            }
            _ => (failing(reason, self.with_node(node, why)), None),
        }
    }

    /// Whether the node's daemon lives, as far as anybody knows.
    fn daemon(&self, node: &str) -> DaemonState {
        let Some(daemons) = &self.daemons else {
            return DaemonState::Alive;
        };
        let Some(pods) = daemons.get(node) else {
            return DaemonState::Absent(self.cluster.left_by_daemon(node));
        };
        if pods.iter().any(|pod| pod.down.is_none()) {
            return DaemonState::Alive;
        }
        let down = pods.iter().filter_map(|pod| Some((pod, pod.down.as_ref()?)));
        let first = down.min_by_key(|(_, (_, since))| *since);
        first.map_or(DaemonState::Alive, |(pod, (why, since))| {
            DaemonState::Down(*since, format!("pod {}: {why}", pod.name))
        })
    }

    fn with_node(&self, node: &str, why: String) -> String {
        match self.cluster.node(node) {
            Some(record) if !record.ready => format!("{why}; the node itself is not ready"),
            _ => why,
        }
    }

    fn why_left_out(&self, node: &str) -> String {
        let label = |record: &NodeRecord, key: &str| record.labels.get(key).cloned();
        let Some(record) = self.cluster.node(node) else {
            return "it is gone".to_owned();
        };
        match (label(record, "kubernetes.io/os"), label(record, "type")) {
            (Some(os), _) if os != "linux" => format!("runs {os}"),
            (_, Some(kind)) if kind == "virtual-kubelet" => "is a virtual node".to_owned(),
            _ => "has no weir-node pod".to_owned(),
        }
    }

    /// A node that is behind for too long fails; one that never reported where the
    /// daemon's pods are not known is taken for one without a daemon.
    fn in_time(
        &self,
        state: NodeState,
        wanted: &DesiredExport,
        export: Option<&NodeFlowExport>,
    ) -> (NodeState, Option<Timestamp>) {
        // What was not written yet nobody can report on.
        let export = export.filter(|export| export.spec == wanted.spec);
        let (NodeState::Behind, Some(export)) = (&state, export) else {
            return (state, None);
        };
        let pending = pending_since(export);
        let written = export.written_at();
        // A condition that has not held for long keeps its time when the spec changes.
        let Some(since) = pending.max(written) else {
            return (state, None);
        };
        let end = later(past(since, self.now), self.deadline);
        if self.now < end {
            return (state, Some(end));
        }
        if export.status.is_none() && self.daemons.is_none() {
            return (NodeState::LeftOut("has never reported".to_owned()), None);
        }
        let text = match current_status(export) {
            Some(_) => format!("it has not come to an end within {:?}", self.deadline),
            None => format!(
                "nothing was reported on the current spec within {:?}",
                self.deadline
            ),
        };
        (failing(PROGRESS_DEADLINE_EXCEEDED, text), None)
    }
}

/// Since when the node says that it is not done with the spec as it is now.
fn pending_since(export: &NodeFlowExport) -> Option<Timestamp> {
    let conditions = &current_status(export)?.conditions;
    let pending = EXPECTED.iter().filter_map(|kind| find(conditions, kind));
    let pending = pending.filter(|condition| condition.status != "True");
    pending.map(|condition| condition.last_transition_time.0).max()
}

fn failing(reason: &str, message: String) -> NodeState {
    NodeState::Failing(reason.to_owned(), message)
}

/// Whether the node said that something is in force there.
fn has_rows(export: Option<&NodeFlowExport>) -> bool {
    let status = export.and_then(|export| export.status.as_ref());
    status.is_some_and(|status| !status.protocols.is_empty())
}

/// What the node's own status says.
fn reported_state(wanted: &DesiredExport, export: Option<&NodeFlowExport>) -> NodeState {
    let Some(export) = export.filter(|export| export.spec == wanted.spec) else {
        return NodeState::Behind;
    };
    let Some(status) = current_status(export) else {
        return NodeState::Behind;
    };
    let conditions = &status.conditions;
    // A dead switch does nothing, whatever stands in its database.
    if let Some(dead) = find(conditions, SWITCH_ALIVE).filter(|condition| condition.status == "False") {
        return failing(&dead.reason, dead.message.clone());
    }
    let expected = &EXPECTED[..if wanted.spec.exports_anything() { 2 } else { 1 }];
    for kind in expected {
        match find(conditions, kind) {
            Some(condition) if condition.status == "True" => {}
            // Unknown with a reason is nothing that time will cure.
            Some(condition) if condition.reason != reason::PENDING => {
                return failing(&condition.reason, condition.message.clone());
            }
            _ => return NodeState::Behind,
        }
    }
    match find(conditions, CONFLICT) {
        Some(conflict) if holds(conditions, CONFLICT) && conflict.reason != reason::ADOPTED => {
            failing(&conflict.reason, conflict.message.clone())
        }
        _ => NodeState::Settled,
    }
}

/// The status, if it speaks of the spec as it is now.
fn current_status(export: &NodeFlowExport) -> Option<&NodeFlowExportStatus> {
    export
        .status
        .as_ref()
        .filter(|status| status.observed_generation == export.metadata.generation)
}

/// What a person can do about a reason for which nodes fail.
pub fn remedy(reason: &str) -> Option<&'static str> {
    Some(match reason {
        DAEMON_NOT_RUNNING => "look at it with `kubectl describe pod` and `kubectl logs`",
        DAEMON_MISSING => {
            "does the DaemonSet of weir-node leave the node out? see `kubectl describe daemonset`"
        }
        NOT_WRITTEN => "the words are the API server's; it is tried again",
        PROGRESS_DEADLINE_EXCEEDED => "look at the log of weir-node there",
        reason::OVSDB_UNREACHABLE => "is openvswitch running there, with its folder mounted at --ovsdb?",
        reason::BRIDGE_MISSING => "make the bridge, or name others in an ExportProfile",
        reason::TRANSACTION_FAILED => "the words are OVSDB's",
        reason::FOREIGN_ROW => "remove that row, or set conflictPolicy: Adopt in an ExportProfile",
        reason::SWITCH_NOT_RESPONDING => "restart ovs-vswitchd there",
        reason::SWITCH_NOT_RUNNING => "start ovs-vswitchd there",
        reason::UNKNOWN_FIELDS | reason::SPEC_UNREADABLE => "bring weir-node to the controller's version",
        reason::SFLOW_AGENT_MISSING => "set sFlow.agent in an ExportProfile",
        _ => return None,
    })
}
