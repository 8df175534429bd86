//! `weir`: Weir without Kubernetes in one process (`up`), what is applied, what
//! fails and why (`status`), and who talked to whom (`flows` and its kin). Also
//! found by kubectl as `kubectl weir`.

mod bench;
mod cluster;
mod collector_report;
mod completion;
mod effect;
mod empty;
mod export;
mod fields;
mod flows;
mod follow;
mod man;
mod node;
mod output;
mod plain;
mod report;
mod server;
mod shortcut;
mod show;
mod source;
mod state;
mod status;
mod table;
mod template;
mod terminal;
mod time;
mod up;
mod zone;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::CompleteEnv;
use tracing_subscriber::EnvFilter;
use weir_collector::api::problem::Problem;

use crate::terminal::say;

/// Flow export of Open vSwitch: turn it on, see it, name it.
#[derive(Debug, Parser)]
#[command(name = "weir", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Export from this host's Open vSwitch, collect and print, until Ctrl-C
    ///
    /// Programs Open vSwitch as the Network in FILE says, follows FILE, receives
    /// what Open vSwitch sends and prints one JSON object a flow record. At the
    /// end everything that it set is removed.
    Up(Box<up::UpArgs>),
    /// Show on which node flow export works, and why not where it does not
    ///
    /// Of a cluster, or of one host: as a file asks (--network), or as a running
    /// `weir up` last reported (--data-dir). Or of a collector (--server, --collector):
    /// what it keeps, what does not go on, who exports to it. Exit code 0: all is well;
    /// 1: something is not; 2: it cannot be told.
    Status(status::StatusArgs),
    /// Show flow records, or sums over groups of them
    ///
    /// Which flows is said in CEL over the fields that `weir fields` lists. Without
    /// --group-by the records themselves are shown, the newest first; with it, sums.
    Flows(flows::FlowsArgs),
    /// Show who sends most: workloads by bytes unless told otherwise
    Top(flows::TopArgs),
    /// Show sums over groups of flows, or how they are made (--explain)
    Query(flows::QueryArgs),
    /// Write all flow records that fit, however many
    Export(export::ExportArgs),
    /// List the fields of a flow record
    Fields(fields::FieldsArgs),
    /// List the values that a field takes
    Values(fields::ValuesArgs),
    /// Print what makes a shell complete this command at Tab
    Completion(completion::CompletionArgs),
    /// Write pages for man
    #[command(hide = true)]
    Man(man::ManArgs),
    /// Send made-up flow records to a collector, to see what it can take
    ///
    /// Stops after ten seconds unless told otherwise, and prints what was sent.
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    // Answers a shell that completes, and ends then.
    CompleteEnv::with_factory(Args::command)
        .var(completion::VARIABLE)
        .shells(completion::SHELLS)
        .complete();
    if completion::is_kubectls() {
        return completion::for_kubectl(Args::command()).unwrap_or_else(|error| fail(&error));
    }
    let args = match parse() {
        Ok(args) => args,
        Err(error) => return fail(&error),
    };
    start_log(matches!(args.command, Command::Up(_)));
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("weir: cannot start: {error}"));
            return ExitCode::from(2);
        }
    };
    let ended = runtime.block_on(async {
        match args.command {
            Command::Up(args) => up::run(*args).await,
            Command::Status(args) => status::run(args).await,
            Command::Flows(args) => flows::flows(args).await,
            Command::Top(args) => flows::top(args).await,
            Command::Query(args) => flows::query(args).await,
            Command::Export(args) => export::run(args).await,
            Command::Fields(args) => fields::fields(&args),
            Command::Values(args) => fields::values(args).await,
            Command::Completion(args) => completion::run(&args),
            Command::Man(args) => man::run(&args, Args::command()),
            Command::Bench(args) => bench::run(args).await,
        }
    });
    ended.unwrap_or_else(|error| fail(&error))
}

/// Says why it failed. That nobody reads the output any more is no failure; that a
/// server ended the connection is one.
fn fail(error: &anyhow::Error) -> ExitCode {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    let is_of_network = error.chain().any(|cause| cause.is::<kube::Error>());
    if !is_of_network && io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    say(&format!("weir: {error:#}"));
    let problem = error.chain().find_map(|cause| cause.downcast_ref::<Problem>());
    if let Some(nearest) = problem.and_then(|problem| problem.nearest.as_deref()) {
        say(&format!("weir fields {nearest}: shows what that is"));
    }
    ExitCode::from(2)
}

/// Reads the command line. kubectl runs us as `kubectl-weir`; help then says what
/// was typed.
///
/// # Errors
/// An option has no effect beside another one.
fn parse() -> Result<Args> {
    let by_kubectl = completion::program().is_some_and(|name| name == "kubectl-weir");
    let name = if by_kubectl { "kubectl weir" } else { "weir" };
    let matches = Args::command().bin_name(name).get_matches();
    if let Some((name, command)) = matches.subcommand() {
        effect::refuse_overruled(name, command)?;
    }
    let args = Args::from_arg_matches(&matches);
    Ok(args.unwrap_or_else(|error| error.format(&mut Args::command().bin_name(name)).exit()))
}

/// `up` is a daemon and tells what it does; `status` speaks only of trouble.
fn start_log(daemon: bool) {
    // What the client of Kubernetes logs, the commands say themselves.
    let level = if daemon { "info" } else { "error,kube_client=off" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let ansi = io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(ansi)
        // It would say so on standard error, and panic if that is closed.
        .log_internal_errors(false)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_options_of_a_command_have_one_name() {
        Args::command().debug_assert();
    }
}
