use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::*;
use crate::fake_collector::FakeCollector;

const FAILED: &str = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n";

fn page(rows: &[Value]) -> String {
    json!({"columns": ["time", "ns"], "rows": rows, "notes": []}).to_string()
}

fn record(second: u32) -> Value {
    json!({"time": format!("2026-11-29T10:00:{second:02}Z"), "ns": "a"})
}

/// What is told until so many records were.
async fn told(collector: &FakeCollector, count: usize) -> Vec<Value> {
    let args = SourceArgs {
        server: Some(collector.server.to_string()),
        data_dir: None,
        kubeconfig: None,
        context: None,
        token: None,
    };
    let wanted = WantedRecords {
        filter: String::new(),
        all_observations: false,
        window: Duration::from_secs(60),
        emptied: 0,
    };
    let (reports, mut heard) = mpsc::channel(16);
    let (_wanted, to_ask) = watch::channel(Wanted::Records(wanted));
    let feed = tokio::spawn(Feed::new(args, Duration::from_secs(1), reports).run(to_ask));
    let mut all = Vec::new();
    while all.len() < count {
        if let Report::Records { rows, .. } = heard.recv().await.unwrap() {
            all.extend(rows.into_iter().map(|row| Value::Object(row.0)));
        }
    }
    feed.abort();
    all
}

#[tokio::test]
async fn the_newest_records_are_asked_for_until_they_are_answered() {
    let [a, b, c] = [1, 2, 3].map(record);
    let tails = vec!["\n".to_owned(), format!("{b}\n{c}\n")];
    let pages = vec![FAILED.to_owned(), page(&[b.clone(), a.clone()])];
    let collector = FakeCollector::start(tails, pages).await;
    assert_eq!(told(&collector, 3).await, [a, b, c]);
}

#[tokio::test]
async fn what_came_right_before_the_connection_broke_is_told() {
    let [a, b] = [1, 2].map(record);
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n";
    // It breaks within a line.
    let tails = vec![format!("{head}\n{a}\n{b}\n{{\"ti"), "\n".to_owned()];
    let pages = vec![page(&[]), page(&[a.clone(), b.clone()])];
    let collector = FakeCollector::start(tails, pages).await;
    assert_eq!(told(&collector, 2).await, [a, b]);
}

#[test]
fn records_of_a_directory_are_told_once_and_none_that_is_older_than_those_at_first() {
    let rows = |rows: &[u32]| -> Vec<Row> {
        let rows = rows.iter().map(|second| record(*second));
        rows.map(|row| serde_json::from_value(row).unwrap()).collect()
    };
    let mut known = Known::default();
    assert_eq!(known.take(rows(&[20, 21, 21])), rows(&[20, 21, 21]));
    // The next look begins before what was shown at first.
    assert_eq!(
        known.take(rows(&[16, 19, 20, 21, 21, 21, 22])),
        rows(&[21, 22]),
        "two that look alike are two, and older ones are not new"
    );
    assert_eq!(known.take(rows(&[20, 21, 21, 21, 22])), rows(&[]));
    assert_eq!(known.take(rows(&[22, 40])), rows(&[40]));
    assert_eq!(known.told.len(), 1, "what is not found again is forgotten");
    assert_eq!(known.take(rows(&[40, 41])), rows(&[41]));
}

#[tokio::test]
async fn values_are_asked_for_once_who_types_rests() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let args = SourceArgs {
        server: Some(format!("http://{}", listener.local_addr().unwrap())),
        data_dir: None,
        kubeconfig: None,
        context: None,
        token: None,
    };
    let (wanted, to_answer) = watch::channel(None);
    let (reports, _heard) = mpsc::channel(1);
    let answers = tokio::spawn(answer_values(args, Duration::from_secs(1), to_answer, reports));
    for prefix in ["s", "sh", "sho"] {
        wanted.send_replace(Some(ValuesRequest {
            field: "ns".to_owned(),
            prefix: prefix.to_owned(),
            ..ValuesRequest::default()
        }));
        // It is heard, and begun with if nothing is waited for.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut request = vec![0; 4_096];
    let length = connection.read(&mut request).await.unwrap();
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    assert!(
        request.contains("prefix=sho&"),
        "the first that is asked for: {request}"
    );
    answers.abort();
}
