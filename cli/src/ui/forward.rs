//! The pages of the API, asked of a collector. What comes back is data and nothing else: of
//! its head only what says how it is written goes to the browser, and no answer, whatever
//! somebody between here and the collector makes of it, runs there or asks for a token.

use std::sync::Arc;

use anyhow::Error;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    REFERRER_POLICY, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use weir_collector::api::problem::{MEDIA_TYPE, Problem};
use weir_process::error::chain;

use super::guard::{ASKED_BY_BODY, YAML};
use crate::server::{NotAllowed, Server};

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

/// Octets of what is sent along at most: a collector takes no more either.
const MOST_BYTES: usize = 8 << 20;

/// The pages of this collector.
pub fn routes(server: Arc<Server>) -> Router {
    let asked_by_body = ASKED_BY_BODY.into_iter().fold(Router::new(), |routes, page| {
        routes.route(&format!("/api/v1/{page}"), post(ask_by_body))
    });
    asked_by_body
        .route("/api/v1/{*page}", get(ask))
        .with_state(server)
}

async fn ask_by_body(State(server): State<Arc<Server>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MOST_BYTES).await else {
        return in_the_way(&format!(
            "what was sent along broke off, or has more than {MOST_BYTES} bytes"
        ));
    };
    let page = head.uri.path().trim_start_matches("/api/v1/");
    let query = head.uri.query().unwrap_or_default();
    let mut kept = accepted(&head.headers);
    kept.insert(CONTENT_TYPE, HeaderValue::from_static(YAML));
    let answer = server.pass(Method::POST, page, query, &kept, body.into()).await;
    ours(answer)
}

/// What is said of the answer's form.
fn accepted(headers: &HeaderMap) -> HeaderMap {
    let accepted = [ACCEPT, ACCEPT_ENCODING].into_iter();
    accepted
        .filter_map(|name| Some((name.clone(), headers.get(name)?.clone())))
        .collect()
}

async fn ask(
    State(server): State<Arc<Server>>,
    Path(page): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let answer = server
        .pass(
            Method::GET,
            &page,
            &query,
            &accepted(&headers),
            kube::client::Body::empty(),
        )
        .await;
    ours(answer)
}

fn ours(answer: anyhow::Result<http::Response<kube::client::Body>>) -> Response {
    let mut response = match answer {
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

/// The collector's own problem, the API server's refusal, or that somebody else is in the way.
fn refused(error: &Error) -> Response {
    if let Some(refusal) = error.downcast_ref::<NotAllowed>() {
        return Problem::forbidden(refusal.to_string()).into_response();
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a browser is told where whoever stands before the collector answers so.
    async fn told_of(status: StatusCode, body: &'static str) -> (StatusCode, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let before = Router::new().fallback(move || async move { (status, body) });
        tokio::spawn(async move { axum::serve(listener, before).await });
        let routes = routes(Arc::new(Server::at(&url, None).unwrap()));
        let asked = Request::post("/api/v1/flow-metrics/estimate");
        let answer = tower::ServiceExt::oneshot(routes, asked.body(Body::empty()).unwrap());
        let (head, body) = answer.await.unwrap().into_parts();
        let text = to_bytes(body, MOST_BYTES).await.unwrap();
        (head.status, String::from_utf8(text.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn who_may_not_ask_learns_so_from_the_api_server() {
        let own = r#"{"kind": "Status", "status": "Failure", "code": 403, "message": "alice cannot create flow-metrics"}"#;
        let (status, text) = told_of(StatusCode::FORBIDDEN, own).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{text}");
        assert!(
            text.contains("alice cannot create") && text.contains("urn:weir:forbidden"),
            "{text}"
        );
        let (status, text) = told_of(StatusCode::INTERNAL_SERVER_ERROR, "broken").await;
        assert_eq!(status, StatusCode::BAD_GATEWAY, "{text}");
    }
}
