//! Sums by minute and hour say what the records say.

use std::collections::BTreeMap;

use arrow::datatypes::{TimestampMicrosecondType, UInt32Type};

use super::*;

type Sums = BTreeMap<(i64, u32, u32), (u64, u64)>;

/// Bytes and flows by bucket and sides, of primary rows.
fn sums(batches: impl Iterator<Item = RecordBatch>, bucket: i64) -> Sums {
    let mut sums = Sums::new();
    for rows in batches {
        let times = rows["time"].as_primitive::<TimestampMicrosecondType>();
        let side = |name: &str| rows[name].as_primitive::<UInt32Type>().values().to_vec();
        let (src, dst, bytes) = (side("src_id"), side("dst_id"), bytes_of(&rows));
        let flows = rows
            .column_by_name("flows")
            .map(|c| c.as_primitive::<UInt64Type>());
        let primary = rows.column_by_name("primary").map(|c| c.as_boolean());
        for row in 0..rows.num_rows() {
            if primary.is_none_or(|primary| primary.value(row)) {
                let time = times.value(row) / bucket * bucket;
                let sum = sums.entry((time, src[row], dst[row])).or_default();
                sum.0 += bytes[row];
                sum.1 += flows.map_or(1, |flows| flows.value(row));
            }
        }
    }
    sums
}

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;

#[test]
fn sums_by_minute_and_hour_are_those_of_the_records() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut flows = Flows::new(3, 50);
    flows.pace = 200_000;
    for _ in 0..4 {
        writer.append(&flows.batch(10_000)).unwrap();
        writer.seal().unwrap();
    }
    writer.close();
    let view = reader.view(TimeRange::ALL);
    assert_eq!((view.raw.len(), view.minute.len(), view.hour.len()), (4, 4, 4));
    let read = |segments: &[std::sync::Arc<weir_store::Segment>]| {
        segments
            .iter()
            .map(|s| s.read().unwrap())
            .collect::<Vec<_>>()
            .into_iter()
    };
    for bucket in [MINUTE, HOUR] {
        assert_eq!(sums(read(&view.raw), bucket), sums(read(&view.minute), bucket));
        assert_eq!(sums(read(&view.raw), HOUR), sums(read(&view.hour), HOUR));
    }
    for sums in view.minute.iter().chain(&view.hour) {
        assert_eq!(
            sums.read().unwrap().schema().fields(),
            weir_store::schema::rollup().fields()
        );
    }
    let cover = view.cover(Tier::Hour);
    assert_eq!((cover.hour.len(), cover.minute.len(), cover.raw.len()), (4, 0, 0));
}

#[test]
fn sums_that_a_crash_left_out_are_made_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    writer.append(&numbered(0..1_000)).unwrap();
    writer.close();
    let view = reader.view(TimeRange::ALL);
    let expected = sums(view.raw.iter().map(|s| s.read().unwrap()), HOUR);
    drop((view, reader));
    for tier in ["minute-", "hour-"] {
        files(directory.path(), tier)
            .iter()
            .for_each(|file| fs::remove_file(file).unwrap());
    }
    let (writer, reader, _) = open(settings(directory.path())).unwrap();
    wait_until("there are sums by hour", || {
        !reader.view(TimeRange::ALL).hour.is_empty()
    });
    let view = reader.view(TimeRange::ALL);
    assert_eq!(sums(view.hour.iter().map(|s| s.read().unwrap()), HOUR), expected);
    let cover = view.cover(Tier::Minute);
    assert_eq!((cover.minute.len(), cover.raw.len()), (1, 0));
    writer.close();
}

