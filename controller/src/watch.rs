//! The watches: one endless stream of what they see. Errors are logged,
//! counted and retried; no stream ends and none gives up.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream, select_all};
use kube::core::{ObjectMeta, Status};
use kube::runtime::utils::{ResetTimerBackoff, StreamBackoff};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;
use weir_api::{flows_config, network};
use weir_process::kubernetes::{WATCH_TIMEOUT, describe_watch, watch_config};

use crate::backoff::Delays;
use crate::cluster_state::WatchEvent;
use crate::collector::SERVICE_LABEL;
use crate::guarded::{Guarded, Invalid};
use crate::metrics::Metrics;
use crate::object::{FIELD_MANAGER, MANAGED_BY};
use crate::rollup::cut;
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
    /// The same, but nothing waits for a kind that is not defined, or that may not be listed:
    /// `helm upgrade` brings no new definitions, another image brings no rights, and removals
    /// are not to wait for either.
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
        let (client, metrics) = (self.client.clone(), self.metrics.clone());
        let mut listed = false;
        seen.then(move |event| {
            let (client, mut refusal) = (client.clone(), None);
            let event = match event {
                Ok(event) => {
                    outage.see(&event);
                    listed |= matches!(event, Event::InitDone);
                    Some(event)
                }
                Err(error) => {
                    metrics.watch_failed(kind);
                    outage.fail(&error);
                    refusal = refused(&error).filter(|_| need == Need::IfDefined && !listed);
                    None
                }
            };
            async move {
                let stand_in = match refusal {
                    Some(status) => stand_in::<K>(&client, status).await,
                    None => Vec::new(),
                };
                event.into_iter().chain(stand_in)
            }
        })
        .flat_map(stream::iter)
        .map(wrap)
        .boxed()
    }
}

/// How the API server refused to list a kind that it does not know, or not to us.
fn refused(error: &watcher::Error) -> Option<Box<Status>> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) => Some(status.clone()),
        _ => None,
    }
    .filter(|status| [403, 404].contains(&status.code))
}

/// What is seen in place of a listing that was refused. Where nobody defined the kind there is
/// no object of it; where it is defined, the one that counts is there and cannot be read. Rights
/// are looked at first, so a kind that is not defined may be forbidden as well.
async fn stand_in<K>(client: &Client, refusal: Box<Status>) -> Vec<Event<Guarded<K>>>
where
    K: Resource<DynamicType = ()>,
{
    let is_defined = match refusal.code {
        404 => Ok(false),
        _ => client
            .list_api_group_resources(&K::api_version(&()))
            .await
            .map(|known| {
                let plural = K::plural(&());
                known.resources.iter().any(|resource| resource.name == plural)
            }),
    };
    match is_defined {
        Ok(false) => vec![Event::InitDone],
        Ok(true) => {
            let why = format!(
                "weir-controller may not list it, apply the manifests of its version: {}",
                refusal.message
            );
            let object = Guarded(Err(Invalid {
                why: cut(why),
                metadata: ObjectMeta {
                    name: Some(network::CLUSTER.to_owned()),
                    ..ObjectMeta::default()
                },
                spec: Value::Null,
                status: Value::Null,
            }));
            vec![Event::InitApply(object), Event::InitDone]
        }
        Err(_) => Vec::new(),
    }
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
