//! `/flow-metrics`: the series in the text format that the scraper prefers.
//!
//! Whoever may read it may do so as often and as slowly as they like: one text is made at a time and is given to all who waited for it, and while too many are being read, the last
//! one is given again.

use std::sync::{Arc, Weak};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Mutex;
use tokio::task::JoinError;
use weir_flowmetrics::Exposition;

use super::FlowMetrics;
use crate::api::{Caller, Gate};

/// Texts of one format that may be in memory, read by somebody, before the last one is given
/// again however old it is.
const MAX_TEXTS: usize = 4;

/// The page, for those whom the gate lets in; without one for everybody.
pub fn page(flow_metrics: FlowMetrics, scrapers: Option<Gate>) -> Router {
    let open = Arc::new(Texts::new(flow_metrics.clone(), Exposition::OpenMetrics));
    let plain = Arc::new(Texts::new(flow_metrics, Exposition::Prometheus));
    let show = async move |caller: Caller, headers: HeaderMap| {
        if let Some(gate) = &scrapers
            && let Err(problem) = gate.admit_scraper(&caller).await
        {
            return problem.into_response();
        }
        let texts = match preferred(&headers) {
            Exposition::OpenMetrics => open,
            Exposition::Prometheus => plain,
        };
        match texts.newest().await {
            Ok(text) => ([(CONTENT_TYPE, texts.format.content_type())], text).into_response(),
            Err(error) => {
                tracing::error!(%error, "the series of FlowMetrics cannot be shown");
                Response::from(StatusCode::INTERNAL_SERVER_ERROR.into_response())
            }
        }
    };
    Router::new().route("/flow-metrics", get(show))
}

/// The texts of one format.
struct Texts {
    flow_metrics: FlowMetrics,
    format: Exposition,
    /// Held while one is made: others wait, and get the same.
    made: Mutex<Made>,
}

/// What was made.
#[derive(Default)]
struct Made {
    /// When it was begun, and the text.
    last: Option<(Instant, Arc<String>)>,
    /// All that may still be read.
    all: Vec<Weak<String>>,
}

/// A text that several answers share.
struct SharedText(Arc<String>);

impl AsRef<[u8]> for SharedText {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Texts {
    fn new(flow_metrics: FlowMetrics, format: Exposition) -> Self {
        Self {
            flow_metrics,
            format,
            made: Mutex::default(),
        }
    }

    async fn newest(&self) -> Result<Bytes, JoinError> {
        let asked = Instant::now();
        let mut made = self.made.lock().await;
        made.all.retain(|text| text.strong_count() > 0);
        if let Some((begun, text)) = &made.last
            && (*begun >= asked || made.all.len() >= MAX_TEXTS)
        {
            return Ok(Bytes::from_owner(SharedText(Arc::clone(text))));
        }
        // Nobody else's reading holds the one before.
        made.last = None;
        let (flow_metrics, format) = (self.flow_metrics.clone(), self.format);
        let begun = Instant::now();
        // Many series take a while.
        let text = tokio::task::spawn_blocking(move || Arc::new(flow_metrics.expose(format))).await?;
        made.all.push(Arc::downgrade(&text));
        made.last = Some((begun, Arc::clone(&text)));
        Ok(Bytes::from_owner(SharedText(text)))
    }
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
    use axum::body::Body;
    use axum::http::Request;
    use axum::http::header::AUTHORIZATION;
    use tower::ServiceExt;

    use super::*;
    use crate::api::reviews::tests::{PROMETHEUS, server};

    #[tokio::test]
    async fn what_is_counted_is_shown_to_those_whom_kubernetes_lets_read_it() {
        let gate = Gate::Kubernetes(Arc::new(server().await.0));
        let (open, gated) = (
            page(FlowMetrics::new(1), None),
            page(FlowMetrics::new(1), Some(gate)),
        );
        let status = async |page: &Router, token: &str| {
            let mut request = Request::get("/flow-metrics");
            if !token.is_empty() {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let request = request.body(Body::empty()).unwrap();
            page.clone().oneshot(request).await.unwrap().status().as_u16()
        };
        assert_eq!(status(&open, "").await, 200);
        let (for_us, in_secret) = (format!("{PROMETHEUS}-token"), format!("{PROMETHEUS}-secret"));
        for (token, expected) in [
            ("", 401),
            ("forged", 401),
            ("alice-token", 403),
            (&for_us, 200),
            (&in_secret, 200),
            ("root-token", 200),
        ] {
            assert_eq!(status(&gated, token).await, expected, "{token}");
        }
    }

    #[tokio::test]
    async fn however_many_ask_and_do_not_read_few_texts_are_in_memory() {
        let texts = Texts::new(FlowMetrics::new(1), Exposition::OpenMetrics);
        let mut unread = Vec::new();
        for _ in 0..50 {
            unread.push(texts.newest().await.unwrap());
        }
        let different = |unread: &[Bytes]| {
            let places = unread.iter().map(|text| text.as_ptr());
            places.collect::<std::collections::BTreeSet<_>>().len()
        };
        assert_eq!(different(&unread), MAX_TEXTS);
        // All but the last one are read: there is room for new ones.
        let last = unread.pop().unwrap();
        unread.clear();
        assert_ne!(texts.newest().await.unwrap().as_ptr(), last.as_ptr());
        // Who waits while one is made gets the next, with all others who wait.
        let held = texts.made.lock().await;
        let all = futures::future::join_all((0..20).map(|_| texts.newest()));
        let (all, ()) = tokio::join!(all, async { drop(held) });
        let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
        assert_eq!(different(&all), 1);
    }

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
