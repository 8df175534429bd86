//! The command line of `weir-collector`, and what it means.

mod exporters;
mod files;
mod northbound;
mod policies;
mod store;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use ovsdb::Endpoint;

use crate::flow_metrics::FlowMetricSources;
use crate::flow_metrics::objects::MetricNamespace;
use crate::http::{HttpServer, ServiceName};
use crate::stream::{CONNECTIONS, CONNECTIONS_PER_PEER, StreamConfig};
use crate::tls::TlsFiles;
pub use exporters::{ExporterArgs, NodeDaemon};
pub use files::FileArgs;
pub use northbound::NorthboundArgs;
pub use policies::{PolicyArgs, ProfileName};
pub use store::StoreArgs;
use weir_identity::NAME_HISTORY;
use weir_process::log::LogArgs;

use crate::{AllowRule, Config, NameSource, QUEUE_BYTES, Sink, SwitchSources, default_workers};

/// NetFlow, NetFlow, IPFIX, sFlow by custom; every port takes every protocol.
pub const DEFAULT_PORTS: [u16; 4] = [2055, 2056, 4739, 6343];

/// Where HTTP is served, unless told otherwise.
const HTTP_PORT: u16 = 8080;

/// Receives NetFlow v5 and v9, IPFIX and sFlow v5, names both ends of each flow
/// and prints one JSON object a record.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Args {
    /// UDP address to receive on; may be repeated. Every protocol is understood
    /// on every address [default: ports 2055, 2056, 4739, 6343 of all addresses]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Vec<SocketAddr>,

    /// TCP address to receive IPFIX on; may be repeated [default: none; 4739 is the
    /// usual port]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen_tcp: Vec<SocketAddr>,

    /// Address to receive IPFIX over TLS on; may be repeated [default: none; 4740 is
    /// the usual port]
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        requires = "tls_cert",
        requires = "tls_key"
    )]
    pub listen_tls: Vec<SocketAddr>,

    /// Certificate to show over TLS, with those up to its authority, in PEM
    #[arg(long, value_name = "FILE", requires = "listen_tls")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of --tls-cert, in PEM
    #[arg(long, value_name = "FILE", requires = "listen_tls")]
    pub tls_key: Option<PathBuf>,

    /// Authorities of the clients, in PEM: who shows no certificate of theirs is
    /// refused [default: clients need none]
    #[arg(long, value_name = "FILE", requires = "listen_tls")]
    pub tls_client_ca: Option<PathBuf>,

    /// Connections over TCP and TLS at a time
    #[arg(long, value_name = "NUMBER", default_value_t = CONNECTIONS)]
    pub max_connections: usize,

    /// Connections of one peer at a time; a relay of many exporters needs more
    #[arg(long, value_name = "NUMBER", default_value_t = CONNECTIONS_PER_PEER)]
    pub max_connections_per_peer: usize,

    /// Receiving threads; each has a socket of its own on each UDP address
    /// [default: as many as there are cores]
    #[arg(long, value_name = "NUMBER")]
    pub workers: Option<NonZeroUsize>,

    /// Who may send: a network, an address, or `cluster-nodes` for the nodes of the
    /// source of names; may be repeated. What others send is counted and not looked
    /// at [default: everybody]
    #[arg(long, value_name = "NETWORK|cluster-nodes")]
    pub allow: Vec<AllowRule>,

    #[command(flatten)]
    pub exporters: ExporterArgs,

    /// The DaemonSet whose pods tell interfaces' names of their nodes
    #[arg(long, value_name = "NAMESPACE/NAME", default_value_t = NodeDaemon::default())]
    pub node_daemon: NodeDaemon,

    /// Memory that records may take while they wait to be printed. Beyond, the oldest are
    /// left out and counted [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = store::parse_size)]
    pub queue_bytes: Option<u64>,

    #[command(flatten)]
    pub files: FileArgs,

    #[command(flatten)]
    pub policies: PolicyArgs,

    /// Where / (the web UI), /api, /metrics, /flow-metrics, /healthz and /readyz are served
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = default_http())]
    pub http: SocketAddr,

    /// Certificate to show over HTTPS, with those up to its authority, in PEM. It and
    /// its key are read anew when they change [default: HTTP is not encrypted]
    #[arg(long, value_name = "FILE", requires = "http_tls_key")]
    pub http_tls_cert: Option<PathBuf>,

    /// Private key of --http-tls-cert, in PEM
    #[arg(long, value_name = "FILE", requires = "http_tls_cert")]
    pub http_tls_key: Option<PathBuf>,

    /// The Service before this collector, in a cluster: without --http-tls-cert a
    /// certificate for it is made, kept in the Secret NAME-http beside it and made anew in
    /// time, and its authority is told to the APIService v1.flows.weir.dev
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with_all = ["http_tls_cert", "ovsdb", "ovn_nb"])]
    pub http_service: Option<ServiceName>,

    #[command(flatten)]
    pub store: StoreArgs,

    /// Check a file of sinks, say what is wrong with it, and end
    #[arg(long, value_name = "FILE", exclusive = true)]
    pub check_config: Option<PathBuf>,

    /// File to write the bound addresses to, as JSON, once they are bound
    #[arg(long, value_name = "FILE")]
    pub port_file: Option<PathBuf>,

    /// What to print on standard output; logs go to standard error
    #[arg(long, value_enum, default_value_t = Print::Json)]
    pub print: Print,

    /// Take names from this OVSDB instead of Kubernetes; may be repeated, a node each
    #[arg(long, value_name = "unix:PATH|tcp:HOST:PORT", conflicts_with_all = ["kube", "kubeconfig"])]
    pub ovsdb: Vec<Endpoint>,

    /// Name of the node whose OVSDB it is [default: its external_ids:hostname]
    #[arg(long, value_name = "NAME", requires = "ovsdb")]
    pub node_name: Option<String>,

    #[command(flatten)]
    pub northbound: NorthboundArgs,

    /// Take names from Kubernetes; the default in a cluster
    #[arg(long, conflicts_with = "ovn_nb")]
    pub kube: bool,

    /// Print the document of the API (OpenAPI) and end
    #[arg(long)]
    pub openapi: bool,

    /// Take names from the cluster that this file describes
    #[arg(long, value_name = "FILE", conflicts_with = "ovn_nb")]
    pub kubeconfig: Option<PathBuf>,

    /// Where the FlowMetrics (flows.netobserv.io) are that are counted, where names come from
    /// Kubernetes; `*` for all namespaces
    #[arg(long, value_name = "NAMESPACE|*", default_value_t = MetricNamespace::default())]
    pub flow_metrics_namespace: MetricNamespace,

    /// Let whoever reaches the HTTP port read /flow-metrics, also where names come from Kubernetes,
    /// which is otherwise asked who may
    #[arg(long)]
    pub flow_metrics_open: bool,

    /// How long it stays known who had an address, after it was given up
    #[arg(long, value_name = "SECONDS", default_value_t = NAME_HISTORY.as_secs())]
    pub name_history: u64,

    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// What is printed on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Print {
    /// One JSON object a record, one record a line.
    Json,
    /// Nothing.
    None,
}

