//! The wiring: which part hands what to which, how they start and how they stop.
//!
//! ```text
//! receive -> decode -> normalise -> enrich -> judge -> count -> rows of the store ==its log==> printer, tails
//! (a thread a core, a task a connection)                    |                     (a thread each)
//!              |          names ^     FlowMetrics ^         +==a log in memory==> printer, without a store
//!              |                snapshot, swapped by one task
//!              +==templates==> file (one thread)
//! ```
//!
//! Each thread that receives makes rows of its records itself, so that none of them is
//! where all have to pass. Stopping walks the same way: the workers read out their sockets
//! and end, the log closes with the last of them: the store makes segments of what it has in
//! memory, and the printer prints what waits for it and ends.

use std::io::{self, PipeWriter, Write};
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use serde::Serialize;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use weir_identity::Snapshot;
use weir_identity::subnets::Labels;
use weir_process::kubernetes::Retries;
use weir_query::{Embedded, Engine};
use weir_store::{LogReader, MemoryLog, Recovery, Settings};
use wire::Limits;

use crate::api::reviews::Reviews;
use crate::api::{Api, Gate};
use crate::args::NodeDaemon;
use crate::config::{Config, datagram_limits};
use crate::containment::quieten_contained_panics;
use crate::decode::ExporterState;
use crate::enrich::NameRoom;
use crate::exports::ExportObjects;
use crate::flow_metrics::{FlowMetrics, estimator};
use crate::health::Health;
use crate::http::{self, Keeper, Pages, Server};
use crate::metrics::Metrics;
use crate::names::flow_collector;
use crate::names::subnet_labels::{self, LabelFile, LabelSources};
use crate::names::{NameSource, kubernetes, ovsdb};
use crate::outlet::{Outlet, UntilClosed};
use crate::policies::{Policies, PolicyObjects};
use crate::receive::{self, BindError};
use crate::running::{Ended, Part, Running, Stops};
use crate::sink::{self, Sink};
use crate::sinks::{self, Sinks};
use crate::stream::{self, Listener, StreamError};
use crate::templates::{StateError, TemplateFile, Templates, Writer};
use crate::tls::TlsError;
use crate::worker::WorkerShared;

/// Where a collector listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// UDP, in the order in which they were asked for.
    pub udp: Vec<SocketAddr>,
    /// IPFIX over TCP, likewise.
    pub tcp: Vec<SocketAddr>,
    /// IPFIX over TLS, likewise.
    pub tls: Vec<SocketAddr>,
    /// HTTP.
    pub http: SocketAddr,
}

