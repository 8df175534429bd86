//! The watches: one endless stream of what they see. Errors are logged,
//! counted and retried; no stream ends and none gives up.

use std::fmt::Debug;
use std::time::Duration;

use crate::guarded::Guarded;
use futures::StreamExt;
use futures::stream::{BoxStream, select_all};
use kube::runtime::utils::{ResetTimerBackoff, StreamBackoff};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use weir_api::{flows_config, network};
use weir_process::kubernetes::{WATCH_TIMEOUT, describe_watch, watch_config};

use crate::backoff::Delays;
use crate::cluster_state::WatchEvent;
use crate::collector::SERVICE_LABEL;
use crate::metrics::Metrics;
use crate::object::{FIELD_MANAGER, MANAGED_BY};
use crate::source::FlowSource;

/// A watch that has worked for so long starts again with short delays.
const CALM: Duration = Duration::from_secs(10);
/// What every watch needs.
#[derive(Clone)]
struct Watches {
    client: Client,
    metrics: Metrics,
}

/// What is watched beside what always is.
#[derive(Debug, Clone, Copy)]
pub struct Kinds<'a> {
    /// The source that counts.
    pub source: FlowSource,
    /// Namespace and labels of the node daemon's pods.
    pub daemons: Option<(&'a str, &'a str)>,
    /// Namespace and name of the collector's Service.
    pub collector: Option<&'a (String, String)>,
    /// Namespace of the revisions that are kept.
    pub namespace: &'a str,
}

/// Watches all that decisions are made of. Of sources and ConfigMaps only the one that
/// counts is asked for.
pub fn events(client: &Client, metrics: &Metrics, kinds: Kinds<'_>) -> BoxStream<'static, WatchEvent> {
    let Kinds {
        source,
        daemons,
        collector,
        namespace,
    } = kinds;
    let (client, metrics) = (client.clone(), metrics.clone());
    let watches = Watches { client, metrics };
    let only = |name: &str| every().fields(&format!("metadata.name={name}"));
    let config_maps = Api::namespaced(watches.client.clone(), flows_config::NAMESPACE);
    let need = |kind: FlowSource| {
        if kind == source {
            Need::Required
        } else {
            Need::Optional
        }
    };
    let daemons = daemons.map(|(namespace, labels)| {
        let pods = Api::namespaced(watches.client.clone(), namespace);
        watches.watch(
            pods,
            "pods",
            Need::Optional,
            every().labels(labels),
            WatchEvent::Daemon,
        )
    });
    // Without the right to list them, a rollout waits and says so.
    let revisions = watches.watch(
        Api::namespaced(watches.client.clone(), namespace),
        "controllerrevisions",
        Need::Optional,
        every().labels(&format!("{MANAGED_BY}={FIELD_MANAGER}")),
        WatchEvent::Revision,
    );
    let slices = collector.map(|(namespace, name)| {
        let slices = Api::namespaced(watches.client.clone(), namespace);
        let config = every().labels(&format!("{SERVICE_LABEL}={name}"));
        watches.watch(
            slices,
            "endpointslices",
            Need::Optional,
            config,
            WatchEvent::CollectorSlice,
        )
    });
    let cluster = network::CLUSTER;
    select_all(
        [
            watches.all(
                "networks",
                need(FlowSource::Network),
                only(cluster),
                WatchEvent::Network,
            ),
            watches.all(
                "flowexports",
                need(FlowSource::FlowExport),
                only(cluster),
                WatchEvent::FlowExport,
            ),
            watches.all("exportprofiles", Need::Required, every(), WatchEvent::Profile),
            watches.watch(
                config_maps,
                "configmaps",
                Need::Required,
                only(flows_config::NAME),
                WatchEvent::FlowsConfig,
            ),
            watches.all("nodes", Need::Required, every(), WatchEvent::Node),
            watches.all("nodeflowexports", Need::Required, every(), WatchEvent::Export),
            watches.all("services", Need::Required, every(), WatchEvent::Service),
            watches.all(
                "exportrollouts",
                Need::IfDefined,
                only(cluster),
                WatchEvent::Rollout,
            ),
            revisions,
        ]
        .into_iter()
        .chain(daemons)
        .chain(slices),
    )
    .boxed()
}

fn every() -> watcher::Config {
    watch_config(WATCH_TIMEOUT)
}

/// Whether decisions wait for a kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    /// The same, but a kind that is not defined has been listed: `helm upgrade` brings no new
    /// definitions, and removals are not to wait for one.
    IfDefined,
    /// The cluster may not have it, or not let us read it.
    Optional,
}

impl Watches {
    /// Watches a kind in the whole cluster.
    fn all<K>(
        &self,
        kind: &'static str,
        need: Need,
        config: watcher::Config,
        wrap: fn(Event<Guarded<K>>) -> WatchEvent,
    ) -> BoxStream<'static, WatchEvent>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        self.watch(Api::all(self.client.clone()), kind, need, config, wrap)
    }

    fn watch<K>(
        &self,
        api: Api<Guarded<K>>,
        kind: &'static str,
        need: Need,
        config: watcher::Config,
        wrap: fn(Event<Guarded<K>>) -> WatchEvent,
    ) -> BoxStream<'static, WatchEvent>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let delays = match need {
            Need::Required | Need::IfDefined => Delays::default(),
            Need::Optional => Delays::patient(),
        };
        // Each attempt begins with a good event, which must not undo the backoff.
        let delays = ResetTimerBackoff::new(delays, CALM);
        let seen = StreamBackoff::new(watcher(api, config), delays);
        let mut outage = Outage { kind, failures: 0 };
        let metrics = self.metrics.clone();
        let mut listed = false;
        seen.filter_map(move |event| {
            let event = match event {
                Ok(event) => {
                    outage.see(&event);
                    listed |= matches!(event, Event::InitDone);
                    Some(wrap(event))
                }
                Err(error) => {
                    metrics.watch_failed(kind);
                    outage.fail(&error);
                    // Where nobody defined the kind there is no object of it.
                    let absent = need == Need::IfDefined && !listed && is_undefined(&error);
                    listed |= absent;
                    absent.then(|| wrap(Event::InitDone))
                }
            };
            std::future::ready(event)
        })
        .boxed()
    }
}

fn is_undefined(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404)
}

/// Failures of one watch in a row; the log tells the first and the end.
struct Outage {
    kind: &'static str,
    failures: u64,
}

impl Outage {
    fn fail(&mut self, error: &watcher::Error) {
        self.failures += 1;
        let (kind, error) = (self.kind, describe_watch(error));
        if self.failures == 1 {
            tracing::warn!(kind, error, "a watch failed and will be tried again");
        } else {
            tracing::debug!(kind, error, "a watch failed again");
        }
    }

    /// The beginning of a listing proves nothing yet.
    fn see<K>(&mut self, event: &Event<K>) {
        if matches!(event, Event::Init) {
            return;
        }
        let failures = std::mem::take(&mut self.failures);
        if failures > 0 {
            tracing::info!(kind = self.kind, failures, "a watch works again");
        }
    }
}
