//! `weir-collector`: arguments, logs, start, wait, stop.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use weir_collector::args::Args;
use weir_collector::metrics::Totals;
use weir_collector::{Addresses, Collector, sinks};
use weir_process::log;
use weir_process::signals::Signals;

/// Records are made in one thread and let go in another, megabytes a second: the
/// system's allocator gives their pages back and fetches them anew each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    if args.openapi {
        print!("{}", weir_collector::api::document());
        return ExitCode::SUCCESS;
    }
    if let Some(file) = &args.check_config {
        return check_config(file);
    }
    log::start(args.log.log_format, log::DAEMON);
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => log::failure(error.as_ref()),
    }
}

/// Says whether a file of sinks is right; nothing is started and nothing connected.
fn check_config(file: &Path) -> ExitCode {
    let read = std::fs::read_to_string(file).map_err(|error| error.to_string());
    match read.and_then(|text| sinks::config::parse(&text).map_err(|error| error.to_string())) {
        Ok(sinks) => {
            for sink in &sinks {
                println!("{}: {}", sink.name, sink.target.describe());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(args: Args) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("cannot take signals")?;
    if let Err(error) = weir_collector::open_files::raise_limit() {
        tracing::warn!(%error, "no more files may be open than at first");
    }
    let port_file = args.port_file.clone();
    let mut running = Collector::start(args.into_config()).await?;
    tracing::info!(udp = ?running.addresses().udp, tcp = ?running.addresses().tcp, tls = ?running.addresses().tls, http = %running.addresses().http, "listening");
    if let Some(path) = port_file {
        write_port_file(&path, running.addresses())?;
    }
    let ended = tokio::select! {
        signal = signals.next() => {
            tracing::info!(%signal, "ending");
            Ok(())
        }
        error = running.ended() => Err(error),
    };
    let pages = running.pages().clone();
    let stopped = tokio::select! {
        stopped = running.stop() => stopped,
        signal = signals.next() => anyhow::bail!("{signal} again: aborted; what is queued is lost"),
    };
    log_totals(&pages.metrics.totals());
    Ok(stopped.and(ended)?)
}

/// The last word on what became of everything: nobody can ask any more.
fn log_totals(totals: &Totals) {
    let Totals {
        received,
        decoded,
        rejected,
        records,
        stored,
        dropped,
        lost,
        kernel_drops,
    } = totals;
    tracing::info!(
        received,
        decoded,
        rejected,
        kernel_drops,
        records,
        stored,
        dropped,
        lost,
        "stopped"
    );
}

/// Readers see the whole file or none.
fn write_port_file(path: &Path, addresses: &Addresses) -> anyhow::Result<()> {
    let text = serde_json::to_string(addresses)?;
    let partial = path.with_extension("partial");
    std::fs::write(&partial, text).with_context(|| format!("cannot write {}", partial.display()))?;
    std::fs::rename(&partial, path).with_context(|| format!("cannot write {}", path.display()))
}
