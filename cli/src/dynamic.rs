//! Objects of any kind, as the API server has them: JSON, and nothing known of them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::Value;
use tokio::time::timeout;

/// How long the API server may take for one answer.
const ANSWER: Duration = Duration::from_secs(20);
/// So many objects are asked for at a time, as kubectl does.
const PAGE: u32 = 500;
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

/// What the API server answers, within the time that it has for that.
///
/// # Errors
/// It refuses, cannot be reached, or does not answer.
pub async fn answered<T>(asked: impl Future<Output = Result<T, kube::Error>>) -> Result<T> {
    within(ANSWER, asked).await
}

async fn within<T>(limit: Duration, asked: impl Future<Output = Result<T, kube::Error>>) -> Result<T> {
    match timeout(limit, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => bail!("the API server did not answer within {} s", limit.as_secs()),
    }
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
    match answered(api.get(&name)).await {
        Ok(object) => plain(&object).map(Some),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How an object is applied.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// The API server judges it alone.
    pub dry_run: bool,
    /// Fields that others have set otherwise are taken from them.
    pub force: bool,
}

/// Applies an object; how it is then.
///
/// # Errors
/// The API server refuses it; [`is_conflict`] says whether others have set its fields.
pub async fn apply(client: &Client, object: &Value, manner: Manner) -> Result<Value> {
    let (api, name) = place(client, object)?;
    let mut params = PatchParams::apply(FIELD_MANAGER);
    params.force = manner.force;
    params.dry_run = manner.dry_run;
    plain(&answered(api.patch(&name, &params, &Patch::Apply(object))).await?)
}

/// Makes an object that is not there.
///
/// # Errors
/// The API server refuses it.
pub async fn create(client: &Client, object: &Value) -> Result<()> {
    let (api, _) = place(client, object)?;
    let object: DynamicObject = serde_json::from_value(object.clone())?;
    answered(api.create(&PostParams::default(), &object)).await?;
    Ok(())
}

/// Patches an object by a merge patch.
///
/// # Errors
/// The API server refuses it.
pub async fn merge(client: &Client, object: &Value, patch: &Value) -> Result<()> {
    let (api, name) = place(client, object)?;
    answered(api.patch(&name, &PatchParams::default(), &Patch::Merge(patch))).await?;
    Ok(())
}

/// Puts an object that was read in its own place, changed.
///
/// # Errors
/// The API server refuses it, or somebody has changed it meanwhile.
pub async fn replace(client: &Client, object: &Value) -> Result<()> {
    let (api, name) = place(client, object)?;
    let object: DynamicObject = serde_json::from_value(object.clone())?;
    answered(api.replace(&name, &PostParams::default(), &object)).await?;
    Ok(())
}

/// Deletes an object; whether it was there.
///
/// # Errors
/// The API server refuses to.
pub async fn delete(client: &Client, object: &Value) -> Result<bool> {
    let (api, name) = place(client, object)?;
    match answered(api.delete(&name, &DeleteParams::background())).await {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// All objects of a kind, of a namespace or of the cluster; none if there is no such kind.
///
/// # Errors
/// The API server does not answer, or refuses to.
pub async fn list(client: &Client, kind: Kind, namespace: Option<&str>) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for_each(client, kind, namespace, |object| all.push(object)).await?;
    Ok(all)
}

/// Hands on all objects of a kind, a page of them after the other: of what is large, not
/// everything has to be there at once.
///
/// # Errors
/// As [`list`].
pub async fn for_each(
    client: &Client,
    kind: Kind,
    namespace: Option<&str>,
    mut each: impl FnMut(Value),
) -> Result<()> {
    let resource = resource(kind.api_version, kind.kind);
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = match answered(api.list(&params)).await {
            Ok(page) => page,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("cannot list {}", resource.plural)),
        };
        page.items
            .iter()
            .try_for_each(|object| plain(object).map(&mut each))?;
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}

/// That there is no such object, kind or namespace.
fn is_absent(error: &anyhow::Error) -> bool {
    code(error) == Some(404)
}

/// That others have set fields of it otherwise; the error names them.
pub fn is_conflict(error: &anyhow::Error) -> bool {
    code(error) == Some(409)
}

/// That to ask again would be of no use: whoever asks may not.
pub fn is_refused(error: &anyhow::Error) -> bool {
    matches!(code(error), Some(401 | 403))
}

/// That the API server answered at all, if only by a refusal.
pub fn is_answer(error: &anyhow::Error) -> bool {
    code(error).is_some()
}

/// What the API server says, without what the client adds to it.
pub fn reason(error: &anyhow::Error) -> String {
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) if !status.message.is_empty() => status.message.clone(),
        _ => format!("{error:#}"),
    }
}

/// The HTTP status that the API server answered with.
fn code(error: &anyhow::Error) -> Option<u16> {
    match error.downcast_ref::<kube::Error>()? {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// The names of all groups that the API server serves.
///
/// # Errors
/// The API server does not answer.
pub async fn groups(client: &Client) -> Result<Vec<String>> {
    let list = answered(client.list_api_groups()).await;
    let list = list.context("cannot reach the cluster")?;
    Ok(list.groups.into_iter().map(|group| group.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_api_server_that_never_answers_is_not_waited_for() {
        let never = std::future::pending::<Result<(), kube::Error>>();
        let error = within(Duration::ZERO, never).await.unwrap_err();
        assert!(error.to_string().contains("did not answer"), "{error}");
        assert!(!is_absent(&error) && !is_refused(&error));
    }

    #[test]
    fn what_the_api_server_means_is_told_by_its_status_through_every_context() {
        let of = |code| {
            let status = kube::core::Status {
                code,
                ..kube::core::Status::default()
            };
            anyhow::Error::from(kube::Error::Api(status.boxed())).context("cannot list")
        };
        assert!(is_absent(&of(404)) && is_conflict(&of(409)) && is_refused(&of(403)));
        assert!(!is_absent(&of(403)) && !is_refused(&of(500)) && !is_conflict(&of(404)));
    }
}
