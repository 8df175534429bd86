//! `/metrics`, `/healthz` and `/readyz`. Readiness is a fact: every kind was
//! listed. A standby is as ready as the leader.

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::watch;

use crate::metrics::Metrics;

/// The media type of OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Kinds that were not listed yet.
pub type Missing = watch::Receiver<Vec<&'static str>>;

/// The routes. A process that answers is healthy: it ends when any part ends.
pub fn routes(metrics: Metrics, missing: Missing) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || std::future::ready(ready(&missing))))
        .route("/metrics", get(move || std::future::ready(show(&metrics))))
}

fn ready(missing: &Missing) -> (StatusCode, String) {
    let missing = missing.borrow();
    if missing.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        let text = format!("not listed yet: {}\n", missing.join(", "));
        (StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

fn show(metrics: &Metrics) -> impl IntoResponse + use<> {
    match metrics.text() {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, OPEN_METRICS)], text),
        Err(error) => {
            let text = format!("cannot encode: {error}\n");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                [(CONTENT_TYPE, "text/plain")],
                text,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_names_what_is_missing() {
        let (sender, missing) = watch::channel(vec!["nodes"]);
        assert_eq!(
            ready(&missing),
            (StatusCode::SERVICE_UNAVAILABLE, "not listed yet: nodes\n".into())
        );
        sender.send_replace(Vec::new());
        assert_eq!(ready(&missing).0, StatusCode::OK);
    }
}
