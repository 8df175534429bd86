//! The command line of `weir-node`. What clap cannot check is checked in
//! [`Args::validate`].

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{ArgAction, Parser};
use ovsdb::{Endpoint, TlsFiles};
use thiserror::Error;
use weir_api::profile::is_bridge_name;
use weir_process::log::LogArgs;

use crate::agent::OnExit;
use crate::file_source::FileConfig;

/// Turns flow export on in this node's Open vSwitch, as its NodeFlowExport or a
/// file says.
#[derive(Debug, Parser)]
#[command(name = "weir-node", version)]
pub struct Args {
    /// Name of this node; also the name of its NodeFlowExport
    #[arg(long, env = "NODE_NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub node_name: String,
    /// Where OVSDB listens: unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT
    #[arg(long, default_value = "unix:/var/run/openvswitch/db.sock")]
    pub ovsdb: Endpoint,
    /// Reach OVS through the weir-ovsdb-gate that listens at this socket, instead of --ovsdb
    #[arg(long, value_name = "SOCKET", conflicts_with = "ovsdb")]
    pub gate: Option<PathBuf>,
    /// Follow the Network in this file instead of a cluster
    #[arg(long, value_name = "FILE", requires = "node_ip")]
    pub network: Option<PathBuf>,
    /// This node's own address, for `:port` collectors and as sFlow's agent
    #[arg(long, value_name = "IP", requires = "network")]
    pub node_ip: Option<IpAddr>,
    /// Bridge to export from; may be repeated, and beats the profile's
    #[arg(long = "bridge", value_name = "BRIDGE", requires = "network")]
    pub bridges: Vec<String>,
    /// The ExportProfile in this file
    #[arg(long, value_name = "FILE", requires = "network")]
    pub profile: Option<PathBuf>,
    /// What becomes of this node's rows when the daemon ends
    #[arg(long, value_enum, default_value_t = OnExit::Keep)]
    pub on_exit: OnExit,
    /// Tell all IPFIX collectors which pods stand behind the bridges' interfaces, not only
    /// those that the NodeFlowExport names for it
    #[arg(long, value_name = "BOOL", default_value_t = false, default_missing_value = "true",
        num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub interface_names: bool,
    /// Serve /metrics, /healthz and /readyz there
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub http: Option<SocketAddr>,
    /// How to reach the cluster (default: $KUBECONFIG, ~/.kube/config, or the pod's own account)
    #[arg(long, value_name = "FILE", conflicts_with = "network")]
    pub kubeconfig: Option<PathBuf>,
    /// Private key for ssl: (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["certificate", "ca_cert"])]
    pub private_key: Option<PathBuf>,
    /// Certificate for ssl: (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["private_key", "ca_cert"])]
    pub certificate: Option<PathBuf>,
    /// Certificates of the authorities that OVSDB's must come from (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["private_key", "certificate"])]
    pub ca_cert: Option<PathBuf>,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// What is wrong with options that are right one by one.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum ArgsError {
    /// `ssl:` needs key and certificates.
    #[error("--ovsdb ssl:… needs --private-key, --certificate and --ca-cert")]
    TlsFilesMissing,
    /// Key and certificates are for `ssl:` only.
    #[error("--private-key, --certificate and --ca-cert are for --ovsdb ssl:… only")]
    TlsFilesUnused,
    /// Linux takes no such interface name.
    #[error("--bridge {0:?}: the name of a bridge has 1 to 15 characters")]
    Bridge(String),
}

impl Args {
    /// Checks what belongs together and puts the TLS files into the endpoint.
    ///
    /// # Errors
    /// Options that contradict each other.
    pub fn validate(mut self) -> Result<Self, ArgsError> {
        if let Some(name) = self.bridges.iter().find(|name| !is_bridge_name(name)) {
            return Err(ArgsError::Bridge(name.clone()));
        }
        let files = match (&self.private_key, &self.certificate, &self.ca_cert) {
            (Some(key), Some(certificate), Some(ca)) => Some(TlsFiles {
                private_key: key.clone(),
                certificate: certificate.clone(),
                ca_certificate: ca.clone(),
            }),
            _ => None,
        };
        match (matches!(self.ovsdb, Endpoint::Ssl { .. }), files) {
            (true, None) => return Err(ArgsError::TlsFilesMissing),
            (false, Some(_)) => return Err(ArgsError::TlsFilesUnused),
            (true, Some(files)) => self.ovsdb = self.ovsdb.with_tls(files),
            (false, None) => {}
        }
        Ok(self)
    }

    /// The files to follow, when there is no cluster.
    pub fn files(&self) -> Option<FileConfig> {
        Some(FileConfig {
            node_name: self.node_name.clone(),
            node_ip: self.node_ip,
            network: self.network.clone()?,
            profile: self.profile.clone(),
            bridges: self.bridges.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        let words = std::iter::once("weir-node").chain(line.split_whitespace());
        let args = Args::try_parse_from(words).map_err(|e| e.to_string())?;
        args.validate().map_err(|e| e.to_string())
    }

    #[test]
    fn the_documented_command_lines_are_valid() {
        let args = parse(
            "--network n.yaml --ovsdb unix:/tmp/db.sock --node-name n1 --node-ip 192.0.2.1 --bridge br-int \
             --bridge br-ex --profile p.yaml --on-exit clear",
        )
        .unwrap();
        assert_eq!(args.files().unwrap().bridges, ["br-int", "br-ex"]);
        assert_eq!(args.on_exit, OnExit::Clear);
        let args = parse("--node-name n1").unwrap();
        assert!(args.files().is_none() && !args.interface_names);
        for (option, told) in [("", true), ("=true", true), ("=false", false)] {
            let args = parse(&format!("--node-name n1 --interface-names{option}")).unwrap();
            assert_eq!(args.interface_names, told, "{option}");
        }
        assert_eq!(args.ovsdb.to_string(), "unix:/var/run/openvswitch/db.sock");
    }

    #[test]
    fn options_that_do_not_go_together_are_refused_with_their_names() {
        let cases = [
            ("--node-name n1 --bridge br-int", "--network"),
            ("--node-name n1 --profile p.yaml", "--network"),
            ("--node-name n1 --network n.yaml", "--node-ip"),
            (
                "--node-name n1 --network n --node-ip ::1 --kubeconfig k",
                "--kubeconfig",
            ),
            ("--node-name n1 --ovsdb ssl:h:6640", "--private-key"),
            ("--node-name n1 --private-key k", "--certificate"),
            (
                "--node-name n1 --private-key k --certificate c --ca-cert a",
                "ssl:",
            ),
            ("--node-name n1 --ovsdb db.sock", "unix:PATH"),
            ("--node-name n1 --ovsdb unix:/db.sock --gate /gate.sock", "--gate"),
            (
                "--node-name n1 --network n --node-ip ::1 --bridge sixteen-letters-",
                "15",
            ),
        ];
        for (line, part) in cases {
            let error = parse(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn tls_files_reach_the_endpoint() {
        let line = "--node-name n1 --ovsdb ssl:h:6640 --private-key k --certificate c --ca-cert a";
        let Endpoint::Ssl { tls, .. } = parse(line).unwrap().ovsdb else {
            panic!("an ssl endpoint");
        };
        assert_eq!(tls.ca_certificate, PathBuf::from("a"));
    }
}
