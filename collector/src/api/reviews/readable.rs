//! Objects about the export that Kubernetes is asked about whether somebody may read them.

use std::fmt;

use k8s_openapi::api::authorization::v1::ResourceAttributes;
use weir_exports::{NAMESPACE, SourceKind};

/// Which objects, and how they are read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Readable {
    /// The `Network` or `FlowExport` named cluster.
    Source(SourceKind),
    /// All `NodeFlowExport`s.
    NodeExports,
    /// All `ExportProfile`s.
    Profiles,
    /// All nodes.
    Nodes,
    /// The `ExportRollout` named cluster.
    Rollout,
    /// What was asked for before.
    Revisions,
    /// Services of a namespace.
    Services(String),
}

impl Readable {
    /// Group and resource.
    const fn resource(&self) -> (&'static str, &'static str) {
        match self {
            Self::Source(SourceKind::Network) => ("operator.openshift.io", "networks"),
            Self::Source(SourceKind::FlowExport) => (weir_api::GROUP, "flowexports"),
            Self::NodeExports => (weir_api::GROUP, "nodeflowexports"),
            Self::Profiles => (weir_api::GROUP, "exportprofiles"),
            Self::Nodes => ("", "nodes"),
            Self::Rollout => (weir_api::GROUP, "exportrollouts"),
            Self::Revisions => ("apps", "controllerrevisions"),
            Self::Services(_) => ("", "services"),
        }
    }

    const fn verb(&self) -> &'static str {
        match self {
            Self::Source(_) | Self::Rollout | Self::Services(_) => "get",
            _ => "list",
        }
    }

    /// The one that is read, where it is one.
    fn object(&self) -> Option<&'static str> {
        let is_one = matches!(self, Self::Source(_) | Self::Rollout);
        is_one.then_some(weir_api::network::CLUSTER)
    }

    fn namespace(&self) -> Option<&str> {
        match self {
            Self::Revisions => Some(NAMESPACE),
            Self::Services(namespace) => Some(namespace),
            _ => None,
        }
    }

    /// As kubectl names it: `networks.operator.openshift.io`.
    pub fn name(&self) -> String {
        match self.resource() {
            ("", resource) => resource.to_owned(),
            (group, resource) => format!("{resource}.{group}"),
        }
    }

    /// What Kubernetes is asked.
    pub(super) fn attributes(&self) -> ResourceAttributes {
        let (group, resource) = self.resource();
        ResourceAttributes {
            verb: Some(self.verb().to_owned()),
            group: (!group.is_empty()).then(|| group.to_owned()),
            resource: Some(resource.to_owned()),
            namespace: self.namespace().map(str::to_owned),
            name: self.object().map(str::to_owned),
            ..Default::default()
        }
    }
}

/// The right that somebody lacks who may not, and what it would tell them.
impl fmt::Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Source(_) => "where flows are to go and how that goes",
            Self::NodeExports => "what each node exports",
            Self::Profiles => "which profiles there are",
            Self::Nodes => "which nodes have no export",
            Self::Rollout => "how a change goes from node to node",
            Self::Revisions => "what was asked for before",
            Self::Services(_) => "the addresses of Services",
        };
        write!(f, "{what} is for who may {} {}", self.verb(), self.name())?;
        self.namespace()
            .map_or(Ok(()), |namespace| write!(f, " in {namespace}"))
    }
}
