//! Questions to a store with segments, rollups and rows in memory, against sums
//! over the same records by hand.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use weir_flow::FlowRecord;
use weir_query::{
    Answer, Bucket, Embedded, Engine, Explanation, FlowsPage, FlowsRequest, Limits, Measure, Moment,
    NoteKind, Order, Quantity, QueryError, Question, Scope, Since, TailRequest, Until, ValueCount,
    ValuesRequest,
};
use weir_store::{Reader, Retention, Settings, TimeRange, Writer, open};

#[path = "../../store/tests/flows/mod.rs"]
mod generated;

const START: i64 = generated::START;
const MINUTE: i64 = 60_000_000;

async fn answer(reader: &Reader, question: &Question, limits: &Limits) -> Result<Answer, QueryError> {
    Embedded::new(reader.clone()).answer(question, limits).await
}

async fn explain(reader: &Reader, question: &Question, limits: &Limits) -> Result<Explanation, QueryError> {
    Embedded::new(reader.clone()).explain(question, limits).await
}

async fn flows(reader: &Reader, request: &FlowsRequest, limits: &Limits) -> Result<FlowsPage, QueryError> {
    Embedded::new(reader.clone()).flows(request, limits).await
}

async fn values(
    reader: &Reader,
    request: &ValuesRequest,
    limits: &Limits,
) -> Result<Vec<ValueCount>, QueryError> {
    Embedded::new(reader.clone()).values(request, limits).await
}

struct Stored {
    records: Vec<FlowRecord>,
    reader: Reader,
    _writer: Writer,
    _directory: tempfile::TempDir,
}

/// Three hours and a half of flows: two thirds in segments, the rest in memory.
fn stored() -> Stored {
    stored_of(60)
}

/// The same between so many endpoints, a hundred of each namespace.
fn stored_of(endpoints: usize) -> Stored {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
    let mut made = generated::Flows::new(3, endpoints);
    made.pace = 3 * MINUTE / 100;
    let records = made.batch(7_000);
    for part in records.chunks(1_000).take(5) {
        writer.append(part).unwrap();
        writer.seal().unwrap();
    }
    writer.append(&records[5_000..]).unwrap();
    writer.flush();
    let stored = Stored {
        records,
        reader,
        _writer: writer,
        _directory: directory,
    };
    wait_until("five rollups", || stored.reader.view(ALL).hour.len() >= 5);
    stored
}

const ALL: TimeRange = TimeRange {
    from: 0,
    until: i64::MAX,
};

