//! What a cluster tells of itself, read once. What may not be read is named, and is no
//! reason to stop.

use anyhow::{Context, Result};
use http::{Request, header};
use jiff::Timestamp;
use kube::client::Body;
use kube::{Client, Config};
use serde_json::{Value, json};
use weir_collector::api::status::StatusAnswer;

use crate::dynamic::{self, Kind};
use crate::platform::{Images, OWN_SOURCE, Platform, describe};
use crate::server::Server;

/// All that is judged.
#[derive(Debug)]
pub struct Facts {
    /// What the cluster is, if it can be told.
    pub platform: Option<Platform>,
    /// Groups that the API server serves.
    pub groups: Vec<String>,
    /// Its minor version.
    pub minor: Option<u32>,
    /// Its clock, and this host's at the same time.
    pub clocks: Option<(Timestamp, Timestamp)>,
    /// What is to be installed, and what is.
    pub installed: Vec<(Value, Option<Value>)>,
    /// The Network named cluster.
    pub network: Option<Value>,
    /// Weir's own, which is read instead where the controller is told to.
    pub flow_export: Option<Value>,
    /// OpenShift's ConfigMap that asks for export, too.
    pub flows_config: Option<Value>,
    /// Nodes.
    pub nodes: Vec<Value>,
    /// What each is told, and says.
    pub exports: Vec<Value>,
    /// Renewed by each kubelet every ten seconds, by its own clock.
    pub leases: Vec<Value>,
    /// Weir's pods.
    pub pods: Vec<Value>,
    /// Warnings about what is in Weir's namespaces.
    pub warnings: Vec<Value>,
    /// All Services, and what stands behind them.
    pub services: Vec<Value>,
    /// See [`Self::services`].
    pub slices: Vec<Value>,
    /// What the collector says of itself, or why it says nothing.
    pub collector: Result<StatusAnswer, String>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
}

const fn kind(api_version: &'static str, kind: &'static str) -> Kind {
    Kind { api_version, kind }
}

const NODES: Kind = kind("v1", "Node");
const PODS: Kind = kind("v1", "Pod");
const EVENTS: Kind = kind("v1", "Event");
const SERVICES: Kind = kind("v1", "Service");
const SLICES: Kind = kind("discovery.k8s.io/v1", "EndpointSlice");
const LEASES: Kind = kind("coordination.k8s.io/v1", "Lease");
const EXPORTS: Kind = kind("weir.dev/v1alpha1", "NodeFlowExport");

/// The namespaces that Weir is in: all but the node daemons, and these.
pub const NAMESPACES: [&str; 2] = ["weir-system", "weir-node"];

/// Reads it all.
///
/// # Errors
/// The API server does not answer.
pub async fn gather(config: Config) -> Result<Facts> {
    let client = Client::try_from(config.clone()).context("cannot reach the cluster")?;
    let groups = dynamic::groups(&client).await?;
    let platform = Platform::of(&groups).map(|(platform, _)| platform);
    let mut reading = Reading {
        client,
        unread: Vec::new(),
    };
    let version = reading.client.apiserver_version().await.ok();
    let clocks = clocks(&reading.client).await;
    let installed = reading
        .installed(platform.unwrap_or(Platform::Kubernetes))
        .await?;
    let network =
        json!({"apiVersion": "operator.openshift.io/v1", "kind": "Network", "metadata": {"name": "cluster"}});
    let flow_export =
        json!({"apiVersion": "weir.dev/v1alpha1", "kind": "FlowExport", "metadata": {"name": "cluster"}});
    let flows_config = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "ovs-flows-config", "namespace": "openshift-network-operator"}});
    let [mut pods, mut warnings] = [Vec::new(), Vec::new()];
    for namespace in NAMESPACES {
        pods.extend(reading.list(PODS, Some(namespace)).await);
        warnings.extend(reading.list(EVENTS, Some(namespace)).await);
    }
    warnings.retain(|event| event["type"] == "Warning");
    Ok(Facts {
        platform,
        groups,
        minor: version.and_then(|version| version.minor.trim_end_matches('+').parse().ok()),
        clocks,
        installed,
        network: reading.read(&network).await,
        flow_export: reading.read(&flow_export).await,
        flows_config: reading.read(&flows_config).await,
        nodes: reading.list(NODES, None).await,
        exports: reading.list(EXPORTS, None).await,
        leases: reading.list(LEASES, Some("kube-node-lease")).await,
        pods,
        warnings,
        services: reading.list(SERVICES, None).await,
        slices: reading.list(SLICES, None).await,
        collector: ask_collector(config).await.map_err(|error| format!("{error:#}")),
        unread: reading.unread,
    })
}

impl Facts {
    /// The resource that says what to export, and its name.
    pub fn source(&self) -> (&'static str, Option<&Value>) {
        let reads_own = self.installed.iter().any(|(_, found)| {
            let args = found
                .as_ref()
                .and_then(|found| found.pointer("/spec/template/spec/containers/0/args"));
            args.and_then(Value::as_array)
                .is_some_and(|args| args.iter().any(|argument| argument == OWN_SOURCE))
        });
        match reads_own {
            true => ("FlowExport", self.flow_export.as_ref()),
            false => ("Network", self.network.as_ref()),
        }
    }
}

struct Reading {
    client: Client,
    unread: Vec<String>,
}

impl Reading {
    async fn list(&mut self, kind: Kind, namespace: Option<&str>) -> Vec<Value> {
        let list = dynamic::list(&self.client, kind, namespace).await;
        list.unwrap_or_else(|error| {
            self.unread.push(format!("{error:#}"));
            Vec::new()
        })
    }

    async fn read(&mut self, object: &Value) -> Option<Value> {
        let found = dynamic::read(&self.client, object).await;
        found.unwrap_or_else(|error| {
            self.unread
                .push(format!("cannot read {}: {error:#}", describe(object)));
            None
        })
    }

    async fn installed(&mut self, platform: Platform) -> Result<Vec<(Value, Option<Value>)>> {
        let mut all = Vec::new();
        for wanted in platform.objects(&Images::default())? {
            // Its content is nobody's business, and few may read it.
            if wanted["kind"] == "Secret" {
                continue;
            }
            let found = self.read(&wanted).await;
            all.push((wanted, found));
        }
        Ok(all)
    }
}

/// What the API server says that the time is.
async fn clocks(client: &Client) -> Option<(Timestamp, Timestamp)> {
    let request = Request::get("/version").body(Body::empty()).ok()?;
    let response = client.send(request).await.ok()?;
    let text = response.headers().get(header::DATE)?.to_str().ok()?;
    let theirs = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some((theirs, Timestamp::now()))
}

async fn ask_collector(config: Config) -> Result<StatusAnswer> {
    let answer = Server::of_cluster(config)?.get("status", &Vec::new()).await?;
    Ok(serde_json::from_slice(&answer)?)
}
