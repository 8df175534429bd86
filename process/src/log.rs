//! The log: on standard error, for people or for machines. `RUST_LOG` says what is logged.

use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::error::chain;

/// What a daemon logs when `RUST_LOG` does not say. Of failed requests the client of
/// Kubernetes tells what the daemon tells once more and better.
pub const DAEMON: &str = "info,kube_client=off";

/// What a command that a person runs logs: it says its own errors itself.
pub const COMMAND: &str = "error,kube_client=off";

/// The option of a daemon's command line.
#[derive(Debug, Clone, Copy, Args)]
pub struct LogArgs {
    /// Form of the log on stderr; RUST_LOG says what is logged
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people; in colours on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log of this process; `filter` holds when `RUST_LOG` does not say.
pub fn start(format: LogFormat, filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // It would say so on standard error, and panic if that is closed.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
}

/// Logs why the process fails; with what it ends then.
pub fn failure(error: &(dyn Error + 'static)) -> ExitCode {
    tracing::error!("{}", chain(error));
    ExitCode::FAILURE
}
