//! The watches: one endless stream of what they see. Errors are logged,
//! counted and retried; no stream ends and none gives up.

use std::fmt::Debug;

use futures::StreamExt;
use futures::stream::{BoxStream, select_all};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::DeserializeGuard;
use kube::runtime::utils::StreamBackoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use weir_api::{flows_config, network};

use crate::backoff::Delays;
use crate::metrics::Metrics;
use crate::world::Sight;

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
    let seen = StreamBackoff::new(watcher(api, config), Delays::default());
    seen.filter_map(move |event| {
        let sight = match event {
            Ok(event) => Some(sight(event)),
            Err(error) => {
                metrics.watch_failed(kind);
                tracing::warn!(kind, %error, "a watch failed and will be tried again");
                None
            }
        };
        std::future::ready(sight)
    })
    .boxed()
}
