//! Asks a cluster: every `NodeFlowExport`, and Weir's conditions on the Network or
//! FlowExport, whichever has them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use clap_complete::ArgValueCompleter;
use kube::api::ListParams;
use kube::{Api, Client, Config};
use weir_api::network::CLUSTER;
use weir_api::{Condition, FlowExport, Network, NodeFlowExport};
use weir_exports::{NodeReport, Source};
use weir_process::kubernetes::{self, ConnectError, Retries};

use crate::completion;
use crate::report::Report;
use crate::terminal::say;

/// Which cluster is meant.
#[derive(Debug, Clone, Args)]
pub struct ClusterArgs {
    /// How to reach the cluster (default: $KUBECONFIG, ~/.kube/config, or the pod's own account)
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(completion::contexts))]
    pub context: Option<String>,
}

impl ClusterArgs {
    /// A client of that cluster; `instead` says what to do where there is none.
    ///
    /// # Errors
    /// As [`config`].
    pub async fn connect(&self, instead: &str) -> Result<Client> {
        connect(self.kubeconfig.as_deref(), self.context.as_deref(), instead).await
    }

    /// For what changes something there, see [`announced`].
    ///
    /// # Errors
    /// As [`config`].
    pub async fn announced(&self, instead: &str) -> Result<Client> {
        let config = announced(self.kubeconfig.as_deref(), self.context.as_deref(), instead).await?;
        Ok(kubernetes::client(config, Retries::ByClient)?)
    }
}

/// Reads everything once.
///
/// # Errors
/// The cluster cannot be reached, or Weir is not installed in it.
pub async fn gather(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Report> {
    let client = connect(kubeconfig, context, "give --kubeconfig, --network or --data-dir").await?;
    let exports = list(client.clone()).await?;
    let conditions = conditions(client).await?;
    Ok(Report {
        nodes: exports.into_iter().map(NodeReport::of).collect(),
        problems: Vec::new(),
        conditions,
    })
}

/// Every `NodeFlowExport`.
///
/// # Errors
/// As [`gather`].
pub async fn exports(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Vec<NodeFlowExport>> {
    list(connect(kubeconfig, context, "give --kubeconfig or --data-dir").await?).await
}

async fn list(client: Client) -> Result<Vec<NodeFlowExport>> {
    let exports: Api<NodeFlowExport> = Api::all(client);
    let exports = exports.list(&ListParams::default()).await;
    let exports =
        exports.context("cannot list nodeflowexports; is Weir installed (kubectl apply -k manifests/)?")?;
    Ok(exports.items)
}

/// The controller keeps them in the one that it reads, and takes them out of the other.
async fn conditions(client: Client) -> Result<Vec<Condition>> {
    let flow_exports: Api<FlowExport> = Api::all(client.clone());
    let flow_export =
        existing(flow_exports.get(CLUSTER).await).context("cannot read the FlowExport named cluster")?;
    let networks: Api<Network> = Api::all(client);
    let network = existing(networks.get(CLUSTER).await).context("cannot read the Network named cluster")?;
    Ok(Source::counting(network, flow_export).map_or_else(Vec::new, |source| source.conditions))
}

/// Neither the object nor its definition has to exist.
fn existing<T>(answer: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// The client of a cluster; `instead` says what to do where there is none.
///
/// # Errors
/// As [`config`].
async fn connect(kubeconfig: Option<&Path>, context: Option<&str>, instead: &str) -> Result<Client> {
    let config = config(kubeconfig, context, instead).await?;
    Ok(kubernetes::client(config, Retries::ByClient)?)
}

/// How a cluster is reached; `instead` says what to do where there is none.
///
/// # Errors
/// There is none, or the kubeconfig is of no use.
pub async fn config(kubeconfig: Option<&Path>, context: Option<&str>, instead: &str) -> Result<Config> {
    match kubernetes::config(kubeconfig, context).await {
        Err(error @ ConnectError::None(_)) => {
            Err(error).with_context(|| format!("no cluster to reach; {instead}"))
        }
        config => Ok(config?),
    }
}

/// A cluster, and says on standard error which one it is: whoever changes something there,
/// or reads what is wrong, is to see that it is the one that was meant.
///
/// # Errors
/// As [`config`].
pub async fn announced(kubeconfig: Option<&Path>, context: Option<&str>, instead: &str) -> Result<Config> {
    let config = config(kubeconfig, context, instead).await?;
    let name = context.map(str::to_owned).or_else(|| current_context(kubeconfig));
    say(&announcement(name.as_deref(), &config.cluster_url.to_string()));
    Ok(config)
}

/// The context that holds where none is given.
fn current_context(kubeconfig: Option<&Path>) -> Option<String> {
    kubernetes::read(kubeconfig).ok()?.current_context
}

fn announcement(context: Option<&str>, server: &str) -> String {
    match context {
        Some(context) => format!("cluster: context {context}, server {server}"),
        None => format!("cluster: no context, server {server}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_named_by_the_context_that_holds_and_its_server() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, "{apiVersion: v1, kind: Config, current-context: lab}").unwrap();
        let name = current_context(Some(&file));
        assert_eq!(
            announcement(name.as_deref(), "https://192.0.2.1:6443/"),
            "cluster: context lab, server https://192.0.2.1:6443/"
        );
        assert_eq!(current_context(Some(&folder.path().join("none"))), None);
    }
}
