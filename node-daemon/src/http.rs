//! `--http`: `/metrics`, `/healthz`, `/readyz`. Answers are computed from what
//! the agent's loop recorded last; nothing here decides anything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::agent::FULL_CHECK;
use crate::metrics::Metrics;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Binds, then serves in a task of its own until the runtime ends. Returns the
/// address, which tells the port when 0 was asked for.
///
/// # Errors
/// The address cannot be bound.
pub async fn spawn(address: SocketAddr, metrics: Arc<Metrics>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router(metrics)).await {
            tracing::error!(%error, "http server ended");
        }
    });
    Ok(bound)
}

fn router(metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(show_health))
        .route("/readyz", get(show_readiness))
        .with_state(metrics)
}

async fn show_metrics(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.text())
}

/// The loop turns at least once in [`FULL_CHECK`]; three missed turns mean that
/// it hangs. A run folder that was made anew is seen by another start alone.
async fn show_health(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    match metrics.facts().unhealthy(Instant::now(), FULL_CHECK * 3) {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn show_readiness(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    let unready = metrics.facts().unready();
    if unready.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{}\n", unready.join("\n")),
        )
    }
}
