//! The Kubernetes objects that the controller writes, as it writes them: a
//! node's `NodeFlowExport`, the conditions of the source, the status of profiles.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use weir_api::condition::Time;
use weir_api::network::CLUSTER;
use weir_api::rollout::{COMPLETED_ANNOTATION, REVISION_LABEL, TOLD_ANNOTATION};
use weir_api::{
    Condition, ExportProfile, ExportProfileStatus, ExportRollout, ExportRolloutStatus, FlowExport, Network,
    NodeFlowExport, RevisionData, revision,
};

use crate::decide::DesiredExport;
use crate::source::FlowSource;

/// Field manager of everything that the controller writes.
pub const FIELD_MANAGER: &str = weir_api::written::CONTROLLER;

/// Marks a `NodeFlowExport` as the controller's; only such ones are deleted.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

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
    if let Some(mark) = &wanted.mark {
        export
            .labels_mut()
            .insert(REVISION_LABEL.to_owned(), mark.revision.clone());
        let told = json!(mark.told).to_string();
        export.annotations_mut().insert(TOLD_ANNOTATION.to_owned(), told);
    }
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

/// The status of the `ExportRollout` as server-side apply takes it. It was decided by the
/// object with that uid and version, and another is not to get it.
pub fn rollout_status(seen: &ObjectMeta, status: &ExportRolloutStatus) -> Value {
    json!({
        "apiVersion": ExportRollout::api_version(&()),
        "kind": ExportRollout::kind(&()),
        "metadata": { "name": CLUSTER, "uid": seen.uid, "resourceVersion": seen.resource_version },
        "status": status,
    })
}

/// A revision as it is kept, complete for server-side apply.
pub fn kept_revision(hash: &str, number: i64, data: &RevisionData) -> ControllerRevision {
    let mut object = ControllerRevision {
        data: Some(RawExtension(json!(data))),
        revision: number,
        ..Default::default()
    };
    object.metadata.name = Some(revision::object_name(hash));
    let labels = object.labels_mut();
    labels.insert(MANAGED_BY.to_owned(), FIELD_MANAGER.to_owned());
    labels.insert(REVISION_LABEL.to_owned(), hash.to_owned());
    object
}

/// What says of a revision since when all nodes have it, as a merge patch.
pub fn completed_revision(since: &Time) -> Value {
    json!({ "metadata": { "annotations": { COMPLETED_ANNOTATION: since } } })
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
