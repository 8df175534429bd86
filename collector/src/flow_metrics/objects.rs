//! FlowMetrics of a cluster (`flows.netobserv.io/v1alpha1`): a watch that defines metrics by
//! them, and tells in their status what became of them.
//!
//! The definition of the resource is NetObserv's and may be missing, come and go: while it is
//! missing there are no objects, which is no error. What was defined stays defined while the API
//! server does not answer. A status that somebody else writes too (NetObserv's operator) is left
//! alone; one that another collector writes differently is written less and less often.

mod backoff;
mod namespace;
mod object;
mod status;
mod status_write;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::stream::StreamExt;
use jiff::Timestamp;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use weir_flowmetrics::{API_VERSION, KIND, ObjectName, Problem};
use weir_process::kubernetes::{WATCH_TIMEOUT, describe, describe_watch, watch_config};

use super::definitions::MAX_RESOURCES;
use super::{DefinedBy, Estimate, FlowMetrics, Outcome};
use backoff::{StatusBackoff, Turn};
pub use namespace::MetricNamespace;
use object::{Listing, name_of, read, trimmed};
use status_write::{StatusWrite, write_status};

/// Pause after the watch failed.
const FAILED_PAUSE: Duration = Duration::from_secs(2);
/// Pause while there is no such resource.
const MISSING_PAUSE: Duration = Duration::from_secs(10);
/// The resource is gone when it was missing so many times: an API server that has just started
/// does not know it at once.
const MISSING_TIMES: u32 = 3;
/// Pause before statuses that could not be written, or wait for their turn, are looked at again.
const STATUS_PAUSE: Duration = Duration::from_secs(10);

/// Keeps the metrics as the objects say, for ever.
pub async fn follow(client: Client, namespace: MetricNamespace, flow_metrics: FlowMetrics) {
    let (group, version) = API_VERSION.split_once('/').unwrap_or_default();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, KIND));
    let api: Api<DynamicObject> = match &namespace {
        MetricNamespace::All => Api::all_with(client.clone(), &resource),
        MetricNamespace::One(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let watch = || watcher::watcher(api.clone(), watch_config(WATCH_TIMEOUT)).boxed();
    let mut estimated = flow_metrics.estimated();
    let (mut events, mut objects) = (watch(), Objects::new(flow_metrics, namespace));
    let mut waits = false;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            Ok(()) = estimated.changed() => {
                let Some(settled) = settle(objects, None, &client, &resource).await else { return };
                (objects, waits) = settled;
                continue;
            }
            () = tokio::time::sleep(STATUS_PAUSE), if waits => {
                let Some(settled) = settle(objects, None, &client, &resource).await else { return };
                (objects, waits) = settled;
                continue;
            }
        };
        match event {
            // Many of them come one after the other, and nothing follows from one alone.
            Some(Ok(event @ (Event::Init | Event::InitApply(_)))) => objects.take(event),
            Some(Ok(event)) => {
                let settled = settle(objects, Some(event), &client, &resource).await;
                let Some(settled) = settled else { return };
                (objects, waits) = settled;
            }
            Some(Err(error)) => tokio::time::sleep(objects.fail(&error)).await,
            None => return,
        }
        if std::mem::take(&mut objects.lists_again) {
            tokio::time::sleep(FAILED_PAUSE).await;
            events = watch();
        }
    }
}

/// Takes an event, and writes what is to be said about it; whether something is to be said later.
/// On a thread where it may take long: expressions are compiled.
async fn settle(
    mut objects: Objects,
    event: Option<Event<DynamicObject>>,
    client: &Client,
    resource: &ApiResource,
) -> Option<(Objects, bool)> {
    let taken = tokio::task::spawn_blocking(move || {
        if let Some(event) = event {
            objects.take(event);
        }
        objects.take_estimates();
        let writes = objects.due(Timestamp::now(), Instant::now());
        (objects, writes)
    });
    let (mut objects, writes) = match taken.await {
        Ok(taken) => taken,
        Err(error) => {
            tracing::error!(%error, "FlowMetrics of Kubernetes are not followed any more");
            return None;
        }
    };
    for write in writes {
        match write_status(client, resource, &write).await {
            Ok(written) => objects.wrote(write, written),
            Err(error) => {
                let error = describe(&error);
                tracing::warn!(object = %write.name, error, "the status of a FlowMetric cannot be written, will be tried again");
            }
        }
    }
    let waits = !objects.unwritten.is_empty();
    Some((objects, waits))
}

