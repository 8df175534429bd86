//! `weir up`: file, node daemon and collector in one process.
//!
//! The collector listens before OVS is told to send: a refused datagram costs
//! OVS the next one, and with it half of its templates. At the end it is the
//! other way round, so that what OVS flushes is still received.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use weir_api::NodeFlowExportStatus;
use weir_collector::args::{
    ExporterArgs, FileArgs, NorthboundArgs, PolicyArgs, Print, StoreArgs, default_listen,
};
use weir_collector::{Collector, Config, NameSource, Running, Sink, SwitchSources};
use weir_node::{AgentConfig, AgentError, OnExit, agent, file_source};
use weir_process::error::chain;
use weir_process::signals::Signals;

use crate::node::NodeArgs;
use crate::state::DataDirectory;

/// How long OVS gets to flush its caches after it was told to stop.
const FLUSH: Duration = Duration::from_millis(300);

/// Arguments of `weir up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// The Network, or the patch of it (`spec:` alone); followed while running
    #[arg(long, value_name = "FILE")]
    network: PathBuf,
    #[command(flatten)]
    node: NodeArgs,
    /// UDP address to receive on; may be repeated. Every protocol is understood
    /// on every address [default: ports 2055, 2056, 4739, 6343 of all addresses]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Vec<SocketAddr>,
    /// Where / (the web UI), /api, /metrics, /healthz and /readyz are served
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// What to print on standard output; logs go to standard error
    #[arg(long, value_enum, default_value_t = Print::Json)]
    print: Print,
    /// Where flows are kept, and what `weir status --data-dir` shows
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    files: FileArgs,

    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    exporters: ExporterArgs,
    #[command(flatten)]
    northbound: NorthboundArgs,
}

/// Runs until a signal.
///
/// # Errors
/// A file, an address or the data directory cannot be used, or a part died.
pub async fn run(args: UpArgs) -> Result<ExitCode> {
    let mut signals = Signals::install().context("cannot take signals")?;
    if let Err(error) = weir_collector::open_files::raise_limit() {
        tracing::warn!(%error, "no more files may be open than at first");
    }
    let node = args.node.name()?;
    let mut config = AgentConfig::new(&node, args.node.ovsdb.clone());
    config.on_exit = OnExit::Clear;
    let desired = file_source::spawn(
        args.node.files(args.network.clone())?,
        Arc::clone(&config.metrics),
    )?;
    let directory = args
        .store
        .data_dir
        .as_deref()
        .map(DataDirectory::take)
        .transpose()?;
    let mut running = start_collector(&args, &node).await?;
    tracing::info!(udp = ?running.addresses().udp, http = %running.addresses().http, "listening");
    tell_of_ui(running.addresses().http);

    let (status, told) = watch::channel(NodeFlowExportStatus::default());
    let (stop, mut stopped) = watch::channel(false);
    let mut agent = tokio::spawn(agent::run(config, desired, status, async move {
        // An error means that nobody can ask any more: the same.
        let _ = stopped.wait_for(|stop| *stop).await;
    }));
    let keeper = tokio::spawn(keep_state(directory, node, told));
    let outcome = tokio::select! {
        ended = &mut agent => ended?.map_err(Into::into),
        error = running.ended() => clear(&stop, &mut agent, &mut signals).await.and(Err(error.into())),
        signal = signals.next() => {
            tracing::info!(%signal, "ending: removing what was set");
            clear(&stop, &mut agent, &mut signals).await
        }
    };
    let stop = async {
        tokio::time::sleep(FLUSH).await;
        running.stop().await
    };
    // Whoever reads standard output may take long, or never read it.
    let stopped = tokio::select! {
        stopped = stop => stopped,
        signal = signals.next() => {
            anyhow::bail!("{signal} again: aborted; records that were on their way are lost")
        }
    };
    // Ends with the agent, whose status it follows, and removes its file.
    keeper.await?;
    outcome?;
    stopped?;
    Ok(ExitCode::SUCCESS)
}

