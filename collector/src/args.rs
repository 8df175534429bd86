//! The command line of `weir-collector`, and what it means.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use ovsdb::Endpoint;

use crate::{AllowRule, Config, QUEUE_RECORDS, Sink, Source, default_workers};

/// NetFlow, NetFlow, IPFIX, sFlow by custom; every port takes every protocol.
pub const DEFAULT_PORTS: [u16; 4] = [2055, 2056, 4739, 6343];

/// Receives NetFlow v5 and v9, IPFIX and sFlow v5, names both ends of each flow
/// and prints one JSON object a record.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Args {
    /// UDP address to receive on; may be repeated. Every protocol is understood
    /// on every address [default: ports 2055, 2056, 4739, 6343 of all addresses]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Vec<SocketAddr>,

    /// Receiving threads; each has a socket of its own on each UDP address
    /// [default: as many as there are cores]
    #[arg(long, value_name = "NUMBER")]
    pub workers: Option<NonZeroUsize>,

    /// Who may send: a network, an address, or `cluster-nodes` for the nodes of the
    /// source of names; may be repeated. What others send is counted and not looked
    /// at [default: everybody]
    #[arg(long, value_name = "NETWORK|cluster-nodes")]
    pub allow: Vec<AllowRule>,

    /// Records that may wait to be printed, up to 1 KiB each. When so many wait,
    /// those that come are dropped and counted
    #[arg(long, value_name = "NUMBER", default_value_t = QUEUE_RECORDS)]
    pub queue_records: usize,

    /// Where /metrics, /healthz and /readyz are served
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    pub http: SocketAddr,

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

    /// Take names from Kubernetes; the default in a cluster
    #[arg(long)]
    pub kube: bool,

    /// Take names from the cluster that this file describes
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
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
        Config {
            listen: if self.listen.is_empty() {
                default_listen()
            } else {
                self.listen
            },
            workers: self.workers.unwrap_or_else(default_workers),
            allow: self.allow.into_iter().collect(),
            http: self.http,
            names,
            sink: match self.print {
                Print::Json => Sink::stdout(),
                Print::None => Sink::Discard,
            },
            queue_records: self.queue_records,
        }
    }

    fn names(&self, in_cluster: bool) -> Source {
        if !self.ovsdb.is_empty() {
            return Source::Switches {
                endpoints: self.ovsdb.clone(),
                node_name: self.node_name.clone(),
            };
        }
        if self.kube || self.kubeconfig.is_some() || in_cluster {
            return Source::Cluster {
                kubeconfig: self.kubeconfig.clone(),
            };
        }
        Source::None
    }
}

/// The usual ports of all addresses, of both families where the host has both.
pub fn default_listen() -> Vec<SocketAddr> {
    let has_ipv6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
    let any = if has_ipv6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    };
    DEFAULT_PORTS.map(|port| SocketAddr::new(any, port)).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str, in_cluster: bool) -> Source {
        let words = std::iter::once("weir-collector").chain(line.split_whitespace());
        Args::try_parse_from(words).unwrap().names(in_cluster)
    }

    #[test]
    fn names_come_from_what_was_asked_for_then_from_the_surroundings() {
        assert!(matches!(names("", false), Source::None));
        assert!(matches!(names("", true), Source::Cluster { kubeconfig: None }));
        assert!(matches!(
            names("--kube", false),
            Source::Cluster { kubeconfig: None }
        ));
        assert!(matches!(
            names("--kubeconfig f", false),
            Source::Cluster { kubeconfig: Some(_) }
        ));
        let both = names("--ovsdb unix:/a --ovsdb tcp:127.0.0.1:6640", true);
        assert!(matches!(both, Source::Switches { endpoints, .. } if endpoints.len() == 2));
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
    fn two_sources_of_names_are_refused() {
        assert!(Args::try_parse_from(["weir-collector", "--kube", "--ovsdb", "unix:/a"]).is_err());
        assert!(Args::try_parse_from(["weir-collector", "--node-name", "a"]).is_err());
    }
}
