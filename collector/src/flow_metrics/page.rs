//! `/flow-metrics`: the series in the text format that the scraper prefers.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, http::StatusCode};
use weir_flowmetrics::Exposition;

use super::FlowMetrics;

/// The page.
pub fn page(flow_metrics: FlowMetrics) -> Router {
    let show = async move |headers: HeaderMap| {
        let format = preferred(&headers);
        // Many series take a while.
        let text = tokio::task::spawn_blocking(move || flow_metrics.expose(format)).await;
        match text {
            Ok(text) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
            Err(error) => {
                tracing::error!(%error, "the series of FlowMetrics cannot be shown");
                Response::from(StatusCode::INTERNAL_SERVER_ERROR.into_response())
            }
        }
    };
    Router::new().route("/flow-metrics", get(show))
}

/// The format that weighs most in `Accept` (RFC 9110 §12.5.1); OpenMetrics only where it is
/// named.
fn preferred(headers: &HeaderMap) -> Exposition {
    let values = headers.get_all(ACCEPT).iter();
    let ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let (mut open, mut text) = (0.0_f32, 0.0_f32);
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        let weight = weight.and_then(|weight| weight.parse().ok()).unwrap_or(1.0);
        match media.as_str() {
            "application/openmetrics-text" => open = open.max(weight),
            "text/plain" => text = text.max(weight),
            _ => {}
        }
    }
    if open > 0.0 && open >= text {
        Exposition::OpenMetrics
    } else {
        Exposition::Prometheus
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_the_format_that_it_prefers() {
        let cases = [
            (None, Exposition::Prometheus),
            (Some("*/*"), Exposition::Prometheus),
            (Some("text/plain"), Exposition::Prometheus),
            (
                // Prometheus 3.
                Some(
                    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                ),
                Exposition::OpenMetrics,
            ),
            (
                // Prometheus 2 that was told to read text alone.
                Some("text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
                Exposition::Prometheus,
            ),
            (
                Some("application/openmetrics-text;q=0.2, text/plain;q=0.8"),
                Exposition::Prometheus,
            ),
            (Some("application/openmetrics-text;q=0"), Exposition::Prometheus),
        ];
        for (accept, format) in cases {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(preferred(&headers), format, "{accept:?}");
        }
    }
}
