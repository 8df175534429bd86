//! Against an API server that has some objects and counts what it is asked.

use std::sync::Mutex as StdMutex;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::{Json, Router};
use kube::Config;
use serde_json::{Value, json};
use weir_exports::SourceKind;

use super::*;

/// What is asked, as paths, in order.
type Asked = Arc<StdMutex<Vec<String>>>;

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": format!("{reason} it is"),
        "lastTransitionTime": "2026-11-30T01:00:00Z"})
}

fn listed(items: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items})
}

/// Two nodes, of which one has no export, and what asks for it.
fn object(path: &str) -> Option<Value> {
    let spec = json!({"bridges": [{"name": "br-int", "exporterId": 7,
        "ipfix": {"targets": ["10.96.0.9:4739"], "sampling": 400}}]});
    Some(match path {
        "/apis/operator.openshift.io/v1/networks/cluster" => {
            json!({"metadata": {"name": "cluster", "managedFields": [
                {"manager": "kubectl-patch", "operation": "Update", "time": "2026-11-30T01:00:00Z",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:exportNetworkFlows": {"f:ipfix": {}}}}}]},
            "spec": {"exportNetworkFlows": {"ipfix": {"collectors": ["weir-collector.weir-system.svc:4739"]}}},
            "status": {"conditions": [condition("FlowExportAvailable", "True", "Exporting"),
                condition("FlowExportDegraded", "True", "NodesFailing")]}})
        }
        "/apis/weir.dev/v1alpha1/nodeflowexports" => listed(&json!([{
            "metadata": {"name": "node-a", "generation": 1, "creationTimestamp": "2026-11-30T00:00:00Z"},
            "spec": spec, "status": {"observedGeneration": 1, "protocols": "IPFIX", "reason": "Applied", "conditions": [
                condition("Applied", "True", "Applied"), condition("Exporting", "True", "Exporting")]}}])),
        "/api/v1/nodes" => listed(&json!([
            {"metadata": {"name": "node-a"}, "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}},
            {"metadata": {"name": "node-b"}, "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.2"}]}}])),
        "/apis/weir.dev/v1alpha1/exportprofiles" => listed(&json!([])),
        "/api/v1/namespaces/weir-system/services" | "/api/v1/namespaces/flows/services" => listed(&json!([
            {"metadata": {"name": "weir-collector"}, "spec": {"clusterIP": "10.96.0.9"}}])),
        _ => return None,
    })
}

async fn answer(State(asked): State<Asked>, request: Request) -> (StatusCode, Json<Value>) {
    asked.lock().unwrap().push(request.uri().path().to_owned());
    assert_eq!(request.method(), "GET", "nothing is written");
    let path = request.uri().path();
    if path.ends_with("controllerrevisions") {
        let refused = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "revisions are secret",
            "reason": "Forbidden", "code": 403});
        return (StatusCode::FORBIDDEN, Json(refused));
    }
    match object(path) {
        Some(object) => (StatusCode::OK, Json(object)),
        None => {
            let missing = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "not found",
                "reason": "NotFound", "code": 404});
            (StatusCode::NOT_FOUND, Json(missing))
        }
    }
}

pub async fn server() -> (ExportObjects, Asked) {
    let asked = Asked::default();
    let routes = Router::new().fallback(answer).with_state(Arc::clone(&asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let client = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
    (ExportObjects::new(client), asked)
}

#[tokio::test]
async fn what_is_there_is_read_what_is_not_is_absent_and_what_is_refused_says_why() {
    let (objects, _) = server().await;
    let now = objects.now().await;
    let source = now.source.as_ref().unwrap().as_ref().unwrap();
    assert_eq!((source.kind, source.conditions.len()), (SourceKind::Network, 2));
    assert_eq!(now.exports.as_ref().unwrap().len(), 1);
    assert_eq!(
        now.nodes.as_ref().unwrap()[1].0.address,
        Some("10.0.0.2".parse().unwrap())
    );
    assert!(now.rollout.as_ref().unwrap().is_none());
    let why = now.revisions.as_ref().unwrap_err();
    assert!(why.contains("revisions are secret"), "{why}");
}

#[tokio::test]
async fn who_asks_at_the_same_time_or_soon_after_is_answered_from_one_reading() {
    let (objects, asked) = server().await;
    let (one, other) = futures::join!(objects.now(), objects.now());
    assert!(Arc::ptr_eq(&one, &other));
    let reads = asked.lock().unwrap().len();
    assert!(Arc::ptr_eq(&one, &objects.now().await));
    assert_eq!(asked.lock().unwrap().len(), reads);
}

#[tokio::test]
async fn services_have_their_addresses_and_those_that_were_not_asked_for_say_so() {
    let (objects, _) = server().await;
    let service = |namespace: &str, name: &str| ServiceRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        port: std::num::NonZeroU16::MIN,
    };
    let known = objects
        .addresses([service("flows", "weir-collector"), service("gone", "x")])
        .await;
    assert_eq!(
        known.of(&service("flows", "weir-collector")),
        Ok("10.96.0.9".parse().unwrap())
    );
    assert!(
        known
            .of(&service("gone", "x"))
            .unwrap_err()
            .contains("cannot be read")
    );
    assert!(
        known
            .of(&service("bank", "y"))
            .unwrap_err()
            .contains("you may not see")
    );
}
