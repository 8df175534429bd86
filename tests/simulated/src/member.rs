//! One node: its database, and `weir-node` as its `main` puts it together.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client, Config};
use ovsdb::{Endpoint, Limits, Options};
use tokio::sync::{mpsc, watch};
use weir_node::kube_source::{self, ClusterSource};
use weir_node::{AgentConfig, agent};
use weir_process::kubernetes::{self, Retries};

use crate::schema::Schema;
use crate::server::{Mode, Server};

/// Namespace, account and label of the node daemon's pods.
const NAMESPACE: &str = "weir-node";
const ACCOUNT: &str = "weir-node";
/// Seconds that a token holds.
const TOKEN: i64 = 86_400;

/// The targets that a node's row has from now on.
#[derive(Debug)]
pub struct RowSeen {
    /// The node.
    pub node: String,
    /// `targets` of its NetFlow row.
    pub targets: String,
}

/// Runs a node until the database cannot be served. The daemon has a token as a kubelet gives
/// it to the pod `weir-node-NODE`, which is there already.
///
/// # Errors
/// There is no token, or the daemon or the database ended.
pub async fn run(
    node: String,
    (config, accounts): (Config, Api<ServiceAccount>),
    (schema, directory): (Arc<Schema>, &Path),
    mode: watch::Receiver<Mode>,
    rows: mpsc::Sender<RowSeen>,
) -> Result<()> {
    let socket = directory.join(format!("{node}.sock"));
    let name = node.clone();
    let server = Server::new(socket.clone(), schema, move |changes| {
        let tables = changes["NetFlow"].as_object().into_iter().flatten();
        for targets in tables.filter_map(|(_, row)| row["new"]["targets"].as_str()) {
            let seen = RowSeen {
                node: name.clone(),
                targets: targets.to_owned(),
            };
            // It has room for several changes of all nodes.
            let _ = rows.try_send(seen);
        }
    });
    let served = tokio::spawn(server.run(mode));
    let client = as_pod(config, &accounts, &node).await?;
    let agent = AgentConfig {
        ovsdb: patient(),
        ..AgentConfig::new(&node, Endpoint::Unix(socket))
    };
    let (status, told) = watch::channel(Default::default());
    let source = ClusterSource {
        client,
        node_name: node,
        watch_timeout: kubernetes::WATCH_TIMEOUT,
    };
    let desired = kube_source::spawn(source, told, Arc::clone(&agent.metrics));
    tokio::select! {
        ended = agent::run(agent, desired, status, std::future::pending()) => ended?,
        ended = served => ended??,
    }
    Ok(())
}

/// A thousand daemons share the processors here that each has to itself on its node: none is to
/// take for dead what is only slow. A database that goes ends its connections at once.
fn patient() -> Options {
    let long = Duration::from_secs(120);
    Options {
        transact_timeout: long,
        connect_timeout: long,
        limits: Limits {
            probe_interval: long,
            ..Limits::default()
        },
    }
}

/// The accounts of the daemons, as an administrator has them.
///
/// # Errors
/// The configuration leads nowhere.
pub fn accounts(config: Config) -> Result<Api<ServiceAccount>> {
    let client = kubernetes::client(config, Retries::ByClient)?;
    Ok(Api::namespaced(client, NAMESPACE))
}

/// A client, with connections of its own, of the daemon's account.
async fn as_pod(mut config: Config, accounts: &Api<ServiceAccount>, node: &str) -> Result<Client> {
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: Vec::new(),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(format!("{ACCOUNT}-{node}")),
                uid: None,
            }),
            expiration_seconds: Some(TOKEN),
        },
        ..TokenRequest::default()
    };
    let params = PostParams::default();
    let made = accounts.create_token_request(ACCOUNT, &params, &request).await;
    let made = made.with_context(|| format!("a token for {node}"))?;
    config.auth_info = kube::config::AuthInfo {
        token: Some(made.status.context("a token")?.token.into()),
        ..Default::default()
    };
    Ok(kubernetes::client(config, Retries::None)?)
}

/// What the file that steers the nodes says.
#[must_use]
pub fn mode(text: &str, tick: u64) -> Mode {
    match text.trim() {
        "down" => Mode::Down,
        "flap" if !tick.is_multiple_of(2) => Mode::Down,
        "hang" => Mode::Hung,
        _ => Mode::Up,
    }
}

/// A row for the log: node, target, nanoseconds since the epoch.
#[must_use]
pub fn line(seen: &RowSeen, nanos: u128) -> String {
    format!("{} {} {nanos}\n", seen.node, seen.targets)
}
