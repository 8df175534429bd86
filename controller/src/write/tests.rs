use super::*;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use kube::Config;
use serde_json::{Value, json};

type Asked = Arc<Mutex<Vec<(String, String, Value)>>>;

/// An API server that answers everything with that status, and what it was asked: the place,
/// the content type and the body.
async fn answering(code: u16) -> (ApiWriter, Asked) {
    let asked = Asked::default();
    let page = async move |State(asked): State<Asked>, uri: Uri, headers: HeaderMap, body: String| {
        let kind = headers["content-type"].to_str().unwrap().to_owned();
        let body = serde_json::from_str(&body).unwrap();
        asked.lock().unwrap().push((uri.path().to_owned(), kind, body));
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "message": "no", "reason": "Any"});
        (StatusCode::from_u16(code).unwrap(), status.to_string()).into_response()
    };
    let router = Router::new().fallback(page).with_state(Arc::clone(&asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = Config::new(url.parse().unwrap());
    let client = weir_process::kubernetes::client(config, weir_process::kubernetes::Retries::None).unwrap();
    let writer = ApiWriter::new(
        &client,
        FlowSource::default(),
        "weir-system",
        Duration::from_secs(10),
    );
    (writer, asked)
}

#[tokio::test]
async fn where_a_rollout_stands_is_written_to_the_object_that_was_seen_and_to_no_other() {
    let seen = ObjectMeta {
        uid: Some("u".to_owned()),
        resource_version: Some("7".to_owned()),
        ..ObjectMeta::default()
    };
    let write = Write::Rollout(Box::new((seen, ExportRolloutStatus::default())));
    let (writer, asked) = answering(409).await;
    assert!(writer.carry_out(&write).await.unwrap().is_none());
    let (place, _, body) = asked.lock().unwrap()[0].clone();
    assert_eq!(place, "/apis/weir.dev/v1alpha1/exportrollouts/cluster/status");
    assert_eq!(
        body["metadata"],
        json!({"name": "cluster", "uid": "u", "resourceVersion": "7"})
    );
    let (writer, _) = answering(500).await;
    assert!(writer.carry_out(&write).await.is_err());
}

#[tokio::test]
async fn that_all_nodes_have_a_revision_is_a_patch_that_a_later_apply_leaves() {
    let since = weir_api::condition::Time("2026-11-30T01:02:03Z".parse().unwrap());
    let write = Write::Complete("weir-export-1".to_owned(), since);
    let (writer, asked) = answering(404).await;
    assert!(writer.carry_out(&write).await.unwrap().is_none());
    let (place, kind, body) = asked.lock().unwrap()[0].clone();
    assert_eq!(
        place,
        "/apis/apps/v1/namespaces/weir-system/controllerrevisions/weir-export-1"
    );
    assert_eq!(kind, "application/merge-patch+json");
    let annotations = json!({"annotations": {"weir.dev/completed": "2026-11-30T01:02:03Z"}});
    assert_eq!(body["metadata"], annotations);
    assert_eq!(body["data"], Value::Null);
}
