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
use weir_identity::{ObjectKind, time};
use weir_process::kubernetes::{WATCH_TIMEOUT, describe_watch};

use super::PolicyObjects;
use super::kinds::KindNumber;
use super::known::Key;
use crate::flow_metrics::objects::is_missing;
use crate::relisted::{self, Heard, relisted};

/// How long is waited before a kind is asked for again.
#[derive(Debug, Clone, Copy)]
struct Pauses {
    /// After a watch failed.
    failed: relisted::Pauses,
    /// While there is no such kind.
    missing: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            failed: relisted::Pauses::default(),
            missing: Duration::from_secs(10),
        }
    }
}

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
    pub fn take<K: Serialize>(&self, heard: &watcher::Result<Heard<K>>) {
        let Some((objects, kind, api_version)) = &self.0 else {
            return;
        };
        let now = time::now();
        let named = |object: &K| named(object, *kind, api_version);
        let put = |object: &K| {
            if let Some((key, value)) = named(object) {
                objects.change(|known| known.put(key, &value));
            }
        };
        let event = match heard {
            Ok(Heard::Event(event)) => event,
            Ok(Heard::Resumed) => {
                objects.change(|known| known.settle(*kind, now));
                return;
            }
            // Told by whoever watches.
            Err(error) => {
                objects.change(|known| known.fail(*kind, &describe_watch(error), now));
                return;
            }
        };
        match event {
            Event::InitApply(object) => put(object),
            Event::Apply(object) => {
                put(object);
                objects.change(|known| known.hear(*kind, now));
            }
            Event::Delete(object) => {
                if let Some((key, _)) = named(object) {
                    objects.change(|known| known.remove(&key));
                }
                objects.change(|known| known.hear(*kind, now));
            }
            Event::Init => objects.change(|known| known.begin(*kind, now)),
            Event::InitDone => objects.change(|known| known.end(*kind)),
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
        tasks.spawn(follow_kind(
            client.clone(),
            kind,
            objects.clone(),
            Pauses::default(),
        ));
    }
}

/// Follows one kind in the first of its versions that the cluster has, for ever.
async fn follow_kind(client: Client, number: KindNumber, objects: PolicyObjects, pauses: Pauses) {
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
        let mut events = relisted(api, WATCH_TIMEOUT, pauses.failed).boxed();
        while let Some(event) = events.next().await {
            match &event {
                Err(error) if is_missing(error) => {
                    missing += 1;
                    // What was not there is not missed.
                    if was_there {
                        objects.change(|known| known.lose(number, time::now()));
                    }
                    break;
                }
                Err(error) => {
                    let why = describe_watch(error);
                    if objects.change(|known| known.fail(number, &why, time::now())) {
                        tracing::warn!(
                            kind = kind.name,
                            group = kind.group,
                            error = why,
                            "objects that policies are made of cannot be watched, will be tried again"
                        );
                    }
                }
                Ok(told) => {
                    // That a list begins is told before anybody was asked for it.
                    if !matches!(told, Heard::Event(Event::Init)) {
                        (missing, was_there) = (0, true);
                    }
                    feed.take(&event);
                }
            }
        }
        let times = if was_there { MISSING_TIMES } else { 1 };
        if missing >= times * kind.versions.len() {
            objects.change(|known| known.absent(number, time::now()));
            (missing, was_there) = (0, false);
            tokio::time::sleep(pauses.missing).await;
        } else if was_there {
            tokio::time::sleep(pauses.failed.first).await;
        }
    }
}

#[cfg(test)]
mod tests;
