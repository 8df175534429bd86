//! The options of OVN's northbound database; `weir-collector` and `weir up` share them.

use std::path::PathBuf;

use clap::Args;
use ovsdb::{Endpoint, TlsFiles};

/// Names from OVN, beside those of the nodes' own databases.
#[derive(Debug, Clone, Default, Args)]
pub struct NorthboundArgs {
    /// Take names from this OVN northbound database, too: logical ports, load balancers,
    /// routers, NAT
    #[arg(long, value_name = "unix:PATH|tcp:HOST:PORT|ssl:HOST:PORT")]
    pub ovn_nb: Option<Endpoint>,

    /// Private key for --ovn-nb ssl:…, in PEM
    #[arg(long, value_name = "FILE", requires_all = ["ovn_nb", "ovn_nb_certificate", "ovn_nb_ca_cert"])]
    pub ovn_nb_private_key: Option<PathBuf>,

    /// Certificate for --ovn-nb ssl:…, in PEM
    #[arg(long, value_name = "FILE", requires = "ovn_nb_private_key")]
    pub ovn_nb_certificate: Option<PathBuf>,

    /// Authorities that the database's certificate must come from, in PEM
    #[arg(long, value_name = "FILE", requires = "ovn_nb_private_key")]
    pub ovn_nb_ca_cert: Option<PathBuf>,
}

impl NorthboundArgs {
    /// Where the database listens, with the files for TLS.
    pub fn endpoint(&self) -> Option<Endpoint> {
        let file = |path: &Option<PathBuf>| path.clone().unwrap_or_default();
        let endpoint = self.ovn_nb.clone()?;
        Some(match endpoint {
            Endpoint::Ssl { .. } => endpoint.with_tls(TlsFiles {
                private_key: file(&self.ovn_nb_private_key),
                certificate: file(&self.ovn_nb_certificate),
                ca_certificate: file(&self.ovn_nb_ca_cert),
            }),
            _ => endpoint,
        })
    }
}
