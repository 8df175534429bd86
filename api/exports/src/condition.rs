//! A condition, how bad it is, and what to do about it. docs/operations.md has the same at
//! greater length.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_api::Condition;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Fine,
    /// It may be meant, or nobody knows, or it is on its way.
    Note,
    /// To be mended.
    Fault,
}

/// A condition in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatedCondition {
    /// Its type, such as `FlowExportDegraded`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// Since when the status is that, RFC 3339.
    #[schema(format = DateTime)]
    pub since: String,
    /// How bad it is.
    pub level: Level,
    /// What to do; left out where nothing is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub remedy: Option<String>,
}

impl StatedCondition {
    /// A condition of the `Network` or `FlowExport`.
    pub fn of_source(condition: &Condition) -> Self {
        let level = source_level(&condition.type_, &condition.status);
        Self::new(condition, level, source_remedy(&condition.reason))
    }

    /// A condition of a node.
    pub fn of_node(condition: &Condition) -> Self {
        let level = node_level(&condition.type_, &condition.status, &condition.reason);
        Self::new(
            condition,
            level,
            node_remedy(&condition.reason, &condition.message),
        )
    }

    fn new(condition: &Condition, level: Level, remedy: &str) -> Self {
        Self {
            kind: condition.type_.clone(),
            status: condition.status.clone(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            since: condition.last_transition_time.0.to_string(),
            level,
            remedy: (level != Level::Fine).then(|| remedy.to_owned()),
        }
    }
}

/// Of these conditions it is good that they hold; of all others, that they do not.
const GOOD: [&str; 5] = ["Applied", "Exporting", "SwitchAlive", "Received", "Accepted"];

/// How bad a condition of a node is. Nothing to export is no fault, and what is on its way comes.
pub fn node_level(kind: &str, status: &str, reason: &str) -> Level {
    let good = if GOOD.contains(&kind) { "True" } else { "False" };
    match status {
        _ if ["NoCollectors", "Pending"].contains(&reason) => Level::Fine,
        status if status == good => Level::Fine,
        "Unknown" => Level::Note,
        _ => Level::Fault,
    }
}

/// How bad a condition of the source is. Whether anything exports, and whether that is a fault,
/// `FlowExportDegraded` says.
pub fn source_level(kind: &str, status: &str) -> Level {
    match (kind, status) {
        ("FlowExportDegraded", "True") | ("FlowExportReceived", "False") => Level::Fault,
        ("FlowExportDegraded", "False") | ("FlowExportReceived" | "FlowExportAvailable", "True") => {
            Level::Fine
        }
        ("FlowExportProgressing", "False") => Level::Fine,
        _ => Level::Note,
    }
}

/// What is said of a reason that a later version gives.
const UNKNOWN_REASON: &str = "docs/operations.md#troubleshoot has the reasons";

/// What to do about a condition of the source.
pub fn source_remedy(reason: &str) -> &'static str {
    match reason {
        "EntriesSkipped" => "correct the entries that are named; the others count",
        "NodesFailing" => "look at the nodes that are named: each has its own reason, and what to do",
        "EntriesSkippedAndNodesFailing" => {
            "correct the entries that are named, and look at the nodes: each has its own reason"
        }
        "TwoSources" => "take exportNetworkFlows out of one of the two",
        "SourceNotRead" => "run weir-controller with the --source that is named",
        "ProfileUnreadable" | "SourceUnreadable" => {
            "correct what is named; where the object is of a newer version, update weir-controller"
        }
        "RolloutPaused" | "RolloutAborted" => {
            "weir rollout status says what it waits for; weir rollout undo returns"
        }
        "NoCollectors" => "name a collector in exportNetworkFlows, if anything is to be exported",
        "NoNodes" => "nothing can export before the cluster has nodes",
        "PartlyExporting" | "NodesNotExporting" => {
            "FlowExportDegraded names the nodes that fail, and FlowExportProgressing those on their way"
        }
        "NoDaemons" => "no node that has collectors runs weir-node: kubectl get daemonset -n weir-node",
        "NodesUpdating" => "wait: it ends after five minutes at the latest",
        "RollingOut" => "nothing: it goes on by itself; weir rollout status says where it is",
        "ProgressDeadlineExceeded" => {
            "kubectl logs -n weir-node POD of the nodes that FlowExportDegraded names says what keeps them"
        }
        "NotReceived" | "PartlyReceived" | "NothingReceived" => {
            "where there is traffic, something between the nodes and the collector keeps it away: a firewall, a \
             NetworkPolicy, --allow, the MTU"
        }
        "RecordsLost" => "docs/performance.md has what helps against loss",
        "SeveralCollectors" => {
            "each replica knows what it received itself: ask them one by one, by /api/v1/nodes"
        }
        "CollectorServiceMissing" => "make the Service again, and name its new address as a collector",
        "CollectorNotAsked" | "CollectorUnreachable" => {
            "is a collector ready? kubectl get pods -n weir-system"
        }
        _ => UNKNOWN_REASON,
    }
}

