use serde_json::json;

use weir_query::Moment;

use super::*;
use crate::fake_collector::FakeCollector;

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
    assert!(
        asked[2].contains("since=2026-11-29T09%3A59%3A52Z&"),
        "from a little before the newest record on, whenever it was read: {asked:?}"
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
    let request = FlowsRequest::default();
    let mut first = Tail::begin(&collector.server, &request, &mut recent)
        .await
        .unwrap();
    assert_eq!(records(&mut first, 1).await, [a]);
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
    assert!(
        asked[3].contains("since=2026-11-29T09%3A59%3A53Z&"),
        "all since the newest record, however long nobody was there: {asked:?}"
    );
}

#[tokio::test]
async fn what_was_read_of_the_store_is_shown_though_the_rest_of_it_was_not_answered() {
    let [a, b, c] = [record(1, "a"), record(2, "b"), record(3, "c")];
    let tails = vec![lines_of(std::slice::from_ref(&a)), lines_of(&[]), lines_of(&[])];
    let mut first = serde_json::from_str::<Value>(&page(&[a.clone(), b.clone()])).unwrap();
    first["cursor"] = json!("more");
    let failed = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n".to_owned();
    let pages = vec![
        first.to_string(),
        failed,
        page(&[a.clone(), b.clone(), c.clone()]),
    ];
    let collector = FakeCollector::start(tails, pages).await;
    let (mut recent, request) = (Recent::default(), FlowsRequest::default());
    let mut tail = Tail::begin(&collector.server, &request, &mut recent)
        .await
        .unwrap();
    assert_eq!(records(&mut tail, 1).await, [a]);
    assert!(
        Tail::begin(&collector.server, &request, &mut recent)
            .await
            .is_err()
    );
    let mut tail = Tail::begin(&collector.server, &request, &mut recent)
        .await
        .unwrap();
    assert_eq!(records(&mut tail, 2).await, [b, c]);
}

#[tokio::test]
async fn a_collector_that_knows_no_marks_any_more_is_asked_for_what_was_stored() {
    let [a, b] = [record(1, "a"), record(2, "b")];
    let problem = json!({"type": "urn:weir:parameter", "title": "parameter", "status": 400,
        "detail": "there is no parameter `marks`"});
    let refusal = format!(
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n{problem}"
    );
    let tails = vec![
        lines_of(&[json!({"mark": "m1"}), a.clone()]),
        refusal,
        lines_of(&[]),
    ];
    let collector = FakeCollector::start(tails, vec![page(&[a.clone(), b.clone()])]).await;
    let (mut recent, request) = (Recent::default(), FlowsRequest::default());
    let mut tail = Tail::begin(&collector.server, &request, &mut recent)
        .await
        .unwrap();
    assert_eq!(records(&mut tail, 2).await, [a, b]);
    let asked = collector.asked();
    assert!(
        asked[1].contains("resume=m1") && !asked[2].contains("marks") && asked[3].contains("/flows?"),
        "{asked:?}"
    );
}

#[test]
fn what_a_page_had_is_expected_until_the_tail_has_come_further() {
    let seen = |key, second: u32| {
        let row = serde_json::from_value(record(second, "a")).unwrap();
        Seen {
            key,
            ..Seen::of(&row)
        }
    };
    let mut recent = Recent::default();
    recent.expect(seen(1, 3));
    recent.expect(seen(2, 4));
    recent.expect(seen(2, 4));
    assert!(!recent.was_expected(seen(9, 13)));
    assert!(recent.was_expected(seen(2, 4)) && recent.was_expected(seen(1, 3)));
    assert!(!recent.was_expected(seen(1, 3)), "once");
    assert!(!recent.was_expected(seen(9, 20)));
    assert!(!recent.was_expected(seen(2, 4)), "it is forgotten");
}

#[test]
fn what_was_shown_is_known_as_far_back_as_the_store_is_asked_again() {
    let mut recent = Recent::default();
    for second in 0..60 {
        let row = serde_json::from_value(record(second, "a")).unwrap();
        recent.show(Seen {
            key: second.into(),
            ..Seen::of(&row)
        });
        let Moment::At(since) = recent.known_until() else {
            panic!("{:?}", recent.known_until());
        };
        let shown = recent.shown();
        let newest = recent.newest.unwrap();
        let back = u32::try_from((newest - since).get_seconds()).unwrap();
        assert!((second.saturating_sub(back)..=second).all(|second| shown.contains_key(&second.into())));
        assert!(shown.len() < 25, "and no further: {}", shown.len());
    }
}

#[tokio::test]
async fn who_says_nothing_is_gone() {
    let server = Server::at("http://127.0.0.1:1", None).unwrap();
    let never = std::future::pending::<Result<()>>();
    let error = within(Duration::ZERO, &server, never).await.unwrap_err();
    assert!(error.is::<NoAnswer>(), "{error:?}");
}

#[test]
fn records_are_told_apart_by_each_field_in_whatever_order() {
    let key = |value: Value| recent::key(&serde_json::from_value(value).unwrap());
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
