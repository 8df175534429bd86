//! Objects of Kubernetes: of the kinds that names are made of as their watches bring them
//! ([`Feed`]), of all others by a watch each.
//!
//! A kind whose definition is missing has no objects, which is no error: it is looked for
//! again now and then.

use std::time::Duration;

use futures::stream::StreamExt;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;
use weir_identity::ObjectKind;
use weir_process::kubernetes::{WATCH_TIMEOUT, describe_watch, watch_config};

use super::PolicyObjects;
use super::kinds::KindNumber;
use super::known::Key;
use crate::flow_metrics::objects::is_missing;

/// Pause after a watch failed.
const FAILED_PAUSE: Duration = Duration::from_secs(2);
/// Pause while there is no such kind.
const MISSING_PAUSE: Duration = Duration::from_secs(10);
/// A kind that was there is gone when it was missing so many times: an API server that has just
/// started does not know it at once.
const MISSING_TIMES: usize = 3;

/// The kinds that the watches of names bring.
const OF_NAMES: [ObjectKind; 7] = [
    ObjectKind::Pod,
    ObjectKind::Node,
    ObjectKind::Service,
    ObjectKind::EndpointSlice,
    ObjectKind::ReplicaSet,
    ObjectKind::ReplicationController,
    ObjectKind::Job,
];

/// What a watch of one kind brings, on its way to the objects. Without objects that want it
/// nothing is done.
#[derive(Debug, Clone, Default)]
pub struct Feed(Option<(PolicyObjects, KindNumber, String)>);

impl Feed {
    /// Of a kind that names are made of.
    pub fn of(objects: Option<&PolicyObjects>, kind: ObjectKind) -> Self {
        let number = number_of(kind);
        Self(objects.zip(number).map(|(objects, number)| {
            let kind = number.kind();
            let version = kind.versions.first().copied().unwrap_or_default();
            (objects.clone(), number, kind.api_version(version))
        }))
    }

    /// Takes one event.
    pub fn take<K: Serialize>(&self, event: &watcher::Result<Event<K>>) {
        let Some((objects, kind, api_version)) = &self.0 else {
            return;
        };
        let named = |object: &K| named(object, *kind, api_version);
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                if let Some((key, value)) = named(object) {
                    objects.change(|known| known.put(key, &value));
                }
            }
            Ok(Event::Delete(object)) => {
                if let Some((key, _)) = named(object) {
                    objects.change(|known| known.remove(&key));
                }
            }
            Ok(Event::Init) => objects.change(|known| known.begin(*kind)),
            Ok(Event::InitDone) => objects.change(|known| known.end(*kind)),
            // Told by whoever watches.
            Err(error) => {
                objects.change(|known| known.fail(*kind, &describe_watch(error)));
            }
        }
    }
}

/// The kind here of one there.
fn number_of(kind: ObjectKind) -> Option<KindNumber> {
    let is_it = |number: &KindNumber| OF_NAMES.contains(&kind) && number.kind().name == kind.as_str();
    KindNumber::all().find(is_it)
}

/// An object, which of a list need not say what it is, and its key.
fn named<K: Serialize>(object: &K, kind: KindNumber, api_version: &str) -> Option<(Key, Value)> {
    let mut value = serde_json::to_value(object).ok()?;
    let fields = value.as_object_mut()?;
    fields.insert("apiVersion".to_owned(), api_version.into());
    fields.insert("kind".to_owned(), kind.kind().name.into());
    Some((Key::of(&value)?, value))
}

/// Watches all kinds that the watches of names do not bring, each by a task.
pub fn follow(client: &Client, objects: &PolicyObjects, tasks: &mut JoinSet<()>) {
    let of_names: Vec<_> = OF_NAMES.into_iter().filter_map(number_of).collect();
    for kind in KindNumber::all().filter(|kind| !of_names.contains(kind)) {
        tasks.spawn(follow_kind(client.clone(), kind, objects.clone()));
    }
}

/// Follows one kind in the first of its versions that the cluster has, for ever.
async fn follow_kind(client: Client, number: KindNumber, objects: PolicyObjects) {
    let kind = number.kind();
    let mut versions = kind.versions.iter().cycle();
    // How often in a row there was no such version, and whether there ever was one.
    let (mut missing, mut was_there) = (0, false);
    loop {
        let Some(version) = versions.next() else { return };
        let api_version = kind.api_version(version);
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(kind.group, version, kind.name));
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let feed = Feed(Some((objects.clone(), number, api_version)));
        let mut events = watcher::watcher(api, watch_config(WATCH_TIMEOUT)).boxed();
        while let Some(event) = events.next().await {
            match &event {
                Err(error) if is_missing(error) => {
                    missing += 1;
                    break;
                }
                Err(error) => {
                    let why = describe_watch(error);
                    if objects.change(|known| known.fail(number, &why)) {
                        tracing::warn!(
                            kind = kind.name,
                            group = kind.group,
                            error = why,
                            "objects that policies are made of cannot be watched, will be tried again"
                        );
                    }
                    tokio::time::sleep(FAILED_PAUSE).await;
                }
                Ok(told) => {
                    // That a list begins is told before anybody was asked for it.
                    if !matches!(told, Event::Init) {
                        (missing, was_there) = (0, true);
                    }
                    feed.take(&event);
                }
            }
        }
        let times = if was_there { MISSING_TIMES } else { 1 };
        if missing >= times * kind.versions.len() {
            objects.change(|known| known.absent(number));
            (missing, was_there) = (0, false);
            tokio::time::sleep(MISSING_PAUSE).await;
        } else if was_there {
            tokio::time::sleep(FAILED_PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_kind_that_the_cluster_has_not_got_is_waited_for_no_longer() {
        let nothing = axum::Router::new().fallback(async || axum::http::StatusCode::NOT_FOUND);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, nothing).await });
        let client = Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();
        let objects = PolicyObjects::new(None);
        let mut changed = objects.changed();
        let (mut tasks, waits_for) = (JoinSet::new(), || objects.now().unwrap_err());
        assert!(waits_for().contains("EgressFirewall") && waits_for().contains("ClusterNetworkPolicy"));
        follow(&client, &objects, &mut tasks);
        while waits_for().contains("EgressFirewall") || waits_for().contains("ClusterNetworkPolicy") {
            changed.changed().await.unwrap();
        }
        assert!(waits_for().contains("Pod"), "what the watches of names bring");
    }

    #[test]
    fn what_a_watch_of_names_brings_is_known_without_a_watch_of_its_own() {
        let objects = PolicyObjects::new(None);
        let feed = Feed::of(Some(&objects), ObjectKind::Pod);
        let pod = |app: &str| json!({"metadata": {"name": "a", "namespace": "shop", "labels": {"app": app}}});
        feed.take::<Value>(&Ok(Event::Init));
        feed.take(&Ok(Event::InitApply(pod("x"))));
        feed.take::<Value>(&Ok(Event::InitDone));
        assert_eq!(objects.change(|known| known.take_changed()).len(), 1);
        feed.take(&Ok(Event::Apply(pod("x"))));
        assert!(objects.change(|known| known.take_changed()).is_empty());
        feed.take(&Ok(Event::Apply(pod("y"))));
        let changed = objects.change(|known| known.take_changed());
        assert!(changed[0].1.as_ref().unwrap().contains(r#""app":"y""#));
        feed.take(&Ok(Event::Delete(pod("y"))));
        assert!(objects.change(|known| known.take_changed())[0].1.is_none());
        // Exports are none of what policies select.
        assert!(Feed::of(Some(&objects), ObjectKind::NodeFlowExport).0.is_none());
    }
}
