//! `weir-node`: arguments, log, sources, loop, exit code.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use tokio::sync::watch;
use weir_node::args::Args;
use weir_node::{AgentConfig, Desired, agent, file_source, http, kube_source};
use weir_process::kubernetes::{self, Retries};
use weir_process::log;
use weir_process::signals::Signals;

/// How long the last status may take to reach the API server.
const LAST_WORD: Duration = kube_source::SETTLE.saturating_mul(2);

fn main() -> ExitCode {
    let args = match Args::parse().validate() {
        Ok(args) => args,
        Err(error) => Args::command()
            .error(clap::error::ErrorKind::ArgumentConflict, error)
            .exit(),
    };
    log::start(args.log.log_format, log::DAEMON);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(error) => Err(anyhow::Error::new(error).context("cannot start")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = log::failure(error.as_ref());
            // As for wrong options: the user has to change something.
            let usage = error.is::<file_source::FileError>();
            if usage { ExitCode::from(2) } else { code }
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("cannot take signals")?;
    let mut config = match &args.gate {
        Some(gate) => AgentConfig::through_gate(&args.node_name, gate.clone()),
        None => AgentConfig::new(&args.node_name, args.ovsdb.clone()),
    };
    config.on_exit = args.on_exit;
    config.interface_names = args.interface_names;
    let metrics = Arc::clone(&config.metrics);
    let (status, told) = watch::channel(Default::default());
    let desired = match args.files() {
        Some(files) => file_source::spawn(files, Arc::clone(&metrics))?,
        None => follow_cluster(&args, told, &metrics).await?,
    };
    if let Some(address) = args.http {
        let served = weir_process::http::spawn(address, http::pages(metrics)).await;
        served.with_context(|| format!("cannot listen on {address}"))?;
    }
    let (stop, mut stopped) = watch::channel(false);
    let in_cluster = args.network.is_none();
    let agent = agent::run(config, desired, status, async move {
        // An error means that nobody can ask any more: the same.
        let _ = stopped.wait_for(|stop| *stop).await;
    });
    tokio::pin!(agent);
    tokio::select! {
        ended = &mut agent => return Ok(ended?),
        signal = signals.next() => tracing::info!(%signal, "ending"),
    }
    stop.send_replace(true);
    tokio::select! {
        ended = &mut agent => ended?,
        signal = signals.next() => anyhow::bail!("{signal} again: aborted"),
    }
    if in_cluster {
        tokio::time::sleep(LAST_WORD).await;
    }
    Ok(())
}

async fn follow_cluster(
    args: &Args,
    status: watch::Receiver<weir_api::NodeFlowExportStatus>,
    metrics: &Arc<weir_node::metrics::Metrics>,
) -> anyhow::Result<watch::Receiver<Option<Desired>>> {
    let source = kube_source::ClusterSource {
        client: kubernetes::connect(args.kubeconfig.as_deref(), Retries::None).await?,
        node_name: args.node_name.clone(),
        watch_timeout: kubernetes::WATCH_TIMEOUT,
    };
    Ok(kube_source::spawn(source, status, Arc::clone(metrics)))
}
