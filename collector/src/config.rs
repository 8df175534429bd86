//! What a collector is to do, and the bounds on what it keeps.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use weir_store::Settings;
use wire::Limits;

use crate::allow::Allow;
use crate::args::NodeDaemon;
use crate::decode::ExporterPolicy;
use crate::flow_metrics::FlowMetricSources;
use crate::http::HttpServer;
use crate::names::NameSource;
use crate::policies::PolicySources;
use crate::sink::Sink;
use crate::stream::StreamConfig;
use weir_identity::NAME_HISTORY;

/// Bytes of memory that records may take while they wait to be printed, unless told
/// otherwise; as much again while they wait to be printed beside a store.
pub const QUEUE_BYTES: usize = 64 << 20;

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
    /// IPFIX over TCP and TLS.
    pub streams: StreamConfig,
    /// Who may send.
    pub allow: Allow,
    /// What is said of exporters.
    pub exporters: ExporterPolicy,
    /// Whose pods speak for their nodes, where names come from Kubernetes.
    pub node_daemon: NodeDaemon,
    /// Where metrics and readiness are served.
    pub http: SocketAddr,
    /// How: in the clear or not, and what connections may cost.
    pub http_server: HttpServer,
    /// Where names come from.
    pub names: NameSource,
    /// How long is known who had an address.
    pub name_history: Duration,
    /// File that gives networks names.
    pub subnet_labels: Option<PathBuf>,
    /// What says which metrics are counted over records.
    pub flow_metrics: FlowMetricSources,
    /// Where policies come from.
    pub policies: PolicySources,
    /// What becomes of the records.
    pub sink: Sink,
    /// File that says where records go besides the store.
    pub sinks: Option<PathBuf>,
    /// Bytes of memory that records may take while they wait to be printed.
    pub queue_bytes: usize,
    /// Where records are kept, and how long; nowhere when there is none.
    pub store: Option<Settings>,
    /// Where templates are kept, so that they are known after a restart; nowhere if
    /// `None`.
    pub state_dir: Option<PathBuf>,
}

impl Default for Config {
    /// Only HTTP, on any port on loopback; no names; records are let go.
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            workers: default_workers(),
            streams: StreamConfig::default(),
            allow: Allow::default(),
            exporters: ExporterPolicy::default(),
            node_daemon: NodeDaemon::default(),
            http: ([127, 0, 0, 1], 0).into(),
            http_server: HttpServer::default(),
            names: NameSource::None,
            name_history: NAME_HISTORY,
            subnet_labels: None,
            flow_metrics: FlowMetricSources::default(),
            policies: PolicySources::default(),
            sink: Sink::Discard,
            sinks: None,
            queue_bytes: QUEUE_BYTES,
            store: None,
            state_dir: None,
        }
    }
}

/// What each of so many receiving threads may keep: together about as much as one
/// alone could, but enough for each to work with.
pub fn datagram_limits(workers: NonZeroUsize) -> Limits {
    let all = Limits::default();
    let share = |all: usize, least: usize| (2 * all / workers.get()).clamp(least.min(all), all);
    Limits {
        scopes: share(all.scopes, 1_024),
        template_bytes: share(all.template_bytes, 1 << 20),
        held_bytes: share(all.held_bytes, 1 << 20),
        ..all
    }
}

/// What one connection may keep.
pub fn stream_limits() -> Limits {
    Limits {
        scopes: 64,
        template_bytes: 256 << 10,
        held_bytes: 256 << 10,
        held_sets_per_scope: 1_024,
        records_per_datagram: 2_048,
        ..Limits::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_workers_keeps_a_bounded_amount_and_each_enough() {
        let all = Limits::default();
        for workers in [1, 2, 3, 8, 64] {
            let limits = datagram_limits(NonZeroUsize::new(workers).unwrap());
            assert!(limits.held_bytes <= all.held_bytes && limits.held_bytes >= 1 << 20);
            assert!(limits.scopes <= all.scopes && limits.scopes >= 1_024);
            let together = limits.held_bytes * workers;
            assert!(together <= (2 * all.held_bytes).max(workers << 20), "{workers}");
        }
        assert_eq!(datagram_limits(NonZeroUsize::MIN), all);
    }
}
