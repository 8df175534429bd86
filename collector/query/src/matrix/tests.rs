use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use weir_flow::{FlowRecord, Identity, Kind, Server, ServerConfidence};
use weir_store::{Writer, open};

use jiff::Timestamp;

use super::*;
use crate::lower::tests::flows::{Flows, START};
use crate::lower::tests::kept_for_ever;
use crate::{Embedded, Engine, Limits, Moment, Scope, Since, Until};

const HOUR: i64 = 3_600_000_000;

struct Stored {
    reader: Reader,
    writer: Writer,
    _directory: tempfile::TempDir,
}

/// The records, in segments but for the last part.
fn stored(parts: &[Vec<FlowRecord>]) -> Stored {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
    for (at, part) in parts.iter().enumerate() {
        writer.append(part).unwrap();
        match at + 1 == parts.len() {
            true => writer.flush(),
            false => writer.seal().unwrap(),
        }
    }
    Stored {
        reader,
        writer,
        _directory: directory,
    }
}

impl Stored {
    async fn ask(&self, request: &MatrixRequest, limits: &Limits) -> Result<Matrix, QueryError> {
        Embedded::new(self.reader.clone()).matrix(request, limits).await
    }

    async fn rows(&self, request: &MatrixRequest) -> Vec<Map<String, Value>> {
        self.ask(request, &Limits::default()).await.unwrap().rows.json()
    }
}

fn at(micros: i64) -> Moment {
    Moment::At(Timestamp::from_microsecond(micros).unwrap())
}

fn request(from: i64, until: i64) -> MatrixRequest {
    MatrixRequest {
        since: Since(at(from)),
        until: Until(at(until)),
        ports: true,
        ..MatrixRequest::default()
    }
}

fn all() -> MatrixRequest {
    request(START - HOUR, START + 9 * HOUR)
}

/// Three hours of flows that tell for themselves who serves.
fn parts() -> Vec<Vec<FlowRecord>> {
    let mut made = Flows::new(5, 120);
    made.pace = 3 * HOUR / 3_000;
    let mut records = made.batch(3_000);
    for record in &mut records {
        record.server_confidence = ServerConfidence::Service;
    }
    records.chunks(700).map(<[FlowRecord]>::to_vec).collect()
}

type Key = [String; 6];
type Sums = BTreeMap<Key, [u64; 6]>;

