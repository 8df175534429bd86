//! What `weir status` shows: a table of nodes, then what fails and why. Pure.

use std::fmt;

use serde::Serialize;
use weir_api::condition::{self, Condition};
use weir_api::export::{APPLIED, EXPORTING};
use weir_exports::NodeReport;

use crate::table::{Head, Table};

/// Everything there is to show.
#[derive(Debug, Serialize)]
pub struct Report {
    /// All nodes.
    pub nodes: Vec<NodeReport>,
    /// Entries that are skipped, for a file; in a cluster a condition names them.
    pub problems: Vec<String>,
    /// Weir's conditions on the Network; none without a cluster.
    pub conditions: Vec<Condition>,
}

impl Report {
    /// A report of one host.
    pub fn of_host(node: NodeReport, problems: Vec<String>) -> Self {
        Self {
            nodes: vec![node],
            problems,
            conditions: Vec::new(),
        }
    }

    /// Whether all that is asked for is applied everywhere.
    pub fn is_well(&self) -> bool {
        let degraded = condition::holds(&self.conditions, "FlowExportDegraded");
        !degraded && self.problems.is_empty() && self.nodes.iter().all(NodeReport::is_well)
    }
}

impl Report {
    /// A row a node; none without nodes.
    pub fn table(&self) -> Option<Table> {
        let mut table = Table::new(vec![
            Head::text("NODE").weighing(5).cut_to(16),
            Head::text("PROTOCOLS").weighing(1),
            Head::whole("APPLIED").weighing(3),
            Head::whole("EXPORTING").weighing(3),
            Head::whole("REASON").weighing(4),
        ]);
        for node in &self.nodes {
            table.push(row(node).to_vec());
        }
        (!self.nodes.is_empty()).then_some(table)
    }
}

fn row(node: &NodeReport) -> [String; 5] {
    [
        &node.name,
        node.protocols(),
        node.word(APPLIED),
        node.word(EXPORTING),
        node.reason(),
    ]
    .map(str::to_owned)
}

/// What stands below the table.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nodes.is_empty() {
            writeln!(f, "no node is looked after")?;
        }
        for node in &self.nodes {
            for complaint in node.complaints() {
                writeln!(f, "{}: {complaint}", node.name)?;
            }
        }
        for problem in &self.problems {
            writeln!(f, "skipped: {problem}")?;
        }
        for c in &self.conditions {
            writeln!(f, "{} {} {}: {}", c.type_, c.status, c.reason, c.message)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_api::NodeFlowExportStatus;
    use weir_api::condition::{ConditionStatus, Finding, Time, conclude};
    use weir_api::export::{CONFLICT, reason};

    fn node(name: &str, findings: &[(&'static str, ConditionStatus, &'static str, &str)]) -> NodeReport {
        let findings: Vec<Finding> = findings
            .iter()
            .map(|(kind, status, reason, message)| Finding {
                kind,
                status: *status,
                reason,
                message: (*message).to_owned(),
            })
            .collect();
        let now: Time = serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap();
        let conditions = conclude(&findings, &[], Some(1), &now);
        let reason = findings[0].reason.to_owned();
        let status = NodeFlowExportStatus {
            protocols: "NetFlow".into(),
            reason,
            conditions,
            ..Default::default()
        };
        NodeReport::new(name.to_owned(), Some(status))
    }

    fn well(name: &str) -> NodeReport {
        node(
            name,
            &[
                (APPLIED, ConditionStatus::True, reason::APPLIED, ""),
                (EXPORTING, ConditionStatus::True, reason::EXPORTING, ""),
                (CONFLICT, ConditionStatus::False, reason::NO_CONFLICT, ""),
            ],
        )
    }

    #[test]
    fn a_table_lines_up_and_complaints_follow() {
        let bad = node(
            "a-node-with-a-long-name",
            &[(
                APPLIED,
                ConditionStatus::False,
                reason::BRIDGE_MISSING,
                "br-int is not there",
            )],
        );
        let report = Report {
            nodes: vec![well("b"), bad],
            problems: Vec::new(),
            conditions: Vec::new(),
        };
        let lines = report.table().unwrap().lines(None);
        assert_eq!(lines[0].find("PROTOCOLS"), lines[1].find("NetFlow"));
        assert_eq!(lines[0].find("REASON"), lines[2].find("BridgeMissing"));
        assert_eq!(
            report.to_string(),
            "a-node-with-a-long-name: Applied is False: br-int is not there\n"
        );
        assert!(!report.is_well());
    }

    #[test]
    fn a_node_without_a_report_or_behind_is_not_well() {
        let silent = Report::of_host(NodeReport::new("n".into(), None), Vec::new());
        assert!(!silent.is_well() && silent.to_string().contains("does one run"));
        let behind = Report::of_host(
            NodeReport {
                lags: true,
                ..well("n")
            },
            Vec::new(),
        );
        assert!(!behind.is_well() && behind.table().unwrap().lines(None)[1].contains("Pending"));
        assert!(Report::of_host(well("n"), Vec::new()).is_well());
    }

    #[test]
    fn a_skipped_entry_is_not_well() {
        let report = Report::of_host(well("n"), vec!["file: entry 1 is no collector".to_owned()]);
        assert!(!report.is_well() && report.to_string().contains("skipped: file: entry 1"));
    }

    #[test]
    fn nothing_asked_for_is_well() {
        let idle = node(
            "n",
            &[
                (APPLIED, ConditionStatus::True, reason::NO_COLLECTORS, ""),
                (EXPORTING, ConditionStatus::False, reason::NO_COLLECTORS, ""),
            ],
        );
        let report = Report::of_host(idle, Vec::new());
        assert!(report.is_well(), "{report}");
    }
}
