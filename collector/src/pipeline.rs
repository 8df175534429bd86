//! The wiring: which part hands what to which, how they start and how they stop.
//!
//! ```text
//! receive -> decode -> normalise -> enrich ==queue==> sink
//! (one thread a core, all four steps)                 (one thread)
//!                         names ^ snapshot, swapped by one task
//! ```
//!
//! Stopping walks the same way: the workers read out their sockets and end, the
//! queue closes with the last of them, the sink empties it and ends.

use std::io::{self, PipeWriter};
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::allow::Allow;
use crate::health::Health;
use crate::http::{self, Pages};
use crate::identity::{Snapshot, Source, cluster, switch};
use crate::metrics::Metrics;
use crate::queue;
use crate::receive::{self, BindError};
use crate::running::{Ended, Part, Running};
use crate::sink::{self, Sink};
use crate::worker::Worker;

/// Records that may wait for the sink, unless told otherwise: 64 MiB at most.
pub const QUEUE_RECORDS: usize = 65_536;

/// A receiving thread for each core that this process may run on.
pub fn default_workers() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// What a collector is to do.
#[derive(Debug)]
pub struct Config {
    /// UDP addresses; each takes every protocol.
    pub listen: Vec<SocketAddr>,
    /// Receiving threads, each with a socket for each UDP address.
    pub workers: NonZeroUsize,
    /// Who may send.
    pub allow: Allow,
    /// Where metrics and readiness are served.
    pub http: SocketAddr,
    /// Where names come from.
    pub names: Source,
    /// What becomes of the records.
    pub sink: Sink,
    /// Records that may wait for the sink.
    pub queue_records: usize,
}

impl Default for Config {
    /// No UDP address, any port for HTTP on loopback, no names; records are let go.
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            workers: default_workers(),
            allow: Allow::default(),
            http: ([127, 0, 0, 1], 0).into(),
            names: Source::None,
            sink: Sink::Discard,
            queue_records: QUEUE_RECORDS,
        }
    }
}

/// Where a collector listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// UDP, in the order in which they were asked for.
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
        let sockets = Sockets::bind(&config.listen, config.workers)?;
        let http_failed = |error| StartError::Http(config.http, error);
        let listener = TcpListener::bind(config.http).await.map_err(http_failed)?;
        let addresses = Addresses {
            udp: sockets.addresses().map_err(StartError::Spawn)?,
            http: listener.local_addr().map_err(http_failed)?,
        };

        let parts = Parts::new(config.names, config.allow).await?;
        let workers = config.workers.get();
        let running: Vec<_> = (0..workers)
            .map(Part::Worker)
            .chain([Part::Sink, Part::Http])
            .collect();
        let (ended, ends) = mpsc::channel(running.len());
        let (sender, inbox) = queue::queue(config.queue_records, Arc::clone(&parts.metrics));
        let stop_workers = parts
            .receive(sockets, workers, sender, &ended)
            .map_err(StartError::Spawn)?;
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
            running,
        ))
    }
}

/// The UDP sockets: for each address, one for each worker.
struct Sockets(Vec<Vec<UdpSocket>>);

impl Sockets {
    fn bind(addresses: &[SocketAddr], workers: NonZeroUsize) -> Result<Self, BindError> {
        let groups = addresses.iter().map(|address| receive::bind(*address, workers));
        groups.collect::<Result<_, _>>().map(Self)
    }

    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.0.iter().map(|group| group[0].local_addr()).collect()
    }

    fn of_worker(&self, n: usize) -> impl Iterator<Item = &UdpSocket> {
        self.0.iter().map(move |group| &group[n])
    }
}

/// What the parts share.
struct Parts {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    snapshots: watch::Receiver<Snapshot>,
    names: JoinSet<()>,
    allow: Arc<Allow>,
}

impl Parts {
    /// Starts the task that keeps the names, if there is anything to keep.
    async fn new(source: Source, allow: Allow) -> Result<Self, StartError> {
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
            allow: Arc::new(allow),
        })
    }

    fn worker(&self, sender: queue::Sender) -> Worker {
        Worker::new(
            &self.metrics,
            Arc::clone(&self.allow),
            self.snapshots.clone(),
            sender,
        )
    }

    /// Starts the receiving threads. They end when what is returned is dropped.
    fn receive(
        &self,
        sockets: Sockets,
        workers: usize,
        sender: queue::Sender,
        ended: &mpsc::Sender<Ended>,
    ) -> io::Result<PipeWriter> {
        let (stop_reader, stop) = io::pipe()?;
        // All stay open until the last worker has ended: see `receive::run`.
        let sockets = Arc::new(sockets);
        for n in 0..workers {
            let (sockets, mut worker) = (Arc::clone(&sockets), self.worker(sender.clone()));
            let (stop, drops) = (stop_reader.try_clone()?, self.metrics.kernel_drops());
            let receive = move || {
                receive::run(sockets.of_worker(n), &stop, &drops, &mut worker).map_err(|e| e.to_string())
            };
            Ended::spawn(Part::Worker(n), ended, receive)?;
        }
        Ok(stop)
    }

    fn pages(&self) -> Pages {
        Pages {
            metrics: Arc::clone(&self.metrics),
            health: Arc::clone(&self.health),
        }
    }
}