/// The objects as they are known.
struct Objects {
    flow_metrics: FlowMetrics,
    /// Where they are.
    namespace: MetricNamespace,
    /// Without what nobody asks for.
    known: BTreeMap<ObjectName, DynamicObject>,
    /// Those for which there is no room.
    beyond: BTreeSet<ObjectName>,
    /// Those known that are no FlowMetric that can be read.
    unreadable: BTreeMap<ObjectName, Problem>,
    /// What was logged of each.
    told: BTreeMap<ObjectName, Vec<Problem>>,
    /// What became of each.
    outcomes: BTreeMap<ObjectName, Outcome>,
    /// How many series each will have.
    estimates: BTreeMap<ObjectName, Estimate>,
    /// Those whose status may not be what it should be.
    unwritten: BTreeSet<ObjectName>,
    statuses: BTreeMap<ObjectName, StatusBackoff>,
    /// A list that is being read.
    listing: Option<Listing>,
    /// There is room, and others are known by name alone.
    lists_again: bool,
    /// How often in a row there was no such resource.
    missing: u32,
    /// Of the watch, as it was logged.
    failure: Option<String>,
}

impl Objects {
    fn new(flow_metrics: FlowMetrics, namespace: MetricNamespace) -> Self {
        Self {
            flow_metrics,
            namespace,
            known: BTreeMap::new(),
            beyond: BTreeSet::new(),
            unreadable: BTreeMap::new(),
            told: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            estimates: BTreeMap::new(),
            unwritten: BTreeSet::new(),
            statuses: BTreeMap::new(),
            listing: None,
            lists_again: false,
            missing: 0,
            failure: None,
        }
    }

