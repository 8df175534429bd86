//! The pages of the API, asked of a collector. What comes back is data and nothing else: of
//! its head only what says how it is written goes to the browser, and no answer, whatever
//! somebody between here and the collector makes of it, runs there or asks for a token.

use std::sync::Arc;

use anyhow::Error;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    REFERRER_POLICY, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use weir_collector::api::problem::{MEDIA_TYPE, Problem};
use weir_process::error::chain;

use crate::server::Server;

/// What a collector says of an answer that a browser is told.
const TOLD: [HeaderName; 4] = [CONTENT_TYPE, CONTENT_ENCODING, VARY, RETRY_AFTER];
/// Nothing of an answer runs, should somebody open it as a page.
const OURS: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-store"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; sandbox",
    ),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];
/// What helps who is not known to a collector: the browser is asked for nothing.
const UNKNOWN: &str = "end `weir ui`, and start it with --token: the token is for the collector alone, and no page \
     asks for it";

/// The pages of this collector.
pub fn routes(server: Arc<Server>) -> Router {
    Router::new()
        .route("/api/v1/{*page}", get(ask))
        .with_state(server)
}

async fn ask(
    State(server): State<Arc<Server>>,
    Path(page): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let accepted = [ACCEPT, ACCEPT_ENCODING].into_iter();
    let accepted = accepted.filter_map(|name| Some((name.clone(), headers.get(name)?.clone())));
    let query = query.unwrap_or_default();
    let mut response = match server.pass(&page, &query, &accepted.collect()).await {
        Ok(answer) => told(answer),
        Err(error) => refused(&error),
    };
    let ours = OURS.map(|(name, value)| (name, HeaderValue::from_static(value)));
    response.headers_mut().extend(ours);
    response
}

/// As it comes: the collector is read no faster than the browser reads.
fn told(answer: http::Response<kube::client::Body>) -> Response {
    let (head, body) = answer.into_parts();
    let mut response = Response::new(Body::new(body));
    let told = TOLD
        .into_iter()
        .filter_map(|name| Some((name.clone(), head.headers.get(name)?.clone())));
    response.headers_mut().extend(told);
    response
}

/// The collector's own problem, or that somebody else is in the way.
fn refused(error: &Error) -> Response {
    match error.downcast_ref::<Problem>() {
        Some(problem) if problem.status == StatusCode::UNAUTHORIZED.as_u16() => {
            in_the_way(&format!("{problem}; {UNKNOWN}"))
        }
        Some(problem) if (400..600).contains(&problem.status) => problem.clone().into_response(),
        _ => in_the_way(&chain(error.as_ref())),
    }
}

/// The problem that the UI has for that.
fn in_the_way(detail: &str) -> Response {
    let status = StatusCode::BAD_GATEWAY;
    let problem = json!({
        "type": "urn:weir:proxy",
        "title": "The collector did not answer",
        "status": status.as_u16(),
        "detail": detail,
    });
    let kind = [(CONTENT_TYPE, MEDIA_TYPE)];
    (status, kind, problem.to_string()).into_response()
}
