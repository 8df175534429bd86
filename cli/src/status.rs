//! `weir status`: gathers from a cluster, a file or a data directory, and lets
//! [`crate::report`] show it; or asks a collector, which [`crate::collector_report`] shows.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use clap_complete::ArgValueCompleter;
use jiff::Timestamp;
use weir_exports::NodeReport;
use weir_node::{Acceptance, AgentConfig, file_source, inspect};

use crate::collector_report::CollectorReport;
use crate::effect::refuse_without_effect;
use crate::node::NodeArgs;
use crate::plain::{Plain, PlainArgs};
use crate::report::Report;
use crate::source::SourceArgs;
use crate::table::harmless_lines;
use crate::terminal::{self, patiently};
use crate::zone::TimeStyle;
use crate::{cluster, completion, show, state, time};

/// How long one OVSDB may take to answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Arguments of `weir status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Compare this host's Open vSwitch with the Network in this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data_dir", "kubeconfig", "context", "server", "collector"])]
    network: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
    /// Show what the `weir up` with this data directory last reported
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context", "server", "collector"])]
    data_dir: Option<PathBuf>,
    /// Show the collector at this address: its store, and who exports to it
    #[arg(long, value_name = "URL", conflicts_with_all = ["kubeconfig", "context", "collector"])]
    server: Option<String>,
    /// Show the collector of the cluster, likewise
    #[arg(long)]
    collector: bool,
    /// Bearer token that says to the collector at --server who you are; of a cluster it must
    /// be for that collector alone (kubectl create token ACCOUNT --audience weir-collector)
    #[arg(long, value_name = "TOKEN", env = "WEIR_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// How to reach the cluster (default: $KUBECONFIG, ~/.kube/config, or the pod's own account)
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(completion::contexts))]
    context: Option<String>,
    /// Show times in UTC, not in the zone of this host or of $TZ
    #[arg(long)]
    utc: bool,
    #[command(flatten)]
    output: PlainArgs,
}

/// Gathers and prints. The exit code says whether all is well.
///
/// # Errors
/// There is nobody to ask.
pub async fn run(args: StatusArgs) -> Result<ExitCode> {
    let form = args.output.form()?;
    if args.server.is_some() || args.collector {
        return collector(&args, form).await;
    }
    refuse_without_effect(&[("--utc", args.utc)], "without --server or --collector")?;
    let report = match (&args.network, &args.data_dir) {
        (Some(network), _) => inspect_host(&args.node, network.clone()).await?,
        (None, Some(directory)) => {
            let state = state::read(directory)?;
            anyhow::ensure!(
                state::runs(state.process),
                "the `weir up` that wrote {} has died; what it set may be left in OVSDB",
                directory.display()
            );
            Report::of_host(NodeReport::new(state.node, Some(state.status)), Vec::new())
        }
        (None, None) => cluster::gather(args.kubeconfig.as_deref(), args.context.as_deref()).await?,
    };
    match form {
        Plain::Table => {
            if let Some(table) = report.table() {
                show::table(&table, !args.output.no_headers)?;
            }
            let text = report.to_string();
            write!(io::stdout(), "{}", for_eyes(&text))?;
        }
        Plain::Json => show::json(&mut io::stdout(), &report, terminal::width().is_some())?,
        Plain::Name => {
            for node in &report.nodes {
                writeln!(io::stdout(), "{}", for_eyes(&node.name))?;
            }
        }
    }
    Ok(exit_code(report.is_well()))
}

/// What others say in it does not steer a terminal, whose lines are as long as they may be.
fn for_eyes(text: &str) -> String {
    match terminal::width() {
        Some(width) => terminal::wrapped(&harmless_lines(text), width),
        None => text.to_owned(),
    }
}

fn exit_code(well: bool) -> ExitCode {
    if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Asks a collector what it keeps and who exports to it.
async fn collector(args: &StatusArgs, form: Plain) -> Result<ExitCode> {
    let source = SourceArgs {
        server: args.server.clone(),
        data_dir: None,
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone(),
        token: args.token.clone(),
    };
    let source = source.open().await?;
    let report = CollectorReport {
        status: patiently(source.status()).await?,
        exporters: source.exporters().await?,
    };
    match form {
        Plain::Table => print_collector(&report, args)?,
        Plain::Json => show::json(&mut io::stdout(), &report, terminal::width().is_some())?,
        Plain::Name => {
            for exporter in &report.exporters.exporters {
                writeln!(io::stdout(), "{}", exporter.address)?;
            }
        }
    }
    Ok(exit_code(report.is_well()))
}

fn print_collector(report: &CollectorReport, args: &StatusArgs) -> Result<()> {
    let now = Timestamp::now();
    let times = TimeStyle::new(time::zone(args.utc), now, terminal::width());
    for line in report.summary(now) {
        writeln!(io::stdout(), "{}", for_eyes(&line))?;
    }
    for table in [report.tiers(&times), report.exporters(now)]
        .into_iter()
        .flatten()
    {
        writeln!(io::stdout())?;
        show::table(&table, !args.output.no_headers)?;
    }
    Ok(())
}

/// Connects to this host's OVSDB, compares and writes nothing.
async fn inspect_host(node: &NodeArgs, network: PathBuf) -> Result<Report> {
    let name = node.name()?;
    let desired = file_source::read(&node.files(network)?)?;
    let status = inspect(&AgentConfig::new(&name, node.ovsdb.clone()), &desired, LIMIT).await;
    let problems = match desired.acceptance {
        Some(
            Acceptance::SomeRefused(problems)
            | Acceptance::Unreadable(problems)
            | Acceptance::ProfileUnreadable(problems),
        ) => vec![problems],
        Some(Acceptance::Accepted) | None => Vec::new(),
    };
    Ok(Report::of_host(NodeReport::new(name, Some(status)), problems))
}
