//! Labels of networks that the cluster's FlowCollector (`flows.netobserv.io/v1beta2`, the object
//! `cluster`) has in `spec.processor.subnetLabels`. The resource is NetObserv's, and may be missing, come and
//! go: without it there are none.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::StreamExt;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use weir_identity::subnets::{Labels, LabelsError};
use weir_process::kubernetes::{WATCH_TIMEOUT, describe_watch, watch_config};

use super::subnet_labels::LabelSources;
use crate::flow_metrics::objects::is_missing;

/// Its name: there is one.
const NAME: &str = "cluster";
/// Pause after the watch failed.
const FAILED_PAUSE: Duration = Duration::from_secs(2);
/// Pause while there is no such resource.
const MISSING_PAUSE: Duration = Duration::from_secs(10);

/// Keeps the labels as the object says, for ever.
pub async fn follow(client: Client, labels: LabelSources) {
    let kind = GroupVersionKind::gvk("flows.netobserv.io", "v1beta2", "FlowCollector");
    let api: Api<DynamicObject> = Api::all_with(client, &ApiResource::from_gvk(&kind));
    let config = watch_config(WATCH_TIMEOUT).fields(&format!("metadata.name={NAME}"));
    let mut events = watcher::watcher(api, config).boxed();
    let mut object = WatchedObject::default();
    let mut failure = None;
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) if is_missing(&error) => {
                object.gone(&labels);
                tokio::time::sleep(MISSING_PAUSE).await;
                continue;
            }
            Err(error) => {
                let text = describe_watch(&error);
                if failure.as_ref() != Some(&text) {
                    tracing::warn!(
                        error = text,
                        "the watch of the FlowCollector failed, will be tried again"
                    );
                }
                failure = Some(text);
                tokio::time::sleep(FAILED_PAUSE).await;
                continue;
            }
        };
        failure = None;
        object.take(event, &labels);
    }
}

/// What is known of the object.
#[derive(Debug, Default)]
struct WatchedObject {
    /// It is in the list that is being read.
    is_listed: bool,
    /// What its labels were, as JSON.
    said: Option<String>,
}

impl WatchedObject {
    fn take(&mut self, event: Event<DynamicObject>, labels: &LabelSources) {
        match event {
            Event::Init => self.is_listed = false,
            Event::InitApply(object) => {
                self.is_listed = true;
                self.says(&object, labels);
            }
            Event::InitDone if self.is_listed => {}
            Event::Apply(object) => self.says(&object, labels),
            Event::InitDone | Event::Delete(_) => self.gone(labels),
        }
    }

    fn says(&mut self, object: &DynamicObject, labels: &LabelSources) {
        let says = object.data.pointer("/spec/processor/subnetLabels");
        let says = says.map(ToString::to_string).unwrap_or_default();
        if self.said.as_ref() == Some(&says) {
            return;
        }
        match read(&says) {
            Ok(read) => {
                tracing::info!(
                    networks = read.len(),
                    "subnet labels of the FlowCollector were read"
                );
                labels.set_flow_collector(Arc::new(read));
            }
            Err(error) => {
                tracing::warn!(%error, "subnet labels of the FlowCollector stay as they were");
            }
        }
        self.said = Some(says);
    }

    fn gone(&mut self, labels: &LabelSources) {
        if self.said.take().is_some() {
            tracing::info!("there is no FlowCollector any more, and no subnet labels of it");
            labels.set_flow_collector(Arc::default());
        }
    }
}

fn read(says: &str) -> Result<Labels, LabelsError> {
    Labels::parse(says, Path::new("FlowCollector cluster"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::sync::watch;

    use super::*;

    fn object(labels: Value) -> DynamicObject {
        let object = json!({
            "apiVersion": "flows.netobserv.io/v1beta2",
            "kind": "FlowCollector",
            "metadata": {"name": NAME},
            "spec": {"processor": {"subnetLabels": labels}},
        });
        serde_json::from_value(object).unwrap()
    }

    fn custom(name: &str, cidr: &str) -> Value {
        json!({"openShiftAutoDetect": true, "customLabels": [{"name": name, "cidrs": [cidr]}]})
    }

    fn label(labels: &watch::Receiver<Arc<Labels>>, address: &str) -> Option<String> {
        let labels = labels.borrow();
        labels.get(address.parse().unwrap()).map(ToString::to_string)
    }

    #[test]
    fn networks_have_the_labels_of_the_flow_collector_while_there_is_one_unless_the_file_says_otherwise() {
        let (sources, labels) = LabelSources::new();
        let mut watched = WatchedObject::default();
        let list = |watched: &mut WatchedObject, listed: &[DynamicObject]| {
            watched.take(Event::Init, &sources);
            for object in listed {
                watched.take(Event::InitApply(object.clone()), &sources);
            }
            watched.take(Event::InitDone, &sources);
        };
        list(&mut watched, &[]);
        assert_eq!(label(&labels, "198.51.100.1"), None);
        list(&mut watched, &[object(custom("bank", "198.51.100.0/24"))]);
        assert_eq!(label(&labels, "198.51.100.1").as_deref(), Some("bank"));
        let file =
            "customLabels: [{name: ours, cidrs: [198.51.100.0/24]}, {name: more, cidrs: [192.0.2.0/24]}]";
        sources.set_file(Arc::new(Labels::parse(file, Path::new("f")).unwrap()));
        watched.take(
            Event::Apply(object(custom("narrow", "198.51.100.128/25"))),
            &sources,
        );
        for (address, expected) in [
            ("198.51.100.1", Some("ours")),
            ("198.51.100.129", Some("narrow")),
            ("192.0.2.1", Some("more")),
        ] {
            assert_eq!(label(&labels, address).as_deref(), expected, "{address}");
        }
        // What is wrong changes nothing.
        watched.take(Event::Apply(object(custom("", "nonsense"))), &sources);
        assert_eq!(label(&labels, "198.51.100.129").as_deref(), Some("narrow"));
        watched.take(Event::Delete(object(Value::Null)), &sources);
        assert_eq!(label(&labels, "198.51.100.129").as_deref(), Some("ours"));
    }
}
