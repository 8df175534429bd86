//! Objects of any kind, as the API server has them: JSON, and nothing known of them.

use anyhow::{Context, Result};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::Value;

/// Whose fields those are that `weir install` writes.
const FIELD_MANAGER: &str = "weir-install";

/// A kind of objects.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its group and version, as objects have it.
    pub api_version: &'static str,
    /// Its name.
    pub kind: &'static str,
}

/// How the API server knows a kind.
fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let gvk = GroupVersionKind::gvk(group, version, kind);
    match kind {
        // Plural as it is.
        "SecurityContextConstraints" => ApiResource::from_gvk_with_plural(&gvk, "securitycontextconstraints"),
        _ => ApiResource::from_gvk(&gvk),
    }
}

/// Where an object is.
fn place(client: &Client, object: &Value) -> Result<(Api<DynamicObject>, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let api_version = text(&object["apiVersion"]).context("an object has an apiVersion")?;
    let kind = text(&object["kind"]).context("an object has a kind")?;
    let name = text(&object["metadata"]["name"]).context("an object has a name")?;
    let resource = resource(&api_version, &kind);
    let api = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    Ok((api, name))
}

fn plain(object: &DynamicObject) -> Result<Value> {
    Ok(serde_json::to_value(object)?)
}

/// An object as it is in the cluster; none if it, its kind or its namespace is not there.
///
/// # Errors
/// The API server does not answer, or refuses to.
pub async fn read(client: &Client, object: &Value) -> Result<Option<Value>> {
    let (api, name) = place(client, object)?;
    match api.get(&name).await {
        Ok(object) => plain(&object).map(Some),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Applies an object, or lets the API server judge it alone; how it is then.
///
/// # Errors
/// The API server refuses it.
pub async fn apply(client: &Client, object: &Value, dry_run: bool) -> Result<Value> {
    let (api, name) = place(client, object)?;
    let mut params = PatchParams::apply(FIELD_MANAGER).force();
    params.dry_run = dry_run;
    plain(&api.patch(&name, &params, &Patch::Apply(object)).await?)
}

/// Patches an object by a merge patch.
///
/// # Errors
/// The API server refuses it.
pub async fn merge(client: &Client, object: &Value, patch: &Value) -> Result<()> {
    let (api, name) = place(client, object)?;
    api.patch(&name, &PatchParams::default(), &Patch::Merge(patch))
        .await?;
    Ok(())
}

/// Deletes an object; whether it was there.
///
/// # Errors
/// The API server refuses to.
pub async fn delete(client: &Client, object: &Value) -> Result<bool> {
    let (api, name) = place(client, object)?;
    match api.delete(&name, &DeleteParams::background()).await {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// All objects of a kind, of a namespace or of the cluster; none if there is no such kind.
///
/// # Errors
/// The API server does not answer, or refuses to.
pub async fn list(client: &Client, kind: Kind, namespace: Option<&str>) -> Result<Vec<Value>> {
    let resource = resource(kind.api_version, kind.kind);
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    match api.list(&ListParams::default()).await {
        Ok(list) => list.items.iter().map(plain).collect(),
        Err(error) if is_absent(&error) => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot list {}", resource.plural)),
    }
}

/// That there is no such object, kind or namespace.
pub fn is_absent(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// The names of all groups that the API server serves.
///
/// # Errors
/// The API server does not answer.
pub async fn groups(client: &Client) -> Result<Vec<String>> {
    let list = client
        .list_api_groups()
        .await
        .context("cannot reach the cluster")?;
    Ok(list.groups.into_iter().map(|group| group.name).collect())
}