impl Args {
    /// What a collector with these arguments is to do.
    pub fn into_config(self) -> Config {
        let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        let names = self.names(in_cluster);
        let streams = self.streams();
        Config {
            listen: if self.listen.is_empty() {
                default_listen()
            } else {
                self.listen
            },
            streams,
            workers: self.workers.unwrap_or_else(default_workers),
            allow: self.allow.into_iter().collect(),
            exporters: self.exporters.policy(),
            node_daemon: self.node_daemon,
            http: self.http,
            http_server: HttpServer {
                tls: self
                    .http_tls_cert
                    .zip(self.http_tls_key)
                    .map(|(certificate, private_key)| TlsFiles {
                        certificate,
                        private_key,
                        client_authority: None,
                    }),
                service: self.http_service,
                ..HttpServer::default()
            },
            names,
            name_history: Duration::from_secs(self.name_history),
            flow_metrics: FlowMetricSources {
                namespace: self.flow_metrics_namespace,
                open: self.flow_metrics_open,
                ..self.files.flow_metrics()
            },
            policies: self.policies.sources(),
            subnet_labels: self.files.subnet_labels,
            sinks: self.files.sinks,
            sink: match self.print {
                Print::Json => Sink::stdout(),
                Print::None => Sink::Discard,
            },
            queue_bytes: self
                .queue_bytes
                .map_or(QUEUE_BYTES, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            store: self.store.settings(),
            state_dir: self.files.state_dir,
        }
    }

    fn streams(&self) -> StreamConfig {
        StreamConfig {
            tcp: self.listen_tcp.clone(),
            tls: self.listen_tls.clone(),
            tls_files: TlsFiles {
                certificate: self.tls_cert.clone().unwrap_or_default(),
                private_key: self.tls_key.clone().unwrap_or_default(),
                client_authority: self.tls_client_ca.clone(),
            },
            connections: self.max_connections,
            connections_per_peer: self.max_connections_per_peer,
            ..StreamConfig::default()
        }
    }

    fn names(&self, in_cluster: bool) -> NameSource {
        let northbound = self.northbound.endpoint();
        if !self.ovsdb.is_empty() || northbound.is_some() {
            return NameSource::Switches(SwitchSources {
                endpoints: self.ovsdb.clone(),
                node_name: self.node_name.clone(),
                northbound,
            });
        }
        if self.kube || self.kubeconfig.is_some() || in_cluster {
            return NameSource::Cluster {
                kubeconfig: self.kubeconfig.clone(),
            };
        }
        NameSource::None
    }
}

/// The usual ports of all addresses, of both families where the host has both.
pub fn default_listen() -> Vec<SocketAddr> {
    let any = any_address();
    DEFAULT_PORTS.map(|port| SocketAddr::new(any, port)).to_vec()
}

/// The usual port of HTTP, of all addresses likewise.
fn default_http() -> SocketAddr {
    SocketAddr::new(any_address(), HTTP_PORT)
}

fn any_address() -> IpAddr {
    if UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok() {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str, in_cluster: bool) -> NameSource {
        let words = std::iter::once("weir-collector").chain(line.split_whitespace());
        Args::try_parse_from(words).unwrap().names(in_cluster)
    }

    #[test]
    fn names_come_from_what_was_asked_for_then_from_the_surroundings() {
        assert!(matches!(names("", false), NameSource::None));
        assert!(matches!(
            names("", true),
            NameSource::Cluster { kubeconfig: None }
        ));
        assert!(matches!(
            names("--kube", false),
            NameSource::Cluster { kubeconfig: None }
        ));
        assert!(matches!(
            names("--kubeconfig f", false),
            NameSource::Cluster { kubeconfig: Some(_) }
        ));
        let both = names("--ovsdb unix:/a --ovsdb tcp:127.0.0.1:6640", true);
        assert!(
            matches!(both, NameSource::Switches(of) if of.endpoints.len() == 2 && of.northbound.is_none())
        );
        let line = "--ovsdb unix:/a --ovn-nb ssl:192.0.2.1:6641 --ovn-nb-private-key k --ovn-nb-certificate c --ovn-nb-ca-cert a";
        let NameSource::Switches(of) = names(line, true) else {
            panic!("not of switches");
        };
        assert!(
            matches!(of.northbound, Some(Endpoint::Ssl { tls, .. }) if tls.ca_certificate.as_os_str() == "a")
        );
        assert!(
            matches!(names("--ovn-nb unix:/nb", true), NameSource::Switches(of) if of.endpoints.is_empty())
        );
    }

    #[test]
    fn rules_of_who_may_send_are_read_and_wrong_ones_refused() {
        let line = [
            "weir-collector",
            "--allow",
            "10.0.0.0/8",
            "--allow",
            "cluster-nodes",
            "--kube",
        ];
        assert_eq!(Args::try_parse_from(line).unwrap().allow.len(), 2);
        assert!(Args::try_parse_from(["weir-collector", "--allow", "10.0.0.0/33"]).is_err());
        assert!(Args::try_parse_from(["weir-collector", "--workers", "0"]).is_err());
    }

    #[test]
    fn tls_takes_a_certificate_and_a_key() {
        let parse = |line: &str| Args::try_parse_from(line.split(' '));
        assert!(parse("weir-collector --listen-tls 127.0.0.1:0").is_err());
        assert!(parse("weir-collector --listen-tls 127.0.0.1:0 --tls-cert c").is_err());
        assert!(parse("weir-collector --tls-cert c --tls-key k").is_err());
        let line = "weir-collector --listen-tls 127.0.0.1:0 --tls-cert c --tls-key k --tls-client-ca a";
        let streams = parse(line).unwrap().streams();
        assert_eq!(streams.tls_files.client_authority, Some("a".into()));
        assert!(parse("weir-collector --http-tls-cert c").is_err());
        assert!(parse("weir-collector --http-service a").is_err());
        assert!(parse("weir-collector --http-service a/b --http-tls-cert c --http-tls-key k").is_err());
        assert!(parse("weir-collector --http-service a/b --ovsdb unix:/a").is_err());
        let https = parse("weir-collector --http-tls-cert c --http-tls-key k").unwrap();
        assert_eq!(
            https.into_config().http_server.tls.unwrap().certificate,
            PathBuf::from("c")
        );
    }

    #[test]
    fn two_sources_of_names_are_refused() {
        assert!(Args::try_parse_from(["weir-collector", "--kube", "--ovsdb", "unix:/a"]).is_err());
        assert!(Args::try_parse_from(["weir-collector", "--kube", "--ovn-nb", "unix:/a"]).is_err());
        assert!(Args::try_parse_from(["weir-collector", "--node-name", "a"]).is_err());
    }
}
