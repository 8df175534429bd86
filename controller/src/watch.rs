//! The watches: one endless stream of what they see. Errors are logged,
//! counted and retried; no stream ends and none gives up.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, select_all};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::DeserializeGuard;
use kube::runtime::utils::{ResetTimerBackoff, StreamBackoff};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use weir_api::{flows_config, network};

use crate::backoff::Delays;
use crate::describe;
use crate::metrics::Metrics;
use crate::world::Sight;

/// A watch that has worked for so long starts again with short delays.
const CALM: Duration = Duration::from_secs(10);

/// Watches all that decisions are made of. Of Networks and ConfigMaps only the
/// one that counts is asked for.
pub fn sights(client: &Client, metrics: &Metrics) -> BoxStream<'static, Sight> {
    let all = watcher::Config::default;
    let only = |name: &str| all().fields(&format!("metadata.name={name}"));
    let config_maps: Api<DeserializeGuard<ConfigMap>> =
        Api::namespaced(client.clone(), flows_config::NAMESPACE);
    let cluster = |name| (client.clone(), name, metrics.clone());
    select_all([
        watch_all(cluster("networks"), only(network::CLUSTER), Sight::Network),
        watch_all(cluster("exportprofiles"), all(), Sight::Profile),
        watch(
            config_maps,
            "configmaps",
            metrics.clone(),
            only(flows_config::NAME),
            Sight::FlowsConfig,
        ),
        watch_all(cluster("nodes"), all(), Sight::Node),
        watch_all(cluster("nodeflowexports"), all(), Sight::Export),
        watch_all(cluster("services"), all(), Sight::Service),
    ])
    .boxed()
}

/// Watches a kind in the whole cluster.
fn watch_all<K>(
    (client, kind, metrics): (Client, &'static str, Metrics),
    config: watcher::Config,
    sight: fn(Event<DeserializeGuard<K>>) -> Sight,
) -> BoxStream<'static, Sight>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watch(Api::all(client), kind, metrics, config, sight)
}

fn watch<K>(
    api: Api<DeserializeGuard<K>>,
    kind: &'static str,
    metrics: Metrics,
    config: watcher::Config,
    sight: fn(Event<DeserializeGuard<K>>) -> Sight,
) -> BoxStream<'static, Sight>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    // Each attempt begins with a good event, which must not undo the backoff.
    let delays = ResetTimerBackoff::new(Delays::default(), CALM);
    let seen = StreamBackoff::new(watcher(api, config), delays);
    let mut outage = Outage { kind, failures: 0 };
    seen.filter_map(move |event| {
        let sight = match event {
            Ok(event) => {
                outage.see(&event);
                Some(sight(event))
            }
            Err(error) => {
                metrics.watch_failed(kind);
                outage.fail(&error);
                None
            }
        };
        std::future::ready(sight)
    })
    .boxed()
}

/// Failures of one watch in a row; the log tells the first and the end.
struct Outage {
    kind: &'static str,
    failures: u64,
}

impl Outage {
    fn fail(&mut self, error: &watcher::Error) {
        self.failures += 1;
        let (kind, error) = (self.kind, describe::watch(error));
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
