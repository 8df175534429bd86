use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};
use weir_policy::observed::Lifetime;

use super::*;
use crate::metrics::PolicyMetrics;
use crate::policies::follow;
use crate::policies::state::StateFile;
use crate::policies::versions::{InForce, Versions};
use weir_process::kubernetes::Retries;

/// A client of an API server that answers so.
async fn served(routes: axum::Router) -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let config = kube::Config::new(url.parse().unwrap());
    weir_process::kubernetes::client(config, Retries::None).unwrap()
}

/// A request of the watch of one kind, which the test answers.
struct Request {
    is_watch: bool,
    answer: oneshot::Sender<Response>,
}

impl Request {
    fn answer(self, answer: impl IntoResponse) {
        let _ = self.answer.send(answer.into_response());
    }

    /// A list of policies of these names.
    fn list(self, names: &[&str]) {
        assert!(!self.is_watch, "a list is asked for");
        let items: Vec<Value> = names.iter().map(|name| policy(name)).collect();
        self.answer(axum::Json(json!({"apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicyList", "metadata": {"resourceVersion": "1"}, "items": items})));
    }

    /// A watch that stays open: what is sent are its bytes, or the end of its connection.
    fn watch(self) -> mpsc::Sender<Result<Bytes, &'static str>> {
        assert!(self.is_watch, "a watch is asked for");
        let (events, told) = mpsc::channel(1);
        let told = futures::stream::unfold(told, async |mut told| Some((told.recv().await?, told)));
        self.answer(Body::from_stream(told));
        events
    }
}

fn policy(name: &str) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": "1"}, "spec": {"podSelector": {}}})
}

#[tokio::test]
async fn a_kind_that_is_not_there_is_missed_only_where_it_was() {
    let (objects, mut requests, _tasks) = watched().await;
    let lost = || objects.change(|known| known.take_lost());
    for _ in 0..4 {
        requests.recv().await.unwrap().answer(StatusCode::NOT_FOUND);
    }
    assert_eq!((lost(), objects.condition()), (None, Ok(())));
    let asked = requests.recv().await.unwrap();
    assert_eq!(lost(), None, "it was looked for again and again");
    asked.list(&["first"]);
    requests.recv().await.unwrap().answer(StatusCode::NOT_FOUND);
    let again = requests.recv().await.unwrap();
    assert!(lost().is_some_and(|lost| lost.is_open) && objects.condition().is_err());
    again.list(&["first"]);
    requests.recv().await.unwrap();
    assert!(lost().is_some_and(|lost| !lost.is_open) && objects.condition().is_ok());
}