    fn take(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Init => self.listing = Some(Listing::default()),
            Event::InitApply(object) => self.listing.get_or_insert_default().add(object),
            Event::InitDone => {
                (self.missing, self.failure) = (0, None);
                let Listing { oldest, beyond } = self.listing.take().unwrap_or_default();
                self.known.clear();
                self.beyond = BTreeSet::new();
                beyond.into_iter().for_each(|name| self.add_beyond(name));
                self.define(oldest.into_values(), true);
            }
            Event::Apply(object) => {
                let name = name_of(&object);
                if self.known.contains_key(&name) || self.known.len() < MAX_RESOURCES {
                    self.define([object], false);
                } else {
                    self.add_beyond(name);
                }
            }
            Event::Delete(object) => {
                let name = name_of(&object);
                if self.known.remove(&name).is_some() {
                    self.lists_again = !self.beyond.is_empty();
                    self.define([], true);
                } else {
                    self.beyond.remove(&name);
                }
            }
        }
    }

    /// There is no room for one of this name.
    fn add_beyond(&mut self, name: ObjectName) {
        if self.beyond.is_empty() {
            tracing::warn!(object = %name, most = MAX_RESOURCES,
                "there are more FlowMetrics than are read: this one is not, nor are others that are younger than those that are");
        }
        self.beyond.insert(name);
    }

    /// Takes objects, new or changed; where they are `all`, others that are not known are gone.
    fn define(&mut self, objects: impl IntoIterator<Item = DynamicObject>, all: bool) {
        let mut resources = Vec::new();
        for object in objects {
            let name = name_of(&object);
            match read(&object) {
                Ok(resource) => {
                    self.unreadable.remove(&name);
                    resources.push(resource);
                }
                Err(problem) => {
                    self.tell(&name, std::slice::from_ref(&problem));
                    self.unreadable.insert(name.clone(), problem);
                }
            }
            self.unwritten.insert(name.clone());
            self.known.insert(name, trimmed(object));
        }
        let present: BTreeSet<_> = self.known.keys().cloned().collect();
        self.unreadable.retain(|name, _| present.contains(name));
        self.told.retain(|name, _| present.contains(name));
        self.statuses.retain(|name, _| present.contains(name));
        self.flow_metrics
            .define(&DefinedBy::Cluster, resources, all.then_some(&present));
        let outcomes = self.flow_metrics.outcomes(&DefinedBy::Cluster);
        for (name, outcome) in &outcomes {
            if self.unreadable.contains_key(name) || self.outcomes.get(name) == Some(outcome) {
                continue;
            }
            self.unwritten.insert(name.clone());
            self.tell(name, outcome.as_ref().err().map_or(&[], Vec::as_slice));
        }
        self.outcomes = outcomes;
    }

    /// Looks at what is estimated by now.
    fn take_estimates(&mut self) {
        let estimates = self.flow_metrics.estimates(&DefinedBy::Cluster);
        let changed = estimates
            .iter()
            .filter(|(name, estimate)| self.estimates.get(*name) != Some(*estimate));
        self.unwritten.extend(changed.map(|(name, _)| name.clone()));
        self.estimates = estimates;
    }

    /// How many series an object will have, where its status is to tell: filters ask about any flow, so that whoever
    /// makes objects reads flows of all namespaces by it. That is for those alone who may write where the collector
    /// was told by name to look.
    fn estimate_to_tell(&self, name: &ObjectName) -> Option<&Estimate> {
        self.estimates
            .get(name)
            .filter(|_| self.namespace.names(&name.namespace))
    }

    /// Logs what is wrong with an object, where that is not what was wrong before. Its status
    /// may be another's to write.
    fn tell(&mut self, name: &ObjectName, problems: &[Problem]) {
        if self.told.get(name).map_or(&[][..], Vec::as_slice) == problems {
            return;
        }
        for problem in problems {
            tracing::warn!(object = %name, field = problem.field, problem = problem.message, remedy = problem.remedy,
                "a FlowMetric is refused; what was good before stays");
        }
        self.told.insert(name.clone(), problems.to_vec());
    }

    /// The watch failed; how long to wait before it is tried again.
    fn fail(&mut self, error: &watcher::Error) -> Duration {
        self.listing = None;
        if is_missing(error) {
            self.missing = self.missing.saturating_add(1);
            if self.missing == 1 {
                tracing::info!("the cluster has no FlowMetrics (flows.netobserv.io); they count once it has");
            }
            if self.missing >= MISSING_TIMES && !self.known.is_empty() {
                self.known.clear();
                self.define([], true);
            }
            return MISSING_PAUSE;
        }
        let failure = describe_watch(error);
        if self.failure.as_ref() != Some(&failure) {
            tracing::warn!(
                error = failure,
                "the watch of FlowMetrics failed, will be tried again"
            );
        }
        self.failure = Some(failure);
        FAILED_PAUSE
    }

    /// The statuses that are to be written now. Others may be due later: they stay unwritten.
    fn due(&mut self, now: Timestamp, clock: Instant) -> Vec<StatusWrite> {
        let mut due = Vec::new();
        if self.listing.is_some() {
            return due;
        }
        let mut later = BTreeSet::new();
        for name in std::mem::take(&mut self.unwritten) {
            let Some(object) = self.known.get(&name) else {
                continue;
            };
            let unreadable = self
                .unreadable
                .get(&name)
                .map(|problem| Err(vec![problem.clone()]));
            let Some(outcome) = unreadable.as_ref().or_else(|| self.outcomes.get(&name)) else {
                continue;
            };
            let estimate = self.estimate_to_tell(&name);
            let Some(status) = status::of(object, outcome, estimate, now) else {
                continue;
            };
            let says = status::says(object, outcome, estimate);
            match self.statuses.entry(name.clone()).or_default().turn(&says, clock) {
                Turn::Write => due.push(StatusWrite {
                    name: name.clone(),
                    resource_version: object.resource_version(),
                    status,
                    says,
                }),
                Turn::Wait { is_new: true } => tracing::warn!(object = %name,
                    "the status of a FlowMetric comes back different: another collector counts others, or is another version; it is written less and less often"),
                Turn::Wait { is_new: false } => {}
            }
            // Until it is written, or found to be as it should be.
            later.insert(name);
        }
        self.unwritten = later;
        due
    }

    /// A status was written; `None`: the object is another one by now, or gone, and the watch tells.
    fn wrote(&mut self, write: StatusWrite, written: Option<DynamicObject>) {
        self.unwritten.remove(&write.name);
        let Some(written) = written else { return };
        if let Some(object) = self.known.get_mut(&write.name) {
            *object = trimmed(written);
            self.statuses.entry(write.name).or_default().wrote(write.says);
        }
    }
}

/// Whether there is no such resource.
pub fn is_missing(error: &watcher::Error) -> bool {
    let code = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status.code,
        watcher::Error::WatchError(status) => status.code,
        _ => 0,
    };
    code == 404
}

#[cfg(test)]
mod tests;
