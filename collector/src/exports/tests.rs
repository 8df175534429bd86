//! Against an API server that has some objects and counts what it is asked.

use std::sync::Mutex;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::{Json, Router};
use kube::Config;
use serde_json::{Value, json};
use weir_api::collector::ServiceRef;
use weir_exports::SourceKind;

use super::*;

/// What is asked, as paths, in order.
pub type Asked = Arc<Mutex<Vec<String>>>;

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
        "/apis/weir.dev/v1alpha1/exportprofiles" => listed(&json!([
            {"metadata": {"name": "special"}, "spec": {"nodeSelector": {"matchLabels": {"special": "yes"}}}}])),
        "/apis/weir.dev/v1alpha1/exportrollouts/cluster" => {
            json!({"metadata": {"name": "cluster"}, "spec": {}, "status": {"phase": "Completed", "revision": "aa"}})
        }
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
    (ExportObjects::new(serve(routes).await), asked)
}

async fn serve(routes: Router) -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Client::try_from(Config::new(url.parse().unwrap())).unwrap()
}

/// What was asked of a server until now, each once.
pub fn paths(asked: &Asked) -> Vec<String> {
    let mut paths = asked.lock().unwrap().clone();
    paths.sort();
    paths.dedup();
    paths
}

fn service(namespace: &str, name: &str) -> ServiceRef {
    ServiceRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        port: std::num::NonZeroU16::MIN,
    }
}

#[tokio::test]
async fn what_is_there_is_read_what_is_not_is_absent_and_what_is_refused_says_why() {
    let (objects, _) = server().await;
    let source = objects.source().await.unwrap();
    let source = source.as_ref().as_ref().unwrap();
    assert_eq!((source.kind, source.conditions.len()), (SourceKind::Network, 2));
    assert_eq!(objects.exports().await.unwrap().len(), 1);
    assert_eq!(objects.profiles().await.unwrap().len(), 1);
    let nodes = objects.nodes().await.unwrap();
    assert_eq!(nodes[1].0.address, Some("10.0.0.2".parse().unwrap()));
    assert_eq!(*objects.node_names().await.unwrap(), ["node-a", "node-b"]);
    assert!(objects.rollout().await.unwrap().is_some());
    let why = objects.revisions().await.unwrap_err();
    assert!(why.contains("revisions are secret"), "{why}");
}

#[tokio::test]
async fn each_kind_is_read_by_itself() {
    let (objects, asked) = server().await;
    objects.rollout().await.unwrap();
    assert_eq!(paths(&asked), ["/apis/weir.dev/v1alpha1/exportrollouts/cluster"]);
}

#[tokio::test]
async fn who_asks_at_the_same_time_or_soon_after_is_answered_from_one_reading() {
    let (objects, asked) = server().await;
    let (one, other) = futures::join!(objects.nodes(), objects.nodes());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(Arc::ptr_eq(&one, &other));
    assert!(Arc::ptr_eq(&one, &objects.nodes().await.unwrap()));
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn services_have_their_addresses_and_those_that_were_not_asked_for_say_so() {
    let (objects, _) = server().await;
    let known = objects
        .addresses([service("flows", "weir-collector"), service("gone", "x")])
        .await;
    assert_eq!(
        known.of(&service("flows", "weir-collector")),
        Ok("10.96.0.9".parse().unwrap())
    );
    let gone = known.of(&service("gone", "x")).unwrap_err();
    assert!(gone.contains("cannot be read"), "{gone}");
    let hidden = known.of(&service("bank", "y")).unwrap_err();
    assert!(hidden.contains("you may not see"), "{hidden}");
}

#[tokio::test]
async fn services_of_a_plan_are_looked_up_at_the_same_time() {
    let together = Arc::new(tokio::sync::Barrier::new(3));
    let routes = Router::new().fallback(move || {
        let together = Arc::clone(&together);
        async move {
            together.wait().await;
            Json(listed(
                &json!([{"metadata": {"name": "x"}, "spec": {"clusterIP": "10.96.0.9"}}]),
            ))
        }
    });
    let objects = ExportObjects::new(serve(routes).await);
    let services = ["a", "b", "c"].map(|namespace| service(namespace, "x"));
    let known = objects.addresses(services.clone()).await;
    for service in services {
        assert_eq!(known.of(&service), Ok("10.96.0.9".parse().unwrap()));
    }
}
