//! Pages that every daemon serves: `/healthz` and `/readyz` for whoever starts it, and apart
//! from them `/metrics`, which not everybody may read. Answers are computed from what the
//! daemon found; nothing here decides anything.

use std::fmt;
use std::io;
use std::net::SocketAddr;

pub use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The media type of OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a probe answers: `Ok` with 200, `Err` with 503.
pub type Probe = Result<String, String>;

/// `/healthz` and `/readyz`.
pub fn probes<H, R>(health: H, readiness: R) -> Router
where
    H: Fn() -> Probe + Clone + Send + Sync + 'static,
    R: Fn() -> Probe + Clone + Send + Sync + 'static,
{
    let page = |probe: Probe| std::future::ready(answer(probe));
    Router::new()
        .route("/healthz", get(move || page(health())))
        .route("/readyz", get(move || page(readiness())))
}

/// `/metrics`.
pub fn metrics(text: impl Fn() -> String + Clone + Send + Sync + 'static) -> Router {
    let page = move || std::future::ready(([(CONTENT_TYPE, OPEN_METRICS)], text()));
    Router::new().route("/metrics", get(page))
}

/// All is well.
pub fn well() -> Probe {
    Ok("ok\n".to_owned())
}

/// Why it is not, a line.
pub fn not_well(why: impl fmt::Display) -> Probe {
    Err(format!("{why}\n"))
}

fn answer(probe: Probe) -> Response {
    match probe {
        Ok(text) => (StatusCode::OK, text),
        Err(text) => (StatusCode::SERVICE_UNAVAILABLE, text),
    }
    .into_response()
}

/// All metrics in OpenMetrics text.
pub fn metrics_text(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).expect("a String takes whatever is written to it");
    text
}

/// Binds, then serves in a task of its own until the runtime ends. Returns the address, which
/// tells the port when 0 was asked for, and the task, which ends by itself only when it fails.
///
/// # Errors
/// The address cannot be bound.
pub async fn spawn(address: SocketAddr, pages: Router) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    tracing::info!(address = %bound, "serving HTTP");
    let server = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, pages).await {
            tracing::error!(%error, "the HTTP server failed");
        }
    });
    Ok((bound, server))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn page(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn probes_say_what_is_wrong_and_metrics_are_apart_from_them() {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let (probed, _) = spawn(local, probes(well, || not_well("not listed yet: nodes")))
            .await
            .unwrap();
        assert!(page(probed, "/healthz").await.starts_with("HTTP/1.1 200"));
        let unready = page(probed, "/readyz").await;
        assert!(
            unready.starts_with("HTTP/1.1 503") && unready.ends_with("not listed yet: nodes\n"),
            "{unready}"
        );
        assert!(page(probed, "/metrics").await.starts_with("HTTP/1.1 404"));
        let text = || metrics_text(&Registry::default());
        let (counted, _) = spawn(local, metrics(text)).await.unwrap();
        let shown = page(counted, "/metrics").await;
        assert!(
            shown.contains("application/openmetrics-text") && shown.ends_with("# EOF\n"),
            "{shown}"
        );
        assert!(page(counted, "/readyz").await.starts_with("HTTP/1.1 404"));
    }
}
