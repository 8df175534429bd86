//! `weir-ovsdb-gate`: arguments, log, socket, signals, exit code.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use weir_ovsdb_gate::Gate;
use weir_ovsdb_gate::args::Args;
use weir_ovsdb_gate::check::check;
use weir_process::log;
use weir_process::signals::Signals;

fn main() -> ExitCode {
    let args = Args::parse();
    log::start(args.log.log_format, log::DAEMON);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(error) => Err(anyhow::Error::new(error).context("cannot start")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => log::failure(error.as_ref()),
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    if let Some(socket) = &args.check {
        let checked = check(socket).await;
        return checked.with_context(|| format!("no answer at {}", socket.display()));
    }
    let mut signals = Signals::install().context("cannot take signals")?;
    let listener = Gate::listen(&args.listen)?;
    let (socket, ovsdb) = (args.listen.display(), args.ovsdb.display());
    tracing::info!(%socket, %ovsdb, clients = ?args.client_uids, "listening");
    let gate = Arc::new(Gate::new(&args.ovsdb, args.client_uids));
    tokio::select! {
        () = Arc::clone(&gate).serve(listener) => {}
        gone = gate.watch_folder() => return Err(gone.into()),
        signal = signals.next() => tracing::info!(%signal, "ending"),
    }
    Ok(())
}
