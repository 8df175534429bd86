use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A collector that answers each page with the next of its bodies, and tells what it was
/// asked. A page for which it has none is never answered.
struct FakeCollector {
    server: Server,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeCollector {
    async fn start(tails: Vec<String>, pages: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::at(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let bodies = Arc::new(Mutex::new([tails.into_iter(), pages.into_iter()]));
        let told = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (bodies, told) = (Arc::clone(&bodies), Arc::clone(&told));
                tokio::spawn(async move {
                    let path = path(&mut stream).await;
                    let kind = usize::from(path.contains("/flows"));
                    told.lock().unwrap().push(path);
                    let body = bodies.lock().unwrap()[kind].next();
                    let Some(body) = body else {
                        return std::future::pending().await;
                    };
                    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
                    stream
                        .write_all(format!("{head}{body}").as_bytes())
                        .await
                        .unwrap();
                });
            }
        });
        Self { server, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn path(stream: &mut tokio::net::TcpStream) -> String {
    let mut text = String::new();
    while !text.contains("\r\n\r\n") {
        let mut some = [0; 4096];
        let length = stream.read(&mut some).await.unwrap();
        text.push_str(std::str::from_utf8(&some[..length]).unwrap());
    }
    text.split(' ').nth(1).unwrap().to_owned()
}

fn record(second: u32, ns: &str) -> Value {
    json!({"time": format!("2026-11-29T10:00:{second:02}Z"), "ns": ns})
}

fn lines_of(rows: &[Value]) -> String {
    let lines: Vec<String> = rows.iter().map(|row| format!("{row}\n")).collect();
    format!("\n{}", lines.concat())
}

fn page(rows: &[Value]) -> String {
    json!({"columns": ["time", "ns"], "rows": rows, "notes": []}).to_string()
}

async fn records(tail: &mut Tail<'_>, count: usize) -> Vec<Value> {
    let mut rows = Vec::new();
    while rows.len() < count {
        if let Arrival::Record(row) = tail.next().await.unwrap() {
            rows.push(Value::Object(row.0));
        }
    }
    rows
}

#[tokio::test]
async fn what_is_stored_between_two_tails_is_shown_and_each_record_once() {
    let [a, b, c, d] = [record(1, "a"), record(2, "b"), record(3, "c"), record(4, "d")];
    // Two that look alike are two.
    let tails = vec![
        lines_of(&[a.clone(), b.clone(), b.clone()]),
        // What was in the page may be in the tail as well.
        lines_of(&[c.clone(), d.clone()]),
    ];
    let stored = page(&[a.clone(), b.clone(), b.clone(), c.clone(), c.clone()]);
    let collector = FakeCollector::start(tails, vec![stored]).await;
    let mut recent = Recent::default();
    let request = FlowsRequest::default();
    let mut tail = Tail::begin(&collector.server, &request, &mut recent)
        .await
        .unwrap();
    let shown = records(&mut tail, 6).await;
    assert_eq!(shown, [a, b.clone(), b, c.clone(), c, d]);
    let asked = collector.asked();
    assert!(
        asked[0].contains("/tail?") && asked[1].contains("/tail?"),
        "the tail comes first: {asked:?}"
    );
    assert!(
        asked[2].contains("/flows?") && asked[2].contains("order=oldest"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn what_was_shown_before_comes_not_again_also_when_fields_are_chosen() {
    let [a, b] = [record(1, "a"), record(2, "a")];
    let collector = FakeCollector::start(vec![lines_of(&[a.clone(), b])], Vec::new()).await;
    let mut recent = Recent::default();
    let request = FlowsRequest {
        columns: vec!["ns".to_owned()],
        ..FlowsRequest::default()
    };
    let mut tail = Tail::begin(&collector.server, &request, &mut recent)
        .await
        .unwrap();
    assert_eq!(tail.columns(), ["ns", "time"]);
    let mut page: Vec<Row> = vec![serde_json::from_value(a).unwrap()];
    tail.shown(&mut page);
    let bare = json!({"ns": "a"});
    assert_eq!(Value::Object(page.remove(0).0), bare);
    assert_eq!(
        records(&mut tail, 1).await,
        [bare],
        "the second one, which looks like the first"
    );
}

#[tokio::test]
async fn a_connection_that_was_lost_goes_on_where_it_was() {
    let [a, b, c] = [record(1, "a"), record(2, "b"), record(3, "c")];
    let tails = [&a, &c].map(|row| lines_of(std::slice::from_ref(row))).to_vec();
    let collector = FakeCollector::start(tails, vec![page(&[a.clone(), b.clone()])]).await;
    let mut recent = Recent::default();
    assert!(recent.is_new());
    let request = FlowsRequest::default();
    let mut first = Tail::begin(&collector.server, &request, &mut recent)
        .await
        .unwrap();
    assert_eq!(records(&mut first, 1).await, [a]);
    assert!(!recent.is_new());
    let mut second = Tail::begin(&collector.server, &request, &mut recent)
        .await
        .unwrap();
    assert_eq!(records(&mut second, 2).await, [b, c]);
}

#[tokio::test]
async fn what_the_collector_leaves_out_is_counted_and_its_silence_heard() {
    let note = json!({"note": {"kind": "missed", "records": 7, "message": "7 records"}});
    let body = format!("\n\n{note}\n");
    let collector = FakeCollector::start(vec![body], Vec::new()).await;
    let mut recent = Recent::default();
    let mut tail = Tail::begin(&collector.server, &FlowsRequest::default(), &mut recent)
        .await
        .unwrap();
    assert_eq!(tail.next().await.unwrap(), Arrival::Silence);
    assert_eq!(tail.next().await.unwrap(), Arrival::Silence);
    let missed = Arrival::Missed {
        records: Some(7),
        message: "7 records".to_owned(),
    };
    assert_eq!(tail.next().await.unwrap(), missed);
}

#[tokio::test]
async fn a_tail_goes_on_behind_its_last_mark_and_what_is_gone_comes_from_the_store() {
    let [a, b, c, d, e] = [1, 2, 3, 4, 5].map(|at| record(at, "a"));
    let mark = |text: &str| json!({"mark": text});
    let gap = json!({"note": {"kind": "gap", "message": "too old"}});
    let tails = vec![
        // It breaks behind b.
        lines_of(&[a.clone(), mark("m1"), b.clone()]),
        lines_of(&[b.clone(), c.clone(), mark("m2")]),
        lines_of(&[gap, mark("m3"), e.clone()]),
    ];
    let stored = page(&[a.clone(), b.clone(), c.clone(), d.clone()]);
    let collector = FakeCollector::start(tails, vec![stored]).await;
    let mut recent = Recent::default();
    let mut tail = Tail::begin(&collector.server, &FlowsRequest::default(), &mut recent)
        .await
        .unwrap();
    assert_eq!(records(&mut tail, 5).await, [a, b, c, d, e]);
    let asked = collector.asked();
    let resumes: Vec<bool> = ["marks=true", "resume=m1", "resume=m2"]
        .iter()
        .zip(&asked)
        .map(|(word, path)| path.contains("/tail?") && path.contains(word))
        .collect();
    assert_eq!(resumes, [true; 3], "{asked:?}");
    assert!(
        asked.len() == 4 && asked[3].contains("/flows?"),
        "once, for the gap: {asked:?}"
    );
}

#[test]
fn records_are_told_apart_by_each_field_in_whatever_order() {
    let key = |value: Value| super::key(&serde_json::from_value(value).unwrap());
    let one = key(json!({"ns": "a", "bytes": 1, "tcp_flags": ["SYN"], "pod_labels": {"app": "x"}}));
    let same = key(json!({"pod_labels": {"app": "x"}, "bytes": 1, "tcp_flags": ["SYN"], "ns": "a"}));
    assert_eq!(one, same);
    for other in [
        json!({"ns": "b", "bytes": 1, "tcp_flags": ["SYN"], "pod_labels": {"app": "x"}}),
        json!({"ns": "a", "bytes": 2, "tcp_flags": ["SYN"], "pod_labels": {"app": "x"}}),
        json!({"dst_ns": "a", "bytes": 1, "tcp_flags": ["SYN"], "pod_labels": {"app": "x"}}),
        json!({"ns": "a", "bytes": 1, "tcp_flags": ["ACK"], "pod_labels": {"app": "x"}}),
        json!({"ns": "a", "bytes": 1, "tcp_flags": ["SYN"]}),
    ] {
        assert_ne!(one, key(other));
    }
}

#[test]
fn tails_that_end_at_once_are_begun_later_each_time() {
    let mut backoff = Backoff::default();
    let mut wait = |lived| rest(lived, &mut backoff).as_secs();
    let short = Duration::from_millis(3);
    assert_eq!([wait(short), wait(short), wait(short)], [1, 2, 4]);
    assert_eq!(wait(Duration::from_secs(600)), 0);
    assert_eq!(wait(short), 1);
}