fn tell_of_ui(http: SocketAddr) {
    match weir_collector::http::ui::is_built_in() {
        true => tracing::info!("the web UI is at http://{http}/"),
        false => tracing::info!("there is no web UI in this program: run `make ui` before it is built"),
    }
}

/// Lets the agent remove its rows and end.
async fn clear(
    stop: &watch::Sender<bool>,
    agent: &mut JoinHandle<Result<(), AgentError>>,
    signals: &mut Signals,
) -> Result<()> {
    stop.send_replace(true);
    tokio::select! {
        ended = &mut *agent => Ok(ended??),
        signal = signals.next() => {
            // It may hang on OVSDB, and those who follow it with it.
            agent.abort();
            anyhow::bail!("{signal} again: aborted; rows may be left in OVSDB")
        }
    }
}

/// Writes each status to the data directory until the agent ends.
async fn keep_state(
    directory: Option<DataDirectory>,
    node: String,
    mut told: watch::Receiver<NodeFlowExportStatus>,
) {
    while told.changed().await.is_ok() {
        let status = told.borrow_and_update().clone();
        let Some(directory) = &directory else { continue };
        if let Err(error) = directory.write(&node, &status) {
            tracing::error!("{}", chain(error.as_ref()));
        }
    }
}

async fn start_collector(args: &UpArgs, node: &str) -> Result<Running> {
    Ok(Collector::start(collector_config(args, node)).await?)
}

/// What the collector is to do.
fn collector_config(args: &UpArgs, node: &str) -> Config {
    Config {
        listen: if args.listen.is_empty() {
            default_listen()
        } else {
            args.listen.clone()
        },
        http: args.http,
        names: NameSource::Switches(SwitchSources {
            endpoints: vec![args.node.ovsdb.clone()],
            node_name: Some(node.to_owned()),
            northbound: args.northbound.endpoint(),
        }),
        subnet_labels: args.files.subnet_labels.clone(),
        flow_metrics: args.files.flow_metrics(),
        policies: args.policies.sources(),
        sinks: args.files.sinks.clone(),
        sink: match args.print {
            Print::Json => Sink::stdout(),
            Print::None => Sink::Discard,
        },
        exporters: args.exporters.clone().policy(),
        store: args.store.settings(),
        state_dir: args.files.state_dir.clone(),
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        up: UpArgs,
    }

    #[tokio::test]
    async fn an_agent_that_hangs_ends_at_the_second_signal() {
        let mut signals = Signals::install().unwrap();
        let (status, told) = watch::channel(NodeFlowExportStatus::default());
        let mut agent = tokio::spawn(async move {
            let _status = status;
            std::future::pending().await
        });
        let keeper = tokio::spawn(keep_state(None, "node-a".to_owned(), told));
        let (stop, _) = watch::channel(false);
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
        let cleared = clear(&stop, &mut agent, &mut signals).await;
        assert!(cleared.unwrap_err().to_string().contains("aborted"));
        keeper.await.unwrap();
    }

    #[test]
    fn the_collector_gets_the_directories_and_the_labels_that_were_asked_for() {
        let line = "weir --network n --listen 127.0.0.1:0 --data-dir d --state-dir s --subnet-labels l --flow-metrics m --predefined-flow-metrics node_flows_total,workload_flows_total \
                    --relay 192.0.2.0/24";
        let args = Line::try_parse_from(line.split(' ')).unwrap().up;
        let config = collector_config(&args, "node-a");
        assert!(config.exporters.trust.is_relay([192, 0, 2, 1].into()));
        assert_eq!(config.state_dir.as_deref(), Some(Path::new("s")));
        assert_eq!(config.subnet_labels.as_deref(), Some(Path::new("l")));
        assert_eq!(config.flow_metrics.path.as_deref(), Some(Path::new("m")));
        assert_eq!(config.flow_metrics.predefined.len(), 2);
        assert_eq!(config.store.unwrap().directory, Path::new("d"));
        let args = Line::try_parse_from(["weir", "--network", "n"]).unwrap().up;
        let config = collector_config(&args, "node-a");
        assert!(config.state_dir.is_none() && config.subnet_labels.is_none() && config.store.is_none());
    }
}
