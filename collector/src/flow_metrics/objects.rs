//! FlowMetrics of a cluster (`flows.netobserv.io/v1alpha1`): a watch that defines metrics by
//! them, and tells in their status what became of them.
//!
//! The definition of the resource is NetObserv's and may be missing, come and go: while it is
//! missing there are no objects, which is no error. What was defined stays defined while the API
//! server does not answer. A status that somebody else writes too (NetObserv's operator) is left
//! alone.

mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::str::FromStr;
use std::time::Duration;

use futures::stream::StreamExt;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, TypeMeta};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use weir_flowmetrics::{API_VERSION, FlowMetric, KIND, ObjectName, Problem};
use weir_process::kubernetes::{WATCH_TIMEOUT, describe, describe_watch, watch_config};

use super::{DefinedBy, FlowMetrics, Outcome};
use status::MANAGER;

/// Pause after the watch failed.
const FAILED_PAUSE: Duration = Duration::from_secs(2);
/// Pause while there is no such resource.
const MISSING_PAUSE: Duration = Duration::from_secs(10);
/// The resource is gone when it was missing so many times: an API server that has just started
/// does not know it at once.
const MISSING_TIMES: u32 = 3;
/// Pause before a status that could not be written is written again.
const STATUS_PAUSE: Duration = Duration::from_secs(10);

/// Where the objects are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricNamespace {
    /// In any namespace.
    All,
    /// In this one.
    One(String),
}

impl Default for MetricNamespace {
    /// NetObserv's, unless it was told otherwise.
    fn default() -> Self {
        Self::One("netobserv".to_owned())
    }
}

impl FromStr for MetricNamespace {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "*" => Self::All,
            one => Self::One(one.to_owned()),
        })
    }
}

impl fmt::Display for MetricNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "*",
            Self::One(namespace) => namespace,
        })
    }
}

/// Keeps the metrics as the objects say, for ever.
pub async fn follow(client: Client, namespace: MetricNamespace, flow_metrics: FlowMetrics) {
    let (group, version) = API_VERSION.split_once('/').unwrap_or_default();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, KIND));
    let api: Api<DynamicObject> = match &namespace {
        MetricNamespace::All => Api::all_with(client.clone(), &resource),
        MetricNamespace::One(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let mut events = pin!(watcher::watcher(api, watch_config(WATCH_TIMEOUT)));
    let mut objects = Objects {
        flow_metrics,
        known: BTreeMap::new(),
        unreadable: BTreeMap::new(),
        told: BTreeMap::new(),
        listing: None,
        missing: 0,
        failure: None,
    };
    let mut all_written = true;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = tokio::time::sleep(STATUS_PAUSE), if !all_written => {
                all_written = objects.write_status(&client, &resource).await;
                continue;
            }
        };
        match event {
            Some(Ok(event)) => objects.take(event),
            Some(Err(error)) => {
                let pause = objects.fail(&error);
                tokio::time::sleep(pause).await;
                continue;
            }
            None => return,
        }
        if objects.listing.is_none() {
            all_written = objects.write_status(&client, &resource).await;
        }
    }
}

/// The objects as they are known.
struct Objects {
    flow_metrics: FlowMetrics,
    known: BTreeMap<ObjectName, DynamicObject>,
    /// Those of them that are no FlowMetric that can be read.
    unreadable: BTreeMap<ObjectName, Problem>,
    /// What was logged of each.
    told: BTreeMap<ObjectName, Vec<Problem>>,
    /// Those of a list that is being read.
    listing: Option<BTreeMap<ObjectName, DynamicObject>>,
    /// How often in a row there was no such resource.
    missing: u32,
    /// Of the watch, as it was logged.
    failure: Option<String>,
}

fn name_of(object: &DynamicObject) -> ObjectName {
    ObjectName {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    }
}

impl Objects {
    fn take(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Init => self.listing = Some(BTreeMap::new()),
            Event::InitApply(object) => {
                let listing = self.listing.get_or_insert_default();
                listing.insert(name_of(&object), object);
            }
            Event::InitDone => {
                (self.missing, self.failure) = (0, None);
                let listed = self.listing.take().unwrap_or_default();
                self.known.clear();
                self.define(listed, true);
            }
            Event::Apply(object) => self.define([(name_of(&object), object)], false),
            Event::Delete(object) => {
                self.known.remove(&name_of(&object));
                self.define([], true);
            }
        }
    }

    /// Takes objects, new or changed; where they are `all`, others that are not known are gone.
    fn define(&mut self, objects: impl IntoIterator<Item = (ObjectName, DynamicObject)>, all: bool) {
        let mut resources = Vec::new();
        for (name, object) in objects {
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
            self.known.insert(name, object);
        }
        let present: BTreeSet<_> = self.known.keys().cloned().collect();
        self.unreadable.retain(|name, _| present.contains(name));
        self.told.retain(|name, _| present.contains(name));
        let outcomes = self
            .flow_metrics
            .define(&DefinedBy::Cluster, resources, all.then_some(&present));
        for (name, outcome) in outcomes {
            self.tell(&name, outcome.as_ref().err().map_or(&[], Vec::as_slice));
        }
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

    /// Writes the status of each object whose status is another one; whether all could be written.
    async fn write_status(&mut self, client: &Client, resource: &ApiResource) -> bool {
        let mut all_written = true;
        for (name, object) in &mut self.known {
            let outcome = match self.unreadable.get(name) {
                Some(problem) => Some(Err(vec![problem.clone()])),
                None => self.flow_metrics.outcome(&DefinedBy::Cluster, name),
            };
            let Some(outcome) = outcome else { continue };
            match write_status(client, resource, object, &outcome).await {
                Ok(Some(written)) => *object = written,
                Ok(None) => {}
                Err(error) => {
                    let error = describe(&error);
                    tracing::warn!(object = %name, error, "the status of a FlowMetric cannot be written, will be tried again");
                    all_written = false;
                }
            }
        }
        all_written
    }
}

async fn write_status(
    client: &Client,
    resource: &ApiResource,
    object: &DynamicObject,
    outcome: &Outcome,
) -> Result<Option<DynamicObject>, kube::Error> {
    let Some(status) = status::of(object, outcome, Timestamp::now()) else {
        return Ok(None);
    };
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &object.namespace().unwrap_or_default(), resource);
    let patch = Patch::Merge(json!({
        // Somebody may have written it since.
        "metadata": {"resourceVersion": object.resource_version()},
        "status": status,
    }));
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api.patch_status(&object.name_any(), &params, &patch).await {
        Ok(written) => Ok(Some(written)),
        // It is another one by now, or gone, and the watch tells.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(object: &DynamicObject) -> Result<FlowMetric, Problem> {
    let mut object = object.clone();
    object.types = Some(TypeMeta {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
    });
    FlowMetric::from_json(&serde_json::to_value(object).unwrap_or_default())
}

/// Whether there is no such resource.
fn is_missing(error: &watcher::Error) -> bool {
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