fn kept_for_ever(directory: &Path) -> Settings {
    let kept = Retention {
        age: None,
        bytes: None,
    };
    Settings {
        retention: [kept; weir_store::Tier::ALL.len()],
        ..Settings::new(directory)
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("a minute went by without: {what}");
}

fn at(micros: i64) -> Moment {
    Moment::At(Timestamp::from_microsecond(micros).unwrap())
}

fn question(group_by: &[&str]) -> Question {
    Question {
        since: Since(at(START)),
        until: Until(at(START + 400 * MINUTE)),
        group_by: group_by.iter().map(|name| (*name).to_owned()).collect(),
        ..Question::default()
    }
}

fn as_json(record: &FlowRecord) -> Map<String, Value> {
    serde_json::from_str(&serde_json::to_string(record).unwrap()).unwrap()
}

/// Sums of bytes by these fields, over the primary records that `which` picks.
fn by_hand(
    stored: &Stored,
    fields: &[&str],
    which: impl Fn(&Map<String, Value>) -> bool,
) -> BTreeMap<Vec<String>, (u64, u64)> {
    let mut sums = BTreeMap::new();
    for record in stored.records.iter().filter(|record| record.primary).map(as_json) {
        if which(&record) {
            let text = |field: &&str| record.get(*field).map_or(String::new(), plain);
            let sum: &mut (u64, u64) = sums.entry(fields.iter().map(text).collect()).or_default();
            sum.0 += record["bytes"].as_u64().unwrap();
            sum.1 += 1;
        }
    }
    sums
}

/// The object as text, its fields in alphabetical order.
fn sorted(object: &Map<String, Value>) -> String {
    format!("{:?}", object.iter().collect::<BTreeMap<_, _>>())
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

async fn found(stored: &Stored, question: &Question) -> BTreeMap<Vec<String>, (u64, u64)> {
    let answer = answer(&stored.reader, question, &Limits::default())
        .await
        .unwrap();
    let rows = answer.rows.json();
    let row = |row: &Map<String, Value>| {
        let key = question
            .group_by
            .iter()
            .map(|field| plain(&row[field.as_str()]))
            .collect();
        (
            key,
            (row["bytes"].as_u64().unwrap(), row["flows"].as_u64().unwrap()),
        )
    };
    rows.iter().map(row).collect()
}

#[tokio::test]
async fn groups_have_the_sums_of_their_records_with_and_without_rollups() {
    let stored = stored();
    for fields in [
        vec!["workload_name"],
        vec!["ns", "dst_ns"],
        vec!["zone", "dst_node_name", "protocol"],
        vec!["dst_zone", "verdict", "exporter_node"],
        vec!["dst_port", "protocol"],
        vec!["addr", "dst_workload_name"],
        vec!["mac", "direction", "ttl", "if_name"],
        vec![],
    ] {
        let wanted = by_hand(&stored, &fields, |_| true);
        for raw_only in [false, true] {
            let question = Question {
                raw_only,
                ..question(&fields)
            };
            assert_eq!(
                found(&stored, &question).await,
                wanted,
                "{fields:?} raw only {raw_only}"
            );
        }
    }
}

#[tokio::test]
async fn filters_choose_the_same_records_in_segments_rollups_and_memory() {
    let stored = stored();
    let is = |record: &Map<String, Value>, field: &str, value: &str| record[field] == value;
    type Which<'a> = &'a dyn Fn(&Map<String, Value>) -> bool;
    let cases: [(&str, Which<'_>); 5] = [
        (r#"zone != "" && dst_zone != "" && zone != dst_zone"#, &|r| {
            r["zone"] != r["dst_zone"]
        }),
        (r#"ns == "team-0" && protocol == "tcp""#, &|r| {
            is(r, "ns", "team-0") && is(r, "protocol", "tcp")
        }),
        ("dst_port == 443 || port == 443", &|r| {
            r["dst_port"] == 443 || r["port"] == 443
        }),
        (r#"addr == "10.128.0.1""#, &|r| is(r, "addr", "10.128.0.1")),
        (r#"workload_name in ["workload-1", "workload-3"]"#, &|r| {
            is(r, "workload_name", "workload-1") || is(r, "workload_name", "workload-3")
        }),
    ];
    for (filter, which) in cases {
        let question = Question {
            filter: filter.to_owned(),
            ..question(&["dst_workload_name"])
        };
        let wanted = by_hand(&stored, &["dst_workload_name"], which);
        assert!(!wanted.is_empty(), "{filter}");
        assert_eq!(found(&stored, &question).await, wanted, "{filter}");
    }
}

#[tokio::test]
async fn any_part_of_the_time_is_answered_exactly_edges_included() {
    let stored = stored();
    for (from, until) in [(0, 210), (7, 193), (59, 121), (60, 180), (61, 62), (200, 400)] {
        for odd in [0, 1_234_567] {
            let (from, until) = (START + from * MINUTE + odd, START + until * MINUTE - odd);
            let question = Question {
                since: Since(at(from)),
                until: Until(at(until)),
                ..question(&["ns"])
            };
            let mut wanted = BTreeMap::<Vec<String>, (u64, u64)>::new();
            for record in stored.records.iter().filter(|r| r.primary) {
                let time = (record.time_ns / 1_000) as i64;
                if from <= time && time < until {
                    let sum = wanted
                        .entry(vec![record.src.identity.ns.to_string()])
                        .or_default();
                    sum.0 += record.bytes.unwrap();
                    sum.1 += 1;
                }
            }
            assert_eq!(found(&stored, &question).await, wanted, "{from} {until}");
        }
    }
}

#[tokio::test]
async fn the_top_ones_and_the_other_are_the_total() {
    let stored = stored();
    let question = Question {
        top: Some(3),
        by: Measure::Packets,
        ..question(&["workload_name"])
    };
    let answer = answer(&stored.reader, &question, &Limits::default())
        .await
        .unwrap();
    let rows = answer.rows.json();
    assert_eq!(rows.len(), 3);
    let packets: Vec<_> = rows.iter().map(|row| row["packets"].as_u64().unwrap()).collect();
    assert!(packets.is_sorted_by(|a, b| a >= b), "{packets:?}");
    let sum = |rows: &[Map<String, Value>], field: &str| -> u64 {
        rows.iter().map(|row| row[field].as_u64().unwrap()).sum()
    };
    let (other, totals) = (answer.other.json(), answer.totals.json());
    for field in ["bytes", "packets", "flows"] {
        assert_eq!(
            sum(&rows, field) + sum(&other, field),
            sum(&totals, field),
            "{field}"
        );
    }
    assert_eq!(
        sum(&totals, "flows") as usize,
        stored.records.iter().filter(|r| r.primary).count()
    );
    assert!(answer.notes.iter().any(|note| note.kind == NoteKind::Truncated));
    assert_eq!(
        answer.groups,
        by_hand(&stored, &["workload_name"], |_| true).len()
    );
}

#[tokio::test]
async fn buckets_of_time_add_up_and_keep_the_same_groups() {
    let stored = stored();
    for (bucket, raw_only) in [("30m", false), ("7m", false), ("90s", true), ("1h", false)] {
        let question = Question {
            bucket: Some(bucket.parse::<Bucket>().unwrap()),
            top: Some(2),
            raw_only,
            ..question(&["ns"])
        };
        let answer = answer(&stored.reader, &question, &Limits::default())
            .await
            .unwrap();
        let rows = answer.rows.json();
        assert!(rows.iter().map(|row| plain(&row["time"])).is_sorted());
        let shown: std::collections::BTreeSet<_> = rows.iter().map(|row| plain(&row["ns"])).collect();
        assert!(shown.len() <= 2, "{shown:?}");
        let all = rows.into_iter().chain(answer.other.json());
        let sum: u64 = all.map(|row| row["bytes"].as_u64().unwrap()).sum();
        assert_eq!(sum, answer.totals.json()[0]["bytes"].as_u64().unwrap());
    }
}

#[tokio::test]
async fn buckets_need_no_groups_and_a_field_may_be_asked_for_twice() {
    let stored = stored();
    let question = Question {
        bucket: Some("1h".parse::<Bucket>().unwrap()),
        ..question(&["time"])
    };
    let hours = answer(&stored.reader, &question, &Limits::default())
        .await
        .unwrap();
    assert_eq!((hours.rows.len(), hours.groups), (4, 1));
    let question = Question {
        group_by: ["ns", "src_ns", "dst_port", "dst_port"].map(str::to_owned).into(),
        bucket: None,
        ..question
    };
    let twice = answer(&stored.reader, &question, &Limits::default())
        .await
        .unwrap();
    assert_eq!(
        twice.rows.columns(),
        ["ns", "dst_port", "bytes", "packets", "flows"]
    );
}

#[tokio::test]
async fn a_conversation_needs_no_groups_and_has_each_flow_once() {
    let stored = stored();
    let limits = Limits::default();
    for from_records in [true, false] {
        let one_way = Question {
            filter: "zone != \"\" && dst_zone != \"\" && zone != dst_zone".to_owned(),
            bucket: Some("5m".parse::<Bucket>().unwrap()),
            all_observations: from_records,
            raw_only: from_records,
            ..question(&["time"])
        };
        let conversation = Question {
            conversation: true,
            measures: vec![Measure::Sent, Measure::Received, Measure::Bytes],
            ..one_way.clone()
        };
        explain(&stored.reader, &conversation, &limits).await.unwrap();
        let one_way = answer(&stored.reader, &one_way, &limits).await.unwrap();
        let conversation = answer(&stored.reader, &conversation, &limits).await.unwrap();
        assert!(one_way.rows.len() > 30, "{}", one_way.rows.len());
        // Nothing tells both ends apart, and each flow passes the filter as it is.
        let expected = one_way.rows.json().into_iter().map(|row| {
            let bytes = row["bytes"].as_u64().unwrap();
            json!({"time": row["time"], "sent": bytes, "received": 0, "bytes": bytes})
        });
        let found = conversation.rows.json().into_iter().map(Value::Object);
        assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn both_directions_of_a_conversation_are_one_row() {
    let stored = stored();
    let question = Question {
        conversation: true,
        measures: vec![Measure::Bytes, Measure::Sent, Measure::Received],
        ..question(&["zone", "dst_zone"])
    };
    let one_way = by_hand(&stored, &["zone", "dst_zone"], |_| true);
    let sent = |a: &str, b: &str| {
        one_way
            .get(&vec![a.to_owned(), b.to_owned()])
            .map_or(0, |sum| sum.0)
    };
    let answer = answer(&stored.reader, &question, &Limits::default())
        .await
        .unwrap();
    let rows = answer.rows.json();
    assert_eq!(rows.len(), 3, "two zones");
    for row in &rows {
        let (a, b) = (row["zone"].as_str().unwrap(), row["dst_zone"].as_str().unwrap());
        assert!(a <= b);
        let back = if a == b { 0 } else { sent(b, a) };
        assert_eq!(
            (row["sent"].as_u64(), row["received"].as_u64()),
            (Some(sent(a, b)), Some(back))
        );
        let both = if a == b {
            sent(a, a)
        } else {
            sent(a, b) + sent(b, a)
        };
        assert_eq!(row["bytes"], json!(both));
    }
}

#[tokio::test]
async fn who_sent_and_who_received_is_found_of_one_side_and_under_a_filter() {
    let stored = stored();
    let filter = r#"ns == "team-0" && dst_port == 443"#.to_owned();
    let question = Question {
        by: Measure::Received,
        filter,
        ..question(&["workload_name"])
    };
    let sent = by_hand(&stored, &["workload_name"], |r| {
        r["ns"] == "team-0" && r["dst_port"] == 443
    });
    let received = by_hand(&stored, &["dst_workload_name"], |r| {
        r["dst_ns"] == "team-0" && r["port"] == 443
    });
    let answer = answer(&stored.reader, &question, &Limits::default())
        .await
        .unwrap();
    let rows = answer.rows.json();
    assert!(!rows.is_empty());
    for row in &rows {
        let name = vec![plain(&row["workload_name"])];
        let (out, back) = (
            sent.get(&name).map_or(0, |s| s.0),
            received.get(&name).map_or(0, |s| s.0),
        );
        assert_eq!(
            (&row["received"], &row["bytes"]),
            (&json!(back), &json!(out + back)),
            "{name:?}"
        );
    }
}

#[tokio::test]
async fn pages_hold_each_record_once_as_it_is_printed() {
    let stored = stored();
    for order in [Order::Newest, Order::Oldest] {
        let mut request = FlowsRequest {
            since: Since(at(START)),
            until: Until(at(START + 400 * MINUTE)),
            limit: Some(900),
            order,
            all_observations: true,
            ..FlowsRequest::default()
        };
        let (mut found, mut pages) = (Vec::new(), 0);
        loop {
            let page = flows(&stored.reader, &request, &Limits::default()).await.unwrap();
            found.extend(page.rows.json());
            pages += 1;
            let Some(cursor) = page.cursor else { break };
            request.cursor = Some(cursor);
        }
        assert_eq!(pages, 8);
        if order == Order::Newest {
            found.reverse();
        }
        for (found, record) in found.iter().zip(&stored.records) {
            let found = Value::Object(found.clone()).to_string();
            assert_eq!(
                found,
                serde_json::to_string(record).unwrap(),
                "keys in their order, too"
            );
        }
        assert_eq!(found.len(), stored.records.len());
    }
}

#[tokio::test]
async fn records_of_one_moment_are_paged_without_loss() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
    let mut made = generated::Flows::new(3, 60);
    made.pace = 0;
    let records = made.batch(250);
    writer.append(&records).unwrap();
    writer.flush();
    let mut request = FlowsRequest {
        since: Since(at(START)),
        until: Until(at(START + 1)),
        limit: Some(40),
        all_observations: true,
        ..FlowsRequest::default()
    };
    let mut found = Vec::new();
    loop {
        let page = flows(&reader, &request, &Limits::default()).await.unwrap();
        found.extend(page.rows.json().into_iter().map(|row| sorted(&row)));
        writer.seal().unwrap();
        let Some(cursor) = page.cursor else { break };
        request.cursor = Some(cursor);
    }
    let mut wanted: Vec<_> = records.iter().map(|r| sorted(&as_json(r))).collect();
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted);
}

/// All observations as JSON, the oldest first.
async fn printed(reader: &Reader) -> Vec<String> {
    let request = FlowsRequest {
        since: Since(at(START)),
        until: Until(at(START + 400 * MINUTE)),
        limit: Some(10_000),
        order: Order::Oldest,
        all_observations: true,
        ..FlowsRequest::default()
    };
    let page = flows(reader, &request, &Limits::default()).await.unwrap();
    let rows = page.rows.json().into_iter();
    rows.map(|row| Value::Object(row).to_string()).collect()
}

/// Nothing that exporters say is changed or lost on the way of a record: as it is kept
/// in memory, in the log, in a segment, in merged ones.
#[tokio::test]
async fn records_with_whatever_attributes_are_the_same_after_the_log_a_segment_and_a_question() {
    for (seed, one_in) in [(1, 1), (2, 2), (3, 9), (4, 60), (5, 2_000)] {
        let directory = tempfile::tempdir().unwrap();
        let mut made = generated::Flows::new(seed, 30);
        let mut records = made.batch(900);
        for (at, record) in records.iter_mut().enumerate() {
            // Of the second part, no record has any.
            if !(300..600).contains(&at) {
                record.attributes = made.attributes(one_in);
            }
        }
        let wanted: Vec<_> = records
            .iter()
            .map(|record| serde_json::to_string(record).unwrap())
            .collect();
        let (mut writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
        writer.append(&records[..300]).unwrap();
        writer.seal().unwrap();
        writer.append(&records[300..600]).unwrap();
        writer.seal().unwrap();
        writer.append(&records[600..]).unwrap();
        writer.flush();
        assert_eq!(
            printed(&reader).await,
            wanted,
            "{seed}: in memory and in segments"
        );
        drop(writer);
        let (writer, reader, recovery) = open(kept_for_ever(directory.path())).unwrap();
        assert_eq!(recovery.rows, 300);
        assert_eq!(printed(&reader).await, wanted, "{seed}: out of the log");
        writer.close();
        assert_eq!(
            printed(&Reader::open_dir(directory.path()).unwrap()).await,
            wanted,
            "{seed}: all in segments"
        );
    }
}

#[tokio::test]
async fn what_few_exporters_say_is_grouped_filtered_and_completed_and_is_empty_in_old_segments() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
    let mut made = generated::Flows::new(3, 60);
    let mut records = made.batch(400);
    records.iter_mut().for_each(|record| record.primary = true);
    // As from a program that knew none of it.
    writer.append(&records[..200]).unwrap();
    writer.seal().unwrap();
    for (at, record) in records[200..].iter_mut().enumerate() {
        if at % 2 == 0 {
            let asn = wire::AttributeValue::Unsigned(64_500 + at as u64 % 4);
            record.attributes.set(wire::Attribute::SrcAs, asn);
            let user = wire::AttributeValue::Text("alice".into());
            record.attributes.set(wire::Attribute::UserName, user);
            let nat = wire::AttributeValue::Address([192, 0, 2, 7].into());
            record.attributes.set(wire::Attribute::NatSrcAddr, nat);
        }
    }
    writer.append(&records[200..]).unwrap();
    writer.flush();
    let count = async |filter: &str| {
        let question = Question {
            filter: filter.to_owned(),
            ..question(&[])
        };
        let found = answer(&reader, &question, &Limits::default()).await.unwrap();
        found.totals.json()[0]["flows"].as_u64().unwrap()
    };
    assert_eq!(count("asn == 64500").await, 50);
    assert_eq!(count(r#"user_name != """#).await, 100);
    assert_eq!(count(r#"user_name == """#).await, 300);
    assert_eq!(count(r#"nat_addr == ip("192.0.2.7")"#).await, 100);
    assert_eq!(count(r#"nat_addr == """#).await, 300);
    assert_eq!(count("known(asn) || known(next_hop)").await, 100);
    let question = question(&["asn", "user_name", "nat_addr", "vrf"]);
    let found = answer(&reader, &question, &Limits::default()).await.unwrap();
    let groups: Vec<_> = found
        .rows
        .json()
        .into_iter()
        .map(|row| {
            (
                row.get("asn").cloned(),
                row["user_name"].clone(),
                row["flows"].clone(),
            )
        })
        .collect();
    assert_eq!(groups.len(), 3, "{groups:?}");
    assert!(groups.contains(&(None, json!(""), json!(300))), "{groups:?}");
    assert!(groups.contains(&(Some(json!(64_502)), json!("alice"), json!(50))));
    let request = ValuesRequest {
        field: "user_name".to_owned(),
        since: question.since,
        until: question.until,
        ..ValuesRequest::default()
    };
    let completed = values(&reader, &request, &Limits::default()).await.unwrap();
    assert_eq!((completed[0].value.as_str(), completed[0].count), ("alice", 100));

    let request = FlowsRequest {
        since: question.since,
        until: question.until,
        limit: Some(400),
        columns: ["user_name", "nat_addr", "next_hop"].map(str::to_owned).into(),
        ..FlowsRequest::default()
    };
    let page = flows(&reader, &request, &Limits::default()).await.unwrap();
    let mut csv = Vec::new();
    page.rows.csv(&mut csv).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    assert!(csv.starts_with("user_name,nat_addr,next_hop\r\n"), "{csv}");
    assert_eq!(csv.matches("alice,192.0.2.7,\r\n").count(), 100);
    assert_eq!(csv.lines().filter(|line| *line == ",,").count(), 300);
    let mut arrow = Vec::new();
    page.rows.arrow(&mut arrow).unwrap();
    assert!(!arrow.is_empty());
}

/// The largest of all records, those that arrived last first among equals.
#[tokio::test]
async fn the_largest_records_come_first_wherever_they_are_and_have_one_page() {
    let stored = stored();
    let size = |record: &FlowRecord, of: Quantity| match of {
        Quantity::Bytes => record.bytes,
        Quantity::Packets => record.packets,
        Quantity::DroppedBytes => record.dropped_bytes,
        Quantity::DroppedPackets => record.dropped_packets,
        Quantity::Duration => Some(record.end_ns / 1_000 - record.start_ns / 1_000),
    };
    for of in Quantity::ALL {
        let mut wanted: Vec<_> = stored
            .records
            .iter()
            .map(|r| (size(r, of), r.time_ns / 1_000))
            .collect();
        wanted.sort_unstable_by(|a, b| b.cmp(a));
        let request = FlowsRequest {
            since: Since(at(START)),
            until: Until(at(START + 400 * MINUTE)),
            limit: Some(300),
            order: Order::Largest(of),
            all_observations: true,
            columns: ["time", "ns"].map(str::to_owned).into(),
            ..FlowsRequest::default()
        };
        let page = flows(&stored.reader, &request, &Limits::default()).await.unwrap();
        assert_eq!(page.rows.columns(), ["time", "ns"]);
        let found = page.rows.json().into_iter().map(|row| {
            let time: Timestamp = row["time"].as_str().unwrap().parse().unwrap();
            time.as_microsecond() as u64
        });
        let wanted = wanted.iter().take(300).map(|(_, time)| *time);
        assert_eq!(found.collect::<Vec<_>>(), wanted.collect::<Vec<_>>(), "{of:?}");
        assert_eq!(page.cursor, None);
        assert_eq!(page.notes.last().unwrap().kind, NoteKind::Truncated);
        let next = FlowsRequest {
            cursor: Some("1.1".to_owned()),
            ..request
        };
        let refused = flows(&stored.reader, &next, &Limits::default())
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("limit"), "{refused}");
    }
}

#[tokio::test]
async fn records_of_both_directions_are_those_that_the_filter_lets_through_from_either_end() {
    let stored = stored_of(250);
    let request = FlowsRequest {
        filter: r#"ns == "team-0" && server != "src""#.to_owned(),
        since: Since(at(START)),
        until: Until(at(START + 400 * MINUTE)),
        limit: Some(10_000),
        order: Order::Oldest,
        both_directions: true,
        ..FlowsRequest::default()
    };
    let passes = |r: &Map<String, Value>| {
        let from_source = r["ns"] == "team-0" && r["server"] != "src";
        from_source || r["dst_ns"] == "team-0" && r["server"] != "dst"
    };
    for scope in [Scope::All, Scope::Namespaces(vec!["team-1".to_owned()])] {
        let is_seen =
            |r: &Map<String, Value>| scope == Scope::All || r["ns"] == "team-1" || r["dst_ns"] == "team-1";
        let primary = stored.records.iter().filter(|record| record.primary).map(as_json);
        let wanted: Vec<_> = primary
            .filter(|r| passes(r) && is_seen(r))
            .map(|r| sorted(&r))
            .collect();
        let limits = Limits {
            scope: scope.clone(),
            ..Limits::default()
        };
        let page = flows(&stored.reader, &request, &limits).await.unwrap();
        let found: Vec<_> = page.rows.json().iter().map(sorted).collect();
        assert!(!wanted.is_empty());
        assert_eq!(found, wanted);
    }
}

/// Distinct values, peaks, changes and what is left out are of the flows that one may see.
#[tokio::test]
async fn measures_and_comparisons_tell_the_scoped_nothing_of_others() {
    let stored = stored_of(250);
    let measures = [
        "bytes",
        "distinct_addr",
        "distinct_dst_workload_name",
        "p95_bytes",
        "avg_duration",
        "max_byte_rate",
        "first_seen",
        "last_seen",
        "share",
    ];
    let limits = Limits {
        scope: Scope::Namespaces(vec!["team-1".to_owned()]),
        ..Limits::default()
    };
    for (compare, cover) in [(None, Some("0.9")), (Some("1h"), None)] {
        for keys in [vec!["dst_ns"], vec!["addr/24"], vec![]] {
            let scoped = Question {
                measures: measures.iter().map(|name| name.parse().unwrap()).collect(),
                compare: compare.map(|compare| compare.parse().unwrap()),
                cover: cover.map(|cover| cover.parse().unwrap()),
                since: Since(at(START + 70 * MINUTE)),
                ..question(&keys)
            };
            let asked = Question {
                filter: r#"ns == "team-1" || dst_ns == "team-1""#.to_owned(),
                ..scoped.clone()
            };
            let everybodys = answer(&stored.reader, &scoped, &Limits::default()).await.unwrap();
            let found = answer(&stored.reader, &scoped, &limits).await.unwrap();
            let of_all = answer(&stored.reader, &asked, &Limits::default()).await.unwrap();
            assert_ne!(found.totals.json(), everybodys.totals.json());
            assert!(!found.rows.is_empty());
            assert_eq!(found.rows.json(), of_all.rows.json());
            assert_eq!(found.other.json(), of_all.other.json());
            assert_eq!(found.totals.json(), of_all.totals.json());
            assert_eq!((found.groups, &found.notes), (of_all.groups, &of_all.notes));
        }
    }
}

#[tokio::test]
async fn many_values_are_estimated_and_the_answer_says_how_far_off_it_may_be() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
    let mut made = generated::Flows::new(3, 60);
    let mut records = made.batch(9_000);
    for (at, record) in records.iter_mut().enumerate() {
        record.primary = true;
        record.src.addr = Some(std::net::Ipv4Addr::from(0x0a00_0000 + at as u32).into());
        record.bytes = Some(100 + at as u64);
    }
    for part in records.chunks(3_000) {
        writer.append(part).unwrap();
        writer.seal().unwrap();
    }
    let ask = async |filter: &str| {
        let question = Question {
            filter: filter.to_owned(),
            measures: ["distinct_addr", "p50_bytes", "max_bytes"]
                .map(|name| name.parse().unwrap())
                .into(),
            ..question(&[])
        };
        let found = answer(&reader, &question, &Limits::default()).await.unwrap();
        let said = found
            .notes
            .into_iter()
            .filter(|note| note.kind == NoteKind::Approximate);
        let said: Vec<String> = said.map(|note| note.message).collect();
        (found.totals.json().remove(0), said)
    };
    let (row, said) = ask("").await;
    let off = |name: &str, exact: f64| (row[name].as_f64().unwrap() / exact - 1.0).abs();
    assert!(off("distinct_addr", 9_000.0) < 0.035, "{row:?}");
    assert!(off("p50_bytes", 4_599.0) < 0.004, "{row:?}");
    assert_eq!(row["max_bytes"], 9_099);
    assert!(
        said[0].contains("distinct_addr") && said[0].contains("0.8%"),
        "{said:?}"
    );
    assert!(
        said[1].contains("p50_bytes") && said[1].contains("0.4%"),
        "{said:?}"
    );
    let (row, said) = ask("bytes < 1100").await;
    assert_eq!(
        (&row["distinct_addr"], &row["p50_bytes"]),
        (&json!(1_000), &json!(599))
    );
    assert_eq!(said, [""; 0]);
}

#[tokio::test]
async fn where_records_are_gone_but_their_sums_are_not_it_is_said_which_measures_need_records() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = kept_for_ever(directory.path());
    settings.retention[0].bytes = Some(1);
    let (mut writer, reader, _) = open(settings).unwrap();
    let mut made = generated::Flows::new(3, 60);
    made.pace = 3 * MINUTE / 100;
    for _ in 0..2 {
        writer.append(&made.batch(2_000)).unwrap();
        writer.seal().unwrap();
    }
    wait_until("the first segment expires", || {
        let view = reader.view(ALL);
        view.raw.len() == 1 && view.hour.len() == 2
    });
    let ask = async |measure: &str| {
        let question = Question {
            measures: vec![measure.parse().unwrap(), Measure::Flows],
            ..question(&["ns"])
        };
        let found = answer(&reader, &question, &Limits::default()).await.unwrap();
        let expired = found
            .notes
            .into_iter()
            .filter(|note| note.kind == NoteKind::Expired);
        (
            found.totals.json()[0]["flows"].as_u64().unwrap(),
            expired.map(|note| note.message).collect::<Vec<_>>(),
        )
    };
    let (of_sums, _) = ask("bytes").await;
    let (of_values_that_sums_keep, _) = ask("distinct_dst_ns").await;
    let (of_records, said) = ask("p95_bytes").await;
    assert_eq!(of_sums, of_values_that_sums_keep);
    assert!(of_records < of_sums, "{of_records} {of_sums}");
    assert!(
        said.iter().any(|message| message.contains("leave out")),
        "{said:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_measured_is_refused_with_a_remedy() {
    let stored = stored();
    let refused = async |question: Question| {
        let refused = answer(&stored.reader, &question, &Limits::default())
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), "invalid");
        refused.to_string()
    };
    let base = || question(&["ns"]);
    let last_seen: Measure = "last_seen".parse().unwrap();
    let many = (1..=33).map(|part| format!("p{part}_bytes").parse().unwrap());
    let many = Question {
        measures: many.collect(),
        ..base()
    };
    assert_eq!(
        refused(many).await,
        "measures: 33 are too many: ask for 32 at most"
    );
    let by_share = Question {
        by: Measure::Share,
        ..base()
    };
    assert!(refused(by_share).await.starts_with("by: "));
    let share = Question {
        by: last_seen,
        measures: vec![Measure::Share],
        ..base()
    };
    assert!(
        refused(share)
            .await
            .starts_with("measures: there is no share of last_seen")
    );
    let cover = Question {
        by: last_seen,
        cover: Some("0.9".parse().unwrap()),
        ..base()
    };
    assert!(refused(cover).await.starts_with("cover: "));
    let zone = Question {
        zone: Some("UTC".parse().unwrap()),
        ..base()
    };
    assert!(refused(zone).await.contains("1d or 1w"));
    assert!(refused(question(&["ns/24"])).await.contains("addr/24"));
}

#[tokio::test]
async fn values_complete_what_is_typed() {
    let stored = stored();
    let ask = |field: &str, prefix: &str| ValuesRequest {
        field: field.to_owned(),
        prefix: prefix.to_owned(),
        since: Since(at(START)),
        until: Until(at(START + 400 * MINUTE)),
        limit: Some(3),
        ..ValuesRequest::default()
    };
    for (field, prefix, first) in [
        ("dst_workload_name", "workload-1", "workload-1"),
        ("zone", "", "eu-central-1"),
        ("verdict", "dr", "dropped"),
        ("addr", "10.128.0.1", "10.128.0.1"),
        ("dst_port", "44", "443"),
        ("protocol", "t", "tcp"),
        ("tcp_flags", "SYN_", "SYN_ACK"),
        ("primary", "t", "true"),
    ] {
        let found = values(&stored.reader, &ask(field, prefix), &Limits::default())
            .await
            .unwrap();
        assert!(!found.is_empty() && found.len() <= 3, "{field}");
        assert!(
            found.iter().any(|value| value.value.starts_with(first)),
            "{field} {found:?}"
        );
    }
}

#[tokio::test]
async fn an_explanation_says_what_was_read() {
    let stored = stored();
    let explained = explain(&stored.reader, &question(&["ns"]), &Limits::default())
        .await
        .unwrap();
    let tiers: Vec<_> = explained.parts.iter().map(|part| part.tier.as_str()).collect();
    assert_eq!(tiers, ["raw", "minute", "hour", "minute", "raw"], "{explained:?}");
    assert!(explained.notes.iter().any(|note| note.kind == NoteKind::Rollup));
    assert!(explained.stats.segments > 0 && explained.stats.rows_read > 0);
    assert!(explained.plan.contains("Aggregate"), "{}", explained.plan);

    let nobody = Question {
        filter: r#"addr == "192.0.2.1""#.to_owned(),
        ..question(&[])
    };
    let explained = explain(&stored.reader, &nobody, &Limits::default())
        .await
        .unwrap();
    let stats = explained.stats;
    assert!(
        stats.row_groups_pruned + stats.segments_pruned >= 5,
        "{stats:?}\n{}",
        explained.plan
    );
}

#[tokio::test]
async fn an_answer_says_which_file_was_left_out() {
    let stored = stored();
    let directory = stored._directory.path();
    let segment = stored.reader.view(ALL).raw[0].path.clone();
    std::fs::write(&segment, "no longer Parquet").unwrap();
    let raw = Question {
        raw_only: true,
        ..question(&["ns"])
    };
    let reader = Reader::open_dir(directory).unwrap();
    let rest = answer(&reader, &raw, &Limits::default()).await.unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    let note = rest
        .notes
        .iter()
        .find(|note| note.kind == NoteKind::Unreadable)
        .unwrap();
    assert!(note.message.starts_with(name), "{note:?}");
    assert!(!rest.rows.is_empty());
}

#[tokio::test]
async fn an_answer_says_what_had_expired_and_nothing_of_a_store_that_is_young() {
    let expired = async |reader: &Reader| {
        let early = Question {
            since: Since(at(START - 60 * MINUTE)),
            raw_only: true,
            ..question(&["ns"])
        };
        let found = answer(reader, &early, &Limits::default()).await.unwrap();
        let page = FlowsRequest {
            since: early.since,
            until: early.until,
            ..FlowsRequest::default()
        };
        let page = flows(reader, &page, &Limits::default()).await.unwrap();
        let of = |notes: &[weir_query::Note]| {
            let notes = notes.iter().filter(|note| note.kind == NoteKind::Expired);
            let told = notes.map(|note| {
                let (since, until) = (note.since.as_deref().unwrap(), note.until.as_deref().unwrap());
                assert!(
                    note.message.contains(&format!("from {since} to {until} ")),
                    "{note:?}"
                );
                note.message.clone()
            });
            told.collect::<Vec<_>>()
        };
        assert_eq!(of(&found.notes), of(&page.notes));
        of(&found.notes)
    };
    for bytes in [None, Some(1)] {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = kept_for_ever(directory.path());
        settings.retention[0].bytes = bytes;
        let (mut writer, reader, _) = open(settings).unwrap();
        assert_eq!(expired(&reader).await, [""; 0], "nothing is there");
        let mut made = generated::Flows::new(3, 60);
        writer.append(&made.batch(500)).unwrap();
        writer.flush();
        assert_eq!(expired(&reader).await, [""; 0], "all is in memory");
        writer.seal().unwrap();
        writer.append(&made.batch(500)).unwrap();
        writer.seal().unwrap();
        if bytes.is_none() {
            assert_eq!(expired(&reader).await, [""; 0], "nothing has expired");
            continue;
        }
        wait_until("the first segment expires", || reader.view(ALL).raw.len() == 1);
        let notes = expired(&reader).await;
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].ends_with("has expired"), "{notes:?}");
    }
}

#[tokio::test]
async fn what_is_in_memory_is_not_all_that_there_ever_was_when_the_segments_are_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
    let mut made = generated::Flows::new(3, 60);
    writer.append(&made.batch(500)).unwrap();
    writer.seal().unwrap();
    writer.append(&made.batch(500)).unwrap();
    writer.flush();
    wait_until("there are sums and a log", || {
        let of_log = Reader::open_dir(directory.path()).unwrap().status();
        reader.view(ALL).hour.len() == 1 && of_log.memory_rows == 500
    });
    let early = Question {
        since: Since(at(START - 60 * MINUTE)),
        raw_only: true,
        ..question(&["ns"])
    };
    let notes = async || {
        let reader = Reader::open_dir(directory.path()).unwrap();
        let found = answer(&reader, &early, &Limits::default()).await.unwrap();
        found.notes.into_iter().map(|note| note.kind).collect::<Vec<_>>()
    };
    assert_eq!(notes().await, []);
    std::fs::remove_file(&reader.view(ALL).raw[0].path).unwrap();
    assert_eq!(notes().await, [NoteKind::Expired]);
    writer.close();
}

#[tokio::test]
async fn a_store_is_read_whatever_its_directory_is_called() {
    let here = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let relative = Path::new(here.path().file_name().unwrap()).to_owned();
    for name in ["", "ü ~ # % ? *", "%41", "a\\b", "new\nline", "{x}[y]|\"^<>`"] {
        for directory in [here.path().join(name), relative.join(name)] {
            let directory = directory.join("flows");
            std::fs::create_dir_all(&directory).unwrap();
            let (mut writer, reader, _) = open(kept_for_ever(&directory)).unwrap();
            writer.append(&generated::Flows::new(3, 60).batch(500)).unwrap();
            writer.seal().unwrap();
            for reader in [reader, Reader::open_dir(&directory).unwrap()] {
                let question = Question {
                    raw_only: true,
                    all_observations: true,
                    ..question(&["ns"])
                };
                let found = answer(&reader, &question, &Limits::default()).await;
                let found = found.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
                let totals = found.totals.json();
                assert_eq!(totals[0]["flows"], json!(500), "{}", directory.display());
                assert_eq!(found.notes, []);
                assert_eq!(printed(&reader).await.len(), 500);
            }
            writer.close();
            std::fs::remove_dir_all(&directory).unwrap();
        }
    }
}

#[tokio::test]
async fn a_page_reads_where_its_records_are_and_no_more() {
    let stored = stored();
    let mut records: Vec<_> = stored.records.iter().map(|r| r.time_ns / 1_000).collect();
    for (order, most) in [(Order::Newest, 2_000), (Order::Oldest, 1_000)] {
        let request = FlowsRequest {
            since: Since(at(START)),
            until: Until(at(START + 400 * MINUTE)),
            limit: Some(20),
            order,
            all_observations: true,
            columns: vec!["time".to_owned()],
            ..FlowsRequest::default()
        };
        let page = flows(&stored.reader, &request, &Limits::default()).await.unwrap();
        assert!(page.stats.rows_read <= most, "{order:?}: {:?}", page.stats);
        match order {
            Order::Oldest => records.sort_unstable(),
            _ => records.sort_by_key(|time| std::cmp::Reverse(*time)),
        }
        let times = page.rows.json().into_iter().map(|row| plain(&row["time"]));
        let times: Vec<_> = times
            .map(|time| time.parse::<Timestamp>().unwrap().as_microsecond())
            .collect();
        let wanted = records.iter().take(20).map(|time| *time as i64);
        assert_eq!(times, wanted.collect::<Vec<_>>());
        // A filter that nothing passes reads all there is.
        let nobody = FlowsRequest {
            filter: "bytes == 0".to_owned(),
            ..request
        };
        let page = flows(&stored.reader, &nobody, &Limits::default()).await.unwrap();
        assert_eq!((page.rows.len(), page.cursor), (0, None));
    }
}

#[tokio::test]
async fn each_of_many_records_is_on_one_page_also_those_of_one_time() {
    const RECORDS: usize = 70_000;
    const EACH: i64 = 7_000_000;
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
    let mut records = generated::Flows::new(7, 60).batch(RECORDS);
    for record in &mut records {
        // Thousands have one time.
        record.time_ns -= record.time_ns % (EACH as u64 * 1_000);
    }
    writer.append(&records).unwrap();
    writer.seal().unwrap();
    let told = |time: i64, bytes: u64, src_port: u64| (time, bytes, src_port);
    for (filter, lets_through) in [("", None), ("dst_port == 443", Some(443))] {
        let mut wanted: Vec<_> = records
            .iter()
            .filter(|record| lets_through.is_none_or(|port| record.dst.port == Some(port)))
            .map(|r| {
                told(
                    (r.time_ns / 1_000) as i64,
                    r.bytes.unwrap_or(0),
                    r.src.port.unwrap_or(0).into(),
                )
            })
            .collect();
        wanted.sort_unstable();
        assert!(wanted.len() > 1_000, "{filter}: {}", wanted.len());
        for order in [Order::Newest, Order::Oldest] {
            let mut request = FlowsRequest {
                filter: filter.to_owned(),
                since: Since(at(0)),
                until: Until(at(i64::MAX / 1_000)),
                limit: Some(30_011),
                order,
                all_observations: true,
                columns: ["time", "bytes", "port"].map(str::to_owned).to_vec(),
                ..FlowsRequest::default()
            };
            let mut shown = Vec::new();
            loop {
                let page = flows(&reader, &request, &Limits::default()).await.unwrap();
                shown.extend(page.rows.json().into_iter().map(|row| {
                    let time: Timestamp = plain(&row["time"]).parse().unwrap();
                    let number = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or(0);
                    told(time.as_microsecond(), number("bytes"), number("port"))
                }));
                let Some(cursor) = page.cursor else { break };
                request.cursor = Some(cursor);
            }
            let ordered = shown.is_sorted_by(|a, b| match order {
                Order::Oldest => a.0 <= b.0,
                _ => a.0 >= b.0,
            });
            assert!(ordered, "{filter} {order:?}");
            shown.sort_unstable();
            let other = shown.iter().zip(&wanted).find(|(shown, wanted)| shown != wanted);
            assert_eq!((shown.len(), other), (wanted.len(), None), "{filter} {order:?}");
        }
    }
}

#[tokio::test]
async fn what_holds_no_record_of_a_page_is_not_read_for_it_again() {
    const SEGMENT: usize = 8_192;
    const SEGMENTS: usize = 12;
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
    let mut made = generated::Flows::new(8, 60);
    for number in 0..SEGMENTS {
        let mut records = made.batch(SEGMENT);
        if number == 3 {
            records[SEGMENT / 2].bytes = Some(u64::from(u32::MAX));
        }
        writer.append(&records).unwrap();
        writer.seal().unwrap();
    }
    let request = FlowsRequest {
        filter: format!("bytes == {}", u32::MAX),
        since: Since(at(0)),
        until: Until(at(i64::MAX / 1_000)),
        all_observations: true,
        ..FlowsRequest::default()
    };
    let page = flows(&reader, &request, &Limits::default()).await.unwrap();
    assert_eq!(page.rows.len(), 1);
    let read = page.stats.rows_read;
    assert!(read <= (SEGMENTS + 1) * SEGMENT, "{read}");
}

#[tokio::test]
async fn a_group_of_each_time_is_no_bucket() {
    let stored = stored();
    let question = Question {
        by: Measure::Flows,
        ..question(&["time", "ns"])
    };
    let found = answer(&stored.reader, &question, &Limits::default())
        .await
        .unwrap();
    let rows = found.rows.json();
    let primary = stored.records.iter().filter(|record| record.primary);
    let wanted: std::collections::BTreeSet<_> = primary
        .map(|record| (record.time_ns / 1_000, record.src.identity.ns.to_string()))
        .collect();
    let of = |row: &Map<String, Value>| {
        let time: Timestamp = row["time"].as_str().unwrap().parse().unwrap();
        (time.as_microsecond() as u64, plain(&row["ns"]))
    };
    assert_eq!(rows.len(), wanted.len());
    assert_eq!(
        rows.iter().map(of).collect::<std::collections::BTreeSet<_>>(),
        wanted
    );
    assert_eq!(found.rows.columns(), ["time", "ns", "bytes", "packets", "flows"]);
}

#[tokio::test]
async fn the_rate_of_a_bucket_that_the_range_cuts_is_of_the_part_in_the_range() {
    let stored = stored();
    let hour = 60 * MINUTE;
    let start = START - START % hour + hour / 2;
    let question = Question {
        since: Since(at(start)),
        until: Until(at(start + hour)),
        measures: vec![Measure::Bytes, Measure::ByteRate],
        bucket: Some("1h".parse().unwrap()),
        top: Some(1),
        ..question(&["ns", "dst_port"])
    };
    let found = answer(&stored.reader, &question, &Limits::default())
        .await
        .unwrap();
    let (rows, other) = (found.rows.json(), found.other.json());
    assert_eq!((rows.len(), other.len()), (2, 2), "half of each of two hours");
    for row in rows.iter().chain(&other) {
        let rate = row["bytes"].as_u64().unwrap() as f64 / 1_800.0;
        assert_eq!(row["byte_rate"], json!(rate), "{row:?}");
    }
    let totals = &found.totals.json()[0];
    let rate = totals["bytes"].as_u64().unwrap() as f64 / 3_600.0;
    assert_eq!(totals["byte_rate"], json!(rate));
}

#[tokio::test]
async fn a_segment_that_breaks_while_the_store_is_open_is_left_out_and_named() {
    let stored = stored();
    let segment = stored.reader.view(ALL).raw[0].clone();
    let mut octets = std::fs::read(&segment.path).unwrap();
    let half = octets.len() / 2;
    octets[4..half].fill(0);
    std::fs::write(&segment.path, octets).unwrap();
    let raw = Question {
        raw_only: true,
        ..question(&["ns", "dst_port", "addr"])
    };
    let found = answer(&stored.reader, &raw, &Limits::default()).await.unwrap();
    let is_named = |notes: &[weir_query::Note]| {
        let unreadable = notes
            .iter()
            .filter(|note| note.kind == NoteKind::Unreadable)
            .count();
        unreadable == 1
    };
    assert!(is_named(&found.notes), "{:?}", found.notes);
    let rest = stored.records[1_000..].iter().filter(|r| r.primary).count();
    assert_eq!(found.totals.json()[0]["flows"], json!(rest));
    // The store knows: no later question comes upon it, and it is named in the status.
    let view = stored.reader.view(ALL);
    assert_eq!(view.raw.len(), 4);
    assert!(view.raw.iter().all(|other| other.path != segment.path));
    let named = stored.reader.status().unreadable;
    assert_eq!((named.len(), &named[0].path), (1, &segment.path));
    std::fs::remove_file(&segment.path).unwrap();
    let again = answer(&stored.reader, &raw, &Limits::default()).await.unwrap();
    assert_eq!(
        (&again.totals.json(), &again.notes),
        (&found.totals.json(), &found.notes)
    );
    assert_eq!(
        (again.stats.segments, again.stats.rows_read),
        (4, found.stats.rows_read)
    );
    let request = FlowsRequest {
        since: raw.since,
        until: raw.until,
        order: Order::Oldest,
        ..FlowsRequest::default()
    };
    let page = flows(&stored.reader, &request, &Limits::default()).await.unwrap();
    assert!(
        is_named(&page.notes) && page.rows.len() == 100,
        "{:?}",
        page.notes
    );
}

#[tokio::test]
async fn who_asks_for_no_name_reads_no_identities() {
    let stored = stored();
    for file in std::fs::read_dir(stored._directory.path()).unwrap() {
        let file = file.unwrap();
        if file
            .file_name()
            .to_str()
            .unwrap()
            .ends_with(".identities.parquet")
        {
            // It can be opened, and not be read.
            let length = file.metadata().unwrap().len().try_into().unwrap();
            std::fs::write(file.path(), vec![0; length]).unwrap();
        }
    }
    let reader = Reader::open_dir(stored._directory.path()).unwrap();
    let primary = |record: &&FlowRecord| record.primary;
    let some = stored.records.iter().filter(primary);
    let port = some.clone().find_map(|record| record.dst.port).unwrap();
    let wanted = some.filter(|record| record.dst.port == Some(port)).count();
    let nameless = Question {
        filter: format!("dst_port == {port}"),
        measures: vec![Measure::Flows, "distinct_addr".parse().unwrap()],
        ..question(&["dst_addr"])
    };
    let found = answer(&reader, &nameless, &Limits::default()).await.unwrap();
    assert!(found.notes.iter().all(|note| note.kind != NoteKind::Unreadable));
    assert_eq!(found.totals.json()[0]["flows"], json!(wanted));
    let asks = [
        question(&["dst_ns"]),
        Question {
            filter: "zone != dst_zone".to_owned(),
            ..question(&[])
        },
        Question {
            measures: vec!["distinct_dst_pod_name".parse().unwrap()],
            ..question(&[])
        },
    ];
    for named in asks {
        let reader = Reader::open_dir(stored._directory.path()).unwrap();
        let found = answer(&reader, &named, &Limits::default()).await.unwrap();
        let unreadable = |note: &&weir_query::Note| note.kind == NoteKind::Unreadable;
        assert!(found.notes.iter().any(|note| unreadable(&note)), "{named:?}");
    }
}

/// As the CLI and a dashboard of it read: a directory that another process writes.
#[tokio::test]
async fn a_reader_whose_segments_are_merged_away_after_its_view_still_answers_whole() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, running, _) = open(kept_for_ever(directory.path())).unwrap();
    let mut made = generated::Flows::new(3, 60);
    let mut seal = |writer: &mut Writer| {
        writer.append(&made.batch(100)).unwrap();
        writer.seal().unwrap();
    };
    (0..4).for_each(|_| seal(&mut writer));
    let totals = async |reader: &Reader| {
        let raw = Question {
            raw_only: true,
            all_observations: true,
            ..question(&["ns", "dst_port"])
        };
        let found = answer(reader, &raw, &Limits::default()).await.unwrap();
        assert_eq!(found.notes, []);
        found.totals.json()[0]["flows"].clone()
    };
    let old = [(); 2].map(|()| Reader::open_dir(directory.path()).unwrap());
    let mut seen = Vec::new();
    for reader in &old {
        // Whom the rows name is at hand from now on.
        assert_eq!(totals(reader).await, json!(400));
        seen.extend(reader.view(ALL).raw.iter().map(|segment| segment.path.clone()));
    }
    (0..12).for_each(|_| seal(&mut writer));
    wait_until("what was seen is merged away", || {
        running.status().counts.merged > 0 && seen.iter().all(|path| !path.exists())
    });
    assert_eq!(totals(&old[0]).await, json!(1_600));
    assert_eq!(printed(&old[1]).await.len(), 1_600);
    for reader in &old {
        assert_eq!(reader.view(ALL).unreadable.len(), 0);
    }
    writer.close();
    // Now the view has whom they name, and those of the sums stay where they are: it is the
    // question that does not find the records.
    let old = [(); 2].map(|()| Reader::open_dir(directory.path()).unwrap());
    for reader in &old {
        assert_eq!(totals(reader).await, json!(1_600));
    }
    for segment in &old[0].view(ALL).raw {
        for end in ["flows", "identities"] {
            let before = segment
                .path
                .to_str()
                .unwrap()
                .replace(".flows.", &format!(".{end}."));
            std::fs::rename(&before, before.replace("raw-", "raw-000")).unwrap();
        }
    }
    assert_eq!(totals(&old[0]).await, json!(1_600));
    assert_eq!(printed(&old[1]).await.len(), 1_600);
}

