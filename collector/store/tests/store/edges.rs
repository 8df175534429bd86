//! Edges say what the records say: bytes, packets and records of each pair by hour.

use std::collections::BTreeMap;

use arrow::datatypes::{TimestampMicrosecondType, UInt32Type};
use weir_store::Segment;

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

pub(super) fn of_edges(segments: &[std::sync::Arc<Segment>]) -> Pairs {
    let mut pairs = Pairs::new();
    for segment in segments {
        let rows = segment.edges().unwrap();
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
        of_edges(&view.edge_segments()),
        of_records(&view.raw),
        "each record once"
    );
    for segment in &view.edges {
        let schema = segment.read().unwrap().schema();
        assert_eq!(schema.fields(), weir_store::schema::edges().fields());
    }
    // What a segment lacks of edges, its records have.
    let records: Vec<_> = view
        .raw
        .iter()
        .map(|segment| segment.edges().unwrap().num_rows())
        .collect();
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
    assert!(before.edge_segments().is_empty());
    let in_memory = before.edges_in_memory();
    writer.seal().unwrap();
    writer.close();
    let view = reader.view(TimeRange::ALL);
    assert_eq!(view.edges.len(), 1);
    assert_eq!(view.edges[0].edges().unwrap(), in_memory);
    assert_eq!(view.edges_in_memory().num_rows(), 0);
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
        of_edges(&without.edge_segments()),
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
    let rows = view.edges[0].edges().unwrap();
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
