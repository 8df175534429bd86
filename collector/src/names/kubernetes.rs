//! The Kubernetes watches that feed the [`Index`], and the task that publishes
//! its snapshots. Whoever holds an address is decided in the index, not here.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{Stream, StreamExt, select_all};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ReplicationController;
use kube::api::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use weir_api::NodeFlowExport;
use weir_identity::facts::objects::{EndpointSlice, Node, Pod, Service};
use weir_identity::facts::{self, Fact, ObjectKey, ObjectKind, Owner};
use weir_identity::{Index, Snapshot, time};
use weir_process::kubernetes::{WATCH_TIMEOUT, describe_watch};

use crate::args::NodeDaemon;
use crate::health::Health;
use crate::policies::{Feed, PolicyObjects};
use crate::relisted::{Heard, Pauses, relisted};

/// Time between two snapshots while changes keep coming.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(100);
/// Time after which what is too old is looked for when nothing changes.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);

/// One event of any watch, cut down to facts.
enum Change {
    Apply(ObjectKey, Fact),
    Delete(ObjectKey),
    ListBegins(ObjectKind),
    Listed(ObjectKey, Fact),
    ListEnds(ObjectKind),
    Failed(ObjectKind, String),
    Resumed(ObjectKind),
}

type Changes = Pin<Box<dyn Stream<Item = Change> + Send>>;

/// Keeps the snapshot up to date with the cluster, until the receivers of
/// `names` are gone. Failed watches are tried again, with growing pauses; what
/// was known stays known meanwhile. Who had an address is known for `history`.
pub async fn follow(
    client: Client,
    history: Duration,
    node_daemon: NodeDaemon,
    names: watch::Sender<Snapshot>,
    health: Arc<Health>,
    policies: Option<PolicyObjects>,
) {
    let mut changes = select_all(watches(&client, policies.as_ref())).ready_chunks(1024);
    let mut watched = Watched {
        index: Index::new(history).with_node_daemon(&node_daemon.ns, &node_daemon.name),
        ..Watched::new(history)
    };
    loop {
        let batch = tokio::select! {
            batch = changes.next() => batch,
            () = tokio::time::sleep(EXPIRY_INTERVAL) => Some(Vec::new()),
            () = names.closed() => None,
        };
        let Some(batch) = batch else { return };
        let now = time::now();
        let news = batch.into_iter().fold(watched.index.expire(now), |news, change| {
            watched.take(change, now) | news
        });
        if news {
            names.send_replace(watched.index.snapshot());
        }
        // Who is ready has the names.
        health.set_identity(watched.describe());
        if news {
            tokio::time::sleep(PUBLISH_INTERVAL).await;
        }
    }
}

fn watches(client: &Client, policies: Option<&PolicyObjects>) -> [Changes; ObjectKind::ALL.len()] {
    let feed = |kind| Feed::of(policies, kind);
    [
        changes(
            client,
            ObjectKind::Pod,
            |pod: &Pod| facts::pod(pod),
            feed(ObjectKind::Pod),
        ),
        changes(
            client,
            ObjectKind::Node,
            |node: &Node| facts::node(node),
            feed(ObjectKind::Node),
        ),
        changes(
            client,
            ObjectKind::Service,
            |service: &Service| facts::service(service),
            feed(ObjectKind::Service),
        ),
        changes(
            client,
            ObjectKind::EndpointSlice,
            |slice: &EndpointSlice| facts::endpoints(slice),
            feed(ObjectKind::EndpointSlice),
        ),
        changes(
            client,
            ObjectKind::ReplicaSet,
            controlled::<ReplicaSet>,
            feed(ObjectKind::ReplicaSet),
        ),
        changes(
            client,
            ObjectKind::ReplicationController,
            controlled::<ReplicationController>,
            feed(ObjectKind::ReplicationController),
        ),
        changes(client, ObjectKind::Job, controlled::<Job>, feed(ObjectKind::Job)),
        changes(
            client,
            ObjectKind::NodeFlowExport,
            |export: &NodeFlowExport| facts::exports(export),
            Feed::default(),
        ),
    ]
}

