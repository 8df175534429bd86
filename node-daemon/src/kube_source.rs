//! The spec from the cluster: this node's own `NodeFlowExport`, watched with a
//! field selector, and its status, written by server-side apply.
//!
//! Two tasks, and neither ever holds the agent up: [`watch_spec`] is the only
//! writer of the spec, [`write_status`] only reads what the agent publishes. What an
//! object says is read by `read`; when to write is [`crate::status_writer`]'s to say.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::api::{Api, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use kube::{Client, Error};
use serde_json::{Value, json};
use tokio::sync::watch;
use weir_api::{NodeFlowExport, NodeFlowExportStatus};
use weir_process::jitter::jittered;
use weir_process::kubernetes::{describe, describe_watch, watch_config};

use crate::desired::Desired;
use crate::metrics::Metrics;
use crate::status_pace::WriteOutcome;
use crate::status_writer::{StatusObject, StatusWriter, WriteStep};

mod read;
mod undeclared;

/// Owner of the status fields.
pub const FIELD_MANAGER: &str = "weir-node";

/// Changes that follow each other this closely, give or take a half, such as "written" and
/// "taken over by the switch", become one patch. Long enough, too, that the reports of
/// many nodes do not get in the way of the specs of the others: with 100 nodes,
/// 300 ms cost the slowest of them as much again.
pub const SETTLE: Duration = Duration::from_secs(1);

/// Longest wait for one patch: longer than the API server lets a request wait in the lane of
/// reports (a quarter of its --request-timeout, 15 s), so that it is the server who gives up, and
/// a report that was given up does not stand there while the next one is sent.
const PATCH_LIMIT: Duration = Duration::from_secs(30);

/// Which object of which cluster.
#[derive(Clone)]
pub struct ClusterSource {
    /// The API server.
    pub client: Client,
    /// Name of the node and of its object.
    pub node_name: String,
    /// [`weir_process::kubernetes::WATCH_TIMEOUT`], or what a test has time for.
    pub watch_timeout: Duration,
}

/// Starts both tasks.
pub fn spawn(
    source: ClusterSource,
    status: watch::Receiver<NodeFlowExportStatus>,
    metrics: Arc<Metrics>,
) -> watch::Receiver<Option<Desired>> {
    let resource = ApiResource::erase::<NodeFlowExport>(&());
    let api = Api::all_with(source.client.clone(), &resource);
    let (spec_sender, spec) = watch::channel(None);
    let (object_sender, object) = watch::channel(None);
    let name = source.node_name.clone();
    let sinks = Sinks {
        spec: spec_sender,
        object: object_sender,
    };
    tokio::spawn(watch_spec(api.clone(), source, sinks, Arc::clone(&metrics)));
    tokio::spawn(write_status(api, name, object, status, metrics));
    spec
}

/// Who is to know what the watch shows.
struct Sinks {
    spec: watch::Sender<Option<Desired>>,
    object: watch::Sender<Option<StatusObject>>,
}

/// Follows the object. That it is gone, or was not there when all objects were
/// listed, means that nothing shall be exported; that the API server cannot be
/// asked means nothing at all.
async fn watch_spec(api: Api<DynamicObject>, source: ClusterSource, sinks: Sinks, metrics: Arc<Metrics>) {
    let name = &source.node_name;
    let config = watch_config(source.watch_timeout).fields(&format!("metadata.name={name}"));
    let mut events = watch_objects(api, config).default_backoff().boxed();
    let mut listed = None;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed = None,
            Ok(Event::InitApply(export)) => listed = Some(export),
            Ok(Event::InitDone) => sinks.show(listed.take()),
            Ok(Event::Apply(export)) => sinks.show(Some(export)),
            Ok(Event::Delete(_)) => sinks.show(None),
            Err(error) => {
                metrics.count_watch_error();
                let error = describe_watch(&error);
                tracing::warn!(error, "watch of NodeFlowExport {name} failed");
            }
        }
        if sinks.spec.is_closed() {
            return;
        }
    }
}

