//! Who stands behind an address: the read-only
//! snapshot that the receive workers look into ([`Directory`]), and where its
//! content comes from: [`cluster`] (a Kubernetes watch) or [`switch`] (OVSDB).
//!
//! Each source is a task that alone writes the snapshot; readers get a new one
//! by a pointer swap and never wait.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use weir_flow::Identity;

use crate::exporters::Exporters;

pub mod cluster;
mod facts;
mod index;
pub mod interfaces;
pub mod switch;

pub use facts::{Fact, NodeFact, ObjectKey, ObjectKind, Owner, PodFact, ServiceFact};
pub use index::Index;

/// OVS samples one packet in so many for IPFIX and sFlow where `sampling` is
/// unset (vswitch.xml).
const DEFAULT_SAMPLING: u32 = 400;

/// Who has which address, interface and Ethernet address.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// By address.
    pub addresses: HashMap<IpAddr, Arc<Identity>>,
    /// By what a node's switch knows.
    pub nodes: HashMap<Arc<str>, Ports>,
    /// Pods by `namespace/name`.
    pub pods: HashMap<Arc<str>, Arc<Identity>>,
}

impl Directory {
    /// The pod that bears this `namespace/name`, if it is known.
    pub fn pod(&self, name: &str) -> Option<&Arc<Identity>> {
        self.pods.get(name)
    }
}

/// What [`Directory::pods`] knows a pod by.
fn pod_key(ns: &str, name: &str) -> Arc<str> {
    [ns, "/", name].concat().into()
}

/// Who stands behind the ports of one node's switch.
#[derive(Debug, Clone, Default)]
pub struct Ports {
    /// By interface name.
    pub interfaces: HashMap<Box<str>, Arc<Identity>>,
    /// By Ethernet address.
    pub macs: HashMap<[u8; 6], Arc<Identity>>,
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
