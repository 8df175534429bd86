//! What a cluster tells of itself, read once. What may not be read is named, and is no
//! reason to stop.

use std::time::Duration;

use anyhow::{Context, Result};
use http::{Request, header};
use jiff::Timestamp;
use kube::client::Body;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::time::timeout;
use weir_collector::api::status::StatusAnswer;
use weir_process::kubernetes::{self, Retries};

use crate::dynamic::{self, Kind, answered};
use crate::platform::{Images, Platform, describe, reads_own};
use crate::server::Server;

/// What is known of an object. What may not be read may be there or not.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Seen {
    /// It is there.
    There(Value),
    /// It, its kind or its namespace is not.
    Absent,
    /// It could not be read.
    #[default]
    Unknown,
}

impl Seen {
    /// The object, if it is known to be there.
    pub fn there(&self) -> Option<&Value> {
        match self {
            Self::There(object) => Some(object),
            Self::Absent | Self::Unknown => None,
        }
    }
}

/// All that is judged. A list that could not be read is empty where only what is in it counts,
/// and none where it counts what is not.
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
    pub installed: Vec<(Value, Seen)>,
    /// The Network named cluster.
    pub network: Seen,
    /// Weir's own, which is read instead where the controller is told to.
    pub flow_export: Seen,
    /// OpenShift's ConfigMap that asks for export, too.
    pub flows_config: Seen,
    /// Nodes.
    pub nodes: Vec<Value>,
    /// What each is told, and says.
    pub exports: Option<Vec<Value>>,
    /// Renewed by each kubelet every ten seconds, by its own clock.
    pub leases: Vec<Value>,
    /// Weir's pods.
    pub pods: Vec<Value>,
    /// Warnings about what is in Weir's namespaces.
    pub warnings: Vec<Value>,
    /// All Services, and what stands behind them.
    pub services: Vec<Value>,
    /// See [`Self::services`].
    pub slices: Option<Vec<Value>>,
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
    let client = kubernetes::client(config.clone(), Retries::ByClient)?;
    let groups = dynamic::groups(&client).await?;
    let platform = Platform::of(&groups).map(|(platform, _)| platform);
    let version = answered(client.apiserver_version()).await.ok();
    let mut reading = Reading {
        client,
        refused: Vec::new(),
        unread: Vec::new(),
        unanswered: 0,
    };
    let installed = reading
        .installed(platform.unwrap_or(Platform::Kubernetes))
        .await?;
    let named = |api_version: &str, kind: &str| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "cluster"}});
    let flows_config = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "ovs-flows-config", "namespace": "openshift-network-operator"}});
    let [mut pods, mut warnings] = [Vec::new(), Vec::new()];
    for namespace in NAMESPACES {
        pods.extend(reading.list(PODS, Some(namespace)).await.unwrap_or_default());
        warnings.extend(reading.list(EVENTS, Some(namespace)).await.unwrap_or_default());
    }
    warnings.retain(|event| event["type"] == "Warning");
    let leases = reading.list(LEASES, Some("kube-node-lease")).await;
    Ok(Facts {
        platform,
        groups,
        minor: version.and_then(|version| version.minor.trim_end_matches('+').parse().ok()),
        // After the leases, so that none of them can have been renewed later.
        clocks: clocks(&reading.client).await,
        installed,
        network: reading.read(&named("operator.openshift.io/v1", "Network")).await,
        flow_export: reading.read(&named("weir.dev/v1alpha1", "FlowExport")).await,
        flows_config: reading.read(&flows_config).await,
        nodes: reading.list(NODES, None).await.unwrap_or_default(),
        exports: reading.list(EXPORTS, None).await,
        leases: leases.unwrap_or_default(),
        pods,
        warnings,
        services: reading.list(SERVICES, None).await.unwrap_or_default(),
        slices: reading.list(SLICES, None).await,
        collector: ask_collector(config).await.map_err(|error| format!("{error:#}")),
        unread: reading.told(),
    })
}

impl Facts {
    /// The resource that says what to export, and its name; none where it cannot be told which
    /// the controller reads.
    pub fn source(&self) -> Option<(&'static str, &Seen)> {
        let is_controller = |object: &Value| {
            object["kind"] == "Deployment" && object["metadata"]["name"] == "weir-controller"
        };
        let controller = self.installed.iter().find(|(wanted, _)| is_controller(wanted));
        match controller.map(|(_, found)| found)? {
            Seen::Unknown => None,
            Seen::There(controller) if reads_own(controller) => Some(("FlowExport", &self.flow_export)),
            // As it would be installed.
            Seen::Absent if self.platform == Some(Platform::Openshift) => {
                Some(("FlowExport", &self.flow_export))
            }
            Seen::There(_) | Seen::Absent => Some(("Network", &self.network)),
        }
    }
}

/// So often an answer may fail to come before nobody is asked any more.
const UNANSWERED: usize = 2;
/// So many objects that may not be read are named.
const NAMED: usize = 3;

struct Reading {
    client: Client,
    /// Objects that may not be read.
    refused: Vec<String>,
    /// What could not be read, and why.
    unread: Vec<String>,
    unanswered: usize,
}

impl Reading {
    /// None if it could not be read.
    async fn list(&mut self, kind: Kind, namespace: Option<&str>) -> Option<Vec<Value>> {
        if self.unanswered >= UNANSWERED {
            return None;
        }
        match dynamic::list(&self.client, kind, namespace).await {
            Ok(list) => Some(list),
            Err(error) => {
                self.unanswered += usize::from(!dynamic::is_answer(&error));
                self.unread
                    .push(format!("cannot list {}s: {}", kind.kind, dynamic::reason(&error)));
                None
            }
        }
    }

    async fn read(&mut self, object: &Value) -> Seen {
        if self.unanswered >= UNANSWERED {
            return Seen::Unknown;
        }
        match dynamic::read(&self.client, object).await {
            Ok(Some(found)) => Seen::There(found),
            Ok(None) => Seen::Absent,
            Err(error) if dynamic::is_refused(&error) => {
                self.refused.push(describe(object));
                Seen::Unknown
            }
            Err(error) => {
                self.unanswered += usize::from(!dynamic::is_answer(&error));
                self.unread.push(format!(
                    "cannot read {}: {}",
                    describe(object),
                    dynamic::reason(&error)
                ));
                Seen::Unknown
            }
        }
    }

    fn told(mut self) -> Vec<String> {
        if self.unanswered >= UNANSWERED {
            self.unread
                .push("the API server was not asked any more".to_owned());
        }
        if !self.refused.is_empty() {
            let first = self.refused.iter().take(NAMED).cloned().collect::<Vec<_>>();
            let more = self.refused.len().saturating_sub(NAMED);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            self.unread
                .push(format!("you may not read {}{more}", first.join(", ")));
        }
        self.unread
    }

    async fn installed(&mut self, platform: Platform) -> Result<Vec<(Value, Seen)>> {
        let mut all = Vec::new();
        for wanted in platform.objects(&Images::default(), false)? {
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
    let response = answered(client.send(request)).await.ok()?;
    let text = response.headers().get(header::DATE)?.to_str().ok()?;
    let theirs = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some((theirs, Timestamp::now()))
}

/// How long the collector may take for its answer.
const COLLECTORS: Duration = Duration::from_secs(20);

async fn ask_collector(config: Config) -> Result<StatusAnswer> {
    let server = Server::of_cluster(config)?;
    let asked = vec![];
    let answer = timeout(COLLECTORS, server.get("status", &asked)).await;
    let answer = answer.context("no answer")??;
    Ok(serde_json::from_slice(&answer)?)
}
