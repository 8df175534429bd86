//! The source that follows a cluster, over real sockets: an API server that refuses, and a
//! network that freezes. What a real API server does is for the lab's cases.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch};
use futures::stream;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use weir_api::NodeFlowExportStatus;
use weir_node::Desired;
use weir_node::kube_source::{self, ClusterSource};
use weir_node::metrics::Metrics;

const PATIENCE: Duration = Duration::from_secs(60);

/// An API server with one object, as far as the source asks it.
#[derive(Clone)]
struct Server {
    /// Version of the object, which is its generation and its one target's port.
    version: watch::Sender<u16>,
    patches: Arc<AtomicUsize>,
}

impl Server {
    async fn start() -> (Self, SocketAddr) {
        let server = Self {
            version: watch::Sender::new(1),
            patches: Arc::default(),
        };
        let path = "/apis/weir.dev/v1alpha1/nodeflowexports";
        let router = Router::new()
            .route(path, get(list_or_watch))
            .route(&format!("{path}/node-a/status"), patch(refuse))
            .with_state(server.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (server, address)
    }
}

fn object(version: u16) -> Value {
    json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport",
        "metadata": {"name": "node-a", "uid": "u1", "generation": version, "resourceVersion": version.to_string()},
        "spec": {"bridges": [{"name": "br-int", "netFlow": {"targets": [format!("192.0.2.9:{version}")]}}]},
    })
}

async fn list_or_watch(
    State(server): State<Server>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    if !query.contains_key("watch") {
        let version = *server.version.borrow();
        let list = json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExportList",
            "metadata": {"resourceVersion": version.to_string()}, "items": [object(version)],
        });
        return axum::Json(list).into_response();
    }
    let seen: u16 = query["resourceVersion"].parse().unwrap();
    let until = tokio::time::Instant::now() + Duration::from_secs(query["timeoutSeconds"].parse().unwrap());
    let events = stream::unfold(
        (server.version.subscribe(), seen),
        move |(mut versions, seen)| async move {
            let newer = tokio::time::timeout_at(until, versions.wait_for(|version| *version > seen)).await;
            let version = *newer.ok()?.ok()?;
            let line = format!("{}\n", json!({"type": "MODIFIED", "object": object(version)}));
            Some((Ok::<_, std::io::Error>(Bytes::from(line)), (versions, version)))
        },
    );
    Body::from_stream(events).into_response()
}

async fn refuse(State(server): State<Server>) -> Response {
    server.patches.fetch_add(1, Ordering::Relaxed);
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "x", "code": 403});
    (StatusCode::FORBIDDEN, axum::Json(status)).into_response()
}

/// Passes connections on until it is frozen: those that stand then stay open and carry
/// nothing more, as behind a firewall that forgot them.
async fn freezing_proxy(to: SocketAddr) -> (SocketAddr, Arc<AtomicBool>) {
    let freeze = Arc::new(AtomicBool::new(false));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::clone(&freeze);
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(to).await.unwrap();
            // A connection that comes after the frost is another, and gets through.
            let frozen = match shared.load(Ordering::Relaxed) {
                true => Arc::default(),
                false => Arc::clone(&shared),
            };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::spawn(pass_on(from_client, to_server, Arc::clone(&frozen)));
            tokio::spawn(pass_on(from_server, to_client, frozen));
        }
    });
    (address, freeze)
}

async fn pass_on(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    frozen: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if frozen.load(Ordering::Relaxed) {
            // Held, with both ends open, for as long as the test runs.
            std::future::pending::<()>().await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

struct Follower {
    desired: watch::Receiver<Option<Desired>>,
    status: watch::Sender<NodeFlowExportStatus>,
    metrics: Arc<Metrics>,
}

fn follow(address: SocketAddr) -> Follower {
    let config = kube::Config::new(format!("http://{address}").parse().unwrap());
    let source = ClusterSource {
        client: weir_process::kubernetes::client(config, weir_process::kubernetes::Retries::None).unwrap(),
        node_name: "node-a".to_owned(),
        watch_timeout: Duration::from_secs(1),
    };
    let metrics = Arc::<Metrics>::default();
    let (status, told) = watch::channel(NodeFlowExportStatus::default());
    Follower {
        desired: kube_source::spawn(source, told, Arc::clone(&metrics)),
        status,
        metrics,
    }
}

impl Follower {
    async fn wait_for(&mut self, version: u16) {
        let is = |desired: &Option<Desired>| {
            desired
                .as_ref()
                .is_some_and(|d| d.generation == Some(version.into()))
        };
        let waited = tokio::time::timeout(PATIENCE, self.desired.wait_for(is)).await;
        waited.expect("waited too long for a change").unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_is_frozen_keeps_a_change_away_no_longer_than_a_watch_lasts() {
    let (server, address) = Server::start().await;
    let (proxy, freeze) = freezing_proxy(address).await;
    let mut follower = follow(proxy);
    follower.wait_for(1).await;
    server.version.send_replace(2);
    follower.wait_for(2).await;
    freeze.store(true, Ordering::Relaxed);
    server.version.send_replace(3);
    follower.wait_for(3).await;
}

#[tokio::test]
async fn a_write_that_is_refused_is_not_sent_again_at_once() {
    let (server, address) = Server::start().await;
    let mut follower = follow(address);
    follower.wait_for(1).await;
    let status = NodeFlowExportStatus {
        observed_generation: Some(1),
        protocols: "IPFIX".to_owned(),
        ..Default::default()
    };
    follower.status.send_replace(status);
    let refused = || {
        let text = follower.metrics.text();
        text.contains("weir_node_status_patches_total{result=\"refused\"} 1\n")
    };
    let counted = async {
        while !refused() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, counted)
        .await
        .expect("the refusal is counted");
    // What the client library would have tried again behind our back came before.
    assert_eq!(server.patches.load(Ordering::Relaxed), 1);
}
