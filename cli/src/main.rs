//! `weir`: Weir without Kubernetes in one process (`up`), and what is applied,
//! what fails and why (`status`). Also found by kubectl as `kubectl weir`.

mod bench;
mod cluster;
mod node;
mod report;
mod state;
mod status;
mod up;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

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
    Up(up::UpArgs),
    /// Show on which node flow export works, and why not where it does not
    ///
    /// Of a cluster, or of one host: as a file asks (--network), or as a running
    /// `weir up` last reported (--data-dir). Exit code 0: all that is asked for
    /// is applied; 1: something is not; 2: it cannot be told.
    Status(status::StatusArgs),
    /// Send made-up flow records to a collector, to see what it can take
    ///
    /// Stops after ten seconds unless told otherwise, and prints what was sent.
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    let args = Args::parse();
    start_log(matches!(args.command, Command::Up(_)));
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("weir: cannot start: {error}");
            return ExitCode::from(2);
        }
    };
    let ended = runtime.block_on(async {
        match args.command {
            Command::Up(args) => up::run(args).await,
            Command::Status(args) => status::run(args).await,
            Command::Bench(args) => bench::run(args).await,
        }
    });
    ended.unwrap_or_else(|error| {
        eprintln!("weir: {error:#}");
        ExitCode::from(2)
    })
}

/// `up` is a daemon and tells what it does; `status` speaks only of trouble.
fn start_log(daemon: bool) {
    let level = if daemon { "info" } else { "error" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let ansi = io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(ansi)
        .init();
}
