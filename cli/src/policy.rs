//! `weir policy`: what the NetworkPolicies of a cluster, or of files, say.
//!
//! ```text
//! cluster, --objects ----> source -> World ---.
//! -f FILE ---------------> source ------------+-> weir_decisions -> rows -> table, text, JSON
//! collector, --data-dir -> evidence -> Traffic'                      |
//! a collector that knows the policies (--server) -> remote ----------'
//! ```

mod check;
mod disagreements;
mod evidence;
mod explain;
mod generate;
mod lint;
mod remote;
mod replay;
mod source;
mod usage;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
pub use evidence::Patient;
pub use remote::unless_unknown;
pub use source::{ObjectArgs, REPLAY, read_world};

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
    /// Say what a change of policies or labels would have done to the traffic that was seen
    ///
    /// What is in files (-f) is added or takes the place of what has the same name. Exit code 0:
    /// nothing that was allowed and answered is denied; 1: something is; 2: there is no answer; 3:
    /// of too much it cannot be told.
    Check(Box<check::CheckArgs>),
    /// Print policies that let pass what was seen, and deny the rest
    ///
    /// Nothing is applied. Before they are printed, all traffic that they were learnt from is held
    /// against them. What was learnt, and what was not, is said on standard error. Exit code 0:
    /// there are policies; 1: nothing was to be learnt; 2: there is no answer.
    Generate(Box<generate::GenerateArgs>),
    /// Say how far policies reach: who is isolated, and what passes by a rule or for want of one
    ///
    /// Exit code 0: every pod is isolated both ways; 1: some are not; 2: there is no answer.
    Coverage(Box<usage::UsageArgs>),
    /// List rules that no traffic used, or that other rules make needless
    ///
    /// Exit code 0: there are none; 1: there are some; 2: there is no answer.
    Unused(Box<usage::UsageArgs>),
    /// List rules that allow more than what used them, the widest first
    ///
    /// Exit code 0: there are none; 1: there are some; 2: there is no answer.
    Wide(Box<usage::UsageArgs>),
    /// List what policies deny and somebody answered all the same, and what they allow and the
    /// switch dropped
    ///
    /// A policy whose denials were answered for an hour is told as not enforced. Exit code 0:
    /// there is nothing of that; 1: there is some; 2: there is no answer.
    Disagreements(Box<usage::UsageArgs>),
}

/// Does what is asked.
///
/// # Errors
/// The objects cannot be had, or something that is asked for is not among them.
pub async fn run(args: PolicyArgs) -> Result<ExitCode> {
    match args.what {
        What::Explain(args) => explain::run(args).await,
        What::Lint(args) => lint::run(args).await,
        What::Check(args) => check::run(*args).await,
        What::Generate(args) => generate::run(*args).await,
        What::Coverage(args) => usage::covered(*args).await,
        What::Unused(args) => usage::not_used(*args).await,
        What::Wide(args) => usage::too_wide(*args).await,
        What::Disagreements(args) => disagreements::run(*args).await,
    }
}
