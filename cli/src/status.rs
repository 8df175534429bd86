//! `weir status`: gathers from a cluster, a file or a data directory, and lets
//! [`crate::report`] show it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use weir_node::{Acceptance, AgentConfig, file_source, inspect};

use crate::node::NodeArgs;
use crate::report::{Node, Report};
use crate::{cluster, state};

/// How long one OVSDB may take to answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Arguments of `weir status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Compare this host's Open vSwitch with the Network in this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data_dir", "kubeconfig"])]
    network: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
    /// Show what the `weir up` with this data directory last reported
    #[arg(long, value_name = "DIR", conflicts_with = "kubeconfig")]
    data_dir: Option<PathBuf>,
    /// How to reach the cluster (default: $KUBECONFIG, ~/.kube/config, or the pod's own account)
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// One object.
    Json,
}

/// Gathers and prints. The exit code says whether all is applied.
///
/// # Errors
/// There is nobody to ask.
pub async fn run(args: StatusArgs) -> Result<ExitCode> {
    let report = match (&args.network, &args.data_dir) {
        (Some(network), _) => inspect_host(&args.node, network.clone()).await?,
        (None, Some(directory)) => {
            let state = state::read(directory)?;
            anyhow::ensure!(
                state::runs(state.process),
                "the `weir up` that wrote {} has died; what it set may be left in OVSDB",
                directory.display()
            );
            Report::of_host(Node::new(state.node, Some(state.status)), Vec::new())
        }
        (None, None) => cluster::gather(args.kubeconfig.as_deref()).await?,
    };
    match args.output {
        Output::Table => write!(io::stdout(), "{report}")?,
        Output::Json => writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&report)?)?,
    }
    Ok(if report.is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Connects to this host's OVSDB, compares and writes nothing.
async fn inspect_host(node: &NodeArgs, network: PathBuf) -> Result<Report> {
    let name = node.name()?;
    let desired = file_source::read(&node.files(network)?)?;
    let status = inspect(&AgentConfig::new(&name, node.ovsdb.clone()), &desired, LIMIT).await;
    let problems = match desired.acceptance {
        Some(Acceptance::SomeRefused(problems) | Acceptance::Unreadable(problems)) => vec![problems],
        Some(Acceptance::Accepted) | None => Vec::new(),
    };
    Ok(Report::of_host(Node::new(name, Some(status)), problems))
}
