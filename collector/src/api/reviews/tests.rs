//! Against an API server that answers by a script and counts the questions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use kube::{Client, Config};
use serde_json::{Value, json};

use super::*;

pub type Asked = Arc<Mutex<BTreeMap<String, usize>>>;

/// May read what FlowMetrics count.
pub const PROMETHEUS: &str = "system:serviceaccount:weir-system:weir-flow-metrics-reader";

/// What it takes to read about the export: resource, verb, group, namespace and name.
pub const EXPORT_RIGHTS: [(&str, &str, &str, &str, &str); 7] = [
    ("networks", "get", "operator.openshift.io", "", "cluster"),
    ("flowexports", "get", "weir.dev", "", "cluster"),
    ("nodeflowexports", "list", "weir.dev", "", ""),
    ("exportprofiles", "list", "weir.dev", "", ""),
    ("nodes", "list", "", "", ""),
    ("exportrollouts", "get", "weir.dev", "", "cluster"),
    ("controllerrevisions", "list", "apps", "weir-system", ""),
];

/// Whether somebody has the right that is asked about, to the letter.
fn has_export_right(user: &Value, what: &Value) -> Option<bool> {
    let right = EXPORT_RIGHTS
        .iter()
        .find(|(resource, ..)| what["resource"] == *resource)?;
    let (resource, verb, group, namespace, name) = *right;
    let mut whole = json!({"resource": resource, "verb": verb});
    for (field, value) in [("group", group), ("namespace", namespace), ("name", name)] {
        if !value.is_empty() {
            whole[field] = json!(value);
        }
    }
    assert_eq!(*what, whole, "what is asked is what the page tells of");
    Some(user == "operator" || user == resource)
}

