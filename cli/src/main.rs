//! `weir`: Weir without Kubernetes in one process (`up`), what is applied, what
//! fails and why (`status`), and who talked to whom (`flows` and its kin). Also
//! found by kubectl as `kubectl weir`.

mod backoff;
mod bench;
mod cluster;
mod collector_report;
mod completion;
mod cost;
mod dashboards;
mod doctor;
mod dynamic;
mod effect;
mod empty;
mod export;
#[cfg(test)]
mod fake_collector;
mod fields;
mod flows;
mod follow;
mod hint;
mod install;
mod man;
mod matrix;
mod node;
mod output;
mod plain;
mod platform;
mod policy;
mod report;
mod rollout;
mod server;
mod shortcut;
mod show;
mod source;
mod state;
mod status;
mod sums;
mod table;
mod tail;
mod template;
mod terminal;
mod time;
mod ui;
mod uninstall;
mod up;
mod watch;
mod zone;

use std::io;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::CompleteEnv;
use weir_collector::api::problem::Problem;
use weir_process::error::chain;
use weir_process::log::{self, LogFormat};

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
    /// Show what flow export costs each node, now and before the last change
    ///
    /// Processor time of ovs-vswitchd in thousandths of a processor, IPFIX datagrams and those
    /// that could not be sent, packets that the switch lost; what it may cost (the budget of an
    /// ExportProfile), and whether it is throttled for that. Of a cluster, or of a running
    /// `weir up` (--data-dir). What Open vSwitch does not tell is shown as -.
    Cost(cost::CostArgs),
    /// Install Weir in a cluster, as its platform needs it
    ///
    /// What is applied is what `kubectl apply -k manifests/overlays/PLATFORM` applies. It can be
    /// printed (--print) and judged by the API server (--dry-run) first. Images that are there
    /// stay unless --registry or --tag is given, and fields that others have set otherwise unless
    /// --force is. Exit code 1: some of it is refused, or was set otherwise.
    Install(install::InstallArgs),
    /// Turn flow export off, wait until no node has rows of Weir's, then delete Weir
    ///
    /// Acts with --yes, or after a question on a terminal. The Network, its definition and, unless
    /// --purge is given, ExportProfiles, the FlowExport, the ExportRollout and namespaces with
    /// something of yours stay. Exit code 1: nodes have not said that their rows are gone, and nothing was deleted.
    Uninstall(uninstall::UninstallArgs),
    /// Show how a change of flow export goes from node to node, and agree to it or undo it
    ///
    /// An ExportRollout says how changes reach the nodes; without one they go to all at once.
    Rollout(rollout::RolloutArgs),
    /// Say what is wrong with an installation, and what to do
    ///
    /// Reads the cluster, or, on a node or another host, what that host has (--host); changes
    /// nothing. Exit code 0: nothing is wrong; 1: something is; 2: it cannot be told.
    Doctor(doctor::DoctorArgs),
    /// Show flow records, or sums over groups of them
    ///
    /// Which flows is said in CEL over the fields that `weir fields` lists. Without
    /// --group-by the records themselves are shown, the newest first; with it, sums.
    Flows(flows::FlowsArgs),
    /// Show who sends most: workloads by bytes unless told otherwise
    Top(flows::TopArgs),
    /// Show live who talks to whom, in a table that keys steer
    ///
    /// Groups, order and filter change by keys; Enter goes down from namespaces to
    /// workloads, pods, addresses, ports and records. ? shows the keys.
    Watch(watch::WatchArgs),
    /// Open the web UI of the collector that the other commands ask
    ///
    /// Serves it on 127.0.0.1, at an address that nobody can guess, until Ctrl-C. The browser
    /// needs no token: what the pages ask goes on as whatever the kubeconfig or --token shows.
    Ui(ui::UiArgs),
    /// Show who called whom, on which port
    ///
    /// Out of what is kept by hour of each client, server and port: replies are no calls, and a
    /// row says how sure it is which end is the client. Hours count whole.
    Matrix(matrix::MatrixArgs),
    /// Show sums over groups of flows, or how they are made (--explain)
    Query(flows::QueryArgs),
    /// Say what NetworkPolicies do: who may reach whom, and what is odd about them
    ///
    /// Of a cluster, or of files that hold its objects (--objects); with policies that are not
    /// applied yet (-f). Nothing is changed.
    Policy(policy::PolicyArgs),
    /// Write all flow records that fit, however many
    Export(export::ExportArgs),
    /// Print the charts of FlowMetrics as a dashboard of Grafana, or rules of Prometheus (--rules)
    ///
    /// Of the cluster, of files (--flow-metrics), or those that NetObserv predefines
    /// (--predefined-flow-metrics). Exit code 1: a FlowMetric could not be read, and is left out.
    Dashboards(dashboards::DashboardsArgs),
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
        Err(code) => return code,
    };
    let filter = match args.command {
        Command::Up(_) => log::DAEMON,
        _ => log::COMMAND,
    };
    log::start(LogFormat::Text, filter);
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
            Command::Cost(args) => cost::run(args).await,
            Command::Install(args) => install::run(args).await,
            Command::Uninstall(args) => uninstall::run(args).await,
            Command::Rollout(args) => rollout::run(args).await,
            Command::Doctor(args) => doctor::run(args).await,
            Command::Flows(args) => flows::flows(args).await,
            Command::Top(args) => flows::top(args).await,
            Command::Watch(args) => watch::run(args).await,
            Command::Ui(args) => ui::run(args).await,
            Command::Matrix(args) => matrix::run(args).await,
            Command::Query(args) => flows::query(args).await,
            Command::Policy(args) => policy::run(args).await,
            Command::Export(args) => export::run(args).await,
            Command::Dashboards(args) => dashboards::run(args).await,
            Command::Fields(args) => fields::fields(&args),
            Command::Values(args) => fields::values(args).await,
            Command::Completion(args) => completion::run(&args),
            Command::Man(args) => man::run(&args, Args::command()),
            Command::Bench(args) => bench::run(args).await,
        }
    });
    // Whoever writes to a pipe that nobody reads would be waited for.
    runtime.shutdown_background();
    ended.unwrap_or_else(|error| fail(&error))
}

