//! `weir-controller`: arguments, logs, client, tasks, and a clean stop.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;
use weir_controller::election::Candidate;
use weir_controller::metrics::Metrics;
use weir_controller::reconcile::Reconciler;
use weir_controller::settings::{LogFormat, Settings};
use weir_controller::write::ApiWriter;
use weir_controller::{http, watch as watches};

/// What is logged when RUST_LOG does not say; of failed requests, `kube` tells
/// what the controller tells once more and better.
const LOGGED: &str = "info,kube_client=off";

/// How long each task may take to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let settings = Settings::parse();
    start_log(settings.log_format);
    let stop = stop_signal()?;
    let client = connect(&settings).await?;
    let metrics = Metrics::new();
    let (missing, listed) = watch::channel(vec!["everything"]);
    let mut server = serve(&settings, metrics.clone(), listed).await?;
    let (stop_election, mut election, leads) = stand(&settings, &client)?;
    let (stop_loop, stopped) = watch::channel(false);
    let source = settings.source_settings();
    let writer = ApiWriter::new(
        &client,
        source.source,
        &settings.namespace,
        settings.write_patience(),
    );
    let events = watches::events(
        &client,
        &metrics,
        source.source,
        settings.daemons(),
        &settings.namespace,
    );
    let reconciler = Reconciler::new(writer, metrics, missing, source, settings.progress_deadline);
    let mut reconciler = tokio::spawn(reconciler.run(events, leads, stopped));
    let ended = tokio::select! {
        () = stop => None,
        _ = &mut reconciler => Some("the reconciler"),
        _ = &mut election => Some("the election"),
        _ = &mut server => Some("the HTTP server"),
    };
    // Specs first, the Lease last: the next leader finds nothing under way.
    stop_loop.send_replace(true);
    finish(reconciler).await;
    stop_election.send_replace(true);
    finish(election).await;
    if let Some(part) = ended {
        bail!("{part} ended by itself");
    }
    tracing::info!("stopped");
    Ok(())
}

fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
}

/// Resolves at the first SIGTERM or SIGINT; the second ends the process.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (first, mut seen) = watch::channel(false);
    tokio::spawn(async move {
        for count in 1.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if count > 1 {
                abort();
            }
            first.send_replace(true);
        }
    });
    Ok(async move {
        // The sender lives as long as the process.
        let _ = seen.changed().await;
    })
}

#[allow(clippy::disallowed_methods, reason = "main decides the exit code")]
fn abort() -> ! {
    std::process::exit(130)
}

async fn connect(settings: &Settings) -> Result<Client> {
    let mut config = match &settings.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).with_context(|| format!("reading {}", path.display()))?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?
        }
        None => Config::infer().await.context("finding the API server")?,
    };
    watches::bound(&mut config);
    Ok(Client::try_from(config)?)
}

async fn serve(settings: &Settings, metrics: Metrics, missing: http::Missing) -> Result<JoinHandle<()>> {
    let Some(address) = settings.http else {
        return Ok(tokio::spawn(std::future::pending()));
    };
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "serving HTTP");
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, http::routes(metrics, missing)).await {
            tracing::error!(%error, "the HTTP server failed");
        }
    }))
}

type Election = (watch::Sender<bool>, JoinHandle<()>, watch::Receiver<bool>);

/// Takes part in the election, or leads without one.
fn stand(settings: &Settings, client: &Client) -> Result<Election> {
    let (stop, mut stopped) = watch::channel(false);
    let (leads, leader) = watch::channel(settings.no_leader_election);
    if settings.no_leader_election {
        let task = tokio::spawn(async move {
            let _ = stopped.changed().await;
            drop(leads);
        });
        return Ok((stop, task, leader));
    }
    let terms = settings.terms().map_err(anyhow::Error::msg)?;
    let api = Api::namespaced(client.clone(), &settings.namespace);
    let candidate = Candidate::new(
        api,
        settings.lease_name.clone(),
        settings.identity(),
        terms,
        leads,
    );
    Ok((stop, tokio::spawn(candidate.run(stopped)), leader))
}

async fn finish(task: JoinHandle<()>) {
    // A task that has ended already panics when it is polled again.
    if !task.is_finished() && timeout(STOP_DEADLINE, task).await.is_err() {
        tracing::warn!("a task did not stop in time");
    }
}