/// What to do about a condition of a node.
pub fn node_remedy(reason: &str, message: &str) -> &'static str {
    match reason {
        "OvsdbUnreachable" if message.contains("Permission denied") => {
            "the socket is another user's than the daemon's: `stat -c %u:%g` it on the node and take the overlay or the \
             runAsUser that fits; with SELinux the daemon needs the type spc_t (weir install --platform openshift)"
        }
        "OvsdbUnreachable" if message.contains("--client-uid") => {
            "the gate serves the user of weir-node alone: its --client-uid and the runAsUser of the container weir-node \
             are to be the same (kubectl get -n weir-node daemonset/weir-node -o yaml); its log says `peer`"
        }
        "RequestsRefused" => {
            "kubectl logs -n weir-node POD -c weir-ovsdb-gate has what was refused; weir-node itself sends nothing of the \
             kind, so find out who else is in the pod or on the node"
        }
        "OvsdbUnreachable" if message.contains("No such file") => {
            "is Open vSwitch installed there, and in that directory? weir install --platform has the directory of each \
             network plugin"
        }
        "OvsdbUnreachable" => "does ovsdb-server run there?",
        "BridgeMissing" => "name the bridges that there are in an ExportProfile",
        "ForeignRow" => "find out who wrote that row; docs/operations.md#troubleshoot",
        "SwitchNotRunning" => "start ovs-vswitchd there",
        "UnknownFields" | "SpecUnreadable" => {
            "the daemon there is older than the controller: kubectl rollout status -n weir-node daemonset/weir-node"
        }
        "SwitchNotResponding" => "does ovs-vswitchd run there? its log",
        "SFlowAgentMissing" => "give the node an InternalIP, or set sFlow.agent in an ExportProfile",
        "Pending" => "wait a few seconds; if it stays, read the log of weir-node there",
        "UnsafeValues" => {
            "update the controller, or correct the object: what is named was put right or left out"
        }
        "TransactionFailed" => {
            "the words are OVSDB's: correct the value that they name in the ExportProfile; where it looks like a fault of \
             Weir, report it with them"
        }
        "CostUnknown" => {
            "what the message says: enable-statistics=true, the control socket of ovs-vswitchd, or a daemon on the node"
        }
        "ProcessorOverBudget" | "LostOverBudget" | "Throttled" => {
            "take a coarser sampling in the ExportProfile, or a larger budget"
        }
        "PidFileNotLocked" => {
            "mount the folder that ovs-vswitchd runs in (its --rundir), or remove a pid file that an earlier one left"
        }
        "NoPidFile" => "start ovs-vswitchd with --pidfile, as its start script does",
        _ => UNKNOWN_REASON,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Condition {
        serde_json::from_value(
            serde_json::json!({"type": kind, "status": status, "reason": reason,
            "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z"}),
        )
        .unwrap()
    }

    #[test]
    fn of_each_condition_it_is_told_whether_it_is_good_and_what_to_do_where_it_is_not() {
        let of = |kind: &str, status: &str, reason: &str| {
            let stated = StatedCondition::of_node(&condition(kind, status, reason, "why"));
            (stated.level, stated.remedy.is_some())
        };
        assert_eq!(of("Applied", "True", "Applied"), (Level::Fine, false));
        assert_eq!(of("Applied", "False", "BridgeMissing"), (Level::Fault, true));
        assert_eq!(of("Applied", "False", "Pending"), (Level::Fine, false));
        assert_eq!(of("Exporting", "False", "NoCollectors"), (Level::Fine, false));
        assert_eq!(
            of("Exporting", "Unknown", "SFlowAgentMissing"),
            (Level::Note, true)
        );
        assert_eq!(of("Conflict", "True", "ForeignRow"), (Level::Fault, true));
        assert_eq!(of("Conflict", "False", "NoConflict"), (Level::Fine, false));
    }

    #[test]
    fn of_the_source_what_is_degraded_or_not_received_is_a_fault_and_what_is_not_known_a_note() {
        let level =
            |kind: &str, status: &str| StatedCondition::of_source(&condition(kind, status, "R", "")).level;
        assert_eq!(level("FlowExportDegraded", "True"), Level::Fault);
        assert_eq!(level("FlowExportReceived", "False"), Level::Fault);
        assert_eq!(level("FlowExportReceived", "Unknown"), Level::Note);
        assert_eq!(level("FlowExportProgressing", "True"), Level::Note);
        assert_eq!(level("FlowExportAvailable", "False"), Level::Note);
        for kind in ["FlowExportAvailable", "FlowExportReceived"] {
            assert_eq!(level(kind, "True"), Level::Fine);
        }
    }

    /// Reasons of a table of docs/operations.md, by the column that names them, for which
    /// something is to be done.
    fn documented(section: &str, until: &str, column: usize) -> Vec<String> {
        let docs = include_str!("../../../docs/operations.md");
        let (_, table) = docs.split_once(section).unwrap();
        let (table, _) = table.split_once(until).unwrap();
        let rows = table.lines().filter(|line| line.starts_with('|'));
        let rows = rows.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
        let asks = |row: &Vec<&str>| !row[row.len() - 2].starts_with("nothing");
        let cells = rows.filter(asks).map(|row| row[column].to_owned());
        let names = cells.flat_map(|cell| {
            let words = cell.split('`').skip(1).step_by(2);
            words.map(str::to_owned).collect::<Vec<_>>()
        });
        names.collect()
    }

    #[test]
    fn each_reason_of_the_source_for_which_something_is_to_be_done_says_what() {
        let section = "| condition of the `Network` | reason | what to do |\n";
        let reasons = documented(section, "\n\n", 2);
        assert!(reasons.len() >= 20, "{reasons:?}");
        for reason in reasons.iter().map(String::as_str).chain(["RollingOut"]) {
            assert_ne!(source_remedy(reason), UNKNOWN_REASON, "{reason}");
        }
    }

    #[test]
    fn each_reason_of_a_node_that_can_be_amiss_has_a_remedy_of_its_own() {
        use weir_api::export::reason;
        let as_it_should_be = [
            reason::APPLIED,
            reason::EXPORTING,
            reason::NO_COLLECTORS,
            reason::ADOPTED,
            reason::NO_CONFLICT,
            reason::SWITCH_RUNNING,
            reason::WITHIN_BUDGET,
            reason::NOTHING_REFUSED,
        ];
        let source = include_str!("../../src/export.rs");
        let (_, reasons) = source.split_once("pub mod reason {").unwrap();
        let (reasons, _) = reasons.split_once("\n}").unwrap();
        let reasons = reasons.lines().filter(|line| line.contains("pub const"));
        let reasons: Vec<&str> = reasons.filter_map(|line| line.split('"').nth(1)).collect();
        assert!(reasons.len() > 20, "{reasons:?}");
        for reason in reasons {
            let is_told = node_remedy(reason, "") != UNKNOWN_REASON;
            assert_eq!(is_told, !as_it_should_be.contains(&reason), "{reason}");
        }
    }

    #[test]
    fn what_ails_a_socket_says_its_message() {
        let remedy = |message| {
            StatedCondition::of_node(&condition("Applied", "False", "OvsdbUnreachable", message)).remedy
        };
        assert!(
            remedy("db.sock: Permission denied (os error 13)")
                .unwrap()
                .contains("runAsUser")
        );
        assert!(
            remedy("db.sock: No such file or directory")
                .unwrap()
                .contains("installed")
        );
    }
}
