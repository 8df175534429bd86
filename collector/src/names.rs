//! Where names come from: each source is a task that alone writes the snapshot of
//! identities ([`weir_identity::Snapshot`]); readers get a new one by a pointer swap
//! and never wait.

pub mod flow_collector;
pub mod kubernetes;
pub mod ovsdb;
pub mod subnet_labels;

/// Where names come from.
#[derive(Debug, Clone, Default)]
pub enum NameSource {
    /// Nowhere: records stay without names.
    #[default]
    None,
    /// A Kubernetes watch.
    Cluster {
        /// Path of a kubeconfig; unset: the usual places, then the pod's account.
        kubeconfig: Option<std::path::PathBuf>,
    },
    /// The databases of one or several nodes, and OVN's.
    Switches(SwitchSources),
}

/// Where names come from without Kubernetes.
#[derive(Debug, Clone, Default)]
pub struct SwitchSources {
    /// Where the nodes' OVSDB servers listen.
    pub endpoints: Vec<::ovsdb::Endpoint>,
    /// Name of the node, for a single OVSDB; unset: `external_ids:hostname`.
    pub node_name: Option<String>,
    /// Where OVN's northbound database listens.
    pub northbound: Option<::ovsdb::Endpoint>,
}