fn text(row: &Map<String, Value>, name: &str) -> String {
    match row.get(name) {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The matrix by workload and port, worked out of the records.
fn by_hand<'a>(records: impl Iterator<Item = &'a FlowRecord>) -> Sums {
    let mut sums = Sums::new();
    for record in records.filter(|record| record.primary) {
        let is_answer = record.server == Server::Src;
        let (client, server) = match is_answer {
            true => (&record.dst, &record.src),
            false => (&record.src, &record.dst),
        };
        let key = [
            client.identity.ns.to_string(),
            client.identity.workload_name.to_string(),
            server.identity.ns.to_string(),
            server.identity.workload_name.to_string(),
            server.port.unwrap().to_string(),
            if record.proto == Some(6) { "tcp" } else { "udp" }.to_owned(),
        ];
        let sum = sums.entry(key).or_default();
        let more = [record.bytes.unwrap(), record.packets.unwrap(), 1];
        let at = if is_answer { 3 } else { 0 };
        more.iter()
            .enumerate()
            .for_each(|(place, more)| sum[at + place] += more);
    }
    sums
}

fn of_rows(rows: &[Map<String, Value>]) -> Sums {
    let fields = [
        "ns",
        "workload_name",
        "dst_ns",
        "dst_workload_name",
        "dst_port",
        "protocol",
    ];
    let sums = [
        "bytes",
        "packets",
        "flows",
        "reverse_bytes",
        "reverse_packets",
        "reverse_flows",
    ];
    let row = |row: &Map<String, Value>| {
        (
            fields.map(|name| text(row, name)),
            sums.map(|name| row[name].as_u64().unwrap()),
        )
    };
    let found: Sums = rows.iter().map(row).collect();
    assert_eq!(found.len(), rows.len(), "each pair and port is there once");
    found
}

#[tokio::test]
async fn the_matrix_is_that_of_the_records_in_segments_and_in_memory() {
    let parts = parts();
    let stored = stored(&parts);
    let rows = stored.rows(&all()).await;
    assert_eq!(of_rows(&rows), by_hand(parts.iter().flatten()));
    assert!(
        rows.iter()
            .all(|row| row["strength"] == "proven" && row["evidence"][0] == "service")
    );
    let bytes =
        |row: &Map<String, Value>| row["bytes"].as_u64().unwrap() + row["reverse_bytes"].as_u64().unwrap();
    assert!(
        rows.windows(2).all(|pair| bytes(&pair[0]) >= bytes(&pair[1])),
        "the largest first"
    );
    stored.writer.close();
}

#[tokio::test]
async fn hours_added_up_are_the_whole_and_each_counts_whole() {
    let parts = parts();
    let stored = stored(&parts);
    let start = START.div_euclid(HOUR) * HOUR;
    let mut sums = Sums::new();
    for hour in 0..4 {
        // A moment of it stands for all of it.
        let asked = request(start + hour * HOUR + 7, start + hour * HOUR + 8);
        let matrix = stored.ask(&asked, &Limits::default()).await.unwrap();
        for (key, more) in of_rows(&matrix.rows.json()) {
            let sum = sums.entry(key).or_default();
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
        let notes: Vec<_> = matrix.notes.iter().map(|note| note.kind).collect();
        assert!(notes.contains(&NoteKind::Rollup), "{notes:?}");
    }
    assert_eq!(sums, of_rows(&stored.rows(&all()).await));
    stored.writer.close();
}

#[tokio::test]
async fn a_selection_is_asked_for_its_calls_and_for_who_calls_it() {
    let parts = parts();
    let stored = stored(&parts);
    let everything = of_rows(&stored.rows(&all()).await);
    for (direction, ends) in [
        (CallDirection::Out, &[0][..]),
        (CallDirection::In, &[2]),
        (CallDirection::Both, &[0, 2]),
    ] {
        let asked = MatrixRequest {
            filter: r#"ns == "team-1" && dst_port == 443"#.to_owned(),
            direction,
            ..all()
        };
        let is_wanted = |key: &Key| key[4] == "443" && ends.iter().any(|end| key[*end] == "team-1");
        let expected: Sums = everything
            .clone()
            .into_iter()
            .filter(|(key, _)| is_wanted(key))
            .collect();
        assert!(!expected.is_empty());
        assert_eq!(of_rows(&stored.rows(&asked).await), expected, "{direction:?}");
    }
    stored.writer.close();
}

#[tokio::test]
async fn whoever_sees_some_namespaces_sees_their_edges_alone() {
    let parts = parts();
    let stored = stored(&parts);
    let everything = of_rows(&stored.rows(&all()).await);
    let limits = Limits {
        scope: Scope::Namespaces(vec!["team-1".to_owned()]),
        ..Limits::default()
    };
    for direction in CallDirection::ALL {
        let asked = MatrixRequest { direction, ..all() };
        let found = of_rows(&stored.ask(&asked, &limits).await.unwrap().rows.json());
        let is_theirs = |key: &Key| key[0] == "team-1" || key[2] == "team-1";
        let expected: Sums = everything
            .clone()
            .into_iter()
            .filter(|(key, _)| is_theirs(key))
            .collect();
        assert_eq!(found, expected);
    }
    let nothing = Limits {
        scope: Scope::Namespaces(vec!["elsewhere".to_owned()]),
        ..Limits::default()
    };
    assert_eq!(stored.ask(&all(), &nothing).await.unwrap().edges, 0);
    stored.writer.close();
}

#[tokio::test]
async fn without_ports_and_by_namespace_the_sums_stay_the_same() {
    let parts = parts();
    let stored = stored(&parts);
    let total = |rows: &[Map<String, Value>]| -> u64 {
        let both = ["bytes", "reverse_bytes"];
        rows.iter()
            .flat_map(|row| both.map(|name| row[name].as_u64().unwrap()))
            .sum()
    };
    let expected = total(&stored.rows(&all()).await);
    for by in MatrixEnds::ALL {
        for ports in [false, true] {
            let rows = stored.rows(&MatrixRequest { by, ports, ..all() }).await;
            assert_eq!(total(&rows), expected, "{by:?} {ports}");
            assert_eq!(rows[0].contains_key("dst_port"), ports);
            assert_eq!(rows[0].contains_key("pod_name"), by == MatrixEnds::Pod);
        }
    }
    stored.writer.close();
}

#[tokio::test]
async fn what_is_left_out_is_told() {
    let stored = stored(&parts());
    let asked = MatrixRequest {
        limit: Some(3),
        ..all()
    };
    let matrix = stored.ask(&asked, &Limits::default()).await.unwrap();
    assert_eq!(matrix.rows.len(), 3);
    assert!(matrix.edges > 3);
    assert!(matrix.notes.iter().any(|note| note.kind == NoteKind::Truncated));
    let few = Limits {
        max_groups: 5,
        ..Limits::default()
    };
    assert!(matches!(
        stored.ask(&all(), &few).await,
        Err(QueryError::TooManyGroups(5))
    ));
    stored.writer.close();
}

#[tokio::test]
async fn a_filter_over_what_edges_do_not_keep_is_refused_and_names_it() {
    let stored = stored(&parts());
    for (filter, name) in [
        ("bytes > 5", "bytes"),
        (r#"dst_addr == "10.0.0.1""#, "dst_addr"),
        ("port == 5", "port"),
    ] {
        let asked = MatrixRequest {
            filter: filter.to_owned(),
            ..all()
        };
        match stored.ask(&asked, &Limits::default()).await {
            Err(QueryError::Invalid(why)) => assert!(why.contains(&format!("{name} is not known")), "{why}"),
            other => panic!("{filter}: {other:?}"),
        }
    }
    stored.writer.close();
}

/// Two workloads that speak from the same port, as gossip does.
fn peers(seconds: i64, confidence: ServerConfidence) -> FlowRecord {
    let mut record = Flows::new(1, 60).flow();
    let who = |name: &str| Identity {
        kind: Kind::Pod,
        ns: "shop".into(),
        workload_kind: "StatefulSet".into(),
        workload_name: name.into(),
        ..Identity::default()
    };
    (record.src.identity, record.dst.identity) = (Arc::new(who("a")).into(), Arc::new(who("b")).into());
    (record.src.port, record.dst.port) = (Some(7_946), Some(7_946));
    record.time_ns = (START + seconds * 1_000_000) as u64 * 1_000;
    record.server_confidence = confidence;
    record.server = match confidence {
        ServerConfidence::None => Server::Unknown,
        _ => Server::Dst,
    };
    record.primary = true;
    (record.proto, record.bytes) = (Some(6), Some(100));
    record
}

#[tokio::test]
async fn what_one_hour_proves_counts_for_all_hours() {
    let unknown = peers(0, ServerConfidence::None);
    let mut back = peers(1, ServerConfidence::None);
    std::mem::swap(&mut back.src, &mut back.dst);
    back.bytes = Some(7);
    let proven = peers(7_200, ServerConfidence::Syn);
    let stored = stored(&[vec![unknown, back], vec![proven], vec![]]);
    let first_hours = request(START - HOUR, START + HOUR / 2);
    let before = stored.rows(&first_hours).await;
    assert_eq!(before.len(), 1, "one edge, whoever calls");
    assert_eq!(
        (
            &before[0]["strength"],
            before[0]["evidence"].as_array().unwrap().len()
        ),
        (&"unknown".into(), 0)
    );
    let rows = stored.rows(&all()).await;
    let seen: Vec<_> = rows
        .iter()
        .map(|row| (text(row, "workload_name"), text(row, "strength")))
        .collect();
    assert_eq!(seen, [("a".to_owned(), "proven".to_owned())]);
    assert_eq!(
        (&rows[0]["bytes"], &rows[0]["reverse_bytes"]),
        (&200.into(), &7.into())
    );
    stored.writer.close();
}

#[tokio::test]
async fn where_both_call_each_other_what_is_unknown_stays_so() {
    let mut other = peers(60, ServerConfidence::Syn);
    std::mem::swap(&mut other.src, &mut other.dst);
    let records = vec![
        peers(0, ServerConfidence::Syn),
        other,
        peers(120, ServerConfidence::None),
    ];
    let stored = stored(&[records, vec![]]);
    let mut strengths: Vec<_> = stored
        .rows(&all())
        .await
        .iter()
        .map(|row| text(row, "strength"))
        .collect();
    strengths.sort();
    assert_eq!(strengths, ["proven", "proven", "unknown"]);
    stored.writer.close();
}

/// The files of a store whose names begin so, removed; the rest as it lies there then.
fn without(stored: Stored, is_removed: impl Fn(&str) -> bool) -> (Embedded, tempfile::TempDir) {
    let Stored {
        reader,
        writer,
        _directory: directory,
    } = stored;
    writer.close();
    drop(reader);
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        if is_removed(&path.file_name().unwrap().to_string_lossy()) {
            std::fs::remove_file(path).unwrap();
        }
    }
    (
        Embedded::new(Reader::open_dir(directory.path()).unwrap()),
        directory,
    )
}

fn no_edges(matrix: &Matrix) -> Vec<&str> {
    let notes = matrix.notes.iter().filter(|note| note.kind == NoteKind::NoEdges);
    notes.map(|note| note.message.as_str()).collect()
}

#[tokio::test]
async fn what_has_no_edges_is_answered_of_its_records_as_far_as_there_is_room() {
    let parts = parts();
    let (engine, _directory) = without(stored(&parts), |name| name.starts_with("edges-"));
    let matrix = engine.matrix(&all(), &Limits::default()).await.unwrap();
    assert_eq!(of_rows(&matrix.rows.json()), by_hand(parts.iter().flatten()));
    assert_eq!(no_edges(&matrix), [""; 0]);
    // There is room for 200 records, of the 700 of a segment.
    let few = Limits {
        memory: 2 * RECORD * 200,
        ..Limits::default()
    };
    let by_namespace = MatrixRequest {
        by: MatrixEnds::Ns,
        ports: false,
        ..all()
    };
    let whole = engine.matrix(&by_namespace, &Limits::default()).await.unwrap();
    let in_parts = engine.matrix(&by_namespace, &few).await.unwrap();
    assert_eq!(
        in_parts.rows, whole.rows,
        "records tell for themselves who serves"
    );
    assert_eq!(no_edges(&in_parts), [""; 0]);
}

#[test]
fn a_question_makes_edges_of_the_latest_few_records_alone() {
    assert_eq!(last(vec![0, 1, 2, 3], 9), (vec![], vec![0, 1, 2, 3]));
    assert_eq!(last(vec![0, 1, 2, 3], 3), (vec![0], vec![1, 2, 3]));
}

#[test]
fn edges_that_will_never_be_made_are_not_promised() {
    let hour = |at: i64| TimeRange {
        from: at * HOUR,
        until: (at + 1) * HOUR,
    };
    let left_out = LeftOut::of([(hour(0), false), (hour(1), false), (hour(2), true)].into_iter());
    let messages: Vec<_> = left_out.messages().collect();
    assert_eq!(
        messages,
        [
            "edges of 1 files of records from 1970-01-01T02:00:00.000000Z to 1970-01-01T03:00:00.000000Z are not made yet and left \
             out: ask again later",
            "edges of 2 files of records from 1970-01-01T00:00:00.000000Z to 1970-01-01T02:00:00.000000Z have expired before their \
             records and are left out: ask for flows",
        ]
    );
}

#[tokio::test]
async fn hours_whose_edges_and_records_are_gone_are_told() {
    // The first and the third segment have sums by minute and hour alone.
    let is_of = |name: &str, head: u64| name.ends_with(&format!("-{head}-{head}.flows.parquet"));
    let is_gone = move |name: &str| {
        (name.starts_with("edges-") || name.starts_with("raw-")) && (is_of(name, 1) || is_of(name, 3))
    };
    let (engine, _directory) = without(stored(&parts()), is_gone);
    let matrix = engine.matrix(&all(), &Limits::default()).await.unwrap();
    let notes = no_edges(&matrix);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(
        notes
            .iter()
            .all(|note| note.starts_with("there are no edges from "))
    );
    let after = request(START + 8 * HOUR, START + 9 * HOUR);
    let matrix = engine.matrix(&after, &Limits::default()).await.unwrap();
    assert_eq!(no_edges(&matrix), [""; 0], "they were of another time");
}

#[tokio::test]
async fn a_store_that_has_its_first_records_lacks_nothing() {
    let stored = stored(&parts());
    let matrix = stored.ask(&all(), &Limits::default()).await.unwrap();
    assert_eq!(no_edges(&matrix), [""; 0]);
    stored.writer.close();
}

#[tokio::test]
async fn edges_that_are_not_shown_apart_take_no_room() {
    let stored = stored(&parts());
    let by_namespace = MatrixRequest {
        by: MatrixEnds::Ns,
        ports: false,
        ..all()
    };
    let everything = stored.ask(&by_namespace, &Limits::default()).await.unwrap();
    assert!(stored.rows(&all()).await.len() > 2 * everything.edges);
    let few = Limits {
        max_groups: everything.edges,
        ..Limits::default()
    };
    assert_eq!(
        stored.ask(&by_namespace, &few).await.unwrap().rows,
        everything.rows
    );
    stored.writer.close();
}

#[tokio::test]
async fn the_order_of_records_and_how_they_lie_in_segments_do_not_matter() {
    let parts = parts();
    let before = stored(&parts);
    let expected = before.rows(&all()).await;
    before.writer.close();
    let mut records: Vec<_> = parts.into_iter().flatten().collect();
    for (step, segment) in [(7, 1_000), (1_777, 401), (2_999, 3_000)] {
        // Another order: each number occurs once, since 3,000 and the step have no common part.
        let count = records.len();
        let mut shuffled: Vec<_> = (0..count).map(|at| records[at * step % count].clone()).collect();
        std::mem::swap(&mut records, &mut shuffled);
        let parts: Vec<_> = records.chunks(segment).map(<[FlowRecord]>::to_vec).collect();
        let stored = stored(&parts);
        assert_eq!(stored.rows(&all()).await, expected, "{step}");
        stored.writer.close();
    }
}

#[tokio::test]
async fn a_row_is_as_sure_as_most_of_its_flows_and_tells_how_many_are_weak() {
    let of = |port: u16, confidence| {
        let mut record = peers(i64::from(port), confidence);
        record.dst.port = Some(port);
        record
    };
    let mut records = vec![of(443, ServerConfidence::Syn)];
    records.extend((1..4).map(|port| of(5_000 + port, ServerConfidence::Port)));
    let stored = stored(&[records, vec![]]);
    let asked = MatrixRequest {
        ports: false,
        ..all()
    };
    let rows = stored.rows(&asked).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["strength"], &rows[0]["weak_flows"]),
        (&"weak".into(), &3.into())
    );
    assert_eq!(rows[0]["evidence"], serde_json::json!(["syn", "port"]));
    stored.writer.close();
}

/// From one port to more ports of another than anybody calls, each refused.
#[tokio::test]
async fn a_scan_is_one_row_and_the_calls_of_others_keep_their_ports() {
    let mut records = Vec::new();
    for port in 1..3_000 {
        let mut probe = peers(port / 4, ServerConfidence::Port);
        (probe.src.port, probe.dst.port) = (Some(40_000), Some(port as u16));
        let mut refused = probe.clone();
        std::mem::swap(&mut refused.src, &mut refused.dst);
        refused.server = Server::Src;
        records.extend([probe, refused]);
    }
    let mut call = peers(1, ServerConfidence::Service);
    (call.src.port, call.dst.port) = (Some(41_000), Some(8_443));
    records.push(call);
    let stored = stored(&[records, vec![]]);
    let rows = stored.rows(&all()).await;
    assert!(rows.len() < 100, "{}", rows.len());
    assert_eq!(
        rows.iter().filter(|row| text(row, "dst_port") == "8443").count(),
        1
    );
    let scan: Vec<_> = rows.iter().filter(|row| !row.contains_key("dst_port")).collect();
    assert_eq!(scan.len(), 1);
    assert!(scan[0]["evidence"].as_array().unwrap().contains(&"scan".into()));
    stored.writer.close();
}