/// A collector could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// A UDP socket could not be opened.
    #[error(transparent)]
    Listen(#[from] BindError),
    /// A TCP socket could not be opened, or TLS not be spoken.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The HTTP socket could not be opened.
    #[error("cannot serve HTTP on {0}")]
    Http(SocketAddr, #[source] io::Error),
    /// HTTPS cannot be spoken with these files.
    #[error(transparent)]
    HttpTls(#[from] TlsError),
    /// The cluster cannot be watched.
    #[error(transparent)]
    Cluster(#[from] weir_process::kubernetes::ConnectError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] weir_store::OpenError),
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
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
        quieten_contained_panics();
        let sockets = Sockets::bind(&config.listen, config.workers)?;
        let listeners = stream::bind(&config.streams).await?;
        let http_failed = |error| StartError::Http(config.http, error);
        let web = TcpListener::bind(config.http).await.map_err(http_failed)?;
        let of_kind = |tls| {
            listeners
                .iter()
                .filter(move |l| l.is_tls() == tls)
                .map(|l| l.address)
        };
        let addresses = Addresses {
            udp: sockets.addresses().map_err(StartError::Spawn)?,
            tcp: of_kind(false).collect(),
            tls: of_kind(true).collect(),
            http: web.local_addr().map_err(http_failed)?,
        };

        let running = parts(&config, &listeners);
        let (ended, ends) = mpsc::channel(running.len());

        if config.allow.needs_names() && matches!(config.names, NameSource::None) {
            tracing::warn!("cluster-nodes may send, but there is no source of names that tells who they are");
        }
        let mut policy = config.exporters;
        policy.trust.has_names = !matches!(config.names, NameSource::None);
        let memory = (config.name_history, config.node_daemon);
        let has_cluster = matches!(config.names, NameSource::Cluster { .. });
        let mut policies = Policies::new(&config.policies, has_cluster);
        let of_names = policies.of_names(&config.policies);
        let mut names = Names::follow(config.names, memory, config.subnet_labels, of_names).await?;
        let flow_metrics = FlowMetrics::new(config.workers.get());
        let is_open = config.flow_metrics.open;
        flow_metrics.follow(config.flow_metrics, names.cluster.as_ref(), &mut names.tasks);
        let export_objects = names.cluster.clone().map(ExportObjects::new);
        let keeper = Keeper::start(&config.http_server, names.cluster.take())?;
        let web = Server::new(web, config.http_server, keeper.as_ref());
        if let Some(keeper) = keeper {
            names.tasks.spawn(keeper.run());
        }
        let data_directory = config.store.as_ref().map(|store| store.directory.clone());
        let store = Store::open(config.store).await?;
        let reader = store.reader.clone();
        let mut metrics = Metrics::default();
        metrics.watch_flow_metrics(flow_metrics.clone());
        let sinks = Sinks::default();
        let until_the_end = sinks.end_on_drop();
        metrics.watch_sinks(sinks.clone());
        if let Some(reader) = &reader {
            metrics.watch_store(reader.clone());
            names.health.watch_store(reader.clone());
        }
        let metrics = Arc::new(metrics);
        let state = data_directory.as_deref().or(config.state_dir.as_deref());
        let counts = metrics.policies();
        let objects = policies.objects.clone();
        if let Some(objects) = &objects {
            names.health.watch_policies(objects.clone());
        }
        policies.follow(
            config.policies,
            names.watched.as_ref(),
            state,
            counts,
            &mut names.tasks,
        );
        let (outlet, behind) =
            BehindOutlet::new(config.sink, config.queue_bytes, store, &metrics).map_err(StartError::Spawn)?;
        let shared = WorkerShared {
            metrics: Arc::clone(&metrics),
            allow: Arc::new(config.allow),
            snapshots: names.snapshots.clone(),
            exporters: ExporterState {
                policy: Arc::new(policy),
                registry: Arc::clone(metrics.exporters()),
                ..ExporterState::default()
            },
            labels: names.labels,
            flow_metrics: flow_metrics.clone(),
            policies: policies.versions(),
            outlet,
        };
        let templates = match &config.state_dir {
            Some(directory) => keep_templates(directory, &metrics, &ended)?,
            None => Templates::default(),
        };
        let gate = Gate::of(addresses.http, names.reviews);
        let pages = Pages {
            metrics: Arc::clone(&metrics),
            health: names.health,
            flow_metrics: flow_metrics.clone(),
            scrapers: (!is_open).then(|| gate.clone()),
        };
        if let Some((path, reader)) = config.sinks.zip(reader.clone()) {
            let sinks = sinks.clone();
            let run = move || {
                sinks::run(&sinks, path, reader);
                Ok(())
            };
            Ended::spawn(Part::Sinks, &ended, run).map_err(StartError::Spawn)?;
        }
        let questions = reader.map(|reader| Arc::new(Embedded::new(reader)) as Arc<dyn Engine>);
        let api = Api::start(
            gate,
            questions,
            objects,
            names.snapshots,
            Arc::clone(&metrics),
            flow_metrics.clone(),
            export_objects,
        );
        let api = api.map_err(StartError::Spawn)?;
        names.tasks.spawn(estimator::follow(flow_metrics, api.clone()));
        let stops = Stops {
            workers: receive_datagrams(sockets, config.workers, &shared, &templates, &ended)
                .map_err(StartError::Spawn)?,
            listeners: receive_streams(listeners, shared, &ended),
            http: serve_pages(web, pages.clone(), api, &ended),
            sinks: until_the_end,
        };
        behind.start(&pages, &ended).map_err(StartError::Spawn)?;
        pages.health.set_sockets(Ok(()));
        Ok(Running::new(addresses, stops, ends, pages, names.tasks, running))
    }
}

/// What becomes of records behind the outlet, before its threads run: until then a store
/// is closed by who drops this.
enum BehindOutlet {
    /// They are let go.
    Nothing,
    /// They are printed.
    Printed {
        out: Box<dyn Write + Send>,
        log: (MemoryLog, usize),
        until_closed: UntilClosed,
    },
    /// They are in the store, which is closed in the end, and printed as well.
    Store {
        store: weir_store::Writer,
        until_closed: UntilClosed,
        printed: Option<(Box<dyn Write + Send>, LogReader)>,
    },
}

impl BehindOutlet {
    /// The outlet, and what is behind it.
    fn new(
        sink: Sink,
        queue_bytes: usize,
        store: Store,
        metrics: &Arc<Metrics>,
    ) -> io::Result<(Outlet, Self)> {
        let metrics = Arc::clone(metrics);
        if let (Some(writer), Some(reader)) = (store.writer, store.reader) {
            let printed = match sink {
                Sink::Discard => None,
                Sink::Json(out) => Some((out, sink::log_of(&reader, queue_bytes))),
            };
            let (outlet, until_closed) = Outlet::log(writer.appender().clone(), true, metrics);
            let behind = Self::Store {
                store: writer,
                until_closed,
                printed,
            };
            return Ok((outlet, behind));
        }
        let Sink::Json(out) = sink else {
            return Ok((Outlet::nowhere(metrics), Self::Nothing));
        };
        let log = MemoryLog::new()?;
        metrics.watch_log(log.log_status());
        let (outlet, until_closed) = Outlet::log(log.appender().clone(), false, metrics);
        let behind = Self::Printed {
            out,
            log: (log, queue_bytes),
            until_closed,
        };
        Ok((outlet, behind))
    }

    /// Starts the thread that prints, or closes the store in the end; beside a store the one
    /// that prints too. Both end when nobody has the outlet any more and all is done.
    fn start(self, pages: &Pages, ended: &mpsc::Sender<Ended>) -> io::Result<()> {
        let (metrics, health) = (Arc::clone(&pages.metrics), Arc::clone(&pages.health));
        match self {
            Self::Nothing => Ok(()),
            Self::Printed {
                out,
                log,
                until_closed,
            } => Ended::spawn(Part::Sink, ended, move || {
                sink::print_from_memory(out, log, &until_closed, (&metrics, &health));
                Ok(())
            }),
            Self::Store {
                store,
                until_closed,
                printed,
            } => {
                if let Some((out, log)) = printed {
                    let metrics = Arc::clone(&metrics);
                    Ended::spawn(Part::Printer, ended, move || {
                        sink::print_stored(out, log, &metrics);
                        Ok(())
                    })?;
                }
                Ended::spawn(Part::Sink, ended, move || {
                    sink::close_at_the_end(store, &until_closed, &metrics)
                })
            }
        }
    }
}

/// Both ends of the store, where there is one.
#[derive(Default)]
struct Store {
    writer: Option<weir_store::Writer>,
    reader: Option<weir_store::Reader>,
}

impl Store {
    /// Opens it and says what became of what a process before us had not sealed.
    async fn open(settings: Option<Settings>) -> Result<Self, StartError> {
        let Some(settings) = settings else {
            return Ok(Self::default());
        };
        let path = settings.directory.clone();
        // Reading a log takes a while.
        let opened = tokio::task::spawn_blocking(move || weir_store::open(settings)).await;
        let (writer, reader, recovery) = opened.map_err(|error| StartError::Spawn(error.into()))??;
        let Recovery {
            rows,
            lost_rows,
            torn_bytes,
            ..
        } = recovery;
        if recovery == Recovery::default() {
            tracing::info!(directory = %path.display(), "the store is open");
        } else {
            tracing::warn!(directory = %path.display(), rows, lost_rows, torn_bytes,
                "the store was not closed: what its log had is back, and what was not written in the last second is lost");
        }
        Ok(Self {
            writer: Some(writer),
            reader: Some(reader),
        })
    }
}

/// All that will run.
fn parts(config: &Config, listeners: &[Listener]) -> Vec<Part> {
    let workers = (0..config.workers.get()).map(Part::Worker);
    let streams = listeners.iter().map(|listener| Part::Listener(listener.address));
    let keeper = config.state_dir.iter().map(|_| Part::Templates);
    let (stores, prints) = (config.store.is_some(), matches!(config.sink, Sink::Json(_)));
    let sink = (stores || prints).then_some(Part::Sink);
    let printer = (stores && prints).then_some(Part::Printer);
    let sinks = (stores && config.sinks.is_some()).then_some(Part::Sinks);
    workers
        .chain(streams)
        .chain([Part::Http])
        .chain(sink)
        .chain(keeper)
        .chain(printer)
        .chain(sinks)
        .collect()
}

/// Reads the templates from before and starts the thread that writes them. It ends when
/// the last worker has.
fn keep_templates(
    directory: &Path,
    metrics: &Metrics,
    ended: &mpsc::Sender<Ended>,
) -> Result<Templates, StartError> {
    let file = TemplateFile::open(directory)?;
    let (templates, writer) = Templates::open(file, Limits::default(), metrics.templates_saved());
    let write = move || {
        Writer::run(writer);
        Ok(())
    };
    Ended::spawn(Part::Templates, ended, write).map_err(StartError::Spawn)?;
    Ok(templates)
}

/// Starts the receiving threads. They end when what is returned is dropped.
fn receive_datagrams(
    sockets: Sockets,
    workers: NonZeroUsize,
    shared: &WorkerShared,
    templates: &Templates,
    ended: &mpsc::Sender<Ended>,
) -> io::Result<PipeWriter> {
    let (stop_reader, stop) = io::pipe()?;
    // All stay open until the last worker has ended: see `receive::run`.
    let sockets = Arc::new(sockets);
    for n in 0..workers.get() {
        let sockets = Arc::clone(&sockets);
        let mut worker = shared.worker(datagram_limits(workers), NameRoom::THREAD);
        worker.recall(templates);
        let (stop, drops) = (stop_reader.try_clone()?, shared.metrics.kernel_drops());
        let receive = move || {
            let received = receive::run(sockets.of_worker(n), &stop, &drops, &mut worker);
            worker.finish();
            received.map_err(|e| e.to_string())
        };
        Ended::spawn(Part::Worker(n), ended, receive)?;
    }
    Ok(stop)
}

/// Starts a task for each address. They end when what is returned turns true.
fn receive_streams(
    listeners: Vec<Listener>,
    shared: WorkerShared,
    ended: &mpsc::Sender<Ended>,
) -> watch::Sender<bool> {
    let (stop, stopped) = watch::channel(false);
    for listener in listeners {
        let guard = Ended::guard(Part::Listener(listener.address), ended);
        let (shared, stopped) = (shared.clone(), stopped.clone());
        tokio::spawn(async move {
            listener.run(shared, stopped).await;
            guard.report(Ok(()));
        });
    }
    stop
}

/// Starts the HTTP server. It ends when what is returned turns true.
fn serve_pages(server: Server, pages: Pages, api: Api, ended: &mpsc::Sender<Ended>) -> watch::Sender<bool> {
    let (stop, stopped) = watch::channel(false);
    let guard = Ended::guard(Part::Http, ended);
    tokio::spawn(async move {
        http::serve(server, pages, api, stopped).await;
        guard.report(Ok(()));
    });
    stop
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

/// The names, as they are now, and the task that keeps them.
struct Names {
    health: Arc<Health>,
    snapshots: watch::Receiver<Snapshot>,
    labels: watch::Receiver<Arc<Labels>>,
    tasks: JoinSet<()>,
    /// The cluster that names come from, if they do.
    cluster: Option<Client>,
    /// The same for watches, which must hear at once that they are broken.
    watched: Option<Client>,
    /// Who may see flows, where names come from Kubernetes.
    reviews: Option<Reviews>,
}

impl Names {
    /// Starts the tasks, if there is anything to keep.
    async fn follow(
        source: NameSource,
        (history, node_daemon): (Duration, NodeDaemon),
        label_file: Option<PathBuf>,
        policies: Option<PolicyObjects>,
    ) -> Result<Self, StartError> {
        let health = Arc::new(Health::default());
        let (names, snapshots) = watch::channel(Snapshot::default());
        let mut tasks = JoinSet::new();
        let (mut reviews, mut cluster, mut watched) = (None, None, None);
        let not_read = || Err("not read yet".to_owned());
        match source {
            NameSource::None => {}
            NameSource::Cluster { kubeconfig } => {
                let config = weir_process::kubernetes::config(kubeconfig.as_deref(), None).await?;
                let client = weir_process::kubernetes::client(config.clone(), Retries::ByClient)?;
                let watching = weir_process::kubernetes::client(config, Retries::None)?;
                reviews = Some(Reviews::new(client.clone()));
                cluster = Some(client);
                watched = Some(watching.clone());
                health.set_identity(not_read());
                tasks.spawn(kubernetes::follow(
                    watching,
                    history,
                    node_daemon,
                    names,
                    Arc::clone(&health),
                    policies,
                ));
            }
            NameSource::Switches(sources) => {
                health.set_identity(not_read());
                let health = Arc::clone(&health);
                tasks.spawn(ovsdb::follow(sources, history, names, health));
            }
        }
        let (sources, labels) = LabelSources::new();
        if let Some(client) = &cluster {
            tasks.spawn(flow_collector::follow(client.clone(), sources.clone()));
        }
        if let Some(path) = label_file {
            let (file, read) = LabelFile::open(path);
            sources.set_file(read);
            tasks.spawn(subnet_labels::follow(file, sources));
        }
        Ok(Self {
            health,
            snapshots,
            labels,
            tasks,
            cluster,
            watched,
            reviews,
        })
    }
}
