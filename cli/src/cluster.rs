//! Asks a cluster: every `NodeFlowExport`, and Weir's conditions on the Network or
//! FlowExport, whichever has them.

use std::path::Path;

use anyhow::{Context, Result};
use kube::api::ListParams;
use kube::{Api, Client, Config};
use weir_api::network::CLUSTER;
use weir_api::{Condition, FlowExport, Network, NodeFlowExport};

use crate::report::{Node, Report};
use crate::source;

/// Prefix of the condition types that Weir owns on the Network.
const OURS: &str = "FlowExport";

/// Reads everything once.
///
/// # Errors
/// The cluster cannot be reached, or Weir is not installed in it.
pub async fn gather(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Report> {
    let client = connect(kubeconfig, context, "give --kubeconfig, --network or --data-dir").await?;
    let exports: Api<NodeFlowExport> = Api::all(client.clone());
    let exports = exports.list(&ListParams::default()).await;
    let exports =
        exports.context("cannot list nodeflowexports; is Weir installed (kubectl apply -k manifests/)?")?;
    let conditions = conditions(client).await?;
    Ok(Report {
        nodes: exports.items.into_iter().map(node).collect(),
        problems: Vec::new(),
        conditions,
    })
}

/// The controller keeps them in the one that it reads, and takes them out of the other.
async fn conditions(client: Client) -> Result<Vec<Condition>> {
    let flow_exports: Api<FlowExport> = Api::all(client.clone());
    let flow_export =
        existing(flow_exports.get(CLUSTER).await).context("cannot read the FlowExport named cluster")?;
    let ours = |mut conditions: Vec<Condition>| {
        conditions.retain(|condition| condition.type_.starts_with(OURS));
        conditions
    };
    let conditions = ours(flow_export.and_then(|f| f.status).unwrap_or_default().conditions);
    if !conditions.is_empty() {
        return Ok(conditions);
    }
    let networks: Api<Network> = Api::all(client);
    let network = existing(networks.get(CLUSTER).await).context("cannot read the Network named cluster")?;
    Ok(ours(
        network.and_then(|n| n.status).unwrap_or_default().conditions,
    ))
}

/// Neither the object nor its definition has to exist.
fn existing<T>(answer: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a daemon said of an older spec is not what holds now.
fn node(export: NodeFlowExport) -> Node {
    let generation = export.metadata.generation;
    let lags = export
        .status
        .as_ref()
        .is_some_and(|status| status.observed_generation < generation);
    Node {
        lags,
        ..Node::new(export.metadata.name.unwrap_or_default(), export.status)
    }
}

/// The client of a cluster; `instead` says what to do where there is none.
///
/// # Errors
/// There is none, or the kubeconfig is of no use.
pub async fn connect(kubeconfig: Option<&Path>, context: Option<&str>, instead: &str) -> Result<Client> {
    Client::try_from(config(kubeconfig, context, instead).await?).context("cannot reach the cluster")
}

/// How a cluster is reached.
///
/// # Errors
/// As [`connect`].
pub async fn config(kubeconfig: Option<&Path>, context: Option<&str>, instead: &str) -> Result<Config> {
    match (kubeconfig, context) {
        (None, None) => Config::infer()
            .await
            .with_context(|| format!("no cluster to reach; {instead}")),
        _ => source::cluster(kubeconfig, context).await,
    }
}