/// Says why it failed.
fn fail(error: &anyhow::Error) -> ExitCode {
    if nobody_reads(error) {
        return ExitCode::SUCCESS;
    }
    say(&format!("weir: {}", chain(error.as_ref())));
    let problem = error.chain().find_map(|cause| cause.downcast_ref::<Problem>());
    if let Some(nearest) = problem.and_then(|problem| problem.nearest.as_deref()) {
        say(&format!("weir fields {nearest}: shows what that is"));
    }
    ExitCode::from(2)
}

/// That nobody reads the output any more is no failure; that a server ended the connection
/// is one.
fn nobody_reads(error: &anyhow::Error) -> bool {
    let is_of_network = error.downcast_ref::<server::NoAnswer>().is_some()
        || error.chain().any(|cause| cause.is::<kube::Error>());
    let io = error.chain().find_map(|cause| {
        let json = cause
            .downcast_ref::<serde_json::Error>()
            .and_then(serde_json::Error::io_error_kind);
        cause.downcast_ref::<io::Error>().map(io::Error::kind).or(json)
    });
    !is_of_network && io == Some(io::ErrorKind::BrokenPipe)
}

/// Reads the command line. kubectl runs us as `kubectl-weir`; help then says what
/// was typed.
///
/// # Errors
/// How to end: it is wrong and was said to be, or help was shown.
fn parse() -> Result<Args, ExitCode> {
    let by_kubectl = completion::program().is_some_and(|name| name == "kubectl-weir");
    let name = if by_kubectl { "kubectl weir" } else { "weir" };
    let matches = Args::command().bin_name(name).try_get_matches();
    let matches = matches.map_err(|error| say_usage(&error))?;
    if let Some((name, command)) = matches.subcommand() {
        effect::refuse_overruled(name, command).map_err(|error| fail(&error))?;
    }
    let args = Args::from_arg_matches(&matches);
    args.map_err(|error| say_usage(&error.format(&mut Args::command().bin_name(name))))
}

/// Says what is wrong with the command line, or the help that was asked for. That nobody
/// reads it is no failure.
fn say_usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if let Some(hint) = hint::of(error) {
        say(hint);
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_nobody_reads_is_no_failure_and_that_the_network_broke_is_one() {
        use anyhow::Context;
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(nobody_reads(&broken().into()));
        assert!(nobody_reads(&serde_json::Error::io(broken()).into()));
        let network = |error: io::Error| kube::Error::Service(Box::new(error));
        assert!(!nobody_reads(&network(broken()).into()));
        let no_answer = || server::NoAnswer("gone".to_owned());
        let answer: Result<(), io::Error> = Err(broken());
        let error = answer.with_context(no_answer).unwrap_err();
        assert!(!nobody_reads(&error));
        assert!(!nobody_reads(&error.context("values")));
        assert!(!nobody_reads(
            &io::Error::from(io::ErrorKind::ConnectionReset).into()
        ));
    }

    #[test]
    fn no_two_options_of_a_command_have_one_name() {
        Args::command().debug_assert();
    }
}
