//! The HTTP server: metrics, whether the collector is alive and ready, and the
//! pages of [`crate::api`]. The former are open to everybody.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::api::{self, Api};
use crate::health::Health;
use crate::metrics::{self, Metrics};

const HINT: &str = "weir-collector: /metrics /healthz /readyz /api/v1/openapi.json\n";

/// What the pages show.
#[derive(Debug, Clone)]
pub struct Pages {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Readiness.
    pub health: Arc<Health>,
}

/// Serves until `stop` turns true or its sender is gone.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    pages: Pages,
    api: Api,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let stopped = async move {
        // An error says that the sender is gone: the end, too.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, routes(pages).merge(api::routes(api)))
        .with_graceful_shutdown(stopped)
        .await
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
