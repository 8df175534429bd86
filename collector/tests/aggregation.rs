//! The collector behind an API server that answers by a script: it makes a certificate for
//! its Service, tells its authority, and believes that API server, and nobody else, about
//! who asks.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use harness::eventually;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use weir_collector::{Collector, Config, HttpServer, NameSource, Running};
use weir_store::Settings;

const SECRET: &str = "/api/v1/namespaces/weir-system/secrets/weir-collector-http";
const CONFIG_MAP: &str = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
const API_SERVICE: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1.flows.weir.dev";

/// The objects of the cluster, by their paths.
type Objects = Arc<Mutex<BTreeMap<String, Value>>>;

/// Keys and certificates of those who ask, as files.
struct Keys(tempfile::TempDir);

impl Keys {
    /// `name.ca`, and `name.crt` of it with `name.key`, for somebody of this common name.
    fn make(&self, name: &str, called: &str) {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority
            .distinguished_name
            .push(DnType::CommonName, format!("authority {name}"));
        let authority_key = KeyPair::generate().unwrap();
        let authority_certificate = authority.self_signed(&authority_key).unwrap();
        let mut client = CertificateParams::default();
        client.distinguished_name.push(DnType::CommonName, called);
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        self.sign(name, &client, &key, &Issuer::new(authority, authority_key));
        std::fs::write(self.file(&format!("{name}.ca")), authority_certificate.pem()).unwrap();
    }

    fn sign(&self, name: &str, client: &CertificateParams, key: &KeyPair, issuer: &Issuer<'_, KeyPair>) {
        let certificate = client.signed_by(key, issuer).unwrap();
        std::fs::write(self.file(&format!("{name}.crt")), certificate.pem()).unwrap();
        std::fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap()
    }
}

/// What the manifests bring, and what the API server brings itself.
fn objects(keys: &Keys) -> Objects {
    let object = |kind: &str, name: &str, rest: Value| {
        let mut object = json!({"kind": kind, "metadata": {"name": name, "resourceVersion": "1"}});
        object
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        object
    };
    let config = json!({"data": {
        "requestheader-client-ca-file": keys.read("proxy.ca"),
        "requestheader-allowed-names": r#"["front-proxy-client"]"#,
        "requestheader-username-headers": r#"["X-Remote-User"]"#,
        "requestheader-group-headers": r#"["X-Remote-Group"]"#,
        "requestheader-extra-headers-prefix": r#"["X-Remote-Extra-"]"#,
    }});
    let spec = json!({"spec": {
        "group": "flows.weir.dev", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1,
        "service": {"namespace": "weir-system", "name": "weir-collector", "port": 8080},
    }});
    let objects = [
        (SECRET, object("Secret", "weir-collector-http", json!({}))),
        (
            CONFIG_MAP,
            object("ConfigMap", "extension-apiserver-authentication", config),
        ),
        (API_SERVICE, object("APIService", "v1.flows.weir.dev", spec)),
    ];
    let objects = objects.map(|(path, object)| (path.to_owned(), object));
    Arc::new(Mutex::new(objects.into()))
}

async fn read(
    State(objects): State<Objects>,
    UrlPath(path): UrlPath<String>,
) -> Result<Json<Value>, StatusCode> {
    let found = objects.lock().unwrap().get(&format!("/{path}")).cloned();
    found.map(Json).ok_or(StatusCode::NOT_FOUND)
}

/// A write of what was read before somebody else wrote is refused, as there.
async fn replace(
    State(objects): State<Objects>,
    UrlPath(path): UrlPath<String>,
    Json(mut object): Json<Value>,
) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    let mut objects = objects.lock().unwrap();
    let known = objects.get_mut(&format!("/{path}")).unwrap();
    let version = known["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    if object["metadata"]["resourceVersion"] != version.as_str() {
        let status = json!({"kind": "Status", "status": "Failure", "reason": "Conflict", "message": "conflict", "code": 409});
        return Err((StatusCode::CONFLICT, Json(status)));
    }
    let next = version.parse::<u64>().unwrap() + 1;
    object["metadata"]["resourceVersion"] = next.to_string().into();
    *known = object.clone();
    Ok(Json(object))
}

async fn patch(State(objects): State<Objects>, UrlPath(path): UrlPath<String>, body: String) -> Json<Value> {
    let patch: Value = serde_json::from_str(&body).unwrap();
    let mut objects = objects.lock().unwrap();
    let known = objects.get_mut(&format!("/{path}")).unwrap();
    known["spec"]["caBundle"] = patch["spec"]["caBundle"].clone();
    Json(known.clone())
}

/// root may get all pods, ann those of shop; nobody has a token.
async fn review(Json(mut review): Json<Value>) -> Json<Value> {
    let spec = &review["spec"];
    review["status"] = match spec["user"].as_str() {
        Some(user) => json!({"allowed": user == "root"}),
        None => json!({"authenticated": false}),
    };
    Json(review)
}

