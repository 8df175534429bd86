//! The Kubernetes objects that the controller writes, as it writes them: a
//! node's `NodeFlowExport` and the conditions of the `Network`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use weir_api::network::CLUSTER;
use weir_api::{Condition, Network, NodeFlowExport};

use crate::decide::Wanted;

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
pub fn export(node: &str, wanted: &Wanted) -> NodeFlowExport {
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

/// The status of the `Network` as server-side apply takes it: our conditions
/// and nothing else, so that those of other owners stay.
pub fn network_status(conditions: &[Condition]) -> Value {
    json!({
        "apiVersion": Network::api_version(&()),
        "kind": Network::kind(&()),
        "metadata": { "name": CLUSTER },
        "status": { "conditions": conditions },
    })
}
