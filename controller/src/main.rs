//! `weir-controller`: arguments, logs, client, tasks, and a clean stop.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use weir_controller::cluster_state::ClusterState;
use weir_controller::collector_client::CollectorClient;
use weir_controller::election::{Candidate, Leadership};
use weir_controller::metrics::Metrics;
use weir_controller::reconcile::{CollectorWatch, Reconciler};
use weir_controller::settings::Settings;
use weir_controller::watch::Kinds;
use weir_controller::write::ApiWriter;
use weir_controller::{http, watch as watches};
use weir_process::kubernetes::{self, Retries};
use weir_process::log;
use weir_process::signals::Signals;

/// How long each task may take to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    log::start(settings.log.log_format, log::DAEMON);
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => log::failure(error.as_ref()),
    }
}

async fn run(settings: Settings) -> Result<()> {
    let mut signals = Signals::install().context("cannot take signals")?;
    let client = kubernetes::connect(settings.kubeconfig.as_deref(), Retries::None).await?;
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
    let collector = settings.collector().map_err(anyhow::Error::msg)?;
    let kinds = Kinds {
        source: source.source,
        daemons: settings.daemons(),
        collector: collector.service.as_ref(),
        namespace: &settings.namespace,
    };
    let events = watches::events(&client, &metrics, kinds);
    let cluster = ClusterState::new(source).with_collector(collector);
    let asked = CollectorWatch::new(CollectorClient::new(client), settings.collector_interval);
    let deadline = settings.progress_deadline;
    let reconciler = Reconciler::new(writer, metrics, missing, cluster, asked, deadline);
    let mut reconciler = tokio::spawn(reconciler.run(events, leads, stopped));
    let ended = tokio::select! {
        signal = signals.next() => {
            tracing::info!(%signal, "ending");
            None
        }
        _ = &mut reconciler => Some("the reconciler"),
        _ = &mut election => Some("the election"),
        _ = &mut server => Some("the HTTP server"),
    };
    // Specs first, the Lease last: the next leader finds nothing under way.
    let stop = async {
        stop_loop.send_replace(true);
        finish(reconciler).await;
        stop_election.send_replace(true);
        finish(election).await;
    };
    tokio::select! {
        () = stop => {}
        signal = signals.next() => bail!("{signal} again: aborted"),
    }
    if let Some(part) = ended {
        bail!("{part} ended by itself");
    }
    tracing::info!("stopped");
    Ok(())
}

async fn serve(settings: &Settings, metrics: Metrics, missing: http::Missing) -> Result<JoinHandle<()>> {
    let Some(address) = settings.http else {
        return Ok(tokio::spawn(std::future::pending()));
    };
    let served = weir_process::http::spawn(address, http::pages(metrics, missing)).await;
    let (_, server) = served.with_context(|| format!("cannot listen on {address}"))?;
    Ok(server)
}

type Election = (watch::Sender<bool>, JoinHandle<()>, watch::Receiver<Leadership>);

/// Takes part in the election, or leads without one.
fn stand(settings: &Settings, client: &Client) -> Result<Election> {
    let (stop, mut stopped) = watch::channel(false);
    let alone = Leadership {
        leads: settings.no_leader_election,
        led_until: None,
    };
    let (leads, leader) = watch::channel(alone);
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