/// Of controllers the API server sends metadata alone: an `Api` of [`PartialObjectMeta`]
/// asks for `PartialObjectMetadata`. Their pod templates are most of what they are.
fn controlled<K: Resource>(object: &PartialObjectMeta<K>) -> Fact {
    Fact::Controlled(Owner::of(&object.metadata))
}

fn changes<K>(client: &Client, kind: ObjectKind, cut: fn(&K) -> Fact, feed: Feed) -> Changes
where
    K: Resource + Clone + DeserializeOwned + Serialize + Debug + Send + 'static,
    K::DynamicType: Default,
{
    let events = relisted(Api::<K>::all(client.clone()), WATCH_TIMEOUT, Pauses::default());
    Box::pin(events.map(move |event| {
        feed.take(&event);
        change(kind, cut, event)
    }))
}

fn change<K: Resource>(kind: ObjectKind, cut: fn(&K) -> Fact, heard: watcher::Result<Heard<K>>) -> Change {
    let key = |object: &K| ObjectKey::of(kind, object.meta());
    let event = match heard {
        Ok(Heard::Event(event)) => event,
        Ok(Heard::Resumed) => return Change::Resumed(kind),
        Err(error) => return Change::Failed(kind, describe_watch(&error)),
    };
    match event {
        Event::Apply(object) => Change::Apply(key(&object), cut(&object)),
        Event::Delete(object) => Change::Delete(key(&object)),
        Event::Init => Change::ListBegins(kind),
        Event::InitApply(object) => Change::Listed(key(&object), cut(&object)),
        Event::InitDone => Change::ListEnds(kind),
    }
}

/// The index, and how far each watch is.
struct Watched {
    index: Index,
    /// Objects seen since the list that is being read began.
    listing: [HashSet<ObjectKey>; ObjectKind::ALL.len()],
    complete: [bool; ObjectKind::ALL.len()],
    failures: [Option<String>; ObjectKind::ALL.len()],
}

impl Watched {
    fn new(history: Duration) -> Self {
        Self {
            index: Index::new(history),
            listing: Default::default(),
            complete: Default::default(),
            failures: Default::default(),
        }
    }

    /// Takes one change in, now (ns since the epoch UTC). Returns whether readers
    /// may see a difference.
    fn take(&mut self, change: Change, now: u64) -> bool {
        match change {
            Change::Apply(key, fact) => {
                self.failures[key.kind as usize] = None;
                self.index.apply(key, fact, now)
            }
            Change::Delete(key) => self.index.delete(&key, now),
            Change::ListBegins(kind) => {
                self.listing[kind as usize].clear();
                false
            }
            Change::Listed(key, fact) => {
                self.listing[key.kind as usize].insert(key.clone());
                self.index.apply(key, fact, now)
            }
            Change::ListEnds(kind) => {
                let present = std::mem::take(&mut self.listing[kind as usize]);
                self.complete[kind as usize] = true;
                self.failures[kind as usize] = None;
                self.index.retain(kind, &present, now)
            }
            Change::Resumed(kind) => {
                self.failures[kind as usize] = None;
                false
            }
            Change::Failed(kind, error) => {
                let last = self.failures[kind as usize].replace(error.clone());
                if last.as_ref() != Some(&error) {
                    tracing::warn!(kind = kind.as_str(), error, "watch failed, will be tried again");
                }
                false
            }
        }
    }

    /// Everything was read once; what was not, and why.
    fn describe(&self) -> Result<(), String> {
        let mut waiting: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for kind in ObjectKind::ALL
            .into_iter()
            .filter(|kind| !self.complete[*kind as usize])
        {
            let why = self.failures[kind as usize]
                .as_deref()
                .unwrap_or("not listed yet");
            waiting.entry(why).or_default().push(kind.as_str());
        }
        let lines: Vec<_> = waiting
            .into_iter()
            .map(|(why, kinds)| format!("{}: {why}", kinds.join(", ")))
            .collect();
        if lines.is_empty() {
            Ok(())
        } else {
            Err(lines.join("; "))
        }
    }
}

#[cfg(test)]
mod tests;
