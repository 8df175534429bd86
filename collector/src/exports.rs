//! The objects that say how the cluster's export goes, read from Kubernetes when somebody asks,
//! and kept for a moment: a page that is open asks again and again, and several people at a time.
//! Nothing is watched for it, and nothing written.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{Node, Service};
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::timeout;
use weir_api::collector::ServiceRef;
use weir_api::network::CLUSTER;
use weir_api::plan::{NodeFacts, service_address};
use weir_api::rollout::REVISION_LABEL;
use weir_api::{ExportProfile, ExportRollout, FlowExport, Network, NodeFlowExport};
use weir_exports::{Kept, NAMESPACE, Source};
use weir_process::kubernetes::describe;

/// How long what was read is good for.
const FRESH: Duration = Duration::from_secs(3);
/// How long Kubernetes may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many objects are asked for at a time.
const PAGE: u32 = 500;

/// What was read of one kind; in words why it could not be.
pub type Part<T> = Result<T, String>;

/// The objects as they were a moment ago.
#[derive(Debug)]
pub struct Objects {
    /// The `Network` or `FlowExport` that counts, where there is one.
    pub source: Part<Option<Source>>,
    /// What nodes are told and report.
    pub exports: Part<Vec<NodeFlowExport>>,
    /// All profiles.
    pub profiles: Part<Vec<ExportProfile>>,
    /// All nodes with their labels.
    pub nodes: Part<Vec<(NodeFacts, BTreeMap<String, String>)>>,
    /// How changes go from node to node, where that is said.
    pub rollout: Part<Option<ExportRollout>>,
    /// What was asked for before, the last used first.
    pub revisions: Part<Vec<Kept>>,
}

/// Reads them.
#[derive(Clone)]
pub struct ExportObjects {
    client: Client,
    /// Whoever comes while they are read waits for that.
    kept: Arc<Mutex<Option<Reading>>>,
}

/// Objects, and when they were read.
type Reading = (Instant, Arc<Objects>);

impl Debug for ExportObjects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ExportObjects")
    }
}

impl ExportObjects {
    /// Reads by this client.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            kept: Arc::default(),
        }
    }

    /// The objects as they are now, or were a moment ago.
    pub async fn now(&self) -> Arc<Objects> {
        let mut kept = self.kept.lock().await;
        if let Some((at, objects)) = kept.as_ref()
            && at.elapsed() < FRESH
        {
            return Arc::clone(objects);
        }
        let objects = Arc::new(self.read().await);
        *kept = Some((Instant::now(), Arc::clone(&objects)));
        objects
    }

    async fn read(&self) -> Objects {
        let client = || self.client.clone();
        let (network, flow_export, exports, profiles, nodes, rollout, revisions) = futures::join!(
            one::<Network>(Api::all(client())),
            one::<FlowExport>(Api::all(client())),
            list(Api::<NodeFlowExport>::all(client()), "", stripped),
            list(Api::<ExportProfile>::all(client()), "", |profile| profile),
            list(Api::<Node>::all(client()), "", facts),
            one::<ExportRollout>(Api::all(client())),
            list(revisions_of(client()), REVISION_LABEL, |revision| {
                serde_json::to_value(revision).unwrap_or_default()
            }),
        );
        Objects {
            source: network.and_then(|network| Ok(Source::counting(network, flow_export?))),
            exports,
            profiles,
            nodes,
            rollout,
            revisions: revisions.map(|objects| Kept::all(&objects)),
        }
    }

    /// Addresses of Services, those that have one.
    pub async fn addresses(&self, services: impl IntoIterator<Item = ServiceRef>) -> Addresses {
        let mut all = Addresses::default();
        for service in services {
            let api = Api::<Service>::namespaced(self.client.clone(), &service.namespace);
            let named = ListParams::default().fields(&format!("metadata.name={}", service.name));
            let address = match within(api.list(&named)).await {
                Err(why) => Err(format!("is a Service that cannot be read: {why}")),
                Ok(found) => match found.items.first() {
                    Some(found) => service_address(found).map_err(str::to_owned),
                    None => Err("names a Service that is not there".to_owned()),
                },
            };
            all.0.insert((service.namespace, service.name), address);
        }
        all
    }
}

/// Addresses of Services by namespace and name, or why they have none.
#[derive(Debug, Default)]
pub struct Addresses(BTreeMap<(String, String), Result<IpAddr, String>>);

impl Addresses {
    /// That of one.
    ///
    /// # Errors
    /// In words why there is none.
    pub fn of(&self, service: &ServiceRef) -> Result<IpAddr, String> {
        let key = (service.namespace.clone(), service.name.clone());
        let known = self.0.get(&key).cloned();
        known.unwrap_or_else(|| {
            Err(format!(
                "is a Service whose address you may not see: that is for who may get services in {}",
                service.namespace
            ))
        })
    }
}

fn revisions_of(client: Client) -> Api<ControllerRevision> {
    Api::namespaced(client, NAMESPACE)
}

/// What nobody reads of it is most of it.
fn stripped(mut export: NodeFlowExport) -> NodeFlowExport {
    for entry in export.metadata.managed_fields.iter_mut().flatten() {
        entry.fields_v1 = None;
    }
    export
}

fn facts(node: Node) -> (NodeFacts, BTreeMap<String, String>) {
    (NodeFacts::of(&node), node.metadata.labels.unwrap_or_default())
}

/// The one named `cluster`; neither it nor its definition has to exist.
async fn one<K>(api: Api<K>) -> Part<Option<K>>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    within(api.get_opt(CLUSTER)).await
}

/// All of a kind, page by page, each cut down to what is read of it.
async fn list<K, T>(api: Api<K>, label: &str, cut: impl Fn(K) -> T) -> Part<Vec<T>>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let mut all = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    if !label.is_empty() {
        params = params.labels(label);
    }
    loop {
        let page = within(api.list(&params)).await?;
        all.extend(page.items.into_iter().map(&cut));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

async fn within<T>(answer: impl Future<Output = kube::Result<T>>) -> Part<T> {
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(describe(&error)),
        Err(_) => Err(format!(
            "Kubernetes gave no answer within {} s",
            PATIENCE.as_secs()
        )),
    }
}

#[cfg(test)]
pub(crate) mod tests;
