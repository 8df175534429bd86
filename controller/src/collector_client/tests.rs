use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use kube::Config;

/// A client of an API server that answers like that, and how often it was asked.
async fn serving<F>(
    answer: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> (CollectorClient, Arc<AtomicUsize>)
where
    F: Future<Output = Response> + Send,
{
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    let page = get(move || {
        count.fetch_add(1, Ordering::Relaxed);
        answer()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route(PAGE, page)).await });
    let config = Config::new(url.parse().unwrap());
    let client = weir_process::kubernetes::client(config, weir_process::kubernetes::Retries::None).unwrap();
    (CollectorClient::new(client), asked)
}

#[tokio::test]
async fn an_answer_is_read_as_far_as_it_is_of_use() {
    let page = r#"{"time": "2026-11-30T10:00:00.5Z", "since": "2026-11-30T09:00:00Z", "new": 1, "nodes": [
        {"node": "a", "unproven": "2026-11-30T09:30:00Z", "formats": [
            {"format": "ipfix", "last": "2026-11-30T09:59:00Z", "sequenced": 7, "lost": 1, "datagrams": 9},
            {"format": "netflow9", "last": "2026-11-30T09:59:00Z"}]}]}"#;
    let (client, _) = serving(async move || page.into_response()).await;
    let answer = client.ask().await.unwrap();
    let [node] = answer.nodes.as_slice() else {
        panic!("{answer:?}")
    };
    assert_eq!((node.node.as_str(), node.formats.len()), ("a", 1));
    assert_eq!((node.formats[0].sequenced, node.formats[0].lost), (7, 1));
    assert!(node.unproven.is_some() && node.formats[0].last < Some(answer.time));
}

#[tokio::test]
async fn an_answer_without_end_a_refusal_and_nonsense_are_told_in_words_that_stay_the_same() {
    let endless = async || {
        let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1 << 16]));
        axum::body::Body::from_stream(chunks).into_response()
    };
    let (client, _) = serving(endless).await;
    let error = client.ask().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.told()),
        ("too_long", "its answer is of no use")
    );
    let long = async || {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("it is full{}", " ".repeat(1 << 20)),
        )
            .into_response()
    };
    let (client, asked) = serving(long).await;
    let error = client.ask().await.unwrap_err();
    assert_eq!(error.kind(), "refused");
    assert!(error.to_string().len() < 600 && error.told().contains("apiservice"));
    assert!(error.to_string().contains("it is full"), "{error}");
    assert_eq!(
        asked.load(Ordering::Relaxed),
        1,
        "nobody asks again behind our back"
    );
    for (status, words) in [
        (StatusCode::TOO_MANY_REQUESTS, "too much to do"),
        (StatusCode::FORBIDDEN, "nodes.flows.weir.dev"),
    ] {
        let (client, _) = serving(move || std::future::ready(status.into_response())).await;
        let told = client.ask().await.unwrap_err().told();
        assert!(told.contains(words), "{status}: {told}");
    }
    let (client, _) = serving(async || "{\"time\": 1}".into_response()).await;
    assert_eq!(client.ask().await.unwrap_err().kind(), "malformed");
    let (client, _) = serving(async || StatusCode::NOT_FOUND.into_response()).await;
    assert!(
        client
            .ask()
            .await
            .unwrap_err()
            .told()
            .contains("apply manifests/")
    );
}

#[tokio::test]
async fn an_answer_that_does_not_end_in_time_is_none() {
    let body =
        || axum::body::Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let (client, _) = serving(move || std::future::ready(body().into_response())).await;
    let client = CollectorClient {
        patience: Duration::from_millis(50),
        ..client
    };
    assert_eq!(client.ask().await.unwrap_err().kind(), "timeout");
}

#[test]
fn a_collector_that_does_not_answer_is_asked_ever_more_seldom_and_then_as_before() {
    let start = Instant::now();
    let mut pace = AskPace::new(Duration::from_secs(30));
    assert_eq!(pace.due(start), start);
    let mut pause = |well| {
        pace.asked(well, start);
        (pace.due(start) - start).as_secs_f64()
    };
    let within = |pause: f64, seconds: f64| (seconds * 0.79..seconds * 1.21).contains(&pause);
    assert!(within(pause(true), 30.0) && within(pause(false), 30.0) && within(pause(false), 60.0));
    for _ in 0..50 {
        pause(false);
    }
    assert!(within(pause(false), 300.0) && within(pause(true), 30.0));
}
