//! Who stands behind an address: the read-only snapshot that the receive workers
//! look into ([`Directory`]), and where its content comes from: [`cluster`] (a
//! Kubernetes watch) or [`switch`] (OVSDB). Beside it what an address says by
//! itself: [`reach`] (private or internet) and [`subnets`] (labels by network).
//!
//! Each source is a task that alone writes the snapshot; readers get a new one
//! by a pointer swap and never wait.

use std::sync::Arc;

use crate::exporters::Exporters;

mod book;
pub mod cluster;
mod directory;
pub mod facts;
mod index;
pub mod interfaces;
mod names;
pub mod reach;
mod shards;
pub mod subnets;
pub mod switch;
mod time;

pub use directory::{CLOCK_TOLERANCE, Directory, Endpoint, Holders, NodePort, Ports};
pub use facts::{Fact, NodeFact, ObjectKey, ObjectKind, Owner, PodFact, ServiceFact};
pub use index::{Index, NAME_HISTORY};
pub use shards::Shards;
pub use time::{Held, Span, Timeline};

/// OVS samples one packet in so many for IPFIX and sFlow where `sampling` is
/// unset (vswitch.xml).
const DEFAULT_SAMPLING: u32 = 400;

/// What [`Directory::pods`] knows a pod by.
fn pod_key(ns: &str, name: &str) -> Arc<str> {
    [ns, "/", name].concat().into()
}

/// All that the workers look up, as of one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Who has which address.
    pub directory: Arc<Directory>,
    /// Which node sends which records.
    pub exporters: Arc<Exporters>,
}

/// Where names come from.
#[derive(Debug, Clone, Default)]
pub enum Source {
    /// Nowhere: records stay without names.
    #[default]
    None,
    /// A Kubernetes watch.
    Cluster {
        /// Path of a kubeconfig; unset: the usual places, then the pod's account.
        kubeconfig: Option<std::path::PathBuf>,
    },
    /// The OVSDB of one or several nodes.
    Switches {
        /// Where their servers listen.
        endpoints: Vec<ovsdb::Endpoint>,
        /// Name of the node, for a single OVSDB; unset: `external_ids:hostname`.
        node_name: Option<String>,
    },
}
