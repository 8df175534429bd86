//! `weir cost`: what the export costs each node, now and before the last change, what it may
//! cost, and whether it is held back for that. Asking is [`crate::cluster`]'s; this shows.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use weir_api::condition::{Condition, find};
use weir_api::export::{Budget, CostFigures, ExportCost, THROTTLED};
use weir_api::{NodeFlowExport, NodeFlowExportStatus};
use weir_exports::cost;

use crate::cluster::ClusterArgs;
use crate::plain::{Plain, PlainArgs};
use crate::table::{Head, Table, harmless_lines};
use crate::{cluster, show, state, terminal};

/// Arguments of `weir cost`.
#[derive(Debug, Args)]
pub struct CostArgs {
    /// Show what the `weir up` with this data directory last reported
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context"])]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    output: PlainArgs,
}

/// What the export costs one node.
#[derive(Debug, Serialize)]
struct NodeCost {
    /// The node.
    name: String,
    /// Protocols in force.
    protocols: String,
    /// Now, and before the last change; nothing while nothing is exported.
    cost: Option<ExportCost>,
    /// What it may cost, where that is known.
    budget: Option<Budget>,
    /// Whether it is held back, where there is a budget.
    throttled: Option<Condition>,
}

/// Gathers and prints.
///
/// # Errors
/// There is nobody to ask.
pub async fn run(args: CostArgs) -> Result<ExitCode> {
    let form = args.output.form()?;
    let nodes = match &args.data_dir {
        Some(directory) => {
            let state = state::read(directory)?;
            vec![NodeCost::new(state.node, None, state.status)]
        }
        None => {
            let exports = cluster::exports(
                args.cluster.kubeconfig.as_deref(),
                args.cluster.context.as_deref(),
            )
            .await?;
            exports.into_iter().map(NodeCost::from).collect()
        }
    };
    match form {
        Plain::Table => print(&nodes, !args.output.no_headers)?,
        Plain::Json => show::json(&mut io::stdout(), &nodes, terminal::width().is_some())?,
        Plain::Name => {
            for node in &nodes {
                writeln!(io::stdout(), "{}", harmless_lines(&node.name))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(nodes: &[NodeCost], headers: bool) -> Result<()> {
    if nodes.is_empty() {
        writeln!(io::stdout(), "no node is looked after")?;
        return Ok(());
    }
    show::table(&table(nodes), headers)?;
    for text in nodes.iter().filter_map(NodeCost::remark) {
        let text = harmless_lines(&text);
        let text = terminal::width().map_or_else(|| text.clone(), |width| terminal::wrapped(&text, width));
        writeln!(io::stdout(), "{text}")?;
    }
    Ok(())
}

fn table(nodes: &[NodeCost]) -> Table {
    let was = || Head::number("WAS").weighing(2);
    let mut table = Table::new(vec![
        Head::text("NODE").weighing(6).cut_to(16),
        Head::text("PROTOCOLS").weighing(1),
        Head::number("MILLICORES").weighing(5),
        was(),
        Head::number("DATAGRAMS/S").weighing(4),
        was(),
        Head::number("ERRORS/S").weighing(3),
        was(),
        Head::number("LOST/S").weighing(4),
        was(),
        Head::whole("BUDGET").weighing(3),
        Head::whole("THROTTLED").weighing(5),
    ]);
    for node in nodes {
        table.push(node.row());
    }
    table
}

impl From<NodeFlowExport> for NodeCost {
    fn from(export: NodeFlowExport) -> Self {
        let name = export.metadata.name.unwrap_or_default();
        Self::new(name, export.spec.budget, export.status.unwrap_or_default())
    }
}

impl NodeCost {
    fn new(name: String, budget: Option<Budget>, status: NodeFlowExportStatus) -> Self {
        Self {
            name,
            protocols: status.protocols,
            cost: status.cost,
            budget,
            throttled: find(&status.conditions, THROTTLED).cloned(),
        }
    }

    fn row(&self) -> Vec<String> {
        let now = self.cost.map(CostFigures::from).unwrap_or_default();
        let before = self.cost.and_then(|cost| cost.before).unwrap_or_default();
        let mut row = vec![self.name.clone(), or_dash(&self.protocols)];
        for figure in [
            |cost: &CostFigures| cost.vswitchd_millicores,
            |cost: &CostFigures| cost.datagrams_per_second,
            |cost: &CostFigures| cost.send_errors_per_second,
            |cost: &CostFigures| cost.lost_per_second,
        ] {
            row.extend([number(figure(&now)), number(figure(&before))]);
        }
        let throttled = self.throttled.as_ref().map_or("", |c| c.status.as_str());
        row.extend([
            self.budget
                .and_then(cost::bounds)
                .unwrap_or_else(|| "-".to_owned()),
            or_dash(throttled),
        ]);
        row
    }

    /// What is to be said of it below the table.
    fn remark(&self) -> Option<String> {
        let why = cost::held_back(self.throttled.as_ref())?;
        Some(format!("{}: {why}", self.name))
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

fn number(figure: Option<u32>) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| figure.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(spec: Value, status: Value) -> NodeCost {
        let export = json!({"apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport",
            "metadata": {"name": "node-a"}, "spec": spec, "status": status});
        NodeCost::from(serde_json::from_value::<NodeFlowExport>(export).unwrap())
    }

    #[test]
    fn what_it_costs_now_stands_beside_what_it_cost_before_and_may_cost() {
        let throttled = json!({"type": "Throttled", "status": "True", "reason": "ProcessorOverBudget",
            "message": "sampling is 8 times as coarse", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let cost = json!({"vswitchdMillicores": 640, "datagramsPerSecond": 5_000, "lostPerSecond": 0,
            "before": {"vswitchdMillicores": 540}});
        let budgeted =
            json!({"budget": {"vswitchdMillicores": 600, "lostPerSecond": 10, "action": "Throttle"}});
        let busy = node(
            budgeted,
            json!({"protocols": "IPFIX", "cost": cost, "conditions": [throttled]}),
        );
        let row = busy.row();
        assert_eq!(
            row,
            [
                "node-a",
                "IPFIX",
                "640",
                "540",
                "5000",
                "-",
                "-",
                "-",
                "0",
                "-",
                "600m, 10 lost/s: throttle",
                "True"
            ]
        );
        assert_eq!(
            busy.remark().as_deref(),
            Some("node-a: sampling is 8 times as coarse")
        );
        let idle = node(json!({}), json!({}));
        assert!(idle.row()[1..].iter().all(|cell| cell == "-") && idle.remark().is_none());
        let lines = table(&[busy, idle]).lines(None);
        assert_eq!(lines[0].find("THROTTLED"), lines[1].find("True"));
    }
}
