//! Writing the status of an object.

use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::{Value, json};
use weir_flowmetrics::ObjectName;

use super::status::MANAGER;

/// A status to be written.
pub struct StatusWrite {
    /// Whose.
    pub name: ObjectName,
    /// Somebody may have written it since.
    pub resource_version: Option<String>,
    /// The whole status.
    pub status: Value,
    /// What it says, without times.
    pub says: String,
}

/// Writes it; `None`: the object is another one by now, or gone.
pub async fn write_status(
    client: &Client,
    resource: &ApiResource,
    write: &StatusWrite,
) -> Result<Option<DynamicObject>, kube::Error> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &write.name.namespace, resource);
    let patch = Patch::Merge(json!({
        "metadata": {"resourceVersion": write.resource_version},
        "status": write.status,
    }));
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api.patch_status(&write.name.name, &params, &patch).await {
        Ok(written) => Ok(Some(written)),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
        Err(error) => Err(error),
    }
}
