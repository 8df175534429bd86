//! The wiring: which part hands what to which, how they start and how they stop.
//!
//! ```text
//! receive -> decode -> normalise -> enrich ==queue==> sink
//! (one thread a socket, all four steps)               (one thread)
//!                         names ^ snapshot, swapped by one task
//! ```
//!
//! Stopping walks the same way: the workers read out their sockets and end, the
//! queue closes with the last of them, the sink empties it and ends.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::health::Health;
use crate::http::{self, Pages};
use crate::identity::{Snapshot, Source, cluster, switch};
use crate::metrics::Metrics;
use crate::queue;
use crate::receive::{self, BindError};
use crate::running::{Ended, Part, Running};
use crate::sink::{self, Sink};
use crate::worker::Worker;

/// Records that may wait for the sink, unless told otherwise: about 50 MiB.
pub const QUEUE_RECORDS: usize = 65_536;

/// What a collector is to do.
#[derive(Debug)]
pub struct Config {
    /// UDP sockets; each takes every protocol.
    pub listen: Vec<SocketAddr>,
    /// Where metrics and readiness are served.
    pub http: SocketAddr,
    /// Where names come from.
    pub names: Source,
    /// What becomes of the records.
    pub sink: Sink,
    /// Records that may wait for the sink.
    pub queue_records: usize,
}

/// Where a collector listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// UDP sockets, in the order in which they were asked for.
    pub udp: Vec<SocketAddr>,
    /// HTTP.
    pub http: SocketAddr,
}

/// A collector could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// A UDP socket could not be opened.
    #[error(transparent)]
    Listen(#[from] BindError),
    /// The HTTP socket could not be opened.
    #[error("cannot serve HTTP on {0}")]
    Http(SocketAddr, #[source] io::Error),
    /// The cluster cannot be watched.
    #[error(transparent)]
    Cluster(#[from] cluster::ClusterError),
    /// The system refused a thread or a pipe.
    #[error("cannot start a part")]
    Spawn(#[source] io::Error),
}

/// Receives flow records, names them, hands them to a sink.
#[derive(Debug)]
pub struct Collector;

impl Collector {
    /// Opens the sockets and starts all parts. Call within a tokio runtime.
    ///
    /// # Errors
    /// A socket cannot be opened or there is no way to the cluster; nothing runs then.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let sockets = config
            .listen
            .iter()
            .map(|a| receive::bind(*a))
            .collect::<Result<Vec<_>, _>>()?;
        let http_failed = |error| StartError::Http(config.http, error);
        let listener = TcpListener::bind(config.http).await.map_err(http_failed)?;
        let udp = sockets
            .iter()
            .map(|s| s.local_addr().map_err(StartError::Spawn))
            .collect::<Result<_, _>>()?;
        let addresses = Addresses {
            udp,
            http: listener.local_addr().map_err(http_failed)?,
        };

        let parts = Parts::new(config.names).await?;
        let (stop_reader, stop_workers) = io::pipe().map_err(StartError::Spawn)?;
        let (ended, ends) = mpsc::channel(addresses.udp.len() + 2);
        let (sender, inbox) = queue::queue(config.queue_records, Arc::clone(&parts.metrics));
        for (socket, address) in sockets.into_iter().zip(&addresses.udp) {
            let mut worker = Worker::new(&parts.metrics, parts.snapshots.clone(), sender.clone());
            let stop = stop_reader.try_clone().map_err(StartError::Spawn)?;
            let drops = parts.metrics.kernel_drops();
            let receive = move || receive::run(&socket, &stop, drops, &mut worker).map_err(|e| e.to_string());
            Ended::spawn(Part::Worker(*address), &ended, receive).map_err(StartError::Spawn)?;
        }
        let (metrics, health) = (Arc::clone(&parts.metrics), Arc::clone(&parts.health));
        let write = move || {
            sink::run(config.sink, &inbox, metrics, &health);
            Ok(())
        };
        Ended::spawn(Part::Sink, &ended, write).map_err(StartError::Spawn)?;
        let (stop_http, stopped) = watch::channel(false);
        let serve = http::serve(listener, parts.pages(), stopped);
        tokio::spawn(async move {
            let guard = Ended::guard(Part::Http, &ended);
            guard.report(serve.await.map_err(|e| e.to_string()));
        });
        parts.health.set_sockets(Ok(()));
        Ok(Running::new(
            addresses,
            stop_workers,
            stop_http,
            ends,
            parts.pages(),
            parts.names,
        ))
    }
}

/// What the parts share.
struct Parts {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    snapshots: watch::Receiver<Snapshot>,
    names: JoinSet<()>,
}

impl Parts {
    /// Starts the task that keeps the names, if there is anything to keep.
    async fn new(source: Source) -> Result<Self, StartError> {
        let health = Arc::new(Health::default());
        let (names, snapshots) = watch::channel(Snapshot::default());
        let mut tasks = JoinSet::new();
        let not_read = || Err("not read yet".to_owned());
        match source {
            Source::None => {}
            Source::Cluster { kubeconfig } => {
                let client = cluster::connect(kubeconfig).await?;
                health.set_identity(not_read());
                tasks.spawn(cluster::follow(client, names, Arc::clone(&health)));
            }
            Source::Switches { endpoints, node_name } => {
                health.set_identity(not_read());
                tasks.spawn(switch::follow(endpoints, node_name, names, Arc::clone(&health)));
            }
        }
        Ok(Self {
            metrics: Arc::default(),
            health,
            snapshots,
            names: tasks,
        })
    }

    fn pages(&self) -> Pages {
        Pages {
            metrics: Arc::clone(&self.metrics),
            health: Arc::clone(&self.health),
        }
    }
}
