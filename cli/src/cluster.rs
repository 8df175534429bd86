//! Asks a cluster: every `NodeFlowExport`, and Weir's conditions on the Network.

use std::path::Path;

use anyhow::{Context, Result};
use kube::api::ListParams;
use kube::{Api, Client, Config};
use weir_api::network::CLUSTER;
use weir_api::{Network, NodeFlowExport};

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
    let networks: Api<Network> = Api::all(client);
    let network = networks
        .get_opt(CLUSTER)
        .await
        .context("cannot read the Network named cluster")?;
    let conditions = network
        .and_then(|network| network.status)
        .unwrap_or_default()
        .conditions;
    Ok(Report {
        nodes: exports.items.into_iter().map(node).collect(),
        problems: Vec::new(),
        conditions: conditions
            .into_iter()
            .filter(|c| c.type_.starts_with(OURS))
            .collect(),
    })
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
