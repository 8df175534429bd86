//! `weir-ovsdb-gate`: arguments, log, socket, signals, exit code.

use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use weir_ovsdb_gate::Gate;
use weir_ovsdb_gate::args::{Args, LogFormat};

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    start_log(args.log_format);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start")?.block_on(run(args))
}

async fn run(args: Args) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot take signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot take signals")?;
    let listener = Gate::listen(&args.listen)?;
    tracing::info!(socket = %args.listen.display(), ovsdb = %args.ovsdb.display(), clients = ?args.client_uids, "listening");
    let gate = Arc::new(Gate::new(&args.ovsdb, args.client_uids));
    tokio::select! {
        () = Arc::clone(&gate).serve(listener) => {}
        gone = gate.watch_folder() => return Err(gone.into()),
        _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "ending"),
        _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "ending"),
    }
    Ok(())
}

fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter);
    match format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
}
