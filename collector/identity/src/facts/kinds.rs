//! The kinds of objects that are watched, and what names one object.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Kinds of objects that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// `v1` Pod.
    Pod,
    /// `v1` Node.
    Node,
    /// `v1` Service.
    Service,
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice,
    /// `apps/v1` ReplicaSet.
    ReplicaSet,
    /// `v1` ReplicationController.
    ReplicationController,
    /// `batch/v1` Job.
    Job,
    /// `weir.dev/v1alpha1` NodeFlowExport.
    NodeFlowExport,
}

impl ObjectKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Pod,
        Self::Node,
        Self::Service,
        Self::EndpointSlice,
        Self::ReplicaSet,
        Self::ReplicationController,
        Self::Job,
        Self::NodeFlowExport,
    ];

    /// The kind's name in Kubernetes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::Node => "Node",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::ReplicaSet => "ReplicaSet",
            Self::ReplicationController => "ReplicationController",
            Self::Job => "Job",
            Self::NodeFlowExport => "NodeFlowExport",
        }
    }

    /// The kind of a controller that may be controlled itself. Others have kinds
    /// of the same names (a Job of `batch.volcano.sh`): the group tells.
    pub fn controller(group: &str, kind: &str) -> Option<Self> {
        match (group, kind) {
            ("apps", "ReplicaSet") => Some(Self::ReplicaSet),
            ("", "ReplicationController") => Some(Self::ReplicationController),
            ("batch", "Job") => Some(Self::Job),
            _ => None,
        }
    }
}

/// Names one object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its namespace; empty when it has none.
    pub ns: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// The key of an object.
    pub fn of(kind: ObjectKind, meta: &ObjectMeta) -> Self {
        Self::new(
            kind,
            meta.namespace.as_deref().unwrap_or(""),
            meta.name.as_deref().unwrap_or(""),
        )
    }

    /// The key for these names.
    pub fn new(kind: ObjectKind, ns: &str, name: &str) -> Self {
        Self {
            kind,
            ns: ns.into(),
            name: name.into(),
        }
    }
}
