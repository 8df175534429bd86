//! Edges say what the records say: bytes, packets and records of each pair by hour.

use std::collections::BTreeMap;

use arrow::compute::concat_batches;
use arrow::datatypes::{TimestampMicrosecondType, UInt32Type};
use weir_store::{Segment, SegmentError};

use super::*;

const HOUR: i64 = 3_600_000_000;

/// Bytes, packets and records by hour and pair, whoever called.
type Pairs = BTreeMap<(i64, u32, u32), [u64; 3]>;

fn add(pairs: &mut Pairs, rows: &RecordBatch, names: [&str; 3], is_counted: impl Fn(usize) -> bool) {
    let times = rows["time"].as_primitive::<TimestampMicrosecondType>();
    let side = |name: &str| rows[name].as_primitive::<UInt32Type>().values().to_vec();
    let (src, dst) = (side("src_id"), side("dst_id"));
    let sums = names.map(|name| rows.column_by_name(name).map(|c| c.as_primitive::<UInt64Type>()));
    for row in (0..rows.num_rows()).filter(|row| is_counted(*row)) {
        let hour = times.value(row).div_euclid(HOUR) * HOUR;
        let pair = (hour, src[row].min(dst[row]), src[row].max(dst[row]));
        let total = pairs.entry(pair).or_default();
        // A record has no such column: it is one.
        let more = sums.map(|column| column.map_or(1, |column| column.value(row)));
        total
            .iter_mut()
            .zip(more)
            .for_each(|(total, more)| *total += more);
    }
}

pub(super) fn of_records(segments: &[std::sync::Arc<Segment>]) -> Pairs {
    let mut pairs = Pairs::new();
    for segment in segments {
        let rows = segment.read().unwrap();
        let primary = rows["primary"].as_boolean();
        add(&mut pairs, &rows, ["bytes", "packets", "-"], |row| {
            primary.value(row)
        });
    }
    pairs
}

/// The edges of a segment's rows.
fn edges(segment: &Segment) -> RecordBatch {
    let mut parts = Vec::new();
    let read = segment.edges::<SegmentError>(
        usize::MAX,
        || Ok(()),
        |rows| {
            parts.push(rows);
            Ok(())
        },
    );
    read.unwrap();
    concat_batches(&weir_store::schema::edges(), &parts).unwrap()
}

/// Those of the rows in memory.
fn in_memory(view: &View) -> RecordBatch {
    let mut parts = Vec::new();
    let made = view.edges_in_memory::<SegmentError>(
        usize::MAX,
        || Ok(()),
        |rows| {
            parts.push(rows);
            Ok(())
        },
    );
    made.unwrap();
    concat_batches(&weir_store::schema::edges(), &parts).unwrap()
}

/// The segments that together have each record of a view once.
fn edge_segments(view: &View) -> Vec<std::sync::Arc<Segment>> {
    [view.edges.clone(), view.raw_without_edges()].concat()
}

pub(super) fn of_edges(segments: &[std::sync::Arc<Segment>]) -> Pairs {
    let mut pairs = Pairs::new();
    for segment in segments {
        let rows = edges(segment);
        add(&mut pairs, &rows, ["bytes", "packets", "flows"], |_| true);
        add(
            &mut pairs,
            &rows,
            ["reverse_bytes", "reverse_packets", "reverse_flows"],
            |_| true,
        );
    }
    pairs
}

#[test]
fn edges_are_those_of_the_records_however_segments_are_merged() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut flows = Flows::new(9, 60);
    flows.pace = 3_000_000;
    for _ in 0..20 {
        writer.append(&flows.batch(200)).unwrap();
        writer.seal().unwrap();
    }
    wait_until("both whole blocks are merged", || {
        reader.status().tiers.iter().all(|tier| tier.segments == 2 + 5)
    });
    let view = reader.view(TimeRange::ALL);
    assert_eq!(of_edges(&view.edges), of_records(&view.raw));
    assert_eq!(
        of_edges(&edge_segments(&view)),
        of_records(&view.raw),
        "each record once"
    );
    for segment in &view.edges {
        let schema = segment.read().unwrap().schema();
        assert_eq!(schema.fields(), weir_store::schema::edges().fields());
    }
    // What a segment lacks of edges, its records have.
    let records: Vec<_> = view.raw.iter().map(|segment| edges(segment).num_rows()).collect();
    assert!(records.iter().all(|rows| *rows > 0));
    writer.close();
    let again = Reader::open_dir(directory.path()).unwrap().view(TimeRange::ALL);
    assert_eq!(of_edges(&again.edges), of_records(&again.raw));
}

#[test]
fn edges_of_rows_in_memory_are_those_of_their_segment() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut flows = Flows::new(4, 30);
    writer.append(&flows.batch(2_000)).unwrap();
    writer.flush();
    let before = reader.view(TimeRange::ALL);
    assert!(edge_segments(&before).is_empty());
    let of_memory = in_memory(&before);
    writer.seal().unwrap();
    writer.close();
    let view = reader.view(TimeRange::ALL);
    assert_eq!(view.edges.len(), 1);
    assert_eq!(edges(&view.edges[0]), of_memory);
    assert_eq!(in_memory(&view).num_rows(), 0);
}

