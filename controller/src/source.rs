//! Where the configuration comes from, and what its absence means.

use std::fmt;

use clap::ValueEnum;

/// The resource whose `spec.exportNetworkFlows` counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum FlowSource {
    /// Network cluster of operator.openshift.io, as on OpenShift
    #[default]
    Network,
    /// FlowExport cluster of weir.dev, where the Cluster Network Operator reads the Network
    FlowExport,
}

impl FlowSource {
    /// The one that does not count.
    pub const fn other(self) -> Self {
        match self {
            Self::Network => Self::FlowExport,
            Self::FlowExport => Self::Network,
        }
    }

    /// The value of `--source`.
    pub const fn option(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::FlowExport => "flow-export",
        }
    }
}

impl fmt::Display for FlowSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network => "Network cluster",
            Self::FlowExport => "FlowExport cluster",
        })
    }
}

/// What the nodes do when the source is deleted. To take `exportNetworkFlows` out of
/// it removes the export at once in either case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OnSourceDeleted {
    /// They keep what they export
    #[default]
    Hold,
    /// They export nothing
    Remove,
}

/// The source and what its absence means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceSettings {
    /// The resource that counts.
    pub source: FlowSource,
    /// What its absence means.
    pub on_deleted: OnSourceDeleted,
}
