//! What is served over HTTP: metrics, whether the collector is alive and ready, the web UI
//! ([`ui`]) and the pages of [`crate::api`]. All but the last are open to everybody; what
//! FlowMetrics count is for those whom Kubernetes lets read it, where names come from there.
//! Connections are [`server`]'s.

mod answer_task;
mod certificate;
mod der;
mod front_proxy;
mod issue;
mod peer;
mod presented;
mod progress;
mod server;
mod stall;
pub mod ui;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use weir_process::http::{metrics, well};

use crate::api::{self, Api, Gate, Problem};
use crate::flow_metrics::{self, FlowMetrics};
use crate::health::Health;
use crate::metrics::{HttpConnections, Metrics};
pub(crate) use presented::Keeper;
pub use presented::ServiceName;
pub use server::{HttpServer, Server};

/// The APIService of Kubernetes that leads to the pages of the API.
pub const API_SERVICE: &str = "v1.flows.weir.dev";

/// What the pages show.
#[derive(Debug, Clone)]
pub struct Pages {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Readiness.
    pub health: Arc<Health>,
    /// What is counted over records.
    pub flow_metrics: FlowMetrics,
    /// Who may see that; without it everybody.
    pub scrapers: Option<Gate>,
}

/// Serves until `stop` turns true or its sender is gone, then what is under way.
pub async fn serve(server: Server, pages: Pages, api: Api, stop: watch::Receiver<bool>) {
    let connections = Arc::clone(pages.metrics.http_connections());
    let probes = probes(pages.clone()).fallback(async || Problem::full());
    let all = probes_and_more(pages).merge(api::routes(api));
    server.run(all, probes, &connections, stop).await;
}

/// Serves pages in the clear, as a collector does, for as long as it is polled: bounded in
/// connections, and who sends no request or takes no answer is let go.
pub async fn serve_in_the_clear(listener: TcpListener, pages: Router) {
    let server = Server::new(listener, HttpServer::default(), None);
    // Nobody is told to stop: it ends when it is dropped.
    let (_stop, stopped) = watch::channel(false);
    let full = Router::new().fallback(async || Problem::full());
    server
        .run(pages, full, &Arc::new(HttpConnections::default()), stopped)
        .await;
}

/// What answers when there is no room for more.
fn probes(pages: Pages) -> Router {
    let Pages {
        metrics: counters,
        health,
        ..
    } = pages;
    weir_process::http::probes(well, move || health.report())
        .merge(metrics(move || counters.encode()))
        // The API server takes the API away when this is not answered.
        .route(peer::AGGREGATED, get(async || Json(discovery())))
}

fn probes_and_more(pages: Pages) -> Router {
    let counted = flow_metrics::page(pages.flow_metrics.clone(), pages.scrapers.clone());
    probes(pages).merge(ui::routes()).merge(counted)
}

/// What the API server asks to see whether the API is there. Its pages are no resources
/// that could be listed, watched and deleted as objects, so it names none.
fn discovery() -> Value {
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": peer::AGGREGATED.trim_start_matches("/apis/"),
        "resources": [],
    })
}