async fn api_server(objects: Objects) -> SocketAddr {
    let routes = Router::new()
        .route("/apis/authentication.k8s.io/v1/tokenreviews", post(review))
        .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", post(review))
        .route("/{*path}", get(read).put(replace).patch(patch))
        .with_state(objects);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

async fn start(api_server: SocketAddr, directory: &Path) -> (Running, SocketAddr) {
    let kubeconfig = directory.join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": format!("http://{api_server}")}}],
        "users": [{"name": "it", "user": {}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    });
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let config = Config {
        names: NameSource::Cluster {
            kubeconfig: Some(kubeconfig),
        },
        http_server: HttpServer {
            service: Some("weir-system/weir-collector".parse().unwrap()),
            certificate_interval: Duration::from_millis(50),
            ..HttpServer::default()
        },
        store: Some(Settings::new(directory.join("flows"))),
        ..Config::default()
    };
    let running = Collector::start(config).await.unwrap();
    let http = running.addresses().http;
    (running, http)
}

/// Writes the authorities that the API server was told, once it was.
fn told(objects: &Objects, keys: &Keys) -> String {
    let told = eventually("the authority of the collector to be told", || {
        let bundle = objects.lock().unwrap()[API_SERVICE]["spec"]["caBundle"].clone();
        bundle.as_str().map(str::to_owned)
    });
    let decoded = Command::new("sh")
        .args(["-c", &format!("echo '{told}' | base64 -d")])
        .output()
        .unwrap();
    std::fs::write(keys.file("told.ca"), decoded.stdout).unwrap();
    told
}

/// What the Service answers to one who shows this certificate and these headers, and
/// verifies it as the API server does: the status, or 0, and the body.
fn ask(keys: &Keys, http: SocketAddr, shows: Option<&str>, headers: &[&str], path: &str) -> (u16, String) {
    let mut command = Command::new("curl");
    let name = "weir-collector.weir-system.svc";
    command
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--write-out",
            "\n%{http_code}",
        ])
        .args(["--resolve", &format!("{name}:{}:127.0.0.1", http.port())])
        .arg("--cacert")
        .arg(keys.file("told.ca"));
    if let Some(shows) = shows {
        command.arg("--cert").arg(keys.file(&format!("{shows}.crt")));
        command.arg("--key").arg(keys.file(&format!("{shows}.key")));
    }
    for header in headers {
        command.args(["--header", header]);
    }
    let output = command
        .arg(format!("https://{name}:{}{path}", http.port()))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_says_who_asks_and_nobody_else_does() {
    let keys = Keys(tempfile::tempdir().unwrap());
    keys.make("proxy", "front-proxy-client");
    keys.make("stranger", "front-proxy-client");
    let objects = objects(&keys);
    let api_server = api_server(Arc::clone(&objects)).await;
    let (running, http) = start(api_server, keys.0.path()).await;
    tokio::task::block_in_place(|| {
        told(&objects, &keys);
        let (root, ann) = (["X-Remote-User: root"], ["X-Remote-User: ann"]);
        let me = "/apis/flows.weir.dev/v1/me";
        let body = eventually("the API server to be known", || {
            let (status, body) = ask(&keys, http, Some("proxy"), &root, me);
            (status == 200).then_some(body)
        });
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (&body["name"], &body["known_by"], &body["sees_everything"]),
            (&json!("root"), &json!("api-server"), &json!(true)),
        );
        let (status, body) = ask(&keys, http, Some("proxy"), &ann, me);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status, &body["name"], &body["sees_everything"]),
            (200, &json!("ann"), &json!(false))
        );
        // It asks whether the API is there, and need not say for whom.
        let (status, body) = ask(&keys, http, Some("proxy"), &[], "/apis/flows.weir.dev/v1");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status, &body["groupVersion"]),
            (200, &json!("flows.weir.dev/v1"))
        );
        // Its headers mean nothing of others, nor does its certificate without them.
        assert_eq!(ask(&keys, http, Some("proxy"), &[], me).0, 401);
        assert_eq!(ask(&keys, http, None, &root, me).0, 401);
        assert_ne!(ask(&keys, http, Some("stranger"), &root, me).0, 200);
        let forged = ["Authorization: Bearer cluster-wide", "X-Remote-User: root"];
        assert_eq!(ask(&keys, http, None, &forged, me).0, 401);
    });
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_made_once_kept_and_shown_by_all_who_read_it() {
    let keys = Keys(tempfile::tempdir().unwrap());
    keys.make("proxy", "front-proxy-client");
    let objects = objects(&keys);
    let api_server = api_server(Arc::clone(&objects)).await;
    let (running, http) = start(api_server, keys.0.path()).await;
    let told_first = tokio::task::block_in_place(|| {
        let first = told(&objects, &keys);
        eventually("the certificate to be shown", || {
            (ask(&keys, http, None, &[], "/healthz").0 == 200).then_some(())
        });
        first
    });
    running.stop().await.unwrap();
    let kept = objects.lock().unwrap()[SECRET].clone();
    assert_eq!(kept["data"].as_object().unwrap().len(), 3);
    // Another process shows the same one.
    let again = tempfile::tempdir().unwrap();
    let (running, http) = start(api_server, again.path()).await;
    tokio::task::block_in_place(|| {
        eventually("the certificate of before to be shown", || {
            (ask(&keys, http, None, &[], "/healthz").0 == 200).then_some(())
        });
        assert_eq!(told(&objects, &keys), told_first);
    });
    assert_eq!(objects.lock().unwrap()[SECRET], kept);
    running.stop().await.unwrap();
}
