//! `weir policy`: what the NetworkPolicies of a cluster, or of files, say.
//!
//! ```text
//! cluster, --objects -> source -> Objects -.
//! -f FILE ------------> source -> Policy --+-> Engine -> Snapshot -> explain
//!                                          `-> lint
//! ```

mod explain;
mod lint;
mod peer;
mod source;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Arguments of `weir policy`.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Say whether policies let one reach the other, and which of them decides
    ///
    /// SRC and DST are namespace/pod, namespace/kind/name of a workload (shop/deploy/web),
    /// node/name, or an address. A workload is all its pods: where the answer is not the same
    /// for all of them, it is shown for each group. The port is that of the pod, not of a
    /// Service before it. Exit code 0: allowed; 1: denied; 2: there is no answer; 3: it is
    /// unknown, or not the same for all pods.
    Explain(explain::ExplainArgs),
    /// Say what is odd about policies, whoever calls whom
    ///
    /// Exit code 0: nothing; 1: something; 2: there is no answer.
    Lint(lint::LintArgs),
}

/// Does what is asked.
///
/// # Errors
/// The objects cannot be had, or something that is asked for is not among them.
pub async fn run(args: PolicyArgs) -> Result<ExitCode> {
    match args.what {
        What::Explain(args) => explain::run(args).await,
        What::Lint(args) => lint::run(args).await,
    }
}