#[test]
fn small_segments_are_merged_and_say_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut flows = Flows::new(5, 50);
    flows.pace = 100_000;
    let mut records = Vec::new();
    for _ in 0..20 {
        let batch = flows.batch(100);
        writer.append(&batch).unwrap();
        records.extend(batch.iter().map(|r| r.bytes.unwrap()));
        writer.seal().unwrap();
    }
    wait_until("both whole blocks are merged", || {
        reader.status().tiers.iter().all(|tier| tier.segments == 2 + 5)
    });
    records.sort_unstable();
    let check = |view: View| {
        assert_eq!(numbers(&view), records);
        let all = |segments: &[std::sync::Arc<weir_store::Segment>]| {
            sums(segments.iter().map(|s| s.read().unwrap()), HOUR)
        };
        assert_eq!(all(&view.raw), all(&view.minute));
        assert_eq!(all(&view.raw), all(&view.hour));
        let cover = view.cover(Tier::Hour);
        assert_eq!((cover.hour.len(), cover.minute.len(), cover.raw.len()), (7, 0, 0));
        let whole = &view.minute[0];
        let rows = whole.read().unwrap();
        let known = rows["src_id"].as_primitive::<UInt32Type>();
        let table = whole.identities().unwrap();
        let ids = table["id"].as_primitive::<UInt32Type>();
        assert!(
            known
                .values()
                .iter()
                .all(|id| *id == 0 || ids.values().contains(id))
        );
    };
    check(reader.view(TimeRange::ALL));
    writer.close();
    assert_eq!(
        files(directory.path(), "parquet").len(),
        Tier::ALL.len() * 7 * 2,
        "the parts are removed"
    );
    check(Reader::open_dir(directory.path()).unwrap().view(TimeRange::ALL));
}

#[test]
fn what_was_put_aside_is_read_by_the_next_start_whatever_was_merged_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let seal = |writer: &mut weir_store::Writer, head: u64| {
        writer.append(&numbered(head * 10..head * 10 + 10)).unwrap();
        writer.seal().unwrap();
    };
    (0..3).for_each(|head| seal(&mut writer, head));
    let path = files(directory.path(), "raw-")
        .into_iter()
        .find(|path| path.to_str().unwrap().contains("-2-2."))
        .unwrap();
    let aside = weir_store::Unreadable {
        path: fs::canonicalize(path).unwrap(),
        kind: "damaged",
        reason: "a test says so".to_owned(),
    };
    assert_eq!(reader.put_aside(&aside), weir_store::Broken::PutAside);
    (3..15).for_each(|head| seal(&mut writer, head));
    // The block with the hole stays as it is.
    wait_until("the whole block is merged", || {
        reader.status().tiers[0].segments == 6 + 1
    });
    writer.close();
    let (writer, reader, _) = open(settings(directory.path())).unwrap();
    assert_eq!(
        numbers(&reader.view(TimeRange::ALL)),
        (0..150).collect::<Vec<_>>()
    );
    writer.close();
}

#[test]
fn parts_that_a_crash_left_beside_their_whole_are_not_counted_twice() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    for head in 0..6 {
        writer.append(&numbered(head * 10..head * 10 + 10)).unwrap();
        writer.seal().unwrap();
    }
    let parts = files(directory.path(), "raw-");
    let kept = tempfile::tempdir().unwrap();
    for part in &parts {
        fs::copy(part, kept.path().join(part.file_name().unwrap())).unwrap();
    }
    writer.append(&numbered(60..70)).unwrap();
    writer.seal().unwrap();
    wait_until("the block is merged", || reader.status().tiers[0].segments == 1);
    writer.close();
    for part in &parts {
        fs::copy(kept.path().join(part.file_name().unwrap()), part).unwrap();
    }
    let all: Vec<_> = (0..70).collect();
    let snapshot = Reader::open_dir(directory.path()).unwrap();
    assert_eq!(numbers(&snapshot.view(TimeRange::ALL)), all);
    drop(snapshot);
    assert!(
        parts.iter().all(|part| part.exists()),
        "one who only reads removes nothing"
    );
    let (writer, reader, _) = open(settings(directory.path())).unwrap();
    assert_eq!(numbers(&reader.view(TimeRange::ALL)), all);
    assert!(parts.iter().all(|part| !part.exists()));
    writer.close();
}
