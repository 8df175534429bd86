//! The spec from the cluster: this node's own `NodeFlowExport`, watched with a
//! field selector, and its status, written by server-side apply.
//!
//! Two tasks, and neither ever holds the agent up: [`watch_spec`] is the only
//! writer of the spec, [`write_status`] only reads what the agent publishes.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::sync::watch;
use weir_api::{NodeFlowExport, NodeFlowExportStatus};

use crate::desired::Desired;
use crate::metrics::Metrics;
use crate::pace::retry_delay;

/// Owner of the status fields.
pub const FIELD_MANAGER: &str = "weir-node";

/// Changes that follow each other this closely, such as "written" and "taken
/// over by the switch", become one patch. Long enough, too, that the reports of
/// many nodes do not get in the way of the specs of the others: with 100 nodes,
/// 300 ms cost the slowest of them as much again.
pub const SETTLE: Duration = Duration::from_secs(1);

/// Longest wait for one patch.
const PATCH_LIMIT: Duration = Duration::from_secs(10);

/// The object that the status belongs to; `None` while there is none.
type Object = Option<String>;

/// Starts both tasks.
pub fn spawn(
    client: Client,
    node_name: &str,
    status: watch::Receiver<NodeFlowExportStatus>,
    metrics: Arc<Metrics>,
) -> watch::Receiver<Option<Desired>> {
    let api = Api::all(client);
    let (spec_sender, spec) = watch::channel(None);
    let (object_sender, object) = watch::channel(None);
    let name = node_name.to_owned();
    tokio::spawn(watch_spec(
        api.clone(),
        name.clone(),
        spec_sender,
        object_sender,
        Arc::clone(&metrics),
    ));
    tokio::spawn(write_status(api, name, object, status, metrics));
    spec
}

/// Follows the object. That it is gone, or was not there when all objects were
/// listed, means that nothing shall be exported; that the API server cannot be
/// asked means nothing at all.
async fn watch_spec(
    api: Api<NodeFlowExport>,
    name: String,
    spec: watch::Sender<Option<Desired>>,
    object: watch::Sender<Object>,
    metrics: Arc<Metrics>,
) {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = watch_objects(api, config).default_backoff().boxed();
    let mut listed = None;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed = None,
            Ok(Event::InitApply(export)) => listed = Some(export),
            Ok(Event::InitDone) => tell(listed.take(), &spec, &object),
            Ok(Event::Apply(export)) => tell(Some(export), &spec, &object),
            Ok(Event::Delete(_)) => tell(None, &spec, &object),
            Err(error) => {
                metrics.count_watch_error();
                tracing::warn!(%error, "watch of NodeFlowExport {name} failed");
            }
        }
        if spec.is_closed() {
            return;
        }
    }
}

fn tell(
    export: Option<NodeFlowExport>,
    spec: &watch::Sender<Option<Desired>>,
    object: &watch::Sender<Object>,
) {
    let uid = export.as_ref().and_then(ResourceExt::uid);
    let desired = export.map_or_else(Desired::default, desired);
    spec.send_if_modified(|told| {
        let same = told
            .as_ref()
            .is_some_and(|t| t.spec == desired.spec && t.generation == desired.generation);
        if !same {
            *told = Some(desired);
        }
        !same
    });
    object.send_if_modified(|told| {
        let changed = *told != uid;
        *told = uid;
        changed
    });
}

fn desired(export: NodeFlowExport) -> Desired {
    Desired {
        generation: export.metadata.generation,
        reported: export.status.map(|s| s.conditions).unwrap_or_default(),
        spec: export.spec,
        acceptance: None,
    }
}

/// Writes each status to the object, and again to a new object of that name.
/// Ends with the agent, after having tried to write its last word.
async fn write_status(
    api: Api<NodeFlowExport>,
    name: String,
    mut object: watch::Receiver<Object>,
    mut status: watch::Receiver<NodeFlowExportStatus>,
    metrics: Arc<Metrics>,
) {
    let mut written = None;
    let mut failures = 0;
    loop {
        let uid = object.borrow_and_update().clone();
        let latest = status.borrow_and_update().clone();
        let due = uid.is_some()
            && latest != NodeFlowExportStatus::default()
            && written.as_ref() != Some(&(uid.clone(), latest.clone()));
        if due {
            let succeeded = patch(&api, &name, &latest).await;
            metrics.count_status_patch(succeeded);
            failures = if succeeded { 0 } else { failures + 1 };
            if succeeded {
                written = Some((uid, latest));
            }
        }
        let retry = async {
            match failures {
                0 => std::future::pending().await,
                n => tokio::time::sleep(retry_delay(n)).await,
            }
        };
        let open = tokio::select! {
            changed = status.changed() => changed.is_ok(),
            changed = object.changed() => changed.is_ok(),
            () = retry => true,
        };
        if !open {
            return;
        }
        tokio::time::sleep(SETTLE).await;
    }
}

async fn patch(api: &Api<NodeFlowExport>, name: &str, status: &NodeFlowExportStatus) -> bool {
    let body = json!({
        "apiVersion": "weir.dev/v1alpha1",
        "kind": "NodeFlowExport",
        "metadata": { "name": name },
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(&body);
    match tokio::time::timeout(PATCH_LIMIT, api.patch_status(name, &params, &patch)).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "cannot write the status of NodeFlowExport {name}");
            false
        }
        Err(_) => {
            tracing::warn!("no answer when writing the status of NodeFlowExport {name}");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_api::{BridgeExport, NodeFlowExportSpec};

    fn export(uid: &str, generation: i64, bridge: &str) -> NodeFlowExport {
        let bridge = BridgeExport {
            name: bridge.to_owned(),
            ..Default::default()
        };
        let spec = NodeFlowExportSpec {
            bridges: vec![bridge],
            ..Default::default()
        };
        let mut export = NodeFlowExport::new("node-a", spec);
        export.metadata.uid = Some(uid.to_owned());
        export.metadata.generation = Some(generation);
        export
    }

    #[test]
    fn a_change_of_the_status_alone_does_not_wake_the_agent() {
        let (spec, mut told) = watch::channel(None);
        let (object, _) = watch::channel(None);
        tell(Some(export("u1", 1, "br-int")), &spec, &object);
        assert!(told.has_changed().unwrap());
        told.mark_unchanged();
        let mut same = export("u1", 1, "br-int");
        same.status = Some(NodeFlowExportStatus::default());
        tell(Some(same), &spec, &object);
        assert!(!told.has_changed().unwrap());
        tell(Some(export("u1", 2, "br-ex")), &spec, &object);
        assert_eq!(told.borrow_and_update().as_ref().unwrap().generation, Some(2));
    }

    #[test]
    fn without_the_object_nothing_is_asked_for_and_nowhere_to_report() {
        let (spec, told) = watch::channel(None);
        let (object, on) = watch::channel(None);
        tell(Some(export("u1", 1, "br-int")), &spec, &object);
        assert_eq!(on.borrow().as_deref(), Some("u1"));
        tell(None, &spec, &object);
        assert_eq!(*told.borrow(), Some(Desired::default()));
        assert_eq!(*on.borrow(), None);
    }

    #[test]
    fn an_object_made_anew_is_told_even_with_the_same_spec() {
        let (spec, _) = watch::channel(None);
        let (object, mut on) = watch::channel(None);
        tell(Some(export("u1", 1, "br-int")), &spec, &object);
        on.mark_unchanged();
        tell(Some(export("u2", 1, "br-int")), &spec, &object);
        assert!(on.has_changed().unwrap());
    }
}