/// Objects that are all known but for NetworkPolicies, which are watched.
async fn watched() -> (PolicyObjects, mpsc::Receiver<Request>, JoinSet<()>) {
    let (asked, requests) = mpsc::channel(1);
    let answer = move |Query(query): Query<Vec<(String, String)>>| {
        let asked: mpsc::Sender<Request> = asked.clone();
        async move {
            let is_watch = query.iter().any(|(key, _)| key == "watch");
            let (answer, answered) = oneshot::channel();
            let _ = asked.send(Request { is_watch, answer }).await;
            answered
                .await
                .unwrap_or_else(|_| StatusCode::GONE.into_response())
        }
    };
    let client = served(axum::Router::new().fallback(answer)).await;
    let objects = PolicyObjects::new(None);
    let number = KindNumber::of("networking.k8s.io/v1", "NetworkPolicy").unwrap();
    objects.change(|known| {
        let others = KindNumber::all().filter(|kind| *kind != number);
        others.for_each(|kind| known.absent(kind, time::now()));
    });
    let short = Duration::from_millis(1);
    let failed = relisted::Pauses {
        first: short,
        longest: short,
        put_off: short,
        ..relisted::Pauses::default()
    };
    let pauses = Pauses {
        failed,
        missing: short,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(follow_kind(client, number, objects.clone(), pauses));
    (objects, requests, tasks)
}

/// What is in force for a record of this moment.
fn is_gap(versions: &Versions, at: u64) -> bool {
    let record = Lifetime {
        opened: at,
        start: at,
        end: at,
    };
    matches!(versions.in_force(&record), InForce::Gap)
}

#[tokio::test]
async fn records_of_a_time_in_which_a_watch_was_broken_have_no_verdict() {
    let (objects, mut requests, mut tasks) = watched().await;
    let (published, mut versions) = watch::channel(Arc::<Versions>::default());
    let metrics = Arc::new(PolicyMetrics::default());
    let (state, counted) = (StateFile::default(), Arc::clone(&metrics));
    tasks.spawn(follow::follow(objects.clone(), state, counted, published));
    requests.recv().await.unwrap().list(&["first"]);
    let events = requests.recv().await.unwrap().watch();
    versions.wait_for(|versions| !versions.is_empty()).await.unwrap();
    let begun = time::now();
    assert!(!is_gap(&versions.borrow(), begun), "somebody watches");
    assert_eq!(objects.condition(), Ok(()));

    // The connection breaks: that is no error, unless the watch cannot go on.
    events.send(Err("broken")).await.unwrap();
    let again = requests.recv().await.unwrap();
    assert!(again.is_watch && !is_gap(&versions.borrow(), time::now()));
    again.answer(StatusCode::TOO_MANY_REQUESTS);
    versions
        .wait_for(|versions| is_gap(versions, begun))
        .await
        .unwrap();
    assert!(is_gap(&versions.borrow(), time::now()), "it lasts");
    let told = objects.condition().unwrap_err();
    assert!(told.starts_with("degraded: NetworkPolicy: "), "{told}");
    // It goes on where it was: the gap is over without a list, and what was lost stays lost.
    let events = requests.recv().await.unwrap().watch();
    let is_over = |versions: &Arc<Versions>| !is_gap(versions, time::now());
    versions.wait_for(is_over).await.unwrap();
    assert!(is_gap(&versions.borrow(), begun));
    assert_eq!(objects.condition(), Ok(()));
    assert_eq!((metrics.gaps(), metrics.broken()), (1, 0));

    // The server has too much to do for long, and then forgot from where to go on.
    events.send(Err("broken")).await.unwrap();
    let begun = time::now();
    requests
        .recv()
        .await
        .unwrap()
        .answer(StatusCode::SERVICE_UNAVAILABLE);
    let asked = requests.recv().await.unwrap();
    assert!(asked.is_watch, "a list is what it could bear least");
    asked.answer(StatusCode::GONE);
    // A list that fails ends it no more than one that does not begin.
    let asked = requests.recv().await.unwrap();
    assert!(!asked.is_watch, "it cannot go on");
    asked.answer(StatusCode::INTERNAL_SERVER_ERROR);
    let asked = requests.recv().await.unwrap();
    versions
        .wait_for(|versions| is_gap(versions, time::now()))
        .await
        .unwrap();
    assert!(objects.condition().is_err());
    asked.list(&["second"]);
    let broken = begun;
    versions
        .wait_for(|versions| !is_gap(versions, time::now()))
        .await
        .unwrap();
    assert!(is_gap(&versions.borrow(), broken), "what was lost stays lost");
    let known = objects.now().unwrap();
    let names: Vec<_> = known
        .cluster
        .policies
        .iter()
        .map(|policy| policy.key().to_string())
        .collect();
    assert!(matches!(&names[..], [one] if one.contains("second")), "{names:?}");
    assert_eq!((metrics.gaps(), metrics.broken()), (2, 0));

    // The server has forgotten from where to go on.
    let events = requests.recv().await.unwrap().watch();
    let before = time::now();
    let gone = json!({"type": "ERROR", "object": {"apiVersion": "v1", "kind": "Status", "status": "Failure",
        "message": "too old", "reason": "Expired", "code": 410}});
    events.send(Ok(format!("{gone}\n").into())).await.unwrap();
    requests.recv().await.unwrap().list(&["second"]);
    versions
        .wait_for(|versions| is_gap(versions, before))
        .await
        .unwrap();
    versions
        .wait_for(|versions| !is_gap(versions, time::now()))
        .await
        .unwrap();
    assert_eq!((metrics.gaps(), metrics.broken()), (3, 0));
}

#[tokio::test]
async fn a_kind_that_the_cluster_has_not_got_is_waited_for_no_longer() {
    let client = served(axum::Router::new().fallback(async || StatusCode::NOT_FOUND)).await;
    let objects = PolicyObjects::new(None);
    let mut changed = objects.changed();
    let (mut tasks, waits_for) = (JoinSet::new(), || objects.now().unwrap_err());
    assert!(waits_for().contains("EgressFirewall") && waits_for().contains("ClusterNetworkPolicy"));
    follow(&client, &objects, &mut tasks);
    while waits_for().contains("EgressFirewall") || waits_for().contains("ClusterNetworkPolicy") {
        changed.changed().await.unwrap();
    }
    assert!(waits_for().contains("Pod"), "what the watches of names bring");
}

#[test]
fn what_a_watch_of_names_brings_is_known_without_a_watch_of_its_own() {
    let objects = PolicyObjects::new(None);
    let feed = Feed::of(Some(&objects), ObjectKind::Pod);
    let pod = |app: &str| json!({"metadata": {"name": "a", "namespace": "shop", "labels": {"app": app}}});
    feed.take::<Value>(&Ok(Event::Init.into()));
    feed.take(&Ok(Event::InitApply(pod("x")).into()));
    feed.take::<Value>(&Ok(Event::InitDone.into()));
    assert_eq!(objects.change(|known| known.take_changed()).len(), 1);
    feed.take(&Ok(Event::Apply(pod("x")).into()));
    assert!(objects.change(|known| known.take_changed()).is_empty());
    feed.take(&Ok(Event::Apply(pod("y")).into()));
    let changed = objects.change(|known| known.take_changed());
    assert!(changed[0].1.as_ref().unwrap().contains(r#""app":"y""#));
    feed.take(&Ok(Event::Delete(pod("y")).into()));
    assert!(objects.change(|known| known.take_changed())[0].1.is_none());
    // Exports are none of what policies select.
    assert!(Feed::of(Some(&objects), ObjectKind::NodeFlowExport).0.is_none());
}