/// Knows `alice`, who may get the pods of shop and cart and the NetworkPolicies of shop, `root`, who may get all,
/// `operator`, who has all of [`EXPORT_RIGHTS`] and may get Services but those of bank, whoever bears the name of
/// one of these rights, who has that alone, and `nobody`.
pub async fn server() -> (Reviews, Asked) {
    let asked = Asked::default();
    let routes = Router::new()
        .route("/apis/authentication.k8s.io/v1/tokenreviews", post(token_review))
        .route(
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            post(access_review),
        )
        .with_state(Arc::clone(&asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let client = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
    (Reviews::new(client), asked)
}

fn count(asked: &Asked, what: String) {
    *asked.lock().unwrap().entry(what).or_default() += 1;
}

async fn token_review(State(asked): State<Asked>, Json(mut review): Json<Value>) -> Json<Value> {
    let token = review["spec"]["token"].as_str().unwrap().to_owned();
    if review["spec"]["audiences"].is_null() {
        count(&asked, format!("token {token} for the API server"));
        review["status"] = match token.strip_suffix("-secret") {
            Some(name) => {
                json!({"authenticated": true, "user": {"username": name, "groups": ["staff"]}, "audiences": ["api"]})
            }
            None => json!({"authenticated": false}),
        };
        return Json(review);
    }
    count(&asked, format!("token {token}"));
    assert_eq!(review["spec"]["audiences"], json!([AUDIENCE]));
    let user = |name| json!({"username": name, "groups": ["staff"]});
    review["status"] = match token.rsplit_once('-') {
        Some((name, "token")) => json!({"authenticated": true, "user": user(name), "audiences": [AUDIENCE]}),
        // By authenticators that know nothing of audiences, or of other ones.
        Some((name, "anybodys")) => json!({"authenticated": true, "user": user(name)}),
        Some((name, "others")) => json!({"authenticated": true, "user": user(name), "audiences": ["others"]}),
        _ => json!({"authenticated": false}),
    };
    Json(review)
}

async fn access_review(State(asked): State<Asked>, Json(mut review): Json<Value>) -> Json<Value> {
    let spec = &review["spec"];
    assert_eq!(spec["groups"], json!(["staff"]));
    if !spec["nonResourceAttributes"].is_null() {
        assert_eq!(
            spec["nonResourceAttributes"],
            json!({"path": "/flow-metrics", "verb": "get"})
        );
        count(
            &asked,
            format!("{} /flow-metrics", spec["user"].as_str().unwrap()),
        );
        review["status"] = json!({"allowed": spec["user"] == PROMETHEUS});
        return Json(review);
    }
    let what = &spec["resourceAttributes"];
    if let Some(allowed) = has_export_right(&spec["user"], what) {
        review["status"] = json!({"allowed": allowed});
        return Json(review);
    }
    if what["resource"] == "services" {
        assert_eq!((&what["verb"], &what["group"]), (&json!("get"), &Value::Null));
        let allowed = spec["user"] == "operator" && what["namespace"] != "bank";
        review["status"] = json!({"allowed": allowed});
        return Json(review);
    }
    if what["resource"] == "networkpolicies" {
        assert_eq!(
            (&what["verb"], &what["group"]),
            (&json!("get"), &json!("networking.k8s.io"))
        );
        let allowed = spec["user"] == "root" || (spec["user"] == "alice" && what["namespace"] == "shop");
        review["status"] = json!({"allowed": allowed});
        return Json(review);
    }
    assert_eq!(
        (&what["verb"], &what["resource"]),
        (&json!("get"), &json!("pods"))
    );
    let (who, namespace) = (
        spec["user"].as_str().unwrap(),
        what["namespace"].as_str().unwrap_or("*"),
    );
    count(&asked, format!("{who} {namespace}"));
    let allowed = who == "root" || (who == "alice" && ["shop", "cart"].contains(&namespace));
    review["status"] = json!({"allowed": allowed});
    Json(review)
}

/// What the owner of a token sees.
async fn admit(
    reviews: &Reviews,
    token: &str,
    namespaces: impl AsyncFnOnce() -> Result<Vec<String>, Problem>,
) -> Result<Scope, Problem> {
    let person = reviews.person(token).await?;
    reviews.scope(&person, namespaces).await
}

async fn namespaces() -> Result<Vec<String>, Problem> {
    Ok(["shop", "bank", "cart"].map(str::to_owned).to_vec())
}

#[tokio::test]
async fn a_user_sees_the_namespaces_whose_pods_they_may_get_and_is_asked_about_once() {
    let (reviews, asked) = server().await;
    for _ in 0..3 {
        let scope = admit(&reviews, "alice-token", namespaces).await.unwrap();
        assert_eq!(
            scope,
            Scope::Namespaces(["cart", "shop"].map(str::to_owned).to_vec())
        );
    }
    let asked = asked.lock().unwrap().clone();
    let questions = [
        "alice *",
        "alice bank",
        "alice cart",
        "alice shop",
        "token alice-token",
    ];
    assert_eq!(asked, questions.map(|question| (question.to_owned(), 1)).into());
}

#[tokio::test]
async fn who_may_get_all_pods_sees_everything_and_is_not_asked_about_by_namespace() {
    let (reviews, asked) = server().await;
    assert_eq!(admit(&reviews, "root-token", namespaces).await, Ok(Scope::All));
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn who_may_get_no_pods_sees_nothing_and_who_is_unknown_is_refused() {
    let (reviews, _asked) = server().await;
    let seen = async |token: &str| admit(&reviews, token, namespaces).await.map_err(|p| p.status);
    let nothing = Scope::Namespaces(Vec::new());
    assert_eq!(seen("nobody-token").await, Ok(nothing));
    assert_eq!(seen("forged").await, Err(401));
}

#[tokio::test]
async fn a_token_that_is_not_for_this_collector_is_refused_and_told_how_to_make_one() {
    let (reviews, _asked) = server().await;
    // The last one is for the API server, too.
    let for_both =
        "e30.eyJhdWQiOlsid2Vpci1jb2xsZWN0b3IiLCJodHRwczovL2t1YmVybmV0ZXMuZGVmYXVsdC5zdmMiXX0.root-token";
    for token in ["root-anybodys", "root-others", for_both] {
        let refused = admit(&reviews, token, namespaces).await.unwrap_err();
        assert_eq!(refused.status, 401, "{token}");
        assert!(refused.detail.contains("--audience weir-collector"), "{refused}");
    }
}

#[tokio::test]
async fn nobody_is_let_in_while_the_api_server_does_not_answer() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let reviews = Reviews::new(Client::try_from(Config::new(url.parse().unwrap())).unwrap());
    let refused = admit(&reviews, "root-token", namespaces).await;
    assert_eq!(refused.map_err(|problem| problem.status), Err(503));
}

#[tokio::test]
async fn what_many_ask_at_a_time_is_asked_of_kubernetes_once() {
    let (reviews, asked) = server().await;
    let requests = (0..20).map(|_| admit(&reviews, "alice-token", namespaces));
    for scope in futures::future::join_all(requests).await {
        assert!(matches!(scope, Ok(Scope::Namespaces(seen)) if seen.len() == 2));
    }
    let asked = asked.lock().unwrap().clone();
    assert!(asked.values().all(|times| *times == 1), "{asked:?}");
}

#[tokio::test]
async fn answers_that_came_together_do_not_grow_old_together() {
    let (reviews, _asked) = server().await;
    for (yes, longest) in [(true, YES), (false, NO)] {
        let lifetimes: std::collections::BTreeSet<Duration> =
            (0..100).map(|n| reviews.lifetime(yes, &n)).collect();
        assert!(lifetimes.len() > 50, "{lifetimes:?}");
        assert!(
            lifetimes
                .iter()
                .all(|life| *life <= longest && *life >= longest * 3 / 4)
        );
    }
}

#[tokio::test]
async fn what_flow_metrics_count_is_for_who_may_get_it_and_for_who_sees_everything() {
    let (reviews, asked) = server().await;
    let reads = async |token: &str| {
        let person = reviews.scraper(token).await.map_err(|problem| problem.status)?;
        let reads = reviews.reads_flow_metrics(&person).await;
        reads.map_err(|problem| problem.status)
    };
    let in_secret = format!("{PROMETHEUS}-secret");
    for _ in 0..3 {
        assert_eq!(reads(&format!("{PROMETHEUS}-token")).await, Ok(true));
        assert_eq!(reads(&in_secret).await, Ok(true));
        assert_eq!(reads("root-token").await, Ok(true));
        assert_eq!(reads("alice-token").await, Ok(false));
    }
    // Of each it is asked once.
    let often: Vec<_> = asked
        .lock()
        .unwrap()
        .iter()
        .filter(|(_, times)| **times > 1)
        .map(|(what, _)| what.clone())
        .collect();
    assert_eq!(often, Vec::<String>::new());
    // A person's token is for the API server alone, and so is one that says so.
    for refused in ["alice-secret", "e30.eyJhdWQiOlsiYXBpIl19.root-secret", "forged"] {
        assert_eq!(reads(refused).await, Err(401), "{refused}");
    }
    // The API takes no token that does not say that it is for it.
    assert_eq!(
        reviews.person(&in_secret).await.map_err(|problem| problem.status),
        Err(401)
    );
}
