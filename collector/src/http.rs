//! What is served over HTTP: metrics, whether the collector is alive and ready, and the
//! pages of [`crate::api`]. The former are open to everybody. Connections are
//! [`server`]'s.

mod certificate;
mod server;
mod stall;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::watch;

use crate::api::{self, Api};
use crate::health::Health;
use crate::metrics::{self, Metrics};
pub use server::{HttpServer, Server};

const HINT: &str = "weir-collector: /metrics /healthz /readyz /api/v1/openapi.json\n";

/// What the pages show.
#[derive(Debug, Clone)]
pub struct Pages {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Readiness.
    pub health: Arc<Health>,
}

/// Serves until `stop` turns true or its sender is gone, then what is under way.
pub async fn serve(server: Server, pages: Pages, api: Api, stop: watch::Receiver<bool>) {
    let connections = Arc::clone(pages.metrics.http_connections());
    server
        .run(routes(pages).merge(api::routes(api)), &connections, stop)
        .await;
}

fn routes(pages: Pages) -> Router {
    Router::new()
        .route("/", get(HINT))
        .route("/healthz", get("ok\n"))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
        .with_state(pages)
}

async fn readiness(State(pages): State<Pages>) -> impl IntoResponse {
    match pages.health.report() {
        Ok(text) => (StatusCode::OK, text),
        Err(text) => (StatusCode::SERVICE_UNAVAILABLE, text),
    }
}

async fn metrics(State(pages): State<Pages>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], pages.metrics.encode())
}
