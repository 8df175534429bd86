//! The objects that say how the cluster's export goes, read from Kubernetes when somebody asks who
//! may know them, and kept for a moment: a page that is open asks again and again, and several
//! people at a time. Each kind is read by itself, so that a page costs what it tells. Nothing is
//! watched for it, and nothing written.

mod addresses;
mod reading;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use weir_api::network::CLUSTER;
use weir_api::plan::NodeFacts;
use weir_api::rollout::REVISION_LABEL;
use weir_api::{ExportProfile, ExportRollout, FlowExport, Network, NodeFlowExport};
use weir_exports::{Kept, NAMESPACE, Source};
use weir_process::kubernetes::describe;

pub use reading::Part;
use reading::Reading;

/// So many objects are asked for at a time.
const PAGE: u32 = 500;

/// A node with its labels.
pub type LabelledNode = (NodeFacts, BTreeMap<String, String>);

/// Reads them.
#[derive(Clone)]
pub struct ExportObjects {
    client: Client,
    readings: Arc<Readings>,
    /// For Services that are looked up.
    lookups: Arc<Semaphore>,
}

#[derive(Default)]
struct Readings {
    source: Reading<Option<Source>>,
    exports: Reading<Vec<NodeFlowExport>>,
    profiles: Reading<Vec<ExportProfile>>,
    node_names: Reading<Vec<String>>,
    nodes: Reading<Vec<LabelledNode>>,
    rollout: Reading<Option<ExportRollout>>,
    revisions: Reading<Vec<Kept>>,
}

impl Debug for ExportObjects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ExportObjects")
    }
}

/// Each as it is now, or was a moment ago.
///
/// # Errors
/// In words why it could not be read.
impl ExportObjects {
    /// Reads by this client.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            readings: Arc::default(),
            lookups: Arc::new(Semaphore::new(addresses::AT_A_TIME)),
        }
    }

    fn client(&self) -> Client {
        self.client.clone()
    }

    /// The `Network` or `FlowExport` that counts, where there is one.
    pub async fn source(&self) -> Part<Arc<Option<Source>>> {
        self.readings.source.now(read_source(self.client())).await
    }

    /// What nodes are told and report.
    pub async fn exports(&self) -> Part<Arc<Vec<NodeFlowExport>>> {
        let read = list(Api::all(self.client()), "", stripped);
        self.readings.exports.now(read).await
    }

    /// All profiles.
    pub async fn profiles(&self) -> Part<Arc<Vec<ExportProfile>>> {
        let read = list(Api::all(self.client()), "", |profile| profile);
        self.readings.profiles.now(read).await
    }

    /// Names of all nodes.
    pub async fn node_names(&self) -> Part<Arc<Vec<String>>> {
        self.readings.node_names.now(read_node_names(self.client())).await
    }

    /// All nodes with their labels, whole ones, page by page: for plans, which need their
    /// addresses.
    pub async fn nodes(&self) -> Part<Arc<Vec<LabelledNode>>> {
        let read = list(Api::all(self.client()), "", facts);
        self.readings.nodes.now(read).await
    }

    /// How changes go from node to node, where that is said.
    pub async fn rollout(&self) -> Part<Arc<Option<ExportRollout>>> {
        let read = one(Api::all(self.client()));
        self.readings.rollout.now(read).await
    }

    /// What was asked for before, the last used first.
    pub async fn revisions(&self) -> Part<Arc<Vec<Kept>>> {
        self.readings.revisions.now(read_revisions(self.client())).await
    }
}

async fn read_source(client: Client) -> Part<Option<Source>> {
    let (network, flow_export) = futures::try_join!(
        one::<Network>(Api::all(client.clone())),
        one::<FlowExport>(Api::all(client)),
    )?;
    Ok(Source::counting(network, flow_export))
}

/// Metadata alone, and out of the API server's memory: an open page asks for them again and
/// again, and a node has images and conditions beside its name.
async fn read_node_names(client: Client) -> Part<Vec<String>> {
    let any = ListParams::default().match_any();
    let nodes = Api::<Node>::all(client).list_metadata(&any).await;
    let nodes = nodes.map_err(|error| describe(&error))?;
    Ok(nodes.iter().map(ResourceExt::name_any).collect())
}

async fn read_revisions(client: Client) -> Part<Vec<Kept>> {
    let api = Api::<ControllerRevision>::namespaced(client, NAMESPACE);
    let objects = list(api, REVISION_LABEL, |revision| {
        serde_json::to_value(revision).unwrap_or_default()
    });
    Ok(Kept::all(&objects.await?))
}

/// What nobody reads of it is most of it.
fn stripped(mut export: NodeFlowExport) -> NodeFlowExport {
    for entry in export.metadata.managed_fields.iter_mut().flatten() {
        entry.fields_v1 = None;
    }
    export
}

fn facts(node: Node) -> LabelledNode {
    (NodeFacts::of(&node), node.metadata.labels.unwrap_or_default())
}

/// The one named `cluster`; neither it nor its definition has to exist.
async fn one<K>(api: Api<K>) -> Part<Option<K>>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    api.get_opt(CLUSTER).await.map_err(|error| describe(&error))
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
        let page = api.list(&params).await.map_err(|error| describe(&error))?;
        all.extend(page.items.into_iter().map(&cut));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