impl Sinks {
    fn show(&self, export: Option<DynamicObject>) {
        let object = export.as_ref().map(read::status_object);
        let before = self.spec.borrow().clone();
        let desired = match export {
            Some(export) => read::desired(export, before.as_ref()),
            None => Desired::default(),
        };
        self.spec.send_if_modified(|told| {
            let changed = told.as_ref().is_none_or(|told| !told.asks_the_same(&desired));
            if changed {
                *told = Some(desired);
            }
            changed
        });
        // Even the same again: it shows that the server answers.
        self.object.send_replace(object);
    }
}

/// Writes the status to the object, and again to a new object of that name.
/// Ends with the agent, after having tried to write its last word.
async fn write_status(
    api: Api<DynamicObject>,
    name: String,
    mut object: watch::Receiver<Option<StatusObject>>,
    mut status: watch::Receiver<NodeFlowExportStatus>,
    metrics: Arc<Metrics>,
) {
    let mut writer = StatusWriter::new(Instant::now());
    loop {
        let on = object.borrow_and_update().clone();
        let latest = status.borrow_and_update().clone();
        let wake = match writer.step(on.as_ref(), &latest, Instant::now()) {
            WriteStep::Wait(at) => at,
            WriteStep::Write => {
                match patch(&api, &name, &latest).await {
                    Ok(answer) => {
                        metrics.count_status_patch(WriteOutcome::Written);
                        writer.written(on.as_ref(), latest, answer, Instant::now());
                    }
                    Err(outcome) => {
                        metrics.count_status_patch(outcome);
                        writer.failed(outcome, Instant::now());
                    }
                }
                continue;
            }
        };
        let pause = async {
            match wake {
                None => std::future::pending().await,
                Some(at) => tokio::time::sleep_until(at.into()).await,
            }
        };
        let open = tokio::select! {
            changed = status.changed() => changed.is_ok(),
            changed = object.changed() => {
                writer.server_answered();
                changed.is_ok()
            }
            () = pause => continue,
        };
        if !open {
            return;
        }
        tokio::time::sleep(jittered(SETTLE, 500)).await;
    }
}

/// Applies the status, and once more without what the server's definition does not have.
async fn patch(
    api: &Api<DynamicObject>,
    name: &str,
    status: &NodeFlowExportStatus,
) -> Result<StatusObject, WriteOutcome> {
    let mut body = json!({
        "apiVersion": "weir.dev/v1alpha1",
        "kind": "NodeFlowExport",
        "metadata": { "name": name },
        "status": status,
    });
    let mut answer = apply(api, name, &body).await;
    if let Err(Some(Error::Api(refusal))) = &answer {
        let left_out = undeclared::leave_out(&mut body, &refusal.message);
        if !left_out.is_empty() {
            let fields = left_out.join(", ");
            tracing::warn!(
                fields,
                "the definition of NodeFlowExport is older than this daemon: not reported"
            );
            answer = apply(api, name, &body).await;
        }
    }
    answer
        .map(|object| read::status_object(&object))
        .map_err(|error| {
            let error = error.as_ref();
            let why = error.map_or_else(|| "no answer".to_owned(), describe);
            tracing::warn!(error = why, "cannot write the status of NodeFlowExport {name}");
            outcome(error)
        })
}

/// What a write came to that failed so; none: there was no answer in time.
fn outcome(error: Option<&Error>) -> WriteOutcome {
    match error {
        Some(Error::Service(_) | Error::HyperError(_)) => WriteOutcome::Unreachable,
        Some(Error::Api(said)) if matches!(said.code, 429 | 503 | 504) => {
            let seconds = said
                .details
                .as_ref()
                .map_or(0, |details| details.retry_after_seconds);
            let at_least = Duration::from_secs(u64::from(seconds));
            WriteOutcome::PutOff((!at_least.is_zero()).then_some(at_least))
        }
        _ => WriteOutcome::Refused,
    }
}

/// The object then, or the error; none: there was no answer in time.
async fn apply(api: &Api<DynamicObject>, name: &str, body: &Value) -> Result<DynamicObject, Option<Error>> {
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(body);
    match tokio::time::timeout(PATCH_LIMIT, api.patch_status(name, &params, &patch)).await {
        Ok(answer) => answer.map_err(Some),
        Err(_) => Err(None),
    }
}

#[cfg(test)]
mod tests;