#[tokio::test]
async fn a_scope_shows_flows_with_an_end_in_it_alone() {
    let stored = stored();
    let limits = Limits {
        scope: Scope::Namespaces(vec!["team-9".to_owned(), String::new()]),
        ..Limits::default()
    };
    let nothing = Question {
        filter: "true || true".to_owned(),
        ..question(&["ns"])
    };
    let found = answer(&stored.reader, &nothing, &limits).await.unwrap();
    assert_eq!(found.rows.len(), 0);
    let request = ValuesRequest {
        field: "ns".to_owned(),
        since: nothing.since,
        until: nothing.until,
        ..ValuesRequest::default()
    };
    assert_eq!(values(&stored.reader, &request, &limits).await.unwrap(), []);
    let limits = Limits {
        scope: Scope::Namespaces(vec!["team-0".to_owned()]),
        ..limits
    };
    assert!(
        !values(&stored.reader, &request, &limits)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn values_are_those_of_the_flows_that_a_filter_lets_through() {
    let stored = stored();
    let ask = async |filter: &str| {
        let request = ValuesRequest {
            field: "dst_workload_name".to_owned(),
            filter: filter.to_owned(),
            since: Since(at(START)),
            until: Until(at(START + 400 * MINUTE)),
            ..ValuesRequest::default()
        };
        values(&stored.reader, &request, &Limits::default()).await
    };
    let all = ask("").await.unwrap();
    let some = ask(r#"dst_workload_name == "workload-1""#).await.unwrap();
    let names: Vec<_> = some.iter().map(|value| value.value.as_str()).collect();
    assert_eq!(names, ["workload-1"]);
    assert!(all.len() > 1, "{all:?}");
    assert!(matches!(ask("nss == 1").await, Err(QueryError::Filter(_))));
}

#[tokio::test]
async fn what_costs_too_much_or_means_nothing_is_refused() {
    let stored = stored();
    let ask = async |question: &Question, limits: &Limits| {
        answer(&stored.reader, question, limits).await.unwrap_err()
    };
    let limits = Limits::default();
    let few = Limits {
        max_groups: 2,
        ..Limits::default()
    };
    assert!(matches!(
        ask(&question(&["pod_name"]), &few).await,
        QueryError::TooManyGroups(2)
    ));
    let hurry = Limits {
        timeout: Duration::ZERO,
        ..Limits::default()
    };
    assert!(matches!(
        ask(&question(&["pod_name"]), &hurry).await,
        QueryError::Timeout(_)
    ));
    let poor = Limits {
        memory: 1,
        ..Limits::default()
    };
    assert!(matches!(
        ask(&question(&["addr"]), &poor).await,
        QueryError::Memory(_)
    ));
    let wrong = ask(&question(&["workload_nam"]), &limits).await;
    assert_eq!(
        wrong.to_string(),
        "no field is named \"workload_nam\"; did you mean \"workload_name\"?"
    );
    let filter = Question {
        filter: "nss == \"a\"".to_owned(),
        ..question(&[])
    };
    assert_eq!(ask(&filter, &limits).await.kind(), "filter");
    let backwards = Question {
        until: Until(at(START - 1)),
        ..question(&[])
    };
    assert_eq!(ask(&backwards, &limits).await.kind(), "invalid");
}

#[tokio::test]
async fn nothing_is_answered_with_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (_writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
    let found = answer(&reader, &question(&["ns", "dst_port"]), &Limits::default())
        .await
        .unwrap();
    assert_eq!((found.rows.len(), found.groups), (0, 0));
    assert_eq!(found.totals.json()[0]["bytes"], 0);
    let page = flows(&reader, &FlowsRequest::default(), &Limits::default())
        .await
        .unwrap();
    assert_eq!((page.rows.len(), page.cursor), (0, None));
}

#[tokio::test]
async fn rows_are_written_as_csv_and_as_an_arrow_stream() {
    let stored = stored();
    let found = answer(
        &stored.reader,
        &question(&["zone", "dst_port"]),
        &Limits::default(),
    )
    .await
    .unwrap();
    let mut text = Vec::new();
    found.rows.csv(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let mut lines = text.split("\r\n");
    assert_eq!(lines.next(), Some("zone,dst_port,bytes,packets,flows"));
    assert_eq!(
        lines.clone().filter(|line| !line.is_empty()).count(),
        found.rows.len()
    );
    let mut stream = Vec::new();
    found.rows.arrow(&mut stream).unwrap();
    let read: Vec<_> = arrow::ipc::reader::StreamReader::try_new(stream.as_slice(), None)
        .unwrap()
        .collect();
    let read = read[0].as_ref().unwrap();
    let names: Vec<_> = read
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert_eq!((names, read.num_rows()), (found.rows.columns(), found.rows.len()));
}

#[tokio::test]
async fn live_tails_show_what_their_filters_let_through_and_share_the_rows() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
    let engine = Embedded::new(reader);
    let follow = async |filter: &str, both_directions, all_observations| {
        let request = TailRequest {
            filter: filter.to_owned(),
            columns: ["ns", "dst_port"].map(str::to_owned).into(),
            both_directions,
            all_observations,
            ..TailRequest::default()
        };
        engine.tail(&request, &Limits::default()).await.unwrap()
    };
    let mut some = follow(r#"ns == "team-0" && dst_port == 443"#, false, false).await;
    let mut both = follow(r#"ns == "team-0" && dst_port == 443"#, true, false).await;
    let mut all = follow("", false, true).await;
    let mut none = follow(r#"ns == "nobody's""#, true, true).await;
    let records = generated::Flows::new(3, 60).batch(2_000);
    for part in records.chunks(500) {
        writer.append(part).unwrap();
        writer.flush();
    }
    let wanted = records
        .iter()
        .filter(|r| r.primary && &*r.src.identity.ns == "team-0" && r.dst.port == Some(443));
    let wanted = wanted.count();
    let back = records
        .iter()
        .filter(|r| r.primary && &*r.dst.identity.ns == "team-0" && r.src.port == Some(443));
    let wanted_both = wanted + back.count();
    let (mut found, mut seen, mut found_both) = (0, 0, 0);
    while found < wanted || seen < records.len() {
        seen += all.next(Duration::ZERO).unwrap().map_or(0, |rows| rows.len());
        found_both += both.next(Duration::ZERO).unwrap().map_or(0, |rows| rows.len());
        let Some(rows) = some.next(Duration::from_millis(20)).unwrap() else {
            continue;
        };
        found += rows.len();
        for row in rows.json() {
            assert_eq!(Value::Object(row), json!({"ns": "team-0", "dst_port": 443}));
        }
    }
    assert_eq!(
        (found, seen, all.missed() + some.missed()),
        (wanted, records.len(), 0)
    );
    writer.close();
    while let Ok(rows) = both.next(Duration::from_secs(5)) {
        found_both += rows.map_or(0, |rows| rows.len());
    }
    assert!(wanted_both > wanted);
    assert_eq!(found_both, wanted_both);
    loop {
        match none.next(Duration::from_secs(5)) {
            Ok(records) => assert!(records.is_none()),
            Err(end) => break assert_eq!(end.to_string(), "the store was closed"),
        }
    }
}

#[tokio::test]
async fn a_tail_whose_filter_or_column_is_wrong_is_refused_before_it_begins() {
    let directory = tempfile::tempdir().unwrap();
    let (_writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
    let engine = Embedded::new(reader);
    for (filter, column, kind) in [("nss == \"a\"", "ns", "filter"), ("", "nss", "unknown_field")] {
        let request = TailRequest {
            filter: filter.to_owned(),
            columns: vec![column.to_owned()],
            all_observations: false,
            ..TailRequest::default()
        };
        let wrong = engine.tail(&request, &Limits::default()).await;
        assert_eq!(wrong.unwrap_err().kind(), kind);
    }
}

#[tokio::test]
async fn filters_as_wide_and_as_deep_as_may_be_are_answered() {
    let stored = stored();
    let all_of = (0..480).map(|k| format!("(ttl < {k} || bytes > {k})"));
    let nested = format!(
        "{}bytes > ttl{}",
        "(".repeat(14),
        ") ? primary : !primary".repeat(14)
    );
    for filter in [all_of.collect::<Vec<_>>().join(" && "), nested] {
        let question = Question {
            filter,
            raw_only: true,
            ..question(&["ns"])
        };
        // The time to live of all of them is less than 480.
        let wanted = by_hand(&stored, &["ns"], |r| r["bytes"].as_u64() > r["ttl"].as_u64());
        assert_eq!(found(&stored, &question).await, wanted);
        let tail = TailRequest {
            filter: question.filter,
            ..TailRequest::default()
        };
        let tail = Embedded::new(stored.reader.clone())
            .tail(&tail, &Limits::default())
            .await;
        assert!(tail.unwrap().next(Duration::ZERO).unwrap().is_none());
    }
    let words = Question {
        filter: vec![r#""SYN" in tcp_flags"#; 900].join(" || "),
        ..question(&["ns"])
    };
    assert_eq!(found(&stored, &words).await, BTreeMap::new());
}

#[tokio::test]
async fn a_selection_as_a_store_answers_as_its_source_does_for_those_flows() {
    use weir_query::{ExportRequest, StoreWriter};
    let stored = stored();
    let filters = [
        "",
        r#"ns == "team-0" || dst_ns == "team-0""#,
        "dst_port == 443",
        "bytes < 0",
    ];
    for (number, filter) in filters.into_iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("chosen");
        let (from, until) = (START + 17 * MINUTE + 5, START + 170 * MINUTE);
        let request = ExportRequest {
            filter: filter.to_owned(),
            since: Since(at(from)),
            until: Until(at(until)),
            all_observations: true,
            ..ExportRequest::default()
        };
        let engine = Embedded::new(stored.reader.clone());
        let mut export = engine.export(&request, &Limits::default()).await.unwrap();
        let mut writer = StoreWriter::begin(&target).unwrap();
        while let Some(rows) = export.next().unwrap() {
            writer.write(&rows).unwrap();
        }
        let records = writer.finish().unwrap();
        assert_eq!(records == 0, number == 3, "{filter}");
        let chosen = Reader::open_dir(&target).unwrap();
        let groups: [&[&str]; 5] = [
            &["ns", "dst_ns"],
            &["zone", "dst_node_name", "protocol"],
            &["addr/24", "dst_port", "verdict"],
            &["workload_name"],
            &[],
        ];
        for (group_by, all_observations) in groups.into_iter().zip([false, true, false, true, false]) {
            for (bucket, raw_only) in [(None, false), (Some("1h"), false), (None, true)] {
                let of_source = Question {
                    filter: filter.to_owned(),
                    since: Since(at(from)),
                    until: Until(at(until)),
                    bucket: bucket.map(|bucket| bucket.parse::<Bucket>().unwrap()),
                    all_observations,
                    raw_only,
                    ..question(group_by)
                };
                let of_chosen = Question {
                    filter: String::new(),
                    ..of_source.clone()
                };
                let limits = Limits::default();
                let wanted = answer(&stored.reader, &of_source, &limits).await.unwrap();
                let found = answer(&chosen, &of_chosen, &limits).await.unwrap();
                let rows = |answer: &Answer| answer.rows.json().iter().map(sorted).collect::<Vec<_>>();
                assert_eq!(rows(&found), rows(&wanted), "{filter} {group_by:?} {bucket:?}");
                assert_eq!(found.totals, wanted.totals, "{filter} {group_by:?}");
                let gone = |answer: &Answer| answer.notes.iter().any(|note| note.kind == NoteKind::Expired);
                assert!(!gone(&found), "{:?}", found.notes);
            }
        }
        assert_eq!(
            chosen.view(ALL).hour.len(),
            usize::from(records > 0),
            "sums by hour are there"
        );
    }
}

#[tokio::test]
async fn a_peak_is_of_whole_minutes_and_of_a_cut_one_where_there_is_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
    let minute = START - START % MINUTE + 10 * MINUTE;
    let mut records = generated::Flows::new(3, 60).batch(3);
    for (record, (second, bytes)) in records.iter_mut().zip([(0, 6_000), (70, 600), (135, 900)]) {
        record.time_ns = (minute + second * 1_000_000) as u64 * 1_000;
        record.primary = true;
        record.bytes = Some(bytes);
    }
    writer.append(&records).unwrap();
    writer.flush();
    let peak = async |from: i64, until: i64, compare: Option<&str>| {
        let question = Question {
            since: Since(at(minute + from * 1_000_000)),
            until: Until(at(minute + until * 1_000_000)),
            measures: vec!["max_byte_rate".parse().unwrap()],
            compare: compare.map(|compare| compare.parse().unwrap()),
            ..question(&[])
        };
        let found = answer(&reader, &question, &Limits::default()).await.unwrap();
        let row = found.rows.json().remove(0);
        (
            row.get("max_byte_rate").cloned(),
            row.get("max_byte_rate_then").cloned(),
        )
    };
    let is = |rate: f64| Some(json!(rate));
    assert_eq!(peak(0, 120, None).await, (is(100.0), None));
    assert_eq!(peak(-30, 140, None).await, (is(100.0), None));
    assert_eq!(
        peak(60, 140, None).await,
        (is(10.0), None),
        "20 s of the last minute do not count"
    );
    assert_eq!(peak(130, 140, None).await, (is(90.0), None), "10 s of a minute");
    // The range before is cut where this one is.
    assert_eq!(peak(130, 150, Some("65s")).await, (is(45.0), is(30.0)));
}

#[tokio::test]
async fn who_compares_with_the_time_before_the_first_record_is_told() {
    let stored = stored();
    let told = async |compare: &str, from: i64| {
        let question = Question {
            since: Since(at(START + from * MINUTE)),
            until: Until(at(START + (from + 60) * MINUTE)),
            compare: Some(compare.parse().unwrap()),
            ..question(&["ns"])
        };
        let found = answer(&stored.reader, &question, &Limits::default())
            .await
            .unwrap();
        let kinds = found.notes.into_iter().map(|note| note.kind);
        kinds.filter(|kind| *kind == NoteKind::BeforeFirstRecord).count()
    };
    assert_eq!(told("previous", 61).await, 0);
    assert_eq!(told("previous", 30).await, 1);
    assert_eq!(told("1d", 61).await, 1);
}

#[tokio::test]
async fn days_are_compared_with_days_where_the_clock_was_changed_between_them() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
    let micros = |text: &str| text.parse::<Timestamp>().unwrap().as_microsecond();
    // In the last hour of one day in Berlin, the first of the next, which has 25, and the
    // last of the one behind it.
    let times = [
        "2026-10-24T21:00:00Z",
        "2026-10-24T22:30:00Z",
        "2026-10-26T22:00:00Z",
    ];
    let mut records = generated::Flows::new(3, 60).batch(3);
    for ((record, time), bytes) in records.iter_mut().zip(times).zip([1, 20, 300]) {
        record.time_ns = micros(time) as u64 * 1_000;
        record.primary = true;
        record.bytes = Some(bytes);
    }
    writer.append(&records).unwrap();
    writer.flush();
    for (compare, then) in [("1d", [1, 20]), ("previous", [0, 1]), ("24h", [21, 0])] {
        let question = Question {
            since: Since(at(micros("2026-10-24T22:00:00Z"))),
            until: Until(at(micros("2026-10-26T23:00:00Z"))),
            bucket: Some("1d".parse().unwrap()),
            zone: Some("CET-1CEST,M3.5.0,M10.5.0/3".parse().unwrap()),
            compare: Some(compare.parse().unwrap()),
            ..question(&[])
        };
        let found = answer(&reader, &question, &Limits::default()).await.unwrap();
        let rows = found.rows.json();
        let of = |name: &str| {
            rows.iter()
                .map(|row| row[name].as_u64().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("bytes"), [20, 300], "{compare}");
        assert_eq!(of("bytes_then"), then, "{compare}");
    }
}

#[tokio::test]
async fn as_many_measures_as_there_may_be_are_counted_without_what_is_ordered_by() {
    let stored = stored();
    let ask = async |many: usize| {
        let percentiles = (1..=many).map(|part| format!("p{part}_bytes").parse().unwrap());
        let question = Question {
            measures: percentiles.collect(),
            ..question(&[])
        };
        answer(&stored.reader, &question, &Limits::default()).await
    };
    assert!(ask(32).await.is_ok());
    let refused = ask(61).await.unwrap_err().to_string();
    assert!(refused.contains("61 are too many"), "{refused}");
}

#[tokio::test]
async fn an_export_out_of_files_has_all_records_though_another_process_removes_them_meanwhile() {
    use weir_query::ExportRequest;
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, running, _) = open(kept_for_ever(directory.path())).unwrap();
    for part in generated::Flows::new(3, 60).batch(600).chunks(100) {
        writer.append(part).unwrap();
        writer.seal().unwrap();
    }
    let reader = Reader::open_dir(directory.path()).unwrap();
    let request = ExportRequest {
        since: Since(at(0)),
        all_observations: true,
        columns: vec!["bytes".to_owned()],
        ..ExportRequest::default()
    };
    let files = || {
        running
            .view(ALL)
            .raw
            .iter()
            .map(|segment| segment.path.clone())
            .collect::<Vec<_>>()
    };
    let export = async |reader: Reader, remove: bool| {
        let engine = Embedded::new(reader);
        let mut export = engine.export(&request, &Limits::default()).await.unwrap();
        for file in files().iter().filter(|_| remove) {
            // As when it was merged.
            std::fs::remove_file(file).unwrap();
        }
        let mut records = 0;
        while let Some(rows) = export.next().unwrap() {
            records += rows.len();
        }
        (records, export.notes().len())
    };
    let one = &files()[2];
    let other = std::fs::read(one).unwrap();
    std::fs::remove_file(one).unwrap();
    assert_eq!(export(reader, false).await, (500, 0), "one went before it began");
    std::fs::write(one, other).unwrap();
    let reader = Reader::open_dir(directory.path()).unwrap();
    assert_eq!(export(reader, true).await, (600, 0));
}

#[tokio::test]
async fn what_rows_take_as_json_is_told_before_they_are_made() {
    let stored = stored();
    let asked = question(&["addr", "dst_port"]);
    let rows = answer(&stored.reader, &asked, &Limits::default())
        .await
        .unwrap()
        .rows;
    let written = serde_json::to_vec(&rows.json()).unwrap().len();
    let told = rows.json_memory();
    assert!((2 * written..20 * written).contains(&told), "{told} {written}");
}
