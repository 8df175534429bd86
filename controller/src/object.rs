//! The Kubernetes objects that the controller writes, as it writes them: a
//! node's `NodeFlowExport`, the conditions of the source, the status of profiles.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use weir_api::network::CLUSTER;
use weir_api::{Condition, ExportProfile, ExportProfileStatus, FlowExport, Network, NodeFlowExport};

use crate::decide::DesiredExport;
use crate::source::FlowSource;

/// Field manager of everything that the controller writes.
pub const FIELD_MANAGER: &str = "weir-controller";

/// Marks a `NodeFlowExport` as the controller's; only such ones are deleted.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Whether the controller made that object.
pub fn is_ours(export: &NodeFlowExport) -> bool {
    export
        .labels()
        .get(MANAGED_BY)
        .is_some_and(|manager| manager == FIELD_MANAGER)
}

/// Whether the node with that uid owns the object.
pub fn is_owned_by(export: &NodeFlowExport, node_uid: &str) -> bool {
    export
        .owner_references()
        .iter()
        .any(|owner| owner.uid == node_uid)
}

/// The object of a node, complete for server-side apply.
pub fn export(node: &str, wanted: &DesiredExport) -> NodeFlowExport {
    let mut export = NodeFlowExport::new(node, wanted.spec.clone());
    export
        .labels_mut()
        .insert(MANAGED_BY.to_owned(), FIELD_MANAGER.to_owned());
    export.owner_references_mut().push(OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: node.to_owned(),
        uid: wanted.node_uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    });
    export
}

/// The status of the source as server-side apply takes it: our conditions
/// and nothing else, so that those of other owners stay.
pub fn source_status(source: FlowSource, conditions: &[Condition]) -> Value {
    let (api_version, kind) = source_kind(source);
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": { "name": CLUSTER },
        "status": { "conditions": conditions },
    })
}

/// The status of a profile as server-side apply takes it.
pub fn profile_status(name: &str, status: &ExportProfileStatus) -> Value {
    json!({
        "apiVersion": ExportProfile::api_version(&()),
        "kind": ExportProfile::kind(&()),
        "metadata": { "name": name },
        "status": status,
    })
}

/// The source as events name it.
pub fn source_reference(source: FlowSource, uid: Option<String>) -> ObjectReference {
    let (api_version, kind) = source_kind(source);
    ObjectReference {
        api_version: Some(api_version),
        kind: Some(kind),
        name: Some(CLUSTER.to_owned()),
        uid,
        ..Default::default()
    }
}

fn source_kind(source: FlowSource) -> (String, String) {
    match source {
        FlowSource::Network => kind_of::<Network>(),
        FlowSource::FlowExport => kind_of::<FlowExport>(),
    }
}

fn kind_of<K: Resource<DynamicType = ()>>() -> (String, String) {
    (K::api_version(&()).into_owned(), K::kind(&()).into_owned())
}
