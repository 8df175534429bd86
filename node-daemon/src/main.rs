//! `weir-node`: arguments, log, sources, loop, exit code.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;
use weir_node::args::{Args, LogFormat};
use weir_node::shutdown::Signals;
use weir_node::{AgentConfig, Desired, agent, file_source, http, kube_source};

/// How long the last status may take to reach the API server.
const LAST_WORD: Duration = kube_source::SETTLE.saturating_mul(2);

fn main() -> ExitCode {
    let args = match Args::parse().validate() {
        Ok(args) => args,
        Err(error) => Args::command()
            .error(clap::error::ErrorKind::ArgumentConflict, error)
            .exit(),
    };
    start_log(args.log_format);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(error) => Err(anyhow::Error::new(error).context("cannot start")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            // As for wrong options: the user has to change something.
            let usage = error.is::<file_source::FileError>();
            ExitCode::from(if usage { 2 } else { 1 })
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
        let bound = http::spawn(address, metrics).await;
        let bound = bound.with_context(|| format!("cannot listen on {address}"))?;
        tracing::info!(address = %bound, "serving http");
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
        signal = signals.next() => tracing::info!(signal, "ending"),
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
    let config = match &args.kubeconfig {
        None => kube::Config::infer().await.context("no cluster to reach")?,
        Some(path) => {
            let file = kube::config::Kubeconfig::read_from(path).context("--kubeconfig")?;
            let config = kube::Config::from_custom_kubeconfig(file, &Default::default()).await;
            config.with_context(|| format!("--kubeconfig {}", path.display()))?
        }
    };
    let source = kube_source::ClusterSource {
        client: kube_source::client(config).context("cannot reach the cluster")?,
        node_name: args.node_name.clone(),
        watch_timeout: kube_source::WATCH_TIMEOUT,
    };
    Ok(kube_source::spawn(source, status, Arc::clone(metrics)))
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