#[test]
fn edges_that_a_crash_or_an_older_version_left_out_are_made_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    writer.append(&numbered(0..1_000)).unwrap();
    writer.close();
    let expected = of_edges(&reader.view(TimeRange::ALL).edges);
    drop(reader);
    files(directory.path(), "edges-")
        .iter()
        .for_each(|file| fs::remove_file(file).unwrap());
    let without = Reader::open_dir(directory.path()).unwrap().view(TimeRange::ALL);
    assert!(without.edges.is_empty());
    assert_eq!(
        of_edges(&edge_segments(&without)),
        expected,
        "the records have them"
    );
    drop(without);
    let (writer, reader, _) = open(settings(directory.path())).unwrap();
    wait_until("there are edges", || {
        !reader.view(TimeRange::ALL).edges.is_empty()
    });
    assert_eq!(of_edges(&reader.view(TimeRange::ALL).edges), expected);
    writer.close();
}

#[test]
fn edges_name_everybody_when_records_and_sums_are_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _, _) = open(settings(directory.path())).unwrap();
    writer.append(&numbered(0..1_000)).unwrap();
    writer.close();
    for tier in ["raw-", "minute-", "hour-"] {
        files(directory.path(), tier)
            .iter()
            .for_each(|file| fs::remove_file(file).unwrap());
    }
    let view = Reader::open_dir(directory.path()).unwrap().view(TimeRange::ALL);
    let rows = edges(&view.edges[0]);
    assert!(rows.num_rows() > 0);
    for side in ["src_id", "dst_id"] {
        let ids = rows[side].as_primitive::<UInt32Type>().values();
        assert!(ids.iter().all(|id| view.identities.row(*id).is_some()));
    }
    // And no number of theirs is given again.
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let known = view.identities.last();
    writer.append(&Flows::new(77, 3_000).batch(500)).unwrap();
    writer.flush();
    let fresh = reader
        .view(TimeRange {
            from: START,
            ..TimeRange::ALL
        })
        .identities
        .last();
    assert!(fresh > known, "{fresh} {known}");
    writer.close();
}

#[test]
fn a_question_that_goes_on_no_more_reads_no_further() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut flows = Flows::new(4, 30);
    for _ in 0..18 {
        writer.append(&flows.batch(8_192)).unwrap();
    }
    writer.seal().unwrap();
    writer.close();
    let view = reader.view(TimeRange::ALL);
    for segment in view.raw.iter().chain(&view.edges) {
        let (mut asked, mut handed_on) = (0, 0);
        let ended: Result<(), SegmentError> = segment.edges(
            usize::MAX,
            || {
                asked += 1;
                if asked > 1 {
                    Err(SegmentError::Name)
                } else {
                    Ok(())
                }
            },
            |rows| {
                handed_on += rows.num_rows();
                Ok(())
            },
        );
        assert!(
            ended.is_err() || segment.tier == Tier::Edges,
            "{:?}",
            segment.tier
        );
        assert!(handed_on < 1 << 17, "{handed_on}");
        assert!(segment.tier == Tier::Edges || (asked, handed_on) == (2, 0));
    }
}

/// Bytes of the tier, its identities among them, and its rows, of edges that are at work for so many hours on each of
/// these days.
fn bytes_of_days(edges: usize, hours: i64, days: i64) -> (u64, u64) {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut flows = Flows::new(3, 1_000);
    let mut calls = std::collections::HashMap::new();
    while calls.len() < edges {
        let mut call = flows.flow();
        if call.server != weir_flow::Server::Dst {
            std::mem::swap(&mut call.src, &mut call.dst);
        }
        (call.server, call.server_confidence) =
            (weir_flow::Server::Dst, weir_flow::ServerConfidence::Service);
        call.primary = true;
        let names = [&call.src, &call.dst].map(|side| format!("{:?}", side.identity));
        calls.insert((names, call.dst.port), call);
    }
    let mut calls: Vec<_> = calls.into_iter().collect();
    calls.sort_by(|(one, _), (other, _)| one.cmp(other));
    // Segments of a quarter of an hour, in each of which an edge that is at work has a call
    // and an answer.
    for quarter in 0..days * 24 * 4 {
        let mut records = Vec::new();
        for (at, (_, call)) in calls.iter().enumerate() {
            if (at as i64 + quarter / 4) % (24 / hours) != 0 {
                continue;
            }
            let mut call = call.clone();
            let like = flows.flow();
            (call.bytes, call.packets) = (like.bytes, like.packets);
            call.time_ns =
                (START + quarter * 900_000_000 + at as i64 * 900_000_000 / edges as i64) as u64 * 1_000;
            let mut back = call.clone();
            std::mem::swap(&mut back.src, &mut back.dst);
            back.server = weir_flow::Server::Src;
            back.bytes = flows.flow().bytes;
            records.extend([call, back]);
        }
        writer.append(&records).unwrap();
        writer.seal().unwrap();
    }
    // Of a day heads 1 to 63, four blocks of 8, and the last; of six 1 to 511, 512 to 575, and the last.
    let segments = if days == 1 { 6 } else { 3 };
    wait_until("all whole blocks are merged", || {
        reader.status().tiers[3].segments == segments
    });
    let status = reader.status();
    writer.close();
    (status.tiers[3].bytes, status.tiers[3].rows)
}

#[test]
#[ignore = "prints figures of docs/performance.md"]
fn bytes_of_an_edge_and_day() {
    for days in [1, 6] {
        for hours in [24, 4, 1] {
            let (bytes, rows) = bytes_of_days(1_500, hours, days);
            let (of_edge, of_row) = (bytes as f64 / 1_500.0 / days as f64, bytes as f64 / rows as f64);
            println!(
                "{days} days, {hours} hours a day: {of_edge:.0} bytes an edge and day, {rows} rows, {of_row:.1} bytes a row"
            );
        }
    }
}
